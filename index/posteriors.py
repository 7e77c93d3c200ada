"""What the network saw of a word, in a few bytes, and the probability that a query is what stands there.

    >>> symbols = posteriors.Symbols(reader.alphabet.characters)
    >>> packed = posteriors.pack(symbols.fold(reading.log_probabilities))
    >>> posteriors.score([packed], symbols.encode("budget"), symbols.count)

A posterior is what `words.ctc` calls log-probabilities: for each of T time steps, the probability of each class. Here the
classes are an index's symbols: 0 is CTC's blank, 1 a separator (space, hyphen, any mark between the parts of a word), and
symbol i + 2 is the i-th letter without case and accents. What a text spells is a row of tokens, parted by separators.

Packed, a run of steps in which blank is almost sure is one byte, 127 + their number (at most 128); any other step is a byte
n, the number of its likeliest symbols, and n pairs (symbol, level): a probability of exp(-level / LEVELS). All other symbols
of such a step share what FLOOR leaves them.
"""
import math

import numpy as np

from index.folding import fold
from words.ctc import _compiled as compiled

BLANK, SEPARATOR, FIRST = 0, 1, 2  # symbols; FIRST is that of the first letter
SURE = 0.995  # a blank as likely as this is taken as certain
LEVELS = 32  # levels a nat: a probability is kept to 1.6 %
LEAST = 0.002  # less likely symbols are not kept,
MOST = 8  # nor more than so many a step
FLOOR = 1e-4  # probability of a symbol that is not kept, before the step's sum is made 1


class Symbols:
    """The symbols of an index, and how the classes of a network become them.

    letters: what an index knows already, str; characters that it lacks are added behind, so that its posteriors stay as
    they are. symbols.count: how many symbols there are, with blank and separator.
    """

    def __init__(self, letters=""):
        self.letters = letters

    @property
    def count(self):
        return FIRST + len(self.letters)

    def encode(self, text):
        """The symbols of a folded token, int32 [L]; a letter that no network of this index writes is -1."""
        return np.array([FIRST + self.letters.index(c) if c in self.letters else -1 for c in text], np.int32)

    def learn(self, characters):
        """Which symbol each class of a network is, int64 [1 + len(characters)]; letters that are new are added."""
        symbols = [BLANK]
        for character in characters:
            letter = fold(character)[:1] if fold(character) else " " if fold(f"a{character}a") != "aa" else ""
            if letter.strip() and letter not in self.letters:
                self.letters += letter
            symbols.append(FIRST + self.letters.index(letter) if letter.strip() else SEPARATOR if letter else BLANK)
        if self.count > 256:
            raise ValueError(f"{self.count - FIRST} letters; an index has room for 254")
        return np.array(symbols)

    def posterior(self, log_probabilities, classes):
        """Probabilities of the symbols, float64 [T, count], of a network's log-probabilities [T, C]; `classes`: see learn."""
        probabilities = np.zeros((len(log_probabilities), self.count))
        np.add.at(probabilities.T, classes, np.exp(np.asarray(log_probabilities, np.float64)).T)
        return probabilities / probabilities.sum(axis=1, keepdims=True)


def pack(posterior):
    """The bytes of a posterior, float [T, count]."""
    space = np.empty(len(posterior) * (1 + 2 * MOST), np.uint8)
    return space[:_pack(np.ascontiguousarray(posterior, np.float64), space)].tobytes()


@compiled
def _pack(posterior, out):
    used, run = 0, -1  # run: where the byte of a run of blanks is
    for step in posterior:
        if step[0] >= SURE:
            if run < 0 or out[run] == 255:
                run, used = used, used + 1
                out[run] = 127
            out[run] += 1
            continue
        run, head = -1, used
        left = step.copy()
        used += 1
        for _ in range(MOST):
            symbol = left.argmax()
            if left[symbol] < LEAST:
                break
            out[used], out[used + 1] = symbol, min(255, round(-LEVELS * math.log(left[symbol])))
            left[symbol] = 0
            used += 2
        out[head] = (used - head) // 2
    return used


