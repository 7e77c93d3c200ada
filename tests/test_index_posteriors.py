"""index/posteriors.py, blocks.py and scanning.py: packing, and probabilities against sums over all paths."""
import itertools

import numpy as np
import pytest

from index import blocks, compiled, posteriors, readings, scanning
from index.posteriors import BLANK, SEPARATOR, Symbols
from words import ctc

AB = Symbols("ab")  # symbols 2 and 3


def random_posterior(seed, steps, count, sharpness=3.0):
    weights = np.exp(sharpness * np.random.default_rng(seed).normal(size=(steps, count)))
    return weights / weights.sum(axis=1, keepdims=True)


def spelled(path):
    """The text of a path, as symbols: equal neighbours merged, then blanks left out."""
    return [symbol for symbol, _ in itertools.groupby(path) if symbol != BLANK]


def occurrences(text, query, prefix):
    """How often a query stands in a text: over whole tokens or, with prefix, from the beginning of one on."""
    groups = itertools.groupby(text, lambda symbol: symbol == SEPARATOR)
    tokens = [list(group) for separator, group in groups if not separator]
    count = 0
    for first in range(len(tokens)):
        behind = [sum(tokens[first:last], []) for last in range(first + 1, len(tokens) + 1)]
        count += behind[-1][:len(query)] == query if prefix else query in behind
    return count


def by_enumeration(log_probs, query, prefix):
    """The expected number of occurrences over all paths, at most 1."""
    steps, count = log_probs.shape
    total = sum(np.exp(log_probs[range(steps), path].sum()) * occurrences(spelled(path), query, prefix)
                for path in itertools.product(range(count), repeat=steps))
    return min(1.0, total)


def by_forward(posterior, symbols, prefix):
    blank, separator, *letters = posterior.T[[BLANK, SEPARATOR, *symbols], :, np.newaxis]
    return posteriors.forward(blank, separator, np.array(letters), np.append(False, np.diff(symbols) == 0), prefix)


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("query", ["a", "ab", "aa", "aba", "bb"])
def test_scores_are_sums_over_all_paths(query, prefix):
    symbols = AB.encode(query)
    for seed in range(8):
        posterior = random_posterior(seed, 6, AB.count, sharpness=seed / 2)
        score, = by_forward(posterior, symbols, prefix)
        assert score == pytest.approx(by_enumeration(np.log(posterior), symbols.tolist(), prefix), rel=1e-9)
        packed = posteriors.pack(posterior)
        expected = by_forward(np.exp(posteriors.unpack(packed, AB.count)), symbols, prefix)
        assert posteriors.score([packed], symbols, AB.count, prefix) == pytest.approx(expected, rel=0.05)  # for rounding


def test_a_word_without_separators_has_the_ctc_probability():
    symbols = Symbols("abcdefghij")
    for seed in range(20):
        posterior = random_posterior(seed, 30, symbols.count)
        posterior[::3] = np.eye(symbols.count)[BLANK]  # certain blanks, as between letters
        posterior[:, SEPARATOR] = 0
        packed = posteriors.pack(posterior / posterior.sum(axis=1, keepdims=True))
        log_probs = posteriors.unpack(packed, symbols.count)
        text = ctc.greedy(np.maximum(log_probs, -60)[np.newaxis])[0].classes
        score, = posteriors.score([packed], np.array(text), symbols.count)
        separators = 30 * posteriors.FLOOR * 10  # what a floor's worth of separators may add
        expected = ctc.string_log_probability(np.maximum(log_probs, -60)[np.newaxis], [text])[0]
        assert np.log(score) == pytest.approx(expected, abs=separators + 0.1)  # and rounding


def test_packing_keeps_steps_and_probabilities():
    symbols = Symbols("abcdefghijklmnopqrstuvwxyz")
    posterior = random_posterior(1, 300, symbols.count, sharpness=6)
    posterior[20:200] = np.eye(symbols.count)[BLANK]
    unpacked = np.exp(posteriors.unpack(posteriors.pack(posterior), symbols.count))
    assert unpacked.shape == posterior.shape
    assert unpacked.sum(axis=1) == pytest.approx(np.ones(300))
    likely = posterior > 0.05
    assert unpacked[likely] == pytest.approx(posterior[likely], rel=0.08)
    assert unpacked[~likely].max() < 0.06
    assert len(posteriors.pack(posterior[20:200])) == 2


