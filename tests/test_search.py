"""search.py: index, find, export, watch and what may go wrong, with an index in a file and in a database."""
import contextlib
import itertools
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import index
import search
from command import UserError
from index import files
from photos.page import Page, Word
from tests.fake_reader import everything, log_probabilities, names, save, save_many, start, texts_of

# --- Finding ----------------------------------------------------------------------------------------------------

def test_index_and_find(reader, place, tmp_path, capsys):
    save("photos/plan.png", "Sprint budget\nnext sprint")
    save("photos/deep/er/list.png", "shopping list milk")
    save("photos/note.png", "budgets for Café-Ausgaben, isn't it")
    search.main(["index", "photos", "--index", place])
    assert "3 photos; now 3 read" in capsys.readouterr().out
    search.main(["find", "sprint budget", "--index", place])
    out = capsys.readouterr().out.splitlines()
    assert out[0].endswith("plan.png") and out[0].startswith("0.9")
    search.main(["find", "list", "--index", place])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["0.92", "0.92"]  # not what is near 0
    found = index.open(place)
    assert names(found.find("milk")) == ["list.png"]
    assert names(found.find("MILK!")) == ["list.png"]
    assert names(found.find("cafe")) == ["note.png"]
    assert names(found.find("isnt"))[0] == names(found.find("isn’t"))[0] == "note.png"
    same, plural = found.find("budget")
    assert names([same, plural]) == ["plan.png", "note.png"] and same.score > 0.8 and 0.1 < plural.score < 0.5
    assert names(found.find("shop*"))[0] == "list.png"
    assert found.find("shop")[:1] == [] or found.find("shop")[0].score < 0.5
    match, = found.find("milk")[0].matches
    assert (match.text, match.polygon) == ("milk", [[2, 10], [11, 10], [11, 20], [2, 20]])
    assert match.probability > 0.9
    assert [word.text for word in found.page(found.find("milk")[0].photo)] == ["shopping", "list", "milk"]
    assert found.photo(found.find("milk")[0].photo).width == 200
    assert found.photo(99) is None and found.page(99) == []
    assert found.stats()["words"] == 12


def test_phrases_are_words_side_by_side_on_a_line(reader, place):
    save("photos/a.png", "next sprint")
    save("photos/b.png", "sprint next")
    save("photos/c.png", "next\nsprint")
    save("photos/d.png", "next")
    save("photos/e.png", "sprint")
    search.main(["index", "photos", "--index", place])
    found = index.open(place)
    sure = [result for result in found.find('"next sprint"') if result.score > 0.5]
    assert names(sure) == ["a.png"]
    assert sorted(names(found.find("next sprint")[:3])) == ["a.png", "b.png", "c.png"]
    assert all(result.score > 0.6 for result in found.find("next sprint", all_words=True)[:3])
    assert all(result.score < 0.3 for result in found.find("next sprint", all_words=True)[3:])
    assert names([result for result in found.find('"next spr*"') if result.score > 0.5]) == ["a.png"]


def test_parts_of_a_word_are_found_together_and_alone(reader, place):
    save("photos/a.png", "anti-war film")
    save("photos/b.png", "anti war")
    save("photos/c.png", "antiwar")
    save("photos/d.png", "film")
    search.main(["index", "photos", "--index", place])
    found = index.open(place)

    def sure(query):
        return sorted(names(result for result in found.find(query) if result.score > 0.5))

    assert sure("anti-war") == sure('"anti war"') == ["a.png", "b.png", "c.png"]
    assert sure("war") == ["a.png", "b.png"]
    assert sure("antiwar") == ["a.png", "c.png"]
    assert sure('"war film"') == ["a.png"]
    assert [match.text for match in found.find('"war film"')[0].matches] == ["anti-war", "film"]
    assert [len(result.matches) for result in found.find('"anti war"')[:3]].count(2) == 1  # the two words of b.png


