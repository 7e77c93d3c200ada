"""Draws labelled images of single words, as a camera or a scanner sees them: what make_words.py writes to a folder.

    >>> import numpy as np, render
    >>> renderer = render.Renderer(styles={"scene": 1, "paper": 2, "board": 1})
    >>> word = renderer.word(np.random.default_rng((0, 7)))  # word 7 of the set with random_state 0
    >>> word.text, word.style, word.source, word.image.shape

A word goes through this file from top to bottom: a text (`Texts`), its ink from a font or a pen (`Fonts`, `Strokes`,
`vary`), one warp of the ink (`warp`), a crop (`crop`), then paper, light and ink of a style (`paint_scene`, `paint_paper`,
`paint_board`), and at last what a camera does to it (`degrade`).

All images are grey, for grey is all that the network reads. Ink is float32 [H, W], 0 none, 1 full; pages are float32
[H, W] in grey levels 0 to 255; finished words are uint8 [H, W].
"""
import collections
import csv
import functools
import math
import string
import sys
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from command import UserError
from words.lexicon import read_counts

FONTS = Path(__file__).parent / "fonts"
LEXICON = Path(__file__).parent / "lexicons" / "en.txt"
FONT_SUFFIXES = {".woff2", ".woff", ".ttf", ".otf"}
ASCII = string.ascii_letters + string.digits + string.punctuation
SPLITS = ("train", "valid", "test")

X_HEIGHT = 128  # units of the strokes file: the height of an "x"
MIN_QUALITY = 30  # strokes of a lower quality are often not what their label says
VARIED = 0.5  # of the training words from strokes
HELD_OUT = 20  # writers of strokes, the last by number: half of them for validation, half for the test
HELD_OUT_FAMILY = 15  # without a manifest that says so, one family in so many is held out
HANDS = {"scene": 1.0, "paper": 10.0, "board": 12.0}  # how much likelier a handwriting face is than another

MAX_LENGTH = 24  # characters; longer ones are too small to read in 32 px
HEIGHTS = {"scene": (18, 42), "paper": (24, 54), "board": (24, 54)}  # px of the ink
MAX_HEIGHT, MIN_HEIGHT, MAX_WIDTH = 70, 24, 420  # px of the image
SIZES = (28, 44, 68)  # px at which fonts are drawn, before the warp fits them
MIN_GAP = 14  # grey levels between ink and paper where a scene is painted
MIN_X_HEIGHT = 7.5  # px of a letter such as "x", where a word has small letters
READABLE = {"scene": 8, "paper": 26, "board": 26}  # grey levels between ink and paper in each part of a finished word
UNDERLINED = 0.07  # of the signs
SPACED, SPACES = 0.18, (-0.08, 0.25)  # of print and of all signs; the space between letters is changed by so many em
BENT, BEND, MOST_BENT = 0.25, 0.8, 2.4  # of the signs; radians of a circle that a word spans: deviation, and at most
FAT = 0.06  # of the signs: strokes up to a tenth of the height thicker, so that small holes close
TRIES = 100  # texts for a face, and faces for a word, before it is given up

Word = collections.namedtuple("Word", "image text style source")


def pick(rng, chances):
    """A random index into cumulative chances."""
    return min(int(np.searchsorted(chances, rng.random(), side="right")), len(chances) - 1)


def cumulative(weights):
    """Cumulative chances, float64, of weights."""
    weights = np.asarray(weights, float)
    return np.cumsum(weights / weights.sum())


# --- Texts ----------------------------------------------------------------------------------------------------

KINDS = ("word", "number", "code", "acronym", "letters")
KIND_CHANCES = cumulative([0.83, 0.09, 0.03, 0.03, 0.02])
CASES = {"scene": (0.26, 0.50), "paper": (0.70, 0.92), "board": (0.62, 0.82)}  # up to here small, up to here Capitalised
EVEN = {"scene": 0.5, "paper": 0, "board": 0}  # how often a word is taken without regard to its count: names, rare words
POSSESSIVE = 0.1  # how much rarer than their count "word's" are: word lists hold more of them than texts
PUNCTUATED = {"scene": 0.04, "paper": 0.12, "board": 0.10}
MARKS, MARK_CHANCES = ("{}.", "{},", "{}:", "{};", "{}!", "{}?", "'{}'", '"{}"', "({})", "-{}", "*{}"), cumulative(
    [28, 26, 8, 4, 6, 6, 4, 6, 5, 3, 1])


