"""Image files: what may be opened, as pixels, upright; and pixels written as a file.

    >>> read_image("imgs/words/_letter_01.png").shape  # height, width
    (46, 125)
"""
import io
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from command import written_whole

# All that may be opened: raster formats that Pillow decodes by itself. It starts Ghostscript on an EPS, whatever its name.
IMAGE_FORMATS = "PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"
try:
    import pi_heif
except ImportError:  # optional: only an iPhone's photos need it
    pi_heif = None
else:
    pi_heif.register_heif_opener()
    IMAGE_FORMATS += ("HEIF",)

MAX_PIXELS = 16000 * 16000  # the largest photo that Azure's service takes; in colour 770 MB of memory

Image.MAX_IMAGE_PIXELS = MAX_PIXELS
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 64 << 20  # bytes; long notes in a file are no fault
warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged metadata, and of sizes, which `read_image` checks


def read_image(path: str | os.PathLike, number: int = 0) -> np.ndarray:
    """The pixels of an image file: [H, W] or [H, W, channels] in RGB(A) order, uint8, or as deep as the file has them.

    number: which of a TIFF's images, see `sheets_of`. Turned upright as its EXIF data say. Raises ValueError with a short
    reason for whatever cannot be read.
    """
    return _explained(path, lambda path: decode(path, number))


def sheets_of(path: str | os.PathLike) -> list[int]:
    """The numbers, from 0, of a TIFF's images that are pages, not smaller versions of one (NewSubfileType, TIFF 6.0); [0] of
    what is no TIFF or cannot be read."""
    try:
        with opened(path) as image:
            return [number for number in range(image.n_frames) if image.seek(number) or not image.tag_v2.get(254, 0) & 1]
    except Exception:  # as in `read_image`, which says why
        return [0]


def check_image(path: str | os.PathLike):
    """The ValueError of `read_image`, where the first bytes of a file tell that it cannot be read."""
    _explained(path, lambda path: opened(path).close())


def _explained(path, read):
    """read(path); ValueError with a short reason where that fails."""
    if not os.path.isfile(path):  # a pipe would be waited for
        raise ValueError("not a file" if os.path.exists(path) else "no such file")
    try:
        return read(path)
    except Image.DecompressionBombError:
        raise ValueError(f"more than {MAX_PIXELS / 1e6:.0f} megapixels") from None
    except Exception as error:  # Pillow raises almost anything on damaged files
        pixels = decode_cut_jpeg(path)
        if pixels is not None:
            return pixels
        if isinstance(error, OSError) and error.strerror:  # of the system, not of Pillow
            raise ValueError(f"cannot be read: {error.strerror}") from None
        if os.path.getsize(path) == 0:
            raise ValueError("the file is empty") from None
        if not pi_heif and os.fspath(path).lower().endswith((".heic", ".heif")):
            raise ValueError("HEIC is read with pi-heif: pip install pi-heif") from None
        raise ValueError("not a readable image: " + (
            f"of none of the formats {', '.join(IMAGE_FORMATS)}" if isinstance(error, UnidentifiedImageError) else
            "damaged, or a part of it is missing")) from None


def opened(file):
    """The PIL image, not yet decoded, of a path or an open file; raises what Pillow raises."""
    image = Image.open(file, formats=IMAGE_FORMATS)
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise Image.DecompressionBombError
    return image


def decode(file, number=0):
    """The pixels of an image, a path or an open file, as `read_image` gives them; raises what Pillow raises."""
    with opened(file) as image:
        if number:
            image.seek(number)
        return pixels_of(image)


def decode_cut_jpeg(path):
    """The pixels of a JPEG that lacks its last bytes, or None if it is none or more than a twentieth of it is lost.

    The end is made up in two ways, by nothing and by noise: where the two differ, pixels are lost.
    """
    try:
        content = Path(path).read_bytes()
        if not content.startswith(b"\xff\xd8"):
            return None
        pixels, other = (decode(io.BytesIO(content + end + b"\xff\xd9")) for end in (b"", bytes(range(250)) * 400))
    except Exception:  # damaged in another way
        return None
    return pixels if (pixels != other).mean() < 1 / 20 else None


def jpeg_of(path: str | os.PathLike) -> tuple[bytes, int] | None:
    """The bytes of a JPEG file and its EXIF orientation, 1 for upright; None if it is not one, grey or RGB, and whole."""
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            mode, orientation = image.mode, image.getexif().get(0x0112, 1)
            image.draft("L", (1, 1))  # an eighth of its size is enough to see whether all of it is there
            image.load()
    except Exception:  # as in `read_image`
        return None
    return (Path(path).read_bytes(), orientation) if mode in ("L", "RGB") else None


STRIP = 128  # rows of pixels that Pillow hands over at once: as many as the processor keeps at hand

TURNS = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
         5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
         8: Image.Transpose.ROTATE_90}  # by EXIF's orientation; 1 is upright


def pixels_of(image: Image.Image) -> np.ndarray:
    """The pixels of a PIL image as `read_image` gives them."""
    try:
        turn = TURNS.get(image.getexif().get(0x0112))
    except Exception:  # damaged metadata: the picture may be whole
        turn = None
    if image.mode in ("P", "PA", "1", "CMYK", "YCbCr", "LAB", "HSV", "RGBX"):
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    return array_of(image if turn is None else image.transpose(turn))


def array_of(image: Image.Image) -> np.ndarray:
    """np.asarray(image), strip by strip: all at once, Pillow holds a large photo three times."""
    def strip(top):
        return np.asarray(image.crop((0, top, image.width, min(top + STRIP, image.height))))

    if image.height <= STRIP:
        return np.asarray(image)
    first = strip(0)
    pixels = np.empty((image.height, *first.shape[1:]), first.dtype)
    for top in range(0, image.height, STRIP):
        pixels[top:top + STRIP] = strip(top)
    return pixels


def write_image(path, pixels):
    """Write a PIL image, or uint8 [H, W] or [H, W, 3] (RGB), to `path`, whole."""
    with written_whole(path) as beside:
        (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(beside)
