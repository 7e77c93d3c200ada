"""Queries to an index: which photos hold the words, and where.

Each term of a query is looked up in what the words of all photos may well be read as, see index/readings.py. Then it is
scored on what the network saw of the words of those photos that may be among the best, or of all, see index/scanning.py. A
photo's chance to hold it is that of one of its best places at least being right.
"""
import dataclasses
import functools
import os
import threading

import numpy as np
from cachetools import LRUCache, cached
from cachetools.keys import hashkey

from index import Match, Photo, Result, Word, blocks, readings
from index.hits import BEST, LEAST, NARROW, Seen, calibrated, find_hits, read_hits, taken_between
from index.orientation import turned
from index.posteriors import Symbols
from index.query import parse
from index.scanning import Words
from index.turns import Turns

EVERYWHERE = 1e-2  # words so likely are looked for of common terms, on photos that are not among the best yet
LEVELS = 1e-2, 1e-4, 1e-6, LEAST  # how likely words of rare terms are looked for, one level after another
FEW = 20  # times the photos asked for: of so many photos, all words are known at once
BETTER = 5  # times the photos asked for: of the best ones so many, all words are known of all terms
DOUBTFUL = 0.1  # a photo where a common term is read nowhere is taken to have it with so much at most
GROUP = 64  # scores that one maximum stands for, see `_nth_highest`
PATIENCE = 2.5e-8  # seconds a word of the index by which searches that look at all of them let others go first
SHOWN = 0.05  # if they are at least so likely, beside the photo's likeliest
KEPT, ANSWERS = 32 << 20, 1000  # bytes of hits of terms, and queries, that are kept for who asks for the same again


class Index:
    """What is written on many photos. Safe to use from several threads."""

    def __init__(self, store, loops=None):
        """loops: as of `Words`."""
        self.store, self._loops = store, loops
        self._lock, self._turns = threading.Lock(), Turns(os.cpu_count() or 1)
        self._latest = None  # a Seen, once something was asked
        read = _kept(LRUCache(KEPT, getsizeof=lambda hits: sum(part.nbytes for part in hits)), read_hits)
        self._best = _kept(LRUCache(ANSWERS), functools.partial(_best, read=read))
        self._quick = functools.partial(_quick, read=read)

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
        terms = tuple(parse(query)) if len(seen.photos) else ()
        patience = 0 if self._quick(seen, terms, limit, since, until) else PATIENCE * len(seen.words)
        with self._turns(patience):  # more searches than processors would only hold up each other
            numbers, scores, matched = self._best(seen, terms, limit, all_words, since, until)
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

def _search(seen, terms, all_words=False, since=None, until=None, limit=None, full_scan=False, read=read_hits):
    """(the Hits of each term, the score of each photo, float64 [P]): the mean of its chances to have them, the rarer ones
    weighing more; with `all_words`, their product. limit: how many of the best photos are asked for; others may lack what is
    unlikely."""
    terms, allowed = terms if len(seen.photos) else [], taken_between(seen, since, until)
    found = [read(seen, term, since, until) for term in terms]
    sums = [each.totals.sum() for each in found]
    weights = np.log1p(len(seen.photos) / (1 + np.array(sums)))  # inverse document frequency
    weights = None if all_words else weights / max(weights.sum(), 1e-9)
    if limit:
        _complete(seen, terms, found, weights, limit, allowed)
    else:
        found = list(find_hits(seen, terms, allowed, 0.0 if full_scan else LEAST))
    return found, _scores(_totals(found, len(seen.photos)), weights)


def _totals(found, count):
    """How likely each of `count` photos has each term, float64 [K, count]."""
    totals = np.zeros((len(found), count))
    for row, hits in zip(totals, found):
        row[hits.found] = hits.totals
    return totals


def _scores(totals, weights):
    """The scores of n photos, float64 [n], of how likely they have the terms, float64 [K, n]."""
    return totals.prod(axis=0) * (len(totals) > 0) if weights is None else np.einsum("k,kn->n", weights, totals)


