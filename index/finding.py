"""Queries to an index: which photos hold the words, and where.

Each word of a query is scored on what the network saw of each word on the photos, see index/scanning.py. A photo's chance to
hold it is that of one of its best places at least being right.
"""
import dataclasses
import os
import threading
from typing import NamedTuple

import numpy as np

from index import Match, Photo, Result, Word
from index.orientation import turned
from index.posteriors import Symbols
from index.query import other_forms, parse
from index.scanning import Words

LEAST = 1e-5  # a word that is less likely the query's is no match
OTHER_FORM = 0.1  # what a plural or another form of the query's word counts
BEST = 5  # places of a photo that count, and that a result shows of each term,
SHOWN = 0.05  # if they are at least so likely, beside the photo's likeliest
SHIFT, SLOPE = 2.0, 0.6  # of `calibrated`; benchmarks/search.py fits them


class Seen(NamedTuple):
    """What is known of an index at one moment: all words, its letters, and the photos that have a file."""
    changes: int
    words: Words
    symbols: Symbols
    photos: np.ndarray  # int64 [P], rising
    taken: np.ndarray  # str [P], "" where it is not known


class Hits(NamedTuple):
    """Words, rising int64 [n] of their places among all, and how likely each is the query's, float64 [n]."""
    words: np.ndarray
    chances: np.ndarray


class Index:
    """What is written on many photos. Safe to use from several threads."""

    def __init__(self, store):
        self.store = store
        self._lock = threading.Lock()
        self._latest = Seen(-1, Words(), Symbols(), np.zeros(0, np.int64), np.zeros(0, str))

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
        terms = parse(query)
        if not terms:
            return []
        seen = self._refresh()
        allowed = _taken_between(seen, since, until)
        found = [_by_photo(seen.words, _term(seen, term), allowed) for term in terms]
        scores = _combine([chances for chances, _ in found], len(seen.photos), all_words)
        best = sorted(scores, key=lambda photo: (-scores[photo], photo))[:limit]
        results = (self._result(seen.words, photo, scores[photo], [hits[photo] for _, hits in found if photo in hits])
                   for photo in best)
        return [result for result in results if result]

    def _refresh(self):
        """What is known, with what an indexer has added since."""
        with self._lock:
            latest, changes = self._latest, self.store.changes
            if changes != latest.changes:
                symbols = Symbols(self.store.letters)
                try:
                    words = latest.words.with_more(self.store.posteriors(latest.words.last), symbols.count)
                except (ValueError, TypeError) as error:
                    raise self.store.damaged(error) from None
                photos = self.store.photos()
                self._latest = Seen(changes, words, symbols, np.array([photo for photo, _ in photos], np.int64),
                                    np.array([taken or "" for _, taken in photos], str))
            return self._latest

    def _result(self, words, number, score, found):
        """The Result of a photo, None if its file is gone in this moment. found: its Hits of each term that has some."""
        photo = self.store.photo(number)
        if photo is None:
            return None
        page, chances = self.store.words(number), {}
        for hits in found:
            for word, chance in zip(hits.words[:BEST].tolist(), hits.chances.tolist()):
                if chance >= SHOWN * hits.chances[0]:
                    chances[word] = max(chance, chances.get(word, 0))
        matches = []
        for word in sorted(chances, key=chances.get, reverse=True):
            entry = page[words.places[word]]
            matches.append(Match(_polygon(photo, entry), entry["alternatives"][0][0], float(calibrated(chances[word]))))
        return Result(number, self._file(photo), score, matches)

    # --- Photos -----------------------------------------------------------------------------------------------

    def photo(self, number: int) -> Photo | None:
        """The photo of a number, if there is one."""
        photo = self.store.photo(number)
        return self._photo(photo) if photo else None

    def page(self, number: int) -> list[Word]:
        """All words of a photo, in reading order; [] if there is none."""
        photo = self.store.photo(number)
        return self._page(photo) if photo else []

    def export(self):
        """All that is known, a dict for each file, by name: file, width, height, taken, error and words."""
        for name, (number, *_) in self.store.files().items():
            photo = self.store.photo(number)
            photo["files"] = [file for file in photo["files"] if file[0] == name]
            facts = dataclasses.asdict(self._photo(photo))
            del facts["id"]
            yield {**facts, "words": [dataclasses.asdict(word) for word in self._page(photo)]}

    def stats(self) -> dict[str, int]:
        """How much there is: files, photos, failed, words, bytes of the index's file."""
        return {**self.store.counts(), "words": len(self._refresh().words), "bytes": self.store.path.stat().st_size}

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
        return str(self.store.path.absolute().parent / os.fsdecode(photo["files"][0][0]))


