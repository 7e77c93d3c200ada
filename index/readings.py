"""What each word may well be read as, and which words read so: what most searches look up in place of a scan.

    >>> readings = make(sparse)
    >>> words, chances = find(functools.partial(read, [readings], [0]), symbols.encode("budget"))

A word is kept under each text that stands there with LEAST and more, as "anti-war" is found by "anti", by "war" and by
"antiwar", and under each beginning that is so likely but by no one way to go on, with how likely that is and each of its
first letters: an inverted index (Zobel and Moffat, ACM Computing Surveys 2006). So what it does not have is less likely than
LEAST.
"""
import itertools
from typing import NamedTuple

import numpy as np

from index.posteriors import BLANK, FIRST, FLOOR, LIKELY, SEPARATOR, outside

LEAST = 0.1  # what is less likely is not kept
LETTERS = 16  # symbols of a token that are kept
STEM = 6  # of so many first letters it is kept how likely each is reached
TOGETHER = 2048  # words searched at once


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


def find(read, query, prefix=False):
    """(words, int64 [n] rising, and how likely they are it, float64 [n]) of those that read as a query, symbols int64 [L],
    or begin so; none for LETTERS symbols and more. read: as the function `read`, of keys and a row. What is longer than STEM
    is taken to begin a word as likely as its first letters.
    """
    if not 0 < len(query) < LETTERS or query.min() < FIRST:
        return np.zeros(0, np.int64), np.zeros(0)
    key = query.astype(np.uint8).tobytes()
    keys = np.array([key, key.ljust(LETTERS, b"\xff") if prefix else key + b"\1"], f"S{LETTERS}")  # a letter is 2 and more
    found = read(keys, min(len(key), STEM) if prefix else 0)
    if prefix:
        found.sort(kind="stable")  # of each token of a block they rise: a few runs to be merged
    words = found >> 8
    once = np.flatnonzero(np.diff(words, prepend=-1))  # two tokens of a word may begin so
    return words[once], LIKELY[found[once] & 255]


def read(parts, firsts, keys, row):
    """The words whose tokens are from the first of two keys, S16, on, but before the second, and row `row` of their levels:
    word << 8 | level, int64 [n], token by token. parts: Readings of words that follow each other; firsts: the place of the
    first word of each."""
    found = [np.zeros(0, np.int64)]
    for part, place in zip(parts, firsts):
        first, end = part.tokens.searchsorted(keys).tolist()
        if first < end:
            some = slice(part.starts[first], part.starts[end])
            found.append((part.words[some].astype(np.int64) + place) << 8 | part.levels[row, some])
    return np.concatenate(found)


def make(sparse):
    """The Readings of a Sparse."""
    order = np.argsort(sparse.counts(), kind="stable")  # of about as many steps are searched together
    batches = (order[first:first + TOGETHER] for first in range(0, len(order), TOGETHER))
    none = np.zeros(0, int), np.zeros((0, LETTERS), np.uint8), np.zeros((0, 1 + STEM))
    found = itertools.chain([none], *(_search(sparse, batch) for batch in batches))
    words, tokens, chances = map(np.concatenate, zip(*found))
    nats = -np.log(np.clip(chances, 1e-9, 1))
    return _sorted(tokens, words, np.round(255 * np.sqrt(np.minimum(nats / 8, 1))).astype(np.uint8).T)


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


def _search(sparse, which):
    """Yield (words, tokens, chances), int [n], uint8 [n, LETTERS] and float64 [n, 1 + STEM], of what some words may be, the
    shorter tokens first: a beginning that is likely enough goes on by each letter with which it stays so."""
    some = sparse.take(which)
    counts, count = some.counts(), int(some.symbols.max(initial=FIRST)) + 1
    blank, separator = some.dense(np.arange(len(which)), counts, np.array([BLANK, SEPARATOR]))
    letters = np.flatnonzero(some.symbols >= FIRST)
    symbols, steps, likely = some.symbols[letters].astype(int), some.steps[letters].astype(int), LIKELY[some.levels[letters]]
    starts = letters.searchsorted(some.starts)
    words, before, inside = np.arange(len(which)), outside(blank, separator), np.zeros_like(blank)
    tokens, chances = np.zeros((len(words), LETTERS), np.uint8), np.zeros((len(words), 1 + STEM))
    for length in range(LETTERS + 1):
        sizes = starts[words + 1] - starts[words]
        nodes = np.repeat(np.arange(len(words)), sizes)
        entries = np.repeat(starts[words] - np.cumsum(sizes) + sizes, sizes) + np.arange(len(nodes))
        mine, places = symbols[entries], steps[entries] * len(words) + nodes
        ready = (before + inside).take(places)
        again = np.flatnonzero(mine == tokens[nodes, length - 1])
        ready[again] = before.take(places[again])  # of equal letters, a blank is between
        children = nodes * count + mine
        begun = np.bincount(children, ready * likely[entries], len(words) * count)
        more = np.flatnonzero(begun >= LEAST) if length < LETTERS else np.zeros(0, int)
        parents, added = np.divmod(more, count)
        if length:
            kept = (chances[:, 0] >= LEAST) | (np.bincount(parents, minlength=len(words)) == 0)
            yield which[words[kept]], tokens[kept], chances[kept]
        numbers = np.full(len(begun), -1)
        numbers[more] = np.arange(len(more))
        numbers = numbers[children]
        there = np.flatnonzero(numbers >= 0)
        ready = before[:, parents] + inside[:, parents] * (added != tokens[parents, length - 1])
        words, tokens, chances = words[parents], tokens[parents], chances[parents]
        letter = np.where(np.arange(len(blank))[:, np.newaxis] < counts[words], FLOOR, 0)
        letter.reshape(-1)[steps[entries[there]] * len(more) + numbers[there]] = likely[entries[there]]
        if length < LETTERS:
            tokens[:, length] = added
        before, inside, chances[:, 0] = _written(blank[:, words], separator[:, words], letter, ready * letter)
        if length < STEM:
            chances[:, 1 + length] = (ready * letter).sum(axis=0)


def _written(blank, separator, letter, entering):
    """(before, inside, chance) of beginnings that end with a letter, as of `posteriors.forward`: the probabilities to stand
    behind it and to be writing it, before each step, float64 [T, n], and that no more letters come, [n]. letter: how likely
    it is in each step, [T, n]; entering: that it begins there."""
    before, inside = np.empty((2, *blank.shape))
    behind = writing = last = done = np.zeros(blank.shape[1])  # last: behind it, and more letters would be another token
    pause = blank + separator
    for k in range(len(blank)):
        before[k], inside[k] = behind, writing
        done = done + (last + writing) * separator[k]
        last = (last + writing) * blank[k]
        behind = (behind + writing) * pause[k]
        writing = writing * letter[k] + entering[k]
    return before, inside, np.minimum(1, done + last + writing)
