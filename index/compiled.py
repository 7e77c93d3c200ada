"""The loops in which a search spends its time, compiled: as those of index/scanning.py, several times as fast.

    >>> words = Words(blocks.kept(store), loops=compiled)

For who answers many queries, as `search.py serve` does: Numba takes half a second to load, and once, for a new version of
this program, a few seconds to compile. The loops run without Python's lock, so that threads search side by side, and go
through all blocks in one call: to get the lock back takes until another thread gives it away.
"""
import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic

from index.blocks import RARE
from index.posteriors import BLANK, FIRST, FLOOR, LIKELY, LONGEST, SEPARATOR
from index.readings import STEM
from words.compiled import compiled

TOGETHER = 4096  # words whose costs are added at once
AHEAD = 32  # words that are fetched from memory at once
LINE = 64  # bytes that come together
WORDS, ENTRIES, LETTERS, TOKENS, READ = range(5)  # columns of a table: counts,
STARTS, STEPS, SYMBOLS, LEVELS, COSTS, TOKEN, FIRSTS, PLACES, CHANCES = range(5, 14)  # and addresses


def table(blocks):
    """How large the arrays of Blocks are and where in memory, int64 [blocks, 14]; good as long as the Blocks are there."""
    sizes = [(len(block), len(block.sparse.steps), block.costs.shape[1], len(block.readings.tokens),
              len(block.readings.words)) for block in blocks]
    addresses = [[array.ctypes.data for array in block.arrays] for block in blocks]
    return np.array([[*size, *address] for size, address in zip(sizes, addresses)], np.int64).reshape(-1, 14)


def read(blocks, keys, row):
    """As `scanning.read`."""
    bounds = np.empty((len(blocks), 2), np.int64)
    found = np.empty(_bounds(blocks, keys.view(np.uint8).reshape(2, -1), bounds), np.int64)
    _read(blocks, bounds, row, found)
    return found


def possible(blocks, rows, most):
    """As `scanning.possible`."""
    places, kinds, symbols = np.array(rows, np.int64).T.copy()  # each in one piece
    found = np.empty(blocks[:, WORDS].sum() + 1, np.int64)  # takes memory where it is written to
    return found[:_possible(blocks, places, kinds, symbols - FIRST, min(most, 255), found)].copy()


def add_costs(blocks, ends, which, rows, most, result):
    """As `scanning.add_costs`."""
    kinds, symbols = np.array(rows, np.int64).T.copy()
    _add_costs(blocks, ends, which, kinds, symbols - FIRST, most, result)


def score(blocks, ends, which, query, prefix):
    """As `scanning.score`."""
    letters, places = np.unique(query, return_inverse=True)
    slots = np.full(256, 2 + len(letters), np.uint16)
    slots[[BLANK, SEPARATOR, *letters]] = range(2 + len(letters))
    result = np.zeros(len(which))
    _score(blocks, ends, which, slots, (places + 2).astype(np.uint64), prefix, LIKELY, result)
    return result


@intrinsic
def _pointer(_, address):
    """An address, int64, as a pointer."""
    def make(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))
    return types.voidptr(types.int64), make


@compiled
def _bounds(blocks, keys, bounds):
    """Write where the words of the tokens from the first key to before the second begin and end among a block's readings;
    how many there are. keys: uint8 [2, letters], rising."""
    count = np.int64(0)
    for k in range(len(blocks)):
        tokens = numba.carray(_pointer(blocks[k][TOKEN]), (blocks[k][TOKENS], keys.shape[1]), np.uint8)
        firsts = numba.carray(_pointer(blocks[k][FIRSTS]), blocks[k][TOKENS] + 1, np.uint32)
        for which in range(2):
            low, high = np.int64(0), np.int64(blocks[k][TOKENS])
            while low < high:
                middle = (low + high) // 2
                at = 0
                while at + 1 < keys.shape[1] and tokens[middle, at] == keys[which, at]:
                    at += 1
                if tokens[middle, at] < keys[which, at]:
                    low = middle + 1
                else:
                    high = middle
            bounds[k, which] = firsts[low]
        count += bounds[k, 1] - bounds[k, 0]
    return count


@compiled
def _read(blocks, bounds, row, found):
    """Write the words between these bounds, and how likely they are it, as of `scanning.read`."""
    count, before = np.int64(0), np.int64(0)
    for k in range(len(blocks)):
        words = numba.carray(_pointer(blocks[k][PLACES]), blocks[k][READ], np.uint32)
        chances = numba.carray(_pointer(blocks[k][CHANCES]), (STEM + 1, blocks[k][READ]), np.uint8)
        for at in range(bounds[k, 0], bounds[k, 1]):
            found[count] = (before + np.int64(words[at])) << 8 | np.int64(chances[row, at])
            count += 1
        before += blocks[k][WORDS]


