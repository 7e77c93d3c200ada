"""render/shapes.py: bent, underlined and cropped, a word keeps its letters."""
import numpy as np
import pytest

from render import shapes


@pytest.mark.parametrize("radius", [80, -80])
def test_an_arc_is_a_circle_s(radius):
    """Letters a quarter of the circle from the middle stand upright on it, turned by 90 degrees: worked by hand."""
    quarter = abs(radius) * np.pi / 2
    #         the middle, 5 px over it, a quarter to the right on the baseline, and 5 px over that, which is outwards
    along = np.float32([[0, 0, 80, 80 + np.sign(radius) * 5]])
    down = np.float32([[0, -5, radius, radius]])
    x, y = shapes.unbend(along, down, radius)
    assert np.allclose(x, [[0, 0, quarter, quarter]], atol=1e-3) and np.allclose(y, [[0, -5, 0, -5]], atol=1e-3)


def test_signs_are_bent_and_nothing_is_cut_off(monkeypatch):
    trim, pages = shapes.trim, []
    monkeypatch.setattr(shapes, "trim", lambda page: pages.append(page) or trim(page))

    def heights(bent):
        monkeypatch.setattr(shapes, "BENT", bent)
        word = np.full((40, 240), 255, np.uint8)
        return np.array([shapes.warp(word, 40, "scene", np.random.default_rng(seed))[0].shape[0]
                         for seed in range(100)])

    more = heights(1) - heights(0)  # of the same words, bent and straight
    assert more.max() > 30 and (more > 10).mean() > 0.2
    for page in pages:  # paper is left on each side
        assert not any(side.max() > 130 for side in (page[0], page[-1], page[:, 0], page[:, -1]))


def test_an_underline_lies_beneath_and_leaves_the_letters():
    ink = np.zeros((40, 100), np.uint8)
    ink[:30, 20:60] = 200
    for seed in range(20):
        lined = shapes.underline(ink, np.random.default_rng(seed))
        line = (lined == 255).all(axis=1)
        assert 1 <= line.sum() <= 5 and np.flatnonzero(line)[0] >= 38 and line[-1]
        assert np.array_equal(lined[:38], ink[:38])


def test_a_crop_takes_no_letter():
    ink = np.zeros((40, 80), np.float32)
    ink[:, :2] = ink[10:30, 20:60] = ink[38:, 78:] = 1  # an "l" at the left, a full stop at the right
    for seed in range(300):
        cropped, strangers = shapes.crop(ink, 40, "paper", np.random.default_rng(seed))
        assert (cropped.sum(axis=0) > 30).any() and cropped[:, -20:].sum() >= 2
        if strangers is not None:  # bits of neighbours stand at the edges, small, and not over the word
            assert strangers.sum(axis=0).max() < 20 and not (strangers * cropped)[8:-8, 8:-8].any()


def test_a_bent_word_s_margins_are_those_of_its_letters():
    ink = np.zeros((120, 200), np.float32)  # an arc of letters 40 px high
    ink[:30] = 1
    for seed in range(100):
        cropped, strangers = shapes.crop(ink, 40, "paper", np.random.default_rng(seed))
        assert strangers is None or not strangers[8:-8].any()  # stems of 30 px are not left standing beside the word
        assert 116 <= cropped.shape[0] <= 120 + 2 * 0.46 * 40 + 2 and 196 <= cropped.shape[1] <= 200 + 2 * 0.46 * 40 + 2


def test_what_is_drawn_around_a_word_leaves_its_letters(monkeypatch):
    monkeypatch.setitem(shapes.LINED, "board", 1)
    monkeypatch.setitem(shapes.NEAR, "board", (0, 0, 0, 0))
    ink = np.ones((40, 120), np.float32)
    seen = []
    for seed in range(100):
        cropped, strangers = shapes.crop(ink, 40, "board", np.random.default_rng(seed))
        assert cropped.sum() == ink.sum() and 0 <= strangers.min() and strangers.max() <= 1
        y, x = (np.flatnonzero(cropped.any(axis=axis))[0] for axis in (1, 0))
        assert (strangers[y + 8:y + 32, x + 20:x + 100] > 0.5).mean() < 0.1  # the word's middle stays free
        seen.append(strangers.any())
    assert np.mean(seen) > 0.9
