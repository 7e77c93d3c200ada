"""line_words.py: labelled lines on photos cut into labelled words, where a trained model finds them."""
import csv
import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from samples import NO_IMAGE

import line_words
from command import UserError
from photos import boxes
from words.alphabet import Alphabet
from words.image_files import read_image, write_image
from words.reader import load_reader

MODEL = Path(__file__).parent.parent / "models" / "iam"
WORDS, GAPS = ["read", "these", "small", "letters"], (14, 60, 16)  # pixels between them


@pytest.fixture(scope="module")
def reader():
    return load_reader(MODEL, threads=1)


def write_line(words=WORDS, gaps=GAPS, size=(900, 200), paper=220, ink=40):
    """A photo of a line, uint8 [H, W], and each word's box: x, y, right, bottom, of its pixels."""
    photo = np.full(size[::-1], paper, np.uint8)
    x, found = 40, []
    for word, gap in itertools.zip_longest(words, gaps, fillvalue=0):
        alone = np.zeros_like(photo)
        cv2.putText(alone, word, (x, 110), cv2.FONT_HERSHEY_DUPLEX, 1.6, 255, 3, cv2.LINE_AA)
        columns, rows = np.flatnonzero((alone > 99).any(axis=0)), np.flatnonzero((alone > 99).any(axis=1))
        found.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
        photo = np.where(alone > 99, np.uint8(ink), photo)
        x = columns[-1] + 1 + gap
    return photo, found


def quad_of(x, y, right, bottom):
    return [[x, y], [right, y], [right, bottom], [x, bottom]]


def around(found, margin=6):
    """The corners of a line around its words' boxes."""
    x, y, right, bottom = np.transpose(found)
    return quad_of(int(x.min()) - margin, int(y.min()) - margin, int(right.max()) + margin, int(bottom.max()) + margin)


def assert_near(box, truth, pixels=4):
    quad = box.quad if isinstance(box, line_words.Box) else np.array(box)
    assert np.abs([*quad.min(axis=0) - truth[:2], *quad.max(axis=0) - truth[2:]]).max() < pixels


# --- A line ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("paper, ink", [(220, 40), (60, 230)])  # a pen, and chalk
def test_words_are_found_in_their_line(reader, paper, ink):
    photo, truth = write_line(paper=paper, ink=ink)
    found = line_words.part(photo, {"quad": around(truth), "text": " ".join(WORDS)}, reader)
    for box, its in zip(found, truth, strict=True):
        assert_near(box, its)


def test_words_are_found_in_a_line_that_runs_up(reader):
    photo, truth = write_line()
    turn = cv2.getRotationMatrix2D((450, 100), 12, 1)
    turned = cv2.warpAffine(photo, turn, (900, 400), borderValue=220)
    corners = cv2.transform(np.float32([around(truth)]), turn)[0]
    found = line_words.part(turned, {"quad": corners.tolist(), "text": " ".join(WORDS)}, reader)
    for box, its in zip(found, truth, strict=True):
        back = cv2.transform(np.float32([box.quad]), cv2.invertAffineTransform(turn))[0]
        assert_near(back, its)


def test_what_is_read_settles_where_the_gaps_mislead(reader):
    """One gap is between the words, a wider one within the second: a rule for the widest gap would cut there."""
    photo, truth = write_line(["window", "let", "ters"], (24, 40))
    found = line_words.part(photo, {"quad": around(truth), "text": "window letters"}, reader)
    assert_near(found[0], truth[0])
    assert_near(found[1], (*truth[1][:2], *truth[2][2:]))


class LikesWide:
    """In a Reader's place: it reads "a", the likelier the wider a word is drawn, that is the closer its box."""
    size, alphabet = (100, 32), Alphabet("a")

    def logits(self, images):
        logits = np.full((len(images), 1, 2), 0.0)
        logits[:, 0, 1] = (images[..., 0] > 0.3).any(axis=2).sum(axis=1) - 40
        return logits


def test_a_piece_of_the_next_line_is_left_out():
    photo, truth = write_line(["so"], ())
    photo[118:128, 45:100] = 40  # within the quad, apart from the word
    quad = around(truth)
    quad[2][1] = quad[3][1] = 130
    box, = line_words.part(photo, {"quad": quad, "text": "a"}, LikesWide())
    assert_near(box, truth[0])


def test_thin_ink_between_words_is_cut(reader):
    photo, truth = write_line(["small", "letters"], (30,))
    photo[108:110, truth[0][2] - 20:truth[1][0] + 20] = 40  # a line that joins them
    found = line_words.part(photo, {"quad": around(truth), "text": "small letters"}, reader)
    assert_near(found[0], truth[0], 8)
    assert_near(found[1], truth[1], 8)


