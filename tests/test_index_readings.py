"""index/readings.py: what each word may well be read as, against the scores of all texts that are as likely."""
import functools

import numpy as np
import pytest

from index import posteriors, readings
from index.posteriors import FIRST, LIKELY, pack, score
from tests.test_index_posteriors import random_posterior

COUNT = 7


def spread(packed, count=COUNT):
    return posteriors.spread(np.frombuffer(b"".join(packed), np.uint8), np.array(list(map(len, packed)), int), count)


def texts_of(packed, count=COUNT):
    """{text: how likely it stands in each of some words, and begins one there}, two float64 [n], of those that are as likely
    as readings.LEAST, but for a little, in one of them. Each letter is tried behind each beginning."""
    texts, behind = {}, [()]
    for beginning in behind:
        for letter in range(FIRST, count):
            query = *beginning, letter
            begun = score(packed, np.array(query), count, prefix=True)
            if begun.max() >= readings.LEAST - 0.001:
                behind.append(query)
                texts[query] = score(packed, np.array(query), count), begun
    return texts


def some_words(seed, count):
    return [pack(random_posterior(1000 * seed + k, k % 9, COUNT, sharpness=4.0)) if k % 9 else b"" for k in range(count)]


@pytest.mark.parametrize("prefix", [False, True])
def test_words_are_found_by_all_that_they_may_well_be(prefix):
    parts = [some_words(seed, count) for seed, count in enumerate((150, 0, 90, 1))]
    made, firsts = [readings.make(spread(packed)) for packed in parts], np.cumsum([0, *map(len, parts)])
    packed = sum(parts, [])
    texts, found = texts_of(packed), 0
    for query, there in [*texts.items(), ((9,), np.zeros((2, 241))), ((2,) * 4, np.zeros((2, 241)))]:
        words, chances = readings.find(functools.partial(readings.read, made, firsts), np.array(query), prefix)
        if len(query) <= readings.STEM or not prefix:
            expected, begun = there[int(prefix)], there[1]
            assert (np.diff(words) > 0).all() and chances == pytest.approx(expected[words], abs=0.01)
            assert set(words) >= set(np.flatnonzero(expected > readings.LEAST + 0.001))
            others = words[expected[words] < readings.LEAST - 0.001]  # likely beginnings, but by no one letter more
            assert not len(others) or not prefix and begun[others].min() > readings.LEAST - 0.001
            longer = [more for text, (_, more) in texts.items() if text[:-1] == query]
            assert all((more[others] < readings.LEAST + 0.001).all() for more in longer)
            found += len(words)
    assert found > 500
    whole = readings.make(spread(packed))
    for mine, theirs in zip(readings.join(made, list(map(len, parts))), whole):
        assert mine.tolist() == theirs.tolist()


def test_letters_are_told_apart_and_long_tokens_cut():
    count, length = 256, readings.LETTERS
    texts = [[255] * 3, [200, 2], [200], [254, 255], [2] * length, [*range(2, 2 + length)], [*range(2, 12 + length)]]
    packed = []
    for text in texts:
        steps = np.full((2 * len(text), count), 1e-4)
        steps[range(2 * len(text)), np.stack([text, np.zeros(len(text), int)], axis=1).ravel()] = 0.9
        packed.append(pack(steps / steps.sum(axis=1, keepdims=True)))
    made = readings.make(spread(packed, count))

    def find(text, prefix=False):
        return readings.find(functools.partial(readings.read, [made], [0]), np.array(text), prefix)[0].tolist()

    assert [find(text) for text in texts[:4]] == [[0], [1], [2], [3]] and find([-1]) == find([]) == find([254]) == []
    assert [find([symbol], True) for symbol in (255, 200, 254, 2)] == [[0], [1, 2], [3], [4, 5, 6]]
    assert find(texts[5][:-1]) == find(texts[5]) == find(texts[6]) == []  # who asks for as many letters looks at all words
    assert find(texts[5][:-1], True) == [5, 6]
    assert (made.tokens[1:] > made.tokens[:-1]).all() and FIRST == 2


def test_what_is_kept_of_a_chance():
    packed = [pack(random_posterior(seed, 5, COUNT, sharpness=4.0)) for seed in range(200)]
    made = readings.make(spread(packed))
    for token, first, end in zip(made.tokens, made.starts, made.starts[1:]):
        query, words = np.frombuffer(token, np.uint8).astype(np.int64), [packed[k] for k in made.words[first:end]]
        assert LIKELY[made.levels[0, first:end]] == pytest.approx(score(words, query, COUNT), abs=0.01)
        for length in range(1, min(len(query), readings.STEM) + 1):
            begun = score(words, query[:length], COUNT, prefix=True)
            assert LIKELY[made.levels[length, first:end]] == pytest.approx(begun, abs=0.01)
