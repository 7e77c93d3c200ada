"""words/images.py against files written by other libraries, and words drawn here."""
import os
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import samples
from PIL import Image
from samples import NO_IMAGE, write, write_images

from words.images import array_of, pixels_of, prepare, random_placement, random_stroke, read_image, write_image

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


GREY = np.arange(240, dtype=np.uint8).reshape(12, 20)
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=2)
ALPHA = np.dstack([COLOUR, GREY])


def test_photos_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright
    Image.fromarray(GREY).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(GREY, -1))


@pytest.mark.parametrize("pixels, name", [
    (GREY, "a.png"), (COLOUR, "a.png"), (ALPHA, "a.png"), (COLOUR[..., [0, 2]], "a.png"), (GREY, "a.bmp"),
    (GREY * np.uint16(273), "a.png"), (GREY * np.uint16(273), "a.tif"), (COLOUR, "a.webp"), (ALPHA, "a.webp")])
def test_lossless_images_are_read_as_they_were_written(tmp_path, pixels, name):
    Image.fromarray(pixels).save(tmp_path / name, **({"lossless": True, "exact": True} if name == "a.webp" else {}))
    read = read_image(tmp_path / name)
    assert read.dtype == pixels.dtype
    np.testing.assert_array_equal(read, pixels)


@pytest.mark.parametrize("pixels, name", [(GREY, "a.jpg"), (COLOUR, "a.jpg"), (COLOUR, "a.webp")])
def test_lossy_images_are_read_nearly_as_they_were_written(tmp_path, pixels, name):
    pixels = cv2.resize(pixels, (80, 48))
    Image.fromarray(pixels).save(tmp_path / name, quality=95)
    read = read_image(tmp_path / name)
    assert read.dtype == np.uint8 and read.shape == pixels.shape
    assert np.abs(read.astype(int) - pixels).mean() < 6


def test_palettes_become_colours_and_keep_their_see_through_entry(tmp_path):
    image = Image.new("P", (2, 2))
    image.putpalette([255, 0, 0, 0, 0, 255, 0, 255, 0])
    image.putdata([0, 1, 1, 2])
    image.save(tmp_path / "plain.png")
    image.save(tmp_path / "clear.png", transparency=0)
    colours = [[[255, 0, 0], [0, 0, 255]], [[0, 0, 255], [0, 255, 0]]]
    assert read_image(tmp_path / "plain.png").tolist() == colours
    read = read_image(tmp_path / "clear.png")
    assert read[..., 3].tolist() == [[0, 255], [255, 255]] and read[..., :3].tolist() == colours


def test_1_bit_images_are_black_and_white(tmp_path):
    Image.fromarray(GREY > 99).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    assert read.dtype == np.uint8 and (read == np.where(GREY > 99, 255, 0)[..., np.newaxis]).all()


def test_files_that_are_no_image_are_refused_with_a_short_reason(tmp_path):
    write_images(tmp_path, "whole.png", "whole.jpg")
    for name in ("whole.png", "whole.jpg"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name.replace("whole", "half")).write_bytes(content[:len(content) // 2])
    write(tmp_path / "empty.png", "")
    write(tmp_path / "text.png", "This is no picture.\n" * 20)
    damaged = "not a readable image: damaged"
    for name, reason in (("none.png", "no such file"), ("empty.png", "empty"), ("text.png", NO_IMAGE),
                         ("half.png", damaged), ("half.jpg", damaged), ("", "not a file")):
        with pytest.raises(ValueError, match=reason) as refusal:
            read_image(tmp_path / name)
        assert len(str(refusal.value)) < 90 and "\n" not in str(refusal.value)


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    write_images(tmp_path, "a.png")

    def refuse(path, **options):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(ValueError, match="^cannot be read: Permission denied$"):
        read_image(tmp_path / "a.png")


def assert_network_input(image, size=SIZE):
    assert image.shape == (*size, 1) and image.dtype == np.float32 and image.flags.c_contiguous
    assert np.isfinite(image).all() and image.min() >= -1 and image.max() <= 1


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


# --- Files that are a little odd, or not meant well -----------------------------------------------------------

def test_no_other_program_is_started(tmp_path, monkeypatch):
    """Pillow would start Ghostscript on this, found in $PATH, whatever the file's name."""
    started = tmp_path / "started"
    write(tmp_path / "gs", f"#!/bin/sh\necho 9.99\ntouch {started}\n").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    write(tmp_path / "word.png", "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(ValueError, match="not a readable image"):
        read_image(tmp_path / "word.png")
    assert not started.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(ValueError, match="not a file"):
        read_image(tmp_path / "x.png")


def png(width, height, *chunks):
    """A PNG of `width` x `height` grey pixels with chunks (name, content), but none of the pixels."""
    header = width.to_bytes(4) + height.to_bytes(4) + b"\x08\x00\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(content).to_bytes(4) + name + content + zlib.crc32(name + content).to_bytes(4)
        for name, content in ((b"IHDR", header), *chunks, (b"IEND", b"")))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("width, height", [(20000, 20000), (16001, 16000), (10 ** 6, 10 ** 6)])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, width, height):
    (tmp_path / "large.png").write_bytes(png(width, height, (b"IDAT", zlib.compress(b""))))
    with pytest.raises(ValueError, match="more than 256 megapixels"):
        read_image(tmp_path / "large.png")


def test_pillow_s_warnings_are_not_for_users(tmp_path):
    (tmp_path / "large.png").write_bytes(png(20000, 20000, (b"IDAT", zlib.compress(b""))))
    code = "import sys; from words.images import read_image; read_image(sys.argv[1])"
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "large.png"], cwd=ROOT, capture_output=True, text=True)
    assert "megapixels" in run.stderr and "Warning" not in run.stderr


