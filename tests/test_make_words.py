"""make_words.py: a folder in mjsynth's layout, the same whatever the number of workers and however often it broke off."""
import csv
import errno
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import command
import make_words
import render.folder
import render.word_set
from command import UserError
from words.lists import read_folder, read_listings
from words.metrics import letters_and_digits


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """A function that draws into a folder under tmp_path, with three faces, five words, and small chunks."""
    monkeypatch.setattr(render.folder, "CHUNK", 40)
    monkeypatch.setattr(render.folder, "FOLDER", 12)
    monkeypatch.setattr(render.word_set, "TASK", 7)
    (tmp_path / "fonts").mkdir()
    for name in ("kalam", "roboto", "lora"):
        shutil.copy(render.FONTS / f"{name}-latin-400-normal.woff2", tmp_path / "fonts")
    (tmp_path / "words.txt").write_text("letter 100\nit's 50\nEurope 20\nco-op 10\ncaf\u00e9 10\n", encoding="utf8")

    def run(folder, *options, number=150):
        make_words.main(["-o", str(tmp_path / folder), "-n", str(number), "--fonts", str(tmp_path / "fonts"),
                         "--lexicon", str(tmp_path / "words.txt"), *options])
        return tmp_path / folder
    return run


def rows_of(folder):
    with open(folder / "labels.csv", encoding="utf8", newline="") as file:
        return list(csv.DictReader(file))


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_layout_is_mjsynths_and_labels_agree(draw):
    folder = draw("words", "--valid", "10", "--workers", "1")
    rows = rows_of(folder)
    exact = read_folder(folder)
    listed = read_listings(folder, **render.folder.LISTINGS)
    assert len(rows) == len(exact) == len(listed) == 150 and not exact.missing().any() and not listed.missing().any()
    labels = {exact.name(i): (letters_and_digits(exact.text(i)), exact.splits[exact.split_ids[i]]) for i in range(150)}
    assert labels == {listed.name(i): (letters_and_digits(listed.text(i)), listed.splits[listed.split_ids[i]])
                      for i in range(150)}
    assert [sum(row["split"] == split for row in rows) for split in render.SPLITS] == [130, 10, 10]
    lexicon = (folder / "lexicon.txt").read_text(encoding="utf8").splitlines()
    lines = "".join((folder / name).read_text(encoding="utf8") for name in render.folder.LISTINGS.values()).splitlines()
    for line in lines:
        name, number = line.split(" ")
        _, text, same = Path(name).stem.split("_")
        assert same == number and lexicon[int(number)] == text.lower()
    assert len(set(lexicon)) == len(lexicon)
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["1", "2"]  # 13 folders, 7 in each
    assert len(list((folder / "1/7").iterdir())) == 12 and len(list((folder / "2/6").iterdir())) == 6
    with Image.open(folder / rows[-1]["file"], formats=["JPEG"]) as image:
        assert image.mode == "L" and rows[-1]["file"].startswith("2/6/6_")
    assert not list(folder.glob(".*"))


def test_workers_change_nothing(draw):
    one, two = draw("one", "--workers", "1"), draw("two", "--workers", "2")
    assert tree(one) == tree(two)
    assert tree(one) != tree(draw("other", "--workers", "1", "--random_state", "1"))


@pytest.mark.parametrize("torn", [b"", b'1/1/9_torn_3.jpg,"to'])
def test_resume_equals_a_run_that_never_broke_off(draw, monkeypatch, torn):
    whole = draw("whole", "--workers", "1")

    def killed(*arguments):
        for k, word in enumerate(drawn(*arguments)):
            if k == 100:
                raise SystemExit
            yield word

    drawn = render.word_set.drawn
    with monkeypatch.context() as patch:
        patch.setattr(render.word_set, "drawn", killed)
        with pytest.raises(SystemExit):
            draw("broken", "--workers", "1")
    broken = whole.parent / "broken"
    assert not (broken / "labels.csv").exists()
    part = broken / render.folder.PART
    lines = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join(lines[:93]) + torn)  # as a killed run leaves it
    with pytest.raises(UserError, match="resume"):
        draw("broken")
    with pytest.raises(UserError, match="random_state"):
        draw("broken", "--resume", "--random_state", "3")
    drawn_now = []
    monkeypatch.setattr(render.word_set, "drawn", lambda drawer, first, *rest: drawn_now.append(first) or
                        drawn(drawer, first, *rest))
    draw("broken", "--resume", "--workers", "2")
    assert drawn_now == [93] and tree(broken) == tree(whole)
    draw("broken", "--resume")  # nothing is left to do
    assert drawn_now == [93] and tree(broken) == tree(whole)


