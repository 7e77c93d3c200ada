"""All words of an index in memory, and those of them that a query may be.

    >>> words = Words().with_more(store.posteriors(), symbols.count)
    >>> places, chances = words.score(symbols.encode("budget"), least=1e-5)

Every word is looked at, but most for a byte a letter alone: a query is hardly likelier than the product of the highest
probabilities that its letters have in the word (hardly: there may be several steps for a letter, which MARGIN allows for).
What passes is scored. So nothing is missed for being read wrong.
"""
import copy

import numpy as np

from index.posteriors import _LIKELY, FLOOR, score_at
from words.compiled import compiled

COSTS = 8  # parts of a nat in which the highest probabilities are kept
MARGIN = 2  # nats
BLOCK = 4096  # words looked at together


def join(lines, packed):
    """The bytes of a photo's words: how many, the line of each, the bytes of each (uint32 all), and packed posteriors."""
    return np.array([len(packed), *lines, *map(len, packed)], "<u4").tobytes() + b"".join(packed)


def split(joined):
    """(lines, lengths, posteriors) of the words of `join`: uint32 [n], uint32 [n] and uint8 [bytes]; ValueError if it is
    something else."""
    count = int(np.frombuffer(joined, "<u4", 1)[0])
    lines, lengths = np.frombuffer(joined, "<u4", 2 * count, 4).reshape(2, count)
    data = np.frombuffer(joined[4 + 8 * count:], np.uint8)
    if lengths.sum() != len(data):
        raise ValueError(f"posteriors of {lengths.sum()} bytes, but there are {len(data)}")
    return lines, lengths, data


class Words:
    """Posteriors of words, in the order of their photos, and in these in reading order.

    photos, lines, places: int32 [N] each: of each word its photo's number, its line's number and its place in the photo.
    """

    def __init__(self):
        self.last = 0  # the highest photo
        self.photos, self.lines, self.places = (np.zeros(0, np.int32) for _ in range(3))
        self._data, self._ends = np.zeros(0, np.uint8), np.zeros(1, np.int64)
        self._costs = np.zeros((0, 0), np.uint8)  # [symbol, word]: the highest probability, as parts of a nat

    def __len__(self):
        return len(self.photos)

    def with_more(self, photos, count):
        """These words and those of (number, joined) photos with rising numbers; count: of symbols, at least as many as
        before. This object stays as it is, for the threads that search it. ValueError where the bytes are none of `join`."""
        numbers, parts = [], []
        for number, joined in photos:
            numbers.append(number)
            parts.append(split(joined))
        if not parts:
            return self
        lines, lengths, data = (np.concatenate(part) for part in zip(*parts))
        counts = [len(part[0]) for part in parts]
        ends = np.cumsum(lengths, dtype=np.int64)
        costs = np.full((count, len(self) + len(lines)), _floor_cost(), np.uint8)
        costs[:len(self._costs), :len(self)] = self._costs
        if not _fill_costs(data, np.append(0, ends), costs[:, len(self):]):
            raise ValueError("posteriors that end within a step or have unknown symbols")
        more = copy.copy(self)
        more.last = numbers[-1]
        more.photos = np.append(self.photos, np.repeat(np.array(numbers, np.int32), counts))
        more.lines = np.append(self.lines, lines.astype(np.int32))
        more.places = np.append(self.places, np.concatenate([np.arange(n, dtype=np.int32) for n in counts]))
        more._data, more._ends = np.append(self._data, data), np.append(self._ends, self._ends[-1] + ends)
        more._costs = costs
        return more

    def score(self, query, prefix=False, least=0.0):
        """(which words, int64 [n] rising, and how likely the query stands there, float64 [n]) of those of at least `least`.

        query, prefix: as of `posteriors.score`. With least = 0, all words are scored.
        """
        if not len(query) or query.min() < 0 or query.max() >= len(self._costs):
            return np.zeros(0, np.int64), np.zeros(0)
        which = np.arange(len(self))
        if least:
            most = COSTS * (MARGIN - np.log(least))
            which = _possible(self._costs, np.unique(query), int(most))
        chances = score_at(self._data, self._ends[which], self._ends[which + 1], query, len(self._costs), prefix, least)
        kept = chances >= least
        return which[kept], chances[kept]


def _floor_cost():
    return int(-COSTS * np.log(FLOOR))


@compiled
def _fill_costs(data, ends, costs):
    """The highest probability of each symbol, into costs [symbol, word], which hold that of FLOOR; whether all is as it
    should be, since what is compiled does not look."""
    for word in range(len(ends) - 1):
        k = ends[word]
        while k < ends[word + 1]:
            pairs = data[k] if data[k] < 128 else 0
            if k + 1 + 2 * pairs > ends[word + 1]:
                return False
            for p in range(k + 1, k + 1 + 2 * pairs, 2):
                if data[p] >= len(costs):
                    return False
                cost = np.uint8(-COSTS * np.log(_LIKELY[data[p + 1]]))
                if cost < costs[data[p], word]:
                    costs[data[p], word] = cost
            k += 1 + 2 * pairs
    return True


@compiled
def _possible(costs, letters, most):
    """The words, int64 [n], whose costs of all letters sum up to `most` or less."""
    count = costs.shape[1]
    found = np.empty(count, np.int64)
    size = 0
    totals = np.empty(BLOCK, np.uint16)
    for first in range(0, count, BLOCK):
        width = min(BLOCK, count - first)
        totals[:] = 0
        for letter in letters:
            for k in range(width):
                totals[k] += costs[letter, first + k]
        for k in range(width):
            if totals[k] <= most:
                found[size] = first + k
                size += 1
    return found[:size].copy()
