"""Boxes of several words: parted where the reader sees a space and the ink has its gap."""
import numpy as np
import pytest

from photos.parting import part, spaces
from words.alphabet import Alphabet

ALPHABET = Alphabet(" ab")


def path(steps):
    """Log-probabilities, float [T, 4], that are almost sure of a path such as "a-b" of characters, "-" the blank."""
    classes = ["-ab".find(step) + (step != "-") if step != " " else 1 for step in steps]
    chances = np.full((len(steps), 4), 0.01)
    chances[np.arange(len(steps)), classes] = 0.97
    return np.log(chances)


def sheet(*stretches, shape=(40, 300)):
    """Ink, uint8 [H, W], in stretches (first, last) of columns of the rows 10 to 30."""
    ink = np.zeros(shape, np.uint8)
    for first, last in stretches:
        ink[10:30, first:last] = 255
    return ink


BOX = [[50, 10], [250, 10], [250, 30], [50, 30]]


def test_a_box_is_parted_at_the_gap_where_the_space_is():
    # letters at 60 to 100 and 200 to 240, a wide gap between them, and two small ones within the words
    ink = sheet((50, 75), (78, 130), (150, 220), (223, 250))
    left, right = part(BOX, ink, "aa bb", path("a-a--- --b-b"), ALPHABET)
    assert left.tolist() == [[50, 10], [130, 10], [130, 30], [50, 30]]
    assert right.tolist() == [[150, 10], [250, 10], [250, 30], [150, 30]]


def test_two_spaces_part_three_words():
    ink = sheet((50, 100), (120, 170), (190, 250))
    found = part(BOX, ink, "a b a", path("-a- -b- -a-"), ALPHABET)
    assert [(quad[0, 0], quad[1, 0]) for quad in found] == [(50, 100), (120, 170), (190, 250)]


def test_without_a_gap_near_the_space_the_box_stays_whole():
    assert part(BOX, sheet((50, 250)), "aa bb", path("a-a--- --b-b"), ALPHABET) == []
    assert part(BOX, sheet((50, 60), (70, 250)), "aa bb", path("a-a--- --b-b"), ALPHABET) == []


def test_a_turned_box_is_parted_across_its_own_direction():
    turn = np.array([[0, 1], [-1, 0]])  # text that runs downwards
    ink = sheet((50, 130), (150, 250)).T[:, ::-1].copy()
    box = np.array(BOX) @ turn + [40, 0]
    left, right = part(box.tolist(), ink, "a b", path("-a-- --b"), ALPHABET)
    assert left.tolist() == (np.array([[50, 10], [130, 10], [130, 30], [50, 30]]) @ turn + [40, 0]).tolist()
    assert right.tolist() == (np.array([[150, 10], [250, 10], [250, 30], [150, 30]]) @ turn + [40, 0]).tolist()


def test_where_a_space_is():
    # five letters of one width each, the space the third: its middle is at a half
    assert spaces("aa bb", path("a-a- -b-b"), ALPHABET) == pytest.approx([0.5])
    # a, space, b, a: the middles of the letters at steps 0, 2, 4, 6; each is two steps wide
    assert spaces("a ba", path("a- -b-a"), ALPHABET) == pytest.approx([(2 + 1) / 8])


@pytest.mark.parametrize("text, steps", [(" ", "- -"), (" a", " -a"), ("a ", "a- ")])
def test_a_space_beside_a_word_parts_nothing(text, steps):
    assert part(BOX, sheet((50, 100), (150, 250)), text, path(steps), ALPHABET) == []
