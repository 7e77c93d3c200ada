"""photos/boxes.py, and predict.py --boxes: the file's format, its journal, and what is read in the boxes."""
import csv
import json
import pickle
import re
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
from samples import put_on_photo, turned

import predict
import words.batches
import words.reader
from command import UserError
from photos import boxes, drawing
from photos.cutting import cut
from photos.page import Page, Word
from words.alphabet import Alphabet
from words.image_files import read_image, write_image
from words.images import grey_of
from words.lists import image_names, text_of_name
from words.reader import Reader, Reading, load_reader

ROOT = Path(__file__).parent.parent
SQUARE = [[10, 10], [60, 10], [60, 40], [10, 40]]


# --- The file -------------------------------------------------------------------------------------------------

def write_boxes(path, photos):
    path.write_text(json.dumps({"version": 1, "photos": photos}))


def test_what_is_written_is_read_again(tmp_path):
    pages = [Page("a/b \udce9.jpg", 100, 80, [
        Word([[1.5, 2], [3, 2], [3, 4], [1, 4]], "Žluťoučký \"kůň\"", 0.5, [("Žluťoučký", 0.5), ("kůň", 0.25)], 0, 1),
        Word(SQUARE, other={"ink": "blue"})], {"words": "models/iam"}, other={"place": "Brno"}),
        Page("none.jpg"), Page("bad.jpg", error="no")]
    boxes.write(tmp_path / "boxes.json", pages)
    assert boxes.read(tmp_path / "boxes.json") == pages
    lines = (tmp_path / "boxes.json").read_bytes().split(b"\n")
    assert sum(b"polygon" in line for line in lines) == 2 and "Žluťoučký".encode() in b"".join(lines)
    assert [path.name for path in tmp_path.iterdir()] == ["boxes.json"]
    boxes.write(tmp_path / "boxes.json", [])
    assert boxes.read(tmp_path / "boxes.json") == []
    (tmp_path / "boxes.json").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "boxes.json").read_bytes())  # an editor's mark
    assert boxes.read(tmp_path / "boxes.json") == []


@pytest.mark.parametrize("content, message", [
    ("{", "not JSON"),
    ("[]", "data must be object"),
    ('{"version": 2, "photos": []}', "version must be same as const definition: 1"),
    ('{"version": 1}', r"must contain \['photos'\]"),
    ('{"version": 1, "photos": [{"words": []}]}', r"photos\[0\] must contain \['file'\]"),
    ('{"version": 1, "photos": [{"file": "../a.jpg", "words": []}]}', r"photos\[0\].file"),
    ('{"version": 1, "photos": [{"file": "/a.jpg", "words": []}]}', r"photos\[0\].file"),
    ('{"version": 1, "photos": [{"file": "b/../../a.jpg", "words": []}]}', r"photos\[0\].file"),
    ('{"version": 1, "photos": [{"file": "a\\u0000b", "words": []}]}', r"photos\[0\].file"),
    ('{"version": 1, "photos": [{"file": "a\\ud83d", "words": []}]}', "not JSON"),
    ('{"version": 1, "photos": [{"file": "a", "width": 3, "words": []}]}', r"missing dependency height for width"),
    ('{"version": 1, "photos": [{"file": "a", "words": []}, {"file": "a", "words": []}]}', "a is in it twice"),
    ('{"version": 1, "photos": [{"file": "a", "words": [{"polygon": [[1, 2], [3, 4], [5, 6]]}]}]}',
     r"photos\[0\].words\[0\].polygon"),
    ('{"version": 1, "photos": [{"file": "a", "words": [{"polygon": [[1, 2], [3, 4], [5, 6], [7, "8"]]}]}]}',
     r"photos\[0\].words\[0\].polygon\[3\]\[1\] must be number"),
    ('{"version": 1, "photos": [{"file": "a", "words": [{"polygon": [[1, 2], [3, 4], [5, 6], [7, 1e999]]}]}]}', "smaller"),
    ('{"version": 1, "photos": [{"file": "a", "words": [{"polygon": [[1, 2], [3, 4], [5, 6], [7, NaN]]}]}]}', "NaN is"),
    ('{"version": 1, "photos": [{"file": "a", "words": [{"polygon": [[1, 2], [3, 4], [5, 6], [7, 8]], "confidence": 2}]}]}',
     r"words\[0\].confidence"),
    ('{"version": 1, "photos": [{"file": "a", "words": [], "models": 5}]}', r"photos\[0\].models must be object"),
    ('{"version": 1, "photos": [{"file": "a", "words": [{"polygon": [[1, 2], [3, 4], [5, 6], [7, 8]], "alternatives": '
     '[["a"]]}]}]}', r"words\[0\].alternatives\[0\]"),
])
def test_what_is_wrong_with_a_file_is_said_in_a_line(tmp_path, content, message):
    (tmp_path / "boxes.json").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        boxes.read(tmp_path / "boxes.json")
    assert "formats.md" in str(caught.value) or "twice" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("content", [Trap(), {"a.jpg": Trap()}, [Trap()]])
