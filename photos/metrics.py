"""How well words' boxes and ink were found: precision, recall and F1.

    >>> hits, found, true = match(found, true, ignored, 0.5)
"""
import cv2
import numpy as np


def match(found, true, ignored=(), least=0.5):
    """(words found rightly, words found, words there) of one page.

    found, true, ignored: polygons float32 [N, 4, 2]. A word is found rightly if the boxes' intersection over union is
    `least` or more; each box counts once, the best pairs first. A found box that fits no word and lies by half of its area
    or more in the regions `ignored` does not count.
    """
    overlaps = intersections(found, true)
    union = areas(found)[:, None] + areas(true)[None] - overlaps
    quality = overlaps / np.maximum(union, 1e-6)
    used, hit = np.zeros(len(true), bool), np.zeros(len(found), bool)
    for i, j in zip(*(order.tolist() for order in np.unravel_index(np.argsort(-quality, axis=None), quality.shape))):
        if quality[i, j] < least:
            break
        if not hit[i] and not used[j]:
            hit[i] = used[j] = True
    foreign = intersections(found, np.asarray(ignored, np.float32).reshape(-1, 4, 2)).sum(axis=1) >= 0.5 * areas(found)
    return int(hit.sum()), int((hit | ~foreign).sum()), len(true)


def areas(polygons):
    """float32 [N] of polygons [N, 4, 2]."""
    x, y = np.moveaxis(polygons, 2, 0)
    return np.abs((x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1)) / 2


def intersections(some, others):
    """Areas float32 [N, M] that each of the convex polygons [N, 4, 2] shares with each of [M, 4, 2]."""
    shared = np.zeros((len(some), len(others)), np.float32)
    if not shared.size:
        return shared
    apart = np.any((some.min(axis=1)[:, None] >= others.max(axis=1)[None])
                   | (some.max(axis=1)[:, None] <= others.min(axis=1)[None]), axis=2)
    some, others = (np.ascontiguousarray(polygons, np.float32) for polygons in (some, others))  # as OpenCV wants each
    for i, j in zip(*np.nonzero(~apart)):
        shared[i, j] = cv2.intersectConvexConvex(some[i], others[j])[0]
    return shared


def f1(hits, found, true):
    """{"precision", "recall", "f1"} of counts."""
    return {"precision": hits / max(found, 1), "recall": hits / max(true, 1), "f1": 2 * hits / max(found + true, 1)}
