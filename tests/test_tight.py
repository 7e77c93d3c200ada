"""Words' boxes drawn tight around their own ink."""
import cv2
import numpy as np
import pytest

from photos.tight import own_ink, tighten, turned_together
from tests.samples import turned


def box(x, y, right, bottom):
    return [[x, y], [right, y], [right, bottom], [x, bottom]]


def test_a_loose_box_is_drawn_tight_and_a_narrow_one_wide():
    ink = np.zeros((100, 200), np.uint8)
    ink[40:60, 20:80] = ink[40:60, 120:180] = 255
    found = tighten(np.float32([box(15, 36, 86, 62), box(123, 42, 176, 58)]), ink)
    assert abs(found - np.float32([box(19.5, 39.5, 79.5, 59.5), box(119.5, 39.5, 179.5, 59.5)])).max() < 1e-3


def test_what_hangs_in_from_another_line_is_not_the_words():
    ink = np.zeros((100, 120), np.uint8)
    ink[10:30, 20:100] = ink[30:44, 90:94] = 255  # a word with a descender
    ink[50:64, 20:100] = 255
    quads = np.float32([box(18, 8, 102, 42), box(18, 43, 102, 66)])
    word, x, y = own_ink(quads, ink)
    assert set(word[(x >= 90) & (x < 94) & (y < 44)].tolist()) == {0}
    assert tighten(quads, ink)[1].tolist() == np.float32(box(19.5, 49.5, 99.5, 63.5)).tolist()


def test_a_line_under_several_words_is_cut_at_their_boxes():
    ink = np.zeros((60, 300), np.uint8)
    ink[20:40, 10:90] = ink[20:40, 110:190] = ink[20:40, 210:290] = 255
    ink[44:46, 0:300] = 255
    for k, quad in enumerate(tighten(np.float32([box(8 + 100 * k, 18, 92 + 100 * k, 42) for k in range(3)]), ink)):
        assert abs(quad[:, 0] - [9.5 + 100 * k, 89.5 + 100 * k, 89.5 + 100 * k, 9.5 + 100 * k]).max() < 4
        assert quad[2, 1] < 47


def test_a_box_without_ink_stays_and_no_words_are_no_words():
    quads = np.float32([box(10, 10, 50, 30)])
    assert abs(tighten(quads, np.zeros((60, 80), np.uint8)) - quads).max() < 1e-3
    assert tighten(quads[:0], np.zeros((60, 80), np.uint8)).shape == (0, 4, 2)


def test_short_words_are_turned_as_the_long_ones_around_them():
    long = [turned(10, (100, 100 + 40 * k), (120, 20)) for k in range(3)]
    angles = turned_together(np.float32([*long, turned(-40, (190, 120), (14, 12)), turned(-20, (2000, 2000), (90, 20))]))
    assert angles[:4] == pytest.approx(np.radians(10), abs=0.02) and angles[4] == pytest.approx(np.radians(-20), abs=0.02)


def test_a_turned_box_is_tight_in_its_own_frame():
    ink = np.zeros((200, 200), np.uint8)
    quad = np.float32(turned(25, (100, 100), (100, 30)))
    cv2.fillConvexPoly(ink, np.rint(quad * 16).astype(np.int32), 255, shift=4)
    found = tighten(np.float32([turned(25, (102, 98), (108, 34))]), ink)
    assert abs(found[0] - quad).max() < 1.6
