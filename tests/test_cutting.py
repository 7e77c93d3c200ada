"""photos/cutting.py: words cut upright out of photos, without the strokes of others."""
import cv2
import numpy as np
import pytest
from samples import put_on_photo, turned, word_image

from photos.cutting import ENOUGH, cut, cut_alone, cut_to_read, halved, levels_of

SQUARE = [[10, 10], [60, 10], [60, 40], [10, 40]]


def test_an_upright_box_at_whole_pixels_is_copied():
    photo = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    pixels, reason = cut(photo, SQUARE)
    assert reason == "" and np.array_equal(pixels, photo[10:40, 10:60])
    pixels, _ = cut(photo[..., 0], [[0, 0], [120, 0], [120, 90], [0, 90]])
    assert np.array_equal(pixels, photo[..., 0])


@pytest.mark.parametrize("bend", [0, 0.35])
@pytest.mark.parametrize("angle", [0, 7, -25, 90, 133, 180, 270])
def test_a_word_warped_onto_a_photo_is_cut_out_as_it_was(angle, bend):
    word = word_image()
    polygon = turned(angle, bend=bend)
    pixels, reason = cut(put_on_photo(word, polygon, (600, 600)), polygon.tolist())
    assert reason == "" and abs(pixels.shape[1] - 240) <= 2 and abs(pixels.shape[0] - 80 * (1 - bend / 2)) <= 1
    differences = np.abs(cv2.resize(pixels, (240, 80)).astype(float) - word)[3:-3, 3:-3]
    assert differences.mean() < (4 if bend else 2)  # another direction or a mirror image: 30 and more


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 3, 2, 1), (0, 1, 3, 2), (0, 2, 1, 3)])
def test_the_first_point_is_top_left_and_the_others_may_cross(order):
    polygon = turned(20)
    photo = put_on_photo(word_image(), polygon, (600, 600))
    assert np.array_equal(cut(photo, polygon[list(order)])[0], cut(photo, polygon)[0])


def test_the_part_outside_the_photo_is_left_out():
    photo = np.random.default_rng(0).integers(0, 256, (50, 70), np.uint8)
    pixels, reason = cut(photo, [[-30, 20], [40, 20], [40, 80], [-30, 80]])
    assert reason == "" and np.array_equal(pixels, photo[20:, :40])
    pixels, reason = cut(photo, [[-1e9, -1e9], [1e9, -1e9], [1e9, 1e9], [-1e9, 1e9]])
    assert reason == "" and max(pixels.shape) < 200  # whatever a box of such a size shows
    polygon = turned(90, centre=(300, 10))  # downwards; its first 110 of 240 pixels are above the photo
    whole = put_on_photo(word_image(), polygon + [0, 200], (600, 600))
    clipped, _ = cut(whole[200:], polygon)
    assert abs(clipped.shape[1] - 130) <= 1
    assert np.abs(clipped[:, -125:].astype(float) - word_image()[:, -125:]).mean() < 3


@pytest.mark.parametrize("polygon, reason", [
    ([[200, 10], [260, 10], [260, 40], [200, 40]], "the box is outside the photo"),
    ([[10, -50], [60, -50], [60, -20], [10, -20]], "the box is outside the photo"),
    ([[-50, 10], [0.4, 10], [0.4, 40], [-50, 40]], "the box is outside the photo"),
    ([[10, 10]] * 4, "the box has no area"),
    ([[10, 10], [30, 10], [50, 10], [70, 10]], "the box has no area"),
    ([[10, 10], [60, 60], [10, 10], [60, 60]], "the box has no area"),
    ([[10, 10], [60, 10], [60, float("nan")], [10, 40]], "the box has no area"),
    ([[10, 10], [float("inf"), 10], [60, 40], [10, 40]], "the box has no area"),
])
def test_why_nothing_is_cut(polygon, reason):
    assert cut(np.zeros((90, 120), np.uint8), polygon) == (None, reason)


def test_a_box_longer_than_opencv_can_warp_is_named_and_one_as_long_is_cut():
    strip = np.zeros((6, 40_000), np.uint8)
    strip[:, ::1000] = 255
    assert cut(strip, [[10, 1], [39_000, 1], [39_000, 5], [10, 5]]) == (None, "the box is larger than 32,766 pixels")
    pixels, _ = cut(strip, [[10, 1], [32_000, 1], [32_000, 5], [10, 5]])
    assert np.array_equal(pixels, strip[1:5, 10:32_000])


def test_a_corner_that_lies_between_others_leaves_a_rectangle():
    photo = np.random.default_rng(0).integers(0, 256, (90, 120), np.uint8)
    pixels, reason = cut(photo, [[10, 10], [60, 10], [60, 40], [35, 25]])
    assert reason == "" and min(pixels.shape) > 15


def test_no_polygon_is_an_exception():
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (60, 80, 3), np.uint8)
    count = 0
    for _ in range(2000):
        polygon = rng.uniform(-60, 140, (4, 2)) * 10.0 ** rng.integers(-2, 8, (4, 1)).clip(0, rng.integers(0, 8))
        if rng.random() < 0.3:
            polygon = np.round(polygon, -1)
        if rng.random() < 0.1:
            polygon[rng.integers(4)] = polygon[rng.integers(4)]
        pixels, reason = cut(photo, polygon)
        assert (pixels is None) == bool(reason)
        assert pixels is None or (pixels.dtype == np.uint8 and min(pixels.shape) >= 1 and max(pixels.shape) <= 101)
        count += pixels is not None
    assert count > 500


# --- Without the strokes of others ------------------------------------------------------------------------------

