"""predict.py: which words it reads, what it writes and what it scores, with a reader whose answers are known."""
import csv
import importlib.util
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from samples import NO_IMAGE, write

import predict
import words.calibration
import words.reader
from command import UserError
from words.alphabet import Alphabet
from words.batches import CHUNK
from words.image_files import read_image, write_image
from words.reader import Reader, Reading


class KnownReader:
    """Reads every word as "ab", the blank ones as "" (how sure it is says how much ink it saw)."""
    size = 100, 32
    alphabet = Alphabet("seed")

    read_words = Reader.read_words

    def read_prepared(self, images, top_paths=1, *_):
        return [Reading("ab", float(image.mean()), [("ab", float(image.mean())), ("ac", 0.25)][:top_paths]) if image.any()
                else Reading(error="no ink in it") for image in images]

    def straighten(self, images):
        return images[:, ::-1]


@pytest.fixture(autouse=True)
def known_reader(monkeypatch, tmp_path_factory):
    weights = tmp_path_factory.mktemp("known") / "final.weights.h5"
    weights.write_bytes(b"weights")
    monkeypatch.setattr(predict, "find_model", lambda path: (Path(path), weights))
    monkeypatch.setattr(predict, "load_config", lambda folder: {"network": {"width": 100, "height": 32}})
    monkeypatch.setattr(words.reader, "load_reader",
                        lambda path, **decoding: LOADED_WITH.update(decoding) or KnownReader())
    return weights


LOADED_WITH = {}  # what load_reader was asked for


def draw(path, text="ab"):
    image = np.full((40, 30 * len(text) + 10), 255, np.uint8)
    cv2.putText(image, text, (5, 30), cv2.FONT_HERSHEY_SIMPLEX, 1, 0, 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, image)


def read(*options):
    predict.main(["--model_path", "known", *map(str, options)])


def rows_of(path):
    with open(path, newline="", encoding="utf8") as file:
        return list(csv.DictReader(file))


