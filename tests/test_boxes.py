"""boxes.py, and predict.py --boxes: the file's format, words cut out of photos, drawings, and what is read in the boxes."""
import csv
import json
import pickle
import re
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import boxes
import predict
from command import UserError
from words.alphabet import Alphabet
from words.images import grey_of, read_image, write_image
from words.lists import image_names, text_of_name
from words.reader import Reading
import utils

ROOT = Path(__file__).parent.parent
SQUARE = [[10, 10], [60, 10], [60, 40], [10, 40]]


def word_image(text="Hello", size=(240, 80)):
    """uint8 [H, W, 3], a word on light paper that differs in every corner, so that a turned or mirrored one shows."""
    pixels = np.full((size[1], size[0], 3), 230, np.uint8)
    cv2.putText(pixels, text, (15, 58), cv2.FONT_HERSHEY_SIMPLEX, 1.9, (20, 40, 160), 5, cv2.LINE_AA)
    pixels[4:16, 4:30] = 90, 160, 90
    return cv2.GaussianBlur(pixels, (5, 5), 0)


def put_on_photo(word, polygon, size):
    """A photo, uint8 [H, W, 3], with a word warped onto the polygon: by Pillow, with the matrix solved here."""
    rows, values = [], []
    height, width = word.shape[:2]
    for (x, y), (u, v) in zip(polygon, ((0, 0), (width, 0), (width, height), (0, height))):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    coefficients = np.linalg.solve(rows, values)  # of the map from the photo to the word
    photo = Image.new("RGB", size, tuple(int(part) for part in np.median(word, axis=(0, 1))))
    flat, inside = (Image.fromarray(pixels).transform(size, Image.Transform.PERSPECTIVE, coefficients.tolist(),
                                                      Image.Resampling.BICUBIC)
                    for pixels in (word, np.full(word.shape[:2], 255, np.uint8)))
    photo.paste(flat, mask=inside)
    return np.array(photo)


def turned(angle, centre=(300, 300), size=(240, 80), bend=0.0):
    """The corners of a box turned by degrees, its far end `bend` narrower."""
    width, height = size
    flat = np.array([[-width, -height], [width, -height * (1 - bend)], [width, height * (1 - bend)], [-width, height]]) / 2
    a = np.radians(angle)
    return flat @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + centre


# --- Cutting --------------------------------------------------------------------------------------------------

def test_an_upright_box_at_whole_pixels_is_copied():
    photo = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    pixels, reason = boxes.cut(photo, SQUARE)
    assert reason == "" and np.array_equal(pixels, photo[10:40, 10:60])
    pixels, _ = boxes.cut(photo[..., 0], [[0, 0], [120, 0], [120, 90], [0, 90]])
    assert np.array_equal(pixels, photo[..., 0])


@pytest.mark.parametrize("bend", [0, 0.35])
@pytest.mark.parametrize("angle", [0, 7, -25, 90, 133, 180, 270])
def test_a_word_warped_onto_a_photo_is_cut_out_as_it_was(angle, bend):
    word = word_image()
    polygon = turned(angle, bend=bend)
    pixels, reason = boxes.cut(put_on_photo(word, polygon, (600, 600)), polygon.tolist())
    assert reason == "" and abs(pixels.shape[1] - 240) <= 2 and abs(pixels.shape[0] - 80 * (1 - bend / 2)) <= 1
    differences = np.abs(cv2.resize(pixels, (240, 80)).astype(float) - word)[3:-3, 3:-3]
    assert differences.mean() < (4 if bend else 2)  # another direction or a mirror image: 30 and more


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 3, 2, 1), (0, 1, 3, 2), (0, 2, 1, 3)])
def test_the_first_point_is_top_left_and_the_others_may_cross(order):
    polygon = turned(20)
    photo = put_on_photo(word_image(), polygon, (600, 600))
    assert np.array_equal(boxes.cut(photo, polygon[list(order)])[0], boxes.cut(photo, polygon)[0])


