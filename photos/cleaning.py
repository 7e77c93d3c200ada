"""A board or page cleaned: its background even and white, the ink in its own colours.

    >>> write_image("cleaned.png", clean(pixels, found.ink))
"""
import cv2
import numpy as np

WINDOW = 40  # the paper's colour is a mean over a window that is this part of the photo's longer side
STRONGEST = 0.85  # how dark the darkest tenth of the ink becomes, of 1
MOST_GAIN = 4  # faint ink is made so many times stronger at most
STRIP = 256  # rows that are cleaned at once: a large photo has room for two pictures, not for ten


def clean(pixels: np.ndarray, ink: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3], white but for the ink.

    pixels: uint8 [H, W] or [H, W, 3]; ink: uint8 [H, W], not 0 where there is ink. Chalk, which is brighter than what it is
    on, keeps its hue and becomes dark.
    """
    if pixels.ndim == 2:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    if cv2.countNonZero(ink) in (0, ink.size):
        return np.full_like(pixels, 255)
    chalk = sum(cv2.mean(pixels, mask=ink)) > sum(cv2.mean(pixels, mask=np.uint8(ink == 0)))
    colour = paper(pixels, ink)
    if chalk:
        colour = np.maximum(255 - colour, 1)
    strips = [slice(top, top + STRIP) for top in range(0, len(pixels), STRIP)]

    def lack(rows):
        """Of light, beside the paper."""
        part = 255 - pixels[rows] if chalk else pixels[rows]
        return 255 - cv2.divide(part, stretched(colour, pixels.shape, rows.start, len(part)), scale=255)

    strength = np.concatenate([lack(rows).max(axis=2)[ink[rows] > 0] for rows in strips])
    gain = np.clip(STRONGEST * 255 / max(np.percentile(strength, 90), 1), 1, MOST_GAIN)
    cleaned = np.empty_like(pixels)
    for rows in strips:
        if chalk:
            hue = cv2.divide(pixels[rows], cv2.merge([pixels[rows].max(axis=2)] * 3), scale=255)
            grey = cv2.merge([cv2.convertScaleAbs(cv2.cvtColor(lack(rows), cv2.COLOR_RGB2GRAY), alpha=gain)] * 3)
            strong = 255 - cv2.multiply(hue, 255 - grey, scale=1 / 255)
        else:
            strong = cv2.convertScaleAbs(lack(rows), alpha=gain)
        above = min(rows.start, 2)
        soft = cv2.dilate(ink[rows.start - above:rows.stop + 2], np.ones((3, 3), np.uint8))
        soft = cv2.GaussianBlur(soft, (3, 3), 0)[above:above + len(strong)]  # with the blurred edges of the strokes
        cleaned[rows] = 255 - cv2.multiply(strong, cv2.merge([soft] * 3), scale=1 / 255)
    return cleaned


def paper(pixels: np.ndarray, ink: np.ndarray) -> np.ndarray:
    """The colour of the paper, also under the ink: uint8 [h, w, 3], the photo, uint8 [H, W, 3], in a far smaller size.

    The mean of what is no ink, uint8 [H, W], around each place, of the nearest that there is.
    """
    height, width = ink.shape
    cell = max(1, max(height, width) // (8 * WINDOW))
    size = max(1, width // cell), max(1, height // cell)
    light, weight = [], []
    for top in range(0, size[1] * cell, cell * max(1, STRIP // cell)):
        rows = slice(top, min(top + cell * max(1, STRIP // cell), size[1] * cell))
        free = (cv2.dilate(ink[max(rows.start - 2, 0):rows.stop + 2], np.ones((5, 5), np.uint8)) == 0) * np.uint8(255)
        free = free[min(rows.start, 2):][:rows.stop - rows.start]
        small = size[0], (rows.stop - rows.start) // cell
        light.append(cv2.resize(cv2.bitwise_and(pixels[rows], pixels[rows], mask=free), small, interpolation=cv2.INTER_AREA))
        weight.append(cv2.resize(free, small, interpolation=cv2.INTER_AREA))
    light, weight = np.concatenate(light).astype(np.float32), np.concatenate(weight).astype(np.float32) / 255
    summed, weights, window = np.zeros_like(light), np.zeros_like(weight), 9
    while weights.min() < 0.05 and window < 4 * max(size):
        missing = weights < 0.05  # in the widest stretches of ink only a wider window sees paper
        summed[missing] = cv2.blur(light, (window, window))[missing]
        weights[missing] = cv2.blur(weight, (window, window))[missing]
        window = 2 * window + 1
    return np.clip(summed / np.maximum(weights, 1e-3)[..., np.newaxis], 1, 255).astype(np.uint8)


def stretched(small: np.ndarray, shape: tuple, top: int, rows: int) -> np.ndarray:
    """Some rows, from `top` on, of a small picture, uint8 [h, w, 3], as large as a `shape` (H, W, ...)."""
    x, y = small.shape[1] / shape[1], small.shape[0] / shape[0]
    matrix = np.array([[x, 0, x / 2 - 0.5], [0, y, (top + 0.5) * y - 0.5]])  # places are those of pixels' middles
    return cv2.warpAffine(small, matrix, (shape[1], rows), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_REPLICATE)
