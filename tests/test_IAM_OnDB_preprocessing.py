"""IAM_OnDB_preprocessing.py: lines of pen strokes, written here by hand, to the strokes of single words."""
import itertools
import math

import numpy as np
import pytest
from samples import write

import IAM_OnDB_preprocessing as ondb
from command import UserError
from render import Strokes

HEIGHT = 40.0  # of an x, in the database's units


def zigzag(x, letters):
    """A stroke of so many "u"s from x on: down to the baseline at y = 500 and up to the height of an x, each HEIGHT wide."""
    return [(x + k * HEIGHT / 2, 500 - HEIGHT * (k % 2 == 0)) for k in range(2 * letters + 1)]


def line_of(words, space=1.2):
    """Strokes of words, one each, and of a dot above the first."""
    strokes, x = [], 100.0
    for word in words:
        strokes.append(zigzag(x, len(word)))
        x = strokes[-1][-1][0] + space * HEIGHT
    return [*strokes, [(120.0, 500 - 2 * HEIGHT)]]  # the dot is written last, as people do


def turned(strokes, angle):
    c, s = math.cos(angle), math.sin(angle)
    return [[(c * x - s * y, s * x + c * y) for x, y in stroke] for stroke in strokes]


def write_line(folder, form, number, strokes):
    body = "".join("<Stroke>" + "".join(f'<Point x="{x}" y="{y}" time="1"/>' for x, y in stroke) + "</Stroke>"
                   for stroke in strokes)
    write(folder / "lineStrokes" / form[:3] / form[:7] / f"{form}-{number:02d}.xml",
          f'<?xml version="1.0" encoding="ISO-8859-1"?><WhiteboardCaptureSession><StrokeSet>{body}</StrokeSet>'
          '</WhiteboardCaptureSession>')


def write_text(folder, form, *lines):
    write(folder / "ascii" / form[:3] / form[:7] / f"{form}.txt", "OCR:\n\nnot this\n\nCSR:\n\n" + "\n".join(lines) + "\n\n")


# --- A line ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("angle", [0, 0.1, -0.08])
def test_a_line_is_turned_and_scaled(angle):
    strokes = ondb.normalise([np.array(stroke) for stroke in turned(line_of(["uuu", "uuuuu", "uu"]), angle)])
    points = np.concatenate(strokes[:3])
    assert np.allclose(points[:, 1].max(), 0, atol=0.5) and np.allclose(points[:, 1].min(), -128, atol=0.5)
    assert np.allclose(np.diff(strokes[0][:, 0]), 64, atol=0.5)
    assert np.allclose(strokes[3][0, 1], -256, atol=2)


def test_words_get_their_strokes():
    words = ["uuu", "uuuuu", "uu"]
    found = ondb.words_of_line([np.array(stroke) for stroke in line_of(words)], " ".join(words), "a01-000u", 4)
    assert [(word.text, len(word.strokes), word.form, word.line, word.word) for word in found] == [
        ("uuu", 2, "a01-000u", 4, 0), ("uuuuu", 1, "a01-000u", 4, 1), ("uu", 1, "a01-000u", 4, 2)]
    for word in found:
        assert np.concatenate(word.strokes)[:, 0].min() == 0
        assert np.allclose(np.ptp(word.strokes[0][:, 0]), 128 * len(word.text), atol=0.5)
    assert min(word.quality for word in found) > 60


def test_a_gap_within_a_word_lowers_the_quality_and_does_not_part_it():
    strokes = [np.array(stroke) for stroke in [zigzag(100, 2), zigzag(200, 3), zigzag(380, 4)]]  # "uu uuu uuuu", close
    found = ondb.words_of_line(strokes, "uuuuu uuuu", "a01-000u", 1)
    assert [len(word.strokes) for word in found] == [2, 1]
    apart = [np.array(stroke) for stroke in [zigzag(100, 5), zigzag(380, 4)]]
    apart = ondb.words_of_line(apart, "uuuuu uuuu", "a01-000u", 1)
    assert found[0].quality < apart[0].quality


def test_the_cheapest_gaps_are_those_of_all_choices():
    rng = np.random.default_rng(0)
    for rows, columns in ((1, 1), (1, 5), (3, 3), (3, 7)):
        cost = rng.normal(size=(rows, columns))
        best = min(itertools.combinations(range(columns), rows), key=lambda chosen: sum(cost[range(rows), chosen]))
        assert ondb.cheapest(cost).tolist() == list(best)
    assert ondb.cheapest(np.zeros((0, 4))).tolist() == []


@pytest.mark.parametrize("strokes, reason", [([[(0, 0), (5, 9), (9, 0)]], "fewer gaps"), ([[(0, 0), (9, 0)]], "no height")])
def test_what_cannot_be_parted_is_said(strokes, reason):
    with pytest.raises(ValueError, match=reason):
        ondb.words_of_line([np.array(stroke, float) for stroke in strokes], "two words", "a01-000u", 1)


# --- The database ---------------------------------------------------------------------------------------------

def test_the_strokes_file_is_what_render_draws_from(tmp_path, capsys):
    for k in range(22):
        form = f"a01-{k:03d}z"
        write_text(tmp_path, form, "uuu uuuuu", "uu")
        write_line(tmp_path, form, 1, line_of(["uuu", "uuuuu"]))
        if k:
            write_line(tmp_path, form, 2, line_of(["uu"]))
    write(tmp_path / "lineStrokes" / "a01" / "a01-001" / "a01-001z-02.xml", "<broken")
    for k in (0, 5):
        write(tmp_path / "original" / "a01" / f"a01-{k:03d}" / "strokesz.xml", '<General><Form id="x" writerID="10028"/>')
    write(tmp_path / "held.txt", "a01-003u\n")
    ondb.main(["-p", str(tmp_path), "-o", str(tmp_path / "words.npz"), "--held_out", str(tmp_path / "held.txt")])
    told = capsys.readouterr().out
    assert "64 words by 21 writers; 2 lines left out" in told
    assert "a01-000z-02.xml: no such file" in told and "a01-001z-02.xml: unclosed token" in told
    strokes = Strokes(tmp_path / "words.npz")
    drawn = np.concatenate(list(strokes.words.values()))
    assert len(drawn) == 64 - 3  # less those of a01-003
    assert {strokes.texts[k] for k in drawn} == {"uuu", "uuuuu", "uu"}
    first = strokes.strokes_of(1)
    assert strokes.texts[1] == "uuuuu" and len(first) == 1
    assert np.allclose(first[0], [(64 * k, -128 * (k % 2 == 0)) for k in range(11)], atol=1.5)
    with np.load(tmp_path / "words.npz") as file:
        assert file["writer"][0] == file["writer"][file["form"] == 5][0] != file["writer"][file["form"] == 6][0]
        assert file["form_names"][file["form"][-1]] == "a01-021z" and file["line"][-1] == 2


def test_mistakes_are_told_in_a_line(tmp_path):
    def run(*options):
        ondb.main(["-p", str(tmp_path), "-o", str(tmp_path / "words.npz"), *options])

    with pytest.raises(UserError, match="no lineStrokes/ and ascii/ in it"):
        run()
    write_text(tmp_path, "a01-000z", "uu")
    (tmp_path / "lineStrokes").mkdir()
    with pytest.raises(UserError, match="not one line in it that could be used"):
        run()
    with pytest.raises(UserError, match="--held_out takes"):
        run("--held_out", str(tmp_path / "none.txt"))
    write(tmp_path / "words.npz", "")
    with pytest.raises(UserError, match="is there already"):
        run()
