"""A folder that may not be looked into costs one line, not the run, whichever script comes upon it."""
import os
from pathlib import Path

import pytest
from azure_photos import photo
from samples import write_images

import azure_ocr
import index
import pages
import photos
import predict
import search
from command import UserError
from photos import boxes
from photos.page import Page
from tests.fake_reader import save, texts_of
from words.lists import image_names

SAID = "photos/deep/closed: cannot be looked into (Permission denied)\n"


@pytest.fixture
def closed(monkeypatch):
    """Folders named "closed" cannot be looked into: without the right to, but root has it everywhere."""
    def scandir(path, scandir=os.scandir):
        if not isinstance(path, int) and os.path.basename(os.fsencode(path)) == b"closed":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """photos/ in the current folder, with a.png, z.png and, deeper, closed/b.png."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "deep/closed/b.png", "z.png"):
        photo(tmp_path / "photos" / name)


def test_it_is_named(folder, closed, capsys):
    assert image_names("photos", unseen=(unseen := [])) == ["a.png", "z.png"] and unseen == ["deep/closed"]
    assert capsys.readouterr().err == SAID
    with pytest.raises(UserError, match="^photos/deep/closed: cannot be looked .*denied.; see who may read it"):
        image_names("photos/deep/closed")


def test_folders_that_may_not_be_listed_or_not_be_entered(tmp_path, monkeypatch, capsys):
    modes = {"locked": 0o000, "listed": 0o444, "entered": 0o111, "open": 0o555}
    for name, mode in modes.items():
        write_images(tmp_path / name, "a.png")
        os.chmod(tmp_path / name, mode)
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    user = os.geteuid()
    try:
        if user == 0:  # who may do all
            os.seteuid(65534)
        assert image_names(".") == ["open/a.png"]
    finally:
        os.seteuid(user)
        for name in modes:
            os.chmod(name, 0o755)
    assert capsys.readouterr().err == "".join(
        f"./{name}: cannot be looked into (Permission denied)\n" for name in ("locked", "listed", "entered"))


def test_search_takes_a_folder_not_a_file(reader):
    save("photos/a.png", "word")
    with pytest.raises(UserError, match="^photos/a.png: a file; name the folder in which it is$"):
        search.main(["index", "photos/a.png"])
    assert os.listdir("photos") == ["a.png"]


def test_pages_reads_the_others(folder, closed, monkeypatch, capsys):
    class Reader:
        def look(self, pixels, name, **_):
            return Page(name, *pixels.shape[1::-1]), None

    monkeypatch.setattr("words.models.find_model", lambda path: (path, None))
    monkeypatch.setattr(photos, "load_reader", lambda *_, **__: Reader())
    pages.main(["--image_path", "photos", "--result_path", "out"])
    said = capsys.readouterr()
    assert said.err.startswith(SAID) and "2 photos, 0 words, 0 unreadable; 1 folder closed: see out/errors.csv" in said.out
    assert Path("out/errors.csv").read_text() == "file,error\ndeep/closed,cannot be looked into\n"
    assert {path.name for path in Path("out").iterdir()} == {"errors.csv", *(f"{k}.png{s}" for k in "az" for s in (
        ".json", ".txt"))}


def test_predict_reads_the_others(folder, closed, monkeypatch, capsys):
    words = predict.list_words(Path("photos"))
    assert [words.name(k) for k in range(len(words))] == ["a.png", "z.png"] and capsys.readouterr().err == SAID


def test_azure_ocr_sends_the_others(folder, closed, capsys):
    boxes.write("boxes.json", [Page("a.png", 200, 120), Page("z.png", 200, 120)])  # so that nothing is left to send
    azure_ocr.main(["-p", "photos"])
    said = capsys.readouterr()
    assert said.err == SAID and "2 photos, 2 in boxes.json already" in said.out


def test_search_keeps_what_it_knows_of_it(tmp_path, reader, place, request, capsys):
    for name in ("a.png", "deep/closed/b.png"):
        save(f"photos/{name}", name)
    search.main(["index", "photos", "--index", place])
    request.getfixturevalue("closed")
    os.remove("photos/a.png")
    save("photos/c.png", "c.png")
    capsys.readouterr()
    search.main(["index", "photos", "--index", place])
    said = capsys.readouterr()
    assert SAID in said.err and "2 photos; now 1 read, 0 known under another name or date, 1 file gone" in said.out
    assert texts_of(index.open(place)) == {"b.png": "deep/closed/b.png", "c.png": "c.png"}
