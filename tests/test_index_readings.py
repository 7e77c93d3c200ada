"""index/readings.py: the likeliest reading of each word, against readings that are spelled step by step."""
import itertools

import numpy as np
import pytest

from index import posteriors, readings
from index.posteriors import BLANK, FIRST, LIKELY, SEPARATOR, pack, score
from tests.test_index_posteriors import random_posterior

COUNT = 7


def spread(packed, count=COUNT):
    return posteriors.spread(np.frombuffer(b"".join(packed), np.uint8), np.array(list(map(len, packed)), int), count)


def tokens_of(packed, count):
    """The tokens of a word's likeliest path, and all joined where they are several: lists of symbols."""
    sparse, path = spread([packed], count), {}
    for step, symbol, level in zip(sparse.steps.tolist(), sparse.symbols.tolist(), sparse.levels.tolist()):
        path[step] = min(path.get(step, (255, 255)), (level, symbol))
    text = [symbol for symbol, _ in itertools.groupby(symbol for _, symbol in path.values()) if symbol != BLANK]
    tokens = [list(group) for separator, group in itertools.groupby(text, SEPARATOR.__eq__) if not separator]
    return tokens + [sum(tokens, [])] * (len(tokens) > 1)


def some_words(seed, count):
    return [pack(random_posterior(1000 * seed + k, k % 9, COUNT, sharpness=4.0)) if k % 9 else b"" for k in range(count)]


@pytest.mark.parametrize("prefix", [False, True])
def test_words_are_found_by_their_likeliest_readings(prefix):
    parts = [some_words(seed, count) for seed, count in enumerate((150, 0, 90, 1))]
    made, firsts = [readings.make(spread(packed)) for packed in parts], np.cumsum([0, *map(len, parts)])
    packed = sum(parts, [])
    tokens, found = [tokens_of(word, COUNT) for word in packed], 0
    asked = {tuple(token[:length]) for token in sum(tokens, []) for length in range(1, len(token) + 1)} | {(9,), (2, 2, 2)}
    for query in map(list, sorted(asked)):
        expected = [k for k, there in enumerate(tokens)
                    if any(token[:len(query)] == query if prefix else token == query for token in there)]
        words, chances = readings.find(made, firsts, np.array(query), prefix)
        assert words.tolist() == expected
        if expected and len(query) <= readings.STEM:
            scores = score([packed[k] for k in expected], np.array(query), COUNT, prefix)
            assert chances == pytest.approx(scores, abs=0.01)
        found += len(expected)
    assert found > 250 and any(len(there) > 1 for there in tokens)
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
        return readings.find([made], [0], np.array(text), prefix)[0].tolist()

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
