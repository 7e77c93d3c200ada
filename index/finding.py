"""Queries to an index: which photos hold the words, and where.

Each word of a query is scored on what the network saw of each word on the photos, see index/scanning.py. A photo's chance to
hold it is that of one of its best places at least being right.
"""
import dataclasses
import functools
import itertools
import os
import threading
from typing import NamedTuple

import numpy as np
from cachetools import LRUCache, cached
from cachetools.keys import hashkey

from index import Match, Photo, Result, Word, blocks
from index.orientation import turned
from index.posteriors import Symbols
from index.query import other_forms, parse
from index.scanning import Words

LEAST = 1e-8  # a word that is less likely the query's is no match
LIKELY = 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7  # words so likely are looked for, one level after another, of a single term
COUNTED = 1e-2  # likely terms of photos say how rare a term is; a million that are next to impossible do not
LEAST_IN_PHRASE = 1e-4  # for the longest word of a phrase
OTHER_FORM, LEAST_FORM = 0.01, 0.1  # what a plural or another form of the query's word counts, and how likely it must be
ENOUGH = 1  # times the photos asked for: of several terms, one that so many have is not looked for further
LEVELS = COUNTED, 1e-4, 1e-6, LEAST  # of several terms: how likely words are known, one level after another
FEW = 20  # times the photos asked for: of so many photos, all words are known at once
BETTER = 5  # times the photos asked for: of the best ones so many, all words are known of all terms
NARROW = 0.1  # of all photos: the words of less are looked at by themselves
BEST = 5  # places of a photo that count, and that a result shows of each term,
SHOWN = 0.05  # if they are at least so likely, beside the photo's likeliest
KEPT, ANSWERS = 32 << 20, 1000  # bytes of hits of terms, and queries, that are kept for who asks for the same again
SHIFT, SLOPE = 1.1, 0.5  # of `calibrated`; benchmarks/search.py fits them


class Seen(NamedTuple):
    """What is known of an index at one moment: all words, its letters, and the photos that have a file."""
    changes: int
    words: Words
    symbols: Symbols
    photos: np.ndarray  # int64 [P], rising
    taken: np.ndarray  # str [P], "" where it is not known


class Scope(NamedTuple):
    """How far a search goes. since, until: days of the photos looked at; likely: how likely words are looked for, one after
    another, until `enough` photos have a term; full_scan: all words are scored."""
    since: str | None
    until: str | None
    likely: tuple[float, ...] = ()
    enough: int | None = None
    full_scan: bool = False


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


