"""Where a term of a query may stand: its words, and how likely each photo has it.

    >>> hits, = find_hits(seen, [Term(("budget",), False)], allowed)
    >>> hits.found, hits.totals

By the scan of index/scanning.py, or by what was read alone, see index/readings.py.
"""
import dataclasses
import functools
import itertools
from typing import NamedTuple

import numpy as np

from index.posteriors import Symbols
from index.query import other_forms
from index.scanning import Words, cost

LEAST = 1e-8  # a word that is less likely the query's is no match
LEAST_IN_PHRASE = 1e-4  # for the longest word of a phrase
OTHER_FORM, LEAST_FORM = 0.01, 0.1  # what a plural or another form of the query's word counts, and how likely it must be
NARROW = 0.1  # of all photos: the words of less are looked at by themselves
BEST = 5  # places of a photo that count, and that a result shows of each term,
SHIFT, SLOPE = 1.1, 0.5  # of `calibrated`; benchmarks/search.py fits them


@dataclasses.dataclass(frozen=True)
class Seen:
    """What is known of an index at one moment: all words, its letters, and the photos that have a file."""
    changes: int
    words: Words
    symbols: Symbols
    photos: np.ndarray  # int64 [P], rising
    taken: np.ndarray  # str [P], "" where it is not known

    @functools.cached_property
    def places(self):
        """Where in `photos` a number is, int32 by number, -1 where it is not; the last is for all higher ones."""
        places = np.full(self.photos[-1] + 2, -1, np.int32)
        places[self.photos] = np.arange(len(self.photos))
        return places


class Hits(NamedTuple):
    """Where a term of a query may stand: its first word, by its place among all, how likely it stands there, over how many
    words, and its photo, by its place in `Seen`, all [n]; word by word, the BEST of each photo.

    found: the photos, int64 [m] rising; totals: float64 [m], how likely each has the term, as `calibrated` says.
    """
    words: np.ndarray
    chances: np.ndarray
    spans: np.ndarray
    photos: np.ndarray
    found: np.ndarray
    totals: np.ndarray

    def on(self, photos):
        """For each of some photos, (word, chance, span) of the hits on it, the likeliest first: a list of lists."""
        firsts, ends = (self.photos.searchsorted(photos, side).tolist() for side in ("left", "right"))
        parts = [zip(*(part[first:end].tolist() for part in self[:3])) for first, end in zip(firsts, ends)]
        return [sorted(there, key=lambda hit: -hit[1]) for there in parts]


# --- Terms ------------------------------------------------------------------------------------------------------

def read_hits(seen, term, since=None, until=None):
    """The Hits of a term by what was read alone, see index/readings.py, on photos of these days; no more of them than
    `found` and `totals`, as they are kept for who asks again."""
    hits = _on_photos(seen, taken_between(seen, since, until), *_read(seen, term))
    return Hits(*np.zeros((4, 0), np.int64), hits.found, hits.totals)


def find_hits(seen, terms, allowed, least=LEAST):
    """The Hits of each of some terms, one after another, on the photos `allowed` alone, of words that may be as likely as
    `least`; with 0, all words are scored."""
    queries = [[(seen.symbols.encode("".join(term.words)), term.prefix, least and max(least, _least(term))),
                *((seen.symbols.encode(form), False, LEAST_FORM) for form in _forms(term) if least < OTHER_FORM)]
               for term in terms]
    narrow, every = least and np.count_nonzero(allowed) < NARROW * len(allowed), itertools.chain(*queries)
    on = seen.words.on(seen.photos[allowed]) if narrow else None
    answers = seen.words.among(on, list(every)) if narrow else (seen.words.score(*each) for each in every)
    for term, (_, *others) in zip(terms, queries):
        which, chances = _at_least(*next(answers), _least(term))
        which, chances = map(np.append, (which, chances), _forms_among(itertools.islice(answers, len(others))))
        spans = np.ones_like(which)
        if len(term.words) > 1:
            first, their = _phrase(seen, term, max(least, LEAST), on)
            which, chances = np.append(which, first), np.append(chances, their)
            spans = np.append(spans, np.full_like(first, len(term.words)))
        yield _on_photos(seen, allowed, which, chances, spans)


def _least(term):
    """How likely one word that is a term must be; a phrase may be in one too, as "anti-war" is, or words too close."""
    return LEAST if len(term.words) == 1 else LEAST_IN_PHRASE


def _forms(term):
    """The other forms of a term's word that count too, list of str."""
    return [] if term.prefix or len(term.words) > 1 else other_forms(*term.words)


def _forms_among(answers):
    """(words, chances) of other forms of a term's word; answers: (words, chances of the form) of each."""
    found = [_at_least(*answer, LEAST_FORM) for answer in answers]
    which, chances = np.concatenate([np.zeros((2, 0)), *found], axis=1)
    return which.astype(np.int64), OTHER_FORM * chances