def test_a_folder_that_is_not_empty_needs_overwrite(draw, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("mine")
    for options in ([], ["--resume"]):
        with pytest.raises(UserError, match="overwrite"):
            draw("full", *options)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    draw("full", "--overwrite", number=30)
    draw("full", "--overwrite", number=20)
    assert len(rows_of(tmp_path / "full")) == 20 and (tmp_path / "full/mine.txt").read_text() == "mine"


def test_a_full_disk_leaves_a_usable_folder(draw, tmp_path, monkeypatch, capsys):
    write, written = Path.write_bytes, []

    def full(path, data):
        if len(written) == 130:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written.append(path)
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        patch.setattr(sys, "stdout", sys.__stdout__)
        with pytest.raises(SystemExit) as status:
            command.run(lambda: draw("disk", "--workers", "1"))
    assert status.value.code == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "No space left on device" in told
    folder = tmp_path / "disk"
    listed = read_listings(folder, **render.folder.LISTINGS)
    assert len(rows_of(folder)) == len(listed) == 130 and not listed.missing().any()
    draw("disk", "--resume")
    assert tree(folder) == tree(draw("whole"))


def test_words_that_are_listed_stay_listed_while_the_disk_is_full(draw, tmp_path, monkeypatch):
    write, room = Path.write_bytes, [88]

    def full(path, data):
        if path.suffix == ".jpg":
            if not room[0]:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            room[0] -= 1
        return write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        for options in ([], ["--resume"], ["--resume"]):
            with pytest.raises(UserError, match="88 words so far, listed"):
                draw("disk", "--workers", "1", *options)
            assert len(rows_of(tmp_path / "disk")) == 88
    draw("disk", "--resume")
    assert tree(tmp_path / "disk") == tree(draw("whole"))


def test_a_second_run_into_the_same_folder_is_refused(draw, tmp_path):
    (tmp_path / "both").mkdir()
    with command.locked(tmp_path / "both"):
        for options in ([], ["--overwrite"], ["--resume"]):
            with pytest.raises(UserError, match="another run"):
                draw("both", *options)
    assert len(rows_of(draw("both", number=20))) == 20


def test_something_in_the_way_is_left_alone(draw, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UserError, match="no folder"):
        draw("mine", "--overwrite")
    assert (tmp_path / "mine").read_text() == "mine"


def test_labels_are_those_of_the_images(draw):
    """Word k, drawn anew, is the picture in the file, and its text the label."""
    folder = draw("words", "--workers", "1", "--valid", "5", number=40)
    renderer = render.Renderer(folder.parent / "fonts", folder.parent / "words.txt")
    for k, row in enumerate(rows_of(folder)):
        word = renderer.word(np.random.default_rng((0, k)), row["split"])
        assert word.text == row["text"]
        with Image.open(folder / row["file"], formats=["JPEG"]) as image:
            assert abs(np.asarray(image, float) - word.image).mean() < 4


def test_options_are_read_before_what_is_slow_is_loaded():
    code = "import sys, {0}; {0}.command; print(*(set(sys.modules) & {{'numpy', 'cv2', 'PIL', 'keras', 'numba'}}))"
    for script in ("make_words", "get_fonts"):
        done = subprocess.run([sys.executable, "-c", code.format(script)], cwd=Path(make_words.__file__).parent,
                              capture_output=True, text=True, check=True)
        assert done.stdout.strip() == ""


def test_alphabet_and_styles_choose_the_words(draw):
    rows = rows_of(draw("digits", "--alphabet", "0123456789", "--styles", "board=1", number=30))
    assert all(row["text"].isdigit() and row["style"] == "board" for row in rows)


def test_sheet_is_drawn_and_not_overwritten(draw, tmp_path):
    draw("none", "--sheet", str(tmp_path / "sheet.png"))
    with Image.open(tmp_path / "sheet.png", formats=["PNG", "JPEG"]) as image:
        assert image.size == (2000, 940)
    assert not (tmp_path / "none").exists()
    with pytest.raises(UserError, match="overwrite"):
        draw("none", "--sheet", str(tmp_path / "sheet.png"))


@pytest.mark.parametrize("options", [
    ["-n", "0"], ["--workers", "0"], ["--random_state", "-1"], ["--valid", "0.4"], ["--valid", "100"], ["--valid", "-1"],
    ["--valid", "1/0"], ["--valid", "few"], ["--styles", "paper"], ["--styles", "paper=much"], ["--styles", "poster=1"],
    ["--styles", "paper=-1"], ["--styles", "paper=nan"], ["--strokes_share", "2"], ["--fonts", "nowhere"],
    ["--lexicon", "nowhere"], ["--strokes", "nowhere"], ["--resume", "--overwrite"], ["--alphabet", "aa"],
    ["--alphabet", ""], ["--lexicon", "CHINESE"], ["--alphabet", "\u03b1\u03b2abc"], ["--sheet", "sheet.txt"],
    ["--sheet", "nowhere/sheet.png"], ["--fonts", "CHINESE"], ["--lexicon", "."]])
def test_mistakes_are_told_in_one_line(draw, options, tmp_path):
    (tmp_path / "CHINESE").write_text("\u6f22\u5b57 9\n\u6f22 1\n", encoding="utf8")
    options = [str(tmp_path / option) if option == "CHINESE" else option for option in options]
    with pytest.raises(UserError) as error:
        draw("new", *options)
    assert "\n" not in str(error.value) and not (tmp_path / "new").exists()


def test_somewhere_to_write_is_needed():
    with pytest.raises(UserError, match="-o DIR"):
        make_words.main([])
