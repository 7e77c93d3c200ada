"""photos/reader.py with a detector that finds dark words, and a reader that says how dark and wide they are."""
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from samples import WordFinder, written_page

import photos
from photos import reader as page_reader
from photos.page import Word
from photos.reader import PageReader
from words.alphabet import Alphabet
from words.image_files import write_image
from words.reader import Reader, Reading

ROOT = Path(__file__).parent.parent


class WidthReader:
    """Reads an image as the width of its ink, in tenths of the image's."""
    size, lexicon, threads = (100, 32), None, 2

    def __init__(self, alphabet="0123456789w"):
        self.alphabet, self.batches = Alphabet(alphabet), []

    read_words = Reader.read_words

    def read_prepared(self, images, top_paths=1, *_):
        self.batches.append(len(images))
        readings = []
        for image in images:
            columns = np.flatnonzero(image[..., 0].max(axis=1) > 0.5)
            text, sure = (f"w{np.ptp(columns) // 10}", 0.8123456) if len(columns) else ("", 0.0)
            texts = [(text, sure), (text + "?", 0.1), (text + "!", 0.05)][:top_paths]
            readings.append(Reading(text, sure, texts, image[:4, :3, 0] if text else None))
        return readings


def reader(words=True):
    return PageReader(WordFinder(), WidthReader() if words else None, {"pages": "finder", "words": "widths"})


def test_a_photo_becomes_a_page_in_reading_order():
    pixels, written = written_page("somewhat i", "i letters", "me")
    page = reader().read(pixels)
    assert (page.file, page.width, page.height, page.models) == ("", 640, 400, {"pages": "finder", "words": "widths"})
    assert [(word.line, word.paragraph) for word in page.words] == [(0, 0), (0, 0), (1, 0), (1, 0), (2, 0)]
    for word, (_, (left, top, right, bottom)) in zip(page.words, written, strict=True):
        np.testing.assert_allclose([word.polygon[0], word.polygon[2]], [(left, top), (right, bottom)], atol=14)
    wide, narrow = page.words[0], page.words[1]
    assert wide.text == "w8" and narrow.text in ("w0", "w1") and page.text == "w8 {1}\n{2} w7\n{4}\n".format(
        *[word.text for word in page.words])
    assert wide.confidence == 0.8123 and wide.alternatives == [("w8", 0.8123)]
    assert wide.log_probabilities.shape == (4, 3) and "log_probabilities" not in page.to_json()


def test_a_photo_may_be_a_pil_image_or_any_array():
    pixels, _ = written_page("one two")
    wanted = reader().read(pixels).words
    clear = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    for photo in (Image.fromarray(pixels), Image.fromarray(clear), clear, pixels[..., :1], pixels[..., 0] / 255):
        assert reader().read(photo).words == wanted
    for photo in (np.zeros((0, 5, 3), np.uint8), np.zeros((4, 5, 7), np.uint8), np.zeros(9, np.uint8)):
        with pytest.raises(ValueError, match="an image is"):
            reader().read(photo)


def test_places_are_in_tenths_of_a_pixel():
    class Moved(WordFinder):
        def find(self, pixels):
            found = super().find(pixels)
            found.polygons += np.float32(0.1234)
            return found

    page = PageReader(Moved(), WidthReader(), {}).read(written_page("one two")[0])
    assert all(re.fullmatch(r"\d+\.\d", str(number)) for word in page.words for point in word.polygon for number in point)


def test_words_are_read_together_and_more_texts_where_asked():
    pixels, _ = written_page("one two three", "four five six")
    both = reader()
    page = both.read(pixels, top_paths=3)
    assert both.words.batches == [6] and [len(word.alternatives) for word in page.words] == [3] * 6
    assert reader().read(pixels, min_confidence=0.9).words == []


def test_a_box_in_which_a_space_is_read_is_parted_and_read_again():
    class Whole(WordFinder):
        def find(self, pixels):
            found = super().find(pixels)
            low, high = found.polygons.min(axis=(0, 1)), found.polygons.max(axis=(0, 1))
            found.polygons = np.float32([[low, [high[0], low[1]], high, [low[0], high[1]]]])
            return found

    class TwoWords(WidthReader):
        def read_prepared(self, images, top_paths=1, *_):
            readings = super().read_prepared(images, top_paths)
            if len(self.batches) == 1:  # "w w": a letter, a space and a letter in the middles of three thirds
                steps = np.full((7, 13), -9.0)
                steps[np.arange(7), [0, 2, 0, 1, 0, 2, 0]] = 0
                readings[0].text, readings[0].log_probabilities = "w w", steps
            return readings

    pixels, written = written_page("some letters")
    page = PageReader(Whole(), TwoWords(" w"), {}).read(pixels)
    assert len(page.words) == 2 and {(word.line, word.paragraph) for word in page.words} == {(0, 0)}
    for word, (_, (left, _, right, _)) in zip(page.words, written, strict=True):
        np.testing.assert_allclose([word.polygon[0][0], word.polygon[2][0]], [left, right], atol=14)


