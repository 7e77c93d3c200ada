"""IAM_preprocessing.py on a made-up form, in both of IAM's label formats."""
import csv
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import IAM_preprocessing
from command import UserError, locked

FORM = "a01-000u"
# word -> what stands in the XML's text attribute, and what it says; the second line of the form is `err`
XML_WORDS = {
    "00-00": ("Move", "Move"),
    "00-01": ("&quot;", '"'),
    "00-02": ("&amp;quot;Hi&amp;quot;", '"Hi"'),
    "00-03": ("don&amp;apos;t", "don't"),
    "00-04": ("R&amp;D", "R&D"),
    "00-05": ("R&amp;amp;D", "R&D"),
    "00-06": ("caf&eacute;", "café"),
    "00-07": ("&lt;&#52;2&gt;", "<42>"),
    "01-00": ("a" * 30, "a" * 30),
    "01-01": ("B" * 31, "B" * 31),
}
WORDS_TXT = """#--- words.txt ---#
# format: a01-000u-00-00 ok 154 1 408 768 27 51 AT A
a01-000u-00-00 ok 154 408 768 27 51 NN MOVE
a01-000u-00-01 ok 154 1 507 766 213 48 " "
a01-000u-00-02 err 154 -1 -1 -1 -1 CD 10 000 #1
a01-000u-00-03 er 154 3 796 764 70 50 VB stop
b02-001-00-00 ok 154 796 764 70 50 VB It's
b02-001-00-01 ok 154
"""


def picture(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 255, (12, 30), np.uint8))


def word_path(iam, identifier):
    area, form = identifier.split("-")[:2]
    return iam / "words" / area / f"{area}-{form}" / f"{identifier}.png"


def write_xml(iam, folder="xml"):
    (iam / folder).mkdir(parents=True)
    lines = ""
    for line, segmentation in (("00", ' segmentation="ok"'), ("01", ' segmentation="err"')):
        words = "".join(f'<word id="{FORM}-{key}" tag="X" text="{text}"><cmp x="1" y="2" width="3" height="4"/></word>'
                        for key, (text, _) in XML_WORDS.items() if key.startswith(line))
        lines += f'<line id="{FORM}-{line}"{segmentation}>{words}</line>'
    (iam / folder / f"{FORM}.xml").write_text(f'<?xml version="1.0" encoding="ISO-8859-1"?>\n<form id="{FORM}" '
                                              f'writer-id="007"><handwritten-part>{lines}</handwritten-part></form>')
    for key in XML_WORDS:
        picture(word_path(iam, f"{FORM}-{key}"))


def write_ascii(iam):
    (iam / "ascii").mkdir(parents=True)
    (iam / "ascii" / "words.txt").write_text(WORDS_TXT)
    (iam / "ascii" / "forms.txt").write_text("# form writer ...\na01-000u 000 2 prt 7 5 52 36\nb02-001 012 1 all\n")
    for identifier in (*(f"{FORM}-00-0{n}" for n in range(4)), "b02-001-00-00"):
        picture(word_path(iam, identifier), seed=len(identifier))


@pytest.fixture
def xml_iam(tmp_path):
    write_xml(tmp_path / "iam")
    return tmp_path / "iam"


@pytest.fixture
def ascii_iam(tmp_path):
    write_ascii(tmp_path / "iam")
    return tmp_path / "iam"


def preprocess(iam, *options):
    """Run the script on `iam`: {word id: row of labels.csv}, and the folder written."""
    out = iam.parent / "out"
    IAM_preprocessing.main(["-p", str(iam), "-np", str(out), *map(str, options)])
    return {row["file"].split("_")[2][:-len(".png")]: row for row in read_csv(out / "labels.csv")}, out


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def list_file(folder, name, text):
    (folder / name).write_text(text)
    return folder / name