def test_dates(reader, place):
    for name, date in (("old", "2019:12:31 23:59:59"), ("new", "2020:01:01 00:00:00"), ("none", None)):
        exif = Image.Exif()
        if date:
            exif.get_ifd(0x8769)[0x9003] = date
        save(f"photos/{name}.jpg", f"same word {name}", exif=exif)
    search.main(["index", "photos", "--index", place])
    found = index.open(place)
    assert names(found.find("word", since="2020-01-01")) == ["new.jpg"]
    assert names(found.find("word", until="2019-12-31")) == ["old.jpg"]
    assert sorted(names(found.find("word", since="2019-12-31", until="2020-01-01"))) == ["new.jpg", "old.jpg"]
    assert len(found.find("word")) == 3
    with pytest.raises(UserError, match="2026-11-25"):
        search.main(["find", "word", "--since", "yesterday"])


@pytest.mark.parametrize("query", ["", " ", "\"", '"" *', "*", "x" * 10000, "a b " * 3000, "'; DROP TABLE photos; --", "%_",
                                   "<script>alert(1)</script>", "(a+)+$[", "\0", "\ud800", "ｆｕｌｌ ſtraße",
                                   "e\u0301" * 500, "的", '"' * 1000, "-- or 1=1", "🙂", "a" * 64, "a" * 65])
def test_any_query_is_answered(reader, place, query):
    save("photos/a.png", "some words here")
    search.main(["index", "photos", "--index", place])
    found = index.open(place)
    for all_words in (False, True):
        assert all(0 < result.score <= 1 for result in found.find(query, all_words=all_words))
    assert found.stats()["words"] == 3


def test_json(reader, capsys):
    save("photos/a.png", "some words")
    search.main(["index", "photos"])
    capsys.readouterr()
    search.main(["find", "some", "--json"])
    entry, = json.loads(capsys.readouterr().out)
    assert set(entry) == {"file", "score", "matches"} and set(entry["matches"][0]) == {"polygon", "text", "probability"}
    assert Path(entry["file"]) == Path("photos/a.png").absolute()


# --- Bringing an index up to date -------------------------------------------------------------------------------

def test_only_what_is_new_is_read(reader, place, capsys):
    save("photos/a.png", "first")
    save("photos/b.jpg", "second")
    search.main(["index", "photos", "--index", place])
    assert len(reader.read_files) == 2
    reader.read_files.clear()
    os.makedirs("photos/sub")
    os.rename("photos/a.png", "photos/sub/moved.png")
    os.utime("photos/b.jpg", (0, 0))
    save("photos/c.png", "third")
    save("photos/copy.png", "first")
    search.main(["index", "photos", "--index", place])
    assert [os.path.basename(path) for path in reader.read_files] == ["c.png"]
    found = index.open(place)
    assert texts_of(found) == {"b.jpg": "second", "c.png": "third", "copy.png": "first", "moved.png": "first"}
    os.remove("photos/copy.png")
    os.remove("photos/sub/moved.png")
    save("photos/c.png", "changed")
    search.main(["index", "photos", "--index", place])
    assert texts_of(found) == {"b.jpg": "second", "c.png": "changed"}
    assert names(found.find("first third changed")) == ["c.png"]
    reader.read_files.clear()
    save("photos/again.png", "first")  # is back
    search.main(["index", "photos", "--index", place])
    assert names(found.find("first")) == ["again.png"] and not reader.read_files
    assert "1 known under another name" in capsys.readouterr().out.splitlines()[-1]


def test_metadata_and_orientation_cost_nothing(reader, place):
    save("photos/a.jpg", "some text")
    search.main(["index", "photos", "--index", place])
    before, = index.open(place).find("text")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    exif[0x010E] = "a title"
    save("photos/a.jpg", "some text", exif=exif, comment=b"more")
    search.main(["index", "photos", "--index", place])
    assert len(reader.read_files) == 1
    found = index.open(place)
    after, = found.find("text")
    (x, y), *_ = before.matches[0].polygon  # on a photo of 200 x 100
    assert after.matches[0].polygon[0] == [100 - y, x]
    photo = found.photo(after.photo)
    assert (photo.width, photo.height) == (100, 200)


