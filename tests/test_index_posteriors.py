"""index/posteriors.py and index/scanning.py: packing, and probabilities against sums over all paths."""
import itertools

import numpy as np
import pytest

from index import posteriors, scanning
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


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("query", ["a", "ab", "aa", "aba", "bb"])
def test_scores_are_sums_over_all_paths(query, prefix):
    for seed in range(8):
        packed = posteriors.pack(random_posterior(seed, 6, AB.count, sharpness=seed / 2))
        log_probs = posteriors.unpack(packed, AB.count)
        score, = posteriors.score([packed], AB.encode(query), AB.count, prefix)
        assert score == pytest.approx(by_enumeration(log_probs, AB.encode(query).tolist(), prefix), rel=1e-9)


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
        assert np.log(score) == pytest.approx(ctc.string_log_probability(np.maximum(log_probs, -60)[np.newaxis], [text])[0],
                                              abs=separators)


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


def test_the_shortcut_finds_what_a_full_scan_finds():
    symbols = Symbols("abcdefghijklmnop")
    packed = [posteriors.pack(random_posterior(seed, 12, symbols.count, 4.0)) for seed in range(3000)]
    words = scanning.Words().with_more([(1, scanning.join([0] * 1000, packed[:1000]))], symbols.count)
    words = words.with_more([(4, scanning.join([7] * 2000, packed[1000:]))], symbols.count)
    assert (words.photos[[0, 999, 1000]].tolist(), words.lines[1000], words.place(1001), words.last) == ([1, 1, 4], 7, 1, 4)
    asked = found = 0
    for seed in range(60):
        text = ctc.greedy(posteriors.unpack(packed[seed], symbols.count).clip(-60)[np.newaxis])[0].classes[:6]
        query = np.array([symbol for symbol in text if symbol != SEPARATOR])
        for prefix in (False, True):
            everywhere = posteriors.score(packed, query, symbols.count, prefix)
            which, chances = words.score(query, prefix, least=1e-6)
            assert chances == pytest.approx(everywhere[which])
            best = np.argsort(-everywhere)[:20]
            best = best[everywhere[best] >= 1e-6]
            asked, found = asked + len(best), found + np.isin(best, which).sum()
    assert found / asked >= 0.999, (found, asked)
    assert words.score(query)[1] == pytest.approx(posteriors.score(packed, query, symbols.count))


@pytest.mark.parametrize("joined", [b"", b"\1", b"\1\0", b"\1\0\0\0\4\0\1\2\0", b"\1\0\0\0\2\0\1\2\0", b"\xff\xff" * 100,
                                    scanning.join([0], [b"\1\x04\0"]), scanning.join([0], [b"\2\2\0"]),
                                    scanning.join([0, 0], [b"\x80", b"\1"]), scanning.join([0], [b"\x80"]) + b"\0"])
def test_bytes_that_are_no_words_are_refused(joined):
    good = scanning.join([0], [b"\1\2\0"])
    assert len(scanning.Words().with_more([(1, good)], AB.count)) == 1
    with pytest.raises(ValueError):
        scanning.Words().with_more([(1, good), (2, joined)], AB.count)


def test_letters_that_come_later_leave_what_is_there():
    words = scanning.Words().with_more([(1, scanning.join([0], [b"\1\2\0"]))], AB.count)
    symbols = Symbols("abc")
    more = words.with_more([(2, scanning.join([0], [b"\1\4\0"]))], symbols.count)
    assert [more.score(symbols.encode(letter), least=0.5)[0].tolist() for letter in "abc"] == [[0], [], [1]]
    assert words.score(symbols.encode("c"), least=0.5)[0].tolist() == []
    with pytest.raises(ValueError, match="66,000 words"):
        scanning.join([0] * 66000, [b""] * 66000)
