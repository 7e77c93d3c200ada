"""All words of an index, and those of them that a query may be.

    >>> words = Words(blocks.kept(store)).with_more(store.posteriors(words.last), symbols.count)
    >>> places, chances = words.score(symbols.encode("budget"), least=1e-5)

What is as likely as readings.LEAST is looked up, see index/readings.py. For what is less likely every word is looked at, but
for a few bytes alone: bounds of the probabilities that a token begins with the query's first letter, ends with its last, and
has those between, see index/blocks.py. Where these are likely enough it is scored. So nothing is missed for being misread.
"""
import functools
import sys

import numpy as np

from index import blocks, readings
from index.blocks import COSTS
from index.posteriors import join, score_sparse

FIRST, LAST, ANYWHERE = range(3)  # rows of a block's costs
NEVER = 1 << 15  # the cost of what no word can be
ROWS = 8  # of a query's bounds, so many are added up for all words, the others where these leave it possible
TOGETHER = 8192  # words whose posteriors are copied at once


class Words:
    """The words of photos, in the order of the photos' numbers, and in each in reading order. Never changed.

    last: the highest photo. A word is known by its place among all.
    """

    def __init__(self, parts=(), count=0, loops=None):
        """parts: Blocks that follow each other; count: of symbols; loops: what has `table`, `read`, `possible`,
        `add_costs` and `score`: this module, with NumPy alone, or index.compiled."""
        self._blocks, self._count = list(parts), count
        self._loops = loops or sys.modules[__name__]
        self._table = self._loops.table(self._blocks)
        self._firsts = np.cumsum([0, *map(len, self._blocks)])

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
            which = self.possible([(query, prefix)], least) if least else np.arange(len(self))
        return which, self.score_at(which, query, prefix)

    def score_at(self, which, query, prefix=False):
        """How likely the query stands in these words, int [n] rising: float64 [n]."""
        if not len(which) or not self._known(query):
            return np.zeros(len(which))
        return self._loops.score(self._table, which.searchsorted(self._firsts), which, query, prefix)

    def _known(self, query):
        return len(query) and 0 <= query.min() and query.max() < self._count

    def costs(self, which, query, prefix=False, least=0.0, before=0):
        """What bounds how likely a query stands in these words, int [n] rising: int64 [n], see `cost`, and what there is
        before; of those that cost more than `least` allows, some of it."""
        result = np.full(len(which), before, np.int64)
        if not self._known(query):
            return result + NEVER
        most = cost(least) if least else NEVER
        self._loops.add_costs(self._table, which.searchsorted(self._firsts), which, _rows(query, prefix), most, result)
        return result

    def among(self, which, asked):
        """For each (query, prefix, least) of `asked`, one after another, what `score` gives, of words, int64 [n] rising."""
        for query, prefix, least in asked:
            there = which[self.costs(which, query, prefix, least) <= cost(least)]
            yield there, self.score_at(there, query, prefix)

    def possible(self, queries, least):
        """Where words begin, int64 [n] rising, that lie side by side and may be queries, (query, prefix) of each, together
        with a probability of `least`."""
        if not all(self._known(query) for query, _ in queries):
            return np.zeros(0, np.int64)
        rows = sorted(((k, *row) for k, each in enumerate(queries) for row in _rows(*each)), key=lambda row: row[1])
        which = self._loops.possible(self._table, rows[:ROWS], cost(least))
        costs = np.zeros(len(which), np.int64)
        for k, each in enumerate(queries if len(rows) > ROWS else []):
            costs = self.costs(which + k, *each, least, costs)
        return which[costs <= cost(least)]

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


def possible(blocks, rows, most):
    """Where words begin, int64 [n] rising, whose costs are together no more than `most`. rows: (k, row, symbol), the row of
    `_rows` of the k-th word from there on; all of them in one block."""
    found, first, last = [np.zeros(0, np.int64)], 0, max(k for k, *_ in rows)
    for block in blocks:
        sums = np.zeros(max(len(block) - last, 0), np.uint8)
        for k, *row in rows:
            some = block.cost(*row)[k:k + len(sums)]
            sums += some
            sums[sums < some] = 255
        found.append(first + np.flatnonzero(sums <= most))
        first += len(block)
    return np.concatenate(found)


def add_costs(blocks, ends, which, rows, most, result):
    """Add to `result`, int64 [n], the costs of rows of words, int64 [n] rising; those that are above `most` may lack some.
    ends: int64 [blocks + 1], where in `which` those of a block begin."""
    for k, (block, mine) in _parted(blocks, ends, which):
        for row in rows:
            result[ends[k]:ends[k + 1]] += block.cost(*row)[mine]


def score(blocks, ends, which, query, prefix):
    """How likely the query is in words, int64 [n] rising: float64 [n]; ends: as of `add_costs`."""
    results = [np.zeros(0)]
    for some in _batches(part for _, part in _parted(blocks, ends, which)):
        results.append(score_sparse(join([block.sparse.take(which) for block, which in some]), query, prefix))
    return np.concatenate(results)


def _parted(blocks, ends, which):
    """(k, (block k, places in it)) of words; ends: as of `add_costs`."""
    firsts = np.cumsum([0, *map(len, blocks)])
    for k in np.flatnonzero(np.diff(ends)):
        yield k, (blocks[k], which[ends[k]:ends[k + 1]] - firsts[k])


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