def test_the_part_outside_the_photo_is_left_out():
    photo = np.random.default_rng(0).integers(0, 256, (50, 70), np.uint8)
    pixels, reason = boxes.cut(photo, [[-30, 20], [40, 20], [40, 80], [-30, 80]])
    assert reason == "" and np.array_equal(pixels, photo[20:, :40])
    pixels, reason = boxes.cut(photo, [[-1e9, -1e9], [1e9, -1e9], [1e9, 1e9], [-1e9, 1e9]])
    assert reason == "" and max(pixels.shape) < 200  # whatever a box of such a size shows
    polygon = turned(90, centre=(300, 10))  # downwards; its first 110 of 240 pixels are above the photo
    whole = put_on_photo(word_image(), polygon + [0, 200], (600, 600))
    clipped, _ = boxes.cut(whole[200:], polygon)
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
    assert boxes.cut(np.zeros((90, 120), np.uint8), polygon) == (None, reason)


def test_a_box_longer_than_opencv_can_warp_is_named_and_one_as_long_is_cut():
    strip = np.zeros((6, 40_000), np.uint8)
    strip[:, ::1000] = 255
    assert boxes.cut(strip, [[10, 1], [39_000, 1], [39_000, 5], [10, 5]]) == (None, "the box is larger than 32,766 pixels")
    pixels, _ = boxes.cut(strip, [[10, 1], [32_000, 1], [32_000, 5], [10, 5]])
    assert np.array_equal(pixels, strip[1:5, 10:32_000])


def test_a_corner_that_lies_between_others_leaves_a_rectangle():
    photo = np.random.default_rng(0).integers(0, 256, (90, 120), np.uint8)
    pixels, reason = boxes.cut(photo, [[10, 10], [60, 10], [60, 40], [35, 25]])
    assert reason == "" and min(pixels.shape) > 15


def test_no_polygon_is_an_exception():
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (60, 80, 3), np.uint8)
    cut = 0
    for _ in range(2000):
        polygon = rng.uniform(-60, 140, (4, 2)) * 10.0 ** rng.integers(-2, 8, (4, 1)).clip(0, rng.integers(0, 8))
        if rng.random() < 0.3:
            polygon = np.round(polygon, -1)
        if rng.random() < 0.1:
            polygon[rng.integers(4)] = polygon[rng.integers(4)]
        pixels, reason = boxes.cut(photo, polygon)
        assert (pixels is None) == bool(reason)
        assert pixels is None or (pixels.dtype == np.uint8 and min(pixels.shape) >= 1 and max(pixels.shape) <= 101)
        cut += pixels is not None
    assert cut > 500


# --- The file -------------------------------------------------------------------------------------------------

def write_boxes(path, photos):
    path.write_text(json.dumps({"version": 1, "photos": photos}))


def test_what_is_written_is_read_again(tmp_path):
    photos = [{"file": "a/b \udce9.jpg", "width": 100, "height": 80, "words": [
        {"text": "Žluťoučký \"kůň\"", "confidence": 0.5, "polygon": [[1.5, 2], [3, 2], [3, 4], [1, 4]], "line": 0},
        {"polygon": SQUARE}]}, {"file": "none.jpg", "words": []}, {"file": "bad.jpg", "words": [], "error": "no"}]
    boxes.write(tmp_path / "boxes.json", photos)
    assert boxes.read(tmp_path / "boxes.json") == photos
    lines = (tmp_path / "boxes.json").read_bytes().split(b"\n")
    assert sum(b"polygon" in line for line in lines) == 2 and "Žluťoučký".encode() in b"".join(lines)
    assert [path.name for path in tmp_path.iterdir()] == ["boxes.json"]
    boxes.write(tmp_path / "boxes.json", [])
    assert boxes.read(tmp_path / "boxes.json") == []
    (tmp_path / "boxes.json").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "boxes.json").read_bytes())  # an editor's mark
    assert boxes.read(tmp_path / "boxes.json") == []


