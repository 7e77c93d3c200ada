"""Boxes in which the reader sees several words, parted at the spaces between them.

    >>> polygons = part(polygon, ink, "linked list", log_probabilities, reader.alphabet)  # two quads, float [4, 2]

The page network knows words by their gaps, and takes two for one where they stand close together. A reader whose alphabet
has a space knows better. Where it writes one, CTC's best path says about where, and the ink of the box where exactly.
"""
import numpy as np

from photos.cutting import corners, cut, sides
from words import ctc
from words.alphabet import Alphabet

NEAR = 0.5  # heights of the box: the gap of a space is sought so far to both sides of where the path has it
CROSSED = 0.06  # of the height: a column with less ink than this is free


def part(polygon: list[list[float]], ink: np.ndarray, text: str, log_probabilities: np.ndarray,
         alphabet: Alphabet) -> list[np.ndarray]:
    """The quads, float [4, 2] each, of the words in a box, from left to right; [] where they cannot be told apart.

    polygon: the box, four corners in pixels of `ink`, uint8 [H, W], not 0 where ink is; text: what the reader writes of it,
    words with a space between; log_probabilities: float [T, 1 + len(alphabet)], by which it does.
    """
    quad = corners(polygon)
    strokes = None if quad is None else cut(ink, polygon)[0]
    if strokes is None or len(text.split()) < 2:
        return []
    inked = (strokes > 127).mean(axis=0) > CROSSED
    gaps = [gap_near(inked, share, NEAR * sides(quad)[1]) for share in spaces(text, log_probabilities, alphabet)]
    edges = [(0, 0), *gaps, (len(inked), len(inked))]
    if None in gaps or any(left[1] >= right[0] for left, right in zip(edges, edges[1:])):
        return []
    return [between(quad, left[1] / len(inked), right[0] / len(inked)) for left, right in zip(edges, edges[1:])]


def spaces(text, log_probabilities, alphabet):
    """Where the spaces of a text are, as parts of the word's width, by the best path."""
    spans = np.array(ctc.alignment(log_probabilities[None], [alphabet.encode(text)])[0], float)
    middles = spans.mean(axis=1)
    half = (middles[-1] - middles[0]) / (2 * max(len(text) - 1, 1))  # a letter's first half is before the path's step
    return [(middles[k] - middles[0] + half) / (middles[-1] - middles[0] + 2 * half)
            for k, character in enumerate(text) if character == " "]


def gap_near(inked, share, reach):
    """(first free column, first inked one behind it) of the widest gap near a part of the width; None where there is none.

    inked: bool [w], columns with ink; share: 0..1; reach: how far the gap may be, in columns."""
    ends = np.flatnonzero(np.diff(np.concatenate([[True], inked, [True]]).astype(np.int8)))  # of free columns, in pairs
    place, best = share * len(inked), (0, None)
    for first, last in zip(ends[::2].tolist(), ends[1::2].tolist()):
        far = max(first - place, place - last, 0)
        if first > 0 and last < len(inked) and far <= reach:
            best = max(best, ((last - first) * (1 - far / (reach + 1)), (first, last)))
    return best[1]


def between(quad, left, right):
    """The part of a quad, float [4, 2], between two parts of its width."""
    top, bottom = quad[1] - quad[0], quad[2] - quad[3]
    return np.array([quad[0] + left * top, quad[0] + right * top, quad[3] + right * bottom, quad[3] + left * bottom])
