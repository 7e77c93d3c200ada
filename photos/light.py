"""Uneven light taken out of a photo: the paper or board becomes one grey, whatever its colour and the shadows on it.

    >>> even = even_light(pixels)  # uint8 [H, W, 3], paper about PAPER in every channel
"""
import cv2

PAPER = 150  # of 255, so that chalk on a blackboard has room to be brighter
CELL, WINDOW = 8, 15  # px; the paper is the median over WINDOW x WINDOW cells of CELL x CELL pixels
DARKEST = 16  # grey levels added to photo and paper, so that noise in the dark is not blown up


def background(pixels):
    """The paper or board behind the ink: uint8 of the shape of `pixels`, uint8 [H, W] or [H, W, 3], at a scale where words
    are some 20 to 60 px high, so that no pen fills half of a window."""
    height, width = pixels.shape[:2]
    cells = max(width // CELL, 1), max(height // CELL, 1)
    small = cv2.medianBlur(cv2.resize(pixels, cells, interpolation=cv2.INTER_AREA), WINDOW)
    return cv2.resize(cv2.blur(small, (3, 3)), (width, height), interpolation=cv2.INTER_LINEAR)


def even_light(pixels):
    """Photo over background, uint8 [H, W, 3] of uint8 [H, W, 3]: PAPER where there is nothing, less where there is ink, more
    where there is chalk. The one way from a photo to what the page network sees, in training and reading."""
    dark = (DARKEST,) * 4
    return cv2.divide(cv2.add(pixels, dark), cv2.add(background(pixels), dark), scale=PAPER)