def crowded():
    """(photo with a word, a tail from above, a frame through it; its ink; the word alone on the same paper), and its box."""
    alone = np.full((200, 400), 210, np.uint8)
    cv2.putText(alone, "word", (110, 130), cv2.FONT_HERSHEY_SIMPLEX, 2, 40, 5)
    photo = alone.copy()
    cv2.line(photo, (150, 10), (165, 92), 40, 6)  # the tail of a letter above
    cv2.line(photo, (265, 0), (265, 199), 40, 3)  # a frame
    return photo, np.where(photo < 130, 255, 0).astype(np.uint8), alone, [[100, 76], [268, 76], [268, 136], [100, 136]]


def test_strokes_that_lie_mostly_elsewhere_are_painted_over():
    photo, ink, alone, box = crowded()
    word, reason = cut_alone(photo, ink, box)
    assert reason == "" and word.shape == (60, 168)
    assert np.abs(word.astype(int) - cut(alone, box)[0]).max() < 40
    assert np.abs(cut(photo, box)[0].astype(int) - cut(alone, box)[0]).max() > 150


def test_strokes_of_the_word_that_leave_its_box_stay():
    photo, _, alone, _ = crowded()
    ink, box = np.where(alone < 130, 255, 0).astype(np.uint8), [[106, 104], [250, 104], [250, 130], [106, 130]]  # cuts it
    assert np.array_equal(cut_alone(alone, ink, box)[0], cut(alone, box)[0])


@pytest.mark.filterwarnings("error")
def test_where_all_or_nothing_is_ink_nothing_is_painted_over():
    photo, _, _, box = crowded()
    for shade in (0, 255):
        assert np.array_equal(cut_alone(photo, np.full_like(photo, shade), box)[0], cut(photo, box)[0])


@pytest.mark.parametrize("polygon", [[[10, 10]] * 4, [[900, 10], [960, 10], [960, 40], [900, 40]],
                                     [[-900, -10], [-860, -10], [-860, 4], [-900, 4]]])
def test_no_box_no_word(polygon):
    photo, ink, *_ = crowded()
    assert cut_alone(photo, ink, polygon) == cut(photo, polygon) and cut_alone(photo, ink, polygon)[0] is None


# --- From a smaller photo ---------------------------------------------------------------------------------------

def test_halves_are_means_of_two_by_two_pixels():
    photo = np.random.default_rng(0).integers(0, 256, (91, 120, 3), np.uint8)
    expected = photo[:90].reshape(45, 2, 60, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved(photo) - expected).max() <= 0.5
    ink = np.zeros((90, 120), np.uint8)
    ink[:, 40:41] = ink[:, 60:63] = 255  # half of two columns, and all of two and half of two
    halves = [half for _, half in levels_of(photo[:90, :, 0], ink)]
    assert [half.shape for half in halves] == [(90, 120), (45, 60)]
    assert halves[1].max(axis=0).nonzero()[0].tolist() == [20, 30, 31] and set(np.unique(halves[1])) == {0, 255}


@pytest.mark.parametrize("height, expected", [(ENOUGH, ENOUGH), (2 * ENOUGH - 1, 2 * ENOUGH - 1), (2 * ENOUGH, ENOUGH),
                                              (4 * ENOUGH + 4, ENOUGH + 1), (8 * ENOUGH, 2 * ENOUGH)])
def test_high_words_are_cut_from_a_smaller_photo(height, expected):
    word = np.random.default_rng(0).integers(0, 256, (height // 8 + 1, 60), np.uint8)
    word = np.kron(word, np.ones((8, 8), np.uint8))[:height]
    photo = np.full((8 * ENOUGH + 16, 600), 200, np.uint8)
    photo[8:8 + height, 16:496] = word
    box = [[16, 8], [496, 8], [496, 8 + height], [16, 8 + height]]
    levels = levels_of(photo, np.zeros_like(photo))[:3]  # as if the photo were too small for more
    pixels, reason = cut_to_read(levels, box)
    scale = height // expected
    assert reason == "" and pixels.shape == (expected, 480 // scale)
    means = word.reshape(expected, scale, 480 // scale, scale).mean(axis=(1, 3))
    assert np.abs(pixels - means).max() <= 1


def test_low_words_are_enlarged_before_they_are_cut():
    word = cv2.resize(cv2.cvtColor(word_image(), cv2.COLOR_RGB2GRAY), (24, 8), interpolation=cv2.INTER_AREA)
    photo = np.full((60, 80), word[0, 0], np.uint8)
    photo[20:28, 30:54] = word
    box = [[30.4, 20.4], [53.6, 20.4], [53.6, 27.6], [30.4, 27.6]]
    pixels, reason = cut_to_read(levels_of(photo, np.zeros_like(photo)), box)
    assert reason == "" and pixels.shape == (29, 93)  # four times as large
    assert np.abs(pixels.astype(float) - cv2.resize(word, (96, 32))[2:31, 2:95]).mean() < 4
    far = [[700, 20], [724, 20], [724, 28], [700, 28]]
    assert cut_to_read(levels_of(photo, np.zeros_like(photo)), far) == (None, "the box is outside the photo")


def test_small_cuts_are_without_the_strokes_of_others():
    photo, ink, alone, box = crowded()
    levels = levels_of(*(np.kron(part, np.ones((4, 4), np.uint8)) for part in (photo, ink)))
    word, reason = cut_to_read(levels, 4 * np.array(box))
    assert reason == "" and word.shape == (60, 168)  # from a quarter of the size
    assert np.abs(word.astype(int) - cut(alone, box)[0]).max() < 40
    thin = [[800, 304], [816, 304], [816, 544], [800, 544]]
    assert cut_to_read(levels, thin)[0].shape == (120, 8)
    assert cut_to_read(levels, [[10, 10]] * 4) == (None, "the box has no area")