def test_orientations_agree_with_pillow():
    from PIL import ImageOps

    from index.orientation import turned
    pixels = np.zeros((6, 9), np.uint8)
    pixels[1, 2] = 255

    def place(orientation):
        image = Image.fromarray(pixels)
        image.getexif()[0x0112] = orientation
        upright = np.asarray(ImageOps.exif_transpose(image))
        (y, x), = np.argwhere(upright)
        return [x + 0.5, y + 0.5], upright.shape[::-1]

    for was, now in itertools.product(range(1, 9), repeat=2):
        (point, (width, height)), (expected, _) = place(was), place(now)
        assert turned([point], width, height, was, now) == [expected]


def test_a_photo_that_fails_is_kept_with_its_reason(reader, place, capsys):
    save("photos/a.png", "good")
    save("photos/b.png", "broken one")
    save("photos/c.png", "faulty one")
    Path("photos/d.png").write_bytes(b"no image")
    search.main(["index", "photos", "--index", place])
    captured = capsys.readouterr()
    assert "3 failed" in captured.out and "this photo breaks the reader" in captured.err
    errors = {os.path.basename(photo["file"]): photo["error"] for photo in index.open(place).export()}
    assert errors["a.png"] == "" and "breaks" in errors["b.png"] and errors["c.png"] == "cannot be read" and errors["d.png"]
    reader.read_files.clear()
    search.main(["index", "photos", "--index", place])
    assert not reader.read_files
    word = Word([[0, 0]] * 4, "fine", 1.0, [("fine", 1.0)], 0, 0, log_probabilities("fine"))
    reader.read = lambda path, top_paths, min_confidence: Page(path, 10, 10, [word])
    search.main(["index", "photos", "--index", place, "--retry"])
    assert sorted(names(index.open(place).find("fine"))) == ["b.png", "c.png", "d.png"]
    assert "4 photos; now 3 read, 0 known" in capsys.readouterr().out
    search.main(["stats", "--index", place])
    assert "failed                 0" in capsys.readouterr().out


def test_reasons_may_be_anything(reader, place):
    save(b"photos/\xff.png", "broken")
    reader.read = lambda path, top_paths, min_confidence: (_ for _ in ()).throw(ValueError(f"{path} is broken\0"))
    with pytest.raises(UserError, match="no photo in it could be read"):
        search.main(["index", "photos", "--index", place])
    photo, = index.open(place).export()
    assert photo["error"].endswith("photos/\\udcff.png is broken")


def test_names_may_be_anything(reader, place, capsys, tmp_path):
    for name in (b"quote'\".png", b"new\nline.png", b"\xff\xfe.png", b"<b>.png", "ä的.PNG".encode(), b"-rf.png"):
        save(b"photos/" + name, "word")
    os.makedirs("photos/real/below")
    os.symlink("../..", "photos/real/below/loop")
    os.symlink("self", "photos/self")
    os.symlink("/nowhere/at/all.png", "photos/dangling.png")
    os.makedirs("elsewhere")
    save("elsewhere/linked.png", "linked")
    os.symlink("../elsewhere", "photos/link")
    save("photos/.hidden/x.png", "hidden")
    search.main(["index", "photos", "--index", place])
    found = index.open(place)
    assert len(found.find("word")) == 1  # the same content under six names is one photo
    assert len(texts_of(found)) == 7 and texts_of(found)["linked.png"] == "linked"
    search.main(["export", "--csv", "all.csv", "--json", "all.json", "--index", place])
    assert b"\xff\xfe.png" in Path("all.csv").read_bytes()
    assert len(json.loads(Path("all.json").read_text("utf8", "surrogateescape"))) == 7
    with pytest.raises(UserError, match="--overwrite"):
        search.main(["export", "--csv", "all.csv", "--index", place])


def test_clocks_may_be_wrong(reader):
    for name, modified in (("past", 0), ("future", 4e9)):
        save(f"photos/{name}.png", name)
        os.utime(f"photos/{name}.png", (modified, modified))
    search.main(["index", "photos"])
    save("photos/future.png", "later")
    os.utime("photos/future.png", (5, 5))  # changed, and older than before
    search.main(["index", "photos"])
    assert texts_of(index.open("photos/search.index")) == {"past.png": "past", "future.png": "later"}
    assert len(reader.read_files) == 3


