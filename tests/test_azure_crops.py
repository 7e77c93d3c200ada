"""azure_ocr.py: words cut out of photos, and drawings of them; neither needs the service nor its library."""
import csv
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from azure_photos import BOX, photo, run
from samples import NO_IMAGE

import azure_ocr
from command import UserError
from photos import boxes
from photos.page import Page, Word
from words.image_files import read_image, write_image
from words.lists import read_folder, text_of_name


@pytest.fixture
def labelled(tmp_path, monkeypatch):
    """photos/ in the current folder, and boxes.json by hand: two with words, good and bad, one that failed, one that is
    gone."""
    monkeypatch.chdir(tmp_path)
    photos = tmp_path / "photos"
    for name in "abc":
        photo(photos / f"{name}.png")
    pixels = np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)
    write_image(photos / "a.png", cv2.GaussianBlur(pixels, (5, 5), 0))
    far = [[x + 500, y] for x, y in BOX]
    boxes.write("boxes.json", [
        Page("a.png", 200, 120, [Word(BOX, "Hello,_wörld!", 0.9), Word(BOX, "--"), Word(BOX, "unsure", 0.3),
                                 Word(far, "far"), Word(BOX), Word(BOX, "x/../y" * 20)]),
        Page("b.png", words=[Word(BOX[1:] + BOX[:1], "Hello")]), Page("c.png", error="no"),
        Page("gone.png", words=[Word(BOX, "gone")])])
    return photos


def rows_of(path):
    with open(path, newline="", encoding="utf8") as file:
        return list(csv.DictReader(file))


def test_crops_are_ready_for_training(labelled):
    run("--crops", "my_words", "--min_confidence", "0.5")
    rows = rows_of("my_words/labels.csv")
    assert [(row["file"], row["text"], row["photo"], row["box"], row["confidence"], row["writer"]) for row in rows] == [
        ("_Hellowörld_00000-0000.png", "Hello,_wörld!", "a.png", "0", "0.9", "a.png"),
        (f"_{'xy' * 20}_00000-0005.png", "x/../y" * 20, "a.png", "5", "1", "a.png"),
        ("_Hello_00001-0000.png", "Hello", "b.png", "0", "1", "b.png")]
    assert set(os.listdir("my_words")) == {row["file"] for row in rows} | {"labels.csv", "skipped.csv"}
    word = read_image("my_words/_Hellowörld_00000-0000.png")
    assert np.array_equal(word, read_image("photos/a.png")[20:50, 60:140])
    assert read_image("my_words/_Hello_00001-0000.png").shape == (80, 30, 3)  # its top is the box's right side
    assert [(row["photo"], row["box"], row["reason"]) for row in rows_of("my_words/skipped.csv")] == [
        ("a.png", "1", "no letter or digit in its text"), ("a.png", "2", "less sure than 0.5"),
        ("a.png", "3", "the box is outside the photo"), ("a.png", "4", "no letter or digit in its text")]
    words = read_folder("my_words")
    assert words.groups.tolist() == [0, 0, 1] and text_of_name(words.name(0)) == "Hellowörld"
    with pytest.raises(UserError, match="my_words: the folder is not empty.*--overwrite"):
        run("--crops", "my_words")
    run("--crops", "my_words", "--overwrite")
    assert len(rows_of("my_words/labels.csv")) == 4


def test_crops_of_one_photo_have_no_writer_to_split_by(labelled):
    azure_ocr.main(["-p", str(labelled / "a.png"), "--crops", "my_words"])
    assert {row["writer"] for row in rows_of("my_words/labels.csv")} == {""}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are UTF-8")
def test_a_photo_whose_name_is_no_utf8_does_not_spoil_the_table(labelled):
    name = os.fsdecode(b"caf\xe9.png")
    photo(labelled / name)
    boxes.write("boxes.json", [*boxes.read("boxes.json"), Page(name, words=[Word(BOX, "word")])])
    run("--crops", "my_words")
    assert rows_of("my_words/labels.csv")[-1]["photo"] == "caf\\udce9.png" and len(read_folder("my_words")) == 5


def test_one_photo_that_is_none_is_told_before_anything_else(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    os.mkfifo(tmp_path / "pipe.png")
    for name, reason in (("text.png", NO_IMAGE), ("pipe.png", "not a file"), ("none.png", "no such file or folder")):
        with pytest.raises(UserError, match=f"{name}: {reason}"):
            azure_ocr.main(["-p", str(tmp_path / name), "--yes"])


@pytest.mark.parametrize("option", ["--crops", "--draw"])
def test_nothing_is_written_among_the_photos(labelled, option):
    with pytest.raises(UserError, match="is among the photos, and the next run would send"):
        run(option, "photos/new")


def test_a_photo_that_cannot_be_read_costs_a_line(labelled, capsys):
    (labelled / "b.png").write_text("no picture")
    run("--crops", "my_words")
    assert "b.png: not a readable image" in capsys.readouterr().err
    assert {row["photo"] for row in rows_of("my_words/labels.csv")} == {"a.png"}
    assert rows_of("my_words/skipped.csv")[-1]["reason"].startswith("not a readable image")


def test_boxes_are_drawn(labelled):
    run("--draw", "drawn")
    assert sorted(path.name for path in Path("drawn").iterdir()) == ["a.png.jpg", "b.png.jpg"]
    drawn, before = (read_image(path).astype(int) for path in ("drawn/b.png.jpg", "photos/b.png"))
    assert (np.abs(drawn - before).max(axis=2)[15:25, 60:140] > 60).any()
    with pytest.raises(UserError, match="a.png.jpg: is there already; --overwrite"):
        run("--draw", "drawn")
    (labelled / "none").mkdir()
    with pytest.raises(UserError, match="no photo in it"):
        azure_ocr.main(["-p", str(labelled / "none"), "--draw", "d"])