@pytest.mark.parametrize("prefix", [False, True])
def test_compiled_scores_are_those_of_numpy(prefix):
    packed = [posteriors.pack(random_posterior(seed, seed % 12, AB.count)) for seed in range(50)] + [b""]
    words = [scanning.Words(loops=loops).with_more([(1, blocks.pack_photo([0] * 51, packed))], AB.count)
             for loops in (None, compiled)]
    for text in ("a", "b", "ab", "aa", "abba", "bbb"):
        plain, fast = (each.score(AB.encode(text), prefix)[1] for each in words)
        assert plain.max() > 1e-3 and fast == pytest.approx(plain, rel=1e-12)
        for least in (0.5, 1e-3):
            which, others = (each.possible([(AB.encode(text), prefix)], least) for each in words)
            assert which.tolist() == others.tolist()
        (which, chances), (others, theirs) = (each.read(AB.encode(text), prefix) for each in words)
        assert which.tolist() == others.tolist() and chances.tolist() == theirs.tolist()
        assert set(which) >= set(np.flatnonzero(plain > readings.LEAST + 0.001))


def test_several_words_are_scored_apart():
    packed = [posteriors.pack(random_posterior(seed, 9, AB.count)) for seed in range(5)] + [b""]
    query = AB.encode("ab")
    alone = [posteriors.score([word], query, AB.count)[0] for word in packed]
    assert posteriors.score(packed, query, AB.count).tolist() == alone
    assert posteriors.score(packed, AB.encode("az"), AB.count).tolist() == [0.0] * 6
    assert posteriors.score(packed, AB.encode(""), AB.count).tolist() == [0.0] * 6
    assert posteriors.score([], query, AB.count).tolist() == []


def test_classes_become_letters_without_case_marks_and_apostrophes():
    symbols = Symbols("ea")
    classes = symbols.learn("aAé-'ßx")
    assert symbols.letters == "easx"
    assert classes.tolist() == [BLANK, 3, 3, 2, SEPARATOR, BLANK, 4, 5]
    posterior = symbols.posterior(np.log(np.full((1, 8), 1 / 8)), classes)
    assert posterior[0] == pytest.approx([2 / 8, 1 / 8, 1 / 8, 2 / 8, 1 / 8, 1 / 8])
    with pytest.raises(ValueError, match="254"):
        Symbols().learn(map(chr, range(0x4E00, 0x4E00 + 300)))


def likely(which, chances, least):
    return which[chances >= least].tolist()


def a_thousand_and_two(loops=None):
    """(3,000 packed posteriors, their Symbols, the Words of two photos with them)."""
    symbols = Symbols("abcdefghijklmnop")
    packed = [posteriors.pack(random_posterior(seed, 12, symbols.count, 4.0)) for seed in range(3000)]
    words = scanning.Words(loops=loops).with_more([(1, blocks.pack_photo([0] * 1000, packed[:1000]))], symbols.count)
    return packed, symbols, words.with_more([(4, blocks.pack_photo([7] * 2000, packed[1000:]))], symbols.count)


@pytest.mark.slow
@pytest.mark.parametrize("loops", [None, compiled])
def test_the_shortcut_finds_what_a_full_scan_finds(monkeypatch, loops):
    monkeypatch.setattr(scanning, "ROWS", 3)  # of six letters, some are added up where the others leave them possible
    packed, symbols, words = a_thousand_and_two(loops)
    some = np.array([0, 999, 1000])
    assert (words.photos(some).tolist(), words.lines(some).tolist()) == ([1, 1, 4], [0, 0, 7])
    assert (words.place(1001), words.place(999), words.last, len(words)) == (1, 999, 4, 3000)
    scored = 0
    for seed in range(60):
        text = ctc.greedy(posteriors.unpack(packed[seed], symbols.count).clip(-60)[np.newaxis])[0].classes[:6]
        query = np.array([symbol for symbol in text if symbol != SEPARATOR])
        for prefix in (False, True):
            everywhere = posteriors.score(packed, query, symbols.count, prefix)
            for least in (1e-2, 1e-6):
                which, chances = words.score(query, prefix, least)
                assert chances == pytest.approx(everywhere[which])
                assert likely(which, chances, least) == np.flatnonzero(everywhere >= least).tolist()
            scored += len(words.possible([(query, prefix)], 1e-2))
    assert scored < 0.3 * 60 * 2 * 3000
    assert words.score(query)[1] == pytest.approx(posteriors.score(packed, query, symbols.count))