@pytest.mark.slow
def test_a_folder_of_many_files_is_listed(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for k in range(100_000):
        os.mknod(folder / f"{k}.jpg")
    assert len({path for path, *_ in files.walk(folder, [])}) == 100_000


def test_an_index_moves_with_its_photos(reader):
    save("photos/a.png", "word")
    search.main(["index", "photos"])
    os.rename("photos", "pictures")
    result, = index.open("pictures/search.index").find("word")
    assert Path(result.file) == Path("pictures/a.png").absolute()
    search.main(["index", "pictures"])
    assert len(reader.read_files) == 1


def test_other_folders_stay_in_an_index(reader, place):
    save("one/a.png", "first")
    save("two/b.png", "second")
    search.main(["index", "one", "--index", place])
    search.main(["index", "two", "--index", place])
    found = index.open(place)
    assert texts_of(found) == {"a.png": "first", "b.png": "second"}
    os.remove("one/a.png")
    search.main(["index", "two", "--index", place])
    assert len(texts_of(found)) == 2
    search.main(["index", "one", "--index", place])
    assert texts_of(found) == {"b.png": "second"}
    os.rename("two", "three")
    with pytest.raises(UserError, match="two: no such folder"):
        search.main(["index", "two", "--index", place])
    assert texts_of(found) == {"b.png": "second"}


def test_which_index(reader, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no index yet"):
        search.main(["stats"])
    save("one/a.png", "first")
    save("two/b.png", "second")
    search.main(["index", "one"])
    search.main(["index", "two"])
    assert search.choose_index(None) == tmp_path / "two" / "search.index"
    assert search.choose_index(Path("one")) == Path("one/search.index")
    monkeypatch.chdir("one")
    assert search.choose_index(None) == Path("search.index")


# --- Faults -----------------------------------------------------------------------------------------------------

def spoil(path, statement):
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()


def test_what_is_no_index_is_refused_in_one_line(reader):
    save("photos/a.png", "word")
    search.main(["index", "photos", "--index", "good.index"])
    spoil("good.index", "PRAGMA user_version = 99")
    Path("text.index").write_text("not a database " * 1000)
    spoil("other.index", "CREATE TABLE other (x)")
    for name, why in (("good.index", "version 99"), ("text.index", "not an index"), ("other.index", "not an index"),
                      ("absent.index", "no such index")):
        before = Path(name).exists() and Path(name).read_bytes()
        for command in (["find", "word", "--index", name], ["index", "photos", "--index", name]):
            if command[0] == "index" and not before:
                continue  # makes one
            with pytest.raises(UserError, match=why) as caught:
                search.main(command)
            assert "\n" not in str(caught.value) and name in str(caught.value)
        assert before == (Path(name).exists() and Path(name).read_bytes())


def test_a_damaged_index_is_one_line(reader):
    for k in range(40):
        save(f"photos/{k}.png", f"some word {k}")
    search.main(["index", "photos"])
    content = Path("photos/search.index").read_bytes()
    for seed in range(10):
        damaged = bytearray(content)
        draw = random.Random(seed)
        for _ in range(60):
            damaged[draw.randrange(100, len(damaged))] = draw.randrange(256)
        Path("damaged.index").write_bytes(damaged)
        try:
            index.open("damaged.index").find("some word")
        except UserError as error:
            assert "damaged.index" in str(error)
    Path("damaged.index").write_bytes(content[:len(content) // 2])
    with pytest.raises(UserError, match="damaged"):
        index.open("damaged.index").find("some word")


def as_somebody(check):
    """check() in a process of a user who may not write everywhere, as root may."""
    def run():
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        check()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode == 0  # else what went wrong is on stderr


def test_a_read_only_folder_is_searched_and_served(reader, monkeypatch):
    from index import web

    def search_it():
        app.config["INDEX"] = index.open("search.index")
        assert names(app.config["INDEX"].find("word")) == ["a.png"]
        page = app.test_client()
        answer = page.get("/?q=word", base_url="http://localhost")
        assert answer.status_code == 200 and "a.png" in answer.text
        for path in ("/photo/1", "/photo/1/small.jpg"):
            assert page.get(path, base_url="http://localhost").status_code == 200

    def check():
        search_it()
        for arguments in (["index", "."], ["index", ".", "--index", "other.index"]):
            with pytest.raises(UserError, match=r"\.index: cannot be (written to|opened)") as caught:
                search.main(arguments)
            assert "\n" not in str(caught.value)

    with tempfile.TemporaryDirectory() as folder:  # pytest's own are for its user alone
        monkeypatch.chdir(folder)
        save("a.png", "word")
        search.main(["index", "."])
        app = web.create_app(index.open("search.index"))
        search_it()  # loads all modules and templates, which may be root's alone
        save("b.png", "new")
        there = sorted(os.listdir())
        os.chmod("search.index", 0o444)
        os.chmod(folder, 0o555)
        as_somebody(check)
        os.chmod(folder, 0o755)
        assert sorted(os.listdir()) == there
        monkeypatch.undo()


def test_a_full_disk_is_one_line_and_the_index_stays_whole(reader, monkeypatch):
    from index.sqlite import SQLite
    save("photos/a.png", "word")
    search.main(["index", "photos"])
    connect = SQLite._connect

    def connect_small(self):
        connection = connect(self)
        if self.writable:
            connection.execute("PRAGMA max_page_count = 1")  # the size that it has
        return connection

    monkeypatch.setattr(SQLite, "_connect", connect_small)
    for k in range(100):
        save(f"photos/{k}.png", f"{k} " + " ".join(f"more{k}{n}" for n in range(60)))
    with pytest.raises(UserError, match="disk is full"):
        search.main(["index", "photos"])
    monkeypatch.setattr(SQLite, "_connect", connect)
    search.main(["index", "photos"])
    assert len(texts_of(index.open("photos/search.index"))) == 101


# --- Several processes, and their ends --------------------------------------------------------------------------

@pytest.mark.slow
def test_a_run_may_be_killed_at_any_moment(reader, place):
    save_many(40)
    search.main(["index", "photos", "--index", "whole.index"])
    draw = random.Random(0)
    for _ in range(20):
        process = start("index", "photos", "--index", place)
        process.stderr.read(1)  # the progress bar: it has begun
        time.sleep(draw.uniform(0, 0.2))
        process.kill()
        process.wait()
    process = start("index", "photos", "--index", place)
    assert process.wait() == 0, process.stderr.read()
    assert everything(place) == everything("whole.index")
    if not index.is_url(place):
        with contextlib.closing(sqlite3.connect(place)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_says_how_to_go_on(reader, stop):
    save_many(9)
    process = start("index", "photos", pause=1)
    process.stderr.read(1)
    process.send_signal(stop)
    said = process.communicate(timeout=60)[1]
    assert said.endswith(": stopped; what was read is in the index, the same command goes on\n")
    search.main(["stats"])  # of that index, without its name
    assert search.choose_index(None) == Path("photos/search.index").absolute()


@pytest.mark.slow
def test_two_runs_at_once_share_the_work(reader, place):
    save_many(40)
    search.main(["index", "photos", "--index", "whole.index"])
    processes = [start("index", "photos", "--index", place, pause=0.1) for _ in range(2)]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert everything(place) == everything("whole.index")


@pytest.mark.slow
def test_watch_indexes_what_arrives(reader):
    os.makedirs("photos")
    process = start("watch", "photos")
    found, deadline = None, time.time() + 60
    assert "0 photos" in process.stdout.readline()
    save("photos/new.png", "arrived")
    while time.time() < deadline:
        found = index.open("photos/search.index").find("arrived")
        if found:
            break
        time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert names(found) == ["new.png"]


# --- What a file says -------------------------------------------------------------------------------------------

def test_hashes_leave_out_a_jpegs_metadata_alone(tmp_path):
    a, b, c = (tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg"))
    save(a, "some text")
    save(b, "some text", comment=b"a comment")
    save(c, "some tent")
    assert files.content(a) == files.content(b) != files.content(c)
    for rest in (b"", b"\xff\xe0", b"\xff\xe0\x00\x00", b"\xff\xe1\xff\xffshort"):
        a.write_bytes(b"\xff\xd8" + rest)
        assert len(files.content(a)) == 32