class Index:
    """What is written on many photos. Safe to use from several threads."""

    def __init__(self, store, loops=None):
        """loops: as of `Words`."""
        self.store, self._loops = store, loops
        self._lock, self._turns = threading.Lock(), threading.Semaphore(os.cpu_count() or 1)
        self._latest = None  # a Seen, once something was asked
        hits = _kept(LRUCache(KEPT, getsizeof=lambda hits: sum(part.nbytes for part in hits)), _hits)
        self._best = _kept(LRUCache(ANSWERS), functools.partial(_best, hits=hits))

    def close(self):
        self.store.close()

    # --- Finding ----------------------------------------------------------------------------------------------

    def find(self, query: str, limit: int = 20, all_words: bool = False, since: str | None = None,
             until: str | None = None) -> list[Result]:
        """The best photos for a query, the best first.

        query: words, "quoted phrases" whose words stand next to each other on a line, and word* for what begins like that.
        Case, accents and punctuation do not matter. all_words: only photos that may hold every word. since, until: dates as
        2026-11-25, both included; photos whose EXIF date is unknown are left out then.
        """
        seen = self._refresh()
        with self._turns:  # more searches than processors would only hold up each other
            numbers, scores, matched = self._best(seen, tuple(parse(query)), limit, all_words, since, until)
        if not self._loops:  # for who answers many, that takes a fifth of a query, as the next one asks for the same pages
            seen.words.forget()
        photos = self.store.photos_of(numbers)
        words = self.store.words_of({number: [seen.words.place(word) for word in there]
                                     for number, there in zip(numbers, matched)})
        return [self._result(photos[number], score, words[number], there.values())
                for number, score, there in zip(numbers, scores, matched)
                if number in photos and number in words]  # else its file is gone now

    def scores(self, query: str, **options) -> dict[int, float]:
        """The score of each photo that `find` would return without a limit, by its number. options: all_words, since, until;
        full_scan: score all words, not those alone that have the query's letters."""
        seen = self._refresh()
        _, scores = _search(seen, parse(query), **options)
        found = scores > 0
        return dict(zip(seen.photos[found].tolist(), scores[found].tolist()))

    def _refresh(self):
        """What is known, with what an indexer has added since."""
        with self._lock:
            latest, changes = self._latest, self.store.changes
            if latest is None or changes != latest.changes:
                symbols = Symbols(self.store.letters)
                try:
                    words = latest.words if latest else Words(blocks.kept(self.store), loops=self._loops)
                    words = words.with_more(self.store.posteriors(words.last), symbols.count)
                except (ValueError, TypeError) as error:
                    raise self.store.damaged(error) from None
                self._latest = Seen(changes, words, symbols, *self._photos_now(changes))
            return self._latest

    def _photos_now(self, changes):
        """`photos` and `taken` of a Seen; of those that are known, what has changed is asked for alone."""
        latest = self._latest
        changed = self.store.changed(latest.changes, changes) if latest else None
        photos = self.store.photos(changed)
        numbers = np.array([number for number, _ in photos], np.int64)
        taken = np.array([day or "" for _, day in photos], str)
        if changed is None:
            return numbers, taken
        same = ~np.isin(latest.photos, list(changed))
        numbers, taken = np.append(latest.photos[same], numbers), np.append(latest.taken[same], taken)
        order = np.argsort(numbers)
        return numbers[order], taken[order]

    def _result(self, photo, score, entries, probabilities):
        """The Result of a photo. entries, probabilities: of its words that matched, the likeliest first."""
        matches = [Match(_polygon(photo, entry), entry["alternatives"][0][0], probability)
                   for entry, probability in zip(entries, probabilities)]
        return Result(photo["id"], self._file(photo), score, matches)

    # --- Photos -----------------------------------------------------------------------------------------------

    def photo(self, number: int) -> Photo | None:
        """The photo of a number, if there is one."""
        return self.photos([number]).get(number)

    def photos(self, numbers: list[int]) -> dict[int, Photo]:
        """The photos of these numbers, by number, those that there are."""
        return {number: self._photo(photo) for number, photo in self.store.photos_of(numbers).items()}

    def page(self, number: int) -> list[Word]:
        """All words of a photo, in reading order; [] if there is none."""
        photo = self.store.photo(number)
        return self._page(photo) if photo else []

    def export(self):
        """All that is known, a dict for each file, by name: file, width, height, taken, error and words."""
        for name, (number, *_) in self.store.files().items():
            photo = self.store.photo(number)
            if photo is None:  # its file is gone in this moment
                continue
            photo["files"] = [file for file in photo["files"] if file[0] == name]
            facts = dataclasses.asdict(self._photo(photo))
            del facts["id"]
            yield {**facts, "words": [dataclasses.asdict(word) for word in self._page(photo)]}

    def stats(self) -> dict[str, int]:
        """How much there is: files, photos, failed, words, bytes on disk."""
        return {**self.store.counts(), "words": len(self._refresh().words), "bytes": self.store.size()}

    def _photo(self, photo):
        width, height = photo["width"], photo["height"]
        _, orientation, taken = photo["files"][0]
        if (photo["orientation"] > 4) != (orientation > 4):
            width, height = height, width
        return Photo(photo["id"], self._file(photo), width, height, taken, photo["error"])

    def _page(self, photo):
        words = []
        for word in self.store.words(photo["id"]):
            alternatives = [tuple(alternative) for alternative in word["alternatives"]]
            words.append(Word(_polygon(photo, word), *alternatives[0], alternatives, word["line"], word["paragraph"]))
        return words

    def _file(self, photo):
        return os.fsdecode(self.store.file(photo["files"][0][0]))


