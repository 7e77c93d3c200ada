"""Queries to an index: which photos hold the words, and where.

A word of the query is looked for in two steps. The strings of all readings that are at most a few edits away say which words
it may be; of those, where the sure readings do not exclude it, the probability of the query itself is computed on what the
network saw (`posteriors.score`). A photo's chance to hold it is that of one of its best places at least being right.
"""
import dataclasses
import os
import threading
from typing import NamedTuple

import numpy as np

from index import Match, Photo, Result, Word, posteriors
from index.orientation import turned
from index.query import other_forms, parse
from index.store import PLACES
from index.vocabulary import LONGEST, Vocabulary

LEAST = 0.01  # a word that is less likely the query's is no match
NEAR = 3, 5, 9  # letters a query needs for its readings to be 1, 2 and 3 edits away
BUDGET = 20000  # places at most that are looked at closely
OTHER_FORM = 0.4  # what a plural or another form of the query's word counts
BEST = 5  # places of a photo that count


class Hits(NamedTuple):
    """Words, by their numbers, rising, and how likely each is the query's, float64."""
    words: np.ndarray
    chances: np.ndarray


NONE = Hits(np.zeros(0, np.int64), np.zeros(0))


class Index:
    """What is written on many photos. Safe to use from several threads."""

    def __init__(self, store):
        self.store = store
        self._lock = threading.Lock()
        self._changes, self._vocabulary = None, Vocabulary()

    def close(self):
        self.store.close()

    # --- Finding ----------------------------------------------------------------------------------------------

    def find(self, query, limit=20, all_words=False, since=None, until=None):
        """The best photos for a query, a list of Results, the best first.

        query: words, "quoted phrases" whose words stand next to each other on a line, and word* for what begins like that.
        Case, accents and punctuation do not matter. all_words: only photos that may hold every word. since, until: dates as
        2026-11-25, both included; photos whose EXIF date is unknown are left out then.
        """
        terms = parse(query)
        if not terms:
            return []
        self._refresh()
        found = [self._in_photos(self._term(term), since, until) for term in terms]
        scores = _combine(found, len(self._photos), all_words)
        best = sorted(scores, key=lambda photo: (-scores[photo], photo))[:limit]
        return [self._result(photo, scores[photo], [hits for _, hits in found]) for photo in best]

    def _refresh(self):
        """Take note of what an indexer has added."""
        with self._lock:
            changes = self.store.changes
            if changes != self._changes:
                self._vocabulary.add(self.store.strings(self._vocabulary.last))
                photos = self.store.photos()
                self._photos = np.array([photo for photo, _ in photos], np.int64)
                self._taken = np.array([taken or "" for _, taken in photos], str)
                self._symbols = posteriors.Symbols(self.store.letters)
                self._changes = changes

    def _term(self, term):
        """Hits of a term: of a phrase, its first words."""
        *firsts, last = term.words
        hits = self._word(last, term.prefix)
        for word in reversed(firsts):
            hits = self._before(self._word(word, False), hits)
        return hits

    def _word(self, word, prefix):
        """Hits of a word and, for less, its other forms."""
        hits = self._exactly(word, prefix)
        for form in () if prefix else other_forms(word):
            if len(self._vocabulary.near(form, 0)[0]):
                words, chances = self._exactly(form, False)
                hits = _either(hits, Hits(words, OTHER_FORM * chances))
        return hits

    def _exactly(self, word, prefix):
        if len(word) > LONGEST:
            return NONE
        numbers, distances = self._vocabulary.near(word, np.searchsorted(NEAR, len(word), side="right"), prefix)
        same = self.store.places(numbers[distances == 0].tolist())
        known = _either(NONE, Hits(same[:, 1], same[:, 2] / 255))
        unsure = self.store.places(numbers[distances > 0].tolist(), rest=round(255 * LEAST))[:, 1]
        if prefix:
            unsure = np.append(known.words[known.chances < 1 - LEAST], unsure)
        else:
            unsure = unsure[~np.isin(unsure, known.words)]
        _, firsts = np.unique(unsure, return_index=True)
        words = np.sort(unsure[np.sort(firsts)[:BUDGET]])  # the nearest strings' first
        query = self._symbols.encode(word)
        chances = posteriors.score(self.store.posteriors(words), query, self._symbols.count, prefix)
        return _either(known, Hits(words, chances))

    def _before(self, firsts, seconds):
        """Hits of the words of `firsts` that have one of `seconds` behind them on the same line."""
        both = np.isin(firsts.words + 1, seconds.words)
        words = firsts.words[both]
        behind = seconds.chances[np.searchsorted(seconds.words, words + 1)]
        lines = [[word["line"] for word in self.store.words(numbers)] for numbers in (words, words + 1)]
        same = np.array(lines[0], int) == np.array(lines[1], int)
        return Hits(words[same], (firsts.chances[both] * behind)[same])

    def _in_photos(self, hits, since, until):
        """({photo: chance that it holds the term}, {photo: Hits in it}) of the photos that still have a file."""
        keep = hits.chances >= LEAST
        words, chances = hits.words[keep], hits.chances[keep]
        allowed = self._photos
        if since:
            allowed = allowed[self._taken >= since]
        if until:
            taken = self._taken[np.isin(self._photos, allowed)]
            allowed = allowed[(taken != "") & (taken <= until + "~")]  # any time of that day
        keep = np.isin(words // PLACES, allowed)
        words, chances = words[keep], chances[keep]
        order = np.lexsort((-chances, words // PLACES))
        words, chances = words[order], chances[order]
        photos, firsts, counts = np.unique(words // PLACES, return_index=True, return_counts=True)
        rank = np.arange(len(words)) - np.repeat(firsts, counts)
        missed = np.where(rank < BEST, np.log1p(-np.minimum(chances, 1 - 1e-6)), 0)
        total = 1 - np.exp(np.add.reduceat(missed, firsts)) if len(words) else []
        return (dict(zip(photos.tolist(), np.asarray(total).tolist())),
                {photo: Hits(words[first:first + count], chances[first:first + count])
                 for photo, first, count in zip(photos.tolist(), firsts.tolist(), counts.tolist())})

    def _result(self, number, score, found):
        photo = self.store.photo(number)
        chances = {}
        for hits in found:
            for word, chance in zip(*(hits.get(number, NONE))):
                chances[int(word)] = max(chance, chances.get(int(word), 0))
        best = sorted(chances, key=chances.get, reverse=True)[:BEST * len(found)]
        matches = [Match(self._polygon(photo, word), word["texts"][0], float(chances[word["id"]]))
                   for word in self.store.words(best)]
        return Result(number, self._file(photo), score, matches)

    # --- Photos -----------------------------------------------------------------------------------------------

    def photo(self, number):
        """The Photo of a number, or None."""
        photo = self.store.photo(number)
        return self._photo(photo) if photo else None

    def _photo(self, photo):
        width, height = photo["width"], photo["height"]
        if (photo["orientation"] > 4) != (photo["files"][0][1] > 4):
            width, height = height, width
        return Photo(photo["id"], self._file(photo), width, height, photo["files"][0][2], photo["error"])

    def page(self, number):
        """The Words of a photo, in reading order; [] if there is none."""
        photo = self.store.photo(number)
        return self._page(photo) if photo else []

    def _page(self, photo):
        return [Word(self._polygon(photo, word), word["texts"][0], word["confidences"][0],
                     list(zip(word["texts"], word["confidences"])), word["line"], word["paragraph"])
                for word in self.store.page(photo["id"])]

    def stats(self):
        """A dict of how much there is: files, photos, failed, words, strings, bytes."""
        return {**self.store.counts(), "bytes": self.store.path.stat().st_size}

    def export(self):
        """All that is known, a dict for each file, by name: file, width, height, taken, error and words."""
        for name, (number, *_) in self.store.files().items():
            photo = self.store.photo(number)
            photo["files"] = [file for file in photo["files"] if file[0] == name]
            yield {**dataclasses.asdict(self._photo(photo)), "words": [dataclasses.asdict(word) for word in self._page(photo)]}

    def _file(self, photo):
        return str(self.store.path.absolute().parent / os.fsdecode(photo["files"][0][0]))

    def _polygon(self, photo, word):
        """A word's corners in pixels of the photo's file, upright as its EXIF data say."""
        return turned(word["polygon"], photo["width"], photo["height"], photo["orientation"], photo["files"][0][1])


def _either(a, b):
    """The Hits of both, each word once with its higher chance."""
    words, chances = np.concatenate([a.words, b.words]), np.concatenate([a.chances, b.chances])
    order = np.lexsort((-chances, words))
    words, firsts = np.unique(words[order], return_index=True)
    return Hits(words, chances[order][firsts])


def _combine(found, photos, all_words):
    """{photo: score} of the chances for each term: their mean, the rarer terms weighing more; with `all_words`, their product
    for photos that may hold all."""
    weights = [np.log1p(photos / (sum(chances.values()) + 1)) for chances, _ in found]
    scores = {}
    for photo in set().union(*(chances for chances, _ in found)):
        values = [chances.get(photo, 0.0) for chances, _ in found]
        scores[photo] = float(np.prod(values) if all_words else np.dot(weights, values) / (sum(weights) or 1))
    return {photo: score for photo, score in scores.items() if score > 0}
