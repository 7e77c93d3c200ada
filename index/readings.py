"""The likeliest reading of each word, and which words read so: what most searches look up in place of a scan.

    >>> readings = make(sparse)
    >>> words, chances = find([readings], [0], symbols.encode("budget"))

A word's reading is its best path: the likeliest symbol of each step, once where steps repeat it, without blanks. It is kept
under each of its tokens and, if they are several, under all of them joined, as "anti-war" is found by "war" and by
"antiwar", with how likely that is there: an inverted index (Zobel and Moffat, ACM Computing Surveys 2006) of what is sure.
"""
from typing import NamedTuple

import numpy as np

from index.posteriors import BLANK, FIRST, FLOOR, LIKELY, SEPARATOR, forward

LETTERS = 16  # symbols of a token that are kept
STEM = 6  # of so many first letters it is kept how likely each is reached
TOGETHER = 2048  # words scored at once


class Readings(NamedTuple):
    """The readings of N words that lie side by side.

    tokens: S16 [n] rising, a byte a symbol; starts: uint32 [n + 1], where the words of each begin, the last their number;
    words: uint32 [m], rising for each token; levels: uint8 [1 + STEM, m], how likely it is the token, and begins with its
    first 1, 2, ... letters, see `posteriors.LIKELY`.
    """
    tokens: np.ndarray
    starts: np.ndarray
    words: np.ndarray
    levels: np.ndarray


def find(parts, firsts, query, prefix=False):
    """(words, int64 [n] rising, and how likely they are it, float64 [n]) of those that read as a query, symbols int64 [L],
    or begin so; none for LETTERS symbols and more. parts: Readings of words that follow each other; firsts: the place of the
    first word of each. What is longer than STEM is taken to begin a word as likely as its first letters.
    """
    words, levels = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    key = query.astype(np.uint8).tobytes()
    keys = np.array([key, key.ljust(LETTERS, b"\xff") if prefix else key + b"\1"])  # a letter is 2 and more
    for part, place in zip(parts, firsts) if 0 < len(key) < LETTERS and query.min() >= FIRST else ():
        first, end = part.tokens.searchsorted(keys).tolist()
        if first < end:
            some = slice(part.starts[first], part.starts[end])
            words.append(part.words[some] + place)
            levels.append(part.levels[min(len(key), STEM) if prefix else 0, some])
    found = np.concatenate(words) << 8 | np.concatenate(levels).astype(np.int64)
    if prefix:
        found.sort()
    words = found >> 8
    once = np.flatnonzero(np.diff(words, prepend=-1))  # two tokens of a word may begin so
    return words[once], LIKELY[found[once] & 255]


def make(sparse):
    """The Readings of a Sparse."""
    symbols, words = _best_path(sparse)
    letters = symbols != SEPARATOR
    tokens = words.astype(np.int64) * (len(symbols) + 1) + np.cumsum(~letters)  # another number for each
    symbols, words, tokens = symbols[letters], words[letters], tokens[letters]
    parts = _spelled(symbols, words, tokens)
    joined, owners = _spelled(symbols, words, words)
    several = np.bincount(parts[1], minlength=len(sparse.starts))[owners] > 1
    parts, owners = np.concatenate([parts[0], joined[several]]), np.append(parts[1], owners[several])
    nats = -np.log(np.clip(_chances(sparse, parts, owners), 1e-9, 1))
    return _sorted(parts, owners, np.round(255 * np.sqrt(np.minimum(nats / 8, 1))).astype(np.uint8))


def join(parts, sizes):
    """The Readings of several that follow each other; sizes: the number of words of each."""
    tokens = [np.repeat(part.tokens, np.diff(part.starts)) for part in parts]
    words = [part.words + first for part, first in zip(parts, np.cumsum([0, *sizes]))]
    tokens = np.ascontiguousarray(np.concatenate(tokens)).view(np.uint8).reshape(-1, LETTERS)
    return _sorted(tokens, np.concatenate(words), np.concatenate([part.levels for part in parts], axis=1))


