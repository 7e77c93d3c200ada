"""The words of a set by their number: each depends on the set's random state and its number alone.

    for jpeg, text, split, style, source in drawn(Drawer(renderer, 0, fractions.Fraction(1, 50)), 0, 1000, workers=2):
        ...
"""
import collections
import contextlib
import fractions
import math

import cv2
import numpy as np

import processes
from words.sheets import contact_sheet

TASK = 50  # words that a process draws at a time
QUALITY = 92  # of the JPEGs

# valid: a Fraction, what part of the words is for validation, and as much for the test
Drawer = collections.namedtuple("Drawer", "renderer random_state valid")


def split_of(k, part):
    """The split of word k: of n words, n * part are for validation and as many for the test, evenly spread."""
    if math.floor((k + 1) * part) > math.floor(k * part):
        return "valid"
    half = fractions.Fraction(1, 2)
    return "test" if math.floor((k + 1) * part + half) > math.floor(k * part + half) else "train"


def draw(drawer, numbers):
    """[(JPEG bytes, text, split, style, source)] of the words with these numbers."""
    words = []
    for k in numbers:
        split = split_of(k, drawer.valid)
        word = drawer.renderer.word(np.random.default_rng((drawer.random_state, k)), split)
        _, jpeg = cv2.imencode(".jpg", word.image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        words.append((jpeg.tobytes(), word.text, split, word.style, word.source))
    return words


def drawn(drawer, first, number, workers):
    """The words from `first` to `number`, in order, as `draw` gives them; `workers` processes draw ahead."""
    tasks = [range(k, min(k + TASK, number)) for k in range(first, number, TASK)]
    with contextlib.closing(processes.Ahead(lambda k: draw(drawer, tasks[k]), len(tasks), workers)) as ahead:
        for k in range(len(tasks)):
            yield from ahead[k]


def sheet(renderer, random_state):
    """A picture, uint8 [H, W], of the first 100 words, ten in a row, each with its label beneath."""
    words = (renderer.word(np.random.default_rng((random_state, k))) for k in range(100))
    return contact_sheet((([word.image], word.text) for word in words), columns=10, largest=(196, 70))