class Texts:
    """What is written: words of a word list by damped frequency, numbers, dates, times, money, acronyms, codes.

    The list has a word a line, its count after it if known; lines that begin with "# " are remarks. UserError if it
    cannot be read or holds no word that can be drawn: 1 to 24 letters, digits and ASCII marks.
    """

    def __init__(self, path):
        try:
            words, counts = read_counts(path)
        except OSError as error:
            raise UserError(f"--lexicon {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UserError(f"--lexicon {path}: not a text in UTF-8") from None
        except ValueError as error:
            raise UserError(f"--lexicon {path}: {error}") from None
        kept = [k for k, word in enumerate(words) if drawable(word)]
        if not kept:
            raise UserError(f"--lexicon {path}: holds no word of 1 to {MAX_LENGTH} letters and digits")
        self.words = [words[k] for k in kept]
        rarer = np.array([POSSESSIVE if word.endswith("'s") else 1 for word in self.words])
        self.even = cumulative(rarer)
        self.chances = cumulative(rarer * np.sqrt([counts[k] for k in kept]))  # frequent words come often, rare ones too

    def draw(self, rng, style):
        """A random text, its case and punctuation as common in a style."""
        kind = KINDS[pick(rng, KIND_CHANCES)]
        if kind == "number":
            return random_number(rng)
        if kind == "code":
            return "".join(random_letters(rng, 1, string.ascii_uppercase + string.digits + "-" * (k % 3 == 2))
                           for k in range(rng.integers(3, 9))).strip("-")
        if kind == "acronym":
            return random_letters(rng, rng.integers(2, 6), string.ascii_uppercase)
        chances = self.even if rng.random() < EVEN[style] else self.chances
        text = random_letters(rng, rng.integers(1, 11)) if kind == "letters" else self.words[pick(rng, chances)]
        small, capitalised = CASES[style]
        case = rng.random()
        text = text if case < small else text[:1].upper() + text[1:] if case < capitalised else text.upper()
        if kind == "word" and rng.random() < 0.02:
            text += "-" + self.words[pick(rng, self.chances)]
        return MARKS[pick(rng, MARK_CHANCES)].format(text) if rng.random() < PUNCTUATED[style] else text


def drawable(text):
    """Whether a text can be drawn: not too long, of letters, digits and ASCII marks, and not of marks alone."""
    return (len(text) <= MAX_LENGTH and any(c.isalnum() for c in text)
            and all(c.isalnum() or c in string.punctuation for c in text))


def random_letters(rng, count, letters=string.ascii_lowercase):
    return "".join(letters[k] for k in rng.integers(0, len(letters), count))


def random_number(rng):
    """A number, date, time, price, share or measure: 1984, 12/5/21, 12:30, $4.50, 3.5%, 25kg."""
    n, hour, minute, day, month = (int(rng.integers(low, high)) for low, high in
                                   ((0, 10 ** int(rng.integers(1, 6))), (0, 24), (0, 60), (1, 32), (1, 13)))
    year = int(rng.integers(1900, 2035))
    forms = (f"{n}", f"{n}", f"{n}", f"{year}", f"{year}", f"{hour}:{minute:02}", f"{day}/{month}/{year % 100:02}",
             f"{day}.{month}.{year}", f"{year}-{month:02}-{day:02}", f"{n / 10:.1f}%", f"{minute}%", f"${n}",
             f"${n / 100:.2f}", f"{n:,}", f"{n}.", f"({day})", f"{hour}am", f"{hour}-{hour + month}", f"#{day}",
             f"{day}{'st' if day in (1, 21, 31) else 'nd' if day in (2, 22) else 'rd' if day in (3, 23) else 'th'}",
             f"{n}{('kg', 'km', 'cm', 'ml', 'm', 'g', 'h', 'k', 'x')[minute % 9]}", f"+{n}", f"{day}/{month}")
    return forms[rng.integers(len(forms))]


# --- Fonts ----------------------------------------------------------------------------------------------------

class Face:
    """A font in several sizes: `hand`: handwriting, in ALL CAPS on signs alone; `missing`: what it cannot write."""

    def __init__(self, path, family=None, split=None, hand=False, caps_only=False, missing=None):
        self.path, self.split, self.hand, self.caps_only = path, split, hand, caps_only
        self.fonts = {}
        self.family = family or self.at(SIZES[1]).getname()[0] or path.stem
        _, top, _, bottom = self.at(SIZES[1]).getbbox("x")  # a broken file is found out here
        self.x_height = max((bottom - top) / SIZES[1], 0.15)  # in em
        self.missing = frozenset(c for c in ASCII if not self.has(c)) if missing is None else frozenset(missing)

    def at(self, size):
        if size not in self.fonts:
            self.fonts[size] = ImageFont.truetype(str(self.path), size)
        return self.fonts[size]

    @functools.lru_cache(maxsize=None)
    def has(self, character):
        """Whether the face draws a character as anything but its sign for "no such glyph"."""
        font = self.at(SIZES[1])
        return bytes(font.getmask(character)) != bytes(font.getmask("\uffff"))

    def writes(self, text):
        return not self.missing.intersection(text) and all(c in ASCII or self.has(c) for c in text)

    def suited(self, text, capitals=False):
        """The text in a case that becomes the face; `capitals`: a hand may write in all capitals."""
        if self.caps_only:
            return text.upper()
        if self.hand and not capitals and sum(c.isupper() for c in text) > 1:  # joined scripts look odd in them
            return text[:1] + text[1:].lower() if text.isupper() and text.isalpha() else text.lower()
        return text

    def draw(self, text, height, rng, sign=False):
        """Ink uint8 [H, W] (255: full) of a text, or None, drawn at the size in SIZES that is next above `height` px;
        and how high an "x" is in it, in px. On a sign even a hand's letters may stand apart."""
        size = next((s for s in SIZES if s >= height * 1.1), SIZES[-1])
        font, x_height = self.at(size), self.x_height * size
        if (sign or not self.hand) and rng.random() < SPACED:
            pen, step = 0, size * rng.uniform(*SPACES)
            places = [pen := pen + font.getlength(c) + step for c in text]
            page = Image.new("L", (int(places[-1]) + 4 * size, 5 * size))  # room for swashes; `trim` takes the rest
            pencil = ImageDraw.Draw(page)
            for c, x in zip(text, [0, *places]):
                pencil.text((x + 1.5 * size, size), c, fill=255, font=font)
            return trim(np.asarray(page)), x_height
        left, top, right, bottom = font.getbbox(text)
        if right <= left or bottom <= top:
            return None, x_height
        page = Image.new("L", (math.ceil(right - left) + 2, math.ceil(bottom - top) + 2))
        ImageDraw.Draw(page).text((1 - left, 1 - top), text, fill=255, font=font)
        return trim(np.asarray(page)), x_height


class Fonts:
    """The faces of a folder of woff2, woff, ttf or otf files, by split, held-out families apart.

    manifest.csv beside them may say of each `file`: family, group (handwriting or other), caps_only (1 if so),
    missing (the characters it lacks), split (train, valid or test). Without it all this is found out or assumed.
    A broken file is named on stderr and left out; UserError if nothing is left.
    """

    def __init__(self, folder):
        faces = load_faces(Path(folder))
        hold_out(faces)
        if empty := [split for split in SPLITS if not any(face.split == split for face in faces)]:
            print(f"--fonts {folder}: no face is kept for {', '.join(empty)}; all faces are used there", file=sys.stderr)
        self.faces = {split: [face for face in faces if face.split == split] or faces for split in SPLITS}
        self.chances = {(split, style): cumulative([HANDS[style] if face.hand else 1.0 for face in chosen])
                        for split, chosen in self.faces.items() for style in HANDS}

    def draw(self, rng, split, style):
        """A random face of a split."""
        return self.faces[split][pick(rng, self.chances[split, style])]


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
                              row.get("caps_only") == "1", row.get("missing")))
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


