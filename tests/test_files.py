"""photos/files.py: photos in folders and PDFs, upright and of the right size."""
import shutil

import numpy as np
import pikepdf
import pytest
from PIL import Image
from samples import HEIC

from command import UserError
from photos.files import DPI, find_photos, load_photo, pages_of
from photos.page import Page
from words.image_files import write_image


def write_pdf(path, *sheets, **options):
    """A PDF with a page for each of the pictures, uint8 [H, W, 3], at 100 pixels an inch."""
    images = [Image.fromarray(pixels) for pixels in sheets]
    images[0].save(path, "PDF", save_all=True, append_images=images[1:], resolution=100)
    if options:
        with pikepdf.open(path, allow_overwriting_input=True) as pdf:
            pdf.save(path, **options)


def sheet(shade):
    pixels = np.full((110, 85, 3), shade, np.uint8)
    pixels[:20, :40] = 255, 0, 0
    return pixels


def test_photos_and_pages_of_pdfs_below_a_folder(tmp_path):
    for name in ("b.JPG", "a/c.png", "a/.hidden.png", ".hidden/d.png", "a/text.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    write_image(tmp_path / "b.JPG", sheet(10))
    write_pdf(tmp_path / "a" / "scan.PDF", sheet(10), sheet(200))
    (tmp_path / "bad.pdf").write_text("no PDF")
    (tmp_path / "c").mkdir()
    assert find_photos(tmp_path) == (tmp_path, ["a/c.png", "a/scan.PDF#1", "a/scan.PDF#2", "b.JPG", "bad.pdf"])
    assert find_photos(tmp_path / "a" / "scan.PDF") == (tmp_path / "a", ["scan.PDF#1", "scan.PDF#2"])
    assert find_photos(tmp_path / "b.JPG") == (tmp_path, ["b.JPG"])
    (tmp_path / "c" / "back").symlink_to(tmp_path / "a")  # is followed once
    assert find_photos(tmp_path / "c")[1] == ["back/c.png", "back/scan.PDF#1", "back/scan.PDF#2"]
    (tmp_path / "c" / "back").unlink()
    with pytest.raises(UserError, match="no such file or folder"):
        find_photos(tmp_path / "none")
    with pytest.raises(UserError, match="bad.pdf: not a readable PDF"):
        find_photos(tmp_path / "bad.pdf")
    with pytest.raises(UserError, match="text.txt: the file is empty"):
        find_photos(tmp_path / "a" / "text.txt")
    with pytest.raises(UserError, match="no photo in it; .png, .*.pdf are read"):
        find_photos(tmp_path / "c")


def test_pages_of_a_pdf_are_drawn_at_200_pixels_an_inch(tmp_path):
    write_pdf(tmp_path / "scan.pdf", sheet(10), sheet(200))
    for number, shade in ((1, 10), (2, 200)):
        pixels = load_photo(tmp_path, Page(f"scan.pdf#{number}"))
        assert pixels.dtype == np.uint8
        assert np.abs(np.subtract(pixels.shape, (110 * DPI / 100, 85 * DPI / 100, 3))).max() <= 1
        assert abs(int(pixels[150, 100].max()) - shade) < 8
        assert pixels[20, 40, 0] > 220 > 40 > pixels[20, 40, 2]  # red before blue


def test_pages_of_a_tiff_are_photos_but_not_smaller_versions_of_one(tmp_path):
    small = Image.fromarray(sheet(90)).resize((17, 22))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    pages = [Image.fromarray(sheet(shade)) for shade in (10, 200)]
    pages[0].save(tmp_path / "scan.TIF", save_all=True, append_images=[small, pages[1]])
    Image.fromarray(sheet(50)).save(tmp_path / "one.tiff")
    (tmp_path / "bad.tif").write_bytes((tmp_path / "scan.TIF").read_bytes()[:90])
    assert find_photos(tmp_path)[1] == ["bad.tif", "one.tiff", "scan.TIF#1", "scan.TIF#2"]
    assert find_photos(tmp_path / "scan.TIF")[1] == ["scan.TIF#1", "scan.TIF#2"]
    for number, shade in ((1, 10), (2, 200)):
        assert np.array_equal(load_photo(tmp_path, Page(f"scan.TIF#{number}")), sheet(shade))
    with pytest.raises(ValueError, match="the TIFF has 2 pages"):
        load_photo(tmp_path, Page("scan.TIF#3"))


def test_a_very_large_page_is_drawn_smaller(tmp_path, monkeypatch):
    write_pdf(tmp_path / "scan.pdf", sheet(10))
    monkeypatch.setattr("photos.files.LARGEST_SHEET", 10_000)
    pixels = load_photo(tmp_path, Page("scan.pdf#1"))
    assert 8_000 < pixels.shape[0] * pixels.shape[1] < 11_000


@pytest.mark.parametrize("name, reason", [
    ("locked.pdf", "an encrypted PDF; remove its password first"), ("locked.pdf#1", "an encrypted PDF"),
    ("broken.pdf", "not a readable PDF"), ("empty.pdf", "not a readable PDF"), ("scan.pdf#3", "the PDF has 2 pages"),
    ("scan.pdf", "its pages are photos, as file.pdf#1"), ("none.pdf#1", "no such file"),
    ("text.png", "not a readable image"), ("empty.png", "the file is empty")])
def test_what_cannot_be_read_has_a_short_reason(tmp_path, name, reason):
    write_pdf(tmp_path / "scan.pdf", sheet(10), sheet(200))
    write_pdf(tmp_path / "locked.pdf", sheet(10), encryption=pikepdf.Encryption(owner="a", user="b"))
    (tmp_path / "broken.pdf").write_bytes((tmp_path / "scan.pdf").read_bytes()[:300])
    for empty in ("empty.pdf", "empty.png"):
        (tmp_path / empty).touch()
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=reason) as caught:
        load_photo(tmp_path, Page(name))
    assert "\n" not in str(caught.value)


