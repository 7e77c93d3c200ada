"""Words' boxes drawn tight around the words' own ink, turned as the words around them are.

    >>> polygons = tighten(polygons, ink)  # float32 [N, 4, 2] in pixels of the ink's map, uint8 [h, w], 255 ink

The network knows where a word is better than where it ends. A piece of ink belongs to the word whose box, a little larger,
holds most of it; a piece that belongs to none, as an underline under three words, is cut at the boxes.
"""
import cv2
import numpy as np

from photos.crops import corners_of, frames_of
from photos.metrics import areas

REACH = 4.0  # words' heights: how far the words around a word tell how it is turned
GROWN = 0.1  # of a word's shorter side: a box is so much larger when ink is sought in it
INK = 90  # of 255: what is ink here
MOST = 0.5  # share of a piece of ink that lies in a word's box, if the piece is the word's
LEAST = 6  # pixels of ink without which a box stays as it is
MOVED = 0.3  # of a word's shorter side: a side moves so far at most


def tighten(polygons, ink, moved=MOVED):
    """Boxes of words, float32 [N, 4, 2], tight around the words' ink, uint8 [h, w]; a side moves by so much at most."""
    if not len(polygons):
        return polygons
    angles = turned_together(polygons)
    along = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    frames = np.stack([along, np.stack([-along[:, 1], along[:, 0]], axis=1)], axis=1)
    _, boxes = frames_of(polygons)
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    middle = (polygons.mean(axis=1)[:, None] * frames).sum(axis=2)
    boxes = np.concatenate([middle - half, middle + half], axis=1)
    word, x, y = own_ink(polygons, ink)
    places = (np.stack([x, y], axis=1)[:, None] * frames[word]).sum(axis=2)
    low, high = np.full((2, len(polygons), 2), np.inf)
    np.minimum.at(low, word, places)
    np.minimum.at(high, word, -places)
    tight = np.concatenate([low - 0.5, 0.5 - high], axis=1)
    inked = np.bincount(word, minlength=len(polygons)) >= LEAST
    reach = moved * 2 * half.min(axis=1)[:, None]
    boxes[inked] = np.clip(tight, boxes - reach, boxes + reach)[inked]
    return corners_of(frames, boxes).astype(np.float32)


def turned_together(polygons):
    """Words' angles, float [N], radians: each that of the words around, the nearer and the longer, the more."""
    frames, boxes = frames_of(polygons)
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    twice = 2 * np.arctan2(frames[:, 0, 1], frames[:, 0, 0])
    sure = np.maximum(width ** 2 - height ** 2, 0) + 0.05 * height ** 2
    vectors = np.stack([np.cos(twice), np.sin(twice)], axis=1) * sure[:, None]
    centres, reach, angles = polygons.mean(axis=1), REACH * np.median(height), []
    for k in range(0, len(centres), 256):  # memory grows with the words, not with their square
        distances = ((centres[k:k + 256, None] - centres[None]) ** 2).sum(axis=2)
        sums = np.exp(-distances / (2 * reach ** 2)) @ vectors
        angles.append(np.arctan2(sums[:, 1], sums[:, 0]) / 2)
    return np.concatenate(angles)


def own_ink(polygons, ink):
    """(word, x, y), int [n] each: the pixels of ink, uint8 [h, w], that are a word's, and whose."""
    mask = (ink >= INK).view(np.uint8)
    y, x = np.nonzero(mask)
    count, pieces = cv2.connectedComponents(mask)
    piece = pieces[y, x]
    del pieces, mask  # four times as large as the ink, as `painted` is
    frames, boxes = frames_of(polygons)
    more = GROWN * (boxes[:, 2:] - boxes[:, :2]).min(axis=1)[:, None]
    corners = np.rint(corners_of(frames, boxes + more * [-1, -1, 1, 1]) * 16).astype(np.int32)
    painted = np.zeros(ink.shape, np.int32)
    for k in np.argsort(-areas(polygons)).tolist():  # small boxes over large ones
        cv2.fillConvexPoly(painted, corners[k], k + 1, shift=4)
    box = painted[y, x]
    pairs, shared = np.unique(piece.astype(np.int64) * (len(polygons) + 1) + box, return_counts=True)
    piece_of, box_of = np.divmod(pairs, len(polygons) + 1)
    most = shared >= MOST * np.bincount(piece, minlength=count)[piece_of]
    owner = np.full(count, -1)
    owner[piece_of[most]] = box_of[most]
    word = np.where(owner[piece] >= 0, owner[piece], box) - 1
    return word[word >= 0], x[word >= 0], y[word >= 0]
