"""The shape of a word's ink: how thick it is, underlined, warped, and cropped with its margins.

    >>> ink, scale = warp(pen_width(ink, "scene", rng), 40, "scene", rng)
    >>> ink, strangers = crop(ink, 40, "scene", rng)
"""
import functools
import math

import cv2
import numpy as np

MAX_WIDTH = 420  # px of the ink
BENT, BEND, MOST_BENT = 0.25, 0.8, 2.4  # of the signs; radians of a circle that a word spans: deviation, and at most
CUT = {"scene": 0.15, "paper": 0.15, "board": 0.06}  # how often a crop may cut letters slightly
# How often something else reaches in from the left, top, right and bottom, and how far at most, in heights of the letters.
NEAR = {"scene": (0.08, 0.05, 0.08, 0.05), "paper": (0.08, 0.05, 0.08, 0.05), "board": (0.06, 0.11, 0.01, 0.03)}
SLIVERS = {"scene": 0.16, "paper": 0.16, "board": 0.35}
LINED = {"scene": 0, "paper": 0, "board": 0.1}  # how often a line is drawn beneath, beside or around a word
FAT = 0.06  # of the signs: strokes up to a tenth of the height thicker, so that small holes close


def trim(ink):
    """The part of uint8 [H, W] that holds ink; None if there is none."""
    x, y, width, height = cv2.boundingRect((ink > 40).view(np.uint8))
    return ink[y:y + height, x:x + width] if width and height else None


@functools.cache
def dot(width, height):
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, height))


def thicken(ink, size):
    """Ink whose strokes are `size` px wider."""
    return cv2.dilate(ink, dot(size + 1, size + 1)) if size > 0 else ink


def pen_width(ink, style, rng):
    """Ink uint8, its strokes as thick as the style has them. Thickness in 1/60 of the height."""
    fat = style == "scene" and rng.random() < FAT
    size = (2, 6) if fat else {"scene": (-2.5, 2.5), "paper": (0, 1.6), "board": (0.5, 3.5)}[style]
    bold = ink.mean() > (120 if fat else 90)
    more = 0 if bold else max(round(rng.uniform(*size) * ink.shape[0] / 60), 0)
    return cv2.dilate(cv2.copyMakeBorder(ink, more, more, more, more, cv2.BORDER_CONSTANT), dot(more + 1, more + 1)) \
        if more else ink


def underline(ink, rng):
    """Ink uint8 [H, W] with a line beneath it, close or touching."""
    height, width = ink.shape
    thick = max(1, round(height * rng.uniform(0.03, 0.12)))
    below = round(height * rng.uniform(-0.05, 0.15))
    ink = cv2.copyMakeBorder(ink, 0, max(below + thick, 0), 0, 0, cv2.BORDER_CONSTANT)
    ink[height + below:height + below + thick] = 255
    return ink


