"""Many words through a reader: in their order, in batches, in memory that does not grow with their number.

    for index, reading, error in read(reader, load(words, chosen, reader.size), top_paths=3):
        print(words.name(index), reading.text, error)
"""
import collections
import concurrent.futures
import itertools
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from words.image_files import read_image
from words.images import grey_of, prepare_to_read
from words.reader import BATCH, Reader

CHUNK = 4 * BATCH  # words that are read at a time

# A word of a list as it was loaded: its index; its Prepared, see images.py, or None; why it is not, or what is odd about it.
Loaded = collections.namedtuple("Loaded", "index prepared error")

# A word of a list as it was read: its index; its Reading, None where it could not be loaded; what is wrong with it, or "".
Read = collections.namedtuple("Read", "index reading error")

WHOLE_PHOTO = "seems to be a photo of many words"


def load(words, chosen: Iterable[int], size: tuple[int, int], workers: int) -> Iterator[list[Loaded]]:
    """Words of a WordList, prepared for a network of `size`, CHUNK by CHUNK; threads load two while one is read."""
    def prepared(i):
        try:
            pixels = read_image(words.path(i))
            return Loaded(i, prepare_to_read(pixels, size), WHOLE_PHOTO if is_whole_photo(pixels) else "")
        except ValueError as error:
            return Loaded(i, None, str(error))

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        loading = collections.deque()
        for part in itertools.chain(in_chunks(chosen), [None] * 2):
            if part is not None:
                loading.append([pool.submit(prepared, i) for i in part])
            if loading and (len(loading) > 2 or part is None):
                yield [future.result() for future in loading.popleft()]


def fault_of(path: str) -> str:
    """Why an image file is not of a single word; "" if it may be."""
    try:
        return WHOLE_PHOTO if is_whole_photo(read_image(path)) else ""
    except ValueError as error:
        return str(error)


def in_chunks(items: Iterable) -> Iterator[list]:
    """Lists of CHUNK items, the last one shorter."""
    items = iter(items)
    return iter(lambda: list(itertools.islice(items, CHUNK)), [])


def read(reader: Reader, chunks: Iterable[list[Loaded]], top_paths: int = 1) -> Iterator[Read]:
    """A Read for each Loaded word, in their order."""
    for chunk in chunks:
        readings = reader.read_words([word.prepared for word in chunk], top_paths)
        for (index, _, error), reading in zip(chunk, readings):
            yield Read(index, reading, error or (reading.error if reading else ""))


def is_whole_photo(pixels: np.ndarray) -> bool:
    """Whether an image, [H, W] or [H, W, 1 to 4], seems to show many words: it is large, and many of its marks are small.

    Of 251 photos and pages of handwriting 96 in a hundred are told; of 1,716 crops of words none is taken for a photo, of
    300 that were enlarged five times two in a hundred.
    """
    if pixels.shape[0] * pixels.shape[1] < PHOTO_PIXELS:
        return False
    grey = grey_of(pixels)
    scale = PHOTO_SIDE / max(grey.shape)
    grey = cv2.resize(grey, [max(1, round(side * scale)) for side in grey.shape[::-1]], interpolation=cv2.INTER_AREA)
    contrast = cv2.absdiff(grey, cv2.medianBlur(grey, 31))  # to the paper around
    ink = contrast > max(20, 0.35 * np.percentile(contrast, 99.5))
    _, _, boxes, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8))
    _, _, width, height, area = boxes[1:].T
    marks = height[(area >= 6) & (width < grey.shape[1] / 2) & (height < grey.shape[0] / 2)]
    return len(marks) >= MARKS and np.median(marks) < MARK_HEIGHT * grey.shape[0]


PHOTO_PIXELS, PHOTO_SIDE = 200_000, 480  # a smaller image is a word; the size at which its marks are counted
MARKS, MARK_HEIGHT = 60, 0.06  # so many marks are more than a word; their median height, as a part of the image's