def _complete(seen, terms, found, weights, limit, allowed):
    """Put into `found`, the Hits of terms by what was read, those of less likely words of the photos, of the `allowed`, that
    may be among the `limit` best.

    For terms that too few photos surely have: level by level, photos are left out that would not come so far even if they
    had, of each such term, one word more that is as likely as those that are known, a threshold algorithm (Fagin, Lotem and
    Naor, PODS 2001). For the others: where the photos that would come so far with doubtful words are not too many. At last,
    for all terms, on the best photos.
    """
    _look(seen, terms, found, _long(terms), allowed, readings.LEAST)
    known, enough = np.full(len(terms), readings.LEAST), _enough(terms, limit)
    rare = _rare(found, range(len(terms)), known, enough)
    common = [k for k in range(len(terms)) if k not in rare]
    for least in LEVELS if rare else ():
        _narrow(found, weights, limit, allowed, known, common)
        phrases = all(len(terms[k].words) > 1 for k in rare)  # to look for these further takes little more
        least = LEAST if phrases or np.count_nonzero(allowed) <= FEW * limit else least
        _look(seen, terms, found, rare, allowed, least)
        known[rare] = least
        rare = _rare(found, rare, known, enough)
        if least == LEAST or not rare:
            break
    some, many = np.zeros_like(allowed), BETTER
    if len(terms) > 1:
        some |= allowed
        _narrow(found, weights, limit, some, known, common)
        if (count := np.count_nonzero(some)) > FEW * limit:
            many = FEW
            if count <= (NARROW if rare else 1) * len(some):  # the few photos with a rare term are among the best anyway
                _look(seen, terms, found, common, some, EVERYWHERE)
            some[:] = False
    some[_highest(_scores(_totals(found, len(some)), weights), many * limit)] = True
    _look(seen, terms, found, range(len(terms)), some, LEAST)


def _quick(seen, terms, limit, since, until, read=read_hits):
    """Whether `_best` need not look at all words: where enough photos surely have each of the terms by what was read."""
    found = [read(seen, term, since, until) for term in terms]
    known = np.full(len(terms), readings.LEAST)
    return not (_long(terms) or _rare(found, range(len(terms)), known, _enough(terms, limit)))


def _long(terms):
    """Which terms have a word too long for what was read to be looked up as a whole."""
    return [k for k, term in enumerate(terms) if max(map(len, term.words)) >= readings.LETTERS]


def _enough(terms, limit):
    """How many photos must surely have a term, where the `limit` best are asked for."""
    return limit if len(terms) == 1 else BETTER * limit


def _rare(found, asked, known, enough):
    """Which of the terms `asked` less than `enough` photos have more surely than by any words less likely than `known`."""
    sure = calibrated(1 - (1 - known) ** BEST)
    return [k for k in asked if np.count_nonzero(found[k].totals >= sure[k]) < enough]


def _narrow(found, weights, limit, allowed, known, common):
    """Leave of `allowed` the photos that may be among the `limit` best if they have, of each term, one word more that is as
    likely as what is not known, or of the common ones at least a doubtful one."""
    totals = _totals(found, len(allowed))
    lowest = _nth_highest(_scores(totals, weights) * allowed, limit)
    for k, (row, likely) in enumerate(zip(totals, calibrated(known))):  # in place: a row has all photos
        np.maximum(row, calibrated(DOUBTFUL), out=row) if k in common else np.minimum(row + likely, 1, out=row)
    allowed &= _scores(totals, weights) >= lowest


def _look(seen, terms, found, asked, allowed, least):
    """Put into `found` the Hits of terms on the photos `allowed` alone, of words that may be as likely as `least`. asked:
    places in `terms`."""
    asked = sorted(asked)
    for k, hits in zip(asked, find_hits(seen, [terms[k] for k in asked], allowed, least)):
        found[k] = hits


def _best(seen, terms, limit, all_words, since, until, read=read_hits):
    """(numbers, scores, matched words as of `_matched`) of the `limit` best photos, lists."""
    found, scores = _search(seen, terms, all_words, since, until, limit, read=read)
    best = _highest(scores, limit)
    return seen.photos[best].tolist(), scores[best].tolist(), _matched(found, best)


def _highest(scores, limit):
    """The places of the highest scores above 0, the best first, of equal ones the first."""
    found = np.flatnonzero(scores >= max(_nth_highest(scores, limit), np.nextafter(0, 1)))
    return found[np.argsort(-scores[found], kind="stable")[:limit]]


def _nth_highest(scores, n):
    """The n-th highest score; 0 where less are above 0.

    The n-th highest of the maxima of groups is none too high, and few scores are above it.
    """
    groups = scores[:len(scores) // GROUP * GROUP].reshape(GROUP, -1).max(axis=0)
    least = np.partition(groups, -n)[-n] if len(groups) >= n else 0
    found = scores[scores >= max(least, np.nextafter(0, 1))]
    return np.partition(found, -n)[-n] if len(found) >= n else 0.0
