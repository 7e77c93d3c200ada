"""photos/pdf.py: words are found again in the PDF, at their places, and the photo, or the scan, is what it was."""
import html
import io
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pikepdf
import pytest
from PIL import Image, ImageFont
from samples import turned, written_page

from photos.files import load_photo
from photos.page import Page, Word
from photos.pdf import DPI, FONT, write_photo, write_scan
from words.image_files import TURNS, read_image


def poppler(*command):
    """What a program of poppler says."""
    if not shutil.which(command[0]):
        pytest.skip("poppler-utils is not installed")
    return subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True).stdout


def found_again(path):
    """[[(text, left, top, right, bottom)]] in pixels, as poppler finds the words on each page of a PDF."""
    shown = poppler("pdftotext", "-bbox", "-cropbox", path, "-").decode()
    return [[(html.unescape(text), *(float(number) * DPI / 72 for number in numbers)) for *numbers, text in
             re.findall(r'xMin="(.*)" yMin="(.*)" xMax="(.*)" yMax="(.*)">(.*)</word>', page)]
            for page in shown.split("<page ")[1:]]


def box(polygon):
    return [*np.min(polygon, axis=0), *np.max(polygon, axis=0)]


def written(path, words, size):
    """The words found again in the PDF of words on a white photo."""
    write_photo(path, Page("a.jpg", *size, words), np.full((*size[::-1], 3), 255, np.uint8))
    return found_again(path)[0]


# --- Words ----------------------------------------------------------------------------------------------------

def test_words_are_found_at_their_places(tmp_path):
    pixels, texts = written_page("Hello wide world", "two lines i")
    page = Page("a.jpg", 640, 400, [Word([[x, y], [right, y], [right, bottom], [x, bottom]], text)
                                    for text, (x, y, right, bottom) in texts])
    write_photo(tmp_path / "a.pdf", page, pixels)
    again = sorted(found_again(tmp_path / "a.pdf")[0])
    assert [text for text, *_ in again] == sorted("Hello wide world two lines i".split())
    np.testing.assert_allclose([place for _, *place in again], [place for _, place in sorted(texts)], atol=1)


def test_words_that_touch_stay_apart(tmp_path):
    words = [Word([[x, 20], [x + 60, 20], [x + 60, 50], [x, 50]], text)
             for x, text in ((10, "one"), (71, "two"), (130, "six"))]
    assert [text for text, *_ in written(tmp_path / "a.pdf", words, (300, 100))] == ["one", "two", "six"]


