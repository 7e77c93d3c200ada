"""Faces: what each can write, which are held out, and their ink.

    >>> fonts = Fonts(FONTS)
    >>> fonts.pick(rng, "train", "board").draw("word", 40, rng)
"""
import csv
import math
import string
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from command import UserError
from render.chances import cumulative, pick
from render.options import SPLITS
from render.shapes import dot, trim

FONT_SUFFIXES = {".woff2", ".woff", ".ttf", ".otf"}
ASCII = string.ascii_letters + string.digits + string.punctuation
HELD_OUT_FAMILY = 15  # without a manifest that says so, one family in so many is held out
HANDS = {"scene": 1.0, "paper": 10.0, "board": 20.0}  # how much likelier a handwriting face is than another
EVEN_STROKES = 0.2  # the unevenness of strokes up to which a face looks as if written by a marker
SIZES = (28, 44, 68)  # px at which fonts are drawn, before the warp fits them
JUMPY = 0.5  # of the words on boards: letters a little out of line and too near or too far
SPACED, SPACES = 0.18, (-0.08, 0.25)  # of print and of all signs; the space between letters is changed by so many em


class Face:
    """A font in several sizes.

    hand: handwriting, in ALL CAPS on signs and by markers alone; missing: what it cannot write; unevenness: of its strokes,
    the deviation of their thickness as a part of the mean: below 0.2 where a pen with a round tip wrote them.
    """

    def __init__(self, path, family=None, split=None, hand=False, caps_only=False, missing=None, unevenness=None):
        self.path, self.split, self.hand, self.caps_only = path, split, hand, caps_only
        self.fonts, self.drawn = {}, {}
        self.family = family or self.at(SIZES[1]).getname()[0] or path.stem
        _, top, _, bottom = self.at(SIZES[1]).getbbox("x")  # a broken file is found out here
        self.x_height = max((bottom - top) / SIZES[1], 0.15)  # in em
        self.unevenness = float(unevenness or self._unevenness())
        self.missing = frozenset(c for c in ASCII if not self.has(c)) if missing is None else frozenset(missing)

    def at(self, size):
        if size not in self.fonts:
            self.fonts[size] = ImageFont.truetype(str(self.path), size)
        return self.fonts[size]

    def has(self, character):
        """Whether the face draws a character as anything but its sign for "no such glyph"."""
        if character not in self.drawn:
            font = self.at(SIZES[1])
            self.drawn[character] = bytes(font.getmask(character)) != bytes(font.getmask("\uffff"))
        return self.drawn[character]

    def _draw_letters(self, text, size, steps, lines):
        """Ink uint8 [H, W] of a text letter by letter; steps: px more to the next letter; lines: px down, of each letter."""
        font, pen = self.at(size), 0
        places = [pen := pen + font.getlength(c) + step for c, step in zip(text, steps)]
        page = Image.new("L", (int(max(places)) + 4 * size, 5 * size))  # room for swashes; `trim` takes the rest
        pencil = ImageDraw.Draw(page)
        for c, x, y in zip(text, [0, *places], lines):
            pencil.text((x + 1.5 * size, size + y), c, fill=255, font=font)
        return trim(np.asarray(page))

    def _unevenness(self):
        mask = self.at(SIZES[2]).getmask("handoes")
        ink = np.asarray(mask, np.uint8).reshape(mask.size[::-1])
        depth = cv2.distanceTransform(np.uint8(np.pad(ink, 2) > 127), cv2.DIST_L2, 5)
        middle = depth[(depth >= cv2.dilate(depth, dot(3, 3)) - 1e-3) & (depth > 0.9)]  # along the middle of the strokes
        return round(float(middle.std() / middle.mean()), 2) if middle.size else 1.0

    def writes(self, text):
        return not self.missing.intersection(text) and all(c in ASCII or self.has(c) for c in text)

    def suited(self, text, capitals=False):
        """The text in a case that becomes the face; `capitals`: a hand may write in all capitals."""
        if self.caps_only:
            return text.upper()
        if self.hand and not capitals and sum(c.isupper() for c in text) > 1:  # joined scripts look odd in them
            return text[:1] + text[1:].lower() if text.isupper() and text.isalpha() else text.lower()
        return text

    def draw(self, text, height, rng, style):
        """Ink uint8 [H, W] (255: full) of a text, or None, drawn at the size in SIZES that is next above `height` px;
        and how high an "x" is in it, in px. On a sign even a hand's letters may stand apart, on a board out of line."""
        size = next((s for s in SIZES if s >= height * 1.1), SIZES[-1])
        font, x_height = self.at(size), self.x_height * size
        if style == "board" and rng.random() < JUMPY:
            lines, steps = rng.normal(0, (0.03, 0.03), (len(text), 2)).T * size
            return self._draw_letters(text, size, steps, lines), x_height
        if (style == "scene" or not self.hand) and rng.random() < SPACED:
            return self._draw_letters(text, size, [size * rng.uniform(*SPACES)] * len(text), [0] * len(text)), x_height
        left, top, right, bottom = font.getbbox(text)
        if right <= left or bottom <= top:
            return None, x_height
        page = Image.new("L", (math.ceil(right - left) + 2, math.ceil(bottom - top) + 2))
        ImageDraw.Draw(page).text((1 - left, 1 - top), text, fill=255, font=font)
        return trim(np.asarray(page)), x_height