# --- Pen strokes ----------------------------------------------------------------------------------------------

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
                raise ValueError("its arrays do not fit together")
            used = (data["quality"] >= MIN_QUALITY) & (data["iam_text"] == 0) & np.array([drawable(t) for t in self.texts])
        except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"--strokes {path}: not a readable strokes file ({error})") from None
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

    def draw(self, rng, split):
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


def draw_strokes(strokes, height, rng):
    """Ink uint8 [H, W] (255: full), about `height` px high, of strokes in units, as a pen of random width and uneven
    pressure draws them, or None; and how high an "x" is in it, in px."""
    ends = np.cumsum([len(stroke) for stroke in strokes])
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    wide, tall = high - low + 8
    scale = min(height / tall, height / (0.9 * X_HEIGHT), MAX_WIDTH / wide)
    pen = float(np.clip(scale * X_HEIGHT * np.exp(rng.normal(math.log(0.11), 0.45)), 1.2, 5.0))  # px
    uneven = rng.uniform(0.05, 0.3)
    points = (points - low) * (2 * scale) + (2 * pen + 2)  # drawn at twice the size
    width, height = np.ceil((high - low) * (2 * scale) + 4 * pen + 4).astype(int)
    ink = np.zeros((height + height % 2, width + width % 2), np.uint8)
    for stroke in smooth(np.split(points, ends[:-1])):
        knots = rng.normal(0, uneven, 2 + len(stroke) // 12)
        pressure = 1 + np.interp(np.linspace(0, len(knots) - 1, len(stroke)), np.arange(len(knots)), knots)
        widths = np.clip(np.rint(2 * pen * pressure), 1, 12).astype(int)
        shades = np.clip(255 * (0.6 + 0.4 * pressure), 120, 255)
        fixed = np.rint(stroke * 16).astype(np.int32)
        if len(stroke) == 1:
            cv2.circle(ink, fixed[0], int(16 * max(pen * pressure[0], 1)), 255, -1, cv2.LINE_AA, 4)
            continue
        starts = np.concatenate([[0], np.flatnonzero(np.diff(widths)) + 1, [len(stroke)]])
        for a, b in zip(starts, starts[1:]):
            cv2.polylines(ink, [fixed[max(a - 1, 0):b]], False, shades[a], int(widths[a]), cv2.LINE_AA, 4)
    return trim(cv2.resize(ink, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)), scale * X_HEIGHT


# --- Shape ----------------------------------------------------------------------------------------------------

def trim(ink):
    """The part of uint8 [H, W] that holds ink; None if there is none."""
    x, y, width, height = cv2.boundingRect((ink > 40).view(np.uint8))
    return ink[y:y + height, x:x + width] if width and height else None


@functools.lru_cache(maxsize=None)
def dot(width, height):
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, height))