@compiled
def _possible(blocks, places, kinds, letters, most, found):
    """Write where words begin whose costs of these rows are together no more than `most`; how many there are."""
    count, before, most = np.int64(0), np.int64(0), np.uint8(most)
    sums, near = np.empty(TOGETHER, np.uint8), np.zeros(TOGETHER, np.uint8)
    eights = near.view(np.uint64)
    for block in blocks:
        costs = numba.carray(_pointer(block[COSTS]), (3, block[LETTERS], block[WORDS]), np.uint8)
        last = block[WORDS] - places.max()
        for first in range(0, last, TOGETHER):
            words = min(TOGETHER, last - first)
            sums[:words] = 0
            for row in range(len(kinds)):
                some = _row(costs, kinds[row], letters[row])[places[row] + first:places[row] + first + words]
                for word in range(words):
                    more = np.uint8(sums[word] + some[word])
                    sums[word] = np.uint8(255) if more < some[word] else more
            for word in range(words):
                near[word] = sums[word] <= most
            near[words:] = 0
            for eight in range(len(eights)):
                if eights[eight]:
                    for word in range(8 * eight, 8 * eight + 8):
                        found[count] = before + first + word  # the next one may take its place
                        count += near[word]
        before += block[WORDS]
    return count


@compiled
def _add_costs(blocks, ends, which, kinds, letters, most, result):
    """Add these rows of the costs of words, row by row, of those that are not above `most` yet."""
    before, places = np.int64(0), np.empty(len(which), np.int64)
    for k in range(len(blocks)):
        block, left = blocks[k], ends[k + 1] - ends[k]
        costs = numba.carray(_pointer(block[COSTS]), (3, block[LETTERS], block[WORDS]), np.uint8)
        for at in range(left):
            places[at] = ends[k] + at
        for row in range(len(kinds)):
            count, some = np.int64(0), _row(costs, kinds[row], letters[row])
            for at in range(left):
                place = places[at]
                result[place] += some[which[place] - before]
                places[count] = place
                count += result[place] <= most
            left = count
        before += block[WORDS]


@compiled
def _row(costs, kind, letter):
    """A letter's costs of a block; RARE where it came later."""
    return costs[kind, letter] if letter < costs.shape[1] else np.full(costs.shape[2], RARE, np.uint8)


@compiled
def _score(blocks, ends, which, slots, places, prefix, likely, result):
    """Write how likely a query is in each word; ends: as of `scanning.add_costs`. Returns what nobody needs; see
    `_touch`."""
    touched, before = np.int64(0), np.int64(0)
    for k in range(len(blocks)):
        block, first, end = blocks[k], ends[k], ends[k + 1]
        if first < end:
            starts = numba.carray(_pointer(block[STARTS]), block[WORDS] + 1, np.uint32)
            steps = numba.carray(_pointer(block[STEPS]), block[ENTRIES], np.uint8)
            symbols = numba.carray(_pointer(block[SYMBOLS]), block[ENTRIES], np.uint8)
            levels = numba.carray(_pointer(block[LEVELS]), block[ENTRIES], np.uint8)
            touched += _score_block(starts, steps, symbols, levels, which[first:end] - before, slots, places, prefix, likely,
                                    result[first:end])
        before += block[WORDS]
    return touched


@compiled
def _score_block(starts, steps, symbols, levels, which, slots, places, prefix, likely, result):
    """Write how likely a query is in each word of `which`: `posteriors.forward`, word by word.

    slots: uint16, where a symbol's probability is in a row of `chances`: 0 is the blank's, 1 the separator's, the last of
    those that are not asked for. places: where those of the query's letters are. Both are unsigned, as Numba looks at each
    number with a sign whether it counts from the end.
    """
    length, width, touched = len(places), np.uint64(slots.max()) + np.uint64(1), np.int64(0)
    follows = np.ones(length)  # 0 where a blank must be between a letter and the one before it
    for i in range(1, length):
        follows[i] = places[i] != places[i - 1]
    chances = np.empty(np.uint64(LONGEST + 1) * width)  # a row for any byte, as a damaged file may have any
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
        entry, end = np.int64(starts[which[k]]), min(np.int64(starts[which[k] + 1]), len(steps))
        for at in range(entry, end, LINE):
            touched += steps[at] + symbols[at] + levels[at]
    return touched