def test_a_pickle_is_refused_and_never_loaded(tmp_path, monkeypatch, protocol, content):
    monkeypatch.chdir(tmp_path)
    Path("boxes.json").write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(UserError, match="a pickle.*docs/formats.md shows how to convert it"):
        boxes.read("boxes.json")
    assert not Path("sprung").exists()


def test_the_docs_show_a_file_that_can_be_read(tmp_path):
    formats = (ROOT / "docs" / "formats.md").read_text(encoding="utf8")
    examples = re.findall(r"```json\n(\{\"version\".*?)```", formats, re.DOTALL)
    assert examples
    for example in examples:
        (tmp_path / "boxes.json").write_text(example)
        assert boxes.read(tmp_path / "boxes.json")[0].words


@pytest.mark.slow
def test_a_damaged_file_is_read_or_refused_in_a_line(tmp_path):
    page = Page("a.jpg", 100, 80, [Word(SQUARE, "one", 0.5, [("one", 0.5)], 0, 0), Word(SQUARE)], {"words": "iam"})
    boxes.write(tmp_path / "whole.json", [page, Page("b.jpg", error="no")])
    content, rng, read = (tmp_path / "whole.json").read_bytes(), np.random.default_rng(0), 0
    values = [b"null", b"-1", b"1e400", b"NaN", b'""', b"[]", b"{}", b"true", b'"\\ud800"', b"9" * 5000]
    photo = np.zeros((80, 100), np.uint8)
    for k in range(600):
        damaged = bytearray(content)
        if k % 2:
            place = rng.integers(len(damaged))
            damaged[place:place + rng.integers(4)] = rng.integers(0, 256, rng.integers(4), np.uint8).tobytes()
        else:  # another value
            found = list(re.finditer(rb'(?<=[\[:, ])(-?[\d.]+|"[^"]*"|null)(?=[,\]}])', content))
            where = found[rng.integers(len(found))]
            damaged[where.start():where.end()] = values[rng.integers(len(values))]
        (tmp_path / "boxes.json").write_bytes(damaged)
        try:
            pages = boxes.read(tmp_path / "boxes.json")
        except UserError as error:
            assert "\n" not in str(error)
            continue
        for word in (word for page in pages for word in page.words):
            cut(photo, word.polygon)
        read += 1
    assert read > 100


# --- The journal ----------------------------------------------------------------------------------------------

def test_a_journal_keeps_each_photo_and_merges_them(tmp_path):
    boxes.write(tmp_path / "boxes.json", [Page("a.jpg", error="no"), Page("b.jpg")])
    with boxes.Journal(tmp_path / "boxes.json") as journal:
        before = (tmp_path / "boxes.json").read_bytes()
        journal.add(Page("a.jpg", 9, 8, [Word(SQUARE, "one")]))
        journal.add(Page("c \udce9.jpg"))
        assert len((tmp_path / "boxes.json.journal").read_bytes().split(b"\n")) == 3
        assert (tmp_path / "boxes.json").read_bytes() == before
    assert boxes.read(tmp_path / "boxes.json") == [Page("a.jpg", 9, 8, [Word(SQUARE, "one")]), Page("b.jpg"),
                                                   Page("c \udce9.jpg")]
    assert [path.name for path in tmp_path.iterdir()] == ["boxes.json"]


def test_what_a_killed_run_left_is_merged_at_the_next_start(tmp_path):
    journal = boxes.Journal(tmp_path / "boxes.json").__enter__()
    journal.add(Page("a.jpg", 9, 8, [Word(SQUARE, "one")]))
    journal.add(Page("b.jpg"))
    journal.file.close()  # and nothing more
    beside = tmp_path / "boxes.json.journal"
    beside.write_bytes(beside.read_bytes() + b'{"file": "c.jpg", "wor')
    assert list(boxes.Journal(tmp_path / "boxes.json").pages) == ["a.jpg", "b.jpg"]
    assert [page.file for page in boxes.read(tmp_path / "boxes.json")] == ["a.jpg", "b.jpg"] and not beside.exists()
    beside.write_text('{"file": 5, "words": []}\n')
    with pytest.raises(UserError, match=r"boxes.json.journal: photos\[0\].file must be string"):
        boxes.Journal(tmp_path / "boxes.json")
    beside.write_text("{\n")
    with pytest.raises(UserError, match="boxes.json.journal: damaged .*; remove it"):
        boxes.Journal(tmp_path / "boxes.json")


