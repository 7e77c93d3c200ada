"""From an image of a word to what the network sees of it, in training with random changes.

    >>> image = prepare(read_image("imgs/words/_letter_01.png"))
    >>> image.shape
    (100, 32, 1)
"""
from typing import NamedTuple

import cv2
import numpy as np

from words.image_files import STRIP

cv2.setNumThreads(1)  # reading is spread over workers; OpenCV's own threads would only get in their way


# --- What is ink ----------------------------------------------------------------------------------------------

def find_ink(pixels: np.ndarray, limit: tuple[int, int]) -> np.ndarray:
    """A word's ink, bright on dark: uint8 [H, W], PAPER paper, 255 ink, at most `limit` = (width, height) large.

    The image is cut to the word, and shadows are taken off, see `without_frame`, `evenly_lit` and `around_ink`.
    Otsu's threshold parts the histogram; the side that holds more of the border and of the whole is the paper.
    The paper's median becomes PAPER and the ink's strongest tenth 255, so that shade and pen make no difference.
    What differs from the paper the other way becomes less than PAPER, down to 1: on a photo of a sign that may be the word.
    But a third of the ink's contrast of it counts as paper, as IAM's white patches do.
    """
    grey = evenly_lit(without_frame(enlarge(shrink(grey_of(pixels), limit), limit)))
    threshold, bright = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    histogram = np.bincount(grey.ravel(), minlength=256)
    threshold = int(threshold) + 1
    if border(bright).mean() + bright.mean() > 1:
        grey, histogram, threshold = 255 - grey, histogram[::-1], 256 - threshold
    paper, ink = histogram[:threshold], histogram[threshold:]
    if not paper.any() or not ink.any():  # one flat shade: no ink
        return np.full_like(grey, PAPER)
    paper = np.searchsorted(paper.cumsum(), paper.sum() / 2)
    ink = threshold + np.searchsorted(ink.cumsum(), ink.sum() * 0.9)
    levels = (np.arange(256) - paper) / max(ink - paper, MIN_CONTRAST)
    levels = np.maximum(levels, 0) + np.minimum(levels + 1 / 3, 0)
    return around_ink(cv2.LUT(grey, np.round(PAPER + 127 * np.clip(levels, -1, 1)).astype(np.uint8)))


PAPER = 128  # in uint8 images of ink

MIN_CONTRAST = 16  # grey levels: less is grain of blank paper, which stays faint


def shrink(grey, limit):
    """uint8 [H, W], made small enough for `limit` = (width, height)."""
    scale = min(limit[0] / grey.shape[1], limit[1] / grey.shape[0])
    if scale >= 1:
        return grey
    return cv2.resize(grey, [max(1, round(side * scale)) for side in grey.shape[::-1]], interpolation=cv2.INTER_AREA)


LOW, MOST_ENLARGED = 40, 4  # px: in a lower image ink and paper share most pixels, so that it is enlarged first; how often


def enlarge(grey, limit):
    """uint8 [H, W], made LOW high, as far as `limit` = (width, height) has room for it and MOST_ENLARGED times allows."""
    scale = min(LOW / grey.shape[0], limit[0] / grey.shape[1], limit[1] / grey.shape[0], MOST_ENLARGED)
    if scale <= 1:
        return grey
    return cv2.resize(grey, [round(scale * side) for side in grey.shape[::-1]], interpolation=cv2.INTER_LINEAR)


def border(grey):
    """The outermost pixels of [H, W], in a row."""
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])


def without_frame(grey):
    """uint8 [H, W] without the lines along its sides: a frame, a form's lines, a strip of another surface.

    Decided before anything else, as paper and ink are told apart by the border. Each side's outermost line of pixels is
    taken off as long as it is foreign, see `foreign_lines`; then all sides again, as one frame's corners may hide another.
    """
    step = max(MIN_CONTRAST, cv2.meanStdDev(grey)[1][0, 0] / 2)
    while True:
        top, bottom = foreign_lines(grey, step), foreign_lines(grey[::-1], step)
        grey = grey[top:len(grey) - bottom]
        left, right = foreign_lines(grey.T, step), foreign_lines(grey.T[::-1], step)
        grey = grey[:, left:grey.shape[1] - right]
        if not (top or bottom or left or right):
            return np.ascontiguousarray(grey)