def _kept(cache, function):
    """A function of a Seen and more, with a cache of what it gave, as long as the index does not change."""
    return cached(cache, key=lambda seen, *asked: hashkey(seen.changes, *asked), condition=threading.Condition())(function)


def _polygon(photo, word):
    """A word's corners in pixels of the photo's file, upright as its EXIF data say now."""
    return turned(word["polygon"], photo["width"], photo["height"], photo["orientation"], photo["files"][0][1])


def _matched(found, photos):
    """For each of some photos, {word: probability} of the best places of each term, the likeliest first, by their places in
    `seen`. found: the Hits of each term."""
    matched = []
    for by_term in zip(*(hits.on(photos) for hits in found)):
        chances = {}
        for there in by_term:
            for first, chance, span in there:
                if chance >= SHOWN * there[0][1]:
                    for word in range(first, first + span):
                        chances[word] = max(chance, chances.get(word, 0))
        matched.append(dict(sorted(chances.items(), key=lambda each: -each[1])))
    probabilities = iter(calibrated(np.array([chance for words in matched for chance in words.values()])).tolist())
    return [dict(zip(words, probabilities)) for words in matched]


# --- Terms ------------------------------------------------------------------------------------------------------

def _hits(seen, term, scope):
    """The Hits of a term."""
    allowed = _taken_between(seen, scope.since, scope.until)
    return _on_photos(seen, allowed, *_places(seen, term, allowed, scope))


def _search(seen, terms, all_words=False, since=None, until=None, limit=None, full_scan=False, hits=_hits):
    """(the Hits of each term, the score of each photo, float64 [P]): the mean of its chances to have them, the rarer ones
    weighing more; with `all_words`, their product. limit: how many of the best photos are asked for; others may lack what is
    unlikely."""
    terms = terms if len(seen.photos) else []
    scope = single = Scope(since, until, full_scan=full_scan)
    if limit:
        single = scope._replace(likely=LIKELY if len(terms) == 1 else (COUNTED,), enough=limit if len(terms) == 1 else 0)
    found = [hits(seen, term, single if len(term.words) == 1 or len(terms) == 1 else scope) for term in terms]
    sums = [each.totals[each.totals >= calibrated(COUNTED)].sum() for each in found]
    weights = np.log1p(len(seen.photos) / (1 + np.array(sums)))  # inverse document frequency
    weights = None if all_words else weights / max(weights.sum(), 1e-9)
    if limit and len(terms) > 1:
        found = _completed(seen, terms, found, weights, scope, limit)
    return found, _scores(_totals(found, len(seen.photos)), weights)


def _totals(found, count):
    """How likely each of `count` photos has each term, float64 [K, count]."""
    return np.array([hits.on_all(count) for hits in found]).reshape(len(found), count)


def _scores(totals, weights):
    """The scores of n photos, float64 [n], of how likely they have the terms, float64 [K, n]."""
    return totals.prod(axis=0) * (len(totals) > 0) if weights is None else weights @ totals


def _completed(seen, terms, found, weights, scope, limit):
    """The Hits of terms, known where words are as likely as COUNTED, with the less likely words of the photos that may be
    among the `limit` best.

    For terms that are on few photos: level by level, photos are left out that would not come so far even if they had, of
    each such term, one word more that is as likely as those that are known, a threshold algorithm (Fagin, Lotem and Naor,
    PODS 2001). At last, for all terms, on the best photos.
    """
    found, allowed = list(found), _taken_between(seen, scope.since, scope.until)
    asked = {k: [seen.symbols.encode(word) for word in (*term.words, *_forms(term))]
             for k, term in enumerate(terms) if len(term.words) == 1}
    sure = calibrated(1 - (1 - COUNTED) ** BEST)  # a photo of less likely words has not that chance
    rare = [k for k in asked if np.count_nonzero(found[k].totals >= sure) < ENOUGH * limit]
    for known, least in itertools.pairwise(LEVELS) if rare else ():
        totals = _totals(found, len(seen.photos))[:, allowed]
        lowest = _nth_highest(_scores(totals, weights), limit)
        totals[rare] = np.minimum(totals[rare] + calibrated(known), 1)
        allowed[allowed] = _scores(totals, weights) >= lowest
        least = LEAST if np.count_nonzero(allowed) <= FEW * limit else least
        _look(seen, terms, found, {k: asked[k] for k in rare}, allowed, least)
        if least == LEAST:
            break
    best = _highest(_scores(_totals(found, len(seen.photos)), weights), BETTER * limit)
    allowed[:] = False
    allowed[best] = True
    _look(seen, terms, found, asked, allowed, LEAST)
    return found