def test_letters_of_all_scripts_and_more_than_a_byte_counts(tmp_path):
    texts = ["žluťoučký", "漢字", "Ωμέγα", "a\"<&>", "so😀", *(chr(0x4E00 + k) for k in range(300))]
    words = [Word([[x, y], [x + 60, y], [x + 60, y + 30], [x, y + 30]], text)
             for k, text in enumerate(texts) for x, y in [(10 + 100 * (k % 20), 10 + 50 * (k // 20))]]
    assert sorted(text for text, *_ in written(tmp_path / "a.pdf", words, (2100, 900))) == sorted(texts)


@pytest.mark.parametrize("angle", [2, -2, 4, -4, 20, 45, 90, 180, 270])
def test_turned_words_are_found_whole_and_those_without_text_not(tmp_path, angle):
    polygon = turned(angle, (400, 400), (200, 40))
    beside = polygon + 1.05 * (polygon[1] - polygon[0])
    again = dict((text, place) for text, *place in written(tmp_path / "a.pdf", [
        Word(polygon.tolist(), "turned"), Word(polygon.tolist(), ""), Word(beside.tolist(), "beside")], (800, 800)))
    assert set(again) == {"turned", "beside"}
    if angle % 90 == 0:  # else poppler takes the first letter's height for the word's
        np.testing.assert_allclose(again["turned"], box(polygon), atol=1)


@pytest.mark.parametrize("angle", [0, 20, 90, 160])
def test_a_words_glyphs_fill_its_polygon(tmp_path, angle):
    polygon = turned(angle, (400, 400), (200, 40))
    page = Page("a.jpg", 800, 800, [Word(polygon.tolist(), "turned")])
    write_photo(tmp_path / "a.pdf", page, np.zeros((800, 800), np.uint8))
    with pikepdf.open(tmp_path / "a.pdf") as pdf:
        matrix, codes = None, b""
        for operands, operator in pikepdf.parse_content_stream(pdf.pages[0]):
            if str(operator) == "Tm":
                matrix = np.array(operands, float).reshape(3, 2)
            elif str(operator) in ("TJ", "Tj"):
                codes = bytes(operands[0][0] if str(operator) == "TJ" else operands[0])
            elif str(operator) == "Tr":
                assert operands[0] == 3  # unseen
    glyphs = len(codes) // 2 - 1  # without the space
    assert glyphs == (6 if angle % 90 == 0 else 1)
    corners = np.array([[0, 1, 1], [glyphs, 1, 1], [glyphs, 0, 1], [0, 0, 1]]) @ matrix
    np.testing.assert_allclose(corners * [1, -1] + [0, 288], polygon * 72 / DPI, atol=0.01)


def test_the_font_is_empty_squares():
    font = ImageFont.truetype(FONT, 100)
    assert font.getlength(" a") == 200 and font.getmask(" a").getbbox() is None


# --- Photos ---------------------------------------------------------------------------------------------------

def spots(shape):
    """A picture that differs in every corner, uint8 [H, W] or [H, W, 3], of spots that JPEG keeps."""
    grey = np.random.default_rng(0).integers(0, 256, (shape[0] // 20, shape[1] // 20)).repeat(20, 0).repeat(20, 1)
    return (grey if len(shape) == 2 else grey[..., np.newaxis] * [1, 0.9, 0.7]).astype(np.uint8)


def image_of(path):
    """The bytes of the only image of a PDF's only page, as they stand in it, and how large the page is."""
    with pikepdf.open(path) as pdf:
        page, = pdf.pages
        image, = page.get_images().values()
        assert image.Filter == "/DCTDecode"
        return image.read_raw_bytes(), [float(side) for side in page.MediaBox]


def seen(path, number=1, by=DPI):
    """The pixels of a PDF's page, as poppler draws it, uint8 [H, W, 3]."""
    return read_ppm(poppler("pdftoppm", "-r", by, "-f", number, "-l", number, path))


def read_ppm(content):
    size, content = re.fullmatch(rb"P6\s(\d+ \d+)\s255\s(.*)", content, re.DOTALL).groups()
    width, height = map(int, size.split())
    return np.frombuffer(content, np.uint8).reshape(height, width, 3)


@pytest.mark.parametrize("shape", [(120, 200), (120, 200, 3)])
def test_the_photo_is_in_it_and_as_large_as_200_pixels_an_inch_say(tmp_path, shape):
    pixels = spots(shape)
    write_photo(tmp_path / "a.pdf", Page("a.png", 200, 120), pixels, tmp_path / "a.png")
    content, size = image_of(tmp_path / "a.pdf")
    shown = np.asarray(Image.open(io.BytesIO(content), formats=["JPEG"])).astype(int)
    assert size == pytest.approx([0, 0, 72, 43.2]) and shown.shape == shape and np.abs(shown - pixels).mean() < 5


@pytest.mark.parametrize("orientation", [1, *TURNS])
def test_a_jpeg_is_in_it_as_it_is_and_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(spots((120, 200, 3))).save(tmp_path / "a.jpg", exif=exif, quality=90)
    pixels = read_image(tmp_path / "a.jpg")
    height, width = pixels.shape[:2]
    page = Page("a.jpg", width, height, [Word([[20, 30], [90, 30], [90, 60], [20, 60]], "found")])
    write_photo(tmp_path / "a.pdf", page, pixels, tmp_path / "a.jpg")
    assert image_of(tmp_path / "a.pdf")[0] == (tmp_path / "a.jpg").read_bytes()
    assert np.abs(seen(tmp_path / "a.pdf")[:height, :width].astype(int) - pixels).mean() < 8
    (text, *place), = found_again(tmp_path / "a.pdf")[0]
    assert text == "found"
    np.testing.assert_allclose(place, [20, 30, 90, 60], atol=1)


@pytest.mark.parametrize("kind", ["cut", "CMYK"])
def test_a_jpeg_that_viewers_may_not_draw_is_encoded_anew(tmp_path, kind):
    pixels = spots((400, 600, 3))
    Image.fromarray(pixels).convert("CMYK" if kind == "CMYK" else "RGB").save(tmp_path / "a.jpg", quality=90)
    content = (tmp_path / "a.jpg").read_bytes()
    if kind == "cut":
        (tmp_path / "a.jpg").write_bytes(content[:-200])
    write_photo(tmp_path / "a.pdf", Page("a.jpg", 600, 400), pixels, tmp_path / "a.jpg")
    assert not image_of(tmp_path / "a.pdf")[0].startswith(content[:500])
    assert np.abs(seen(tmp_path / "a.pdf").astype(int) - pixels).mean() < 8


# --- Scans ----------------------------------------------------------------------------------------------------

def write_pdf(path, *sheets, content=b"0.5 0 0 0.5 0 0 cm q 800 0 0 1200 0 0 cm /Im Do Q 2 0 0 2 9 9 cm", **options):
    """A scanned PDF with pages of the dicts `sheets`; its content leaves another coordinate system behind."""
    jpeg = io.BytesIO()
    Image.fromarray(spots((660, 440, 3))).save(jpeg, "JPEG")
    with pikepdf.new() as pdf:
        name = pikepdf.Name
        image = pikepdf.Stream(pdf, jpeg.getvalue(), Type=name.XObject, Subtype=name.Image, Width=440, Height=660,
                               BitsPerComponent=8, Filter=name.DCTDecode, ColorSpace=name.DeviceRGB)
        font = pikepdf.Dictionary(Type=name.Font, Subtype=name.Type1, BaseFont=name.Helvetica)
        resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Im=image), Font=pikepdf.Dictionary(F=font))
        for sheet in sheets:
            pdf.pages.append(pikepdf.Page(pdf.make_indirect(pikepdf.Dictionary({
                "/Type": name.Page, "/Resources": resources, "/Contents": pikepdf.Stream(pdf, content),
                "/MediaBox": [0, 0, 400, 600], **sheet}))))
        pdf.save(path, **options)


def page_with(path, number, *words):
    """The Page of a PDF's page with words, (text, x and y of its middle in parts of the page, angle)."""
    height, width = load_photo(path.parent, Page(f"{path.name}#{number}")).shape[:2]
    return Page(f"{path.name}#{number}", width, height, [
        Word(turned(angle, (x * width, y * height), (240, 60)).tolist(), text) for text, x, y, angle in words])


WORDS = ("level", 0.4, 0.2, 0), ("20°", 0.5, 0.5, 20), ("漢字", 0.6, 0.8, 90)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("crop", [None, [20, 80, 350, 510]])
def test_words_of_a_scan_are_found_at_their_places_on_pages_that_look_as_they_did(tmp_path, rotate, crop):
    scan = tmp_path / "scan.pdf"
    write_pdf(scan, {}, {"/Rotate": rotate, **({"/MediaBox": [-50, 30, 400, 600], "/CropBox": crop} if crop else {})}, {})
    pages = [None, page_with(scan, 2, *WORDS), page_with(scan, 3, ("third", 0.5, 0.5, 0))]
    write_scan(tmp_path / "a.pdf", scan, pages)
    first, again, third = found_again(tmp_path / "a.pdf")
    assert first == [] and third[0][0] == "third" and {text for text, *_ in again} == {"level", "20°", "漢字"}
    for text, *place in again:
        right = box(next(word.polygon for word in pages[1].words if word.text == text))
        if text == "20°":  # poppler takes the first letter's height for the word's
            place, right = place[::2], right[::2]
        np.testing.assert_allclose(place, right, atol=25 if text == "20°" else 2)
    for number in (1, 2, 3):
        before, after = (seen(path, number, 60) for path in (scan, tmp_path / "a.pdf"))
        assert before.std() > 30 and np.array_equal(before, after)


def test_where_a_scan_has_text_it_gets_no_second_one(tmp_path):
    scan = tmp_path / "scan.pdf"
    write_pdf(scan, {}, content=b"BT /F 24 Tf 100 500 Td (Printed form) Tj ET")
    (_, *place), *_ = found_again(scan)[0]
    x, y = (place[0] + place[2]) / 2 / (400 * DPI / 72), (place[1] + place[3]) / 2 / (600 * DPI / 72)
    page = page_with(scan, 1, ("Prinfed", x, y, 0), ("written", 0.5, 0.5, 0))
    write_scan(tmp_path / "a.pdf", scan, [page])
    assert [text for text, *_ in found_again(tmp_path / "a.pdf")[0]] == ["Printed", "form", "written"]
    write_scan(tmp_path / "b.pdf", tmp_path / "a.pdf", [page])  # nor when it is read once more
    assert found_again(tmp_path / "b.pdf") == found_again(tmp_path / "a.pdf")


def test_title_links_and_protection_of_a_scan_stay(tmp_path):
    write_pdf(tmp_path / "plain.pdf", {}, {})
    with pikepdf.open(tmp_path / "plain.pdf") as pdf:
        pdf.docinfo["/Title"] = "Board meeting"
        with pdf.open_outline() as outline:
            outline.root.append(pikepdf.OutlineItem("Second page", 1))
        pdf.save(tmp_path / "scan.pdf", encryption=pikepdf.Encryption(owner="owner", user=""))
    write_scan(tmp_path / "a.pdf", tmp_path / "scan.pdf", [page_with(tmp_path / "scan.pdf", 1, *WORDS), None])
    with pikepdf.open(tmp_path / "a.pdf") as pdf, pdf.open_outline() as outline:
        assert str(pdf.docinfo["/Title"]) == "Board meeting" and outline.root[0].title == "Second page"
        assert len(pdf.pages) == 2 and pdf.is_encrypted
    assert len(found_again(tmp_path / "a.pdf")[0]) == 3


def test_what_cannot_be_read_or_written_is_an_error(tmp_path):
    write_pdf(tmp_path / "locked.pdf", {}, encryption=pikepdf.Encryption(owner="a", user="b"))
    with pytest.raises(ValueError, match="an encrypted PDF"):
        write_scan(tmp_path / "a.pdf", tmp_path / "locked.pdf", [None])
    write_pdf(tmp_path / "scan.pdf", {})
    if Path("/dev/full").exists():
        with pytest.raises(OSError, match="No space left"):
            write_scan("/dev/full", tmp_path / "scan.pdf", [None])


def test_a_damaged_scan_is_never_more_than_an_error(tmp_path):
    write_pdf(tmp_path / "scan.pdf", {}, {})
    page = page_with(tmp_path / "scan.pdf", 1, *WORDS)
    content, rng = (tmp_path / "scan.pdf").read_bytes(), np.random.default_rng(0)
    made = 0
    for _ in range(60):
        damaged = np.frombuffer(content, np.uint8).copy()
        damaged[rng.integers(0, len(damaged), 30)] = rng.integers(0, 256, 30)
        (tmp_path / "bad.pdf").write_bytes(damaged[:rng.integers(len(damaged) // 2, len(damaged) + 1)].tobytes())
        try:
            write_scan(tmp_path / "a.pdf", tmp_path / "bad.pdf", [page, page])
            made += 1
        except ValueError as error:
            assert str(error) and "\n" not in str(error)
    assert made
