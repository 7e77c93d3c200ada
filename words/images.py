"""From an image file to what the network sees of a word, in training with random changes.

    >>> image = prepare(read_image("imgs/words/_letter_01.png"))
    >>> image.shape
    (100, 32, 1)
"""
import os

import cv2
import numpy as np
from PIL import Image, ImageOps

from command import written_whole

cv2.setNumThreads(1)  # reading is spread over workers; OpenCV's own threads would only get in their way


def read_image(path):
    """The pixels of an image file: [H, W] or [H, W, channels] in RGB(A) order, uint8, or as deep as the file has them.

    Turned upright as its EXIF data say. Raises ValueError with a short reason for whatever cannot be read.
    """
    try:
        with Image.open(path) as image:
            pixels = pixels_of(image)
    except FileNotFoundError:
        raise ValueError("no such file") from None
    except Exception as error:  # Pillow raises almost anything on damaged files
        if os.path.isfile(path) and os.path.getsize(path) == 0:
            raise ValueError("the file is empty") from None
        raise ValueError(f"not a readable image ({type(error).__name__})") from None
    return pixels


def pixels_of(image):
    """The pixels of a PIL image as `read_image` gives them."""
    image = ImageOps.exif_transpose(image)
    if image.mode in ("P", "1", "CMYK", "YCbCr", "LAB", "HSV", "PA"):
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    return np.asarray(image)


def find_ink(pixels, limit):
    """A word's ink, bright on dark: uint8 [H, W], PAPER paper, 255 ink, at most `limit` = (width, height) large.

    Otsu's threshold parts the histogram; the side that holds more of the border and of the whole is the paper.
    The paper's median becomes PAPER and the ink's strongest tenth 255, so that shade and pen make no difference.
    What differs from the paper the other way becomes less than PAPER, down to 1: on a photo of a sign that may be the word.
    But a third of the ink's contrast of it counts as paper, as IAM's white patches do.
    """
    grey = grey_of(pixels)
    scale = min(limit[0] / grey.shape[1], limit[1] / grey.shape[0])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in grey.shape[::-1]]
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    threshold, bright = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    border = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
    histogram = np.bincount(grey.ravel(), minlength=256)
    threshold = int(threshold) + 1
    if border.mean() + bright.mean() > 1:
        grey, histogram, threshold = 255 - grey, histogram[::-1], 256 - threshold
    paper, ink = histogram[:threshold], histogram[threshold:]
    if not paper.any() or not ink.any():  # one flat shade: no ink
        return np.full_like(grey, PAPER)
    paper = np.searchsorted(paper.cumsum(), paper.sum() / 2)
    ink = threshold + np.searchsorted(ink.cumsum(), ink.sum() * 0.9)
    levels = (np.arange(256) - paper) / max(ink - paper, 16)  # 16: noise on blank paper stays faint
    levels = np.maximum(levels, 0) + np.minimum(levels + 1 / 3, 0)
    return cv2.LUT(grey, np.round(PAPER + 127 * np.clip(levels, -1, 1)).astype(np.uint8))


PAPER = 128  # in uint8 images of ink


