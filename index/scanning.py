"""All words of an index, and those of them that a query may be.

    >>> words = Words(blocks.kept(store)).with_more(store.posteriors(words.last), symbols.count)
    >>> places, chances = words.score(symbols.encode("budget"), least=1e-5)

What is as likely as readings.LEAST is looked up, see index/readings.py. For what is less likely every word is looked at, but
for a few bytes alone: bounds of the probabilities that a token begins with the query's first letter, ends with its last, and
has those between, see index/blocks.py. Where these are likely enough it is scored. So nothing is missed for being misread.
"""
import functools
import sys
import threading

import numpy as np
from cachetools import LRUCache, cached

from index import blocks, readings
from index.blocks import COSTS
from index.posteriors import join, score_sparse

FIRST, LAST, ANYWHERE = range(3)  # rows of a block's costs
SUMS = 8  # queries whose bounds of all words are kept, a byte a word: the next lower level is looked for in these
NEVER = 1 << 15  # the cost of what no word can be
ROWS = 6  # of a query's bounds, so many are added up for all words, the others where these leave it possible
AT_ONCE = 1 << 18  # words whose sums are compared at once: in the processor's cache
TOGETHER = 8192  # words whose posteriors are copied at once


class Words:
    """The words of photos, in the order of the photos' numbers, and in each in reading order. Never changed.

    last: the highest photo. A word is known by its place among all.
    """

    def __init__(self, parts=(), count=0, loops=None):
        """parts: Blocks that follow each other; count: of symbols; loops: what has `table`, `read`, `sums`, `costs` and
        `score`: this module, with NumPy alone, or index.compiled."""
        self._blocks, self._count = list(parts), count
        self._loops = loops or sys.modules[__name__]
        self._table = self._loops.table(self._blocks)
        self._firsts = np.cumsum([0, *map(len, self._blocks)])
        self._sums = cached(LRUCache(SUMS), lock=threading.Lock())(functools.partial(self._loops.sums, self._table))

    def __len__(self):
        return int(self._firsts[-1])

    @property
    def last(self):
        return self._blocks[-1].last if self._blocks else 0

    def with_more(self, photos, count):
        """These words and those of (number, bytes) photos with rising numbers; count: of symbols, at least as many as
        before. This object stays as it is, for the threads that search it. ValueError where the bytes are no photo's."""
        return Words(blocks.with_more(self._blocks, photos, count), count, self._loops)

    # --- Words --------------------------------------------------------------------------------------------------

    def photos(self, which):
        """The photos' numbers of words, int [n] rising."""
        return self._photos.take(which)

    def lines(self, which):
        """The lines' numbers of words, int [n] rising, on their photos."""
        return self._lines.take(which)

    def place(self, word):
        """The place of a word on its photo."""
        return int(word - self._photos.searchsorted(self._photos[word]))

    def on(self, photos):
        """The words on photos of these numbers, int [n] rising: int64 rising."""
        starts, ends = (self._photos.searchsorted(photos.astype(np.int32), side) for side in ("left", "right"))
        sizes = ends - starts
        return np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())

    @functools.cached_property
    def _photos(self):
        return np.concatenate([np.zeros(0, np.int32), *(block.photos for block in self._blocks)])

    @functools.cached_property
    def _lines(self):
        return np.concatenate([np.zeros(0, np.uint16), *(block.lines for block in self._blocks)])

    def read(self, query, prefix=False):
        """(which words, int64 [n] rising, and how likely the query stands there, float64 [n]) of those that may well be read
        as a query or, with `prefix`, begin so: see index/readings.py."""
        return readings.find(functools.partial(self._loops.read, self._table), query, prefix)

    # --- Scores -------------------------------------------------------------------------------------------------

    def score(self, query, prefix=False, least=0.0):
        """(which words, int64 [n] rising, and how likely the query stands there, float64 [n]) of all that are of at least
        `least`, and some others.

        query, prefix: as of `posteriors.score`. With least = 0, all words are scored.
        """
        if least >= readings.LEAST and len(query) < readings.LETTERS:
            which, _ = self.read(query, prefix)
        else:
            which = self.possible(query, prefix, least) if least else np.arange(len(self))
        return which, self.score_at(which, query, prefix)

    def score_at(self, which, query, prefix=False):
        """How likely the query stands in these words, int [n] rising: float64 [n]."""
        if not len(which) or not self._known(query):
            return np.zeros(len(which))
        return self._loops.score(self._table, which.searchsorted(self._firsts), which, query, prefix)

    def _known(self, query):
        return len(query) and 0 <= query.min() and query.max() < self._count

    def costs(self, which, query, prefix=False):
        """What bounds how likely a query stands in these words, int [n] rising: int64 [n], see `cost`."""
        if not self._known(query):
            return np.full(len(which), NEVER)
        return self._costs(which, _rows(query, prefix)).sum(axis=0, dtype=np.int64)

    def among(self, which, asked):
        """For each (query, prefix, least) of `asked`, one after another, what `score` gives, of words, int64 [n] rising."""
        wanted = [_rows(query, prefix) if self._known(query) else [] for query, prefix, _ in asked]
        rows = list(set().union(*wanted))
        costs = self._costs(which, rows)
        for mine, (query, prefix, least) in zip(wanted, asked):
            sums = costs[[rows.index(row) for row in mine]].sum(axis=0, dtype=np.uint16)
            there = which[sums <= cost(least)] if mine else which[:0]
            yield there, self.score_at(there, query, prefix)

    def _costs(self, which, rows):
        """The costs of words, int [n] rising, uint8 [rows, n]."""
        return self._loops.costs(self._table, which.searchsorted(self._firsts), which, rows)

    def possible(self, query, prefix, least):
        """The words, int64 [n] rising, that may be the query with a probability of `least`."""
        if not self._known(query):
            return np.zeros(0, np.int64)
        rows, parts = _rows(query, prefix), range(0, len(self), AT_ONCE)
        sums = self._sums(tuple(rows[:ROWS]))
        which = np.concatenate([np.zeros(0, np.int64), *(first + np.flatnonzero(sums[first:first + AT_ONCE] <= cost(least))
                                                         for first in parts)])
        return which[self.costs(which, query, prefix) <= cost(least)] if len(rows) > ROWS else which

    def forget(self):
        """Let go of memory that the next query may not need; see `Block.forget`."""
        for block in self._blocks:
            block.forget()