def _look(seen, terms, found, asked, allowed, least):
    """Put into `found` the Hits of terms, on the photos `allowed` alone, of words that may be as likely as `least`. asked:
    {place in `terms`: the symbols of its word, and those of each of its other forms}."""
    queries = {k: [(query, terms[k].prefix, least), *((form, False, LEAST_FORM) for form in forms)]
               for k, (query, *forms) in asked.items()}
    every = list(itertools.chain(*queries.values()))
    narrow = np.count_nonzero(allowed) < NARROW * len(allowed)
    answers = seen.words.among(seen.photos[allowed], every) if narrow else (seen.words.score(*each) for each in every)
    for k, some in queries.items():
        which, chances = _likely(*next(answers), LEAST)
        which, chances = map(np.append, (which, chances), _other_forms(itertools.islice(answers, len(some) - 1)))
        found[k] = _on_photos(seen, allowed, which, chances, np.ones_like(which))


def _forms(term):
    """The other forms of a term's word that count too, list of str."""
    return [] if term.prefix else other_forms(*term.words)


def _other_forms(answers):
    """(words, chances) of other forms of a term's word; answers: (words, chances of the form) of each."""
    found = [_likely(*answer, LEAST_FORM) for answer in answers]
    which, chances = np.concatenate([np.zeros((2, 0)), *found], axis=1)
    return which.astype(np.int64), OTHER_FORM * chances


def _best(seen, terms, limit, all_words, since, until, hits=_hits):
    """(numbers, scores, matched words as of `_matched`) of the `limit` best photos, lists."""
    found, scores = _search(seen, terms, all_words, since, until, limit, hits=hits)
    best = _highest(scores, limit)
    return seen.photos[best].tolist(), scores[best].tolist(), _matched(found, best)


def _highest(scores, limit):
    """The places of the highest scores above 0, the best first, of equal ones the first."""
    found = np.flatnonzero((scores > 0) & (scores >= _nth_highest(scores, limit)))
    return found[np.argsort(-scores[found], kind="stable")[:limit]]


def _nth_highest(scores, n):
    """The n-th highest score; 0 where less are above 0."""
    found = scores[scores > 0]
    return np.partition(found, -n)[-n] if len(found) >= n else 0.0


def _places(seen, term, allowed, scope):
    """(words, chances, spans) of a term, see Hits; a phrase may be in one word too, as "anti-war" is, or words too close."""
    if len(term.words) == 1:
        which, chances, least = _word(seen, *term.words, term.prefix, allowed, scope, LEAST)
        if least < OTHER_FORM:
            others = _other_forms(seen.words.score(seen.symbols.encode(form), False, LEAST_FORM) for form in _forms(term))
            which, chances = map(np.append, (which, chances), others)
        return which, chances, np.ones_like(which)
    which, chances, _ = _word(seen, "".join(term.words), term.prefix, allowed, scope, LEAST_IN_PHRASE)
    others, their = _phrase(seen, term)
    spans = np.repeat([1, len(term.words)], [len(which), len(others)])
    return np.append(which, others), np.append(chances, their), spans