def grey_of(pixels):
    """uint8 [H, W] of any image array: grey, with alpha, colour (RGB order), 16 bit, float or bool; else ValueError."""
    pixels = np.asarray(pixels)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in (2, 3) or pixels.size == 0 or (pixels.ndim == 3 and pixels.shape[2] not in (2, 3, 4)):
        raise ValueError(f"an image is [H, W] or [H, W, 1 to 4], not of shape {pixels.shape}")
    if pixels.dtype != np.uint8:
        pixels = np.nan_to_num(pixels.astype(np.float32), posinf=0, neginf=0)
        low, high = float(pixels.min()), float(pixels.max())
        pixels = ((pixels - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)
    if pixels.ndim == 2:
        return np.ascontiguousarray(pixels)
    if pixels.shape[2] in (2, 4):  # see-through means white paper
        alpha = pixels[..., -1:].astype(np.uint16)
        pixels = ((pixels[..., :-1] * alpha + 255 * (255 - alpha)) // 255).astype(np.uint8)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.shape[2] == 3 else np.ascontiguousarray(pixels[..., 0])


def prepare(pixels, size=(100, 32), rng=None):
    """What the network sees of an image of one word: float32 [width, height, 1], time axis first.

    0 is paper, 1 ink, and less than 0, to -1, what differs from the paper the other way, see `find_ink`.
    The one way from image to network, in training and everywhere else. The word keeps its aspect ratio, is as
    large as `size` = (width, height) and MARGIN allow, starts at the left and stands in the middle of the height.
    With `rng` (numpy Generator), as training does, it is also changed at random: see `random_placement`,
    `random_stroke` and `random_light`. All is drawn at twice the size and shrunk at the end, to keep thin pens.
    """
    width, height = 2 * size[0], 2 * size[1]
    ink = find_ink(pixels, (2 * width, 2 * height))
    if rng is None:
        matrix = fit_into(ink.shape, (width, height))
    else:
        matrix = random_placement(ink.shape, (width, height), rng)
    canvas = cv2.warpAffine(ink, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=PAPER)
    if rng is not None:
        canvas = random_stroke(canvas, rng)
    canvas = (cv2.resize(canvas, size, interpolation=cv2.INTER_AREA).astype(np.float32) - PAPER) / 127
    if rng is not None:
        canvas = random_light(canvas, rng)
    return np.ascontiguousarray(canvas.T)[..., np.newaxis]


# Free on either side of a word, as parts of width and height: letters at the very edge are often misread, as the
# convolutions see little but padding there (benchmarks/results/2026-11-23-margin.md).
MARGIN = 0.04, 0.0625


def fit_into(shape, box):
    """The affine matrix, float [2, 3], that fits an image of `shape` (H, W) into `box` (width, height) less MARGIN."""
    left, room = box[0] * MARGIN[0], np.array(box) * (1 - 2 * np.array(MARGIN))
    scale = min(room[0] / shape[1], room[1] / shape[0])
    return np.array([[scale, 0, left + (scale - 1) / 2], [0, scale, (box[1] - scale * shape[0] + scale - 1) / 2]])


def random_placement(shape, box, rng):
    """As `fit_into`, with random stretch, slant, rotation and place: what differs between writers and between croppers."""
    slant, angle = rng.normal(0, 0.2), rng.normal(0, 0.03)
    stretch, zoom = np.exp(rng.normal(0, 0.15)), 1 - abs(rng.normal(0, 0.12))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.array([[stretch, -slant * stretch], [0, 1]])
    corners = linear @ np.array([[0, shape[1], 0, shape[1]], [0, 0, shape[0], shape[0]]])
    extent = np.ptp(corners, axis=1)
    scale = max(zoom, 0.6) * min(box[0] / extent[0], box[1] / extent[1])
    room = np.array(box) - scale * extent
    place = room * [rng.beta(1, 3), rng.uniform(0.1, 0.9)] - scale * corners.min(axis=1)
    return np.column_stack([scale * linear, place])


def random_stroke(canvas, rng):
    """uint8 [H, W], ink bright: a thicker or thinner pen, in one of three places out of ten."""
    kind = rng.random()
    if kind < 0.15:
        return cv2.dilate(canvas, np.ones(_KERNELS[rng.integers(len(_KERNELS))], np.uint8))
    if kind < 0.3:
        thin = cv2.erode(canvas, np.ones((2, 2), np.uint8))
        return cv2.addWeighted(thin, 0.7, canvas, 0.3, 0)  # never rubs a thin pen out
    return canvas


_KERNELS = ((2, 2), (1, 2), (2, 1), (3, 3))


def random_light(canvas, rng):
    """float32 [H, W] in -1..1: blur, contrast, a shadow across, and noise."""
    if rng.random() < 0.25:
        canvas = cv2.GaussianBlur(canvas, (3, 3), rng.uniform(0.3, 1.0))
    canvas = canvas * np.float32(rng.uniform(0.6, 1.1))
    if rng.random() < 0.25:
        canvas = canvas + np.linspace(0, rng.uniform(-0.25, 0.25), canvas.shape[1], dtype=np.float32)
    if rng.random() < 0.4:
        canvas = canvas + rng.standard_normal(canvas.shape, np.float32) * np.float32(rng.uniform(0, 0.08))
    return np.clip(canvas, -1, 1)


def write_image(path, pixels):
    """Write uint8 [H, W] or [H, W, 3] (RGB) to `path`, whole."""
    with written_whole(path) as beside:
        Image.fromarray(pixels).save(beside)
