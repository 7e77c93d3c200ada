"""index/: the pages of a TIFF are photos of their own, found and forgotten with their file."""
import contextlib
import io
import os
import types

import numpy as np
import pytest
from PIL import Image

import index
import search
from index.entries import Entries
from index.files import look, sheets
from index.indexing import Worker, keep_all
from index.pictures import Pictures
from index.web import shown
from photos.files import load_photo
from photos.page import Page, title
from tests.fake_reader import ALPHABET, FakeReader, names, texts_of


class SheetReader(FakeReader):
    """A FakeReader of TIFFs, page by page."""

    def read(self, path, top_paths, min_confidence):
        self.read_files.append(os.path.basename(path))
        return self.look(load_photo("", Page(path)), path, top_paths, min_confidence)[0]


@pytest.fixture
def reader(tmp_path, monkeypatch):
    reader = SheetReader()
    monkeypatch.setattr(search, "load_reader", lambda **models: reader)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return reader


def save_pages(path, *texts):
    """A TIFF with a page a text, as FakeReader reads it."""
    first, *others = [Image.fromarray(np.frombuffer(text.encode(), np.uint8)[np.newaxis]) for text in texts]
    os.makedirs(os.path.dirname(path), exist_ok=True)
    first.save(path, save_all=True, append_images=others)


def test_all_pages_of_a_tiff_are_found(reader, place, capsys):
    save_pages("photos/scan.tif", "sprint plan", "shopping list", "milk tea")
    save_pages("photos/one.tif", "budget only")
    search.main(["index", "photos", "--index", place])
    assert "4 photos; now 4 read, 0 known" in capsys.readouterr().out
    found = index.open(place)
    assert texts_of(found) == {"one.tif": "budget only", "scan.tif": "sprint plan", "scan.tif#2": "shopping list",
                               "scan.tif#3": "milk tea"}
    assert names(found.find("milk"))[0] == "scan.tif#3" and names(found.find("sprint"))[0] == "scan.tif"
    search.main(["find", "milk", "--index", place])
    assert capsys.readouterr().out.splitlines()[0].endswith("scan.tif, page 3")
    save_pages("photos/b#2/one#3.tif", "budget only")
    os.rename("photos/one.tif", "photos/one#4.tif")
    search.main(["index", "photos", "--index", place])
    capsys.readouterr()
    search.main(["stats", "--index", place])
    assert [line.split() for line in capsys.readouterr().out.splitlines()][:3] == [
        ["files", "3"], ["photos", "4"], ["failed", "0"]]
    search.main(["copy", place, "copy.index"])
    assert capsys.readouterr().out.endswith("copy.index: 4 photos in 3 files\n")
    reader.read_files.clear()
    search.main(["index", "photos", "--index", place])
    assert reader.read_files == [] and "4 photos; now 0 read, 0 known" in capsys.readouterr().out


def test_pages_change_move_and_go_with_their_file(reader, place, capsys):
    save_pages("photos/scan.tif", "sprint plan", "shopping list", "milk tea")
    search.main(["index", "photos", "--index", place])
    reader.read_files.clear()
    os.rename("photos/scan.tif", "photos/other.tif")
    search.main(["index", "photos", "--index", place])
    assert reader.read_files == [] and "3 photos; now 0 read, 3 known under another name or date, 1 file gone" in (
        capsys.readouterr().out)
    save_pages("photos/other.tif", "budget", "review")
    search.main(["index", "photos", "--index", place])
    assert texts_of(index.open(place)) == {"other.tif": "budget", "other.tif#2": "review"}
    os.unlink("photos/other.tif")
    search.main(["index", "photos", "--index", place])
    assert texts_of(index.open(place)) == {} and "1 file gone" in capsys.readouterr().out


def test_a_run_that_breaks_off_within_a_tiff_goes_on(reader, place, monkeypatch):
    save_pages("photos/scan.tif", "sprint plan", "shopping list", "milk tea")
    look_at, seen = reader.look, []

    def stop(*arguments):
        seen.append(arguments)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return look_at(*arguments)

    monkeypatch.setattr(reader, "look", stop)
    with pytest.raises(KeyboardInterrupt):
        search.main(["index", "photos", "--index", place])
    search.main(["index", "photos", "--index", place])
    assert len(texts_of(index.open(place))) == 3 and len(seen) == 4  # the page that was done is not read again


def test_a_page_that_failed_is_tried_again(reader, place, monkeypatch):
    save_pages("photos/scan.tif", "sprint plan", "broken page")
    search.main(["index", "photos", "--index", place])
    assert index.open(place).stats()["failed"] == 1
    monkeypatch.setattr(reader, "look", lambda pixels, path, *options: (Page(path, 9, 9, []), None))
    search.main(["index", "photos", "--index", place, "--retry"])
    assert index.open(place).stats()["failed"] == 0


def test_a_cluster_reads_all_pages_of_a_copy(reader, place):
    save_pages("photos/scan.tif", "sprint plan", "shopping list")
    save_pages("copies/copy.tif", "sprint plan", "shopping list")
    store = index.open_store(place, create=True)
    bucket = types.SimpleNamespace(fetched=lambda path: contextlib.nullcontext(os.path.abspath(b"copies/copy.tif")))
    work = Worker(bucket, lambda: reader, Entries(store, ALPHABET.characters), set())
    readings = work((b"/bucket/scan.tif", 1, 2))
    keep_all(store, list(readings), readings.get, retry=False)
    assert [(name, error) for name, (*_, error) in store.files().items()] == [(b"/bucket/scan.tif", ""),
                                                                              (b"/bucket/scan.tif#2", "")]
    assert texts_of(index.open(place)) == {"scan.tif": "sprint plan", "scan.tif#2": "shopping list"}
    work.known = {file.content for file in readings}
    assert work((b"/bucket/scan.tif", 1, 2)) == dict.fromkeys(readings)


def test_the_search_page_shows_the_page(tmp_path):
    colours = (200, 30, 30), (30, 30, 200)
    first, second = (Image.new("RGB", (60, 40), colour) for colour in colours)
    first.save(tmp_path / "scan.tif", save_all=True, append_images=[second])
    pictures = Pictures()
    for name, colour in zip(("scan.tif", "scan.tif#2"), colours):
        jpeg = Image.open(io.BytesIO(pictures.small(str(tmp_path / name))))
        assert np.abs(np.asarray(jpeg, int) - colour).max() < 8
    assert shown("scan.tif#2") == title("scan.tif#2") == "scan.tif, page 2" and title("scan.png#2") == "scan.png#2"


def test_pages_with_the_same_content_are_apart_from_their_file(tmp_path):
    save_pages(str(tmp_path / "scan.tif"), "same", "same")
    file = look(os.fsencode(tmp_path / "scan.tif"))
    second, first = sheets(file)
    assert first == file and second.path.endswith(b"scan.tif#2") and second.content != first.content
    unread = file._replace(error="why")
    assert sheets(unread) == [unread]