def _word(seen, word, prefix, allowed, scope, least):
    """(words, chances, how likely they are at least) of a word: the likely ones, if they are on enough photos `allowed`, as
    the others would come last; else all that are at least as likely as `least`."""
    query = seen.symbols.encode(word)
    if scope.full_scan:
        return *_likely(*seen.words.score(query, prefix), least), least
    found = []
    levels = [*(likely for likely in scope.likely if likely > least), least]
    for likely, some in zip(levels, seen.words.score_by_levels(query, prefix, levels)):
        found.append(some)
        which, chances = _likely(*np.concatenate(found, axis=1), likely)
        sure = which[chances >= 1 - (1 - likely) ** BEST]  # a photo of less likely words has not that chance
        photos = np.unique(_photos(seen, allowed, sure)[1]) if scope.enough else []
        if scope.enough is not None and len(photos) >= scope.enough:
            break
    return which, chances, likely


def _likely(which, chances, least):
    """Those of words and their chances that are at least `least`, the words rising."""
    kept = np.flatnonzero(chances >= least)
    kept = kept[np.argsort(which[kept], kind="stable")]  # fast where parts of them rise
    return which[kept].astype(np.int64), chances[kept]


def _phrase(seen, term):
    """(first words, chances) of words that stand next to each other on a line: where the longest may be, the others are
    looked for beside it."""
    words = seen.words
    anchor = max(range(len(term.words)), key=lambda k: len(term.words[k]))
    queries = [seen.symbols.encode(word) for word in term.words]
    prefixes = [False] * (len(queries) - 1) + [term.prefix]
    which, _ = words.possible(queries[anchor], prefixes[anchor], LEAST_IN_PHRASE)
    for k, (query, prefix) in enumerate(zip(queries, prefixes)):
        if k != anchor:
            there = which + k - anchor
            which = which[(0 <= there) & (there < len(words))]
            there = which + k - anchor
            same = (words.photos(there) == words.photos(which)) & (words.lines(there) == words.lines(which))
            which = which[same][words.may_be(there[same], query, prefix, LEAST)]
    chances = words.score_at(which, queries[anchor], prefixes[anchor])
    which, chances = _likely(which, chances, LEAST_IN_PHRASE)
    for k, (query, prefix) in enumerate(zip(queries, prefixes)):
        if k != anchor:
            chances = chances * words.score_at(which + k - anchor, query, prefix)
    which, chances = _likely(which, chances, LEAST)
    return which - anchor, chances


# --- Photos -----------------------------------------------------------------------------------------------------

def _taken_between(seen, since, until):
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
    numbers = seen.words.photos(which)
    photos = np.minimum(np.searchsorted(seen.photos, numbers), len(seen.photos) - 1)
    kept = np.flatnonzero(allowed[photos] & (seen.photos[photos] == numbers))
    return kept, photos[kept]


def _on_photos(seen, allowed, which, chances, spans):
    """The Hits of words, each once or more, on the photos `allowed`, bool [P]."""
    if (np.diff(which) <= 0).any():  # a word that is there twice, once
        order = np.lexsort((-chances, which))
        order = order[np.diff(which[order], prepend=-1) > 0]
        which, chances, spans = which[order], chances[order], spans[order]
    kept, photos = _photos(seen, allowed, which)
    crowded = np.flatnonzero(photos[BEST:] == photos[:-BEST])  # of more than BEST, those are let go that are not of the best
    if len(crowded):
        rank = np.lexsort((-chances[kept], photos))
        rank = rank[np.arange(len(rank)) - np.searchsorted(photos, photos) < BEST]
        rank.sort()
        kept, photos = kept[rank], photos[rank]
    found, first = np.unique(photos, return_index=True)
    chances = chances[kept]
    totals = np.add.reduceat(np.log1p(-np.minimum(chances, 1 - 1e-6)), first) if len(first) else np.zeros(0)
    return Hits(which[kept], chances, spans[kept], photos, found, calibrated(1 - np.exp(totals)))


def calibrated(chance):
    """How often what has this probability by CTC is right, 0..1, for words that are somewhere in the collection.

    CTC is too modest: where a network is in doubt, what it doubts is more often right than the probability says. The
    log-odds are corrected by a line (Platt scaling).
    """
    chance = np.clip(chance, 1e-12, 1 - 1e-12)
    return 1 / (1 + np.exp(-SHIFT) * (1 / chance - 1) ** SLOPE)
