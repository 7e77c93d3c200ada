"""The words of an index as arrays, some ten thousand to a block, and the files that keep them so.

    >>> keep(store)  # as indexing does at its end
    >>> for block in kept(store): ...

All is made of a store's `posteriors`, which tell a search too much too slowly: a million words take seconds to unpack. A
block's file is mapped into memory, so that a search reads of it what it asks for alone. Files are written whole and never
changed but the last one; one that is not of this index, or of another version of this program, is as good as none, so that
the folder may be deleted at any time.
"""
import dataclasses
import functools
import hashlib
import itertools
import mmap
import os
import struct
import sys

import numpy as np

from command import written_whole
from index import readings
from index.posteriors import BLANK, FIRST, FLOOR, LIKELY, LONGEST, SEPARATOR, Sparse, Symbols, join, outside, spread
from index.readings import Readings

FULL = 65536  # words after which a block ends
AT_ONCE = 4096  # words unpacked at once, and how many may be missing in the files
COSTS, MOST = 8, 120  # parts of a nat in which bounds of probabilities are kept, and the highest number of them
RARE = int(-COSTS * np.log(FLOOR * LONGEST))  # the cost of a letter that was unknown when the block was made
HEADER = struct.Struct("<8s7q16s")  # FORMAT, after, last, words, letters, entries, tokens, readings, digest
FORMAT = b"CRNNBLK4"  # another one with every change of what is in a block
ENTRIES = "steps", "symbols", "levels"  # of a Sparse, in a file,
READINGS = "tokens", "firsts", "words", "chances"  # and of Readings


