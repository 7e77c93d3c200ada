"""box_words.py: labelled boxes on photos cut into words, alone and with their neighbours."""
import csv
import json

import cv2
import numpy as np
import pytest

import box_words
from command import UserError
from words.image_files import read_image, write_image

ROWS = [("ok", 20, 20, 60, 30, "read"), ("ok", 90, 22, 70, 28, "these"), ("ok", 162, 44, 6, 8, "."),
        ("ok", 20, 80, 40, 30, "far"), ("ok", 200, 80, 40, 30, "off"), ("err", 245, 80, 30, 30, "no"),
        ("ok", 280, 80, 12, 30, "I")]


@pytest.fixture
def pages(tmp_path):
    """A page with a grey of its own in each box."""
    pixels = np.full((140, 320), 230, np.uint8)
    rows = ["page\tsplit\tsegmentation\tx\ty\tw\th\ttext"]
    for k, (kind, x, y, width, height, text) in enumerate(ROWS):
        pixels[y:y + height, x:x + width] = 20 + 20 * k
        rows.append(f"a01.png\ttrain\t{kind}\t{x}\t{y}\t{width}\t{height}\t{text}")
    (tmp_path / "pages").mkdir()
    write_image(tmp_path / "pages/a01.png", pixels)
    (tmp_path / "pages/boxes.tsv").write_text("\n".join(rows) + "\n")
    return tmp_path / "pages"


def run(path, *options):
    out = path.parent / "out"
    box_words.main(["--path", str(path), "--result_path", str(out), *options])
    with open(out / "labels.csv", newline="", encoding="utf8") as file:
        return {row["text"]: row for row in csv.DictReader(file)}, out


def test_each_word_alone(pages, capsys):
    labels, out = run(pages)
    assert list(labels) == ["read", "these", ".", "far", "off", "I"] and labels["far"]["split"] == "train"
    for text, row in labels.items():
        _, x, y, width, height, _ = next(given for given in ROWS if given[-1] == text)
        image = read_image(out / row["file"])
        assert image.shape == (height, width) and len(np.unique(image)) == 1
    assert capsys.readouterr().out.endswith("6 word images of 1 photo\n")


def test_neighbours_of_a_line_together(pages):
    """Not over a wide gap, a doubtful word or the end of a line; a mark stands with its word."""
    labels, out = run(pages, "--pairs")
    assert list(labels) == ["read these", "these."]  # all three in one box would be too wide
    image = read_image(out / labels["read these"]["file"])
    assert image.shape == (30, 140)  # from 20 to 160, and from 20 to 50
    assert (image[5, [5, 65, 100]] == [20, 230, 40]).all()


def test_copies_of_words_to_train_on_are_looser(pages):
    labels, out = run(pages, "--copies", "3")
    assert len(list((out / "words").iterdir())) == 6 * 4
    with pytest.raises(UserError, match="overwrite"):
        run(pages)


def test_sure_words_of_lines_and_their_neighbours(tmp_path):
    """A turned line of three words, the middle one doubtful in a second line."""
    pixels, folder = np.full((300, 300), 230, np.uint8), tmp_path / "boards"
    (folder / "photos").mkdir(parents=True)
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
    rows = ["file\tline\tword\t" + "\t".join(f"{axis}{k}" for k in (1, 2, 3, 4) for axis in "xy") + "\ttext\tfit"]
    for line, fits in enumerate([(0.1, 0.2, 0.3), (0.1, 1.4, 0.3)]):
        for k, fit in enumerate(fits):
            x, y = 30 + 36 * k, 40 * line
            quad = np.array([[x, y], [x + 30, y], [x + 30, y + 20], [x, y + 20]]) @ turn + [60, 20]
            cv2.fillConvexPoly(pixels, np.int32(quad), 40 + 30 * k)
            rows.append(f"1.jpg\t{line}\t{k}\t" + "\t".join(f"{v:.1f}" for v in quad.ravel()) + f"\tw{line}{k}\t{fit}")
    cv2.imwrite(str(folder / "photos/1.jpg"), pixels)
    (folder / "words.tsv").write_text("\n".join(rows) + "\n")
    (folder / "lines.json").write_text(json.dumps([{"file": "1.jpg", "split": "valid", "source": "somebody", "lines": []}]))
    labels, out = run(folder, "--pairs")
    assert sorted(labels) == ["w00 w01", "w01 w02"] and labels["w00 w01"]["writer"] == "somebody"
    image = read_image(out / labels["w00 w01"]["file"])
    assert image.shape == (20, 66)  # upright again, two words of 30 px with a gap of 6
    assert abs(image[10, 8].astype(int) - 40) < 20 and image[10, 33] > 150 and abs(image[10, 58].astype(int) - 70) < 20


def test_a_folder_without_words_is_told(tmp_path):
    with pytest.raises(UserError, match="boxes.tsv"):
        run(tmp_path)
