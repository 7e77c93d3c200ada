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

NumPy alone: a query from the command line would wait longer for Numba than for its answer.
"""
from typing import NamedTuple

import numpy as np

from index.folding import fold

BLANK, SEPARATOR, FIRST = 0, 1, 2  # symbols; FIRST is that of the first letter
SURE = 0.999  # a blank as likely as this is taken as certain
LEVELS = 32  # levels a nat: a probability is kept to 1.6 %
LEAST = 0.0005  # less likely symbols are not kept,
MOST = 8  # nor more than so many a step
LONGEST = 255  # steps of a word, a run of blanks being one
FLOOR = 1e-4
TOGETHER = 1024  # words scored at once: what that takes stays in the processor's cache
LIKELY = np.exp(-8 * (np.arange(256) / 255) ** 2)  # the probability of a level of a Sparse: finest near 1


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
    """The bytes of a posterior, float64 [T, count]. ValueError for more than LONGEST steps, runs of blanks being one."""
    best = np.argsort(-posterior, axis=1, kind="stable")[:, :MOST]
    chances = np.take_along_axis(posterior, best, axis=1)
    counts = (chances >= LEAST).sum(axis=1)
    levels = np.minimum(255, np.round(-LEVELS * np.log(np.maximum(chances, LEAST))))
    pairs = np.stack([best, levels], axis=2).astype(np.uint8)
    out, run, steps = bytearray(), 0, 0  # run: blanks in the run that the last byte stands for
    for sure, count, pair in zip(posterior[:, 0] >= SURE, counts.tolist(), pairs):
        if sure and 0 < run < 128:
            run += 1
            out[-1] += 1
            continue
        run, steps = int(sure), steps + 1
        out += b"\x80" if sure else bytes([count]) + pair[:count].tobytes()
    if steps > LONGEST:
        raise ValueError(f"a word of {steps} steps; an index has room for {LONGEST}")
    return bytes(out)


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


# --- Many posteriors --------------------------------------------------------------------------------------------

class Sparse(NamedTuple):
    """What is kept of the posteriors of N words, side by side: an entry for each pair (symbol, level), word by word and step
    by step. A run of blanks is a step with one entry: (BLANK, 0).

    starts: int [N + 1], of each word's entries, the last their number. steps, symbols, levels: uint8 [entries].
    """
    starts: np.ndarray
    steps: np.ndarray
    symbols: np.ndarray
    levels: np.ndarray

    def take(self, which):
        """Those of some words, int [n]."""
        starts, entries = self._entries(which)
        return Sparse(starts, self.steps.take(entries), self.symbols.take(entries), self.levels.take(entries))

    def _entries(self, which):
        """Where the entries of some words begin, one behind the other, int64 [n + 1], and their places here, int64."""
        firsts = self.starts.take(which).astype(np.int64)
        sizes = self.starts.take(which + 1) - firsts
        starts = np.append(0, np.cumsum(sizes))
        return starts, np.repeat(firsts - starts[:-1], sizes) + np.arange(starts[-1])

    def counts(self):
        """The steps of each word, int [N]."""
        if not len(self.steps):
            return np.zeros(len(self.starts) - 1, int)
        lasts = self.steps.take(self.starts[1:].astype(np.int64) - 1, mode="clip").astype(int)
        return np.where(self.starts[1:] > self.starts[:-1], lasts + 1, 0)

    def dense(self, which, counts, wanted):
        """Probabilities of the symbols `wanted`, the blank first, in some words, float64 [S, T, n]; counts: of steps, int
        [n]. T is the highest; blank is certain in the steps that others lack."""
        slots = np.full(256, -1, np.int8)
        slots[wanted] = np.arange(len(wanted))
        starts, entries = self._entries(which)
        slots = slots[self.symbols.take(entries)]
        mine = np.flatnonzero(slots >= 0)
        words, entries = np.repeat(np.arange(len(which)), np.diff(starts))[mine], entries[mine]
        there = np.arange(counts.max(initial=1))[:, np.newaxis] < counts
        chances = np.empty((len(wanted), *there.shape))
        chances[:] = np.where(there, FLOOR, 0)
        places = (slots[mine].astype(np.int64) * len(there) + self.steps.take(entries)) * len(which) + words
        chances.reshape(-1)[places] = LIKELY.take(self.levels.take(entries))
        chances[0][~there] = 1
        return chances


def outside(blank, separator):
    """How likely a path is in no token before each step, [T, N], of how likely each step is blank and a separator."""
    outside = np.ones_like(blank)
    for k in range(len(blank) - 1):
        outside[k + 1] = outside[k] * (blank[k] + separator[k]) + (1 - outside[k]) * separator[k]
    return outside


def join(parts):
    """Several Sparse, one behind the other."""
    sizes = [np.diff(part.starts) for part in parts]
    starts = np.append(0, np.cumsum(np.concatenate([np.zeros(0, np.int64), *sizes]), dtype=np.int64))
    return Sparse(starts, *(np.concatenate([np.zeros(0, np.uint8), *(getattr(part, name) for part in parts)])
                            for name in Sparse._fields[1:]))


def spread(data, lengths, count):
    """The Sparse of packed posteriors, one behind the other: data uint8 [bytes], lengths int [N]. ValueError for bytes that
    are none, or have other symbols than `count`."""
    ends = np.cumsum(lengths, dtype=np.int64)
    begins = ends - lengths
    step_at, step = np.zeros(len(data), np.uint8), 0  # 1 + which step of its word begins at a byte; 0 where none does
    at, end = begins[begins < ends], ends[begins < ends]
    while len(at):
        if (step := step + 1) > LONGEST:
            raise ValueError(f"a word has more than {LONGEST} steps")
        step_at[at] = step
        at = at + 1 + 2 * np.where(data[at] > 127, 0, data[at]).astype(np.int64)
        if (at > end).any():
            raise ValueError("a word's posterior ends within a step")
        at, end = at[at < end], end[at < end]
    heads = np.flatnonzero(step_at)
    run = data[heads] > 127
    pairs = np.where(run, 1, data[heads]).astype(np.int64)
    before = np.append(0, np.cumsum(pairs))
    places = np.repeat(heads + 1 - 2 * before[:-1], pairs) + 2 * np.arange(before[-1])  # of the symbols; a run has none
    symbols, levels = (data.take(places + k, mode="clip") for k in (0, 1))
    symbols[before[:-1][run]], levels[before[:-1][run]] = BLANK, 0
    if symbols.max(initial=0) >= count:
        raise ValueError("a word's posterior has unknown symbols")
    nats = levels / LEVELS
    totals = np.bincount(np.repeat(np.arange(len(heads)), pairs), np.exp(-nats), len(heads)) + FLOOR * (count - pairs) * ~run
    nats = np.clip(nats + np.log(np.repeat(totals, pairs)), 0, 8)
    levels = np.round(255 * np.sqrt(nats / 8)).astype(np.uint8)
    starts = before[np.searchsorted(heads, np.append(begins, len(data)))]
    return Sparse(starts, np.repeat(step_at[heads] - 1, pairs).astype(np.uint8), symbols, levels)


# --- Scoring ----------------------------------------------------------------------------------------------------

def score(packed, query, count, prefix=False):
    """How likely it is that a query stands in each of N packed posteriors: float64 [N] in 0..1.

    query: symbols of letters, int64 [L], see `Symbols.encode`. It stands there where it is the whole text, or some of its
    tokens one after another: "war" stands in "anti-war", and so does "antiwar", but "tiwar" does not. With `prefix`, the
    tokens may go on behind it.
    """
    data = np.frombuffer(b"".join(packed), np.uint8)
    return score_sparse(spread(data, np.array([len(word) for word in packed], np.int64), count), query, prefix)


def score_sparse(sparse, query, prefix=False):
    """As `score`, of a Sparse of N words."""
    result = np.zeros(len(sparse.starts) - 1)
    if not len(query) or query.min() < FIRST:
        return result
    counts = sparse.counts()
    order = np.argsort(counts, kind="stable")  # words of about as many steps are scored together
    order = order[np.searchsorted(counts[order], len(query)):]  # a letter takes a step
    letters, places = np.unique(query, return_inverse=True)
    for first in range(0, len(order), TOGETHER):
        which = order[first:first + TOGETHER]
        chances = sparse.dense(which, counts[which], np.append([BLANK, SEPARATOR], letters))
        result[which] = forward(*chances[:2], chances[2:][places], np.append(False, np.diff(query) == 0), prefix)
    return result


def forward(blank, separator, letters, repeated, prefix=False, begun=None):
    """The CTC forward sum (Graves et al., ICML 2006, equations 5 to 8) of a query between two separators or ends: float64
    [N], of N words of T steps. A path counts for each place where it has the query.

    blank, separator: their probabilities, float64 [T, N]; letters: those of the query's letters, [L, T, N]; repeated:
    whether a letter is the one before it, bool [L], or [L, N] where each word has a query of its own. begun: zeros, float64
    [L, N], to which is added what the first 1, 2, ... letters have as a prefix.
    """
    # before[i]: the probability to stand in front of letter i of the query, after a blank or separator (in front of the
    # first: anywhere that a token may begin); inside[i]: to be writing letter i; other: to be in another token; done: to be
    # past the query for good
    length, words = len(letters), blank.shape[1]
    before, inside, entering = np.zeros((length + 1, words)), np.zeros((length, words)), np.empty((length, words))
    before[0], other, done = 1, np.zeros(words), np.zeros(words)
    follows = ~repeated.reshape(length, -1)[1:]  # without a blank between
    pauses = blank + separator
    for k in range(len(blank)):
        pause, step = pauses[k], letters[:, k]
        entering[:] = before[:-1]
        entering[1:] += inside[:-1] * follows
        entering *= step
        if begun is not None:
            begun += entering
        if not prefix:
            done += (before[-1] + inside[-1]) * separator[k]
        before[1:] += inside
        before[1:-1] *= pause
        before[-1] *= blank[k]
        inside *= step
        inside += entering
        if prefix:  # whatever follows
            done += inside[-1]
            inside[-1] = 0
        rest = before[0] + other
        before[0] = before[0] * pause + other * separator[k]
        other = rest * np.maximum(1 - pause, 0) + other * blank[k]
    return np.minimum(1, done if prefix else done + before[-1] + inside[-1])
