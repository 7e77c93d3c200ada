"""Pictures of indexed photos for the search page, as JPEG: the whole photo, a small one, and a piece cut upright out of it.

All are made when they are asked for, from upright pixels, and kept in memory up to a limit; nothing is written.

    pictures = Pictures()
    jpeg = pictures.small("photos/monday/board.tif")
"""
import hashlib
import io
import math
import os
import threading
from collections.abc import Sequence

import cv2
import numpy as np
from cachetools import LRUCache, cached
from PIL import Image

from photos.cutting import cut
from photos.files import read_photo
from photos.page import file_of
from words.images import grey_of

Polygon = Sequence[tuple[float, float]]  # four corners, clockwise from the text's top-left, in pixels of the photo
SMALL, LARGE = 800, 3000  # pixels, the longest side
HIGH, WIDE = 96, 960  # pixels, the most of a piece


def version(path: str) -> str:
    """12 hexadecimal digits that change with the photo's file. OSError if there is none."""
    state = os.stat(file_of(path))
    return hashlib.sha256(f"{state.st_ino} {state.st_mtime_ns} {state.st_size}".encode()).hexdigest()[:12]


class Pictures:
    """JPEG bytes of photos; ValueError with a short reason for a photo that cannot be read.

    At most `pixels` bytes of decoded photos and `jpegs` bytes of JPEG are kept. What several ask for at once is made once.
    """

    def __init__(self, pixels: int = 256 << 20, jpegs: int = 64 << 20):
        decoding = threading.Semaphore(os.cpu_count() or 1)  # 50 megapixels take 150 MB: not eight of them at once

        def kept(most, size):
            return cached(LRUCache(most, getsizeof=size), condition=threading.Condition())

        @kept(pixels, lambda photo: photo.nbytes)
        def decoded(path, _version):
            with decoding:
                return coloured(read_photo(path))

        @kept(jpegs, len)
        def scaled(path, version, longest):
            return encode(shrunk(decoded(path, version), longest, longest))

        @kept(jpegs // 4, len)
        def piece(path, version, polygon):
            pixels, reason = cut(decoded(path, version), polygon)
            if pixels is None:
                raise ValueError(reason)
            return encode(shrunk(pixels, WIDE, HIGH))

        self._scaled, self._piece = scaled, piece

    def small(self, path: str) -> bytes:
        """The whole photo, at most SMALL pixels long."""
        return self._scaled(path, version(path), SMALL)

    def large(self, path: str) -> bytes:
        """The whole photo, at most LARGE pixels long."""
        return self._scaled(path, version(path), LARGE)

    def piece(self, path: str, polygon: Polygon) -> bytes:
        """What is in a polygon, a tuple of tuples, made upright."""
        return self._piece(path, version(path), polygon)


def coloured(pixels: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] of any image array; what is see-through becomes white."""
    if pixels.dtype != np.uint8 or pixels.shape[2:] not in ((3,), (4,)):
        return cv2.cvtColor(grey_of(pixels), cv2.COLOR_GRAY2RGB)
    if pixels.shape[2] == 3:
        return pixels
    image = Image.fromarray(pixels)
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))


def shrunk(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """The same image, uint8 [H, W, 3], made smaller, if need be, to fit into width x height."""
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    if scale >= 1:
        return pixels
    size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def encode(pixels: np.ndarray) -> bytes:
    """uint8 [H, W, 3] as JPEG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=82)
    return file.getvalue()


def widened(polygon: Polygon, part: float = 0.3) -> Polygon:
    """A polygon with a margin of `part` of its height around it: letters reach out of their box."""
    (left, top), right, _, below = polygon  # plain numbers: NumPy takes ten times as long for four corners
    across = part * (below[0] - left), part * (below[1] - top)
    longer = math.hypot(*across) / max(math.dist((left, top), right), 1e-9)
    along = longer * (right[0] - left), longer * (right[1] - top)
    signs = (-1, -1), (1, -1), (1, 1), (-1, 1)  # along, across
    return [(x + a * along[0] + b * across[0], y + a * along[1] + b * across[1]) for (x, y), (a, b) in zip(polygon, signs)]
