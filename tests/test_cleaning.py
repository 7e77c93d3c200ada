"""photos/cleaning.py: boards with shadows and coloured pens, whose ink is known."""
import tracemalloc

import cv2
import numpy as np
import pytest

from photos.cleaning import clean


def board(paper, pens, seed=0):
    """(photo uint8 [300, 400, 3] under uneven light, its ink uint8 [300, 400]), with a cross in the colour of each pen."""
    light = np.linspace(1, 0.55, 400)[np.newaxis, :, np.newaxis] * np.ones((300, 1, 1))
    light[200:] *= 0.8  # a shadow
    colour, ink = np.full((300, 400, 3), paper, np.float32), np.zeros((300, 400), np.uint8)
    for k, pen in enumerate(pens):
        for ends in (((30 + 90 * k, 60), (80 + 90 * k, 240)), ((80 + 90 * k, 60), (30 + 90 * k, 240))):
            cv2.line(colour, *ends, pen, 5)
            cv2.line(ink, *ends, 255, 5)
    noise = np.random.default_rng(seed).normal(0, 2, colour.shape)
    return np.clip(colour * light + noise, 0, 255).astype(np.uint8), ink


@pytest.mark.parametrize("paper", [(230, 230, 225), (250, 220, 120)])  # a whiteboard, a yellow note
def test_the_background_is_white_and_pens_keep_their_colours(paper):
    photo, ink = board(paper, [(200, 30, 30), (30, 140, 40), (30, 40, 190), (40, 40, 40)])
    cleaned = clean(photo, ink).astype(int)
    assert cleaned.shape == photo.shape
    assert (cleaned[cv2.dilate(ink, np.ones((9, 9), np.uint8)) == 0] == 255).all()
    for k in range(4):
        shade = np.median(cleaned[:, 20 + 90 * k:95 + 90 * k][ink[:, 20 + 90 * k:95 + 90 * k] > 0], axis=0)
        assert shade.min() < 110
        assert shade.argmax() == k and shade.max() - np.median(shade) > 60 if k < 3 else np.ptp(shade) < 60


def test_chalk_becomes_dark_and_keeps_its_hue():
    photo, ink = board((40, 70, 55), [(235, 235, 230), (240, 220, 60)])
    cleaned = clean(photo, ink).astype(int)
    assert (cleaned[cv2.dilate(ink, np.ones((9, 9), np.uint8)) == 0] == 255).all()
    white, yellow = (np.median(cleaned[:, part][ink[:, part] > 0], axis=0) for part in (slice(20, 95), slice(110, 185)))
    assert white.max() < 130 and np.ptp(white) < 40 and yellow[2] < yellow[:2].min() - 20


@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 3), (1, 1, 3)])
def test_without_ink_or_paper_all_is_white(ink, shape):
    assert (clean(np.full(shape, 90, np.uint8), np.full(shape[:2], ink, np.uint8)) == 255).all()


@pytest.mark.parametrize("paper, pen", [(220, 40), (40, 220)])
def test_a_large_photo_takes_little_more_memory_than_two_pictures(paper, pen):
    pixels = np.full((2500, 2000, 3), paper, np.uint8)
    pixels[::50] = pen
    ink = np.uint8(255) * (pixels[..., 0] == pen)
    tracemalloc.start()
    cleaned = clean(pixels, ink)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 3 * pixels.nbytes and cleaned[300].max() < 100 and cleaned[325].min() > 250
