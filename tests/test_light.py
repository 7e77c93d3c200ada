"""Uneven light taken out of a photo."""
import cv2
import numpy as np

from photos.light import PAPER, background, even_light


def photo(paper, ink, slope):
    """A board with strokes under light that falls off to the right, uint8 [240, 320, 3], and where the strokes are."""
    strokes = np.zeros((240, 320), np.uint8)
    for y in (60, 120, 180):
        cv2.putText(strokes, "some words", (20, y), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 2)
    light = np.linspace(1, slope, 320)[None, :, None]
    pixels = np.where(strokes[..., None] > 127, np.array(ink), np.array(paper)) * light
    return pixels.astype(np.uint8), strokes > 127


def test_paper_becomes_one_grey_whatever_its_colour_and_the_light():
    for paper in ((240, 240, 240), (250, 230, 110)):
        pixels, strokes = photo(paper, (40, 40, 90), 0.45)
        even = even_light(pixels).astype(int)
        plain = ~cv2.dilate(strokes.view(np.uint8), np.ones((5, 5), np.uint8)).view(bool)
        assert even.shape == pixels.shape and abs(even[plain] - PAPER).mean() < 5
        assert even[strokes].mean() < 0.6 * PAPER


def test_chalk_becomes_brighter_than_its_board():
    pixels, strokes = photo((40, 60, 50), (220, 220, 210), 0.6)
    even = even_light(pixels).astype(int)
    assert abs(np.median(even[~strokes]) - PAPER) < 5 and even[strokes].min() > 1.2 * PAPER


def test_the_background_has_the_photos_shape_grey_or_colour_however_small():
    for shape in ((240, 320), (240, 320, 3), (5, 3, 3), (1, 1)):
        assert background(np.full(shape, 200, np.uint8)).shape == shape
        assert abs(int(background(np.full(shape, 200, np.uint8)).mean()) - 200) <= 1
