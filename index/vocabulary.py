"""The distinct strings of an index, and which of them are near a query, by edit distance.

    >>> vocabulary = Vocabulary()
    >>> vocabulary.add(store.strings())
    >>> numbers, distances = vocabulary.near("budget", 2)

All strings are looked at, a million of them in some 20 ms: that finds what an index of trigrams would miss in short words.
"""
import numpy as np

from words.ctc import _compiled as compiled

LONGEST = 64  # letters of a query, as many as a machine word has bits


class Vocabulary:
    """Strings with their numbers, in two arrays; 2 bytes a letter and 12 a string."""

    def __init__(self):
        self.last = 0  # the highest number
        self._numbers, self._ends, self._letters = np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.uint16)

    def add(self, strings):
        """Add (number, text) pairs, with rising numbers."""
        if not strings:
            return
        numbers, texts = zip(*strings)
        ends = self._ends[-1] + np.cumsum([len(text) for text in texts])
        self._letters = np.append(self._letters, _codes("".join(texts)))
        self._numbers, self._ends = np.append(self._numbers, numbers), np.append(self._ends, ends)
        self.last = numbers[-1]

    def near(self, query, most, prefix=False):
        """Numbers, int64 [n], and edit distances, int64 [n], of the strings at most `most` edits from a query, the nearest
        first; with `prefix`, of strings that begin like that."""
        codes = _codes(query)[:LONGEST]
        distances = _distances(self._letters, self._ends, codes, most, prefix)
        near = np.flatnonzero(distances <= most)
        near = near[np.argsort(distances[near], kind="stable")]
        return self._numbers[near], distances[near].astype(np.int64)


def _codes(text):
    """Letters as uint16 [n]; those beyond are one and the same."""
    return np.minimum(np.frombuffer(text.encode("utf-32-le"), np.uint32), 0xFFFF).astype(np.uint16)


@compiled
def _distances(letters, ends, query, most, prefix):
    """Levenshtein's distance of each string to the query, uint8, some number above `most` where it is more than that.

    A column of the table of distances in the bits of two machine words (Myers, Journal of the ACM 46, 1999, in Hyyrö's
    form): where a distance is one more (`up`) and one less (`down`) than that above it.
    """
    length = len(query)
    where = np.zeros(1 << 16, np.uint64)  # by letter: the bits of its places in the query
    for k in range(length):
        where[query[k]] |= np.uint64(1) << np.uint64(k)
    one, last = np.uint64(1), np.uint64(1) << np.uint64(length - 1)
    found = np.full(len(ends) - 1, 255, np.uint8)
    for word in range(len(ends) - 1):
        size = ends[word + 1] - ends[word]
        if size < length - most or (size > length + most and not prefix):
            continue
        up, down = ~np.uint64(0), np.uint64(0)
        distance = length
        best = length
        for k in range(ends[word], ends[word] + min(size, length + most)):
            same = where[letters[k]]
            diagonal = (((same & up) + up) ^ up) | same | down
            right_up, right_down = down | ~(diagonal | up), up & diagonal
            if right_up & last:
                distance += 1
            elif right_down & last:
                distance -= 1
            right_up, right_down = (right_up << one) | one, right_down << one
            up, down = right_down | ~(diagonal | right_up), right_up & diagonal
            best = min(best, distance)
        found[word] = min(best if prefix else distance, 255)
    return found