def test_a_journal_is_merged_when_the_work_breaks_off(tmp_path):
    with pytest.raises(KeyboardInterrupt), boxes.Journal(tmp_path / "boxes.json") as journal:
        journal.add(Page("a.jpg"))
        raise KeyboardInterrupt
    assert boxes.read(tmp_path / "boxes.json") == [Page("a.jpg")]


# --- predict.py --boxes ---------------------------------------------------------------------------------------

class InkReader:
    """Reads dark words as "ab", others as "ac", and knows how many words came at a time."""
    size = 100, 32
    alphabet = Alphabet("seed")
    batches = []

    read_words = Reader.read_words

    def read_prepared(self, images, top_paths=1, *_):
        self.batches.append(len(images))
        return [Reading("ab", 0.9, [("ab", 0.9), ("ac", 0.05)][:top_paths], error="" if image.any() else "no ink in it")
                for image in images]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two photos, one of 12 megapixels, and one that is missing, with good and bad boxes."""
    monkeypatch.setattr(predict, "find_model", lambda path: (path, Path(__file__)))
    monkeypatch.setattr(predict, "load_config", lambda folder: {"network": {"width": 100, "height": 32}})
    monkeypatch.setattr(words.reader, "load_reader", lambda path, **decoding: InkReader())
    monkeypatch.setattr(InkReader, "batches", [])
    root = tmp_path / "photos"
    root.mkdir()
    photo = np.full((3000, 4000, 3), 220, np.uint8)
    for k in range(70):
        cv2.putText(photo, "ab", (20 + 400 * (k % 10), 100 + 300 * (k // 10)), cv2.FONT_HERSHEY_SIMPLEX, 3, (0, 0, 0), 8)
    write_image(root / "big.jpg", photo)
    write_image(root / "small.png", photo[:300, :400])
    write_boxes(tmp_path / "boxes.json", [
        {"file": "small.png", "words": [
            {"text": "AB!", "polygon": [[0, 0], [300, 0], [300, 150], [0, 150]]},
            {"text": "Abc", "polygon": [[500, 0], [600, 0], [600, 150], [500, 150]]},
            {"text": "abc", "polygon": [[-100, 0], [300, 0], [300, 150], [-100, 150]]},
            {"text": "", "polygon": [[0, 200], [300, 200], [300, 290], [0, 290]]}]},
        {"file": "gone.jpg", "words": [{"polygon": SQUARE}]},
        {"file": "big.jpg", "width": 4000, "height": 3000, "words": [
            {"text": "ab", "polygon": turned(0, (150 + 400 * (k % 10), 60 + 300 * (k // 10)), (280, 110)).tolist()}
            for k in range(70)]}])
    return tmp_path


def read_boxes(folder, *options):
    predict.main(["--model_path", "known", "--image_path", str(folder / "photos"), "--boxes", str(folder / "boxes.json"),
                  *map(str, options)])


def rows_of(path):
    with open(path, newline="", encoding="utf8") as file:
        return list(csv.DictReader(file))


def test_each_box_has_its_row(photos, monkeypatch):
    monkeypatch.setattr(words.batches, "CHUNK", 64)
    read_boxes(photos, "--result_path", photos, "--top_paths", 2)
    rows = rows_of(photos / "prediction.csv")
    assert list(rows[0]) == ["photo", "box", "prediction", "confidence", "prediction_2", "confidence_2", "error"]
    assert [(row["photo"], row["box"]) for row in rows] == [
        *(("small.png", str(k)) for k in range(4)), ("gone.jpg", "0"), *(("big.jpg", str(k)) for k in range(70))]
    assert [row["error"] for row in rows[:5]] == ["", "the box is outside the photo", "", "no ink in it", "no such file"]
    assert [row["prediction"] for row in rows[:5]] == ["ab", "", "ab", "ab", ""]
    assert all((row["prediction"], row["prediction_2"], row["error"]) == ("ab", "ac", "") for row in rows[5:])
    assert InkReader.batches == [62, 11]  # full ones, less the unreadable words


def test_boxes_are_scored_against_the_texts_of_the_file(photos, capsys):
    read_boxes(photos, "--validate", "--result_path", photos)
    shown = capsys.readouterr().out
    assert "72 words scored; left out: 1 of fewer than two letters or digits, 2 unreadable" in shown
    assert f"word accuracy                         {71 / 72:.4f}" in shown
    rows = rows_of(photos / "errors.csv")
    assert [(row["photo"], row["box"], row["text"], row["prediction"], row["error"]) for row in rows] == [
        ("small.png", "1", "", "", "the box is outside the photo"), ("gone.jpg", "0", "", "", "no such file"),
        ("small.png", "2", "abc", "ab", "")]


def test_predictions_are_drawn_and_one_photo_may_be_named(photos, capsys):
    predict.main(["--model_path", "known", "--image_path", str(photos / "photos" / "small.png"), "--boxes",
                  str(photos / "boxes.json"), "--draw", str(photos / "drawn")])
    assert capsys.readouterr().out.count("small.png") == 4
    drawn = read_image(photos / "drawn" / "small.png.jpg").astype(int)
    before = read_image(photos / "photos" / "small.png").astype(int)
    assert drawn.shape == before.shape and (np.abs(drawn - before) > 60).sum() > 300
    with pytest.raises(UserError, match="small.png.jpg: is there already; --overwrite"):
        read_boxes(photos, "--draw", photos / "drawn")


def test_photos_of_which_none_is_there_are_told_before_a_model_is_loaded(photos, monkeypatch):
    monkeypatch.setattr(words.reader, "load_reader", lambda path, **decoding: pytest.fail("the work has begun"))
    write_boxes(photos / "boxes.json", [{"file": name, "words": [{"polygon": SQUARE}]} for name in ("gone.jpg", "b.pdf#1")])
    with pytest.raises(UserError, match="b.pdf: no such file$"):
        read_boxes(photos)


def test_each_box_is_drawn_with_its_text_and_confidence(photos, monkeypatch):
    drawn = {}
    monkeypatch.setattr(drawing, "draw", lambda path, pixels, words: drawn.update({path.name: words}))
    monkeypatch.setattr(words.batches, "CHUNK", 64)
    monkeypatch.setattr(InkReader, "batches", [])
    read_boxes(photos, "--result_path", photos, "--draw", photos / "drawn")
    assert [(word.text, round(word.confidence, 3)) for word in drawn["small.png.jpg"]] == [
        (row["prediction"], round(float(row["confidence"]), 3)) for row in rows_of(photos / "prediction.csv")[:4]]
    assert [word.text for word in drawn["big.jpg"]] == ["ab"] * 70 and max(InkReader.batches) == 64


def test_each_photo_is_decoded_once_and_few_are_held(photos, monkeypatch):
    write_boxes(photos / "boxes.json", [{"file": f"{k}.png", "words": [{"text": "ab", "polygon": SQUARE}] * 3}
                                        for k in range(12)])
    held, counts, names = [], [], []

    def read_image(path):
        names.append(Path(path).name)
        pixels = np.full((100, 100, 3), 200, np.uint8)
        held.append(weakref.ref(pixels))
        counts.append(sum(reference() is not None for reference in held))
        return pixels

    monkeypatch.setattr("photos.files.read_image", read_image)
    monkeypatch.setattr("photos.files.check_image", lambda path: None)
    for options in ((), ("--draw", photos / "drawn")):
        read_boxes(photos, "--result_path", photos / "out", "--overwrite", *options)
        assert names == [f"{k}.png" for k in range(12)] and max(counts) <= 3
        names.clear()


@pytest.mark.parametrize("options, message", [
    (("--mjsynth",), "leave one out"),
    (("--split", "test", "--validate"), "the words have no parts"),
])
def test_options_that_do_not_go_together(photos, options, message):
    with pytest.raises(UserError, match=message):
        read_boxes(photos, *options)


def test_no_words_and_no_boxes(photos):
    write_boxes(photos / "boxes.json", [{"file": "small.png", "words": []}])
    with pytest.raises(UserError, match="no word of a photo of"):
        read_boxes(photos)
    with pytest.raises(UserError, match="--draw goes with --boxes"):
        predict.main(["--model_path", "m", "--image_path", ".", "--draw", "d"])


def test_the_shipped_model_reads_words_on_a_turned_photo():
    names = image_names(ROOT / "imgs" / "words")
    photo = np.full((1300, 1300, 3), 235, np.uint8)
    polygons = []
    for k, name in enumerate(names):
        word = np.stack([grey_of(read_image(ROOT / "imgs" / "words" / name))] * 3, axis=-1)
        size = 300, 300 * word.shape[0] / word.shape[1]
        polygons.append(turned(30, (300 + 330 * (k % 3), 200 + 280 * (k // 3)), size))
        warped = put_on_photo(word, polygons[-1], (1300, 1300))
        inside = cv2.fillConvexPoly(np.zeros((1300, 1300), np.uint8), np.int32(polygons[-1]), 1) > 0
        photo[inside] = warped[inside]
    readings = load_reader(ROOT / "models" / "iam").read([cut(photo, polygon)[0] for polygon in polygons])
    assert sum(reading.text == text_of_name(name) for reading, name in zip(readings, names, strict=True)) >= 8