def test_the_schema_is_one():
    boxes.jsonschema.Draft202012Validator.check_schema(json.loads(boxes.SCHEMA.read_text()))


@pytest.mark.parametrize("content, message", [
    ("{", "not JSON"),
    ("[]", "is not of type 'object'"),
    ('{"version": 2, "photos": []}', "version: 1 was expected"),
    ('{"version": 1}', "'photos' is a required property"),
    ('{"version": 1, "photos": [{"words": []}]}', r"photos\[0\]: 'file' is a required property"),
    ('{"version": 1, "photos": [{"file": "../a.jpg", "words": []}]}', r"photos\[0\].file"),
    ('{"version": 1, "photos": [{"file": "/a.jpg", "words": []}]}', r"photos\[0\].file"),
    ('{"version": 1, "photos": [{"file": "b/../../a.jpg", "words": []}]}', r"photos\[0\].file"),
    ('{"version": 1, "photos": [{"file": "a\\u0000b", "words": []}]}', r"photos\[0\].file"),
    ('{"version": 1, "photos": [{"file": "a\\ud83d", "words": []}]}', "not JSON"),
    ('{"version": 1, "photos": [{"file": "a", "width": 3, "words": []}]}', "'height' is a dependency of 'width'"),
    ('{"version": 1, "photos": [{"file": "a", "words": []}, {"file": "a", "words": []}]}', "a is in it twice"),
    ('{"version": 1, "photos": [{"file": "a", "words": [{"polygon": [[1, 2], [3, 4], [5, 6]]}]}]}',
     r"photos\[0\].words\[0\].polygon"),
    ('{"version": 1, "photos": [{"file": "a", "words": [{"polygon": [[1, 2], [3, 4], [5, 6], [7, "8"]]}]}]}',
     r"photos\[0\].words\[0\].polygon\[3\]\[1\]: '8' is not of type 'number'"),
    ('{"version": 1, "photos": [{"file": "a", "words": [{"polygon": [[1, 2], [3, 4], [5, 6], [7, 1e999]]}]}]}', "maximum"),
])
def test_what_is_wrong_with_a_file_is_said_in_a_line(tmp_path, content, message):
    (tmp_path / "boxes.json").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        boxes.read(tmp_path / "boxes.json")
    assert "README" in str(caught.value) or "twice" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("content", [Trap(), {"a.jpg": Trap()}, [Trap()]])
def test_a_pickle_is_refused_and_never_loaded(tmp_path, monkeypatch, protocol, content):
    monkeypatch.chdir(tmp_path)
    Path("boxes.json").write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(UserError, match="a pickle.*README, Your own photos, shows how to convert it"):
        boxes.read("boxes.json")
    assert not Path("sprung").exists()


def test_the_readme_shows_a_file_that_can_be_read(tmp_path):
    examples = re.findall(r"```json\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf8"), re.DOTALL)
    assert examples
    for example in examples:
        (tmp_path / "boxes.json").write_text(example)
        assert boxes.read(tmp_path / "boxes.json")[0]["words"]


# --- Photos and drawings --------------------------------------------------------------------------------------

def test_a_photo_is_upright_and_of_the_size_that_its_boxes_are_for(tmp_path):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:10, :20] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    photo = boxes.load_photo(tmp_path, {"file": "a.png", "width": 40, "height": 60})
    assert np.array_equal(photo, np.rot90(pixels, -1))
    with pytest.raises(ValueError, match="the photo is 40 x 60 large, its boxes are for 60 x 40"):
        boxes.load_photo(tmp_path, {"file": "a.png", "width": 60, "height": 40})
    for mode in ("RGBA", "LA", "I;16", "1", "P"):
        Image.fromarray(pixels).convert("L").convert(mode).save(tmp_path / "b.png")
        photo = boxes.load_photo(tmp_path, {"file": "b.png"})
        assert photo.dtype == np.uint8 and photo.shape[:2] == (40, 60)
        assert photo[5, 5].min() == 255 and photo[30, 30].max() == 0


