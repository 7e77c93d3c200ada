"""words/image_files.py: files written by other libraries, odd ones, and ones that are not meant well."""
import os
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from samples import NO_IMAGE, draw, write, write_images

from words.image_files import array_of, check_image, pixels_of, read_image, write_image
from words.images import prepare

ROOT = Path(__file__).parent.parent

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
    code = "import sys; from words.image_files import read_image; read_image(sys.argv[1])"
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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif", "gif"])
def test_a_damaged_image_is_read_or_refused_in_a_line(tmp_path, suffix):
    whole, rng, read = tmp_path / f"whole.{suffix}", np.random.default_rng(0), 0
    Image.fromarray(draw("letter")[0]).save(whole)
    content, path = whole.read_bytes(), tmp_path / f"damaged.{suffix}"
    for k in range(300):
        damaged = bytearray(content)
        place = int(rng.integers(min(len(damaged), 200 if k % 2 else len(damaged))))  # half of them in the header
        match rng.integers(3):
            case 0:
                damaged[place:place + 4] = rng.integers(0, 256, 4, np.uint8).tobytes()
            case 1:
                del damaged[place:place + int(rng.integers(1, 50))]
            case 2:
                del damaged[place:]
        path.write_bytes(damaged)
        try:
            check_image(path)
            assert np.isfinite(prepare(read_image(path))).all()
            read += 1
        except ValueError as error:
            assert str(error) and "\n" not in str(error) and "Error" not in str(error)
    assert 10 < read < 290


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