def test_a_damaged_pdf_is_never_more_than_an_error(tmp_path):
    write_pdf(tmp_path / "scan.pdf", sheet(10), sheet(200))
    content, rng = (tmp_path / "scan.pdf").read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        damaged = np.frombuffer(content, np.uint8).copy()
        damaged[rng.integers(0, len(damaged), 30)] = rng.integers(0, 256, 30)
        (tmp_path / "bad.pdf").write_bytes(damaged[:rng.integers(1, len(damaged))].tobytes())
        for name in pages_of(tmp_path, "bad.pdf"):
            try:
                assert load_photo(tmp_path, Page(name)).ndim in (2, 3)
            except ValueError as error:
                assert str(error)


def test_a_photo_is_upright_and_of_the_size_that_its_boxes_are_for(tmp_path):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:10, :20] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    photo = load_photo(tmp_path, Page("a.png", 40, 60))
    assert np.array_equal(photo, np.rot90(pixels, -1))
    with pytest.raises(ValueError, match="the photo is 40 x 60 large, its boxes are for 60 x 40"):
        load_photo(tmp_path, Page("a.png", 60, 40))
    for mode in ("RGBA", "LA", "I;16", "1", "P"):
        Image.fromarray(pixels).convert("L").convert(mode).save(tmp_path / "b.png")
        photo = load_photo(tmp_path, Page("b.png"))
        assert photo.dtype == np.uint8 and photo.shape[:2] == (40, 60)
        assert photo[5, 5].min() == 255 and photo[30, 30].max() == 0


def test_what_is_seen_through_keeps_its_colours_on_white_paper(tmp_path):
    pixels = np.zeros((300, 20, 4), np.uint8)
    pixels[:100], pixels[100:200, :10], pixels[200:] = (200, 30, 90, 255), (0, 100, 200, 51), (0, 0, 0, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    photo = load_photo(tmp_path, Page("a.png"))
    assert [photo[y, x].tolist() for y, x in ((5, 5), (150, 5), (150, 15), (250, 5))] == [
        [200, 30, 90], [204, 224, 244], [255, 255, 255], [0, 0, 0]]


def test_an_iphones_photo_is_read_upright(tmp_path, monkeypatch):
    shutil.copy(HEIC, tmp_path / "a.HEIC")
    assert find_photos(tmp_path)[1] == ["a.HEIC"]
    pixels = load_photo(tmp_path, Page("a.HEIC"))
    assert pixels.shape == (85, 110, 3)
    np.testing.assert_allclose(pixels.astype(int), np.rot90(sheet(200), -1), atol=60)
    assert np.abs(pixels.astype(int) - np.rot90(sheet(200), -1)).mean() < 5
    monkeypatch.setattr("words.image_files.pi_heif", None)
    monkeypatch.setattr("words.image_files.IMAGE_FORMATS", ("PNG", "JPEG"))
    with pytest.raises(ValueError, match="HEIC is read with pi-heif: pip install pi-heif"):
        load_photo(tmp_path, Page("a.HEIC"))
