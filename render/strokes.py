"""Words as pen movements: how they are kept, varied and drawn.

    >>> strokes = Strokes("strokes.npz")
    >>> draw_strokes(vary(strokes.strokes_of(strokes.pick(rng, "train")), rng), 40, rng)
"""
import math
import zipfile

import cv2
import numpy as np

from command import UserError
from render.chances import cumulative, pick
from render.shapes import MAX_WIDTH, trim
from render.texts import drawable

X_HEIGHT = 128  # units of the strokes file: the height of an "x"
MIN_QUALITY = 30  # strokes of a lower quality are often not what their label says
PENS = {"paper": (0.11, 0.45), "board": (0.26, 0.45)}  # the width in heights of an "x": its median, and its log's deviation
HELD_OUT = 20  # writers of strokes, the last by number: half of them for validation, half for the test


class Strokes:
    """Words as pen movements, from an npz file of these arrays (no pickles):

    points: int16 [N, 2], (dx, dy) from point to point; each word's first row is absolute, so the running sum over a
    word's rows gives its points. Unit: 1/128 of the height of an "x"; x from the word's left, y down from the baseline.
    stroke_ends: int32 [S], end (exclusive) of each stroke in points; a stroke of one point is a dot.
    word_ends: int32 [W], end (exclusive) of each word in strokes.
    text_blob: uint8, the words' texts one after the other in UTF-8; text_ends: int32 [W], end of each in bytes.
    writer: int [W], a number a writer; the last 20 are held out, by turns for validation and test.
    quality: uint8 [W], 0 to 100, how sure it is that the strokes are the text; words below 30 are left out.
    iam_text: uint8 [W], 0 unless the text is among those to be kept from training; words with another value are left out.
    """

    def __init__(self, path):
        names = ("points", "stroke_ends", "word_ends", "text_blob", "text_ends", "writer", "quality", "iam_text")
        try:
            with np.load(path, allow_pickle=False) as file:
                data = {name: file[name] for name in names}
            self.points, self.stroke_ends = data["points"], data["stroke_ends"]
            self.word_ends = np.concatenate([[0], data["word_ends"]])
            text_ends, blob = np.concatenate([[0], data["text_ends"]]), data["text_blob"].tobytes()
            self.texts = [blob[a:b].decode() for a, b in zip(text_ends, text_ends[1:])]
            self.writers = data["writer"]
            ends = (len(self.points), len(self.stroke_ends), len(blob), *[len(self.texts)] * 3)
            if ends != (self.stroke_ends[-1], self.word_ends[-1], text_ends[-1], len(self.word_ends) - 1,
                        len(self.writers), len(data["quality"])):
                raise ValueError
            used = (data["quality"] >= MIN_QUALITY) & (data["iam_text"] == 0) & np.array([drawable(t) for t in self.texts])
        except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
            fault = getattr(error, "strerror", None) or "not a strokes file, or a damaged one"
            raise UserError(f"--strokes {path}: {fault}; IAM_OnDB_preprocessing.py makes one") from None
        held = np.unique(self.writers)[-HELD_OUT:]
        split_of = {"train": used & ~np.isin(self.writers, held), "valid": used & np.isin(self.writers, held[::2]),
                    "test": used & np.isin(self.writers, held[1::2])}
        self.words = {split: np.flatnonzero(chosen) for split, chosen in split_of.items()}
        if not all(map(len, self.words.values())):
            raise UserError(f"--strokes {path}: needs words of quality {MIN_QUALITY} or more by more than "
                                  f"{HELD_OUT} writers")
        self.chances = {split: self._chances(words) for split, words in self.words.items()}

    def _chances(self, words):
        _, which, counts = np.unique(np.array(self.texts)[words], return_inverse=True, return_counts=True)
        return cumulative(counts[which] ** -0.5)  # else every twelfth word would be "the"

    def pick(self, rng, split):
        """The index of a random word of a split."""
        return self.words[split][pick(rng, self.chances[split])]

    def strokes_of(self, word):
        """The strokes of a word: a list of float32 [n, 2] arrays in units, x to the right, y down."""
        first, last = self.word_ends[word], self.word_ends[word + 1]
        start = self.stroke_ends[first - 1] if first else 0
        ends = self.stroke_ends[first:last] - start
        points = np.cumsum(self.points[start:start + ends[-1]], axis=0, dtype=np.float32)
        return np.split(points, ends[:-1])