@pytest.mark.parametrize("loops", [None, compiled])
@pytest.mark.parametrize("rows", [2, 8])
def test_no_words_side_by_side_that_may_be_queries_are_missed(monkeypatch, loops, rows):
    monkeypatch.setattr(scanning, "ROWS", rows)
    monkeypatch.setattr(blocks, "FULL", 7000)
    symbols, rng = Symbols("abcdefgh"), np.random.default_rng(0)
    kinds = [posteriors.pack(random_posterior(seed, 8, symbols.count, 4.0)) for seed in range(60)]
    sizes = np.array([1, 7000, 2, 5000, 1])  # of photos: blocks of 7,001 words and 5,002 and 1, gone through by 4,096
    mine = rng.integers(len(kinds), size=sizes.sum() + 1)
    photos = [(k + 1, blocks.pack_photo([0] * size, [kinds[kind] for kind in mine[end - size:end]]))
              for k, (size, end) in enumerate(zip(sizes, np.cumsum(sizes)))]
    later = Symbols("abcdefghi")  # no block but the last knows its last letter
    words = scanning.Words(loops=loops).with_more(photos, symbols.count)
    words = words.with_more([(9, blocks.pack_photo([0], [kinds[mine[-1]]]))], later.count)
    together, found = words.photos(np.arange(len(words))), 0
    for text in ("b", "bad", "a*", "had bed", "ab c*", "ace bed fa", "i", "bi ha"):
        queries = [(later.encode(word.strip("*")), word.endswith("*")) for word in text.split()]
        firsts, chances = np.arange(len(words) - len(queries) + 1), 1.0
        for k, (query, prefix) in enumerate(queries):
            chances = chances * posteriors.score(kinds, query, later.count, prefix)[mine[firsts + k]]
        chances[together[firsts] != together[firsts + len(queries) - 1]] = 0
        for least in (1e-2, 1e-8):
            which = words.possible(queries, least)
            assert (np.diff(which) > 0).all() and set(which) >= set(np.flatnonzero(chances >= least))
            assert len(which) < 0.5 * len(words) or text not in ("bad", "had bed", "ace bed fa") or least == 1e-8
            found += len(which)
    assert found > 1000


@pytest.mark.parametrize("joined", [b"", b"\1", b"\1\0", b"\1\0\0\0\4\0\1\2\0", b"\1\0\0\0\2\0\1\2\0", b"\xff\xff" * 100,
                                    blocks.pack_photo([0], [b"\1\x04\0"]), blocks.pack_photo([0], [b"\2\2\0"]),
                                    blocks.pack_photo([0, 0], [b"\x80", b"\1"]), blocks.pack_photo([0], [b"\x80"]) + b"\0",
                                    blocks.pack_photo([0], [b"\1\2\0" * 256])])
def test_bytes_that_are_no_words_are_refused(joined):
    good = blocks.pack_photo([0], [b"\1\2\0"])
    assert len(scanning.Words().with_more([(1, good)], AB.count)) == 1
    with pytest.raises(ValueError):
        scanning.Words().with_more([(1, good), (2, joined)], AB.count)


@pytest.mark.parametrize("loops", [None, compiled])
def test_letters_that_come_later_leave_what_is_there(monkeypatch, loops):
    words = scanning.Words(loops=loops).with_more([(1, blocks.pack_photo([0], [b"\1\2\0"]))], AB.count)
    symbols = Symbols("abc")
    for full in (65536, 1):  # in one block, and in several
        monkeypatch.setattr(blocks, "FULL", full)
        more = words.with_more([(2, blocks.pack_photo([0], [b"\1\4\0"]))], symbols.count)
        assert [likely(*more.score(symbols.encode(letter), least=0.5), 0.5) for letter in "abc"] == [[0], [], [1]]
    assert words.score(symbols.encode("c"), least=0.5)[0].tolist() == []


def test_words_that_are_too_many_or_too_long_are_refused():
    with pytest.raises(ValueError, match="66,000 words"):
        blocks.pack_photo([0] * 66000, [b""] * 66000)
    with pytest.raises(ValueError, match="300 steps"):
        posteriors.pack(random_posterior(0, 300, AB.count))


# --- Blocks in files --------------------------------------------------------------------------------------------

