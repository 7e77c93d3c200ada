"""All words of an index, and those of them that a query may be.

    >>> words = Words(blocks.kept(store)).with_more(store.posteriors(words.last), symbols.count)
    >>> places, chances = words.score(symbols.encode("budget"), least=1e-5)

Every word is looked at, but most for two bytes alone: bounds of the probabilities that a token begins with the query's first
letter and ends with its last, see index/blocks.py. Where these are likely enough, and those of the letters between, it is
scored. So nothing is missed for being read wrong.
"""
import sys

import numpy as np

from index import blocks, readings
from index.blocks import COSTS
from index.posteriors import join, score_sparse

FIRST, LAST, ANYWHERE = range(3)  # rows of a block's costs
TOGETHER = 8192  # words whose posteriors are copied at once


class Words:
    """The words of photos, in the order of the photos' numbers, and in each in reading order. Never changed.

    last: the highest photo. A word is known by its place among all.
    """

    def __init__(self, parts=(), count=0, loops=None):
        """parts: Blocks that follow each other; count: of symbols; loops: what has `table`, `possible`, `costs` and `score`:
        this module, with NumPy alone, or index.compiled."""
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
        return self._of("photos", which)

    def lines(self, which):
        """The lines' numbers of words, int [n] rising, on their photos."""
        return self._of("lines", which)

    def place(self, word):
        """The place of a word on its photo."""
        k = self._firsts.searchsorted(word, side="right") - 1
        photos, place = self._blocks[k].photos, word - self._firsts[k]
        return int(place - photos.searchsorted(photos[place]))

    def _of(self, name, which):
        parts = _parted(self._blocks, which.searchsorted(self._firsts), which)
        return np.concatenate([np.zeros(0, np.int64), *(getattr(block, name)[mine] for block, mine in parts)])

    def on(self, photos):
        """The words on photos of these numbers, int [n] rising: int64 rising."""
        ends = photos.searchsorted([0, *(block.last for block in self._blocks)], side="right")
        starts, sizes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for k in np.flatnonzero(np.diff(ends)):
            there, mine = self._blocks[k].photos, photos[ends[k]:ends[k + 1]].astype(np.int32)
            starts.append(there.searchsorted(mine))
            sizes.append(there.searchsorted(mine, side="right") - starts[-1])
            starts[-1] += self._firsts[k]
        starts, sizes = np.concatenate(starts), np.concatenate(sizes)
        return np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())

    def read(self, query, prefix=False):
        """(which words, int64 [n] rising, and how likely the query stands there, float64 [n]) of those whose likeliest
        reading is a query or, with `prefix`, begins so: see index/readings.py."""
        return readings.find([block.readings for block in self._blocks], self._firsts, query, prefix)

    # --- Scores -------------------------------------------------------------------------------------------------

    def score(self, query, prefix=False, least=0.0):
        """(which words, int64 [n] rising, and how likely the query stands there, float64 [n]) of all that are of at least
        `least`, and some others.

        query, prefix: as of `posteriors.score`. With least = 0, all words are scored.
        """
        which = self.possible(query, prefix, least)[0] if least else np.arange(len(self))
        return which, self.score_at(which, query, prefix)

    def score_by_levels(self, query, prefix, levels):
        """As `score` for each of falling levels, one after another, each without the words that were given before it."""
        which, _ = self.possible(query, prefix, levels[0])
        yield which, self.score_at(which, query, prefix)
        if levels[1:]:  # all words are looked at once more, for the rest of the levels together
            rest, costs = self.possible(query, prefix, levels[-1], levels[0])
            for most, known in zip(map(_cost, levels[1:]), map(_cost, levels)):
                which = rest[(known < costs) & (costs <= most)]
                yield which, self.score_at(which, query, prefix)

    def score_at(self, which, query, prefix=False):
        """How likely the query stands in these words, int [n] rising: float64 [n]."""
        if not len(which) or not self._known(query):
            return np.zeros(len(which))
        return self._loops.score(self._table, which.searchsorted(self._firsts), which, query, prefix)

    def _known(self, query):
        return len(query) and 0 <= query.min() and query.max() < self._count

    def may_be(self, which, query, prefix, least):
        """Which of words, int [n] rising, may be the query with a probability of `least`: their places in `which`."""
        if not self._known(query):
            return np.zeros(0, np.int64)
        return np.flatnonzero(self._costs(which, _rows(query, prefix)).sum(axis=0, dtype=np.uint16) <= _cost(least))

    def among(self, which, asked):
        """For each (query, prefix, least) of `asked`, one after another, what `score` gives, of words, int64 [n] rising."""
        wanted = [_rows(query, prefix) if self._known(query) else [] for query, prefix, _ in asked]
        rows = list(set().union(*wanted))
        costs = self._costs(which, rows)
        for mine, (query, prefix, least) in zip(wanted, asked):
            sums = costs[[rows.index(row) for row in mine]].sum(axis=0, dtype=np.uint16)
            there = which[sums <= _cost(least)] if mine else which[:0]
            yield there, self.score_at(there, query, prefix)

    def _costs(self, which, rows):
        """The costs of words, int [n] rising, uint8 [rows, n]."""
        return self._loops.costs(self._table, which.searchsorted(self._firsts), which, rows)

    def possible(self, query, prefix, least, known=None):
        """The words, int64 [n] rising, that may be the query with a probability of `least`, but not of `known`, and their
        costs, uint16 [n]."""
        if not self._known(query):
            return np.zeros(0, np.int64), np.zeros(0, np.uint16)
        rows, most, before = _rows(query, prefix), _cost(least), _cost(known) if known else -1
        return self._loops.possible(self._table, rows, most, before)

    def forget(self):
        """Let go of memory that the next query may not need; see `Block.forget`."""
        for block in self._blocks:
            block.forget()


def _cost(chance):
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


def possible(blocks, rows, most, known):
    """The words, int64 [n] rising, whose costs sum up to `most` or less, but to more than `known`, and these sums, uint16
    [n]; rows: of `_rows`."""
    found, found_costs, first = [np.zeros(0, np.int64)], [np.zeros(0, np.uint16)], 0
    for block in blocks:
        sums = block.cost(*rows[0])
        if len(rows) > 1:
            sums = sums + block.cost(*rows[1])  # at most 240
        which = np.flatnonzero(sums <= most)
        sums = sums[which].astype(np.uint16)
        for row in rows[2:]:
            sums += block.cost(*row)[which]
        kept = np.flatnonzero((sums <= most) & (sums > known))
        found.append(first + which[kept])
        found_costs.append(sums[kept])
        first += len(block)
    return np.concatenate(found), np.concatenate(found_costs)


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