def _polygon(photo, word):
    """A word's corners in pixels of the photo's file, upright as its EXIF data say now."""
    return turned(word["polygon"], photo["width"], photo["height"], photo["orientation"], photo["files"][0][1])


# --- Terms ------------------------------------------------------------------------------------------------------

def _term(seen, term):
    """Hits of a term: of a phrase, its first words."""
    *firsts, last = term.words
    hits = _word(seen, last, term.prefix)
    for word in reversed(firsts):
        hits = _before(seen.words, _word(seen, word, False), hits)
    return hits


def _word(seen, word, prefix):
    """Hits of a word and, for less, of its other forms."""
    words, chances = seen.words.score(seen.symbols.encode(word), prefix, LEAST)
    for form in () if prefix else other_forms(word):
        others, their = seen.words.score(seen.symbols.encode(form), False, LEAST)
        words, chances = _either((words, chances), (others, OTHER_FORM * their))
    return Hits(words, chances)


def _either(a, b):
    """The (words, chances) of both, each word once with its higher chance."""
    words, chances = np.concatenate([a[0], b[0]]), np.concatenate([a[1], b[1]])
    order = np.lexsort((-chances, words))
    words, firsts = np.unique(words[order], return_index=True)
    return words, chances[order][firsts]


def _before(words, firsts, seconds):
    """Hits of those of `firsts` that have one of `seconds` behind them on the same line."""
    kept = np.isin(firsts.words + 1, seconds.words)
    which, chances = firsts.words[kept], firsts.chances[kept]
    same = (words.photos[which] == words.photos[which + 1]) & (words.lines[which] == words.lines[which + 1])
    which, chances = which[same], chances[same]
    return Hits(which, chances * seconds.chances[np.searchsorted(seconds.words, which + 1)])


# --- Photos -----------------------------------------------------------------------------------------------------

def _taken_between(seen, since, until):
    """The photos, int64 [n], taken on days from `since` to `until`; all with None for both."""
    allowed = np.ones(len(seen.photos), bool)
    if since:
        allowed &= seen.taken >= since
    if until:
        allowed &= (seen.taken != "") & (seen.taken < until + "~")  # any time of that day
    return seen.photos[allowed]


def _by_photo(words, hits, allowed):
    """({photo: chance that it holds the term}, {photo: Hits in it, the likeliest first}) for the photos `allowed`."""
    photos = words.photos[hits.words]
    kept = np.isin(photos, allowed)
    photos, which, chances = photos[kept], hits.words[kept], hits.chances[kept]
    order = np.lexsort((-chances, photos))
    photos, which, chances = photos[order], which[order], chances[order]
    numbers, firsts, counts = np.unique(photos, return_index=True, return_counts=True)
    rank = np.arange(len(which)) - np.repeat(firsts, counts)
    missed = np.where(rank < BEST, np.log1p(-np.minimum(chances, 1 - 1e-6)), 0)
    totals = 1 - np.exp(np.add.reduceat(missed, firsts)) if len(which) else np.zeros(0)
    return (dict(zip(numbers.tolist(), calibrated(totals).tolist())),
            {photo: Hits(which[first:first + count], chances[first:first + count])
             for photo, first, count in zip(numbers.tolist(), firsts.tolist(), counts.tolist())})


def calibrated(chance):
    """How often what has this probability by CTC is right, 0..1, for words that are somewhere in the collection.

    CTC is too modest: where a network is in doubt, what it doubts is more often right than the probability says. The
    log-odds are corrected by a line (Platt scaling).
    """
    chance = np.clip(chance, 1e-12, 1 - 1e-12)
    return 1 / (1 + np.exp(-SHIFT) * (1 / chance - 1) ** SLOPE)


def _combine(found, photos, all_words):
    """{photo: score} of {photo: chance} for each term: their mean, the rarer terms weighing more; with `all_words`, their
    product for photos that may hold all."""
    weights = [np.log1p(photos / (1 + sum(chances.values()))) for chances in found]
    scores = {}
    for photo in set().union(*found):
        chances = [term.get(photo, 0.0) for term in found]
        scores[photo] = float(np.prod(chances) if all_words else np.dot(weights, chances) / sum(weights))
    return {photo: score for photo, score in scores.items() if score > 0}