class FakeStore:
    """Photos with some words each, as a store has them; `blocks` is the folder for its words' arrays."""
    letters = "ab"

    def __init__(self, folder, seed=0):
        self.blocks, self.seed, self.numbers = folder, seed, []

    def add(self, *numbers):
        self.numbers += numbers

    def posteriors(self, after=0):
        for number in self.numbers:
            if number > after:
                seeds = (100 * number + k + self.seed for k in range(number % 3))
                packed = [posteriors.pack(random_posterior(seed, 6, AB.count)) for seed in seeds]
                yield number, blocks.pack_photo(range(len(packed)), packed)


def all_words(store):
    """What a search finds with the files that there are, and, without any, from the store alone."""
    query, found = AB.encode("ab"), []
    for parts in (blocks.kept(store), []):
        words = scanning.Words(parts)
        words = words.with_more(store.posteriors(words.last), AB.count)
        everything = np.arange(len(words))
        found.append((words.photos(everything).tolist(), words.lines(everything).tolist(), words.score(query)[1].tolist(),
                      [words.place(word) for word in everything], *(part.tolist() for part in words.read(query))))
    return found


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "FULL", 7)
    monkeypatch.setattr(blocks, "AT_ONCE", 2)
    return FakeStore(tmp_path / "blocks")


def test_blocks_are_kept_and_go_on(store):
    for number in range(1, 40):
        store.add(number)
        if number % 5 == 0:
            blocks.keep(store)
            assert len(blocks.kept(store)) == len(list(store.blocks.iterdir()))
        with_files, without = all_words(store)
        assert with_files == without
    assert len(blocks.kept(store)) > 3 and blocks.kept(store)[-1].last > 30


def test_blocks_of_another_index_are_none(store):
    store.add(*range(1, 40))
    blocks.keep(store)
    assert blocks.kept(store)[-1].last > 30
    other = FakeStore(store.blocks, seed=7)  # made anew, with other photos
    other.add(*range(1, 20))
    assert blocks.kept(other) == []
    with_files, without = all_words(other)
    assert with_files == without
    blocks.keep(other)
    assert blocks.kept(other)[-1].last > 15 and len(blocks.kept(other)) == len(list(store.blocks.iterdir()))
    older = FakeStore(store.blocks, seed=7)  # its copy of an earlier day
    older.add(*range(1, 10))
    with_files, without = all_words(older)
    assert with_files == without


def test_damaged_blocks_are_none(store):
    store.add(*range(1, 40))
    blocks.keep(store)
    paths = sorted(store.blocks.iterdir())
    whole = paths[1].read_bytes()
    for content in (b"", b"x", whole[:-1], whole + b"x", b"CRNNBLK0" + whole[8:], whole[:8] + b"\xff" * 40 + whole[48:]):
        paths[1].write_bytes(content)
        assert len(blocks.kept(store)) == 1
        with_files, without = all_words(store)
        assert with_files == without
    paths[1].unlink()
    assert len(blocks.kept(store)) == 1
    blocks.keep(store)
    assert len(blocks.kept(store)) == len(paths)


def test_blocks_that_cannot_be_written_are_an_error_with_a_name(store):
    store.add(*range(1, 40))
    store.blocks.write_text("no folder")
    with pytest.raises(OSError) as caught:
        blocks.keep(store)
    assert str(store.blocks) in str(caught.value.filename)
    store.blocks = None  # a store without a folder for them
    blocks.keep(store)
    assert blocks.kept(store) == []


def test_a_loop_is_compiled_once(tmp_path):
    store = FakeStore(tmp_path / "blocks")
    store.add(*range(1, 40))
    words = [scanning.Words(loops=compiled).with_more(store.posteriors(), AB.count)]
    words.append(scanning.Words([blocks.save(block, tmp_path / "block") for block in words[0]._blocks], AB.count, compiled))
    for text in ("a", "ab", "abba"):
        for prefix in (False, True):
            for each in words:
                each.score(AB.encode(text), prefix, 1e-6)
                list(each.among(np.arange(30), [(AB.encode(text), prefix, 1e-6)]))
    for loop in (compiled._bounds, compiled._read, compiled._possible, compiled._add_costs, compiled._score):
        assert len(loop.signatures) == 1
    assert len(compiled._score_block.signatures) <= 1  # only loops ask for it: none where they come from the disk, compiled
