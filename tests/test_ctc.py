"""ctc.py against cases worked by hand, all paths enumerated, and TensorFlow's own decoder."""
import itertools

import numpy as np
import pytest

import ctc

LETTERS = "-abcdefghijklmnopqrstuvwxyz"  # "-" stands for the blank, class 0


def logits_of(*paths, margin=5.0):
    """float [B, T, C]: logits whose best class at each step is the one that the path, a str, names."""
    return margin * np.eye(len(LETTERS))[[[LETTERS.index(c) for c in path] for path in paths]]


def texts(logits):
    return ["".join(LETTERS[c] for c in classes) for classes, _ in ctc.greedy(logits)]


def random_logits(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 2, shape)


@pytest.mark.parametrize("path, text", [
    ("l-e-t-t-er", "letter"), ("-llet-tteerr-", "letter"), ("bo-ok", "book"), ("b-oo--oook-", "book"),
    ("a-az-z", "aazz"), ("aa-aaazz-zz", "aazz"),
    ("letter", "leter"), ("-leettteer-", "leter"), ("book", "bok"), ("aazz", "az"),  # no blank between: one letter
    ("abab", "abab"), ("--a", "a"), ("a--", "a"), ("----", "")])
def test_repeats_merge_unless_a_blank_stands_between(path, text):
    assert texts(logits_of(path)) == [text]


def test_words_of_a_batch_do_not_touch_each_other():
    paths = ["a-a", "aab", "b--", "---", "bba"]
    assert texts(logits_of(*paths)) == ["aa", "ab", "b", "", "ba"]


def test_docstring_example():
    logits = np.log([[[.1, .8, .1], [.9, .05, .05], [.2, .7, .1], [.1, .1, .8]]])
    [(classes, confidence)] = ctc.greedy(logits)
    assert classes == [1, 1, 2] and all(type(c) is int for c in classes)
    assert confidence == pytest.approx(.8 * .9 * .7 * .8) and type(confidence) is float


def test_smallest_inputs():
    assert ctc.greedy(np.log([[[.25, .75]]])) == [([1], pytest.approx(.75))]  # T = 1
    assert ctc.greedy(np.log([[[.75, .25]]])) == [([], pytest.approx(.75))]
    assert ctc.greedy(np.zeros((2, 3, 1))) == [([], 1.0)] * 2  # nothing but the blank
    assert ctc.greedy(np.zeros((2, 0, 5))) == [([], 1.0)] * 2  # T = 0
    assert ctc.greedy(np.zeros((0, 4, 5))) == []


def test_confidence_is_the_probability_of_the_likeliest_path():
    logits = random_logits(6, 4, 3)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    for word, (classes, confidence) in zip(probabilities, ctc.greedy(logits)):
        likelihood = {path: np.prod([step[c] for step, c in zip(word, path)])
                      for path in itertools.product(range(3), repeat=4)}
        best = max(likelihood, key=likelihood.get)
        assert classes == [c for c, _ in itertools.groupby(best) if c]
        assert confidence == pytest.approx(likelihood[best])


def test_logits_and_log_probabilities_give_the_same():
    logits = random_logits(5, 7, 4)
    expected = [(classes, pytest.approx(confidence)) for classes, confidence in ctc.greedy(logits)]
    assert ctc.greedy(ctc.log_softmax(logits)) == expected
    assert ctc.greedy(logits + random_logits(5, 7, 1, seed=1)) == expected  # a constant more at a step says nothing


def test_log_softmax_is_exact_and_does_not_overflow():
    np.testing.assert_allclose(np.exp(ctc.log_softmax(np.log([[1., 3.], [2., 2.]]))), [[.25, .75], [.5, .5]])
    assert ctc.greedy(1e4 * logits_of("a-a")) == [([1, 1], 1.0)]
    assert ctc.greedy((logits_of("a-a")).astype(np.float32))[0][1] == pytest.approx(
        (np.exp(5) / (np.exp(5) + len(LETTERS) - 1)) ** 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_not_finite_are_named_by_word_and_step(value):
    logits = random_logits(3, 5, 4)
    logits[1, 3, 2] = value
    with pytest.raises(ValueError, match=r"word 1\b.*step 3\b"):
        ctc.greedy(logits)


@pytest.mark.parametrize("shape", [(), (3,), (4, 3), (2, 4, 0), (1, 2, 4, 3)])
def test_another_shape_is_refused_and_named(shape):
    with pytest.raises(ValueError) as refusal:
        ctc.greedy(np.zeros(shape))
    assert str(shape) in str(refusal.value)


def test_the_same_as_tensorflow():
    tf = pytest.importorskip("tensorflow")
    log_probabilities = ctc.log_softmax(random_logits(200, 12, 4)).astype(np.float32)
    decoded, negative = tf.nn.ctc_greedy_decoder(log_probabilities.swapaxes(0, 1), [12] * 200, merge_repeated=True,
                                                 blank_index=0)
    rows = tf.sparse.to_dense(decoded[0], default_value=-1).numpy()
    theirs = [(row[row >= 0].tolist(), pytest.approx(np.exp(-total[0]), rel=1e-4))
              for row, total in zip(rows, negative.numpy())]
    assert ctc.greedy(log_probabilities) == theirs
    assert any(a == b for classes, _ in theirs for a, b in zip(classes, classes[1:]))  # doubled ones among them
