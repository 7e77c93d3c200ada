"""index/finding.py: what is kept between queries, and what is asked for anew when the index changes."""
import functools
import gc
import random

import numpy as np
import pytest

import index
import search
from index import blocks, compiled, finding, hits, posteriors, readings, scanning
from index.finding import Index, _highest, _nth_highest, _search
from index.hits import BEST, Seen, _on_photos, calibrated
from index.query import Term, other_forms, parse
from tests.fake_reader import save
from tests.test_index_posteriors import random_posterior
from tests.test_index_readings import spread

PHOTO = {"width": 4, "height": 3, "orientation": 1, "error": ""}


def test_a_photos_best_words_count():
    rng = np.random.default_rng(0)
    numbers = np.sort(rng.integers(0, 30, 200))
    words = scanning.Words()
    words.photos = lambda which: numbers[which]
    seen = Seen(0, words, None, np.arange(0, 30, 2), np.array([""] * 15))
    allowed = np.arange(15) != 3
    which, chances = np.append(np.arange(200), [5, 70, 199]), rng.uniform(0, 1, 203)
    found = _on_photos(seen, allowed, which, chances, np.ones(203, np.int64))
    totals, = finding._totals([found], 15)
    expected = {}
    for word in range(200):
        chance = chances[which == word].max()
        if numbers[word] % 2 == 0 and numbers[word] != 6:
            expected.setdefault(numbers[word] // 2, []).append((word, chance, 1))
    for photo, there in expected.items():
        there.sort(key=lambda hit: -hit[1])
        assert found.on([photo]) == [there[:BEST]]
        chance = 1 - np.prod([1 - chance for _, chance, _ in there[:BEST]])
        assert totals[photo] == pytest.approx(calibrated(chance))
    assert found.found.tolist() == sorted(expected) and found.on([3, 99]) == [[], []] and totals[3] == 0


def test_the_likeliest_words_on_a_photo_come_first_each_once():
    one = [3, 5, 7, 9], [0.5, 0.02, 0.9, 0.3], [1, 1, 1, 1], [0, 0, 0, 2]
    two = [7, 8, 9], [0.6, 0.95, 0.4], [1, 1, 2], [0, 0, 2]
    found = [hits.Hits(*map(np.array, term), np.zeros(0), np.zeros(0)) for term in (one, two)]
    third, first, second = finding._matched(found, np.array([2, 0, 1]))
    assert (list(first), list(second), list(third)) == ([8, 7, 3], [], [9, 10])  # 5 is too unlikely beside 7
    assert list(first.values()) == pytest.approx([calibrated(chance) for chance in (0.95, 0.9, 0.5)])
    assert list(third.values()) == pytest.approx([calibrated(0.4)] * 2)


def test_scores_are_means_weighed_by_how_rare_a_term_is(monkeypatch):
    terms = Term(("a",), False), Term(("b",), False)

    def found(term, sure):
        photos, totals = {"a": ([0, 2], [0.9, 0.5]), "b": ([2, 3], [0.8, 0.01])}[term.words[0]]
        sure = slice(None, 1 if term.words[0] == "b" and sure else None)
        return hits.Hits(*np.zeros((4, 0)), np.array(photos[sure]), np.array(totals[sure]))

    monkeypatch.setattr(finding, "find_hits", lambda seen, terms, allowed, least: [found(term, False) for term in terms])
    seen = Seen(0, None, None, np.arange(4), np.array([""] * 4))
    _, scores = _search(seen, terms, read=lambda seen, term, *days: found(term, True))
    weights = np.log1p([4 / 2.4, 4 / 1.8])  # that a photo may hold it with 0.01, which nobody reads there, does not count
    assert scores == pytest.approx(weights @ [[0.9, 0, 0.5, 0], [0, 0, 0.8, 0.01]] / weights.sum())
    _, scores = _search(seen, terms, all_words=True, read=lambda seen, term, *days: found(term, True))
    assert scores == pytest.approx([0, 0, 0.4, 0])


def noisy_or(chances):
    return 1 - np.prod(1 - np.minimum(sorted(chances)[-BEST:], 1 - 1e-6))


SOME = posteriors.Symbols("abcdest")


@functools.cache
def pages():
    """150 photos of four packed posteriors; one in ten has "baded"."""
    steps = np.full((10, SOME.count), 0.001)
    steps[range(10), np.stack([SOME.encode("baded"), np.zeros(5, int)], axis=1).ravel()] = 0.9
    return [[posteriors.pack(random_posterior(8 * photo + word, 7, SOME.count, 4.0)) if word or photo % 10 else
             posteriors.pack(steps / steps.sum(axis=1, keepdims=True)) for word in range(4)] for photo in range(150)]


def read_on(page, query, prefix=False):
    """Which words of a page are found by what they may be read as, bool [n], see test_index_readings.py."""
    read = functools.partial(readings.read, [readings.make(spread(page, SOME.count))], [0])
    return np.isin(np.arange(len(page)), readings.find(read, query, prefix)[0])


@functools.cache
def totals_of(term):
    """How likely a term of one word is on each photo, and as far as words may well be read so: float64 [150] both."""
    def on_photos(word, prefix=False):
        return np.array([posteriors.score(page, SOME.encode(word), SOME.count, prefix) for page in pages()])

    chances = on_photos(*term.words, term.prefix)
    others = [0.01 * np.where(form >= 0.1, form, 0) for form in map(on_photos, other_forms(*term.words) * (not term.prefix))]
    everything = np.max([chances, *others], axis=0)
    rounded = posteriors.LIKELY[np.round(255 * np.sqrt(np.minimum(-np.log(np.maximum(chances, 1e-9)) / 8, 1))).astype(int)]
    read = np.array([read_on(page, SOME.encode(*term.words), term.prefix) for page in pages()])
    return [np.array([calibrated(noisy_or(page[kept])) * kept.any() for page, kept in zip(words, which)])
            for words, which in ((everything, everything >= 1e-8), (rounded, read))]


def seen_of(pages, loops=None):
    photos = [(2 * k + 1, blocks.pack_photo([0] * len(page), page)) for k, page in enumerate(pages)]
    words = scanning.Words(loops=loops).with_more(photos, SOME.count)
    return Seen(0, words, SOME, np.arange(1, 2 * len(pages), 2), np.array([""] * len(pages)))


@pytest.mark.parametrize("loops", [None, compiled])
@pytest.mark.parametrize("few, limit", [(5, 4), (50, 4), (50, 2)])
def test_the_best_photos_of_several_words_are_those_of_all_words_scored(monkeypatch, loops, few, limit):
    monkeypatch.setattr(finding, "FEW", few)  # 5: level by level
    for module in (finding, hits):
        monkeypatch.setattr(module, "NARROW", 0.25)
    monkeypatch.setattr(blocks, "FULL", 100)  # several blocks
    seen, narrowed = seen_of(pages(), loops), []
    among = scanning.Words.among
    monkeypatch.setattr(scanning.Words, "among", lambda *asked: narrowed.append(0) or among(*asked))
    for query in ("ab cd", "bad* st", "bad ace tab", "cab baded"):  # for two photos, "bad*" and "baded" are common
        totals, read = zip(*map(totals_of, parse(query)))
        weights = np.log1p(150 / (1 + np.sum(read, axis=1)))
        for all_words, expected in ((True, np.prod(totals, axis=0)), (False, weights @ totals / weights.sum())):
            _, scores = _search(seen, tuple(parse(query)), all_words, limit=limit)
            best = _highest(scores, limit)
            assert scores[best] == pytest.approx(np.sort(expected)[::-1][:limit], rel=1e-9)
            assert scores[best] == pytest.approx(expected[best], rel=1e-9)
    assert narrowed


def written(text, chance, seed):
    """A packed posterior of a word that is likely `text`, each letter with about so much."""
    steps = 0.1 * random_posterior(seed, 2 * len(text), SOME.count)
    steps[range(2 * len(text)), np.stack([SOME.encode(text), np.zeros(len(text), int)], axis=1).ravel()] += chance
    return posteriors.pack(steps / steps.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("loops", [None, compiled])
def test_common_terms_are_found_without_a_scan(monkeypatch, loops):
    monkeypatch.setattr(blocks, "FULL", 100)
    draw, texts = np.random.default_rng(0), ["bad", "ace", "tab", "sabe", "ace", "baded"]
    some = [[written(text, draw.uniform(0.5, 5), 10 * photo + k) for k, text in enumerate(texts[photo % 3:3 + photo % 3])]
            for photo in range(200)]
    seen = seen_of(some, loops)
    queries = [tuple(parse(query)) for query in ("ace", "bad*", "bad ace", '"bad ace"', '"ace tab" bad', "tab ba* sabe")]
    expected = [_search(seen, terms)[1] for terms in queries]

    def no_scan(*asked):
        raise AssertionError("all words are looked at")

    monkeypatch.setattr(scanning.Words, "possible", no_scan)
    asked = "ace", "bad ace", "cad", "ace cad", "ace" * 9
    quick = [finding._quick(seen, tuple(parse(query)), 3, None, None) for query in asked]
    assert quick == [True, True, False, False, False]  # nobody wrote "cad"
    for terms, scores in zip(queries, expected):
        if terms == queries[-1]:  # that no photo surely has together: now all words are looked at
            monkeypatch.undo()
        for limit in (1, 3):
            found, mine = _search(seen, terms, limit=limit)
            best = _highest(mine, limit)
            assert mine[best] == pytest.approx(np.sort(scores)[::-1][:limit], rel=1e-9)
            assert mine[best] == pytest.approx(scores[best], rel=1e-9)
            assert all(finding._matched(found, best))  # and where they stand


def test_a_phrase_is_surely_read_where_its_words_stand_on_a_line(monkeypatch):
    monkeypatch.setattr(blocks, "FULL", 10)
    texts = ["bad", "ace", "tab", "ace", "bad"]
    some = [[written(texts[(photo + k) % 5], 5, 10 * photo + k) for k in range(4)] for photo in range(30)]
    lines = [0, 0, 1, 1]
    photos = [(k + 1, blocks.pack_photo(lines, page)) for k, page in enumerate(some)]
    seen = Seen(0, scanning.Words().with_more(photos, SOME.count), SOME, np.arange(1, 31), np.array([""] * 30))
    for query in ("bad ace", "ace tab", "tab ace", "bad bad", "ace ta*"):
        term, = parse(f'"{query}"')
        first, second = map(SOME.encode, term.words)
        read = [(read_on(page, first), read_on(page, second, term.prefix)) for page in some]
        expected = [k for k, (here, there) in enumerate(read) if here[0] and there[1] or here[2] and there[3]]
        assert hits.read_hits(seen, term).found.tolist() == expected
        assert expected or query == "bad bad"


@pytest.mark.parametrize("loops", [None, compiled])
def test_the_words_of_some_photos_are_found_as_among_all(monkeypatch, loops):
    monkeypatch.setattr(blocks, "FULL", 30)
    symbols = posteriors.Symbols("abcd")
    packed = [[posteriors.pack(random_posterior(20 * photo + word, 8, symbols.count, 4.0)) for word in range(photo % 7)]
              for photo in range(40)]
    photos = [(3 * k + 5, blocks.pack_photo(range(len(page)), page)) for k, page in enumerate(packed)]
    words = scanning.Words(loops=loops).with_more(photos, symbols.count)
    later = posteriors.Symbols("abcde")  # no block knows its last letter
    words = words.with_more([(500, blocks.pack_photo([0], [packed[1][0]]))], later.count)
    asked = [(later.encode(query), prefix, least) for query, prefix, least in (
        ("bad", False, 1e-4), ("b", True, 0.05), ("ca", True, 1e-2), ("bade", False, 1e-8), ("dabda", False, 1e-8),
        ("x", True, 1e-8))]
    for some in ([], [2], [0, 1, 5, 6, 7, 20, 39], range(40)):
        numbers = np.array([3 * k + 5 for k in some], np.int64)
        places = words.on(numbers)
        assert places.tolist() == np.flatnonzero(np.isin(words.photos(np.arange(len(words))), numbers)).tolist()
        answers = list(words.among(places, asked))
        assert len(answers) == len(asked)
        for (which, chances), each in zip(answers, asked):
            all_of_them, theirs = words.score(*each)
            mine = np.isin(all_of_them, places)
            assert which.tolist() == all_of_them[mine].tolist() and chances.tolist() == theirs[mine].tolist()
    assert sum(len(which) for which, _ in answers) > 100


def test_the_best_are_those_of_a_stable_sort():
    draw = random.Random(0)
    for count in 5 * [0, 1, 20, 63, 64, 65, 1000]:
        scores = np.array([draw.choice([0, 0.1, 0.2, 0.5, 0.9, draw.random()]) for _ in range(count)])
        expected = [k for k in sorted(range(count), key=lambda k: -scores[k]) if scores[k]]
        for limit in (1, 5, 30):
            assert _highest(scores, limit).tolist() == expected[:limit]
            assert _nth_highest(scores, limit) == (scores[expected[limit - 1]] if len(expected) >= limit else 0)


def test_a_term_is_scored_once_until_the_index_changes(reader, place, monkeypatch):
    read = []

    def read_hits(seen, term, *days, read_hits=finding.read_hits):
        read.append(term.words[0])
        return read_hits(seen, term, *days)

    monkeypatch.setattr(finding, "read_hits", read_hits)
    save("photos/a.png", "some words")
    index_with(place)
    found, asked = index.open(place), []
    monkeypatch.setattr(finding, "find_hits", lambda *query: asked.append(query) or hits.find_hits(*query))
    for query in ("words", "words", '"words"', "words"):
        count = len(asked)
        assert len(found.find(query)) == 1
    assert read == ["words"] and len(asked) == count > 0  # once answered, it is known
    found.find("words some")
    found.find("some words")
    found.find("words", since="2026-11-30")
    found.find("words", limit=5)
    assert read == ["words", "some", "words"]  # how many are asked for is nothing to what was read
    save("photos/b.png", "other words")
    index_with(place)
    assert len(found.find("words")) == 2


def test_an_index_of_nothing_answers_nothing(place):
    index.open_store(place, create=True)
    found = index.open(place)
    for query in ("words", '"some words" other*'):
        assert found.find(query) == [] and found.find(query, all_words=True) == [] and found.scores(query) == {}


def test_what_is_loaded_is_not_looked_through_for_garbage_again(reader, place):
    save("photos/a.png", "some words")
    index_with(place)
    gc.unfreeze()
    index.open(place, compiled=True).close()
    try:
        assert gc.get_freeze_count() > 10000
    finally:
        gc.unfreeze()


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