def test_xml_exact_texts(xml_iam):
    labels, _ = preprocess(xml_iam, "--exact")
    said = {f"{FORM}-{key}": text for key, (_, text) in XML_WORDS.items()}
    assert {key: row["text"] for key, row in labels.items()} == said
    assert {row["writer"] for row in labels.values()} == {"007"}
    assert labels[f"{FORM}-00-00"]["segmentation"] == "ok"
    assert labels[f"{FORM}-01-00"]["segmentation"] == "err"


def test_xml_data_is_found_too(tmp_path):
    write_xml(tmp_path / "iam", "xml_data")
    assert len(preprocess(tmp_path / "iam", "--exact")[0]) == len(XML_WORDS)


def test_seed_rules(xml_iam, capsys):
    labels, out = preprocess(xml_iam)
    assert set(XML_WORDS) - {key[len(FORM) + 1:] for key in labels} == {"00-01", "01-01"}
    assert labels[f"{FORM}-00-02"] == {"file": f"_-hi-_{FORM}-00-02.png", "text": '"hi"', "segmentation": "ok",
                                       "form": FORM, "writer": "007"}
    assert sorted(path.name for path in out.iterdir()) == sorted(["labels.csv", *(r["file"] for r in labels.values())])
    printed = capsys.readouterr().out
    assert "10 found, 8 kept" in printed
    assert "1 with fewer than 2" in printed and "1 with more than 30" in printed


def test_images_are_copied_byte_for_byte(ascii_iam):
    labels, out = preprocess(ascii_iam)
    source = word_path(ascii_iam, "b02-001-00-00")
    assert labels["b02-001-00-00"]["file"] == "_it-s_b02-001-00-00.png"
    assert (out / "_it-s_b02-001-00-00.png").read_bytes() == source.read_bytes()


def test_words_txt(ascii_iam):
    labels, out = preprocess(ascii_iam, "--exact")
    assert {key: (row["text"], row["segmentation"], row["writer"]) for key, row in labels.items()} == {
        "a01-000u-00-00": ("MOVE", "ok", "000"),
        "a01-000u-00-01": ('"', "ok", "000"),
        "a01-000u-00-02": ("10 000 #1", "err", "000"),
        "a01-000u-00-03": ("stop", "err", "000"),
        "b02-001-00-00": ("It's", "ok", "012"),
    }
    assert read_csv(out / "skipped.csv") == [{"file": "ascii/words.txt:8", "reason": "not a line of IAM's words.txt"}]


def test_both_sources(xml_iam):
    write_ascii(xml_iam)
    labels, _ = preprocess(xml_iam, "--exact")
    assert labels[f"{FORM}-00-00"]["text"] == "Move" and labels[f"{FORM}-00-00"]["writer"] == "007"
    assert labels[f"{FORM}-00-03"]["segmentation"] == "err"  # words.txt knows better than the XML's line
    assert labels[f"{FORM}-01-00"]["segmentation"] == "err"  # of a line that words.txt lacks
    assert labels["b02-001-00-00"]["writer"] == "012"


def test_segmentation_ok(ascii_iam, capsys):
    labels, _ = preprocess(ascii_iam, "--segmentation", "ok")
    assert set(labels) == {"a01-000u-00-00", "b02-001-00-00"}
    assert "2 badly segmented" in capsys.readouterr().out


def test_split(ascii_iam, tmp_path, capsys):
    train = list_file(tmp_path, "trainset.txt", "# forms to learn from\n\na01-000u-00\na01-000u-01  # a line\n")
    valid = list_file(tmp_path, "validationset1.txt", "b02-001\n")
    labels, _ = preprocess(ascii_iam, "--split", train, valid)
    assert {row["form"]: row["split"] for row in labels.values()} == {FORM: "train", "b02-001": "valid"}
    mine = list_file(tmp_path, "mine.txt", "b02-001\n")
    labels, _ = preprocess(ascii_iam, "--overwrite", "--split", mine)
    assert [row["split"] for row in labels.values()] == ["mine"]
    assert "4 of a form in no --split list" in capsys.readouterr().out


@pytest.mark.parametrize("text, complaint", [("b02-001\na01-000u-02\n", "form a01-000u is in"),
                                             ("b02-001\na01 000u\n", "test.txt:2")])
