"""photos/pdf.py: words are found again in the PDF, at their places, and the photo is whole."""
import html
import io
import re
import shutil
import subprocess

import numpy as np
import pikepdf
import pytest
from PIL import Image
from samples import written_page

from photos.page import Page, Word
from photos.pdf import DPI, searchable


def found_again(content, tmp_path):
    """[(text, left, top, right, bottom)] in pixels, as poppler finds the words of a PDF."""
    if not shutil.which("pdftotext"):
        pytest.skip("poppler-utils is not installed")
    (tmp_path / "a.pdf").write_bytes(content)
    shown = subprocess.run(["pdftotext", "-bbox", "a.pdf", "-"], cwd=tmp_path, stdout=subprocess.PIPE, text=True).stdout
    words = re.findall(r'xMin="(.*)" yMin="(.*)" xMax="(.*)" yMax="(.*)">(.*)</word>', shown)
    return [(text, *(float(number) * DPI / 72 for number in numbers)) for *numbers, text in words]


def test_words_are_found_at_their_places(tmp_path):
    pixels, written = written_page("Hello wide world", "two lines i")
    page = Page("a.jpg", 640, 400, [Word([[x, y], [right, y], [right, bottom], [x, bottom]], text)
                                    for text, (x, y, right, bottom) in written])
    again = sorted(found_again(searchable(page, pixels), tmp_path))
    assert [text for text, *_ in again] == sorted("Hello wide world two lines i".split())
    np.testing.assert_allclose([place for _, *place in again], [place for _, place in sorted(written)], atol=1)


def test_words_that_touch_stay_apart(tmp_path):
    words = [Word([[x, 20], [x + 60, 20], [x + 60, 50], [x, 50]], text)
             for x, text in ((10, "one"), (71, "two"), (130, "six"))]
    again = found_again(searchable(Page("a.jpg", 300, 100, words), np.full((100, 300), 255, np.uint8)), tmp_path)
    assert [text for text, *_ in again] == ["one", "two", "six"]


def test_letters_of_all_scripts_and_more_than_a_font_holds(tmp_path):
    texts = ["žluťoučký", "漢字", "Ωμέγα", "a\"<&>", *(chr(0x4E00 + k) for k in range(300))]
    words = [Word([[x, y], [x + 60, y], [x + 60, y + 30], [x, y + 30]], text)
             for k, text in enumerate(texts) for x, y in [(10 + 100 * (k % 20), 10 + 50 * (k // 20))]]
    again = found_again(searchable(Page("a.jpg", 2100, 900, words), np.full((900, 2100), 255, np.uint8)), tmp_path)
    assert sorted(html.unescape(text) for text, *_ in again) == sorted(texts)


@pytest.mark.parametrize("angle", [5, 25, 90, 180])
def test_turned_words_are_found_whole_and_those_without_text_not(tmp_path, angle):
    a = np.radians(angle)
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    polygon = np.array([[0, 0], [200, 0], [200, 40], [0, 40]]) @ turn + (250, 200)
    page = Page("a.jpg", 500, 400, [Word(polygon.tolist(), "turned"), Word(polygon.tolist(), "")])
    (text, *place), = found_again(searchable(page, np.full((400, 500, 3), 255, np.uint8)), tmp_path)
    assert text == "turned"
    assert (np.array(place[:2]) > polygon.min(axis=0) - 10).all() and (np.array(place[2:]) < polygon.max(axis=0) + 10).all()
    if angle != 25:  # there poppler takes the first letters' height for the word's
        np.testing.assert_allclose(place, [*polygon.min(axis=0), *polygon.max(axis=0)], atol=25)


@pytest.mark.parametrize("shape", [(120, 200), (120, 200, 3)])
def test_the_photo_is_in_it_and_as_large_as_200_pixels_an_inch_say(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, *shape[2:]), np.uint8).repeat(10, 0).repeat(10, 1)
    with pikepdf.open(io.BytesIO(searchable(Page("a.jpg", 200, 120), pixels))) as pdf:
        page, = pdf.pages
        assert [float(side) for side in page.MediaBox] == [0, 0, 72, 43.2]
        image, = page.get_images().values()
        shown = np.asarray(pikepdf.PdfImage(image).as_pil_image())
    jpeg = io.BytesIO()
    Image.fromarray(pixels).save(jpeg, "JPEG", quality=88)
    assert shown.shape == shape and np.abs(shown.astype(int) - np.asarray(Image.open(jpeg, formats=["JPEG"]))).max() <= 1
