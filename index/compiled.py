"""The two loops in which a search spends its time, compiled: as those of index/scanning.py, several times as fast.

    >>> words = Words(blocks.kept(store), loops=compiled)

For who answers many queries, as `search.py serve` does: Numba takes half a second to load, and once, for a new version of
this program, a few seconds to compile. The loops run without Python's lock, so that threads search side by side.
"""
import numpy as np

from index.blocks import RARE
from index.posteriors import BLANK, FIRST, FLOOR, LIKELY, LONGEST, SEPARATOR
from words.compiled import compiled

TOGETHER = 4096  # words whose costs are added at once
AHEAD = 32  # words that are fetched from memory at once
LINE = 64  # bytes that come together


def possible(block, rows, most, known):
    """As `scanning.possible`."""
    kinds, symbols = (np.array(column, np.int64) for column in zip(*rows))
    found, costs = np.empty(len(block), np.int64), np.empty(len(block), np.uint16)
    count = _possible(block.fixed[-1], kinds, symbols - FIRST, most, known, found, costs)
    return found[:count].copy(), costs[:count].copy()


def score(parts, query, prefix):
    """As `scanning.score`."""
    letters, places = np.unique(query, return_inverse=True)
    places = (places + 2).astype(np.uint64)
    slots = np.full(256, 2 + len(letters), np.uint16)
    slots[[BLANK, SEPARATOR, *letters]] = range(2 + len(letters))
    results = [np.zeros(len(which)) for _, which in parts]
    for (block, which), result in zip(parts, results):
        _score(*block.fixed[:-1], which, slots, places, prefix, LIKELY, result)
    return np.concatenate([np.zeros(0), *results])


@compiled
def _possible(costs, kinds, letters, most, known, found, found_costs):
    """Write the places of the words whose costs sum up to `most` or less, but to more than `known`, and these sums; how many
    there are."""
    count, sums = np.int64(0), np.empty(TOGETHER, np.uint16)
    for first in range(0, costs.shape[2], TOGETHER):
        words = min(TOGETHER, costs.shape[2] - first)
        sums[:] = 0
        for row in range(len(kinds)):
            if letters[row] < costs.shape[1]:
                some = costs[kinds[row], letters[row], first:first + words]
                for word in range(words):
                    sums[word] += some[word]
            else:  # a letter that came later
                sums[:] += np.uint16(RARE)
        for word in range(words):
            if known < sums[word] <= most:
                found[count], found_costs[count] = first + word, sums[word]
                count += 1
    return count


@compiled
def _score(starts, steps, symbols, levels, which, slots, places, prefix, likely, result):
    """Write how likely a query is in each word of `which`: `posteriors.forward`, word by word.

    slots: uint16, where a symbol's probability is in a row of `chances`: 0 is the blank's, 1 the separator's, the last of
    those that are not asked for. places: where those of the query's letters are. Both are unsigned, as Numba looks at each
    number with a sign whether it counts from the end.
    """
    length, width, touched = len(places), np.uint64(slots.max()) + np.uint64(1), np.int64(0)
    follows = np.ones(length)  # 0 where a blank must be between a letter and the one before it
    for i in range(1, length):
        follows[i] = places[i] != places[i - 1]
    chances = np.empty(np.uint64(LONGEST) * width)
    before, inside = np.empty(length), np.empty(length)
    for k in range(len(which)):
        if k % AHEAD == 0:
            touched += _touch(starts, steps, symbols, levels, which, k)
        entry, end = np.int64(starts[which[k]]), min(np.int64(starts[which[k] + 1]), len(steps))
        count = np.int64(steps[end - 1]) + 1 if end > entry else 0
        if count < length:  # a letter takes a step
            continue
        chances[:np.uint64(count) * width] = FLOOR
        mine, their, level = steps[entry:end], symbols[entry:end], levels[entry:end]
        for at in range(len(mine)):
            chances[mine[at] * width + slots[their[at]]] = likely[level[at]]
        before[:] = 0.0
        inside[:] = 0.0
        before[0], behind, other, done = 1.0, 0.0, 0.0, 0.0  # behind: to be past the last letter, after a blank
        for time in range(count):
            row = chances[np.uint64(time) * width:]
            blank, separator = row[0], row[1]
            pause = blank + separator
            if not prefix:
                done += (behind + inside[length - 1]) * separator
                behind = (behind + inside[length - 1]) * blank
            start = here = before[0]  # here: a step ago in front of letter i,
            last = 0.0  # and writing the one before it
            for i in range(length):
                writing = inside[i]
                inside[i] = (writing + here + last * follows[i]) * row[places[i]]
                if i + 1 < length:
                    here = before[i + 1]
                    before[i + 1] = (here + writing) * pause
                last = writing
            if prefix:  # whatever follows
                done += inside[length - 1]
                inside[length - 1] = 0.0
            before[0] = start * pause + other * separator
            other = (start + other) * max(1 - pause, 0.0) + other * blank
        result[k] = min(1.0, done if prefix else done + behind + inside[length - 1])
    return touched


@compiled
def _touch(starts, steps, symbols, levels, which, first):
    """A sum of bytes of the AHEAD words from `first` on: these the processor fetches side by side, but words that are scored
    one after another it would wait for."""
    touched = np.int64(0)
    for k in range(first, min(first + AHEAD, len(which))):
        entry, end = np.int64(starts[which[k]]), np.int64(starts[which[k] + 1])
        for at in range(entry, end, LINE):
            touched += steps[at] + symbols[at] + levels[at]
    return touched
