"""Where a term of a query may stand: its words, and how likely each photo has it.

    >>> hits = find_hits(seen, Term(("budget",), False), Scope(None, None))
    >>> hits.found, hits.totals

By the scan of index/scanning.py, or by what was surely read alone, see index/readings.py.
"""
import dataclasses
import functools
import itertools
from typing import NamedTuple

import numpy as np

from index.posteriors import Symbols
from index.query import other_forms
from index.scanning import Words

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


class Scope(NamedTuple):
    """How far a search goes. since, until: days of the photos looked at; likely: how likely words are looked for, one after
    another, until `enough` photos have a term; full_scan: all words are scored; sure: what was surely read alone."""
    since: str | None
    until: str | None
    likely: tuple[float, ...] = ()
    enough: int | None = None
    full_scan: bool = False
    sure: bool = False


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

    def on_all(self, count):
        """`totals` of all photos, float64 [count], 0 where there is none."""
        totals = np.zeros(count)
        totals[self.found] = self.totals
        return totals


# --- Terms ------------------------------------------------------------------------------------------------------

def find_hits(seen, term, scope):
    """The Hits of a term; with scope.sure, no more of them than `found` and `totals`."""
    allowed = taken_between(seen, scope.since, scope.until)
    if scope.sure:
        hits = _on_photos(seen, allowed, *_read(seen, term))
        return Hits(*np.zeros((4, 0), np.int64), hits.found, hits.totals)
    return _on_photos(seen, allowed, *_places(seen, term, allowed, scope))


def hits_among(seen, terms, allowed, least):
    """The Hits of each of some terms, one after another, on the photos `allowed` alone, of words that may be as likely as
    `least`."""
    queries = [[(seen.symbols.encode("".join(term.words)), term.prefix, max(least, _least(term))),
                *((seen.symbols.encode(form), False, LEAST_FORM) for form in _forms(term) if least < OTHER_FORM)]
               for term in terms]
    narrow, every = np.count_nonzero(allowed) < NARROW * len(allowed), itertools.chain(*queries)
    on = seen.words.on(seen.photos[allowed]) if narrow else None
    answers = seen.words.among(on, list(every)) if narrow else (seen.words.score(*each) for each in every)
    for term, (_, *others) in zip(terms, queries):
        which, chances = _at_least(*next(answers), _least(term))
        which, chances = map(np.append, (which, chances), _forms_among(itertools.islice(answers, len(others))))
        yield _on_photos(seen, allowed, *_with_phrase(seen, term, which, chances, on))


def _places(seen, term, allowed, scope):
    """(words, chances, spans) of a term, see Hits."""
    which, chances, least = _word(seen, "".join(term.words), term.prefix, allowed, scope, _least(term))
    if least < OTHER_FORM:
        others = _forms_among(seen.words.score(seen.symbols.encode(form), False, LEAST_FORM) for form in _forms(term))
        which, chances = map(np.append, (which, chances), others)
    return _with_phrase(seen, term, which, chances)


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


def _with_phrase(seen, term, which, chances, on=None):
    """(words, chances, spans) of a term that one word may be, and of those that are it one after another; on: as of
    `_phrase`."""
    if len(term.words) == 1:
        return which, chances, np.ones_like(which)
    others, their = _phrase(seen, term, on)
    spans = np.repeat([1, len(term.words)], [len(which), len(others)])
    return np.append(which, others), np.append(chances, their), spans


def _read(seen, term):
    """As `_places`, of what was surely read: the words whose likeliest readings are the term."""
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


def _word(seen, word, prefix, allowed, scope, least):
    """(words, chances, how likely they are at least) of a word: the likely ones, if they are on enough photos `allowed`, as
    the others would come last; else all that are at least as likely as `least`."""
    query = seen.symbols.encode(word)
    if scope.full_scan:
        return *_at_least(*seen.words.score(query, prefix), least), least
    found = []
    levels = [*(likely for likely in scope.likely if likely > least), least]
    for likely, some in zip(levels, seen.words.score_by_levels(query, prefix, levels)):
        found.append(some)
        which, chances = _at_least(*np.concatenate(found, axis=1), likely)
        sure = which[chances >= 1 - (1 - likely) ** BEST]  # a photo of less likely words has not that chance
        photos = np.unique(_photos(seen, allowed, sure)[1]) if scope.enough else []
        if scope.enough is not None and len(photos) >= scope.enough:
            break
    return which, chances, likely


def _at_least(which, chances, least):
    """Those of words and their chances that are at least `least`, the words rising."""
    kept = np.flatnonzero(chances >= least)
    kept = kept[np.argsort(which[kept], kind="stable")]  # fast where parts of them rise
    return which[kept].astype(np.int64), chances[kept]


def _phrase(seen, term, on=None):
    """(first words, chances) of words that stand next to each other on a line: where the longest may be, the others are
    looked for beside it. on: words, int [n] rising, among which the longest must be; None: all."""
    words = seen.words
    anchor = max(range(len(term.words)), key=lambda k: len(term.words[k]))
    queries = [seen.symbols.encode(word) for word in term.words]
    prefixes = [False] * (len(queries) - 1) + [term.prefix]
    longest = queries[anchor], prefixes[anchor], LEAST_IN_PHRASE
    which = words.possible(*longest)[0] if on is None else on[words.may_be(on, *longest)]
    for k, (query, prefix) in enumerate(zip(queries, prefixes)):
        if k != anchor:
            there = which + k - anchor
            which = which[(0 <= there) & (there < len(words))]
            which = which[_side_by_side(words, which, which + k - anchor)]
            which = which[words.may_be(which + k - anchor, query, prefix, LEAST)]
    chances = words.score_at(which, queries[anchor], prefixes[anchor])
    which, chances = _at_least(which, chances, LEAST_IN_PHRASE)
    for k, (query, prefix) in enumerate(zip(queries, prefixes)):
        if k != anchor:
            chances = chances * words.score_at(which + k - anchor, query, prefix)
    which, chances = _at_least(which, chances, LEAST)
    return which - anchor, chances


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
        rank = crowded[np.lexsort((-chances[kept[crowded]], photos[crowded]))]
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
