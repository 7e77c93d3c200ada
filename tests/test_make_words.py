"""make_words.py: labelled words from pen strokes and fonts, the same whatever the number of workers."""
import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import make_words
import utils


@pytest.fixture
def strokes(tmp_path):
    """A strokes file of 22 writers, who wrote "i" each: a line, and a dot of one point; one of poor quality."""
    words = 22
    absolute = np.array([[0, -128], [4, -60], [9, 0], [2, -200]])  # decoded by hand: line of three points, dot
    deltas = np.diff(absolute, axis=0, prepend=0)
    path = tmp_path / "strokes.npz"
    np.savez(path, points=np.tile(deltas, (words, 1)).astype(np.int16),
             stroke_ends=np.array([e + 4 * k for k in range(words) for e in (3, 4)], np.int32),
             word_ends=np.arange(2, 2 * words + 1, 2, dtype=np.int32), text_blob=np.frombuffer(b"i" * words, np.uint8),
             text_ends=np.arange(1, words + 1, dtype=np.int32), writer=np.arange(words, dtype=np.int16),
             quality=np.array([29] + [60] * (words - 1), np.uint8), iam_text=np.zeros(words, np.uint8))
    return path


def rows_of(folder):
    with open(folder / "labels.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_strokes_are_decoded_and_poor_words_left_out(strokes):
    source = make_words.Strokes(strokes)
    line, dot = source.strokes_of(5)
    assert line.tolist() == [[0, -128], [4, -60], [9, 0]] and dot.tolist() == [[2, -200]]
    assert 0 not in source.words and len(source.words) == 21
    assert source.valid_writers == set(range(2, 22))
    ink = make_words.draw_strokes([dot], np.random.default_rng(0))
    assert ink.max() > 100  # a stroke of one point is a dot, not nothing


def test_workers_and_number_do_not_change_the_words(strokes, tmp_path):
    for folder, *more in (["one", "-n", "30", "--workers", "1"], ["two", "-n", "230", "--workers", "2"]):
        make_words.main(["-o", str(tmp_path / folder), "--strokes", str(strokes), *more])
    one, two = rows_of(tmp_path / "one"), rows_of(tmp_path / "two")
    assert len(two) == 230 and one == two[:30] and {row["text"] for row in two} == {"i"}
    for row in one:
        assert (tmp_path / "one" / row["file"]).read_bytes() == (tmp_path / "two" / row["file"]).read_bytes()
        assert (row["split"] == "valid") == (int(row["writer"].removeprefix("ondb")) >= 2)
        with Image.open(tmp_path / "one" / row["file"]) as image:
            assert image.mode == "L" and image.height <= 100


@pytest.mark.skipif(not features.check("freetype2"), reason="Pillow without FreeType")
def test_fonts_write_what_they_can(tmp_path, capsys):
    fonts = tmp_path / "fonts"
    fonts.mkdir()
    face = make_words.ImageFont.load_default(20)  # Pillow's own, held in memory
    (fonts / "own.ttf").write_bytes(face.font_bytes)
    (fonts / "broken.ttf").write_bytes(b"not a font")
    (fonts / "manifest.csv").write_text("file,family,group,caps_only,missing\nown.ttf,Own,handwriting,1,z\n")
    lexicon = make_words.weigh(["zoo", "letter"], [100, 1])
    source = make_words.Fonts(fonts, lexicon)
    assert "broken.ttf" in capsys.readouterr().err and len(source.faces) == 1
    source.faces[0].missing = frozenset("Z")
    for k in range(50):
        ink, text, _, writer = source.draw(np.random.default_rng(k))
        assert ink.max() > 100 and text == text.upper() and "Z" not in text and writer == "Own"


def test_mistakes_are_told_in_one_line(strokes, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept.txt").write_text("mine")
    (tmp_path / "bad.npz").write_bytes(b"not an npz")
    (tmp_path / "empty").mkdir()
    for arguments in (["-o", "x"], ["--strokes", str(strokes)],
                      ["-o", str(tmp_path / "full"), "--strokes", str(strokes)],
                      ["-o", "x", "--strokes", str(tmp_path / "bad.npz")], ["-o", "x", "--strokes", "none.npz"],
                      ["-o", "x", "--fonts", str(tmp_path / "empty"), "--strokes", str(strokes)],
                      ["-o", "x", "--fonts", str(tmp_path / "empty")]):
        with pytest.raises(utils.UserError):
            make_words.main(arguments)
