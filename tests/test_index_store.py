"""index/store.py: photos and files in each database, from several threads, and what is no index."""
import threading

import pytest

from command import UserError
from index import open_store


def photo(content, error=""):
    return {"hash": content, "width": 4, "height": 3, "orientation": 1, "error": error}


@pytest.fixture
def store(place):
    opened = open_store(place, create=True)
    yield opened
    opened.close()


def test_a_photo_is_its_content(store):
    first = store.add(photo(b"one"), [{"text": "ä"}], b"posteriors")
    assert store.add(photo(b"one"), [], b"other") == first == store.add(photo(b"one"), [], b"other", replace=True)
    assert store.words(first) == [{"text": "ä"}] and list(store.posteriors()) == [(first, b"posteriors")]
    failed = store.add(photo(b"two", "why"), [], b"")
    store.put_file(b"b", failed, 1, 2, 6, "2026-01-01T00:00:00")
    assert store.add(photo(b"two"), [], b"") == failed  # kept, as nobody asked for another try
    read = store.add(photo(b"two"), [{}], b"p", replace=True)
    assert read > failed and store.files() == {b"b": (read, 1, 2, "")}
    assert list(store.posteriors(first)) == [(read, b"p")]
    assert store.find_photo(b"two") == (read, "", 1) and store.find_photo(b"three") is None


def test_files_come_and_go(store):
    number = store.add(photo(b"one"), [], b"")
    assert store.photo(number) is None and store.photos() == []
    store.put_file(b"\xff", number, 1, 2, 1, None)
    store.put_file(b"a", number, 1, 2, 6, "2026-01-01T00:00:00")
    assert store.photo(number)["files"] == [(b"a", 6, "2026-01-01T00:00:00"), (b"\xff", 1, None)]
    assert store.photos() == [(number, "2026-01-01T00:00:00")]
    assert store.counts() == {"files": 2, "photos": 1, "failed": 0}
    before = store.changes
    store.drop_files([b"a", b"\xff"])
    assert store.photos() == [] and store.changes > before
    assert store.find_photo(b"one") == (number, "", 1)


def test_copies_are_added_whole_or_not_at_all(store):
    known = store.add(photo(b"one"), [], b"1")
    rows = [(b"one", 9, 9, 1, "", b"", b"other"), (b"two", 4, 3, 1, "why", b"", b"2")]
    for _ in range(2):
        store.add_copies(rows, [(b"a", b"one", 1, 2, 3, None), (b"b", b"two", 4, 5, 6, "2026-01-01T00:00:00")])
        (first, *one), (second, *two) = store.contents()
        assert first == known and one[:3] == [b"one", 4, 3] and one[-1] == b"1" and tuple(two) == rows[1]
        assert sorted(store.files_between(first, second)) == [(first, b"a", 1, 2, 3, None),
                                                              (second, b"b", 4, 5, 6, "2026-01-01T00:00:00")]
    with pytest.raises((UserError, OverflowError)):
        store.add_copies([(b"three", 1, 1, 1, "", b"", b"3"), (b"four", 2 ** 70, 1, 1, "", b"", b"4")], [])
    assert len(list(store.contents())) == 2


def test_several_photos_are_asked_for_at_once(store):
    words = [{"text": text} for text in ("a", "[b],\n", "ä")]
    first, second = store.add(photo(b"one"), words, b""), store.add(photo(b"two", "why"), [], b"")
    for path, number in ((b"y", first), (b"z", second), (b"x", first)):
        store.put_file(path, number, 1, 2, 6, None)
    assert store.photos_of([second, first, 99]) == {number: store.photo(number) for number in (first, second)}
    assert [path for path, *_ in store.photo(first)["files"]] == [b"x", b"y"] and store.photo(second)["error"] == "why"
    assert store.words_of({first: [2, 1], second: []}) == {first: [words[2], words[1]], second: []}
    assert store.words_of({first: None, 99: [0]}) == {first: words}
    assert store.words(99) == [] and store.photo(99) is None
    assert store.photos_of([]) == store.words_of({}) == {}


def test_letters_are_added_behind(store):
    assert store.learn("ab") == "ab"
    assert store.learn("cba") == "abc" == store.letters


def test_threads_write_and_read_together(store):
    def add(name):
        for k in range(30):
            store.put_file(b"%s%d" % (name, k), store.add(photo(b"%s%d" % (name, k)), [], b""), 0, 0, 1, None)
            assert len(store.photos()) > k

    threads = [threading.Thread(target=add, args=(name,)) for name in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.photos()) == 90


def test_reading_makes_no_file(tmp_path):
    with pytest.raises(UserError, match="no such index"):
        open_store(tmp_path / "absent")
    (tmp_path / "empty").touch()
    with pytest.raises(UserError, match="not an index"):
        open_store(tmp_path / "empty")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_names_are_from_the_indexs_folder_on(tmp_path):
    store, folder = open_store(tmp_path / "a.index", create=True), bytes(tmp_path)
    assert store.name(folder + b"/x/\xff.png") == b"x/\xff.png"
    assert store.name(folder) == b"."
    assert store.name(folder + b"2/y.png") == folder + b"2/y.png"
    for path in (folder + b"/x/\xff.png", folder + b"2/y.png"):
        assert store.file(store.name(path)) == path