def test_boxes_are_drawn_from_red_to_green(tmp_path):
    photo = np.full((400, 600, 3), 200, np.uint8)
    marks = [([[50, 100], [250, 100], [250, 200], [50, 200]], "sure", 1.0),
             ([[350, 100], [550, 100], [550, 200], [350, 200]], "žluť", 0.0),
             ([[10, 10]] * 4, "nowhere", 0.5), ([[700, 10], [800, 10], [800, 50], [700, 50]], "outside", 0.5)]
    boxes.draw(tmp_path / "x" / "a.jpg", photo, marks)
    drawn = read_image(tmp_path / "x" / "a.jpg").astype(int)
    red, green, _ = drawn[190:201, 150].sum(axis=0) - 11 * drawn[150, 150]
    assert red < green - 200
    red, green, _ = drawn[190:201, 450].sum(axis=0) - 11 * drawn[150, 450]
    assert green < red - 200
    assert np.abs(drawn[220:] - 200).max() < 5 and np.abs(drawn[10:50, 300:] - 200).max() < 5
    assert drawn[70:98, 50:150].min() < 100 and drawn[70:98, 50:150].max() > 240  # the text


def test_no_drawing_replaces_anything_unasked(tmp_path):
    photos = [{"file": "a.jpg"}, {"file": "b.png"}]
    for photo in photos:
        Image.new("RGB", (60, 60)).save(tmp_path / photo["file"])
    for overwrite in (False, True):
        with pytest.raises(UserError, match="is the photo itself"):
            boxes.new_drawings(tmp_path, tmp_path, photos, overwrite)
    (tmp_path / "drawn").mkdir()
    boxes.new_drawings(tmp_path / "drawn", tmp_path, photos, False)
    (tmp_path / "drawn" / "b.png.jpg").touch()
    with pytest.raises(UserError, match="b.png.jpg: is there already; --overwrite"):
        boxes.new_drawings(tmp_path / "drawn", tmp_path, photos, False)
    boxes.new_drawings(tmp_path / "drawn", tmp_path, photos, True)


# --- predict.py --boxes ---------------------------------------------------------------------------------------

class InkReader:
    """Reads dark words as "ab", others as "ac", and knows how many words came at a time."""
    size = 100, 32
    alphabet = Alphabet("seed")
    batches = []

    def read_prepared(self, images, top_paths=1):
        self.batches.append(len(images))
        return [[Reading("ab", 0.9), Reading("ac", 0.05)][:top_paths] for _ in images]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two photos, one of 12 megapixels, and one that is missing, with good and bad boxes."""
    monkeypatch.setattr(utils, "load_reader", lambda path, **decoding: InkReader())
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
    monkeypatch.setattr(predict, "CHUNK", 64)
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


def test_each_box_is_drawn_with_its_text_and_confidence(photos, monkeypatch):
    drawn = {}
    monkeypatch.setattr(boxes, "draw", lambda path, pixels, marks: drawn.update({path.name: marks}))
    monkeypatch.setattr(predict, "CHUNK", 64)
    monkeypatch.setattr(InkReader, "batches", [])
    read_boxes(photos, "--result_path", photos, "--draw", photos / "drawn")
    assert [(text, round(sure, 3)) for _, text, sure in drawn["small.png.jpg"]] == [
        (row["prediction"], round(float(row["confidence"]), 3)) for row in rows_of(photos / "prediction.csv")[:4]]
    assert [text for _, text, _ in drawn["big.jpg"]] == ["ab"] * 70 and max(InkReader.batches) == 64


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

    monkeypatch.setattr(boxes, "read_image", read_image)
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
    readings = utils.load_reader(ROOT / "models" / "iam").read([boxes.cut(photo, polygon)[0] for polygon in polygons])
    assert sum(reading.text == text_of_name(name) for reading, name in zip(readings, names, strict=True)) >= 8