def cost(chance):
    """The most that words cost which are so likely."""
    return int(-COSTS * np.log(chance))


def _rows(query, prefix):
    """(row, symbol) of the costs of a query in a block, whose sum bounds how likely it is; those first that tell most."""
    ends = [(LAST, query[-1])] if len(query) > 1 and not prefix else []
    between = query[1:] if prefix else query[1:-1]
    return [(FIRST, query[0]), *ends, *((ANYWHERE, letter) for letter in sorted(set(between.tolist())))]


# --- The loops over words ---------------------------------------------------------------------------------------

def table(blocks):
    """What the other loops get of Blocks."""
    return blocks


def read(blocks, keys, row):
    """As `readings.read`, of Blocks."""
    return readings.read([block.readings for block in blocks], np.cumsum([0, *map(len, blocks)]), keys, row)


def sums(blocks, rows):
    """The sums of rows of the costs, of `_rows`, of all words, uint8 [n], 255 for all that are more."""
    result, first = np.empty(sum(map(len, blocks)), np.uint8), 0
    for block in blocks:
        mine = result[first:first + len(block)]
        mine[:] = block.cost(*rows[0])
        for row in rows[1:]:
            some = block.cost(*row)
            mine += some
            mine[mine < some] = 255
        first += len(block)
    return result


def costs(blocks, ends, which, rows):
    """Rows of the costs of words, int64 [n] rising: uint8 [rows, n]; ends: int64 [blocks + 1], where in `which` those of a
    block begin."""
    result = np.empty((len(rows), len(which)), np.uint8)
    for k, row in enumerate(rows):
        result[k] = np.concatenate([np.zeros(0, np.uint8),
                                    *(block.cost(*row)[mine] for block, mine in _parted(blocks, ends, which))])
    return result


def score(blocks, ends, which, query, prefix):
    """How likely the query is in words, int64 [n] rising: float64 [n]; ends: as of `costs`."""
    results = [np.zeros(0)]
    for some in _batches(_parted(blocks, ends, which)):
        results.append(score_sparse(join([block.sparse.take(which) for block, which in some]), query, prefix))
    return np.concatenate(results)


def _parted(blocks, ends, which):
    """(block, places in it) of words; ends: as of `costs`."""
    firsts = np.cumsum([0, *map(len, blocks)])
    for k in np.flatnonzero(np.diff(ends)):
        yield blocks[k], which[ends[k]:ends[k + 1]] - firsts[k]


def _batches(parts):
    """The parts, TOGETHER words at once or some more."""
    batch, size = [], 0
    for block, which in parts:
        for k in range(0, len(which), TOGETHER):
            batch.append((block, which[k:k + TOGETHER]))
            size += len(batch[-1][1])
            if size >= TOGETHER:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch
