"""Scoring of words' boxes on photos."""
import numpy as np
import pytest

from photos.metrics import areas, f1, intersections, match


def box(x, y, width, height):
    return [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]


def boxes(*sides):
    return np.array([box(*side) for side in sides], np.float32).reshape(-1, 4, 2)


def test_areas_and_intersections_of_upright_and_turned_boxes():
    diamond = np.float32([[[5, 0], [10, 5], [5, 10], [0, 5]]])
    assert areas(diamond) == pytest.approx([50])
    assert areas(boxes((0, 0, 4, 3), (9, 9, 1, 1))) == pytest.approx([12, 1])
    shared = intersections(np.concatenate([diamond, boxes((0, 0, 4, 3))]),
                           boxes((0, 0, 5, 5), (2, 1, 10, 10), (50, 50, 2, 2)))
    assert shared[0] == pytest.approx([12.5, 50 - 4 - 1, 0])  # less a corner 2 px high, and one of 1 px
    assert shared[1] == pytest.approx([12, 2 * 2, 0])


def test_each_box_counts_once_and_the_best_pairs_first():
    true = boxes((0, 0, 10, 10), (20, 0, 10, 10))
    found = boxes((0, 0, 10, 8), (0, 0, 10, 9), (23, 0, 10, 10), (60, 0, 5, 5))
    assert match(found, true, least=0.5) == (2, 4, 2)  # one of the doubles, and 7 of 13 columns
    assert match(found, true, least=0.7) == (1, 4, 2)
    assert match(found[:0], true) == (0, 0, 2)
    assert match(found, true[:0]) == (0, 4, 0)


def test_what_lies_in_an_ignored_region_does_not_count_unless_it_fits_a_word():
    true, ignored = boxes((0, 0, 10, 10)), boxes((0, 0, 100, 10))
    found = boxes((0, 0, 10, 10), (40, 0, 10, 10), (60, 6, 10, 10))  # the last lies outside by more than half
    assert match(found, true, ignored) == (1, 2, 1)


def test_f1():
    assert f1(1, 4, 2) == pytest.approx({"precision": 0.25, "recall": 0.5, "f1": 1 / 3})
    assert f1(0, 0, 0) == {"precision": 0, "recall": 0, "f1": 0}
