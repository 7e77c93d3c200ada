"""Folders of pages: IAM's boxes, boards' quads, ink masks."""
import json

import numpy as np
import pytest
from PIL import Image

from command import UserError
from photos.folders import read_pages
from tests.samples import NO_IMAGE, write


def picture(path, shape=(90, 120), value=200):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path)


def test_boxes_with_doubtful_ones_ignored(tmp_path):
    picture(tmp_path / "a.png")
    write(tmp_path / "boxes.tsv", "page\tsplit\tsegmentation\tx\ty\tw\th\ttext\n"
          'a.png\ttrain\tok\t10\t20\t30\t12\tword\na.png\ttrain\terr\t50\t20\t9\t9\tx\na.png\ttrain\tok\t80\t30\t2\t2\t"\n')
    page, = read_pages(tmp_path)
    assert page.split == "train" and page.levels[0].shape == (90, 120, 3) and page.ink is None
    assert page.quads[0].tolist() == [[10, 20], [40, 20], [40, 32], [10, 32]] and len(page.quads) == 2
    assert page.ignored.tolist() == [[[50, 20], [59, 20], [59, 29], [50, 29]]]
    assert page.height == 12  # of words, not of marks


def test_lines_and_words_with_what_is_doubtful_ignored(tmp_path):
    picture(tmp_path / "photos" / "1.png", (90, 120, 3))
    lines = [{"quad": [[0, 0], [9, 0], [9, 9], [0, 9]], "ignore": ignore} for ignore in (False, True, False)]
    write(tmp_path / "lines.json", json.dumps([{"file": "1.png", "split": "valid", "lines": lines}]))
    corners = "\t".join(f"{axis}{k}" for k in range(1, 5) for axis in "xy")
    write(tmp_path / "words.tsv", f"file\tline\tword\t{corners}\ttext\tfit\n"
          "1.png\t0\t0\t1\t2\t21\t2\t21\t12\t1\t12\tyes\t0.3\n1.png\t0\t1\t31\t2\t41\t2\t41\t12\t31\t12\tno\t1.0\n")
    page, = read_pages(tmp_path, split="valid")
    assert page.quads.tolist() == [[[1, 2], [21, 2], [21, 12], [1, 12]]] and page.height == 10
    assert len(page.ignored) == 3  # the doubtful word, the line to ignore, and the one that was not split
    assert read_pages(tmp_path, split="train") == []


def test_ink_masks_and_pages_shrunk_to_spare_memory(tmp_path):
    picture(tmp_path / "board.png", (200, 300))
    mask = np.full((200, 300), 255, np.uint8)
    mask[50:150, 20:40] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    write(tmp_path / "pairs.tsv", "file\tink\tkind\tgroup\nboard.png\tmask.png\twhiteboard\tlecture_10\n")
    page, = read_pages(tmp_path)
    assert page.quads is None and page.split == "valid" and page.ink[100, 30] == 255 and page.ink[100, 100] == 0
    small, = read_pages(tmp_path, most=40)
    assert small.height == pytest.approx(40) and small.levels[0].shape[:2] == small.ink.shape == (50, 75)
    image, ink = small.level(1)
    assert image.shape[:2] == ink.shape == (25, 38) and ink[12, 4] > 200


def test_a_page_that_cannot_be_read_is_said_in_one_line(tmp_path):
    picture(tmp_path / "board.png")
    write(tmp_path / "mask.png", "no picture")
    write(tmp_path / "pairs.tsv", "file\tink\tkind\tgroup\nboard.png\tmask.png\twhiteboard\tlecture_10\n")
    with pytest.raises(UserError, match=f"mask.png: {NO_IMAGE}"):
        read_pages(tmp_path)
    (tmp_path / "board.png").unlink()
    picture(tmp_path / "mask.png")
    with pytest.raises(UserError, match="board.png: no such file"):
        read_pages(tmp_path)


def test_a_folder_without_pages_is_said_in_one_line(tmp_path):
    with pytest.raises(UserError, match="neither boxes.tsv nor words.tsv nor pairs.tsv"):
        read_pages(tmp_path)
