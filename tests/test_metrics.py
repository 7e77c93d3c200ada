"""words/metrics.py against cases worked by hand and the textbook's edit distance."""
import math

import numpy as np
import pytest

from words.metrics import calibration, has_doubled, letters_and_digits, score


def test_score_worked_by_hand():
    assert score(["letter", "bok", "", "dog"], ["letter", "book", "a", "dig"]) == pytest.approx({
        "words": 4, "mean_edit_distance": 3 / 4, "normalised_edit_distance": (0 + 1 / 4 + 1 + 1 / 3) / 4, "cer": 3 / 14,
        "word_accuracy": 1 / 4, "doubled_words": 2, "doubled_mean_edit_distance": 1 / 2,  # of letter and book
        "doubled_normalised_edit_distance": 1 / 8, "doubled_cer": 1 / 10, "doubled_word_accuracy": 1 / 2})
    assert score(["xyz"], [""])["normalised_edit_distance"] == 3
    with pytest.raises(ValueError):
        score(["a"], ["a", "b"])


def test_score_of_no_words_is_not_a_number():
    nothing = score([], [])
    assert nothing.pop("words") == nothing.pop("doubled_words") == 0 and all(math.isnan(v) for v in nothing.values())
    assert math.isnan(score(["a"], ["a"])["doubled_word_accuracy"])


def test_edit_distance_is_levenshteins():
    def distance(a, b):  # Wagner, Fischer 1974
        row = list(range(len(b) + 1))
        for i, x in enumerate(a, 1):
            row, above = [i], row
            for j, y in enumerate(b, 1):
                row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y)))
        return row[-1]

    rng = np.random.default_rng(0)
    pairs = [["".join(rng.choice(list("abc"), rng.integers(1, 9))) for _ in range(2)] for _ in range(200)]
    assert [score([a], [b])["mean_edit_distance"] for a, b in pairs] == [distance(a, b) for a, b in pairs]


@pytest.mark.parametrize("text, kept", [("Don't", "dont"), ("R2-D2", "r2d2"), ("É à la carte", "éàlacarte"),
                                        ("O.K. 42!", "ok42"), ("e\u0301t", "ét"), ("\u0915\u093f!", "\u0915\u093f"),
                                        ("\u2764\ufe0f", "")])
def test_letters_and_digits(text, kept):
    assert letters_and_digits(text) == kept


@pytest.mark.parametrize("text, doubled", [("letter", True), ("aab", True), ("abab", False), ("a", False), ("", False)])
def test_has_doubled(text, doubled):
    assert has_doubled(text) is doubled


def test_calibration_by_hand():
    # bins of a quarter: 0.1, 0.2 (one right of two), 0.6 (right), 0.9, 1.0 (one of two)
    error, rows = calibration([0.1, 0.2, 0.6, 0.9, 1.0], [True, False, True, True, False], bins=4)
    assert rows == [(2, pytest.approx(0.15), 0.5), (1, 0.6, 1.0), (2, pytest.approx(0.95), 0.5)]
    assert error == pytest.approx((2 * 0.35 + 1 * 0.4 + 2 * 0.45) / 5)
    assert calibration([0.5] * 4, [True, False] * 2)[0] == 0
    assert np.isnan(calibration([], [])[0])


def test_a_wrong_vowel_sign_is_an_error():
    assert score(*[[letters_and_digits(text)] for text in ("\u0915\u093f", "\u0915\u0940")])["word_accuracy"] == 0  # ki, kii