@dataclasses.dataclass(frozen=True)
class Block:
    """The words of the photos behind number `after` up to `last`, by number, each photo's in reading order.

    photos: int32 [N], the number of each word's photo; lines: uint16 [N]. sparse: their posteriors. costs: uint8
    [3, letters, N]: a letter begins a token, ends one, or is in the word with a probability of exp(-cost / COSTS) at most,
    see `bounds`. digest: of the last photo's bytes. readings: of all words but in what `make` gives. mapped: the file that
    has it, if one has.
    """
    after: int
    last: int
    digest: bytes
    photos: np.ndarray
    lines: np.ndarray
    sparse: Sparse
    costs: np.ndarray
    readings: Readings | None = None
    mapped: mmap.mmap | None = None

    def __len__(self):
        return len(self.photos)

    def forget(self):
        """Let go of the costs that were looked at, where the file has them: the system keeps them while there is room."""
        if self.mapped and hasattr(mmap, "MADV_DONTNEED"):
            first = -(-(len(self.mapped) - self.costs.nbytes) // mmap.PAGESIZE) * mmap.PAGESIZE  # they are the last
            if first < len(self.mapped):
                self.mapped.madvise(mmap.MADV_DONTNEED, first, len(self.mapped) - first)

    def cost(self, place, symbol):
        """Row `place` of the costs of a symbol, uint8 [N]."""
        if symbol - FIRST < self.costs.shape[1]:
            return self.costs[place, symbol - FIRST]
        return np.full(len(self), RARE, np.uint8)

    @functools.cached_property
    def arrays(self):
        """starts, uint32, steps, symbols, levels and costs, uint8, and those of readings, each in one piece, for who goes by
        their addresses."""
        return [np.ascontiguousarray(self.sparse.starts, np.uint32),
                *(np.ascontiguousarray(part, np.uint8) for part in (*self.sparse[1:], self.costs)),
                *map(np.ascontiguousarray, self.readings)]


# --- Making -----------------------------------------------------------------------------------------------------

def pack_photo(lines, packed):
    """The bytes of a photo's words: how many, the line of each, the bytes of each (uint16 all), and packed posteriors.
    ValueError for more words than that holds."""
    if max([len(packed), *lines]) > 65535:
        raise ValueError(f"{len(packed):,} words on {max(lines) + 1:,} lines are too many")
    return np.array([len(packed), *lines, *map(len, packed)], "<u2").tobytes() + b"".join(packed)


def unpack_photo(joined):
    """(lines, lengths, posteriors), uint16 [n], uint16 [n] and bytes, of what `pack_photo` gave; else ValueError."""
    count = int.from_bytes(joined[:2], "little")
    if len(joined) < 2 + 4 * count or not joined:
        raise ValueError("a photo's words end within their lengths")
    lines, lengths = np.frombuffer(joined, "<u2", 2 * count, 2).reshape(2, count)
    if len(joined) != 2 + 4 * count + int(lengths.sum()):
        raise ValueError("a photo's words end within a word")
    return lines, lengths, joined[2 + 4 * count:]


def digest(joined):
    return hashlib.blake2b(joined, digest_size=16).digest()


def make(after, photos, count):
    """The Block of a list of photos, (number, bytes of `pack_photo`); count: of symbols."""
    numbers, joined = zip(*photos)
    lines, lengths, data = zip(*map(unpack_photo, joined))
    sparse = spread(np.frombuffer(b"".join(data), np.uint8), np.concatenate(lengths), count)
    return Block(after, numbers[-1], digest(joined[-1]), np.repeat(numbers, list(map(len, lines))).astype(np.int32),
                 np.concatenate(lines), sparse, bounds(sparse, count))


def bounds(sparse, count):
    """The costs of a Block.

    A letter begins a token where, before it, only blanks were since the beginning or a separator; how often it does so is a
    sum over steps, and so is how often it ends one, and how often it is written at all. A query stands in a word at most as
    likely as the product of the first for its first letter, the second for its last, and the third for each letter between:
    steps are independent.
    """
    letters, words = count - FIRST, len(sparse.starts) - 1
    blank, separator = sparse.dense(np.arange(words), sparse.counts(), np.array([BLANK, SEPARATOR]))
    ahead, behind = outside(blank, separator), outside(blank[::-1], separator[::-1])[::-1]
    rest = FLOOR * (np.arange(len(blank))[:, np.newaxis] < sparse.counts())
    mine = np.flatnonzero(sparse.symbols >= FIRST)
    word = np.repeat(np.arange(words), np.diff(sparse.starts))[mine]
    steps, chances = sparse.steps[mine].astype(np.int64) * words + word, LIKELY[sparse.levels[mine]]
    places = (sparse.symbols[mine].astype(np.int64) - FIRST) * words + word
    costs = np.empty((3, letters, words), np.uint8)
    for row, weights in zip(costs, (ahead, behind, np.ones_like(ahead))):
        sums = np.bincount(places, chances * weights.ravel()[steps], letters * words).reshape(letters, words)
        sums = sums + (rest * weights).sum(axis=0)
        row[:] = np.clip(-COSTS * np.log(np.clip(sums, 1e-9, 1)), 0, MOST)  # rounded down
    return costs


def merged(blocks):
    """One Block of several that follow each other, of which the first alone may have readings."""
    if len(blocks) == 1 and blocks[0].readings:
        return blocks[0]
    letters = max(block.costs.shape[1] for block in blocks)
    costs = [block.costs if block.costs.shape[1] == letters else
             np.pad(block.costs, ((0, 0), (0, letters - block.costs.shape[1]), (0, 0)), constant_values=RARE)
             for block in blocks]
    photos, lines = (np.concatenate([getattr(block, name) for block in blocks]) for name in ("photos", "lines"))
    sparse = join([block.sparse for block in blocks])
    known = blocks[:1] if blocks[0].readings else []
    new = readings.make(join([block.sparse for block in blocks[len(known):]]))  # many at once: half the time
    both = readings.join([*(block.readings for block in known), new], [*map(len, known), len(photos) - sum(map(len, known))])
    return Block(blocks[0].after, blocks[-1].last, blocks[-1].digest, photos, lines, sparse, np.concatenate(costs, axis=2),
                 both)


def with_more(blocks, photos, count):
    """A list of Blocks and, behind them, those of photos, (number, bytes of `pack_photo`) by number; the last of the blocks
    may have grown. ValueError for other bytes."""
    blocks = list(blocks)
    rest = [blocks.pop()] if blocks and len(blocks[-1]) < FULL else []
    after = (rest or blocks)[-1].last if rest or blocks else 0
    for some in batches(photos, AT_ONCE):
        rest.append(make(after, some, count))
        after = rest[-1].last
        if sum(map(len, rest)) >= FULL:
            blocks.append(merged(rest))
            rest = []
    return [*blocks, merged(rest)] if rest else blocks


def batches(photos, words):
    """Lists of photos, (number, bytes of `pack_photo`), of so many words at least but the last."""
    batch, size = [], 0
    for number, joined in photos:
        batch.append((number, joined))
        size += 1 + int.from_bytes(joined[:2], "little")
        if size >= words:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


# --- Files ------------------------------------------------------------------------------------------------------

def layout(words, letters, entries, tokens, count):
    """(name, type, shape) of the arrays in a block's file, behind its header; count: of readings."""
    return [("starts", "<u4", (words + 1,)), ("photos", "<i4", (words,)), ("firsts", "<u4", (tokens + 1,)),
            ("words", "<u4", (count,)), ("tokens", f"S{readings.LETTERS}", (tokens,)), ("lines", "<u2", (words,)),
            ("chances", "u1", (1 + readings.STEM, count)), *((name, "u1", (entries,)) for name in ENTRIES),
            ("costs", "u1", (3, letters, words))]


def save(block, path):
    """Write a block's file, whole; the Block that is mapped from it."""
    arrays = {**block.sparse._asdict(), **dict(zip(READINGS, block.readings)), **vars(block)}
    letters, words = block.costs.shape[1:]
    sizes = words, letters, len(block.sparse.steps), len(block.readings.tokens), len(block.readings.words)
    with written_whole(path) as beside:
        with open(beside, "wb") as file:
            file.write(HEADER.pack(FORMAT, block.after, block.last, *sizes, block.digest))
            for name, kind, _ in layout(*sizes):
                file.write(np.ascontiguousarray(arrays[name], kind))
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the name without the content
        return load(beside)


def load(path):
    """The Block of a file, mapped into memory; None if there is none, or none of ours."""
    try:
        with open(path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        kind, after, last, *sizes, digest = HEADER.unpack_from(data)
    except (OSError, ValueError, struct.error):
        return None
    parts = [(name, np.dtype(kind), shape) for name, kind, shape in layout(*sizes)]
    ends = list(itertools.accumulate((kind.itemsize * int(np.prod(shape)) for _, kind, shape in parts), initial=HEADER.size))
    if kind != FORMAT or ends[-1] != len(data):
        return None
    arrays = {name: np.frombuffer(data, kind, int(np.prod(shape)), first).reshape(shape)
              for (name, kind, shape), first in zip(parts, ends)}
    sparse = Sparse(arrays.pop("starts"), *(arrays.pop(name) for name in ENTRIES))
    likeliest = Readings(*(arrays.pop(name) for name in READINGS))
    return Block(after, last, digest, **arrays, sparse=sparse, readings=likeliest, mapped=data)


def kept(store):
    """The Blocks that files have of a store's words, list."""
    blocks = []
    while store.blocks:
        block = load(store.blocks / f"{len(blocks):05}")
        if block is None or block.after != (blocks[-1].last if blocks else 0):
            break
        blocks.append(block)
    while blocks and not _follows(blocks[-1], store):
        blocks.pop()
    return blocks


def _follows(block, store):
    """Whether a block's last photo is in the store: then so are the others, as photos stay what they are."""
    number, joined = next(store.posteriors(block.last - 1), (0, b""))
    return number == block.last and digest(joined) == block.digest


def keep(store):
    """Write what the files lack of a store's words, if that is more than a search unpacks in passing. OSError if it cannot
    be written."""
    if not store.blocks:
        return
    blocks, count = kept(store), Symbols(store.letters).count
    for some in batches(store.posteriors(blocks[-1].last if blocks else 0), FULL):
        more = with_more(blocks, some, count)
        if sum(map(len, more)) - sum(map(len, blocks)) < AT_ONCE:
            break
        store.blocks.mkdir(parents=True, exist_ok=True)
        blocks = [block if block.mapped else save(block, store.blocks / f"{number:05}") for number, block in enumerate(more)]
    for number in itertools.count(len(blocks)):  # of an index that was here before
        try:
            os.unlink(store.blocks / f"{number:05}")
        except FileNotFoundError:
            break


def try_to_keep(store):
    """`keep`, or a line on stderr that says why not. UserError if something else is in the store than was written."""
    try:
        keep(store)
    except ValueError as error:
        raise store.damaged(error) from None
    except OSError as error:
        print(f"{error.filename}: {error.strerror}; searches begin more slowly without it", file=sys.stderr)