@pytest.mark.parametrize("text, quad", [("a b c d e f g h i j k l m n o p q r s t u v w x y z a b c", None),
                                        ("", None), ("small", quad_of(10, 10, 10, 10)),
                                        ("small", quad_of(600, 150, 700, 180))])
def test_what_cannot_be_parted_gives_none(reader, text, quad):
    photo, truth = write_line(["small"], ())
    assert line_words.part(photo, {"quad": quad or around(truth), "text": text}, reader) is None


def test_the_best_parting_is_that_of_all_partings():
    rng = np.random.default_rng(0)
    for words, pieces in ((1, 1), (1, 4), (3, 3), (3, 6), (4, 7)):
        scores = {(k, i, j): rng.normal() for k in range(words) for i in range(pieces) for j in range(i + 1, pieces + 1)}
        partings = [list(itertools.pairwise((0, *cuts, pieces)))
                    for cuts in itertools.combinations(range(1, pieces), words - 1)]
        best = max(partings, key=lambda places: sum(scores[k, i, j] for k, (i, j) in enumerate(places)))
        assert line_words.best_parting(scores, words, pieces) == best
    assert line_words.best_parting({(0, 0, 1): 0.0, (1, 2, 3): 0.0}, 2, 3) is None  # a piece in no word


# --- The script -----------------------------------------------------------------------------------------------

def run(folder, photos, *options):
    (folder / "lines.json").write_text(json.dumps(photos))
    line_words.main(["--lines", str(folder / "lines.json"), "--image_path", str(folder), "--model_path", str(MODEL),
                     "--result_path", str(folder / "cut"), *options])


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_script_writes_labelled_words(tmp_path):
    photo, truth = write_line()
    write_image(tmp_path / "board.png", photo)
    line = {"quad": around(truth), "text": " ".join(WORDS)}
    photos = [{"file": "board.png", "split": "valid", "source": "anna", "lines": [
        line, {**line, "ignore": True}, {**line, "text": "read these quiz letters"}]},
        {"file": "none.png", "lines": [line]}]
    run(tmp_path, photos)
    labels = rows_of(tmp_path / "cut" / "labels.csv")
    assert [row["text"] for row in labels] == [*WORDS, "read", "these", "letters"]
    assert {(row["split"], row["writer"]) for row in labels} == {("valid", "anna")}
    heights = [read_image(tmp_path / "cut" / row["file"]).shape[0] for row in labels[:4]]
    assert np.abs(np.array(heights) - [bottom - y for _, y, _, bottom in truth]).max() < 8
    page, = boxes.read(tmp_path / "cut" / "boxes.json")
    assert [(word.text, word.line) for word in page.words[:5]] == [*((word, 0) for word in WORDS), ("read", 2)]
    assert_near(page.words[1].polygon, truth[1])
    doubtful = rows_of(tmp_path / "cut" / "doubtful.csv")
    assert [(row["photo"], row["line"], row["text"]) for row in doubtful] == [("board.png", "2", "quiz"),
                                                                              ("none.png", "", "")]
    with pytest.raises(UserError, match="is there already"):
        run(tmp_path, photos)
    photos[0]["split"] = "train"
    run(tmp_path, photos[:1], "--overwrite", "--least", "-50", "--copies", "2")
    copies = [read_image(tmp_path / "cut" / row["file"]).shape for row in rows_of(tmp_path / "cut" / "labels.csv")[:3]]
    assert len(set(copies)) > 1 and max(np.ptp(copies, axis=0)) < 30
    assert "quiz" in [row["text"] for row in rows_of(tmp_path / "cut" / "labels.csv")]


@pytest.mark.parametrize("content, reason", [("{", "not JSON"), ("3", "not a list of photos"),
                                             ('[{"lines": []}]', "a file and lines"),
                                             ('[{"file": "a.png", "lines": [{"quad": [1], "text": "a"}]}]', "four corners")])
def test_another_file_is_refused(tmp_path, content, reason):
    path = tmp_path / "lines.json"
    path.write_text(content)
    with pytest.raises(UserError, match=reason):
        line_words.read_lines(path)
    with pytest.raises(UserError, match="no such file"):
        line_words.read_lines(tmp_path / "none.json")


def test_photos_of_which_none_is_there_are_told_before_a_model_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(line_words.word_reader, "load_reader", lambda path: pytest.fail("the work has begun"))
    (tmp_path / "text.png").write_text("no picture")
    for names, reason in ((("none.png",), "none.png: no such file"),
                          (("none.png", "text.png"), f"text.png: {NO_IMAGE}"), ((), "no photo of it is named")):
        with pytest.raises(UserError, match=reason):
            run(tmp_path, [{"file": name, "lines": []} for name in names])
