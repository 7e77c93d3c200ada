"""Boxes that hold parts of one word, joined where a reader is surer of the whole than of its parts.

    >>> pairs = neighbours(words)                       # [(k, box of words k and k + 1), ...]
    >>> words = joined(words, dict(zip(firsts, wholes)))  # wholes: the Words that are read in these boxes

The page network knows words by their gaps, and takes one for two where its letters stand far apart. The mirror image of
photos/parting.py.
"""
import itertools
import math

import numpy as np

from photos.lines import measure, normal, turning
from photos.page import Word

GAP = 0.4  # heights of the words around: parts of a word stand so near to each other
SURE = 0.8  # of two boxes that are both read more surely each is a word


def neighbours(words: list[Word]) -> list[tuple[int, list[list[float]]]]:
    """(k, box around words k and k + 1) of those in reading order that may be parts of one word.

    They are in a line, have texts, one of them doubtful, and nearly touch. The box: four corners, as `Word.polygon`."""
    if len(words) < 2:
        return []
    polygons, found = np.array([word.polygon for word in words], float), []
    _, along, _, _, size = measure(polygons)
    for k, (left, right) in enumerate(itertools.pairwise(words)):
        if left.line == right.line and left.text and right.text and min(left.confidence, right.confidence) < SURE:
            turn = turning(normal(along[k] + along[k + 1]))
            corners = polygons[k:k + 2] @ turn
            (x, y), (end, bottom) = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
            if corners[1, :, 0].min() - corners[0, :, 0].max() < GAP * max(size[k:k + 2]):
                found.append((k, (np.array([[x, y], [end, y], [end, bottom], [x, bottom]]) @ turn.T).round(1).tolist()))
    return found


def joined(words: list[Word], wholes: dict[int, Word]) -> list[Word]:
    """The words, with words k and k + 1 as one, wholes[k], where its confidence is more than theirs, by the geometric mean,
    and no space is read in it; of two such pairs that share a word the one that gains more."""
    gain = {k: whole.confidence - math.sqrt(words[k].confidence * words[k + 1].confidence)
            for k, whole in wholes.items() if whole.text and " " not in whole.text}
    kept = {}
    for k in sorted(gain, key=gain.get, reverse=True):
        if gain[k] > 0 and not {k - 1, k, k + 1} & kept.keys():
            kept[k] = wholes[k]
    return [kept.get(k, word) for k, word in enumerate(words) if k - 1 not in kept]
