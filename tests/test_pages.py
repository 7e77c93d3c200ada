"""pages.py with a detector that finds dark words and a reader that reads nothing but "word"; all files and all bad input."""
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pikepdf
import pypdfium2
import pytest
from lxml import etree
from PIL import Image
from samples import WordFinder, written_page

import command
import pages
import photos
import search
from command import UserError
from photos import boxes
from photos.page import Page
from photos.reader import PageReader
from tests.fake_reader import save
from words.alphabet import Alphabet
from words.image_files import read_image, write_image
from words.models import find_model, read_config
from words.reader import Reader, Reading

ROOT = Path(__file__).parent.parent


class SameReader:
    """Reads "word" with a confidence of 0.6, 0.7, 0.8, ... in turn."""
    size, alphabet, lexicon, threads = (100, 32), Alphabet("seed"), None, 1

    read_words = Reader.read_words

    def read_prepared(self, images, top_paths=1, *_):
        return [Reading("word", sure, [("word", sure), ("ward", 0.1)][:top_paths])
                for sure in (0.6 + k / 10 for k in range(len(images)))]


@pytest.fixture
def asked(monkeypatch):
    """What photos.load_reader was asked for; it gives a reader of fakes."""
    calls = []

    def load_reader(model_path, words=None, **options):
        calls.append((model_path, words, options))
        return PageReader(WordFinder(), words and SameReader(), {"pages": Path(model_path).name})

    monkeypatch.setattr(photos, "load_reader", load_reader)
    monkeypatch.setattr("words.models.find_model", lambda path: (Path(path), Path(path, "final.weights.h5")))
    return calls


@pytest.fixture
def folder(tmp_path, monkeypatch, asked):
    """Two photos in photos/, one of them deeper, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name, lines in (("a.png", ["one two", "three"]), ("sub/b.jpg", ["four five"])):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, written_page(*lines)[0])
    return tmp_path / "photos"


def run(*options, image_path="photos"):
    pages.main(["--image_path", str(image_path), "--result_path", "out", *map(str, options)])


def written(folder="out"):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def errors():
    with open("out/errors.csv", newline="", encoding="utf8") as file:
        return list(csv.DictReader(file))


# --- Results --------------------------------------------------------------------------------------------------

def test_each_photo_has_its_json_and_text(folder, asked, capsys):
    run("--threads", 3, "--lexicon", "en", "--top_paths", 2)
    assert written() == ["a.png.json", "a.png.txt", "errors.csv", "sub/b.jpg.json", "sub/b.jpg.txt"]
    page = Page.from_dict(json.loads(Path("out/a.png.json").read_text()))
    assert (page.file, page.width, page.height, page.models) == ("a.png", 640, 400, {"pages": "pages"})
    assert [(word.text, word.confidence, word.line) for word in page.words] == [
        ("word", 0.6, 0), ("word", 0.7, 0), ("word", 0.8, 1)]
    assert page.words[0].alternatives == [("word", 0.6), ("ward", 0.1)]
    assert Path("out/a.png.txt").read_text() == "word word\nword\n" and errors() == []
    assert asked == [(photos.PAGES, photos.WORDS, {"lexicon": "en", "threads": 3})]
    assert capsys.readouterr().out == "2 photos, 5 words, 0 unreadable\n"


def test_pages_are_read_by_english_unless_told_otherwise(folder, asked):
    run("--threads", 1)
    run("--threads", 1, "--lexicon", "none", "--overwrite")
    assert [options["lexicon"] for _, _, options in asked] == ["en", "none"]


def test_doubtful_words_are_counted(folder, asked, capsys, monkeypatch):
    monkeypatch.setattr(pages, "SURE", 0.65)  # the words are read with 0.6, 0.7 and 0.8, on each photo
    run()
    assert capsys.readouterr().out == "2 photos, 5 words (2 doubtful), 0 unreadable\n"


def test_all_formats_and_pictures(folder):
    run("--hocr", "--alto", "--page_xml", "--pdf", "--markdown", "--xmp", "--draw", "drawn", "--ink", "ink")
    assert [name for name in written() if name.startswith("a.png")] == [
        f"a.png{suffix}" for suffix in (".alto.xml", ".hocr", ".json", ".md", ".page.xml", ".pdf", ".txt", ".xmp")]
    for suffix in (".alto.xml", ".hocr", ".page.xml", ".xmp"):
        etree.parse(f"out/a.png{suffix}")
    with pikepdf.open("out/sub/b.jpg.pdf") as pdf:
        assert len(pdf.pages) == 1
    assert written("drawn") == ["a.png.jpg", "sub/b.jpg"] and written("ink") == ["a.png.png", "sub/b.jpg.png"]
    ink, photo = read_image("ink/a.png.png"), read_image("photos/a.png")
    assert np.array_equal(ink.reshape(400, 640, -1)[..., 0] == 0, photo.min(axis=2) < 110)
    assert (np.abs(read_image("drawn/a.png.jpg").astype(int) - photo) > 60).any()


def test_a_board_is_cleaned(folder):
    run("--ink", "cleaned", "--clean")
    cleaned, photo = read_image("cleaned/a.png.png"), read_image("photos/a.png")
    assert (cleaned[300:] == 255).all() and cleaned[photo.min(axis=2) < 60].max() < 150


def scan(path="scan.pdf"):
    """A PDF of two scanned pages with two and four words."""
    sheets = [Image.fromarray(written_page(*["one two"] * k)[0]) for k in (1, 2)]
    sheets[0].save(path, save_all=True, append_images=sheets[1:])


def words_of(path):
    """How often a PDF's pages say "word"."""
    with pypdfium2.PdfDocument(path) as document:
        return [sheet.get_textpage().get_text_range().split().count("word") for sheet in document]


