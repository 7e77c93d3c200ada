"""Boxes of parts of a word: joined where the reader is surer of the whole."""
import numpy as np
import pytest

from photos.joining import joined, neighbours
from photos.page import Word

TURN = np.array([[0.8, -0.6], [0.6, 0.8]])  # by 36.9 degrees


def word(left, right, text="ab", sure=0.5, line=0):
    return Word([[left, 100], [right, 100], [right, 120], [left, 120]], text, sure, line=line)


def test_neighbours_nearly_touch_in_a_line():
    # heights of 20: gaps of 6 px are parts of a word, of 10 px not
    words = [word(0, 40), word(46, 90), word(100, 150), word(156, 200, line=1)]
    assert neighbours(words) == [(0, [[0, 100], [90, 100], [90, 120], [0, 120]])]
    assert neighbours(words[:1]) == neighbours([]) == []


@pytest.mark.parametrize("one, other, number", [
    (word(0, 40, sure=0.9), word(46, 90, sure=0.85), 0), (word(0, 40, sure=0.9), word(46, 90, sure=0.75), 1),
    (word(0, 40, ""), word(46, 90), 0)])
def test_two_sure_words_and_boxes_without_text_are_no_parts(one, other, number):
    assert len(neighbours([one, other])) == number


def test_the_box_around_turned_parts_is_turned_as_they_are():
    words = [word(0, 40), word(46, 90)]
    for part in words:
        part.polygon = (np.array(part.polygon) @ TURN.T).tolist()
    [(_, box)] = neighbours(words)
    assert np.array(box) @ TURN == pytest.approx(np.array([[0, 100], [90, 100], [90, 120], [0, 120]]), abs=0.2)


def test_parts_are_joined_where_the_whole_is_read_more_surely():
    words = [word(0, 40, sure=0.4), word(46, 90, sure=0.9)]  # the geometric mean is 0.6
    for sure, texts in ((0.59, ["ab", "ab"]), (0.61, ["abab"])):
        assert [found.text for found in joined(words, {0: word(0, 90, "abab", sure)})] == texts
    assert joined(words, {0: word(0, 90, "ab ab", 0.99)}) == joined(words, {0: word(0, 90, "", 0.99)}) == words
    assert joined(words, {}) == words


def test_of_two_pairs_that_share_a_word_the_better_one_is_joined():
    words = [word(0, 40, "a"), word(46, 90, "b"), word(96, 140, "c"), word(200, 240, "d"), word(246, 290, "e")]
    found = joined(words, {0: word(0, 90, "ab", 0.6), 1: word(46, 140, "bc", 0.7), 3: word(200, 290, "de", 0.6)})
    assert [word.text for word in found] == ["a", "bc", "de"]
