"""What a camera does to a page: few pixels, blur, noise, JPEG; and whether the word can still be read.

    >>> page, ink = fit_height(page, ink)
    >>> image = degrade(page, 15, "board", rng)
    >>> readable(image, ink, 26)
"""
import cv2
import numpy as np

from render.shapes import dot
from render.surfaces import cut, tiles

MAX_HEIGHT, MIN_HEIGHT = 70, 20  # px of the image
AFAR = {"scene": 0.16, "paper": 0.16, "board": 0.2}  # how often a word is seen from so far away that it has few pixels
GRAINY = {"scene": 0.6, "paper": 0.6, "board": 0.75}
BLUR = {"scene": 24, "paper": 24, "board": 36}  # px of an "x" a px of blur, at most
JPEG = {"scene": 0.35, "paper": 0.35, "board": 0.6}


def degrade(page, x_height, style, rng):
    """uint8 [H, W] of a page: few pixels, blur, noise, and what JPEG leaves; letters of `x_height` px stay readable."""
    height, width = page.shape
    grain, *_ = tiles()
    kind = rng.random() - AFAR[style]
    if kind < 0:  # seen from afar, then enlarged
        factor = min(rng.uniform(6, 9.5) / x_height, 1)
        size = max(round(width * factor), 1), max(round(height * factor), 1)
        small = cv2.resize(page, size, interpolation=cv2.INTER_AREA)
        page = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    elif kind < 0.4:
        page = cv2.GaussianBlur(page, (0, 0), rng.uniform(0.2, 0.3 + x_height / BLUR[style]))
    elif kind < 0.44:  # the camera moved
        page = cv2.blur(page, (2 + round(x_height / 12), 1))
    if rng.random() < GRAINY[style]:
        page = page + cut(grain, page.shape, rng) * np.float32(min(abs(rng.normal(0, 4)), 9, 0.4 * page.std()))
    image = np.clip(page, 0, 255).astype(np.uint8)
    if rng.random() < JPEG[style]:
        _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))])
        image = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)
    return image


def fit_height(page, ink):
    """Page and ink, resized where needed to MIN_HEIGHT to MAX_HEIGHT px."""
    height = min(max(page.shape[0], MIN_HEIGHT), MAX_HEIGHT)
    if height == page.shape[0]:
        return page, ink
    size = max(round(page.shape[1] * height / page.shape[0]), 1), height
    return tuple(cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (page, ink))


def readable(image, ink, least):
    """Whether the ink stands out from what is close around it, in every part of the word, by more than `least` grey levels.

    image: uint8 [H, W]; ink: float32 [H, W]. A part is a piece of the width about as wide as high.
    """
    parts = max(1, round(image.shape[1] / image.shape[0]))
    starts = (np.arange(parts) * image.shape[1]) // parts
    paper = cv2.dilate(ink, dot(9, 9)) - cv2.dilate(ink, dot(3, 3))  # or the outline, or the shadow
    strong = np.square(ink)
    sums = [np.add.reduceat(values.sum(axis=0), starts) for values in (strong, strong * image, paper, paper * image)]
    inked = (sums[0] > 3) & (sums[2] > 3)
    if not inked.any():
        return bool(sums[0].sum() > 3)  # the letters fill the image; there is nothing to compare them with
    gaps = (sums[1] / np.maximum(sums[0], 1e-3) - sums[3] / np.maximum(sums[2], 1e-3))[inked]
    return bool((abs(gaps) > least).all())