def test_rows_stand_in_the_order_of_the_names_and_bad_images_have_their_reason(tmp_path):
    for k in range(150):
        draw(tmp_path / "in" / f"{k:03}.png")
    (tmp_path / "in" / "007.png").write_text("no picture")
    (tmp_path / "in" / "100.png").write_bytes(b"")
    (tmp_path / "in" / "notes.txt").write_text("not an image's name")
    read("--image_path", tmp_path / "in", "--result_path", tmp_path / "out")
    rows = rows_of(tmp_path / "out" / "prediction.csv")
    assert [row["file"] for row in rows] == [f"{k:03}.png" for k in range(150)]
    bad = {row["file"]: row for row in rows if row["error"]}
    assert {name: row["error"] for name, row in bad.items()} == {
        "007.png": NO_IMAGE, "100.png": "the file is empty"}
    assert all(row["prediction"] == "" and float(row["confidence"]) == 0 for row in bad.values())
    assert all(row["prediction"] == "ab" and 0 < float(row["confidence"]) < 1 for row in rows if not row["error"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["prediction.csv"]


def test_the_options_of_decoding_reach_the_reader(tmp_path, capsys):
    draw(tmp_path / "word.png")
    for options, expected in (((), dict(beam_width=10, lexicon=None)), (("--greedy",), dict(beam_width=0)),
                              (("--beam_width", "7", "--lexicon", "en", "--threads", "3"),
                               dict(beam_width=7, lexicon="en", threads=3, tta=True)),
                              (("--one_look",), dict(tta=False)), (("--no_tta",), dict(tta=False))):
        read("--image_path", tmp_path / "word.png", *options)
        assert expected.items() <= LOADED_WITH.items()


def test_one_image_goes_to_stdout(tmp_path, capsys):
    draw(tmp_path / "word.png")
    read("--image_path", tmp_path / "word.png", "--max_len", "1")
    header, row = capsys.readouterr().out.splitlines()
    assert header == "file,prediction,confidence,error"
    assert row.startswith("word.png,a,0.")


def test_the_likeliest_texts_have_columns(tmp_path):
    draw(tmp_path / "in" / "word.png")
    write_image(tmp_path / "in" / "blank.png", np.full((30, 60), 255, np.uint8))
    (tmp_path / "in" / "zero.png").write_bytes(b"")
    read("--image_path", tmp_path / "in", "--result_path", tmp_path / "out", "--top_paths", "3")
    with open(tmp_path / "out" / "prediction.csv", newline="") as file:
        header, blank, word, zero = csv.reader(file)
    assert ",".join(header) == "file,prediction,confidence,prediction_2,confidence_2,prediction_3,confidence_3,error"
    assert blank == ["blank.png", "", "0.0000", "", "", "", "", "no ink in it"]
    assert word[:2] == ["word.png", "ab"] and word[3:] == ["ac", "0.2500", "", "", ""]
    assert zero == ["zero.png", "", "0.0000", "", "", "", "", "the file is empty"]


def test_scores_are_those_worked_out_by_hand(tmp_path, capsys):
    texts = ["ab", "AB", "abb", "b", "!?", "aabb", "cd"]
    for k, text in enumerate(texts):
        draw(tmp_path / f"{k}.png", text)
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([("file", "text"), *((f"{k}.png", text) for k, text in enumerate(texts))])
    read("--image_path", tmp_path, "--validate", "--result_path", tmp_path / "out")
    shown = capsys.readouterr().out
    assert "5 words scored; left out: 2 of fewer than two letters or digits, 0 unreadable" in shown
    values = {line[2:38].strip(): line[38:].strip() for line in shown.splitlines() if line.startswith("  ")}
    # "ab" against ab, ab, abb, aabb, cd: distances 0, 0, 1, 2, 2 over lengths 2, 2, 3, 4, 2
    assert values == {"words": "5", "mean edit distance": "1.0000", "normalised edit distance": "0.3667",
                      "cer": "0.3846", "word accuracy": "0.4000",
                      # of abb and aabb
                      "doubled words": "2", "doubled mean edit distance": "1.5000", "doubled cer": "0.4286",
                      "doubled normalised edit distance": "0.4167", "doubled word accuracy": "0.0000",
                      "expected calibration error, 15 bins": values["expected calibration error, 15 bins"]}
    errors = rows_of(tmp_path / "out" / "errors.csv")
    assert [(row["text"], row["edit_distance"]) for row in errors] == [("cd", "2"), ("aabb", "2"), ("abb", "1")]


def test_an_image_without_ink_counts_as_misread(tmp_path, capsys):
    write_image(tmp_path / "_ab_1.png", np.full((30, 60), 255, np.uint8))
    draw(tmp_path / "_ab_2.png")
    draw(tmp_path / "_ac_3.png")
    read("--image_path", tmp_path, "--validate", "--result_path", tmp_path / "out", "--top_paths", "2",
         "--plots", tmp_path / "plots")
    shown = capsys.readouterr().out
    assert "3 words scored; left out: 0 of fewer than two letters or digits, 0 unreadable" in shown
    assert "word accuracy                         0.3333" in shown
    assert "word accuracy, best of 2              0.6667" in shown
    for name in ("reliability.png", "edit_distances.png"):
        assert read_image(tmp_path / "plots" / name).std() > 10
    with pytest.raises(UserError, match="reliability.png: is there already"):
        read("--image_path", tmp_path, "--validate", "--result_path", tmp_path / "out2", "--plots", tmp_path / "plots")


def test_the_valid_part_is_scored_unless_another_is_named(tmp_path, capsys):
    rows = [("0.png", "ab", "train"), ("1.png", "cd", "valid"), ("2.png", "ab", "test")]
    for name, text, _ in rows:
        draw(tmp_path / name, text)
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([("file", "text", "split"), *rows])
    for option, accuracy in (((), "0.0000"), (("--split", "test"), "1.0000")):
        read("--image_path", tmp_path, "--validate", "--result_path", tmp_path / "out", "--overwrite", *option)
        shown = capsys.readouterr().out
        assert "1 word scored" in shown and f"word accuracy                         {accuracy}" in shown
    with pytest.raises(UserError, match="the words have train, valid, test"):
        read("--image_path", tmp_path, "--validate", "--split", "dev", "--result_path", tmp_path / "out2")


def test_an_mjsynth_listing_is_scored(tmp_path, capsys):
    draw(tmp_path / "1" / "2" / "3_AB_45.jpg")
    draw(tmp_path / "1" / "2" / "4_Other_46.jpg", "Other")
    (tmp_path / "annotation_test.txt").write_text("./1/2/3_AB_45.jpg 45\n./1/2/4_Other_46.jpg 46\n./1/2/5_gone_1.jpg 1\n")
    read("--image_path", tmp_path, "--mjsynth", "--val_fname", "annotation_test.txt", "--validate",
         "--result_path", tmp_path)
    shown = capsys.readouterr().out
    assert "2 words scored; left out: 0 of fewer than two letters or digits, 1 unreadable" in shown
    assert "word accuracy                         0.5000" in shown
    assert {row["error"] for row in rows_of(tmp_path / "errors.csv")} == {"", "no such file"}


def test_a_sample_is_drawn_without_replacement_and_the_same_each_time(tmp_path):
    for k in range(20):
        draw(tmp_path / "in" / f"{k:02}.png")
    names = []
    for out in "ab":
        read("--image_path", tmp_path / "in", "--num_instances", "8", "--result_path", tmp_path / out)
        names.append([row["file"] for row in rows_of(tmp_path / out / "prediction.csv")])
    assert names[0] == names[1] == sorted(set(names[0])) and len(names[0]) == 8


def test_nothing_is_overwritten_unasked(tmp_path):
    draw(tmp_path / "in" / "word.png")
    (tmp_path / "mine.csv").write_text("precious")
    with pytest.raises(UserError, match="mine.csv: is there already; --overwrite"):
        read("--image_path", tmp_path / "in", "--result_path", tmp_path / "mine.csv")
    assert (tmp_path / "mine.csv").read_text() == "precious"
    read("--image_path", tmp_path / "in", "--result_path", tmp_path / "mine.csv", "--overwrite")
    assert rows_of(tmp_path / "mine.csv")[0]["prediction"] == "ab"


def test_rows_that_were_read_before_an_interruption_stay(tmp_path, monkeypatch):
    for k in range(3 * CHUNK):
        draw(tmp_path / "in" / f"{k:03}.png")
    calls = []

    def read_prepared(self, images, top_paths=1, *_):
        calls.append(0)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return [Reading("ab", 1.0, [("ab", 1.0)])] * len(images)

    monkeypatch.setattr(KnownReader, "read_prepared", read_prepared)
    with pytest.raises(KeyboardInterrupt, match="rows up to here are in .*prediction.csv.part"):
        read("--image_path", tmp_path / "in", "--result_path", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"prediction.csv.part", "prediction.csv.part.json"}
    assert len(rows_of(tmp_path / "out" / "prediction.csv.part")) == 2 * CHUNK


@pytest.mark.parametrize("options, message", [
    (("--image_path", "nowhere"), "nowhere: no such file or folder"),
    (("--image_path", "."), "no word in it; images that are read end in .png"),
    (("--image_path", ".", "--imgh", "48"), "--imgh 48: known reads images of 32"),
    (("--image_path", ".", "--num_instances", "0"), "--num_instances: 0: must be a whole number from 1"),
    (("--image_path", ".", "--beam_width", "0"), "--beam_width: 0: must be a whole number from 1"),
    (("--image_path", ".", "--greedy", "--lexicon", "en"), "--greedy knows one text a word and no lexicon"),
    (("--image_path", ".", "--top_paths", "1000000000"), "--top_paths: 1000000000: must be a whole number from 1 to 1000"),
    (("--image_path", ".", "--plots", "p"), "--plots goes with --validate"),
    (("--image_path", ".", "--calibrate"), "--calibrate goes with --validate"),
    (("--image_path", ".", "--validate", "--calibrate"), "--calibrate changes known, .* add --overwrite"),
    (("--image_path", ".", "--resume"), "--resume goes on with predictions in a --result_path"),
    (("--image_path", ".", "--resume", "--result_path", "r", "--overwrite"), "neither with --validate nor with --overwrite"),
    (("--image_path", ".", "--G", "abc"), "--G/--gpus: abc: must be numbers of GPUs"),
    (("--image_path", ".", "--imgW", "100000"), "--imgW 100000: known reads images of 100"),
    (("--image_path", ".", "--validate", "--calibrate", "--one_look"), "--calibrate fits how the model reads by itself"),
])
def test_what_the_user_can_mend_is_said_in_a_line(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        read(*options)


def test_scoring_says_what_it_lacks(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "rapidfuzz" else find(name, *rest))
    draw(tmp_path / "in" / "_word_1.png")
    with pytest.raises(UserError, match="--validate scores with rapidfuzz: pip install rapidfuzz"):
        read("--image_path", tmp_path / "in", "--validate")
    read("--image_path", tmp_path / "in")


def test_show_draws_input_and_straightened_input(tmp_path, capsys):
    draw(tmp_path / "in" / "word.png")
    read("--image_path", tmp_path / "in", "--show", tmp_path / "sheet.png")
    sheet = read_image(tmp_path / "sheet.png")
    tile = sheet[:, :204]
    above, below = tile[2:66, 2:202], tile[70:134, 2:202]
    assert above.min() < 100 and np.array_equal(above[:, ::-1], below)  # the known reader's STN mirrors


def test_show_draws_the_input_alone_without_an_stn(tmp_path, monkeypatch):
    monkeypatch.setattr(KnownReader, "straighten", lambda self, images: None)
    draw(tmp_path / "in" / "word.png")
    read("--image_path", tmp_path / "in", "--show", tmp_path / "sheet.png")
    assert read_image(tmp_path / "sheet.png").shape[0] == 2 + 64 + 2 + 20  # a border, the image, a border, its text


# --- Runs that break off, and how they end ------------------------------------------------------------------------

def break_off(monkeypatch, *options):
    """A run that is interrupted after its first row."""
    def write_a_row(rows, *rest):
        rows.writerow(["a row"])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(predict, "write_predictions", write_a_row)
        read(*options)


def test_a_run_that_was_broken_off_goes_on(tmp_path, monkeypatch, capsys):
    for k in range(2 * CHUNK):
        draw(tmp_path / "in" / f"{k:03}.png")
    whole, part = (tmp_path / name / "prediction.csv" for name in ("whole", "part"))
    read("--image_path", tmp_path / "in", "--result_path", whole)
    rows = whole.read_bytes()
    break_off(monkeypatch, "--image_path", tmp_path / "in", "--result_path", part)
    (tmp_path / "part" / "prediction.csv.part").write_bytes(rows[:3000])  # in the middle of a row
    with pytest.raises(UserError, match="rows of a run that was broken off; --resume goes on with it"):
        read("--image_path", tmp_path / "in", "--result_path", part)
    for option in (("--top_paths", "2"), ("--greedy",), ("--lexicon", "en")):  # its rows would not be as the others
        with pytest.raises(UserError, match=f"was begun with another {option[0]}; --resume needs the same"):
            read("--image_path", tmp_path / "in", "--result_path", part, "--resume", *option)
    seen = []
    monkeypatch.setattr(KnownReader, "read_prepared", lambda self, images, top_paths, *_, known=KnownReader.read_prepared:
                        seen.append(len(images)) or known(self, images, top_paths))
    read("--image_path", tmp_path / "in", "--result_path", part, "--resume")
    assert part.read_bytes() == rows and sum(seen) == 2 * CHUNK - rows[:3000].count(b"\n") + 1
    assert [path.name for path in part.parent.iterdir()] == ["prediction.csv"]
    assert f"{rows[:3000].count(10) - 1} words from before; {sum(seen)} words: " in capsys.readouterr().err.replace(",", "")
    with pytest.raises(UserError, match="is there already"):
        read("--image_path", tmp_path / "in", "--result_path", part, "--resume")
    with pytest.raises(UserError, match="nothing to --resume"):
        read("--image_path", tmp_path / "in", "--result_path", tmp_path / "new", "--resume")


def test_a_run_goes_on_with_the_same_weights_only(tmp_path, monkeypatch, known_reader):
    for k in range(2):
        draw(tmp_path / "in" / f"{k}.png")
    options = "--image_path", tmp_path / "in", "--result_path", tmp_path / "out"
    break_off(monkeypatch, *options)
    part = (tmp_path / "out" / "prediction.csv.part").read_bytes()
    known_reader.write_bytes(b"other weights")
    with pytest.raises(UserError, match="was begun with another --model_path"):
        read(*options, "--resume")
    known_reader.write_bytes(b"weights")
    monkeypatch.setattr(predict, "load_config", lambda folder: {"network": {"width": 100, "height": 32}, "decoding": {}})
    with pytest.raises(UserError, match="was begun with another --model_path"):
        read(*options, "--resume")
    assert (tmp_path / "out" / "prediction.csv.part").read_bytes() == part
    monkeypatch.setattr(predict, "load_config", lambda folder: {"network": {"width": 100, "height": 32}})
    read(*options, "--resume")


def test_rows_whose_settings_are_lost_are_kept(tmp_path, monkeypatch):
    for k in range(2):
        draw(tmp_path / "in" / f"{k}.png")
    options = "--image_path", tmp_path / "in", "--result_path", tmp_path / "out"
    break_off(monkeypatch, *options)
    (tmp_path / "out" / "prediction.csv.part.json").unlink()
    part = (tmp_path / "out" / "prediction.csv.part").read_bytes()
    for option in ((), ("--resume",)):
        with pytest.raises(UserError, match="csv.part: .* not prediction.csv.part.json, .* keep them under another name, or "
                                            "--overwrite begins anew"):
            read(*options, *option)
        assert (tmp_path / "out" / "prediction.csv.part").read_bytes() == part
    read(*options, "--overwrite")
    assert len(rows_of(tmp_path / "out" / "prediction.csv")) == 2


def test_a_row_that_was_not_finished_is_written_anew(tmp_path, monkeypatch):
    draw(tmp_path / "in" / "0.png")
    break_off(monkeypatch, "--image_path", tmp_path / "in", "--result_path", tmp_path / "out")
    (tmp_path / "in" / "0.png").write_bytes(b"")
    write(tmp_path / "out" / "prediction.csv.part", "file,prediction,confidence,error\n0.png,,0.0000,the fi")
    read("--image_path", tmp_path / "in", "--result_path", tmp_path / "out", "--resume")
    assert [row["error"] for row in rows_of(tmp_path / "out" / "prediction.csv")] == ["the file is empty"]


def test_a_run_ends_with_a_count(tmp_path, monkeypatch, capsys):
    for k in range(3):
        draw(tmp_path / f"{k}.png")
    write_image(tmp_path / "3.png", np.full((30, 60), 255, np.uint8))
    (tmp_path / "4.png").write_bytes(b"")
    monkeypatch.setattr(KnownReader, "read_prepared", lambda self, images, top_paths, *_: [
        Reading("ab", c, [("ab", c)]) if image.any() else Reading(error="no ink in it")
        for image, c in zip(images, (0.9, 0.6, 0.4, 0))])
    read("--image_path", tmp_path)
    assert ("5 words: 2 read, 1 doubtful (confidence below 0.5), 1 without text, 1 unreadable"
            in capsys.readouterr().err)


def test_whole_photos_are_noticed_and_large_pictures_of_a_word_are_not(tmp_path, capsys):
    draw_page(tmp_path / "page.jpg")
    word = np.full((900, 2400), 235, np.uint8)
    cv2.putText(word, "illicit", (60, 640), cv2.FONT_HERSHEY_SIMPLEX, 20, 40, 60)
    write_image(tmp_path / "word.jpg", word)
    read("--image_path", tmp_path)
    shown = capsys.readouterr()
    header, page, word = csv.reader(shown.out.splitlines())
    assert page[1] == "ab" and page[3] == "seems to be a photo of many words" and word[3] == ""
    assert "whole photos among them, as it seems: 1" in shown.err and "pages.py" in shown.err


def test_results_that_cannot_be_written_are_noticed_before_the_work(tmp_path, monkeypatch):
    draw(tmp_path / "_ab_1.png")
    (tmp_path / "file").touch()
    monkeypatch.setattr(words.reader, "load_reader", lambda *args, **decoding: pytest.fail("the work has begun"))
    for options in ((), ("--validate",)):
        with pytest.raises(OSError, match="file"):
            read("--image_path", tmp_path, "--result_path", tmp_path / "file" / "x.csv", *options)


def test_nothing_is_left_where_a_run_fails_before_its_first_row(tmp_path, monkeypatch):
    draw(tmp_path / "in" / "_ab_1.png")

    def fail(path, **decoding):
        raise UserError("no such lexicon")

    monkeypatch.setattr(words.reader, "load_reader", fail)
    with pytest.raises(UserError, match="no such lexicon"):
        read("--image_path", tmp_path / "in", "--result_path", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(UserError, match="x.png: not a file"):
        read("--image_path", tmp_path / "x.png")


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n"


@pytest.mark.parametrize("content, reason", [(EPS, NO_IMAGE), (b"", "the file is empty")])
def test_what_is_no_word_is_told_before_a_model_is_loaded(tmp_path, monkeypatch, content, reason):
    monkeypatch.setattr(words.reader, "load_reader", lambda *args, **decoding: pytest.fail("the work has begun"))
    for k in range(2):
        (tmp_path / f"{k}.png").write_bytes(content)
    with pytest.raises(UserError, match=f"1.png: {reason}$"):
        read("--image_path", tmp_path / "1.png", "--result_path", tmp_path / "out")
    with pytest.raises(UserError, match=rf"[01].png: {reason}; so it is with the others in {tmp_path}$"):
        read("--image_path", tmp_path, "--validate", "--result_path", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def draw_page(path):
    page = np.full((900, 1200), 235, np.uint8)
    for k in range(40):
        cv2.putText(page, "many words", (20 + 230 * (k % 5), 60 + 105 * (k // 5)), cv2.FONT_HERSHEY_SIMPLEX, 1, 40, 2)
    write_image(path, page)


def test_a_folder_of_photos_is_told_before_a_model_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(words.reader, "load_reader", lambda *args, **decoding: pytest.fail("the work has begun"))
    for k in range(3):
        draw_page(tmp_path / f"{k}.jpg")
    for path, others in ((tmp_path / "0.jpg", ""), (tmp_path, "; so it is with the others in .*")):
        with pytest.raises(UserError, match=f".jpg: seems to be a photo of many words{others}; predict.py reads images of "
                                            "single words, `python pages.py` finds and reads the words on photos"):
            read("--image_path", path)
    (tmp_path / "scan.pdf").write_bytes(b"%PDF-1.4")
    with pytest.raises(UserError, match="scan.pdf: a PDF; predict.py reads images of single words, `python pages.py`"):
        read("--image_path", tmp_path / "scan.pdf")
    looked = []
    monkeypatch.setattr(words.batches, "fault_of", lambda path: looked.append(path) or words.batches.WHOLE_PHOTO)
    monkeypatch.setattr(predict, "LOOKED", 2)
    with pytest.raises(UserError):
        read("--image_path", tmp_path)
    assert len(looked) == 2


def test_calibrating_writes_into_the_model_folder_when_asked(tmp_path, monkeypatch, capsys):
    for k in range(4):
        draw(tmp_path / "in" / f"_ab_{k}.png")
    decoding = {"temperature": 2.0, "lexicon_temperature": 1.0, "lexicon_weight": 0.5, "lexicon_margin": 3.0}
    monkeypatch.setattr(words.calibration, "fit_decoding", lambda reader, images, truths: decoding)
    (tmp_path / "known").mkdir()
    monkeypatch.chdir(tmp_path)
    read("--image_path", "in", "--validate", "--calibrate", "--overwrite")
    assert json.loads((tmp_path / "known" / "config.json").read_text())["decoding"] == decoding
    assert "fitted on 4 words" in (shown := capsys.readouterr().out) and "look better than on other words" in shown
