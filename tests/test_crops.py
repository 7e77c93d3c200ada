"""Crops of pages and what the page network should say of them."""
import cv2
import numpy as np
import pytest

from photos.crops import TARGETS, example, frames_of, moved, placement, word_targets
from photos.detector import Maps, words_of
from photos.folders import Page
from photos.network import STRIDE, WORD_HEIGHT
from tests.samples import turned

SIZE = 256, 192


def targets_of(quads, ignored=()):
    targets = np.zeros((SIZE[1] // STRIDE, SIZE[0] // STRIDE, len(TARGETS)), np.float32)
    quads, ignored = (np.asarray(part, np.float32).reshape(-1, 4, 2) for part in (quads, ignored))
    word_targets(quads, ignored, np.ones(targets.shape[:2], bool), targets)
    return dict(zip(TARGETS, np.moveaxis(targets, 2, 0)))


@pytest.mark.parametrize("angle", [0, 20, -28])
def test_words_are_found_again_from_what_the_network_should_say(angle):
    words = ((80, 60), (90, 30)), ((190, 110), (60, 24)), ((60, 150), (8, 8))
    quads = np.float32([turned(angle, *word) for word in words])
    said = targets_of(quads)
    logits = np.where(said["kernel"] > 0, 9, -9)
    sides = [np.log(np.maximum(said[name], 1e-3)) for name in ("left", "top", "right", "bottom")]
    found, scores = words_of(Maps.of(np.stack([0 * logits - 9, logits, *sides, said["angle"]], axis=2)))  # no ink
    assert len(found) == 3 and (scores > 0.99).all()
    for quad in quads:
        assert abs(found - quad).max(axis=(1, 2)).min() < 2 * STRIDE  # a kernel is known to a pixel of the maps


def test_the_distances_are_those_to_the_words_sides_in_its_own_frame():
    said = targets_of([turned(30, (128, 96), (120, 40))])
    middle = 96 // STRIDE, 128 // STRIDE
    assert said["kernel"][middle] == 1 and said["angle"][middle] == pytest.approx(np.radians(30), abs=1e-5)
    assert [said[name][middle] for name in ("left", "right")] == pytest.approx([30, 30], abs=1)
    assert [said[name][middle] for name in ("top", "bottom")] == pytest.approx([10, 10], abs=1)


def test_kernels_of_words_that_touch_stay_apart_and_short_words_weigh_more():
    said = targets_of([[[20, 20], [80, 20], [80, 50], [20, 50]], [[80, 20], [140, 20], [140, 50], [80, 50]],
                       [[150, 30], [158, 30], [158, 38], [150, 38]]])
    assert cv2.connectedComponents(said["kernel"].astype(np.uint8))[0] - 1 == 3
    assert said["box_weight"][17, 77] > said["box_weight"][17, 25] > 0


def test_ignored_regions_do_not_count_but_for_kernels_in_them():
    region = [[0, 0], [120, 0], [120, 80], [0, 80]]
    said = targets_of([[[20, 20], [80, 20], [80, 50], [20, 50]]], [region])
    assert said["kernel_weight"][30, 50] == 0 and said["kernel_weight"][17, 25] > 0 and said["kernel_weight"][80, 100] == 1


def test_a_word_that_the_crop_cuts_says_nothing_of_its_sides():
    said = targets_of([[[-40, 20], [60, 20], [60, 50], [-40, 50]]])
    assert said["kernel"].any() and not said["box_weight"].any()


def test_a_frame_is_clockwise_from_the_words_own_top_left():
    frames, boxes = frames_of(np.float32([turned(180, (50, 50), (40, 20))]))
    assert frames[0] == pytest.approx(np.array([[-1, 0], [0, -1]]), abs=1e-6)
    assert boxes[0] == pytest.approx([-70, -60, -30, -40], abs=1e-4)


def page():
    image = np.full((300, 400, 3), 220, np.uint8)
    ink = np.zeros((300, 400), np.uint8)
    cv2.putText(ink, "word", (150, 160), cv2.FONT_HERSHEY_SIMPLEX, 1.5, 255, 4)
    image[ink > 127] = 30
    x, y, width, height = cv2.boundingRect(ink)
    quad = [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]
    return Page("page", "train", image, [quad], ink=ink)


def test_an_unchanged_example_is_the_middle_of_the_page_at_the_networks_scale():
    image, targets = example(page(), SIZE)
    matrix = placement(page(), SIZE, None)
    quad = moved(page().quads, matrix)[0]
    assert np.ptp(quad[:, 1]) == pytest.approx(WORD_HEIGHT, abs=0.1)
    assert image.shape == (SIZE[1], SIZE[0], 3) and targets.shape == (SIZE[1] // 2, SIZE[0] // 2, len(TARGETS))
    ink = cv2.resize(targets[..., 0], SIZE)
    assert image[ink > 0.9].mean() + 60 < image[ink < 0.1].mean()
    again, same = example(page(), SIZE)
    assert (image == again).all() and (targets == same).all()


def test_random_examples_keep_ink_and_words_together():
    drawn = page()
    for seed in range(20):
        image, targets = example(drawn, SIZE, np.random.default_rng(seed))
        again, _ = example(drawn, SIZE, np.random.default_rng(seed))
        assert (image == again).all() and np.isfinite(targets).all()
        inside = targets[..., 9] > 0
        assert (targets[inside][:, 4:8] > 0).all() and (abs(targets[..., 8]) < np.radians(45)).all()
        if inside.sum() > 40:  # a whole word: its ink lies in its box
            rows, columns = np.nonzero(inside)
            assert targets[rows.min():rows.max() + 1, columns.min():columns.max() + 1, 0].max() > 0.5