def unpack(packed, count):
    """Log-probabilities, float64 [T, count], of a packed posterior; -inf where blank is certain."""
    steps, k = [], 0
    while k < len(packed):
        if packed[k] > 127:
            steps += [[0.0] + [-np.inf] * (count - 1)] * (packed[k] - 127)
            k += 1
            continue
        step = np.full(count, FLOOR)
        pairs = packed[k + 1:k + 1 + 2 * packed[k]]
        step[list(pairs[::2])] = np.exp(-np.array(list(pairs[1::2])) / LEVELS)
        steps.append(np.log(step / step.sum()))
        k += 1 + len(pairs)
    return np.array(steps).reshape(len(steps), count)


def score(packed, query, count, prefix=False):
    """How likely it is that a query stands in each of N packed posteriors: float64 [N] in 0..1.

    query: symbols of letters, int32 [L], see `Symbols.encode`. It stands there where it is the whole text, or some of its
    tokens one after another: "war" stands in "anti-war", and so does "antiwar", but "tiwar" does not. With `prefix`, the
    tokens may go on behind it.
    """
    result = np.zeros(len(packed))
    if len(query) and query.min() >= FIRST:
        ends = np.cumsum([0, *map(len, packed)])
        _score(np.frombuffer(b"".join(packed), np.uint8), ends, query, count, prefix, result)
    return result


_LIKELY = np.exp(-np.arange(256) / LEVELS)


@compiled
def _score(packed, ends, query, count, prefix, result):
    """The CTC forward sum (Graves et al., ICML 2006, equations 5 to 8) of the query between two separators or ends.

    before[i]: probability to stand between letters i - 1 and i of the query, after a blank or separator; inside[i]: to be
    writing letter i. other: to be in a token that the query does not begin with; done: to be past the query. Each is a sum
    over paths, and few are so long that a float64 would not do.
    """
    length = len(query)
    before, inside = np.empty(length + 1), np.empty(length)
    step = np.full(count, FLOOR)
    for word in range(len(ends) - 1):
        before[:], inside[:] = 0.0, 0.0
        before[0], other, done = 1.0, 0.0, 0.0
        k = ends[word]
        while k < ends[word + 1]:
            if packed[k] > 127:  # one certain blank or many, it is the same
                for i in range(length):
                    before[i + 1] += inside[i]
                    inside[i] = 0.0
                k += 1
                continue
            pairs, k = packed[k], k + 1
            total = FLOOR * (count - pairs)
            for p in range(k, k + 2 * pairs, 2):
                step[packed[p]] = _LIKELY[packed[p + 1]]
                total += step[packed[p]]
            scale = 1 / total
            blank, separator = step[0] * scale, step[1] * scale
            pause = blank + separator
            if prefix:
                done += _last(before, inside, query, length) * step[query[-1]] * scale
            else:
                done += (before[length] + inside[length - 1]) * separator
                before[length] = (before[length] + inside[length - 1]) * blank
            for i in range(length - 1, -1, -1):
                entering = before[i]
                if i > 0:
                    before[i] = (before[i] + inside[i - 1]) * pause
                    if query[i] != query[i - 1]:
                        entering += inside[i - 1]
                inside[i] = (inside[i] + entering) * step[query[i]] * scale
            begun = before[0]
            before[0] = begun * pause + other * separator
            other = (begun + other) * (1 - pause) + other * blank
            for p in range(k, k + 2 * pairs, 2):
                step[packed[p]] = FLOOR
            k += 2 * pairs
        result[word] = min(1.0, done if prefix else done + before[length] + inside[length - 1])


@compiled
def _last(before, inside, query, length):
    """The probability to stand where the query's last letter may begin."""
    last = before[length - 1]
    if length > 1 and query[length - 1] != query[length - 2]:
        last += inside[length - 2]
    return last