def warp(ink, height, style, rng):
    """(ink float32 [H, W] in 0..1, trimmed, or None; its scale) of ink uint8, its letters made `height` px high, less where a
    word is very wide: slant, rotation, stretch, perspective, elastic waves and, on some signs, a baseline that is an arc of a
    circle, in one remap."""
    tall, wide = ink.shape
    loose = style != "scene"  # hands wave more than signs, which stand on curves and come in all widths
    slant, turn = rng.normal(0, 0.16), rng.normal(0, 0.03 if loose else 0.08)
    stretch = math.exp(rng.normal(0, 0.12 if loose else 0.2))
    scale = min(height / tall, MAX_WIDTH / (wide * stretch))
    cos, sin = math.cos(turn) * scale, math.sin(turn) * scale
    tilt = rng.normal(0, 0.05 if loose else 0.13, 2)  # of perspective
    bend = 0.0 if loose or rng.random() > BENT else float(np.clip(rng.normal(0, BEND), -MOST_BENT, MOST_BENT))
    if not 0.01 < abs(bend) < wide / tall:  # none to be seen, or letters' feet, or heads, of less than half their width
        bend = 0.0
    reach, sag = wide / 2, 0.0  # of the word from its middle to the side, and of its arc downwards or upwards
    if bend:
        radius = abs(wide / bend)
        reach = max(reach, (radius + tall / 2) * math.sin(abs(bend) / 2))  # the outer corners of the last letters
        sag = radius * (1 - math.cos(bend / 2))
    tilt /= max(wide, 2 * tall), 2 * tall + 4 * sag
    forward = np.array([[cos * stretch, cos * slant - sin, 0], [sin * stretch, sin * slant + cos, 0], [*tilt, 1]])
    wave_size, wave_length = tall * rng.normal(0, (0.035, 0.03) if loose else (0.01, 0.01)), tall * rng.uniform(1.2, 4, 2)
    phase = rng.uniform(0, 2 * math.pi, 2)
    half = np.array([reach + 2 + abs(wave_size[0]), tall / 2 + 2 + abs(wave_size[1]) + sag])
    corners = np.array([[[-1, -1], [1, -1], [-1, 1], [1, 1]]]) * half
    ends = cv2.perspectiveTransform(corners, forward)[0]
    low = ends.min(axis=0)
    columns, rows = np.ceil(ends.max(axis=0) - low).astype(int) + 1
    back = np.linalg.inv(forward).astype(np.float32)
    x = np.arange(columns, dtype=np.float32)[None] + np.float32(low[0])
    y = np.arange(rows, dtype=np.float32)[:, None] + np.float32(low[1])
    depth = 1 / (back[2, 0] * x + (back[2, 1] * y + back[2, 2]))
    u = (back[0, 0] * x + (back[0, 1] * y + back[0, 2])) * depth
    v = (back[1, 0] * x + (back[1, 1] * y + back[1, 2])) * depth
    along = x[0] * np.float32(1 / scale)  # waves of x alone cost next to nothing
    v += (wave_size[1] * np.sin(along * (2 * math.pi / wave_length[1]) + phase[1])).astype(np.float32)
    u += (wave_size[0] * np.sin(along * (2 * math.pi / wave_length[0]) + phase[0])).astype(np.float32)
    if bend:
        u, v = unbend(u, v, wide / bend)
    u += np.float32((wide - 1) / 2)
    v += np.float32((tall - 1) / 2)
    warped = trim(cv2.remap(ink, u, v, cv2.INTER_LINEAR))
    return None if warped is None else warped * np.float32(1 / 255), scale


def unbend(u, v, radius):
    """Where points of a word on an arc of a circle lie when the word is straight: float32 [H, W] each, x and y from its
    middle. radius: of the line through the letters' middles, in px; above 0 the word's middle is its highest place,
    below 0 its lowest."""
    across, down = u, np.float32(radius) - v
    if radius < 0:
        down = -down
    angle, distance = np.arctan2(across, down), np.hypot(across, down)
    return np.float32(abs(radius)) * angle, np.float32(radius) - np.float32(math.copysign(1, radius)) * distance


def crop(ink, height, rng):
    """Ink with margins as detectors leave them: tight, loose, or slightly cut; and what else stands in the crop.

    height: px of the letters. Returns (ink, strangers), float32 [H, W] in 0..1: strangers are slivers of neighbouring words
    and lines at the edges.
    """
    kind = rng.random()
    low, high = (0, 0.1) if kind < 0.5 else (0.05, 0.4) if kind < 0.85 else (-0.06, 0.1)
    margins = np.rint(rng.uniform(low, high, 4) * height).astype(int)  # left, top, right, bottom
    for k, profile in enumerate((ink.sum(axis=0), ink.sum(axis=1), ink.sum(axis=0)[::-1], ink.sum(axis=1)[::-1])):
        cut = -margins[k]
        if cut > 0 and profile[:cut].sum() > 0.4 * profile[:3 * cut].sum():  # it would take a thin letter or a dot
            margins[k] = 0
    near = rng.random(4) < (0.08, 0.05, 0.08, 0.05)
    slivers = np.where(near, np.rint(rng.uniform(0.04, 0.16, 4) * height), 0).astype(int)
    margins = np.where(near, slivers + np.rint(rng.uniform(0.12, 0.3, 4) * height).astype(int), margins)
    cuts, (left, top, right, bottom) = np.maximum(-margins, 0), np.maximum(margins, 0).tolist()
    word = ink[cuts[1]:ink.shape[0] - cuts[3], cuts[0]:ink.shape[1] - cuts[2]]
    ink = cv2.copyMakeBorder(word, top, bottom, left, right, cv2.BORDER_CONSTANT)
    return ink, neighbours(word, height, ink.shape, top, slivers, rng) if near.any() else None


def neighbours(word, height, shape, top, slivers, rng):
    """Bits of other words and lines, float32 of `shape`, that reach `slivers` px in from the left, top, right and bottom.

    They are strips from elsewhere in the word itself, of letters `height` px high: of the same pen, size and slant."""
    strangers = np.zeros(shape, np.float32)
    (tall, wide), (left, above, right, below) = word.shape, slivers
    columns = rng.integers(wide) + np.arange(left + right)
    strips = word[:, columns % wide]
    strips[:, strips.sum(axis=0) > 0.45 * height] = 0  # a whole stem would be read as a letter
    strangers[top:top + tall, :left] = strips[:, :left]
    strangers[top:top + tall, shape[1] - right:] = strips[:, left:]
    line = word[:, (rng.integers(wide) + np.arange(shape[1])) % wide]
    strangers[:above] = np.maximum(strangers[:above], line[tall - above:])
    strangers[shape[0] - below:] = np.maximum(strangers[shape[0] - below:], line[:below])
    return strangers


# --- Paper and light --------------------------------------------------------------------------------------------