def foreign_lines(lines, step):
    """How many rows at the top of uint8 [H, W] are no part of the word's image: int, at most a twelfth of its shorter side.

    The top row is foreign if a row further in differs from it by more than `step` grey levels on average, and seven tenths
    of that row and not one in fifty pixels of the top row lie on the far side of the middle between the two. A stroke
    along the border is hardly ever that even: of 2,299 tight crops of handwriting one loses a stroke.
    """
    band = lines[:1 + min(lines.shape) // 12]
    shades = cv2.reduce(band, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)[:, 0]
    inside = np.abs(shades - shades[0]) > step
    if not inside.any():
        return 0
    count = int(inside.argmax())
    beyond = (band[[0, count]] > (shades[0] + shades[count]) / 2).mean(axis=1)
    top, inner = beyond if shades[count] > shades[0] else 1 - beyond
    return count if top < 0.02 and inner > 0.7 else 0


def evenly_lit(grey):
    """uint8 [H, W] with shadow and glare taken off, ink dark on white, where there are such; else as it is.

    The top-hat transform (Meyer, 1979; Serra, Image Analysis and Mathematical Morphology, 1982): a closing wider than the
    strokes leaves the paper behind dark ink, with the edges of shadows as sharp as they are; of the negative, that behind
    bright ink. The right one leaves less ink, at the border and on the whole. There is a shadow if this paper varies by half
    of the ink's contrast; the other by a third, as around a word with much free paper only the wrong one varies.
    Glare weakens ink, too: it is made as strong as it is elsewhere, at most four times.
    """
    small = shrink(grey, (2 ** 15, 32))
    found = []  # (how much ink there is, by how much the paper varies), of dark and of bright ink
    for image in (small, 255 - small):
        paper = close(image)
        ink = (paper - image).astype(np.float32)
        contrast = max(cv2.norm(ink, cv2.NORM_L2SQR) / max(ink.sum(), 1), MIN_CONTRAST / 2)  # its mean, weighted by itself
        found.append(((border(ink).mean() + ink.mean()) / contrast, 2 * cv2.meanStdDev(paper)[1][0, 0] / contrast))
    (_, right), (_, wrong) = sorted(found)
    if right < 1 / 2 or wrong < 1 / 3:
        return grey
    if found[0][0] <= found[1][0]:
        ink = 255 - cv2.divide(grey, np.maximum(close(grey), 1), scale=255)  # a shadow takes a part of all light
    else:
        ink = close(255 - grey) - (255 - grey)
    window = window_of(grey)
    strength = cv2.blur(cv2.dilate(ink, window), window.shape).astype(np.float32)
    ink = np.minimum(ink * (strength.max() / np.maximum(strength, max(strength.max() / 4, 1))), 255)
    return 255 - ink.astype(np.uint8)


def close(grey):
    return cv2.morphologyEx(grey, cv2.MORPH_CLOSE, window_of(grey))


def window_of(grey):
    """A square of ones, half as high as the image: larger than strokes are wide, smaller than most shadows."""
    side = max(3, grey.shape[0] // 2) | 1  # odd: as much on either side
    return np.ones((side, side), np.uint8)


def around_ink(ink):
    """The part of an image of ink, uint8 [H, W], that holds the word, with AIR around it.

    The word is the connected parts of ink that stand near each other and have most of it together, with the dots above;
    specks count for nothing, nor do pieces of its neighbours, as far as they stand apart.
    """
    strokes = (ink > PAPER + 40).astype(np.uint8)
    parts = cv2.connectedComponentsWithStats(strokes)[2][1:]  # rows of left, top, width, height, pixels
    parts = parts[parts[:, 4] >= SPECK * parts[:, 4].sum()]
    if not len(parts):
        return ink
    tallest = parts[:, 3].max()
    dots = parts[:, 2:4].max(axis=1) < tallest / 2
    word = heaviest(parts[~dots], 1, GAP[1] * tallest)
    top, bottom = word[:, 1].min(), (word[:, 1] + word[:, 3]).max()
    height = bottom - top
    dots &= (parts[:, 1] < bottom + AIR * height) & (parts[:, 1] + parts[:, 3] > top - height)
    word = heaviest(np.concatenate([word, parts[dots]]), 0, GAP[0] * height)
    first, last = word[:, :2].min(axis=0), (word[:, :2] + word[:, 2:4]).max(axis=0)
    left, top = np.where(first > LOOSE * height, first - round(AIR * height), 0)
    right, bottom = np.where(ink.shape[::-1] - last > LOOSE * height, last + round(AIR * height), ink.shape[::-1])
    return np.ascontiguousarray(ink[top:bottom, left:right])


# As parts of the word's height: the paper that is left around it; the gaps across and down that it may have.
LOOSE, AIR, GAP = 0.45, 0.3, (2.0, 0.35)

# As parts of all ink: what is smaller is a speck; the least that a word has.
SPECK, MOST = 0.01, 0.6


def heaviest(parts, axis, gap):
    """Of connected parts, int [n, 5] as OpenCV has them, the group with most ink; between groups more than `gap` is free
    along `axis` (0 across, 1 down). All of them if a group has less than MOST of the ink: letters may be far apart."""
    parts = parts[parts[:, axis].argsort()]
    reached = np.maximum.accumulate(parts[:, axis] + parts[:, axis + 2])
    firsts = 1 + np.flatnonzero(parts[1:, axis] - reached[:-1] > gap)
    if not len(firsts):
        return parts
    group = max(np.split(parts, firsts), key=lambda group: group[:, 4].sum())
    return group if group[:, 4].sum() > MOST * parts[:, 4].sum() else parts


def grey_of(pixels):
    """uint8 [H, W] of any image array: grey, with alpha, colour (RGB order), 16 bit, float or bool; else ValueError."""
    pixels = np.asarray(pixels)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in (2, 3) or pixels.size == 0 or (pixels.ndim == 3 and pixels.shape[2] not in (2, 3, 4)):
        raise ValueError(f"an image is [H, W] or [H, W, 1 to 4], not of shape {pixels.shape}")
    if pixels.dtype.kind not in "buif":
        raise ValueError(f"an image holds numbers, not {pixels.dtype}")
    if pixels.dtype != np.uint8:
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large counts as 0, as NaN does
            pixels = np.nan_to_num(pixels.astype(np.float32), posinf=0, neginf=0)
        low, high = float(pixels.min()), float(pixels.max())
        pixels = ((pixels - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)
    if pixels.ndim == 2:
        return np.ascontiguousarray(pixels)
    if pixels.shape[2] in (2, 4):
        pixels = on_paper(pixels)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.shape[2] == 3 else np.ascontiguousarray(pixels[..., 0])


def on_paper(pixels):
    """uint8 [H, W, channels - 1] of uint8 [H, W, channels] whose last channel says how little is seen through, on white
    paper; on black if white shows nothing."""
    def lay(paper):
        seen = np.empty((*pixels.shape[:2], pixels.shape[2] - 1), np.uint8)
        for top in range(0, len(pixels), STRIP):  # a large photo has no room for 16 bits a number
            part = pixels[top:top + STRIP].astype(np.uint16)
            seen[top:top + STRIP] = (part[..., :-1] * part[..., -1:] + paper * (255 - part[..., -1:])) // 255
        return seen

    seen = lay(255)
    return seen if np.ptp(seen) >= MIN_CONTRAST else lay(0)


def prepare(pixels, size=(100, 32), rng=None, neighbour=None):
    """What the network sees of an image of one word: float32 [width, height, 1], time axis first.

    0 is paper, 1 ink, and less than 0, to -1, what differs from the paper the other way, see `find_ink`.
    The one way from image to network, in training and everywhere else. The word keeps its aspect ratio, is as
    large as `size` = (width, height) and MARGIN allow, starts at the left and stands in the middle of the height.
    With `rng` (numpy Generator), as training does, it is also changed at random: see `random_placement`, `random_warp`,
    `random_ruling`, `random_stroke`, `random_resolution` and `random_light`; with `neighbour`, another word's image, a piece
    of that stands beside it, see `beside_a_piece`. All is drawn at twice the size and shrunk at the end, to keep thin pens.
    """
    ink = find_ink(pixels, (4 * size[0], 4 * size[1]))
    if neighbour is not None:
        ink = beside_a_piece(ink, find_ink(neighbour, (4 * size[0], 4 * size[1])), rng)
    return drawn(ink, size, rng)


def drawn(ink, size, rng=None):
    """What `prepare` makes of a word's ink, uint8 [H, W]."""
    box = 2 * size[0], 2 * size[1]
    matrix = fit_into(ink.shape, box) if rng is None else random_placement(ink.shape, box, rng)
    canvas = cv2.warpAffine(ink, matrix, box, flags=cv2.INTER_LINEAR, borderValue=PAPER)
    if rng is not None:
        canvas = random_resolution(random_stroke(random_ruling(random_warp(canvas, rng), rng), rng), rng)
    canvas = (cv2.resize(canvas, size, interpolation=cv2.INTER_AREA).astype(np.float32) - PAPER) / 127
    if rng is not None:
        canvas = random_light(canvas, rng)
    return np.ascontiguousarray(canvas.T)[..., np.newaxis]


LONG = 5.0  # times as wide as high: such a word is small in the network's image, and may be read better in halves


class Prepared(NamedTuple):
    """A word for a reader: as `prepare` has it, float32 [W, H, 1], and if it is LONG its halves, float32 [2, W, H, 1]."""
    whole: np.ndarray
    halves: np.ndarray | None


def prepare_to_read(pixels: np.ndarray, size: tuple[int, int] = (100, 32)) -> Prepared:
    """The Prepared of any image array, see `grey_of`; a long word is parted near its middle, where it has little ink."""
    ink = find_ink(pixels, (4 * size[0], 4 * size[1]))
    whole = drawn(ink, size)
    if ink.shape[1] < LONG * len(ink):
        return Prepared(whole, None)
    ink = find_ink(pixels, (8 * size[0], 4 * size[1]))
    middle = middle_gap(ink)
    return Prepared(whole, np.stack([drawn(half, size) for half in (ink[:, :middle], ink[:, middle:])]))


def middle_gap(ink):
    """The column of an image of ink, uint8 [H, W], near its middle, with little ink: the nearer, the more it may have."""
    height, width = ink.shape
    inked = cv2.blur(cv2.subtract(ink, PAPER).mean(axis=0, keepdims=True), (max(3, height // 16) | 1, 1))[0]
    away = np.abs(np.arange(width) - width / 2) / (width / 8)
    return int(np.where(away < 1, inked / max(inked.mean(), 1e-9) + 0.3 * away, np.inf).argmin())


# Free on either side of a word, as parts of width and height: letters at the very edge are often misread, as the
# convolutions see little but padding there (benchmarks/results/2026-11-23-margin.md).
MARGIN = 0.04, 0.0625


def fit_into(shape, box):
    """The affine matrix, float [2, 3], that fits an image of `shape` (H, W) into `box` (width, height) less MARGIN."""
    left, room = box[0] * MARGIN[0], np.array(box) * (1 - 2 * np.array(MARGIN))
    scale = min(room[0] / shape[1], room[1] / shape[0])
    return np.array([[scale, 0, left + (scale - 1) / 2], [0, scale, (box[1] - scale * shape[0] + scale - 1) / 2]])


def beside_a_piece(ink, other, rng):
    """A word's ink, uint8 [H, W], with a piece of `other`, another word's, on one side of it, as in a loose box."""
    zoom = min(len(ink) / len(other) * np.exp(rng.normal(0, 0.15)), 4)  # how large the other is drawn
    other = cv2.resize(other, [max(4, round(zoom * side)) for side in other.shape[::-1]], interpolation=cv2.INTER_LINEAR)
    upright, after, height = rng.random() < 0.8, rng.random() < 0.6, len(ink)
    if not upright:  # left and right are above and below of the transposed images
        ink, other = ink.T, other.T
    seen, gap = rng.uniform(0.05, 0.6 if upright else 0.3), rng.uniform(-0.12, 0.2)  # as parts of the word's height
    more = round(max(seen + gap, 0) * height)
    x, y = rng.uniform(0, ink.shape[1]) - other.shape[1] / 2, gap * height
    matrix = np.float32([[1, 0, x], [0, 1, len(ink) + y if after else more - y - len(other)]])
    sheet = cv2.warpAffine(other, matrix, (ink.shape[1], len(ink) + more), borderValue=PAPER)
    word = sheet[:len(ink)] if after else sheet[more:]
    np.copyto(word, ink, where=cv2.absdiff(ink, PAPER) > cv2.absdiff(word, PAPER))
    return np.ascontiguousarray(sheet if upright else sheet.T)


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


def random_warp(canvas, rng):
    """uint8 [H, W] on a rubber sheet whose knots, half a height apart, are moved at random: letters of another shape.

    Wigington et al., Data Augmentation for Recognition of Handwritten Words and Lines, 2017: random grid warps.
    """
    height, width = canvas.shape
    knots = rng.normal(0, rng.uniform(0, 0.06) * height, (4, 3 + 2 * width // height, 2)).astype(np.float32)
    moved = cv2.resize(knots, (width, height), interpolation=cv2.INTER_CUBIC)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(canvas, x + moved[..., 0], y + moved[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def random_ruling(canvas, rng):
    """uint8 [H, W], ink bright: on ruled or squared paper, or on a board that has seams, in one of six places."""
    if rng.random() >= 1 / 6:
        return canvas
    height, width = canvas.shape
    sheet, kind = np.full_like(canvas, PAPER), rng.random()
    apart, slope = height * rng.uniform(0.25, 1.3), rng.normal(0, 0.03)
    shade, thickness = PAPER + round(127 * rng.uniform(0.15, 0.8)), int(rng.integers(1, 5))
    for upright in [False] * (kind < 0.6) + [True] * (kind > 0.4):
        length, across = (height, width) if upright else (width, height)
        for place in np.arange(rng.uniform(0, apart), across, apart):
            ends = np.array([[0, place], [length, place + slope * length]])
            first, last = np.rint(ends[:, ::-1] if upright else ends).astype(int).tolist()
            cv2.line(sheet, first, last, shade, thickness, cv2.LINE_AA)
    return np.where(sheet > PAPER, np.maximum(canvas, sheet), canvas)


def random_resolution(canvas, rng):
    """uint8 [H, W] as a photo with few pixels for it shows it: blurred, and with coarse grain, in one of five places."""
    if rng.random() >= 1 / 5:
        return canvas
    height, width = canvas.shape
    part = rng.uniform(0.13, 0.5)
    small = cv2.resize(canvas, (round(part * width), round(part * height)), interpolation=cv2.INTER_AREA).astype(np.float32)
    small += rng.standard_normal(small.shape, np.float32) * np.float32(rng.uniform(0, 12))
    how = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
    return np.clip(cv2.resize(small, (width, height), interpolation=how), 1, 255).astype(np.uint8)


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
