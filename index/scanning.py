"""All words of an index in memory, and those of them that a query may be.

    >>> words = Words().with_more(store.posteriors(), symbols.count)
    >>> places, chances = words.score(symbols.encode("budget"), least=1e-5)

Every word is looked at, but most for a byte a letter alone: a query is hardly likelier than the product of the highest
probabilities that its letters have in the word (hardly: there may be several steps for a letter, which MARGIN allows for).
What passes is scored. So nothing is missed for being read wrong.
"""
import numpy as np

from index.posteriors import FLOOR, LEVELS, SEPARATOR, score_at
from words.compiled import compiled

COSTS = 8  # parts of a nat in which the highest probabilities are kept
MARGIN = 2  # nats
BLOCK = 4096  # words looked at together


def join(lines, packed):
    """The bytes of a photo's words: how many, the line of each, the bytes of each (uint16 all), and packed posteriors.
    ValueError for more words than that holds."""
    if max([len(packed), *lines]) > 65535:
        raise ValueError(f"{len(packed):,} words on {max(lines) + 1:,} lines are too many")
    return np.array([len(packed), *lines, *map(len, packed)], "<u2").tobytes() + b"".join(packed)


class Words:
    """The words of photos, in the order of the photos' numbers, and in each in reading order.

    photos, lines: int32 and uint16 [N], of each word its photo's number and its line's. last: the highest photo.
    """

    def __init__(self):
        self.last, self.photos, self.lines = 0, np.zeros(0, np.int32), np.zeros(0, np.uint16)
        self._data = np.zeros(0, np.uint8)  # what `join` gave, one after another
        self._starts, self._lengths = np.zeros(0, np.int64), np.zeros(0, np.uint16)  # of each word's posterior in it
        self._costs = np.zeros((0, 0), np.uint8)  # [symbol, word]: the highest probability, as parts of a nat

    def __len__(self):
        return len(self.photos)

    def place(self, word):
        """The place of a word, by its place among all, on its photo."""
        return word - int(np.searchsorted(self.photos, self.photos[word]))

    def with_more(self, photos, count):
        """These words and those of (number, joined) photos with rising numbers; count: of symbols, at least as many as
        before. This object stays as it is, for the threads that search it. ValueError where the bytes are none of `join`."""
        numbers, firsts, data = [], [], bytearray(self._data)
        for number, joined in photos:
            numbers.append(number)
            firsts.append(len(data))
            data += joined
        if not numbers:
            return self
        more = Words()
        more.last, more._data = numbers[-1], np.frombuffer(data, np.uint8)
        counts = _count_words(more._data, np.array([*firsts, len(data)]))
        if counts.min() < 0:
            raise ValueError("a photo's words end within a word")
        known, size = len(self), len(self) + counts.sum()
        for name in ("photos", "lines", "_starts", "_lengths"):
            values = getattr(self, name)
            setattr(more, name, np.concatenate([values, np.empty(size - known, values.dtype)]))
        more.photos[known:] = np.repeat(numbers, counts)
        _find_words(more._data, np.array(firsts), counts, more.lines[known:], more._starts[known:], more._lengths[known:])
        more._costs = np.full((count, size), int(-COSTS * np.log(FLOOR)), np.uint8)
        more._costs[:len(self._costs), :known] = self._costs
        if not _fill_costs(more._data, more._starts[known:], more._lengths[known:], more._costs[:, known:]):
            raise ValueError("a word's posterior ends within a step, or has unknown symbols")
        return more

    def score(self, query, prefix=False, least=0.0):
        """(which words, int64 [n] rising, and how likely the query stands there, float64 [n]) of those of at least `least`.

        query, prefix: as of `posteriors.score`. With least = 0, all words are scored.
        """
        if not len(query) or query.min() < 0 or query.max() >= len(self._costs):
            return np.zeros(0, np.int64), np.zeros(0)
        which, beside = np.arange(len(self)), None
        if least:
            which, costs = _possible(self._costs, np.unique(query), int(COSTS * (MARGIN - np.log(least))))
            beside = np.exp(MARGIN - (costs + self._costs[SEPARATOR, which]) / COSTS)
        chances = score_at(self._data, self._starts[which], self._lengths[which], query, len(self._costs), prefix, least,
                           beside)
        kept = chances >= least
        return which[kept], chances[kept]

    def score_at(self, which, query, prefix=False):
        """How likely the query stands in these words: float64 [n]."""
        if not len(query) or query.min() < 0 or query.max() >= len(self._costs):
            return np.zeros(len(which))
        return score_at(self._data, self._starts[which], self._lengths[which], query, len(self._costs), prefix)


# What is compiled does not look whether it reads beyond an array: all that comes from a file is checked in these.

@compiled
def _number(data, k):
    return np.int64(data[k]) | np.int64(data[k + 1]) << 8


@compiled
def _count_words(data, firsts):
    """How many words each photo's bytes hold, int64 [P]; -1 where they are none of `join`. firsts: int64 [P + 1]."""
    counts = np.full(len(firsts) - 1, -1)
    for photo in range(len(counts)):
        first, size = firsts[photo], firsts[photo + 1] - firsts[photo]
        count = _number(data, first) if size >= 2 else size
        total = 2 + 4 * count
        if total <= size:
            for k in range(count):
                total += _number(data, first + 2 + 2 * (count + k))
        if total == size:
            counts[photo] = count
    return counts


@compiled
def _find_words(data, firsts, counts, lines, starts, lengths):
    """Fill in the words' lines, and where their posteriors are in `data`."""
    word = 0
    for photo in range(len(counts)):
        start = firsts[photo] + 2 + 4 * counts[photo]
        for k in range(counts[photo]):
            lines[word] = _number(data, firsts[photo] + 2 + 2 * k)
            starts[word], lengths[word] = start, _number(data, firsts[photo] + 2 + 2 * (counts[photo] + k))
            start += lengths[word]
            word += 1


@compiled
def _fill_costs(data, starts, lengths, costs):
    """The highest probability of each symbol, into costs [symbol, word], which hold that of FLOOR; False for bytes that are
    no posteriors."""
    for word in range(len(starts)):
        k, end = starts[word], starts[word] + lengths[word]
        while k < end:
            pairs = data[k] if data[k] < 128 else 0
            if k + 1 + 2 * pairs > end:
                return False
            for p in range(k + 1, k + 1 + 2 * pairs, 2):
                if data[p] >= len(costs):
                    return False
                costs[data[p], word] = min(costs[data[p], word], data[p + 1] * COSTS // LEVELS)
            k += 1 + 2 * pairs
    return True


@compiled
def _possible(costs, letters, most):
    """The words, int64 [n], whose costs of all letters sum up to `most` or less, and these sums, uint16 [n]."""
    count = costs.shape[1]
    found, sums = np.empty(count, np.int64), np.empty(count, np.uint16)
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
                found[size], sums[size] = first + k, totals[k]
                size += 1
    return found[:size].copy(), sums[:size].copy()
