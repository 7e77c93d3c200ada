"""words/alphabet.py: spellings worked by hand, and the steps that texts need against all paths."""
import itertools

import numpy as np
import pytest

from command import UserError
from words.alphabet import Alphabet, steps_needed


def test_named_alphabets():
    assert len(Alphabet("seed")) == 37 and Alphabet("seed").characters == "0123456789abcdefghijklmnopqrstuvwxyz-"
    assert len(Alphabet("ascii")) == 95
    assert all(c.isprintable() and c.isascii() for c in Alphabet("ascii").characters)


@pytest.mark.parametrize("alphabet, text, spelled, outside", [
    ("seed", "Letter", "letter", 0),
    ("seed", "don't", "don-t", 1),  # outside becomes "-", where the alphabet has it
    ("seed", "ça vA?", "ca-va-", 3),  # a letter outside tries its base letter first
    ("seed", "Straße", "strasse", 1), ("seed", "Łódź", "lodz", 3), ("seed", "œuvre", "oeuvre", 1),
    ("seed", "日本1", "--1", 2), ("seed", "m²", "m-", 1),
    ("seed", "cafe\u0301", "cafe", 1), ("é", "e\u0301", "é", 0), ("e\u0301a", "é", "é", 0),  # accents apart or together
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "straße é", "STRASSEE", 2), ("oe", "œ", "oe", 1), ("o", "œ", "", 1),
    ("seed", "co-op", "co-op", 0),
    ("seed", "-", "-", 0),
    ("seed", "?!.", "", 3),  # nothing writable is nothing, not "---"
    ("seed", "", "", 0),
    ("ascii", "Don't é€", "Don't e-", 2),
    ("abc", "ABXcж", "abc", 2),  # no "-" in it: dropped
    ("aBé", "bBÉé", "Bé", 2),  # has a capital, so case is kept
    ("äöü", "ÄÖx", "äö", 1)])
def test_spelling(alphabet, text, spelled, outside):
    assert Alphabet(alphabet).spell(text) == (spelled, outside)


@pytest.mark.parametrize("name", ["seed", "ascii", "zyxé€"])
def test_classes_are_the_characters_places_from_1_and_decode_back(name):
    alphabet = Alphabet(name)
    assert alphabet.encode(alphabet.characters) == list(range(1, len(alphabet) + 1))  # 0 is the blank
    assert alphabet.decode(np.arange(1, len(alphabet) + 1)) == alphabet.characters
    assert alphabet.decode([]) == "" and alphabet.encode("") == []


@pytest.mark.parametrize("characters", ["", "abca"])
def test_an_alphabet_names_each_character_once(characters):
    with pytest.raises(UserError, match="--alphabet"):
        Alphabet(characters)


def collapse(path):
    """The label of a path: repeats merged, blanks (0) removed."""
    return tuple(c for c, _ in itertools.groupby(path) if c)


def test_steps_needed_is_the_length_of_the_shortest_path():
    for steps in range(6):
        writable = {collapse(path) for path in itertools.product(range(3), repeat=steps)}
        for length in range(6):
            for label in itertools.product((1, 2), repeat=length):
                assert (label in writable) == (steps_needed("".join("-ab"[c] for c in label)) <= steps)