def _sorted(tokens, words, levels):
    """The Readings of a list of tokens, uint8 [m, LETTERS]."""
    halves = tokens.view(">u8").astype(np.uint64)  # faster to sort than bytes
    order = np.lexsort((words, halves[:, 1], halves[:, 0]))
    halves = halves[order]
    starts = np.flatnonzero(np.append(True, (np.diff(halves, axis=0) != 0).any(axis=1))[:len(words)])
    return Readings(tokens[order[starts]].view(f"S{LETTERS}").ravel(), np.append(starts, len(words)).astype(np.uint32),
                    words[order].astype(np.uint32), levels[:, order])


def _best_path(sparse):
    """(symbols, words): the letters and separators of the best path of each word, one behind the other."""
    starts, new = sparse.starts.astype(np.int64), np.ones(len(sparse.steps), bool)
    new[1:] = sparse.steps[1:] != sparse.steps[:-1]
    new[starts[:-1][starts[:-1] < len(new)]] = True
    steps = np.flatnonzero(new)
    likeliest = np.minimum.reduceat(sparse.levels.astype(np.uint16) << 8 | sparse.symbols, steps) if len(steps) else steps
    symbols = (likeliest & 255).astype(np.uint8)
    firsts = np.searchsorted(steps, starts)
    kept = np.ones(len(symbols), bool)
    kept[1:] = symbols[1:] != symbols[:-1]
    kept[firsts[:-1][firsts[:-1] < len(kept)]] = True
    kept = np.flatnonzero(kept & (symbols != BLANK))
    return symbols[kept], np.repeat(np.arange(len(starts) - 1), np.diff(firsts))[kept]


def _spelled(symbols, words, tokens):
    """(the first LETTERS symbols of each token, uint8 [m, LETTERS], its word) of letters, their words and their tokens'
    numbers, rising."""
    firsts = np.flatnonzero(np.diff(tokens, prepend=-1))
    which = np.repeat(np.arange(len(firsts)), np.diff(np.append(firsts, len(tokens))))
    places = np.arange(len(tokens)) - firsts[which]
    spelled, near = np.zeros((len(firsts), LETTERS), np.uint8), places < LETTERS
    spelled[which[near], places[near]] = symbols[near]
    return spelled, words[firsts]


def _chances(sparse, tokens, words):
    """How likely each token, uint8 [m, LETTERS], is in its word, and begins one: float64 [1 + STEM, m], see Readings."""
    steps, lengths, result = sparse.counts()[words], np.count_nonzero(tokens, axis=1), np.zeros((1 + STEM, len(words)))
    order = np.lexsort((steps, lengths))  # of as many letters, and of about as many steps, are scored together
    for some in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        for first in range(0, len(some), TOGETHER):
            which = some[first:first + TOGETHER]
            spelled = tokens[which, :lengths[which[0]]].T
            result[0, which], begun = _forward(sparse, spelled, words[which], steps[which])
            result[1:1 + len(begun[:STEM]), which] = begun[:STEM]
    return result


def _forward(sparse, spelled, words, steps):
    """`posteriors.forward` of a token in each word, and its `begun`; spelled: uint8 [L, n]; steps: how many, int [n]."""
    some = sparse.take(words)
    owners = np.repeat(np.arange(len(words)), np.diff(some.starts))
    there = np.arange(steps.max(initial=1))[:, np.newaxis] < steps
    chances = np.empty((2 + len(spelled), *there.shape))
    chances[:] = np.where(there, FLOOR, 0)
    places, likely = some.steps.astype(np.int64) * len(words) + owners, LIKELY.take(some.levels)
    for row, wanted in zip(chances, [BLANK, SEPARATOR, *spelled]):
        mine = np.flatnonzero(some.symbols == (wanted[owners] if np.ndim(wanted) else wanted))
        row.reshape(-1)[places[mine]] = likely[mine]
    chances[0][~there] = 1
    repeated = np.append(np.zeros((1, len(words)), bool), spelled[1:] == spelled[:-1], axis=0)
    begun = np.zeros(spelled.shape)
    return forward(*chances[:2], chances[2:], repeated, begun=begun), begun