def _read(seen, term):
    """(words, chances, spans), see Hits, of what was read as a term, see index/readings.py."""
    which, chances = seen.words.read(seen.symbols.encode("".join(term.words)), term.prefix)
    first, their = seen.words.read(seen.symbols.encode(term.words[0])) if len(term.words) > 1 else (which[:0], chances[:0])
    for k, word in enumerate(term.words[1:], 1):
        there, chance = seen.words.read(seen.symbols.encode(word), term.prefix and k + 1 == len(term.words))
        _, mine, others = np.intersect1d(first + k, there, assume_unique=True, return_indices=True)
        first, their = first[mine], their[mine] * chance[others]
        side_by_side = _side_by_side(seen.words, first, first + k)
        first, their = first[side_by_side], their[side_by_side]
    spans = np.repeat([1, len(term.words)], [len(which), len(first)])
    return np.append(which, first), np.append(chances, their), spans


def _side_by_side(words, which, others):
    """Whether words, int [n] rising, and others are on the same line of the same photo, bool [n]."""
    return (words.photos(which) == words.photos(others)) & (words.lines(which) == words.lines(others))


def _at_least(which, chances, least):
    """Those of words and their chances that are at least `least`, the words rising."""
    kept = np.flatnonzero(chances >= least)
    kept = kept[np.argsort(which[kept], kind="stable")]  # fast where parts of them rise
    return which[kept].astype(np.int64), chances[kept]


def _phrase(seen, term, least, on=None):
    """(first words, chances) of words that stand next to each other on a line, together as likely as `least`; the
    longest of them must be as likely as LEAST_IN_PHRASE. on: all words on some photos, int [n] rising, where alone they are
    looked for; None: everywhere."""
    words, count = seen.words, len(term.words)
    queries = [(seen.symbols.encode(word), term.prefix and k + 1 == count) for k, word in enumerate(term.words)]
    order = sorted(range(count), key=lambda k: -len(term.words[k]))
    leasts = [max(least, LEAST_IN_PHRASE), *[least] * (count - 1)]
    which = words.possible(queries, least) if on is None else on[on <= len(words) - count]
    costs = np.zeros(len(which), np.int64)
    for k, likely in zip(order, leasts):
        costs = words.costs(which + k, *queries[k], likely, costs)
        kept = np.flatnonzero(costs <= cost(likely))
        which, costs = which[kept], costs[kept]
    for k in range(1, count):
        which = which[_side_by_side(words, which, which + k)]
    chances = np.ones(len(which))
    for k, likely in zip(order, leasts):
        which, chances = _at_least(which, chances * words.score_at(which + k, *queries[k]), likely)
    return which, chances


# --- Photos -----------------------------------------------------------------------------------------------------

def taken_between(seen, since, until):
    """Which photos, bool [P], were taken on days from `since` to `until`; all with None for both."""
    allowed = np.ones(len(seen.photos), bool)
    if since:
        allowed &= seen.taken >= since
    if until:
        allowed &= (seen.taken != "") & (seen.taken < until + "~")  # any time of that day
    return allowed


def _photos(seen, allowed, which):
    """(the words on photos `allowed`, as places in `which`, and their photos, as places in `seen`) of words, int [n] rising:
    int [m] both."""
    photos = seen.places.take(seen.words.photos(which), mode="clip")
    kept = np.flatnonzero(allowed[photos] & (photos >= 0))
    return kept, photos[kept]


def _on_photos(seen, allowed, which, chances, spans):
    """The Hits of words, each once or more, on the photos `allowed`, bool [P]."""
    if (np.diff(which) <= 0).any():  # a word that is there twice, once
        order = np.lexsort((-chances, which))
        order = order[np.diff(which[order], prepend=-1) > 0]
        which, chances, spans = which[order], chances[order], spans[order]
    kept, photos = _photos(seen, allowed, which)
    sizes = np.diff(np.flatnonzero(np.diff(photos, prepend=-1, append=-1)))
    crowded = np.flatnonzero(np.repeat(sizes > BEST, sizes))  # of more than BEST, those are let go that are not of the best
    if len(crowded):
        rank = crowded[np.argsort(photos[crowded] - chances[kept[crowded]] / 2, kind="stable")]
        last = rank[np.arange(len(rank)) - np.searchsorted(photos[rank], photos[rank]) >= BEST]
        kept, photos = np.delete(kept, last), np.delete(photos, last)
    first = np.flatnonzero(np.diff(photos, prepend=-1))
    chances = chances[kept]
    totals = np.add.reduceat(np.log1p(-np.minimum(chances, 1 - 1e-6)), first) if len(first) else np.zeros(0)
    return Hits(which[kept], chances, spans[kept], photos, photos[first], calibrated(1 - np.exp(totals)))


def calibrated(chance):
    """How often what has this probability by CTC is right, 0..1, for words that are somewhere in the collection.

    CTC is too modest: where a network is in doubt, what it doubts is more often right than the probability says. The
    log-odds are corrected by a line (Platt scaling).
    """
    chance = np.clip(chance, 1e-12, 1 - 1e-12)
    return 1 / (1 + np.exp(-SHIFT) * (1 / chance - 1) ** SLOPE)