TILE = (192, 1024)  # px; every texture is cut from a tile of this size at a random place
# Octaves' cell sizes in px, as (height, width, weight): what makes plaster, cloth, clouds, brushed metal, wood, ...
TEXTURES = (
    ((64, 64, 3), (32, 32, 2), (16, 16, 1), (8, 8, 0.6), (4, 4, 0.4)), ((96, 128, 4), (48, 64, 1)),
    ((3, 96, 1), (2, 200, 1), (64, 64, 1)), ((128, 3, 1), (96, 9, 1.5)), ((3, 3, 1), (6, 6, 1), (48, 48, 1)),
    ((24, 24, 1), (8, 8, 0.4)), ((12, 90, 1), (40, 120, 2), (4, 30, 0.5)))


@functools.lru_cache(maxsize=1)
def tiles():
    """(grain, rough, textures): float32 TILEs of mean 0 and deviation 1. Grain is white noise, rough that of paper."""
    rng = np.random.default_rng(20180)
    textures = []
    for octaves in TEXTURES:
        tile = np.zeros(TILE, np.float32)
        for height, width, weight in octaves:
            cells = rng.standard_normal((TILE[0] // height + 3, TILE[1] // width + 3), dtype=np.float32)
            large = cv2.resize(cells, None, fx=width, fy=height, interpolation=cv2.INTER_CUBIC)
            tile += weight * large[height:height + TILE[0], width:width + TILE[1]]
        textures.append(standard(tile))
    cloud = textures[0]
    textures.append(standard(np.where(cv2.GaussianBlur(textures[5], (0, 0), 3) > 0.3, 1, 0).astype(np.float32)))  # hard edges
    textures.append(standard(np.round(cloud)))  # patches
    grain = rng.standard_normal(TILE, dtype=np.float32)
    textures += [clutter(rng, size) for size in (24, 60)]
    return standard(grain), standard(cv2.GaussianBlur(grain, (0, 0), 0.8)), textures


def standard(tile):
    """A tile made to have mean 0 and deviation 1."""
    return (tile - tile.mean()) / tile.std()


def clutter(rng, size):
    """A TILE of mean 0 and deviation 1 as a photo of a street or a shelf may be: plates and discs of up to `size` px and bars
    twice as long, one over the other."""
    tile = np.zeros(TILE, np.float32)
    for _ in range(8 * tile.size // size ** 2):
        x, y = (int(rng.integers(side)) for side in TILE[::-1])
        long, short = (int(size * rng.uniform(low, 1)) + 1 for low in (0.3, 0.05))
        level, turn, kind = rng.normal(), rng.normal(0, 20) + 90 * rng.integers(2), int(rng.integers(3))
        if kind == 0:
            cv2.ellipse(tile, (x, y), (long // 2, max(short // 2, 1)), turn, 0, 360, level, cv2.FILLED)
        else:
            corners = cv2.boxPoints(((x, y), (long * kind, short), turn))
            cv2.fillConvexPoly(tile, np.rint(corners).astype(np.int32), level)
    return standard(cv2.GaussianBlur(tile, (0, 0), 0.7))


def cut(tile, shape, rng):
    """A window of `shape` of a tile, at a random place."""
    y, x = rng.integers(0, TILE[0] - shape[0] + 1), rng.integers(0, TILE[1] - shape[1] + 1)
    return tile[y:y + shape[0], x:x + shape[1]]


def uneven(tile, shape, middle, size, least, rng):
    """What part of the ink is there: float32 of `shape`, around `middle`, `least` to 1, varying by `size` as a tile does."""
    return np.clip(cut(tile, shape, rng) * np.float32(size) + np.float32(middle), least, 1)


def slope(shape, size, rng):
    """Light that falls off to one side: float32 [H, W], `size` its deviation in grey levels over the image."""
    down, across = rng.normal(0, size, 2)
    return (np.linspace(-across, across, shape[1], dtype=np.float32)[None]
            + np.linspace(-down, down, shape[0], dtype=np.float32)[:, None])


def half_plane(shape, rng):
    """What lies left of a random line across an image: float32 [H, W], 1 left of it, 0 right, the edge hard or soft."""
    down, across = (np.arange(n, dtype=np.float32) for n in shape)
    edge = across[None] + np.float32(rng.uniform(-2, 2)) * down[:, None] - np.float32(rng.uniform(0, shape[1]))
    soft = np.float32(shape[0] * math.exp(rng.uniform(math.log(0.02), math.log(0.8))))
    return 1 / (1 + np.exp(np.clip(edge / soft, -30, 30)))


def level_away(level, distance, rng):
    """A random grey level that is at least `distance` (at most 127) away from another."""
    below, above = max(level - distance, 0), max(255 - level - distance, 0)
    place = rng.uniform(0, below + above)
    return place if place < below else level + distance + place - below


def cover(page, ink, level):
    """Puts ink of a grey level, or of levels [H, W], on the page, in place."""
    page += ink * (level - page)


def thicken(ink, size):
    """Ink whose strokes are `size` px wider."""
    return cv2.dilate(ink, dot(size + 1, size + 1)) if size > 0 else ink


def surfaces(page, fore, rng):
    """Puts one to three surfaces on the page, in place, each of a level lighter or darker than `fore`: what lies left of a
    line, a band, a patch; edges hard or soft, some see-through."""
    shape = page.shape
    for _ in range(rng.integers(1, 4)):
        part = half_plane(shape, rng)
        if rng.random() < 0.6:
            part = part * (1 - half_plane(shape, rng))
        if rng.random() < 0.3:
            part = part * half_plane(shape[::-1], rng).T
        cover(page, part * np.float32(min(rng.uniform(0.3, 1.4), 1)), level_away(fore, 25, rng))


def roughness(rng):
    """How much a texture changes a sign, as a part of the gap between letters and paper: mostly little."""
    return rng.uniform(0.1, 0.4) if rng.random() < 0.2 else abs(rng.normal(0, 0.09))


def paint_scene(ink, strangers, rng):
    """A sign, a poster, a page of print: any two levels, light on dark as often as not, outlines, shadows, textures."""
    shape = ink.shape
    _, rough, textures = tiles()
    gap = MIN_GAP + (255 - MIN_GAP) * rng.beta(1.2, 1.9)
    low = rng.uniform(0, 255 - gap)
    paper, fore = (low, low + gap) if rng.random() < 0.5 else (low + gap, low)
    page = np.full(shape, paper, np.float32)
    if rng.random() < 0.6:
        page += cut(textures[rng.integers(len(textures))], shape, rng) * np.float32(gap * roughness(rng))
    if rng.random() < 0.5:
        page += slope(shape, gap * 0.12, rng)
    if rng.random() < 0.35:  # other surfaces behind parts of the word, lighter or darker
        surfaces(page, fore, rng)
    np.clip(page, 0, 255, out=page)
    if rng.random() < 0.08:  # other words behind, upside down so that nobody reads them
        other = np.roll(ink[::-1, ::-1], rng.integers(0, 1 + np.array(shape)), axis=(0, 1))
        cover(page, other, fore + (paper - fore) * rng.uniform(0.4, 0.9))
    if strangers is not None:
        cover(page, strangers, fore)
    kind, fill = rng.random(), fore
    size = max(1, round(min(shape[0], 50) / rng.uniform(12, 50)))  # of one or two of these:
    if 0.05 < kind < 0.22:  # a shadow behind the letters, or their other edge
        dx, dy = rng.integers(-2, 3, 2) * size
        fallen = cv2.warpAffine(thicken(ink, size * (kind < 0.12)), np.float32([[1, 0, dx], [0, 1, dy]]), shape[::-1])
        fallen = cv2.GaussianBlur(fallen, (0, 0), size) if rng.random() < 0.5 else fallen
        cover(page, fallen * np.float32(rng.uniform(0.3, 1)), level_away(fore, min(gap / 2, 60), rng))
    if kind < 0.06 or kind > 0.96:  # nothing but an outline
        cover(page, thicken(ink, 2 * size), fore)
        fill = paper
    if 0.18 < kind < 0.3:  # an outline around every letter
        cover(page, thicken(ink, 2 * size), level_away(fore, min(gap / 2, 60), rng))
    if rng.random() < 0.3:
        fill = np.clip(fill + cut(textures[rng.integers(len(textures))], shape, rng) * np.float32(gap * roughness(rng)), 0, 255)
    cover(page, ink * np.float32(rng.uniform(0.5, 0.85) if rng.random() < 0.15 else rng.uniform(0.85, 1)), fill)
    if rng.random() < 0.25:
        page += cut(rough, shape, rng) * np.float32(rng.uniform(1, 6))
    return page


def rule(page, rng):
    """Draws printed lines on the page, in place: ruled paper, or squared."""
    height, width = page.shape
    darker = rng.uniform(12, 55)
    thick = 1 + (height > 48 and rng.random() < 0.5)
    space = height * rng.uniform(0.7, 1.4)
    if rng.random() < 0.4:  # squared
        space = max(height * rng.uniform(0.2, 0.6), 9)
        for x in np.arange(rng.uniform(0, space), width - 1, space).astype(int):
            page[:, x:x + thick] -= darker
    for y in np.arange(height * rng.uniform(0.65, 0.95) % space, height - 1, space).astype(int):
        page[y:y + thick] -= darker


def paint_paper(ink, strangers, rng):
    """Pen or pencil on plain, ruled or squared paper, scanned or photographed."""
    shape = ink.shape
    _, rough, textures = tiles()
    scanned = rng.random() < 0.5
    paper = rng.uniform(225, 255) if scanned else rng.uniform(140, 240)
    page = np.full(shape, paper, np.float32)
    page += cut(rough, shape, rng) * np.float32(rng.uniform(0, 2.5))
    if rng.random() < 0.22:
        rule(page, rng)
    if not scanned:
        page += slope(shape, 9, rng)
        if rng.random() < 0.4:
            page += cut(textures[1], shape, rng) * np.float32(rng.uniform(0, 8))  # crumpled
        if rng.random() < 0.2:  # a shadow falls across
            page *= 1 - np.float32(rng.uniform(0.1, 0.35)) * half_plane(shape, rng)
    if rng.random() < 0.1:  # whitened beside the word, as databases of handwriting are
        x, y = rng.integers(0, shape[1]), rng.integers(0, shape[0])
        page[(np.s_[:, x:], np.s_[:, :x], np.s_[y:], np.s_[:y])[rng.integers(4)]] = 255
    both = ink if strangers is None else np.maximum(ink, strangers)
    if rng.random() < 0.3:  # pencil, or a dry pen: grey, and only where the paper's grain takes it
        level = paper * rng.uniform(0.3, 0.6)
        both = both * uneven(rough, shape, 1, rng.uniform(0.1, 0.35), 0, rng)
    else:
        level = rng.uniform(0, 0.45) * paper
    cover(page, both * uneven(textures[5], shape, rng.uniform(0.8, 1), rng.uniform(0, 0.12), 0.5, rng), level)
    return page


def paint_board(ink, strangers, rng):
    """A marker on a whiteboard, or chalk on a blackboard (one in five)."""
    shape = ink.shape
    _, rough, textures = tiles()
    both = ink if strangers is None else np.maximum(ink, strangers)
    chalk = rng.random() < 0.2
    board = rng.uniform(20, 85) if chalk else rng.uniform(165, 252)
    page = np.full(shape, board, np.float32) + slope(shape, 8, rng)
    if rng.random() < (0.6 if chalk else 0.25):  # ghosts of what was wiped off: upside down, so that nobody reads them
        ghost = np.roll(cv2.GaussianBlur(ink[::-1, ::-1], (0, 0), rng.uniform(1, 3)), rng.integers(0, shape[1]), axis=1)
        page += ghost * np.float32(rng.uniform(8, 30) * (1 if chalk else -1))
    if chalk:
        page += cut(textures[0], shape, rng) * np.float32(rng.uniform(2, 7))
        page += cut(textures[6], shape, rng) * np.float32(rng.uniform(0, 5))  # wiped with a sponge
        dry = uneven(rough, shape, rng.uniform(0.75, 1), rng.uniform(0.1, 0.3), 0.15, rng)
        cover(page, both * dry, rng.uniform(170, 255))
        return page
    streaks = uneven(textures[5], shape, rng.uniform(0.85, 1), rng.uniform(0, 0.08), 0.6, rng)
    cover(page, both * streaks, rng.uniform(5, 130) * board / 255)
    if rng.random() < 0.25:  # a lamp's glare
        y, x = rng.uniform(-0.2, 1.2) * shape[0], rng.uniform(0, 1) * shape[1]
        tall, wide = shape[0] * rng.uniform(0.3, 1.2), shape[0] * rng.uniform(0.5, 2)
        glare = (np.exp(-np.square((np.arange(shape[0], dtype=np.float32) - y) / tall))[:, None]
                 * np.exp(-np.square((np.arange(shape[1], dtype=np.float32) - x) / wide))[None])
        cover(page, glare * np.float32(rng.uniform(0.2, 0.6)), 255)
    return page


PAINT = {"scene": paint_scene, "paper": paint_paper, "board": paint_board}


def pen_width(ink, style, rng):
    """Ink uint8, its strokes as thick as the style has them. Thickness in 1/60 of the height."""
    fat = style == "scene" and rng.random() < FAT
    size = (2, 6) if fat else {"scene": (-2.5, 2.5), "paper": (0, 1.6), "board": (1, 4)}[style]
    bold = ink.mean() > (120 if fat else 90)
    more = 0 if bold else max(round(rng.uniform(*size) * ink.shape[0] / 60), 0)
    return cv2.dilate(cv2.copyMakeBorder(ink, more, more, more, more, cv2.BORDER_CONSTANT), dot(more + 1, more + 1)) \
        if more else ink


def underline(ink, rng):
    """Ink uint8 [H, W] with a line beneath it, close or touching."""
    height, width = ink.shape
    thick = max(1, round(height * rng.uniform(0.03, 0.12)))
    below = round(height * rng.uniform(-0.05, 0.15))
    ink = cv2.copyMakeBorder(ink, 0, max(below + thick, 0), 0, 0, cv2.BORDER_CONSTANT)
    ink[height + below:height + below + thick] = 255
    return ink


# --- Camera -----------------------------------------------------------------------------------------------------

def degrade(page, x_height, rng):
    """uint8 [H, W] of a page: few pixels, blur, noise, and what JPEG leaves; letters of `x_height` px stay readable."""
    height, width = page.shape
    grain, *_ = tiles()
    kind = rng.random()
    if kind < 0.16:  # seen from afar, then enlarged
        factor = min(rng.uniform(6, 9.5) / x_height, 1)
        size = max(round(width * factor), 1), max(round(height * factor), 1)
        small = cv2.resize(page, size, interpolation=cv2.INTER_AREA)
        page = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    elif kind < 0.56:
        page = cv2.GaussianBlur(page, (0, 0), rng.uniform(0.2, 0.3 + x_height / 24))
    elif kind < 0.6:  # the camera moved
        page = cv2.blur(page, (2 + round(x_height / 12), 1))
    if rng.random() < 0.6:
        page = page + cut(grain, page.shape, rng) * np.float32(min(abs(rng.normal(0, 4)), 9, 0.4 * page.std()))
    image = np.clip(page, 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))])
        image = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)
    return image


def fit_height(page, ink):
    """Page and ink, resized where needed to MIN_HEIGHT to MAX_HEIGHT px."""
    height = min(max(page.shape[0], MIN_HEIGHT), MAX_HEIGHT)
    if height == page.shape[0]:
        return page, ink
    size = max(round(page.shape[1] * height / page.shape[0]), 1), height
    return tuple(cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (page, ink))


def readable(image, ink, least):
    """Whether the ink stands out from what is close around it, in every part of the word, by more than `least` grey levels.

    image: uint8 [H, W]; ink: float32 [H, W]. A part is a piece of the width about as wide as high.
    """
    parts = max(1, round(image.shape[1] / image.shape[0]))
    starts = (np.arange(parts) * image.shape[1]) // parts
    paper = cv2.dilate(ink, dot(9, 9)) - cv2.dilate(ink, dot(3, 3))  # or the outline, or the shadow
    strong = np.square(ink)
    sums = [np.add.reduceat(values.sum(axis=0), starts) for values in (strong, strong * image, paper, paper * image)]
    inked = (sums[0] > 3) & (sums[2] > 3)
    if not inked.any():
        return bool(sums[0].sum() > 3)  # the letters fill the image; there is nothing to compare them with
    gaps = (sums[1] / np.maximum(sums[0], 1e-3) - sums[3] / np.maximum(sums[2], 1e-3))[inked]
    return bool((abs(gaps) > least).all())


# --- Renderer ---------------------------------------------------------------------------------------------------

class Renderer:
    """Draws labelled words without end.

    fonts: folder of faces (see Fonts); lexicon: path of a word list (see Texts; default the project's own, English);
    strokes: path of pen movements (see Strokes) or None; styles: weights of "scene", "paper" and "board" (default 1, 2,
    1); strokes_share: part of the paper and board words that is drawn from strokes, where there are some.
    renderer.usable: a function text -> bool; texts that it refuses are not drawn. UserError for what is wrong.
    """

    def __init__(self, fonts=FONTS, lexicon=None, strokes=None, styles=None, strokes_share=0.5, usable=None):
        styles = {"scene": 1, "paper": 2, "board": 1} if styles is None else styles
        if unknown := set(styles) - set(PAINT):
            raise UserError(f"--styles: {', '.join(map(str, sorted(unknown)))} is none of {', '.join(PAINT)}")
        weights = [float(styles.get(style, 0)) for style in PAINT]
        if not all(0 <= weight < math.inf for weight in weights) or not sum(weights):
            raise UserError(f"--styles: weights are numbers from 0, not all of them 0, not {styles}")
        if not 0 <= strokes_share <= 1:
            raise UserError(f"--strokes_share {strokes_share}: lies in 0 to 1")
        self.styles = cumulative(weights)
        self.texts = Texts(lexicon or LEXICON)
        self.strokes = Strokes(strokes) if strokes else None
        self.fonts = Fonts(fonts)
        self.strokes_share = strokes_share if strokes else 0
        self.usable = usable or (lambda text: True)
        tiles()  # now, so that processes forked later share them

    def word(self, rng, split="train"):
        """A Word (image uint8 [H, W], text, style, source) drawn with a numpy Generator.

        split: "train", or "valid" or "test", whose fonts and writers are those held out for it. source: the font's
        family, or "ondb" and the number of the writer. UserError if no face of the split can write the texts.
        """
        for _ in range(TRIES):
            style = list(PAINT)[pick(rng, self.styles)]
            height = rng.uniform(*HEIGHTS[style])
            ink, x_height, text, source = self._ink(rng, split, style, height)
            if ink is None:
                continue
            drawn, height = ink.shape[0], max(height, min(MIN_X_HEIGHT / x_height * ink.shape[0], MAX_HEIGHT))
            ink, scale = warp(ink, height, style, rng)
            if ink is None:
                continue
            ink, strangers = crop(ink, min(drawn * scale, ink.shape[0]), rng)
            if np.any(ink.shape > np.array(TILE)):  # so bent, or wide, that nothing of it would be left in 100 x 32 px
                continue
            x_height *= scale / ink.shape[0]
            page, ink = fit_height(PAINT[style](ink, strangers, rng), ink)
            image = degrade(page, x_height * ink.shape[0], rng)
            if readable(image, ink, READABLE[style]):
                return Word(image, text, style, source)
        raise UserError("no word could be drawn: the fonts lack the characters of the lexicon, or the alphabet does")

    def _ink(self, rng, split, style, height):
        """(ink uint8 [H, W] or None, the height of its small letters in px, text, source) of a random word."""
        if style != "scene" and self.strokes_share and rng.random() < self.strokes_share:
            word = self.strokes.draw(rng, split)
            text, source = self.strokes.texts[word], f"ondb{self.strokes.writers[word]}"
            if not self.usable(text):
                return None, 0, text, source
            strokes = self.strokes.strokes_of(word)
            if split == "train" and rng.random() < VARIED:  # the other parts keep their hands as they are
                strokes = vary(strokes, rng)
            return *draw_strokes(strokes, height, rng), text, source
        face = self.fonts.draw(rng, split, style)
        capitals = style == "scene" and rng.random() < 0.35  # a third of the signs may be in a hand's capitals
        texts = (face.suited(self.texts.draw(rng, style), capitals) for _ in range(TRIES))
        text = next((text for text in texts if face.writes(text) and drawable(text) and self.usable(text)), "")
        if not text:
            return None, 0, text, face.family
        ink, x_height = face.draw(text, height, rng, style == "scene")
        if ink is not None:
            ink = pen_width(ink, style, rng)
            x_height = x_height if any(c.islower() for c in text) else 0.7 * ink.shape[0]
            ink = underline(ink, rng) if style == "scene" and rng.random() < UNDERLINED else ink
        return ink, x_height, text, face.family


# --- Options of the scripts that draw words ---------------------------------------------------------------------

OPTIONS = ("fonts", "lexicon", "strokes", "strokes_share", "styles")


def add_options(add):
    """Add the options that `from_options` reads to a parser; `add` is its add_argument."""
    add("--fonts", type=Path, default=FONTS, metavar="DIR", help="folder of woff2, woff, ttf or otf files (default: fonts/)")
    add("--lexicon", type=Path, default=LEXICON, metavar="FILE", help="words to draw: one a line, and how often it occurs "
                                                                      "(default: lexicons/en.txt)")
    add("--strokes", type=Path, metavar="NPZ", help="pen movements to draw from too; render.Strokes says how they are kept")
    add("--strokes_share", type=float, default=0.5, help="part of the paper and board words drawn from them (default 0.5)")
    add("--styles", type=styles, default="scene=1,paper=2,board=1",
        help="how often each is drawn (default scene=1,paper=2,board=1)")


def styles(text):
    """{style: weight} of "scene=1,paper=2"; weights that cannot be are the Renderer's to refuse."""
    return {name.strip(): float(weight) for name, _, weight in (part.partition("=") for part in text.split(","))}


def from_options(args, usable=None):
    """The Renderer that a command line asks for."""
    return Renderer(args.fonts, args.lexicon, args.strokes, args.styles, args.strokes_share, usable)