def test_parts_of_a_word_are_joined_and_the_whole_is_read_once_only():
    class Parts(WidthReader):
        lexicon = None

        def read_prepared(self, images, top_paths=1, tta=True, *_):
            self.batches.append((len(images), tta))
            texts = [("wo", 0.5), ("rd", 0.5), ("far", 0.5)] if tta else [("word", 0.9)]
            return [Reading(*text, [text], np.zeros((2, 12))) for text in texts]

    class Found(WordFinder):
        def find(self, pixels):
            found = super().find(pixels)
            found.polygons = np.float32([[[x, 50], [x + 40, 50], [x + 40, 70], [x, 70]] for x in (10, 55, 110)])
            return found

    words = Parts()
    page = PageReader(Found(), words, {}).read(written_page("some word")[0])
    assert [(word.text, word.confidence, word.polygon[2]) for word in page.words] == [("word", 0.9, [95, 70]),
                                                                                      ("far", 0.5, [150, 70])]
    assert words.batches == [(3, True), (1, False)]


def test_texts_that_only_a_lexicon_sees_are_left_out():
    class Forced(WidthReader):
        lexicon = True

        def read_prepared(self, images, top_paths=1, *_):
            step = np.log([1 - self.chance, *[1e-9] * 10, self.chance])  # one step, a blank or "w"
            return [Reading("w", 0.9, [("w", 0.9)], step[None]) for _ in images]

    pixels, _ = written_page("one")
    for chance, min_confidence, count in ((0.14, 0.01, 1), (0.13, 0.01, 0), (0.13, 0, 1)):  # e ** -2 is 0.135
        words = Forced()
        words.chance = chance
        assert len(PageReader(WordFinder(), words, {}).read(pixels, min_confidence=min_confidence).words) == count


def test_dots_and_dashes_stay_beside_words_only(monkeypatch):
    texts = {0: [".", "..", "a", "-", ".", "3"], 1: [":", "=-="], 2: ["->"], 3: ["-"], 4: ["."], 5: ["end"]}
    words = [Word([[0, 0]] * 4, text, 0.9, line=line) for line, row in texts.items() for text in row]
    monkeypatch.setattr(PageReader, "read_words", lambda *_: list(words))
    assert [[word.text for word in line] for line in reader().read(np.full((40, 40), 255, np.uint8)).lines] == [
        ["..", "a", "-", ".", "3"], ["->"], ["end"]]
    assert reader().read(np.full((40, 40), 255, np.uint8), min_confidence=0).words == words


def test_ink_of_others_is_erased_before_a_word_is_read():
    class Wide(WordFinder):
        def find(self, pixels):
            found = super().find(pixels)
            found.polygons = np.array([[[22, 30], [80, 30], [80, 66], [22, 66]]], np.float32)
            return found

    texts = []
    for line in (0, 3):
        pixels, _ = written_page("ii", size=(300, 120))
        if line:
            cv2.line(pixels, (72, 0), (72, 119), (30, 30, 30), line)  # beside the word, in its box
        texts.append(PageReader(Wide(), WidthReader(), {}).read(pixels).text)
    assert texts[0] == texts[1] != ""


def test_without_a_recogniser_words_are_found_only(tmp_path):
    pixels, written = written_page("one two")
    write_image(tmp_path / "a.png", pixels)
    page = reader(words=False).read(tmp_path / "a.png")
    assert page.file == "a.png" and [word.text for word in page.words] == ["", ""] and page.words[0].confidence is None


@pytest.mark.parametrize("pixels", [np.full((300, 400, 3), 250, np.uint8), np.zeros((300, 400), np.uint8),
                                    np.zeros((1, 1), np.uint8)], ids=["blank", "black", "a pixel"])
def test_a_photo_without_words_has_none(pixels):
    page = reader().read(pixels)
    assert (page.height, page.width) == pixels.shape[:2] and page.text == ""


def test_the_ink_comes_along():
    pixels, _ = written_page("one two")
    page, ink = reader().look(pixels, "a.png")
    assert page.file == "a.png" and np.array_equal(ink > 0, pixels.min(axis=2) < 110)


def test_models_are_loaded_by_their_folders(tmp_path, monkeypatch):
    for file in ("p/config.json", "p/final.weights.h5", "w/config.json", "w/final.weights.h5"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    asked = []
    monkeypatch.setattr(page_reader, "load_detector", lambda *args, **options: asked.append((args, options)) or WordFinder())
    monkeypatch.setattr(page_reader, "load_word_reader",
                        lambda *args, **options: asked.append((args, options)) or WidthReader())
    loaded = photos.load_reader(tmp_path / "p", words=tmp_path / "w", lexicon="en", threads=3)
    assert sorted(asked, key=str) == [((tmp_path / "p",), {"threads": 3}), ((tmp_path / "w",), {"lexicon": "en"})]
    assert loaded.threads == 3
    assert loaded.models == {"pages": "p", "words": "w"} and photos.load_reader(tmp_path / "p").words is None


def test_importing_photos_loads_nothing_heavy():
    code = "import photos, sys; print({'numpy', 'cv2', 'onnxruntime', 'PIL', 'keras'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("at_once", [1, 2, 32])
def test_words_read_by_threads_some_at_a_time_keep_their_order(monkeypatch, threads, at_once):
    monkeypatch.setattr(page_reader, "AT_ONCE", at_once)
    pixels, _ = written_page("one three fivefive sevenseven")
    alone = reader().read(pixels)
    several = PageReader(WordFinder(), WidthReader(), {"pages": "finder", "words": "widths"}, threads).read(pixels)
    assert len({word.text for word in alone.words}) > 1 and several == alone