def test_megabytes_of_notes_in_a_file_are_no_fault(tmp_path):
    lines = zlib.compress(b"".join(b"\0" + row.tobytes() for row in GREY))
    notes = b"Comment\0\0" + zlib.compress(b"x" * (2 << 20))
    (tmp_path / "a.png").write_bytes(png(20, 12, (b"zTXt", notes), (b"IDAT", lines)))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), GREY)


@pytest.mark.parametrize("missing, whole", [(2, True), (40, True), (2000, False), (9000, False)])
@pytest.mark.parametrize("suffix", [".jpg", ".jfif"])
def test_a_jpeg_may_lack_its_last_bytes_but_not_its_end(tmp_path, missing, whole, suffix):
    pixels = np.random.default_rng(0).integers(0, 256, (160, 200), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=75)
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / f"b{suffix}").write_bytes(content[:-missing])
    if whole:
        np.testing.assert_array_equal(read_image(tmp_path / f"b{suffix}")[:150], read_image(tmp_path / "a.jpg")[:150])
    else:
        with pytest.raises(ValueError, match="not a readable image"):
            read_image(tmp_path / f"b{suffix}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("order", ["little", "big"])
def test_damaged_exif_data_keep_no_image_from_being_read(tmp_path, order):
    """A JPEG turned by 90 degrees, its EXIF data cut off or broken at every byte: it is read upright, or as it is stored."""
    def number(value, size):
        return value.to_bytes(size, order)

    fields = ((0x0112, 3, 1, number(6, 2) + bytes(2)), (0x8769, 4, 1, number(9999, 4)), (0x011A, 5, 1, number(50, 4)))
    exif = (b"II*\0" if order == "little" else b"MM\0*") + number(8, 4) + number(len(fields), 2) + b"".join(
        number(tag, 2) + number(kind, 2) + number(count, 4) + value for tag, kind, count, value in fields) + number(0, 4)
    picture = Image.fromarray(np.uint8([[0] * 16 + [255] * 16] * 8))
    picture.save(tmp_path / "whole.jpg", exif=b"Exif\0\0" + exif)
    assert read_image(tmp_path / "whole.jpg").shape == (32, 8)
    for k in range(len(exif)):
        for damaged in (exif[:k], exif[:k] + bytes([exif[k] ^ 0xFF]) + exif[k + 1:]):
            picture.save(tmp_path / "damaged.jpg", exif=b"Exif\0\0" + damaged)
            assert sorted(read_image(tmp_path / "damaged.jpg").shape) == [8, 32]


def test_metadata_that_pillow_stumbles_over_are_left_alone(monkeypatch):
    def stumble(image):
        raise SyntaxError("not a TIFF file")

    monkeypatch.setattr(Image.Image, "getexif", stumble)
    np.testing.assert_array_equal(pixels_of(Image.fromarray(GREY)), GREY)


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
        assert image.max() > 0.3 * plain.max() and image.mean() < 0.4


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


@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_a_written_picture_reads_back(tmp_path, pixels):
    write_image(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png", formats=["PNG"])), pixels)
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "I;16", "F", "1"])
def test_an_image_of_many_rows_comes_strip_by_strip(mode):
    pixels = np.random.default_rng(0).integers(0, 256, (1301, 7, 3), np.uint8)
    image = Image.fromarray(pixels[..., 0].astype(np.uint16)) if mode == "I;16" else Image.fromarray(pixels).convert(mode)
    found = array_of(image)
    assert found.dtype == np.asarray(image).dtype and np.array_equal(found, np.asarray(image))
