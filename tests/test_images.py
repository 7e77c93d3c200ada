"""words/images.py: what is ink and how it comes to the network, on words drawn here."""
from pathlib import Path

import cv2
import numpy as np
import pytest
import samples

from words.images import (
    PAPER,
    beside_a_piece,
    prepare,
    prepare_to_read,
    random_placement,
    random_resolution,
    random_ruling,
    random_stroke,
    random_warp,
)

ROOT = Path(__file__).parent.parent
SIZE = (100, 32)  # width, height


def draw(*args, **changes):
    """`samples.draw`, cut close to the strokes, so that nothing of it is cut off."""
    pixels, strokes = samples.draw(*args, **changes)
    return close_crop(pixels, strokes), close_crop(strokes, strokes)


def close_crop(pixels, strokes, air=4):
    down, across = (np.flatnonzero(strokes.any(axis=axis)) for axis in (1, 0))
    return pixels[max(down[0] - air, 0):down[-1] + 1 + air, max(across[0] - air, 0):across[-1] + 1 + air]


def difference(pixels, other):
    """The mean difference of two images as the network sees them, in parts of what ink there is."""
    image, other = prepare(pixels), prepare(other)
    return np.abs(image - other).sum() / np.abs(other).sum()


def assert_network_input(image, size=SIZE):
    assert image.shape == (*size, 1) and image.dtype == np.float32 and image.flags.c_contiguous
    assert np.isfinite(image).all() and image.min() >= -1 and image.max() <= 1


@pytest.mark.parametrize("height", [7, 10])
def test_a_word_of_few_pixels_is_seen_as_the_same_word_with_many(height):
    for path in sorted((ROOT / "imgs" / "words").glob("*.png")):
        pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        few = cv2.resize(pixels, (round(pixels.shape[1] * height / len(pixels)), height), interpolation=cv2.INTER_AREA)
        assert np.corrcoef(prepare(pixels).ravel(), prepare(few).ravel())[0, 1] > 0.65, path.name


SHAPES = [(1, 1), (1, 2), (2, 1), (1, 5000), (5000, 1), (32, 100), (37, 211), (300, 7),
          (64, 64, 1), (40, 90, 2), (9, 90, 3), (40, 9, 4), (1, 1, 4)]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, bool, np.float32, np.float64])
def test_any_image_becomes_what_the_network_takes(dtype):
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        pixels = rng.integers(0, 2 if dtype is bool else 65536, shape).astype(dtype)
        if dtype in (np.float32, np.float64):
            pixels = pixels / dtype(999)
            pixels[rng.random(shape) < 0.1] = np.nan
        before = pixels.copy()
        assert_network_input(prepare(pixels))
        assert_network_input(prepare(pixels, rng=rng))
        assert_network_input(prepare(pixels, (128, 48), rng), (128, 48))
        np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
def test_one_flat_shade_has_no_ink(dtype):
    for level in (0, 1, 128, 255):
        assert not prepare(np.full((30, 80), level, dtype)).any()


def test_the_grain_of_blank_paper_is_not_taken_for_ink():
    grain = np.random.default_rng(0).integers(240, 243, (60, 220), np.uint8)
    assert prepare(grain).max() < 0.2


