"""A board or page cleaned: its background even and white, the ink in its own colours.

    >>> write_image("cleaned.png", clean(pixels, found.ink))
"""
import cv2
import numpy as np

WINDOW = 40  # the paper's colour is a mean over a window that is this part of the photo's longer side
STRONGEST = 0.85  # how dark the darkest tenth of the ink becomes, of 1
MOST_GAIN = 4  # faint ink is made so many times stronger at most


def clean(pixels: np.ndarray, ink: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3], white but for the ink.

    pixels: uint8 [H, W] or [H, W, 3]; ink: uint8 [H, W], not 0 where there is ink. Chalk, which is brighter than what it is
    on, keeps its hue and becomes dark.
    """
    if pixels.ndim == 2:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    marked = ink > 0
    if not marked.any() or marked.all():
        return np.full_like(pixels, 255)
    hue = None
    if pixels[marked].mean() > pixels[~marked].mean():
        hue = cv2.divide(pixels, cv2.merge([pixels.max(axis=2)] * 3), scale=255)
        pixels = 255 - pixels
    lack = 255 - cv2.divide(pixels, paper(pixels, marked), scale=255)  # of light, beside the paper
    strongest = np.percentile(lack.max(axis=2)[marked], 90)
    gain = np.clip(STRONGEST * 255 / max(strongest, 1), 1, MOST_GAIN)
    if hue is not None:
        grey = cv2.merge([cv2.convertScaleAbs(cv2.cvtColor(lack, cv2.COLOR_RGB2GRAY), alpha=gain)] * 3)
        lack, gain = 255 - cv2.multiply(hue, 255 - grey, scale=1 / 255), 1
    soft = cv2.GaussianBlur(cv2.dilate(ink, np.ones((3, 3), np.uint8)), (3, 3), 0)  # with the blurred edges of the strokes
    return 255 - cv2.multiply(cv2.convertScaleAbs(lack, alpha=gain), cv2.merge([soft] * 3), scale=1 / 255)


def paper(pixels: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """The colour of the paper everywhere, also under the ink: uint8 of the shape of `pixels`, uint8 [H, W, 3].

    marked: bool [H, W], the ink. The mean of what is no ink around each place, of the nearest that there is.
    """
    height, width = marked.shape
    cell = max(1, max(height, width) // (8 * WINDOW))
    size = max(1, width // cell), max(1, height // cell)
    free = (~cv2.dilate(marked.view(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)).astype(np.uint8) * 255
    light = cv2.resize(cv2.bitwise_and(pixels, pixels, mask=free), size, interpolation=cv2.INTER_AREA).astype(np.float32)
    weight = cv2.resize(free, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    summed, weights, window = np.zeros_like(light), np.zeros_like(weight), 9
    while weights.min() < 0.05 and window < 4 * max(size):
        missing = weights < 0.05  # in the widest stretches of ink only a wider window sees paper
        summed[missing] = cv2.blur(light, (window, window))[missing]
        weights[missing] = cv2.blur(weight, (window, window))[missing]
        window = 2 * window + 1
    colour = np.clip(summed / np.maximum(weights, 1e-3)[..., np.newaxis], 1, 255).astype(np.uint8)
    return cv2.resize(colour, (width, height), interpolation=cv2.INTER_LINEAR)