def warp(ink, height, style, rng):
    """(ink float32 [H, W] in 0..1, trimmed, or None; its scale) of ink uint8, its letters made `height` px high.

    Less high where a word is very wide. Slant, rotation, stretch, perspective, elastic waves and, on some signs, a baseline
    that is an arc of a circle, in one remap."""
    tall, wide = ink.shape
    loose = style != "scene"  # hands wave more than signs, which stand on curves and come in all widths
    slant, turn = rng.normal(0, 0.16), rng.normal(0, 0.03 if loose else 0.08)
    stretch = math.exp(rng.normal(0, 0.12 if loose else 0.2))
    scale = min(height / tall, MAX_WIDTH / (wide * stretch))
    cos, sin = math.cos(turn) * scale, math.sin(turn) * scale
    tilt = rng.normal(0, 0.05 if loose else 0.13, 2)  # of perspective
    bend = 0.0 if loose or rng.random() > BENT else float(np.clip(rng.normal(0, BEND), -MOST_BENT, MOST_BENT))
    if not 0.01 < abs(bend) < wide / tall:  # none to be seen, or letters' feet, or heads, of less than half their width
        bend = 0.0
    reach, sag = wide / 2, 0.0  # of the word from its middle to the side, and of its arc downwards or upwards
    if bend:
        radius = abs(wide / bend)
        reach = max(reach, (radius + tall / 2) * math.sin(abs(bend) / 2))  # the outer corners of the last letters
        sag = radius * (1 - math.cos(bend / 2))
    tilt /= max(wide, 2 * tall), 2 * tall + 4 * sag
    forward = np.array([[cos * stretch, cos * slant - sin, 0], [sin * stretch, sin * slant + cos, 0], [*tilt, 1]])
    wave_size, wave_length = tall * rng.normal(0, (0.035, 0.03) if loose else (0.01, 0.01)), tall * rng.uniform(1.2, 4, 2)
    phase = rng.uniform(0, 2 * math.pi, 2)
    half = np.array([reach + 2 + abs(wave_size[0]), tall / 2 + 2 + abs(wave_size[1]) + sag])
    corners = np.array([[[-1, -1], [1, -1], [-1, 1], [1, 1]]]) * half
    ends = cv2.perspectiveTransform(corners, forward)[0]
    low = ends.min(axis=0)
    columns, rows = np.ceil(ends.max(axis=0) - low).astype(int) + 1
    back = np.linalg.inv(forward).astype(np.float32)
    x = np.arange(columns, dtype=np.float32)[None] + np.float32(low[0])
    y = np.arange(rows, dtype=np.float32)[:, None] + np.float32(low[1])
    depth = 1 / (back[2, 0] * x + (back[2, 1] * y + back[2, 2]))
    u = (back[0, 0] * x + (back[0, 1] * y + back[0, 2])) * depth
    v = (back[1, 0] * x + (back[1, 1] * y + back[1, 2])) * depth
    along = x[0] * np.float32(1 / scale)  # waves of x alone cost next to nothing
    v += (wave_size[1] * np.sin(along * (2 * math.pi / wave_length[1]) + phase[1])).astype(np.float32)
    u += (wave_size[0] * np.sin(along * (2 * math.pi / wave_length[0]) + phase[0])).astype(np.float32)
    if bend:
        u, v = unbend(u, v, wide / bend)
    u += np.float32((wide - 1) / 2)
    v += np.float32((tall - 1) / 2)
    warped = trim(cv2.remap(ink, u, v, cv2.INTER_LINEAR))
    return None if warped is None else warped * np.float32(1 / 255), scale


def unbend(u, v, radius):
    """Where points of a word on an arc of a circle lie when the word is straight: float32 [H, W] each, x and y from its
    middle. radius: of the line through the letters' middles, in px; above 0 the word's middle is its highest place,
    below 0 its lowest."""
    across, down = u, np.float32(radius) - v
    if radius < 0:
        down = -down
    angle, distance = np.arctan2(across, down), np.hypot(across, down)
    return np.float32(abs(radius)) * angle, np.float32(radius) - np.float32(math.copysign(1, radius)) * distance