@pytest.mark.parametrize("shape", [(0, 5), (5,), (), (5, 5, 5), (5, 5, 0), (1, 5, 5, 3)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(ValueError, match="shape"):
        prepare(np.zeros(shape, np.uint8))


def test_20_megapixels_show_the_same_word():
    pixels, _ = draw()
    large = cv2.resize(pixels, (8500, round(8500 / pixels.shape[1] * pixels.shape[0])), interpolation=cv2.INTER_CUBIC)
    assert large.size > 18e6
    assert difference(large, pixels) < 0.08


def test_ink_is_bright_and_paper_dark_whatever_the_polarity():
    pixels, strokes = draw()
    image = prepare(pixels)
    place = prepare(np.where(strokes, 0, 255).astype(np.uint8))
    assert image[place > 0.9].mean() > 0.9 and image[place < 0.1].mean() < 0.03
    assert np.abs(image - prepare(255 - pixels)).mean() < 0.005


@pytest.mark.parametrize("paper, ink", [(255, 0), (225, 60), (160, 110), (90, 200), (20, 60)])
def test_shade_of_paper_and_pen_makes_no_difference(paper, ink):
    image = prepare(draw(paper=paper, ink=ink, noise=0)[0])
    assert np.abs(image - prepare(draw(paper=255, ink=0, noise=0)[0])).mean() < 0.02


@pytest.mark.parametrize("paper", [250, 235, 215])
def test_white_patches_in_the_background_as_iam_has_them_change_little(paper):
    pixels, strokes = draw(paper=paper, ink=80)
    free = cv2.dilate(strokes.astype(np.uint8), np.ones((9, 9))) == 0
    half, left, around = (np.zeros_like(strokes) for _ in range(3))
    half[:30], left[:, :70], around[:] = True, True, True
    for patch in (half, left, around):
        assert np.abs(prepare(np.where(patch & free, 255, pixels)) - prepare(pixels)).mean() < 0.05


def test_what_differs_from_the_paper_the_other_way_is_seen_but_not_as_ink():
    pixels = np.full((34, 76), 130, np.uint8)
    for k, level in enumerate((30, 230, 30, 160, 30, 180, 30)):  # ink between what is far lighter, a little, more
        pixels[5:29, 5 + 10 * k:11 + 10 * k] = level
    scale = 28 / 34
    middles = np.round(4 + scale * (8 + 10 * np.arange(7)) - 0.5).astype(int)
    image = prepare(pixels)[middles, 10:22, 0]
    assert image[::2] == pytest.approx(1, abs=0.02)
    assert image[1] == pytest.approx(-1 + 1 / 3, abs=0.02)  # as far from the paper as the ink, less a third
    assert image[3] == pytest.approx(0, abs=0.02)  # 0.3 of the ink's contrast is paper's still
    assert image[5] == pytest.approx(-0.5 + 1 / 3, abs=0.02)


def test_the_kind_of_array_makes_no_difference():
    grey = draw(paper=255, ink=0, noise=0)[0]
    expected = prepare(grey)
    opaque, black = np.full_like(grey, 255), np.zeros_like(grey)
    for same in (grey[..., np.newaxis], np.asfortranarray(grey), np.repeat(grey, 2, axis=1)[:, ::2],
                 np.dstack([grey] * 3), np.dstack([grey, grey, grey, opaque]), np.dstack([grey, opaque]),
                 grey.astype(np.uint16) * 257, grey.astype(np.int32), grey.astype(np.float32) / 255,
                 np.dstack([black, black, black, 255 - grey]),  # ink by its alpha alone: see-through is paper
                 np.dstack([black, 255 - grey])):
        np.testing.assert_allclose(prepare(same), expected, atol=0.02)
    np.testing.assert_allclose(prepare(grey > 127), prepare(np.uint8(255) * (grey > 127)), atol=1e-6)


def test_colours_are_in_rgb_order():
    pixels = np.full((32, 44, 3), 255, np.uint8)
    pixels[4:28, 4:12], pixels[4:28, 32:40] = (255, 0, 0), (0, 0, 255)  # a red stroke, then a blue one: darker
    image = prepare(pixels)  # by 28 / 32 smaller
    assert image[34:37, 8:24].min() > 0.95
    assert image[10:12, 8:24].mean() == pytest.approx((255 - 76) / (255 - 29), abs=0.03)


@pytest.mark.parametrize("width, height", [(40, 40), (80, 20), (200, 20), (20, 80)])
@pytest.mark.parametrize("air", [(9, 9), (20, 30), (7, 60)])
def test_a_bar_is_as_large_as_fits_with_a_little_paper_around_it_and_starts_at_the_left(width, height, air):
    across, down = air
    pixels = np.full((height + 2 * down, width + 2 * across), 255, np.uint8)
    pixels[down:down + height, across:across + width] = 0
    ink = prepare(pixels)[..., 0] > 0.5
    columns, lines = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    left, above = (0.3 * height if free > 0.45 * height else free for free in air)  # more than is usual is cut
    scale = min(92 / (width + 2 * left), 28 / (height + 2 * above))  # of 100 x 32, 4 and 2 are free on either side
    assert len(columns) == pytest.approx(scale * width, abs=4) and len(lines) == pytest.approx(scale * height, abs=2)
    assert columns[0] == pytest.approx(4 + scale * left, abs=1)
    assert (lines[0] + lines[-1]) / 2 == pytest.approx((SIZE[1] - 1) / 2, abs=1)


# --- Frames, margins, light -----------------------------------------------------------------------------------

def framed(pixels, level, sides=(1, 1, 1, 1)):
    return cv2.copyMakeBorder(pixels, *sides, cv2.BORDER_CONSTANT, value=level)


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("sides", [(1, 1, 1, 1), (2, 2, 2, 2), (1, 0, 0, 0), (0, 2, 0, 0), (0, 0, 1, 0), (0, 1, 0, 2)])
@pytest.mark.parametrize("paper, ink", [(190, 60), (65, 190)])
def test_a_frame_of_any_shade_on_any_side_makes_no_difference(level, sides, paper, ink):
    pixels, _ = draw(paper=paper, ink=ink)
    assert difference(framed(pixels, level, sides), pixels) < 0.12


def test_a_form_s_line_inside_the_border_makes_no_difference():
    pixels, _ = draw()
    boxed = framed(framed(framed(pixels, 225, (2, 2, 3, 3)), 90, (2, 2, 2, 2)), 225)
    assert difference(boxed, framed(pixels, 225, (2, 2, 3, 3))) < 0.12


def test_a_letter_s_stem_along_the_border_is_no_frame():
    pixels = np.full((50, 120), 230, np.uint8)
    pixels[3:47, :3] = 40
    for left in range(12, 110, 12):
        pixels[20:47, left:left + 4] = 40
    assert prepare(pixels)[4, 6:-6].min() > 0.9


def test_an_empty_field_of_a_form_has_no_ink():
    assert prepare(framed(np.full((60, 200), 230, np.uint8), 60)).max() < 0.2


def with_margin(pixels, share, paper=225):
    """Paper with grain all around, each side `share` of the height wide."""
    air = round(share * len(pixels))
    sides = np.random.default_rng(1).normal(paper, 4, np.add(pixels.shape, 2 * air)).clip(0, 255).astype(np.uint8)
    sides[air:-air, air:-air] = pixels
    return sides


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("text", ["letter", "plug", "even"])
def test_a_loose_crop_shows_what_a_close_one_shows(share, text):
    pixels = close_crop(*samples.draw(text), air=0)
    assert difference(with_margin(pixels, share), with_margin(pixels, 0.3)) < 0.2


def test_specks_and_pieces_of_neighbours_in_a_loose_crop_count_for_nothing():
    pixels = with_margin(draw()[0], 1.0)
    dirty = pixels.copy()
    for row, column in ((3, 9), (20, 150), (100, 30), (70, 190)):
        dirty[row:row + 2, column:column + 2] = 60
    dirty[:6, 30:110] = 60  # of the line above
    dirty[-5:, 40:120] = 60
    assert difference(dirty, pixels) < 0.1


def test_a_long_word_is_seen_in_halves_too():
    word = draw("letter")[0]
    pixels = np.hstack([word, word])
    seen = prepare_to_read(pixels)
    assert (seen.whole == prepare(pixels)).all() and seen.halves.dtype == np.float32
    for half in seen.halves:
        assert np.abs(half - prepare(word)).sum() < 0.3 * np.abs(half).sum()
        assert half.max(axis=0).sum() > 1.5 * seen.whole.max(axis=0).sum()  # larger
    assert prepare_to_read(word).halves is None


def test_letters_far_apart_stay_together():
    pixels = np.full((40, 190), 230, np.uint8)
    pixels[10:30, 10:16] = pixels[10:30, 90:96] = pixels[10:30, 170:176] = 40
    image = prepare(pixels)[:, 16, 0] > 0.5
    assert np.count_nonzero(np.diff(image.astype(int)) == 1) == 3


def test_the_dot_of_an_i_stays():
    pixels = np.full((60, 90), 230, np.uint8)
    pixels[30:52, 10:16] = pixels[30:52, 30:36] = pixels[30:52, 50:56] = 40
    dotted = pixels.copy()
    dotted[4:9, 10:16] = 40
    assert (prepare(dotted)[:, :8] > 0.5).any() and not (prepare(pixels)[:, :3] > 0.5).any()


@pytest.mark.parametrize("paper, ink, dark, start", [
    (235, 40, 0.4, 0.3), (235, 40, 0.6, 0.5), (235, 40, 0.5, 0.8), (130, 240, 0.4, 0.5)])
def test_a_hard_shadow_makes_little_difference(paper, ink, dark, start):
    pixels, _ = draw("shadow", paper=paper, ink=ink, noise=1)
    shaded = pixels.astype(float)
    shaded[:, round(start * pixels.shape[1]):] *= dark
    assert difference(shaded.astype(np.uint8), pixels) < 0.35


def test_glare_makes_little_difference():
    pixels, _ = draw("glare", paper=150, ink=40, noise=1)
    glare = np.exp(-((np.arange(pixels.shape[1]) / pixels.shape[1] - 0.5) / 0.2) ** 2)
    assert difference((pixels + (255 - pixels) * 0.6 * glare).astype(np.uint8), pixels) < 0.35


def test_what_is_drawn_in_white_on_nothing_is_seen():
    grey = draw(paper=255, ink=0, noise=0)[0]
    white = np.full_like(grey, 255)
    for drawn in (np.dstack([white, white, white, 255 - grey]), np.dstack([white, 255 - grey])):
        np.testing.assert_allclose(prepare(drawn), prepare(grey), atol=0.02)


@pytest.mark.parametrize("pixels", [
    np.full((4, 9), "a"), np.full((4, 9), None), np.ones((4, 9), complex), np.zeros((4, 9), "M8[s]"),
    np.zeros((4, 9), [("r", "u1"), ("g", "u1")])])
def test_an_array_of_no_numbers_is_refused(pixels):
    with pytest.raises(ValueError, match="an image holds numbers"):
        prepare(pixels)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [">u2", ">f4", np.int8, np.int64, np.float16, np.longdouble])
def test_any_kind_of_numbers_shows_the_same_word(dtype):
    grey = draw(paper=120, ink=0, noise=0)[0]
    assert difference(grey.astype(dtype), grey) < 0.02
    vast = grey.astype(np.float64)
    vast[0, 0] = 1e300  # beyond float32: counts as 0
    assert_network_input(prepare(vast))


# --- Augmentation ---------------------------------------------------------------------------------------------

def test_augmentation_depends_on_its_generator_alone():
    pixels, _ = draw()
    plain = prepare(pixels)
    first, again, other = (prepare(pixels, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.02 and np.abs(first - plain).mean() > 0.02


def test_augmentation_neither_rubs_a_thin_pen_out_nor_fills_the_image():
    pixels = cv2.putText(np.full((60, 220), 230, np.uint8), "thin", (10, 42), cv2.FONT_HERSHEY_SIMPLEX, 1.6, 60, 1,
                         cv2.LINE_AA)
    plain = prepare(pixels)
    for seed in range(100):
        image = prepare(pixels, rng=np.random.default_rng(seed))
        assert_network_input(image)
        assert image.max() > 0.25 * plain.max() and image.mean() < 0.4


def test_pens_become_thicker_and_thinner_but_a_stroke_of_one_pixel_stays():
    canvas = np.zeros((64, 200), np.uint8)
    canvas[20, 30:170] = 255
    inks = []
    for seed in range(60):
        drawn = random_stroke(canvas.copy(), np.random.default_rng(seed))
        assert drawn[20, 40:160].min() >= 70 and drawn.dtype == np.uint8
        inks.append(drawn.sum() / canvas.sum())
    assert min(inks) < 0.9 and max(inks) > 1.5 and inks.count(1) > 30


@pytest.mark.parametrize("shape", [(30, 100), (60, 60), (20, 300), (1, 1), (100, 10)])
def test_augmentation_keeps_the_whole_word_in_the_box(shape):
    corners = np.array([[0, shape[1], 0, shape[1]], [0, 0, shape[0], shape[0]], [1, 1, 1, 1]])
    linears = []
    for seed in range(100):
        matrix = random_placement(shape, (200, 64), np.random.default_rng(seed))
        x, y = matrix @ corners
        assert x.min() > -1e-6 and x.max() < 200 + 1e-6 and y.min() > -1e-6 and y.max() < 64 + 1e-6
        linears.append(matrix[:, :2] / np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    assert np.std(linears, axis=0).min() > 0.02  # slant, rotation and stretch all vary


@pytest.mark.parametrize("shape", [(40, 120), (128, 30), (9, 200), (1, 1)])
@pytest.mark.parametrize("level", [PAPER, 150, 255])  # of the other: none, weaker than the word, stronger
def test_a_piece_of_another_word_stands_beside_a_word_whose_stronger_ink_stays(shape, level):
    ink, other = np.full(shape, 200, np.uint8), np.full((30, 90), level, np.uint8)
    ink[::2, ::3] = 10  # the dark rim of a letter on a sign
    sides, most = set(), 0
    for seed in range(200):
        sheet = beside_a_piece(ink, other, np.random.default_rng(seed))
        axis = int(sheet.shape[1] > shape[1])  # 0: the piece is above or below
        assert sheet.shape[1 - axis] == shape[1 - axis] and sheet.dtype == np.uint8
        more = sheet.shape[axis] - shape[axis]
        first, last = np.split(sheet, [shape[axis]], axis), np.split(sheet, [more], axis)[::-1]
        word, piece = max(first, last, key=lambda parts: (parts[0] == ink).mean())
        assert set(np.unique(piece)) <= set(range(PAPER, level + 1))
        assert level == 255 or (word == ink).all()
        assert ((word == ink) | (word == level)).mean() > 0.95 or min(shape) < 10
        if more:
            sides.add((axis, word is first[0]))
        most = max(most, more / shape[0])
    assert len(sides) == 4 or min(shape) < 10
    assert most <= 0.8 + 0.5 / shape[0]


def test_a_warped_word_keeps_its_ink_and_moves_it_here_and_there():
    canvas = np.full((64, 200), PAPER, np.uint8)
    canvas[8:56, 96:104] = 255  # one upright stroke
    middles = []
    for seed in range(100):
        warped = random_warp(canvas, np.random.default_rng(seed)).astype(float) - PAPER
        assert warped.min() >= 0 and 0.6 < warped.sum() / (canvas - float(PAPER)).sum() < 1.6
        rows = warped[[20, 32, 44]]
        middles.append((rows * np.arange(200)).sum(axis=1) / rows.sum(axis=1))
    moved = np.array(middles) - 99.5
    assert np.abs(moved.mean(axis=0)).max() < 1 and np.abs(moved).max() < 20
    assert moved.std(axis=0).min() > 1 and np.corrcoef(moved[:, 0], moved[:, 2])[0, 1] < 0.8


def test_a_rubber_sheet_at_rest_shows_the_word_as_it_is():
    class Rest:
        normal = staticmethod(lambda mean, spread, size: np.zeros(size))
        uniform = staticmethod(lambda low, high: low)
    canvas = np.random.default_rng(0).integers(0, 256, (64, 200), np.uint8)
    np.testing.assert_array_equal(random_warp(canvas, Rest), canvas)


def test_ruled_lines_run_from_edge_to_edge_and_take_nothing_from_the_word():
    canvas = np.full((64, 200), PAPER, np.uint8)
    canvas[20:40, 50:60], canvas[20:40, 60:62] = 255, 10
    ruled, kinds = 0, set()
    for seed in range(300):
        drawn = random_ruling(canvas.copy(), np.random.default_rng(seed))
        lines = drawn != canvas
        if lines.any():
            ruled += 1
            assert drawn.dtype == np.uint8 and (drawn >= canvas).all() and lines.mean() < 0.6
            kinds.add((bool(lines[:, :50].any(axis=0).all()), bool(lines[:, :50].any(axis=1).all())))
    assert 30 <= ruled <= 75  # of 300, one in six: 50
    assert kinds >= {(True, False), (False, True), (True, True)}  # lines, seams, squares


def test_a_photo_of_few_pixels_is_as_bright_but_shows_no_fine_detail():
    canvas = np.full((64, 200), PAPER, np.uint8)
    canvas[:, ::4] = 248  # strokes two pixels apart at the network's size
    blurred = 0
    for seed in range(300):
        drawn = random_resolution(canvas.copy(), np.random.default_rng(seed))
        if (drawn != canvas).any():
            blurred += 1
            assert drawn.dtype == np.uint8 and abs(drawn.mean() - canvas.mean()) < 3
            strokes = drawn.reshape(64, 50, 4).mean(axis=(0, 1))
            assert np.ptp(strokes) < 0.75 * 120
    assert 38 <= blurred <= 85  # of 300, one in five: 60
