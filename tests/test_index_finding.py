"""index/finding.py: what is kept between queries, and what is asked for anew when the index changes."""
import random

import numpy as np
import pytest

import index
import search
from index import finding, scanning
from index.finding import BEST, Index, Scope, Seen, _best, _on_photos, _search
from tests.fake_reader import save

PHOTO = {"width": 4, "height": 3, "orientation": 1, "error": ""}


def test_a_photos_best_words_count():
    rng = np.random.default_rng(0)
    numbers = np.sort(rng.integers(0, 30, 200))
    words = scanning.Words()
    words.photos = lambda which: numbers[which]
    seen = Seen(0, words, None, np.arange(0, 30, 2), np.array([""] * 15))
    allowed = np.arange(15) != 3
    which, chances = np.append(np.arange(200), [5, 70, 199]), rng.uniform(0, 1, 203)
    hits = _on_photos(seen, allowed, which, chances, np.ones(203, np.int64))
    expected = {}
    for word in range(200):
        chance = chances[which == word].max()
        if numbers[word] % 2 == 0 and numbers[word] != 6:
            expected.setdefault(numbers[word] // 2, []).append((word, chance, 1))
    for photo, there in expected.items():
        there.sort(key=lambda hit: -hit[1])
        assert hits.on(photo) == there[:BEST]
        chance = 1 - np.prod([1 - chance for _, chance, _ in there[:BEST]])
        assert hits.on_all(15)[photo] == pytest.approx(finding.calibrated(chance))
    assert hits.found.tolist() == sorted(expected) and hits.on(3) == [] and hits.on_all(15)[3] == 0


def test_scores_are_means_weighed_by_how_rare_a_term_is():
    hits = {term: finding.Hits(*np.zeros((4, 0)), np.array(found), np.array(totals))
            for term, found, totals in (("a", [0, 2], [0.9, 0.5]), ("b", [2, 3], [0.8, 0.01]))}
    seen = Seen(0, None, None, np.arange(4), np.array([""] * 4))
    _, scores = _search(seen, ["a", "b"], hits=lambda seen, term, scope: hits[term])
    weights = np.log1p([4 / 2.4, 4 / 1.8])  # that a photo may hold it with 0.01 does not count
    assert scores == pytest.approx(weights @ [[0.9, 0, 0.5, 0], [0, 0, 0.8, 0.01]] / weights.sum())
    _, scores = _search(seen, ["a", "b"], all_words=True, hits=lambda seen, term, scope: hits[term])
    assert scores == pytest.approx([0, 0, 0.4, 0])


def test_the_best_are_those_of_a_stable_sort():
    draw = random.Random(0)
    for _ in range(50):
        scores = np.array([draw.choice([0, 0.1, 0.2, 0.5, 0.9]) for _ in range(20)])
        expected = [k for k in sorted(range(20), key=lambda k: -scores[k]) if scores[k]]
        for limit in (1, 5, 30):
            assert _best(scores, limit).tolist() == expected[:limit]


def test_a_term_is_scored_once_until_the_index_changes(reader, place, monkeypatch):
    asked = []

    def hits(seen, term, scope, _hits=finding._hits):
        asked.append((term.words[0], scope))
        return _hits(seen, term, scope)

    monkeypatch.setattr(finding, "_hits", hits)
    save("photos/a.png", "some words")
    index_with(place)
    found = index.open(place)
    for query in ("words", "words", '"words"', "words"):
        assert len(found.find(query)) == 1
    assert asked == [("words", Scope(None, None, finding.LIKELY, 20, False))]
    found.find("words some")
    found.find("some words")
    found.find("words", since="2026-11-30")
    found.find("words", limit=5)
    assert [word for word, _ in asked] == ["words", "words", "some", "words", "words"]
    save("photos/b.png", "other words")
    index_with(place)
    assert len(found.find("words")) == 2


def index_with(place):
    search.main(["index", "photos", "--index", place])


def test_after_a_change_only_what_changed_is_asked_for(place, monkeypatch):
    store = index.open_store(place, create=True)
    found, draw, all_read = Index(index.open_store(place)), random.Random(0), []

    def photos(numbers=None, _photos=found.store.photos):
        all_read.append(numbers is None)
        return _photos(numbers)

    def check():
        seen = found._refresh()
        assert list(zip(seen.photos.tolist(), seen.taken.tolist())) == [(n, day or "") for n, day in store.photos()]

    monkeypatch.setattr(found.store, "photos", photos)
    known = []
    for _ in range(80):
        for _ in range(draw.randint(1, 4)):
            kind, path = draw.randrange(4), b"%d.jpg" % draw.randrange(12)
            if kind == 0 or not known:
                photo = {**PHOTO, "hash": b"%d" % draw.randrange(30), "error": draw.choice(["", "", "broken"])}
                known.append(store.add(photo, [], b"\0\0", replace=True))
            elif kind == 3:
                store.drop_files([path])
            else:
                number = draw.choice(known)
                store.put_file(path, number, 0, 0, 1, draw.choice([None, "2026-11-25T10:00:00"]))
        check()
    assert all_read == [True] + [False] * (len(all_read) - 1) and len(all_read) > 50
    counted = "UPDATE meta SET value = CAST(value AS integer) + 1 WHERE name = 'changes'"
    store._in_transaction(lambda execute: execute(counted, ()))
    store.put_file(b"a.jpg", known[-1], 0, 0, 1, None)
    check()
    assert all_read[-1]  # an older program has written: it does not say what
    for k in range(300):
        store.put_file(b"%d" % k, known[-1], 0, 0, 1, None)
    check()
    assert all_read[-1]  # too many changes are not kept
    assert len(store._all("SELECT value FROM meta WHERE name = 'recent'")[0][0]) < 6000