def test_pages_of_a_pdf_are_photos_and_one_photo_may_be_named(folder, capsys):
    scan()
    run("--pdf", image_path="scan.pdf")
    assert written() == ["errors.csv", *(f"scan.pdf#{k}{suffix}" for k in (1, 2) for suffix in (".json", ".txt")),
                         "scan.pdf.pdf"]
    assert words_of("out/scan.pdf.pdf") == [2, 4]
    assert capsys.readouterr().out == "2 photos, 6 words, 0 unreadable\n"
    run("--overwrite", image_path=folder / "a.png")
    assert "out/a.png.json" in map(str, Path("out").iterdir())


def test_pages_of_a_tiff_are_photos(folder, capsys):
    sheets = [Image.fromarray(written_page(*lines)[0]) for lines in (["one two"], ["three", "four five"])]
    sheets[0].save("scan.tif", save_all=True, append_images=sheets[1:])
    run("--pdf", image_path="scan.tif")
    assert written() == ["errors.csv", *(f"scan.tif#{k}{suffix}" for k in (1, 2) for suffix in (".json", ".pdf", ".txt"))]
    assert words_of("out/scan.tif#1.pdf") + words_of("out/scan.tif#2.pdf") == [2, 3]
    assert capsys.readouterr().out == "2 photos, 5 words, 0 unreadable\n"


def test_unsure_words_are_left_out(folder):
    run("--min_confidence", 0.65)
    assert Path("out/a.png.txt").read_text() == "word\nword\n" and Path("out/sub/b.jpg.txt").read_text() == "word\n"


def test_boxes_only(folder, asked, capsys):
    run("--boxes_only", "--draw", "drawn")
    assert written() == ["boxes.json", "errors.csv"] and asked[0][1] is None and written("drawn")
    found = boxes.read("out/boxes.json")
    assert [(page.file, page.width, len(page.words)) for page in found] == [("a.png", 640, 3), ("sub/b.jpg", 640, 2)]
    assert found[0].words[0].text == "" and found[0].words[2].line == 1
    with pytest.raises(UserError, match="boxes.json: is there already"):
        run("--boxes_only")
    (folder / "c.png").write_text("no picture")
    (folder / "d.png").write_bytes((folder / "a.png").read_bytes())
    run("--boxes_only", "--resume")
    assert capsys.readouterr().out.endswith("2 photos, 3 words, 1 unreadable: see out/errors.csv\n")
    assert [(page.file, bool(page.error)) for page in boxes.read("out/boxes.json")] == [
        ("a.png", False), ("sub/b.jpg", False), ("c.png", True), ("d.png", False)]