def test_split_lists_that_cannot_be_meant(ascii_iam, tmp_path, text, complaint):
    train, test = list_file(tmp_path, "train.txt", "a01-000u\n"), list_file(tmp_path, "test.txt", text)
    with pytest.raises(UserError, match=complaint):
        preprocess(ascii_iam, "--split", train, test)


def test_damaged_files_are_named(xml_iam, capsys):
    whole = word_path(xml_iam, f"{FORM}-00-00").read_bytes()
    word_path(xml_iam, f"{FORM}-00-00").write_bytes(whole[:len(whole) // 2])
    word_path(xml_iam, f"{FORM}-00-02").write_bytes(b"")
    word_path(xml_iam, f"{FORM}-00-03").unlink()
    (xml_iam / "xml" / "b02-001.xml").write_text("<form><line>")
    (xml_iam / "xml" / "b02-002.xml").write_text('<form><line><word id="../../x" text="word"/></line></form>')
    labels, out = preprocess(xml_iam)
    skipped = {row["file"]: row["reason"] for row in read_csv(out / "skipped.csv")}
    words = f"words/a01/{FORM}/{FORM}"
    assert set(skipped) == {"xml/b02-001.xml", "xml/b02-002.xml", *(f"{words}-00-0{n}.png" for n in (0, 2, 3))}
    assert skipped[f"{words}-00-02.png"] == "the file is empty" and skipped[f"{words}-00-03.png"] == "no such file"
    assert len(labels) == 5 and len(list(out.glob("*.png"))) == 5
    assert "5 damaged or missing" in capsys.readouterr().out

    for n in (0, 2, 3):  # mended: the list of the first run must not stay
        picture(word_path(xml_iam, f"{FORM}-00-0{n}"))
    for name in ("b02-001.xml", "b02-002.xml"):
        (xml_iam / "xml" / name).unlink()
    assert len(preprocess(xml_iam, "--overwrite")[0]) == 8 and read_csv(out / "skipped.csv") == []


def test_a_folder_in_use_is_left_alone(ascii_iam):
    out = ascii_iam.parent / "out"
    out.mkdir()
    (out / "note.txt").write_text("mine")
    with pytest.raises(UserError, match="--overwrite"):
        preprocess(ascii_iam)
    assert [path.name for path in out.iterdir()] == ["note.txt"]
    preprocess(ascii_iam, "--overwrite")
    labels, _ = preprocess(ascii_iam, "--overwrite", "--exact")
    assert len(labels) == len(list(out.glob("*.png"))) == 5
    assert (out / "note.txt").read_text() == "mine"


def test_a_second_run_into_the_same_folder_is_refused(tmp_path):
    write_xml(tmp_path)
    (tmp_path / "out").mkdir()
    with locked(tmp_path / "out"), pytest.raises(UserError, match="another run works in it"):
        IAM_preprocessing.main(["-p", str(tmp_path), "-np", str(tmp_path / "out"), "--overwrite"])


def test_nothing_to_work_on(tmp_path):
    (tmp_path / "iam" / "words").mkdir(parents=True)
    with pytest.raises(UserError, match="no labels"):
        preprocess(tmp_path / "iam")
    write_ascii(tmp_path / "iam")
    with pytest.raises(UserError, match="none of 5 words is kept"):
        preprocess(tmp_path / "iam", "--split", list_file(tmp_path, "train.txt", "c03-000a\n"))
    for path in (tmp_path / "iam" / "words").rglob("*.png"):
        path.unlink()
    with pytest.raises(UserError, match="none of 4 images can be read.*no such file"):
        preprocess(tmp_path / "iam")
    assert not (tmp_path / "out").exists()


def test_as_a_script_a_missing_folder_is_one_line(tmp_path):
    command = [sys.executable, IAM_preprocessing.__file__, "-p", tmp_path / "nowhere", "-np", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and str(Path("nowhere", "words")) in done.stderr
    assert done.stdout == "" and not (tmp_path / "out").exists()
