"""What the network saw of a word, in a few bytes, and the probability that a query is what stands there.

    >>> symbols = posteriors.Symbols()
    >>> classes = symbols.learn(reader.alphabet.characters)
    >>> packed = posteriors.pack(symbols.posterior(reading.log_probabilities, classes))
    >>> posteriors.score([packed], symbols.encode("budget"), symbols.count)

A posterior gives each of T time steps the probabilities of its classes (see words/ctc.py). Here the classes are the symbols
of an index: 0 is CTC's blank, 1 a separator (space, hyphen, any mark between the parts of a word), and symbol i + 2 is the
i-th letter without case and accents. What a text spells is a row of tokens, parted by separators.

Packed, a run of steps in which blank is almost sure is one byte, 127 + their number (at most 128); any other step is a byte
n, the number of its likeliest symbols, and n pairs (symbol, level): a probability of exp(-level / LEVELS). The symbols that
are not kept have a probability of FLOOR each, before all are divided by their sum.
"""
import math

import numpy as np

from index.folding import fold
from words.compiled import compiled

BLANK, SEPARATOR, FIRST = 0, 1, 2  # symbols; FIRST is that of the first letter
SURE = 0.999  # a blank as likely as this is taken as certain
LEVELS = 32  # levels a nat: a probability is kept to 1.6 %
LEAST = 0.0005  # less likely symbols are not kept,
MOST = 8  # nor more than so many a step
FLOOR = 1e-4


class Symbols:
    """The symbols of an index, and how the classes of a network become them.

    letters: those that an index knows already, str; new ones are added behind, so that its posteriors stay as they are.
    """

    def __init__(self, letters=""):
        self.letters = letters

    @property
    def count(self):
        return FIRST + len(self.letters)

    def encode(self, token):
        """The symbols of a folded token, int64 [L]; -1 for a letter that no network of this index writes."""
        return np.array([FIRST + self.letters.index(c) if c in self.letters else -1 for c in token], np.int64)

    def learn(self, characters):
        """The symbol of each class of a network, int64 [1 + len(characters)]; letters that are new are added."""
        symbols = [BLANK]
        for character in characters:
            letter = fold(character)[:1]
            if letter and letter not in self.letters:
                self.letters += letter
            parts = " " in fold(f"a{character}a")  # an apostrophe does not
            symbols.append(FIRST + self.letters.index(letter) if letter else SEPARATOR if parts else BLANK)
        if self.count > 256:
            raise ValueError(f"an index has room for 254 letters, not {self.count - FIRST}")
        return np.array(symbols)

    def posterior(self, log_probabilities, classes):
        """Probabilities of the symbols, float64 [T, count], of a network's log-probabilities, float [T, C]; classes: the
        symbol of each, as `learn` gives it."""
        probabilities = np.exp(np.asarray(log_probabilities, np.float64)) @ np.eye(self.count)[classes]
        return probabilities / probabilities.sum(axis=1, keepdims=True)


# --- Packing ----------------------------------------------------------------------------------------------------

def pack(posterior):
    """The bytes of a posterior, float64 [T, count]."""
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


_LIKELY = np.exp(-np.arange(256) / LEVELS)  # the probability of a level


# --- Scoring ----------------------------------------------------------------------------------------------------

def score(packed, query, count, prefix=False):
    """How likely it is that a query stands in each of N packed posteriors: float64 [N] in 0..1.

    query: symbols of letters, int64 [L], see `Symbols.encode`. It stands there where it is the whole text, or some of its
    tokens one after another: "war" stands in "anti-war", and so does "antiwar", but "tiwar" does not. With `prefix`, the
    tokens may go on behind it.
    """
    lengths = np.array([len(word) for word in packed], np.int64)
    return score_at(np.frombuffer(b"".join(packed), np.uint8), np.cumsum(lengths) - lengths, lengths, query, count, prefix)


def score_at(data, starts, lengths, query, count, prefix=False, least=0.0, beside=None):
    """As `score`, of the posteriors data[start:start + length], uint8, starts and lengths int [N]; perhaps 0 where it is
    less than `least`. beside: at most how likely the query stands in each beside other tokens, float64 [N], if known."""
    result = np.zeros(len(starts))
    if len(query) and query.min() >= FIRST:
        beside = np.ones(len(starts)) if beside is None or prefix else beside
        _score(data, starts, lengths, query, count, prefix, least, beside, result)
    return result


@compiled
def _score(data, starts, lengths, query, count, prefix, least, beside, result):
    mine = np.zeros(count, np.bool_)  # symbols of texts that are the query and nothing else
    mine[:FIRST] = True
    mine[query] = True
    step = np.full(count, FLOOR)
    before, inside = np.empty(len(query) + 1), np.empty(len(query))
    for word in range(len(starts)):
        packed = data[starts[word]:starts[word] + lengths[word]]
        if beside[word] >= least or _alone(packed, mine, least) >= least:
            result[word] = _forward(packed, query, prefix, step, before, inside)


@compiled
def _alone(packed, mine, least):
    """At most how likely a text is written with the symbols of `mine` alone; where it is less than `least`, not exactly."""
    total, k = 1.0, 0
    while k < len(packed) and total >= least:
        pairs = packed[k] if packed[k] < 128 else 0
        other = 0.0
        for p in range(k + 1, k + 1 + 2 * pairs, 2):
            if not mine[packed[p]]:
                other += _LIKELY[packed[p + 1]]
        total *= max(1 - other, FLOOR)
        k += 1 + 2 * pairs
    return total


@compiled
def _forward(packed, query, prefix, step, before, inside):
    """The CTC forward sum (Graves et al., ICML 2006, equations 5 to 8) of the query between two separators or ends.

    before[i]: the probability to stand in front of letter i of the query, after a blank or separator (in front of the first:
    anywhere that a token may begin); inside[i]: to be writing letter i; other: to be in another token; done: to be past the
    query for good. They are sums over paths: a path counts for each place where it has the query. step: FLOOR [count].
    """
    length = len(query)
    before[:], inside[:] = 0.0, 0.0
    before[0], other, done = 1.0, 0.0, 0.0
    k = 0
    while k < len(packed):
        if packed[k] > 127:  # one certain blank or many, it is the same
            for i in range(length):
                before[i + 1] += inside[i]
                inside[i] = 0.0
            k += 1
            continue
        first, behind = k + 1, k + 1 + 2 * packed[k]
        total = FLOOR * (len(step) - packed[k])
        for p in range(first, behind, 2):
            step[packed[p]] = _LIKELY[packed[p + 1]]
            total += step[packed[p]]
        scale = 1 / total
        blank, pause = step[0] * scale, (step[0] + step[1]) * scale
        ended = before[length] + inside[length - 1]
        before[length] = ended * blank
        if not prefix:
            done += ended * (pause - blank)
        for i in range(length - 1, -1, -1):  # downwards, so that i - 1 is still that of the step before
            entering = before[i]
            if i > 0:
                before[i] = (before[i] + inside[i - 1]) * pause
                if query[i] != query[i - 1]:
                    entering += inside[i - 1]
            entering *= step[query[i]] * scale
            if prefix and i == length - 1:
                done += entering  # whatever follows
            else:
                inside[i] = inside[i] * step[query[i]] * scale + entering
        begun = before[0]
        before[0] = begun * pause + other * (pause - blank)
        other = (begun + other) * (1 - pause) + other * blank
        for p in range(first, behind, 2):
            step[packed[p]] = FLOOR
        k = behind
    return min(1.0, done if prefix else done + before[length] + inside[length - 1])