def smooth(strokes):
    """One more point between each two, on the cubic curve through their neighbours."""
    for points in strokes:
        if len(points) < 3:
            yield points
            continue
        padded = np.concatenate([points[:1], points, points[-1:]])
        out = np.empty((2 * len(points) - 1, 2), np.float32)
        out[::2] = points
        out[1::2] = (9 * (padded[1:-2] + padded[2:-1]) - padded[:-3] - padded[3:]) / 16
        yield out


def vary(strokes, rng):
    """Strokes, float32 [n, 2] each in units, as another hand might write them: with rounder or wider bends, ascenders and
    descenders longer or shorter, and letters that are narrower, wider, smaller and larger along the word."""
    bend = np.clip(rng.normal(0, 0.5), -1, 0.9)
    x, y = np.concatenate([rounded(stroke, bend) for stroke in strokes]).T
    up, down = np.exp(rng.normal(0, 0.25, 2))
    y = np.where(y < -X_HEIGHT, (y + X_HEIGHT) * up - X_HEIGHT, np.where(y > 0, y * down, y))
    knots = np.arange(x.min(), x.max() + X_HEIGHT, X_HEIGHT)  # about one a letter
    widths, heights = np.exp(rng.normal(0, 1, (2, len(knots))) * [[0.2], [0.1]])
    places = np.cumsum(widths * X_HEIGHT)
    varied = np.stack([np.interp(x, knots, places), y * np.interp(x, knots, heights)], axis=1).astype(np.float32)
    return np.split(varied, np.cumsum([len(stroke) for stroke in strokes])[:-1])


def rounded(stroke, much):
    """Points float32 [n, 2] drawn towards the mean of their neighbours by `much`, or away from it where that is negative."""
    if len(stroke) < 4:
        return stroke
    mean = cv2.GaussianBlur(stroke, (1, 7), sigmaX=1.5, sigmaY=1.5, borderType=cv2.BORDER_REPLICATE)
    return stroke + np.float32(much) * (mean - stroke)


def draw_strokes(strokes, height, rng, style="paper"):
    """Ink uint8 [H, W] (255: full), about `height` px high, of strokes in units, as a pen of random width and uneven
    pressure draws them, or None; and how high an "x" is in it, in px."""
    ends = np.cumsum([len(stroke) for stroke in strokes])
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    wide, tall = high - low + 8
    scale = min(height / tall, height / (0.9 * X_HEIGHT), MAX_WIDTH / wide)
    middle, deviation = PENS[style]
    pen = float(np.clip(scale * X_HEIGHT * np.exp(rng.normal(math.log(middle), deviation)), 1.2, 0.2 * height))  # px
    uneven = rng.uniform(0.05, 0.3)
    points = (points - low) * (2 * scale) + (2 * pen + 2)  # drawn at twice the size
    width, height = np.ceil((high - low) * (2 * scale) + 4 * pen + 4).astype(int)
    ink = np.zeros((height + height % 2, width + width % 2), np.uint8)
    for stroke in smooth(np.split(points, ends[:-1])):
        knots = rng.normal(0, uneven, 2 + len(stroke) // 12)
        pressure = 1 + np.interp(np.linspace(0, len(knots) - 1, len(stroke)), np.arange(len(knots)), knots)
        widths = np.clip(np.rint(2 * pen * pressure), 1, 24).astype(int)
        shades = np.clip(255 * (0.6 + 0.4 * pressure), 120, 255)
        fixed = np.rint(stroke * 16).astype(np.int32)
        if len(stroke) == 1:
            cv2.circle(ink, fixed[0], int(16 * max(pen * pressure[0], 1)), 255, -1, cv2.LINE_AA, 4)
            continue
        starts = np.concatenate([[0], np.flatnonzero(np.diff(widths)) + 1, [len(stroke)]])
        for a, b in zip(starts, starts[1:]):
            cv2.polylines(ink, [fixed[max(a - 1, 0):b]], False, shades[a], int(widths[a]), cv2.LINE_AA, 4)
    return trim(cv2.resize(ink, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)), scale * X_HEIGHT