def crop(ink, height, style, rng):
    """Ink with margins as detectors leave them: tight, loose, or slightly cut; and what else stands in the crop.

    height: px of the letters. Returns (ink, strangers), float32 [H, W] in 0..1: strangers are slivers of neighbouring words
    and lines at the edges and, on boards, lines that are drawn around the word.
    """
    kind = rng.random()
    tight = (0.02, 0.14) if style == "board" else (0, 0.1)
    low, high = tight if kind < 0.5 else (0.05, 0.4) if kind < 1 - CUT[style] else (-0.06, 0.1)
    margins = np.rint(rng.uniform(low, high, 4) * height).astype(int)  # left, top, right, bottom
    for k, profile in enumerate((ink.sum(axis=0), ink.sum(axis=1), ink.sum(axis=0)[::-1], ink.sum(axis=1)[::-1])):
        cut = -margins[k]
        if cut > 0 and profile[:cut].sum() > 0.4 * profile[:3 * cut].sum():  # it would take a thin letter or a dot
            margins[k] = 0
    near = rng.random(4) < NEAR[style]
    slivers = np.where(near, np.rint(rng.uniform(0.04, SLIVERS[style], 4) * height), 0).astype(int)
    margins = np.where(near, slivers + np.rint(rng.uniform(0.12, 0.3, 4) * height).astype(int), margins)
    lined = rng.random() < LINED[style]
    if lined:
        margins = np.maximum(margins, round(0.15 * height))
    cuts, (left, top, right, bottom) = np.maximum(-margins, 0), np.maximum(margins, 0).tolist()
    word = ink[cuts[1]:ink.shape[0] - cuts[3], cuts[0]:ink.shape[1] - cuts[2]]
    ink = cv2.copyMakeBorder(word, top, bottom, left, right, cv2.BORDER_CONSTANT)
    if not (near.any() or lined):
        return ink, None
    strangers = neighbours(word, height, ink.shape, top, slivers, rng)
    if lined:
        draw_line(strangers, height, margins, rng)
    return ink, strangers


def draw_line(strangers, height, margins, rng):
    """Draws what people draw around words: a line beneath, the side of a box, a line that runs in, a circle.

    strangers: float32 [H, W] in 0..1, changed in place; height: px of the letters; margins: px left, top, right, bottom."""
    rows, columns = strangers.shape
    thick = max(1, round(height * rng.uniform(0.04, 0.1)))
    kind = rng.random()
    if kind < 0.4:  # underlined
        y = rows - margins[3] * rng.uniform(0.1, 1.1)
        ends = (columns * rng.uniform(-0.2, 0.3), y), (columns * rng.uniform(0.7, 1.2), y + height * rng.normal(0, 0.05))
    elif kind < 0.8:  # from beside the word upwards and downwards, the side of a box, or away from it
        room, left = rng.uniform(0, 0.7), rng.random() < 0.5
        x, away = (margins[0] * room, -rows) if left else (columns - margins[2] * room, rows)
        ends = (((x, -rows), (x + height * rng.normal(0, 0.05), 2 * rows)) if kind < 0.6
                else ((x, rows * rng.uniform(0, 1)), (x + away, rows * rng.uniform(-0.5, 1.5))))
    else:  # a circle, of which the corners of the crop show a part
        size = columns * rng.uniform(1, 1.24), rows * rng.uniform(1, 1.24)
        cv2.ellipse(strangers, ((columns / 2, rows / 2), size, rng.normal(0, 4)), 1, thick, cv2.LINE_AA)
        return
    start, end = np.rint(np.array(ends) * 16).astype(int).tolist()
    cv2.line(strangers, start, end, 1, thick, cv2.LINE_AA, 4)


def neighbours(word, height, shape, top, slivers, rng):
    """Bits of other words and lines, float32 of `shape`, that reach `slivers` px in from the left, top, right and bottom.

    They are strips from elsewhere in the word itself, of letters `height` px high: of the same pen, size and slant."""
    strangers = np.zeros(shape, np.float32)
    (tall, wide), (left, above, right, below) = word.shape, slivers
    columns = rng.integers(wide) + np.arange(left + right)
    strips = word[:, columns % wide]
    strips[:, strips.sum(axis=0) > 0.45 * height] = 0  # a whole stem would be read as a letter
    strangers[top:top + tall, :left] = strips[:, :left]
    strangers[top:top + tall, shape[1] - right:] = strips[:, left:]
    line = word[:, (rng.integers(wide) + np.arange(shape[1])) % wide]
    strangers[:above] = np.maximum(strangers[:above], line[tall - above:])
    strangers[shape[0] - below:] = np.maximum(strangers[shape[0] - below:], line[:below])
    return strangers