class Fonts:
    """The faces of a folder of woff2, woff, ttf or otf files, by split, held-out families apart.

    manifest.csv beside them may say of each `file`: family, group (handwriting or other), caps_only (1 if so),
    missing (the characters it lacks), split (train, valid or test), unevenness (see Face). Without it all this is found out
    or assumed.
    A broken file is named on stderr and left out; UserError if nothing is left.
    """

    def __init__(self, folder):
        faces = load_faces(Path(folder))
        hold_out(faces)
        if empty := [split for split in SPLITS if not any(face.split == split for face in faces)]:
            print(f"--fonts {folder}: no face is kept for {', '.join(empty)}; all faces are used there", file=sys.stderr)
        self.faces = {split: [face for face in faces if face.split == split] or faces for split in SPLITS}
        self.weights = {(split, style): np.array([weight(face, style) for face in chosen])
                        for split, chosen in self.faces.items() for style in HANDS}
        self.chances = {key: cumulative(weights) for key, weights in self.weights.items()}
        self.common = {split: frozenset(ASCII).difference(*(face.missing for face in chosen))  # what all of them write
                       for split, chosen in self.faces.items()}
        self._writing = {}

    def pick(self, rng, split, style, text=""):
        """A random face of a split that can write a text; None if none can."""
        rare = set(text) - self.common[split]
        if not rare:
            return self.faces[split][pick(rng, self.chances[split, style])]
        able = self.weights[split, style] * self._able(split, rare)
        return self.faces[split][pick(rng, cumulative(able))] if able.any() else None

    def can_write(self, split, text):
        """Whether a face of a split can write a text."""
        rare = set(text) - self.common[split]
        return not rare or bool(self._able(split, rare).any())

    def _able(self, split, characters):
        """bool [faces]: which faces of a split write all of these characters."""
        for c in characters:
            if (split, c) not in self._writing:
                self._writing[split, c] = np.array([face.writes(c) for face in self.faces[split]])
        return np.all([self._writing[split, c] for c in characters], axis=0)


def weight(face, style):
    """How likely a face is in a style, beside others. On boards those of even strokes are, as markers leave them."""
    likely = HANDS[style] if face.hand else 1.0
    return likely * (0.005 + math.exp(-(face.unevenness / EVEN_STROKES) ** 2)) if style == "board" else likely


def load_faces(folder):
    """The faces of a folder in the order of their names."""
    if not folder.is_dir():
        raise UserError(f"--fonts {folder}: no such folder")
    manifest = {}
    if (folder / "manifest.csv").is_file():
        try:
            with open(folder / "manifest.csv", encoding="utf-8-sig", newline="") as file:
                manifest = {row["file"]: row for row in csv.DictReader(file) if row.get("file")}
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{folder / 'manifest.csv'}: {error}; save it as plain CSV in UTF-8") from None
    faces = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in FONT_SUFFIXES):
        row = manifest.get(path.name, {})
        try:
            faces.append(Face(path, row.get("family"), row.get("split"), row.get("group") == "handwriting",
                              row.get("caps_only") == "1", row.get("missing"), row.get("unevenness")))
        except Exception as error:  # FreeType's complaints come in several classes
            print(f"{path}: left out, not a readable font ({error})", file=sys.stderr)
    if not faces:
        raise UserError(f"--fonts {folder}: holds no readable woff2, woff, ttf or otf file")
    return faces


def hold_out(faces):
    """Gives every face that has none a split: one family in 15, by hash, is held out; two at least if there are three."""
    unknown = sorted({face.family for face in faces if face.split not in SPLITS}, key=lambda name: zlib.crc32(name.encode()))
    held = unknown[:max(2, len(unknown) // HELD_OUT_FAMILY)] if len(unknown) > 2 else []
    for face in faces:
        if face.split not in SPLITS:
            face.split = SPLITS[1 + held.index(face.family) % 2] if face.family in held else "train"