# --- Going on, and not ----------------------------------------------------------------------------------------

def test_nothing_is_replaced_unasked_and_what_is_done_is_left(folder, asked):
    run()
    with pytest.raises(UserError, match="a.png.txt: is there already; --resume goes on, --overwrite replaces it"):
        run()
    before = {name: Path("out", name).stat().st_mtime_ns for name in written()}
    Path("out/a.png.json").unlink()
    run("--resume")
    changed = {name for name in written() if Path("out", name).stat().st_mtime_ns != before[name]}
    assert changed == {"a.png.json", "a.png.txt", "errors.csv"}
    run("--resume", "--xmp")  # one more file of each photo
    assert "sub/b.jpg.xmp" in written()
    run("--overwrite")
    assert Path("out/sub/b.jpg.json").stat().st_mtime_ns != before["sub/b.jpg.json"]


def test_a_scans_pdf_is_whole_after_a_run_that_broke_off(folder, monkeypatch):
    scan(folder / "sub" / "scan.pdf")
    run()
    run("--resume", "--pdf")  # all its pages are read already
    result = Path("out/sub/scan.pdf.pdf")
    assert words_of(result) == [2, 4]
    before = result.read_bytes(), result.stat().st_mtime_ns
    run("--resume", "--pdf")
    assert result.stat().st_mtime_ns == before[1]
    Path("out/sub/scan.pdf#2.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("photos.pdf._save", lambda pdf, path: path.write_text("a part") and 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run("--resume", "--pdf", "--min_confidence", 0.65)
    assert Path("out/sub/scan.pdf#2.json").exists() and result.read_bytes() == before[0]
    assert [name for name in written() if "part" in name or name.startswith(".")] == []
    run("--resume", "--pdf")
    assert words_of(result) == [2, 3]


def test_a_damaged_page_or_scan_costs_its_pdf_a_row(folder):
    scan()
    run("--pdf", image_path="scan.pdf")
    for content in ("{", "[]", '{"file": "scan.pdf#2", "words": []}'):
        Path("out/scan.pdf.pdf").unlink(missing_ok=True)
        Path("out/scan.pdf#2.json").write_text(content)
        run("--resume", "--pdf", image_path="scan.pdf")
        assert [row["file"] for row in errors()] == ["scan.pdf"] and "scan.pdf#2.json: " in errors()[0]["error"]
        assert not Path("out/scan.pdf.pdf").exists()
    Path("out/scan.pdf#2.json").unlink()
    run("--resume", "--pdf", image_path="scan.pdf")
    assert words_of("out/scan.pdf.pdf") == [2, 4] and errors() == []
    for path in Path("out").glob("*#*"):
        path.unlink()
    with pytest.raises(UserError, match="scan.pdf.pdf: is there already; --resume goes on"):
        run("--pdf", image_path="scan.pdf")


def test_a_bad_photo_costs_a_row(folder, capsys):
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("no picture")
    (folder / "broken.pdf").write_text("no PDF")
    (folder / "eps.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    run()
    assert [row["file"] for row in errors()] == ["broken.pdf", "empty.png", "eps.png", "text.png"]
    assert errors()[0]["error"] == "not a readable PDF" and errors()[1]["error"] == "the file is empty"
    shown = capsys.readouterr()
    assert shown.out == "6 photos, 5 words, 4 unreadable: see out/errors.csv\n" and "text.png: not a readable" in shown.err
    write_image(folder / "text.png", written_page("mended")[0])
    run("--resume")
    assert [row["file"] for row in errors()] == ["broken.pdf", "empty.png", "eps.png"] and "text.png.json" in written()


def test_where_no_photo_can_be_read_that_is_an_error(folder, capsys):
    Path("bad").mkdir()
    Path("bad/text.png").write_text("no picture")
    for options in ([], ["--resume"]):
        with pytest.raises(UserError, match="no photo could be read; out/errors.csv says why"):
            run(*options, image_path="bad")
        assert capsys.readouterr().out == "1 photo, 0 words, 1 unreadable: see out/errors.csv\n"
    write_image("bad/good.png", written_page("mended")[0])
    run("--resume", image_path="bad")
    run("--resume", image_path="bad")  # what could be read is there from before


def test_where_no_photo_of_an_index_can_be_read_that_is_an_error(reader, place, monkeypatch):
    save("photos/a.png", "broken one")
    with monkeypatch.context() as patch, pytest.raises(UserError, match="photos: cannot be looked into; see who may"):
        patch.setattr(os, "access", lambda *_: False)
        search.main(["index", "photos", "--index", "new.index"])
    assert not os.path.exists("new.index")
    for _ in range(2):
        with pytest.raises(UserError, match="photos: no photo in it could be read"):
            search.main(["index", "photos", "--index", place])
    save("photos/b.png", "good")
    search.main(["index", "photos", "--index", place])


def test_links_that_lead_in_a_circle_cost_a_row(folder):
    for link in ("photos/self.png", "out", "drawn"):
        Path(link).symlink_to(Path(link).name)
    for options in ([], ["--draw", "drawn"]):
        with pytest.raises(UserError, match="out: is no folder"):
            run(*options)
    Path("out").unlink()
    run("--ink", "ink")
    assert errors() == [{"file": "self.png", "error": "no such file"}] and "a.png.json" in written()


@pytest.mark.parametrize("pixels", [
    np.full((300, 400), 250, np.uint8), np.zeros((300, 400, 3), np.uint8), np.full((300, 400, 3), 255, np.uint8),
    np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8), np.zeros((1, 1, 3), np.uint8),
    np.full((100, 200, 4), 200, np.uint8)], ids=["grey", "black", "white", "noise", "a pixel", "alpha"])
def test_odd_photos_are_read(folder, pixels):
    Image.fromarray(pixels).save("odd.png")
    run("--hocr", "--alto", "--page_xml", "--pdf", "--markdown", "--xmp", "--draw", "drawn", "--ink", "ink", "--clean",
        image_path="odd.png")
    page = json.loads(Path("out/odd.png.json").read_text())
    assert (page["height"], page["width"]) == pixels.shape[:2] and errors() == []


def test_no_drawing_replaces_its_photo(folder):
    before = (folder / "sub" / "b.jpg").read_bytes()
    for option in ("--overwrite", "--resume"):
        with pytest.raises(UserError, match="b.jpg: is the photo itself; name another folder"):
            run("--draw", "photos/sub", option, image_path=folder / "sub" / "b.jpg")
    assert (folder / "sub" / "b.jpg").read_bytes() == before


def test_two_runs_at_once_in_one_folder(folder, asked):
    Path("out").mkdir()
    with command.locked("out"), pytest.raises(UserError, match="out: another run works in it"):
        run()
    assert asked == []
    run()


class Slow(PageReader):
    """Takes its time for the second photo."""

    def look(self, pixels, file, **options):
        if file != "a.png":
            Path("second").touch()
            time.sleep(60)
        return super().look(pixels, file, **options)


def start(folder):
    """pages.py in a process of its own, at its second photo."""
    code = ("import sys; sys.path[:0] = sys.argv[1:3]; import command, pages, photos, samples, test_pages\n"
            "photos.load_reader = lambda *_, **__: test_pages.Slow(samples.WordFinder(), test_pages.SameReader(), {})\n"
            "import words.models; words.models.find_model = lambda path: (path, path)\n"
            "command.run(lambda: pages.main(['--image_path', 'photos', '--result_path', 'out']))")
    process = subprocess.Popen([sys.executable, "-c", code, str(ROOT), str(ROOT / "tests")], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not Path("second").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None
    return process


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_says_how_to_go_on(folder, stop):
    process = start(folder)
    process.send_signal(stop)
    _, shown = process.communicate(timeout=30)
    assert process.returncode == 130 and "stopped; what is done is in out: --resume goes on" in shown
    assert "Traceback" not in shown and written() == ["a.png.json", "a.png.txt", "errors.csv"]
    run("--resume")
    assert "sub/b.jpg.json" in written()


@pytest.mark.slow
def test_a_killed_run_goes_on(folder, capsys):
    process = start(folder)
    process.kill()
    process.communicate()
    assert "a.png.json" in written()
    run("--resume")
    assert capsys.readouterr().out == "1 photo, 2 words, 0 unreadable\n"
    assert written() == ["a.png.json", "a.png.txt", "errors.csv", "sub/b.jpg.json", "sub/b.jpg.txt"]


# --- Before a model is loaded ---------------------------------------------------------------------------------

@pytest.mark.parametrize("options, message", [
    (("--clean",), "--clean goes with --ink"),
    (("--resume", "--overwrite"), "leave one out"),
    (("--boxes_only", "--pdf"), "--boxes_only reads no words; leave --pdf out"),
    (("--boxes_only", "--lexicon", "none"), "leave --lexicon out"),
    (("--boxes_only", "--top_paths", "2"), "leave --top_paths out"),
    (("--top_paths", "0"), "--top_paths: 0: must be a whole number from 1"),
    (("--min_confidence", "nan"), "must be a number from 0 to 1"),
    (("--draw", "photos/drawn"), "--draw photos/drawn: is among the photos"),
    (("--ink", "photos"), "--ink photos: is among the photos"),
])
def test_options_that_cannot_be(folder, asked, options, message):
    with pytest.raises(UserError, match=message):
        run(*options)
    assert asked == []


def test_paths_that_cannot_be(folder, asked, monkeypatch):
    with pytest.raises(UserError, match="none: no such file or folder"):
        run(image_path="none")
    Path("empty").mkdir()
    with pytest.raises(UserError, match="empty: no photo in it"):
        run(image_path="empty")
    Path("file").touch()
    for options in (["--draw", "file"], ["--draw", "drawn", "--ink", "file/ink"]):
        with pytest.raises((UserError, OSError)):
            run(*options)
    assert sorted(os.listdir()) == ["empty", "file", "photos"]
    Path("out").touch()
    with pytest.raises(UserError, match="out: is no folder"):
        run()
    Path("out").unlink()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UserError, match="out: cannot be written to; name another folder"):
        run()
    assert asked == []


def test_a_folder_that_is_no_model(folder, asked, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(folder.parent)
    for options in (("--model_path", "none"), ("--words", "none", "--model_path", ROOT / "models" / "notes")):
        with pytest.raises(UserError, match="none: not a model folder"):
            run(*options)
    assert asked == [] and not Path("out").exists()


@pytest.mark.parametrize("script, options, what", [(pages, ["--image_path", "a", "--result_path", "b"], "model_path"),
                                                   (search, ["index", "a"], "pages"), (search, ["watch", "a"], "pages")])
def test_models_by_default_are_those_of_the_checkout_wherever_one_is(tmp_path, monkeypatch, script, options, what):
    monkeypatch.chdir(tmp_path)
    args = script.parse_args(options)
    for folder, kind in ((getattr(args, what), "pages"), (args.words, "words")):
        assert read_config(find_model(folder)[0])["kind"] == kind
    with pytest.raises(UserError, match="models/notes: not a model folder"):  # what is named is what is meant
        find_model(script.parse_args([*options, "--words", "models/notes"]).words)


def test_help_is_light():
    code = "import pages, sys; print({'numba', 'cv2', 'onnxruntime', 'PIL', 'keras'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "set()\n"
