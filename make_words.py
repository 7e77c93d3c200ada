"""Draw labelled word images to pre-train the handwriting reader on: from real pen movements, from fonts, or from both.

    python make_words.py -o words -n 100000 --fonts FONTS --lexicon WORDS.txt
    python make_words.py -o words -n 400000 --fonts FONTS --strokes STROKES.npz --workers 8
    python make_words.py --fonts FONTS --lexicon WORDS.txt --sheet sheet.png      # 100 samples, to look at

FONTS is any folder of woff2, woff, ttf or otf files, WORDS.txt has a word a line, STROKES.npz holds pen movements.

Writes DIR/<k // 1000>/<k>.jpg (grey) and DIR/labels.csv (file,text,split,writer; the text as drawn, with case and
punctuation). Word k depends on --random_state and k alone, so neither --workers nor --number changes it.
"""
import csv
import functools
import multiprocessing
import os
import string
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

import utils

X_HEIGHT = 128  # units of the strokes file: the height of an "x"
EM = 80  # px: the size at which fonts are drawn, before they are fitted
MIN_QUALITY = 30  # strokes of a lower quality are often not what their label says
VALID_WRITERS = 20  # the last writers of the strokes file, by number, are kept for validation
FONT_SUFFIXES = {".woff2", ".woff", ".ttf", ".otf"}
ASCII = string.ascii_letters + string.digits + string.punctuation


def parse_args(argv=None):
    parser = utils.Parser(__doc__)
    parser.add_argument("-o", "--output", type=Path, help="folder for the images and labels.csv")
    parser.add_argument("-n", "--number", type=int, default=10000, help="how many words (default 10000)")
    parser.add_argument("--strokes", type=Path, help="npz file of words as pen strokes (IAM-OnDB)")
    parser.add_argument("--fonts", type=Path, help="folder of woff2, woff, ttf or otf faces, with manifest.csv or without")
    parser.add_argument("--lexicon", type=Path, help="words for the fonts: one a line, then its count if you have one "
                                                     "(default: the words of --strokes)")
    parser.add_argument("--strokes_share", type=float, default=0.6, help="part drawn from strokes, given both (0.6)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--random_state", type=int, default=0, help="another number draws other words (default 0)")
    parser.add_argument("--overwrite", action="store_true", help="write into a folder that is not empty")
    parser.add_argument("--sheet", type=Path, help="only draw 100 samples with their labels into this image")
    return parser.parse_args(argv)


# --- Sources --------------------------------------------------------------------------------------------------

class Strokes:
    """Words as pen movements. `points` [N, 2] float32 in units (y down), `words`: indices of the words in use."""

    def __init__(self, path):
        try:
            with np.load(path, allow_pickle=False) as file:
                data = {name: file[name] for name in ("points", "stroke_ends", "word_ends", "text_blob", "text_ends",
                                                      "writer", "quality", "iam_text")}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise utils.UserError(f"--strokes {path}: not a readable strokes file ({error})") from None
        self.points, self.stroke_ends = data["points"], data["stroke_ends"]
        self.word_ends = np.concatenate([[0], data["word_ends"]])
        text_ends, blob = np.concatenate([[0], data["text_ends"]]), data["text_blob"].tobytes()
        self.texts = [blob[a:b].decode() for a, b in zip(text_ends, text_ends[1:])]
        self.writers = data["writer"]
        # iam_text marks texts that IAM's held-out forms have too: a reader must not have learnt them
        used = (data["quality"] >= MIN_QUALITY) & (data["iam_text"] == 0) & np.array([bool(t) for t in self.texts])
        self.words = np.flatnonzero(used)
        _, which, counts = np.unique(np.array(self.texts)[used], return_inverse=True, return_counts=True)
        weights = counts[which] ** -0.5  # else every twelfth word would be "the"
        self.chances = np.cumsum(weights / weights.sum())
        self.valid_writers = set(np.unique(self.writers)[-VALID_WRITERS:].tolist())
        if not len(self.words):
            raise utils.UserError(f"--strokes {path}: holds no word of quality {MIN_QUALITY} or more")

    def strokes_of(self, word):
        """The strokes of a word: a list of float32 [n, 2] arrays in units, x to the right, y down."""
        first, last = self.word_ends[word], self.word_ends[word + 1]
        start = self.stroke_ends[first - 1] if first else 0
        ends = self.stroke_ends[first:last] - start
        points = np.cumsum(self.points[start:start + ends[-1]], axis=0, dtype=np.float32)
        return np.split(points, ends[:-1])

    def draw(self, rng):
        """A random word: (ink uint8 [H, W], text, split, writer)."""
        word = self.words[min(np.searchsorted(self.chances, rng.random()), len(self.words) - 1)]
        writer = int(self.writers[word])
        split = "valid" if writer in self.valid_writers else "train"
        return draw_strokes(self.strokes_of(word), rng), self.texts[word], split, f"ondb{writer}"


@dataclass
class Face:
    """A font: `hand` if it is a handwriting face (not for ALL CAPS), `missing`: characters it has no glyph for."""
    font: ImageFont.FreeTypeFont
    family: str
    hand: bool = False
    caps_only: bool = False
    missing: frozenset = frozenset()


class Fonts:
    """The faces of a folder, and the lexicon they are to write."""

    def __init__(self, folder, lexicon):
        self.faces, self.lexicon = load_faces(folder), lexicon
        weights = np.array([4.0 if face.hand else 1.0 for face in self.faces])
        self.chances = np.cumsum(weights / weights.sum())

    def draw(self, rng):
        """A random word: (ink uint8 [H, W], text, split, writer). One family in 20 is kept for validation."""
        for _ in range(100):
            face = self.faces[min(np.searchsorted(self.chances, rng.random()), len(self.faces) - 1)]
            text = random_text(self.lexicon, rng)
            if face.caps_only:
                text = text.upper()
            elif face.hand and sum(c.isupper() for c in text) > 1:
                text = text.lower()
            if not face.missing.intersection(text) and all(c in ASCII or has_glyph(face.font, c) for c in text):
                ink = draw_font(face.font, text, rng)
                if ink is not None:
                    split = "valid" if zlib.crc32(face.family.encode()) % 20 == 0 else "train"
                    return ink, text, split, face.family
        raise utils.UserError("the faces of --fonts lack the characters of the lexicon: give other fonts or words")


def load_faces(folder):
    """The faces of a folder in the order of their names; a broken file is named on stderr and left out."""
    if not folder.is_dir():
        raise utils.UserError(f"--fonts {folder}: no such folder")
    manifest = {}
    if (folder / "manifest.csv").is_file():
        with open(folder / "manifest.csv", encoding="utf-8", newline="") as file:
            manifest = {row["file"]: row for row in csv.DictReader(file) if row.get("file")}
    faces = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in FONT_SUFFIXES):
        row = manifest.get(path.name, {})
        try:
            font = ImageFont.truetype(str(path), EM, layout_engine=ImageFont.Layout.BASIC)
            missing = row.get("missing")
            if missing is None:  # no manifest: ask the face itself
                missing = [c for c in ASCII if not has_glyph(font, c)]
            font.getbbox("x")
        except Exception as error:  # FreeType's complaints come in several classes
            print(f"{path}: left out, not a readable font ({error})", file=sys.stderr)
            continue
        faces.append(Face(font, row.get("family") or font.getname()[0] or path.stem, row.get("group") == "handwriting",
                          row.get("caps_only") == "1", frozenset(missing)))
    if not faces:
        raise utils.UserError(f"--fonts {folder}: holds no readable woff2, woff, ttf or otf file")
    return faces


@functools.lru_cache(maxsize=None)
def has_glyph(font, character):
    """Whether a face draws a character as anything but its sign for "no such glyph"."""
    return bytes(font.getmask(character)) != bytes(font.getmask("\uffff"))


# --- Texts ----------------------------------------------------------------------------------------------------

def read_lexicon(path):
    """(words, cumulative chances float64) of a file with one word a line, and its count after it if known.

    Chances go with the square root of the count: frequent words come often, rare ones still come."""
    words, counts = [], []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if parts := line.split():
                words.append(parts[0])
                counts.append(float(parts[1]) if len(parts) > 1 else 1.0)
    except (OSError, ValueError) as error:
        raise utils.UserError(f"--lexicon {path}: cannot be read as words and counts ({error})") from None
    if not words or not sum(counts) > 0 or min(counts) < 0:
        raise utils.UserError(f"--lexicon {path}: holds no words, or counts that are not positive")
    return weigh(words, counts)


def weigh(words, counts):
    chances = np.sqrt(np.asarray(counts, dtype=float))
    return words, np.cumsum(chances / chances.sum())


def random_text(lexicon, rng):
    """What a note may hold: mostly words, some numbers, few strings of random letters; some with a mark after."""
    kind = rng.random()
    if kind < 0.10:
        text = random_number(rng)
    elif kind < 0.14:
        text = "".join(rng.choice(list(string.ascii_lowercase), rng.integers(1, 11)))
    else:
        words, chances = lexicon
        text = words[min(np.searchsorted(chances, rng.random()), len(words) - 1)]
    if kind >= 0.10:
        case = rng.random()
        text = text.upper() if case < 0.08 else text[:1].upper() + text[1:] if case < 0.25 else text
    if rng.random() < 0.08:
        text += rng.choice(list(",.;:!?'"), p=[0.3, 0.35, 0.05, 0.1, 0.05, 0.1, 0.05])
    return str(text)


def random_number(rng):
    """A number, date, time, price, share or code: 1984, 12/5/21, 12:30, $4.50, 3.5%, h264."""
    n, hour, minute, day, month = (int(rng.integers(low, high)) for low, high in
                                   ((0, 10 ** int(rng.integers(1, 6))), (0, 24), (0, 60), (1, 32), (1, 13)))
    letter = rng.choice(list(string.ascii_lowercase))
    year = int(rng.integers(1900, 2035))
    return str(rng.choice([
        f"{n}", f"{n}", f"{year}", f"{hour}:{minute:02}", f"{day}/{month}/{year % 100:02}", f"{day}.{month}.{year}",
        f"{year}-{month:02}-{day:02}", f"{n / 10:.1f}%", f"{minute}%", f"${n}", f"${n / 100:.2f}", f"{n:,}",
        f"{letter}{n}", f"{letter.upper()}{day}", f"{day}{letter}", f"#{n}", f"{hour}-{hour + month}", f"{day}th"]))


# --- Drawing --------------------------------------------------------------------------------------------------

def random_shape(rng, slant=0.16):
    """A float32 [2, 2] matrix for (x, y) columns: slanted, turned and stretched a little."""
    shear, turn, stretch = rng.normal(0, slant), rng.normal(0, 0.035), np.exp(rng.normal(0, 0.14))
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (turned @ np.array([[stretch, shear], [0, 1]])).astype(np.float32)


def random_wave(x, x_height, rng):
    """Offsets (dx, dy) along x, in its unit: an uneven pace and a baseline that is not straight."""
    length, phase = x_height * rng.uniform(3, 9, 2), rng.uniform(0, 2 * np.pi, 2)
    size = x_height * rng.normal(0, (0.12, 0.06))
    return [(s * np.sin(2 * np.pi / n * x + p)).astype(np.float32) for s, n, p in zip(size, length, phase)]


def random_scale(width, height, x_height, rng):
    """px per unit, so that ink of this size becomes 34 to 58 px high; less for long words and for lone marks."""
    return min(rng.uniform(34, 58) / max(height, 1), rng.uniform(22, 44) / x_height, 420 / max(width, 1))


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


def draw_strokes(strokes, rng):
    """Ink uint8 [H, W] (255: full) of strokes in units, as a pen of random width and uneven pressure draws them."""
    ends = np.cumsum([len(stroke) for stroke in strokes])
    points = np.concatenate(strokes)
    dx, dy = random_wave(points[:, 0], X_HEIGHT, rng)
    points = (points + np.stack([dx, dy], axis=1)) @ random_shape(rng).T
    low, high = points.min(axis=0), points.max(axis=0)
    scale = random_scale(*(high - low + 8), X_HEIGHT, rng)
    pen = float(np.clip(scale * X_HEIGHT * np.exp(rng.normal(np.log(0.11), 0.45)), 1.2, 5.0))  # px
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
        starts = np.concatenate([[0], np.flatnonzero(np.diff(widths)) + 1, [len(stroke)]])
        for a, b in zip(starts, starts[1:]):
            if len(stroke) > 1:
                cv2.polylines(ink, [fixed[max(a - 1, 0):b]], False, shades[a], int(widths[a]), cv2.LINE_AA, 4)
    return trim(cv2.resize(ink, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))


def draw_font(font, text, rng):
    """Ink uint8 [H, W] (255: full) of a text in a font, slanted, turned and bent a little; None if it is blank."""
    left, top, right, bottom = font.getbbox(text)
    if right <= left or bottom <= top:
        return None
    page = Image.new("L", (right - left + 4, bottom - top + 4))
    ImageDraw.Draw(page).text((2 - left, 2 - top), text, fill=255, font=font)
    ink = np.asarray(page)
    if rng.random() < 0.35:  # a thicker pen
        ink = cv2.dilate(ink, np.ones(rng.integers(1, 4, 2), np.uint8))
    box = font.getbbox("x")
    x_height = max(box[3] - box[1], EM / 5)
    scale = random_scale(ink.shape[1], ink.shape[0], x_height, rng)
    size = max(round(ink.shape[1] * scale), 1), max(round(ink.shape[0] * scale), 1)
    ink = cv2.resize(ink, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return trim(bend(ink, scale * x_height, rng))


def bend(ink, x_height, rng):
    """Ink under one affine warp and a slow wave; x_height in px. Nothing is cut off."""
    height, width = ink.shape
    shape = random_shape(rng, slant=0.12)
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float32) @ shape.T
    low, pad = corners.min(axis=0), 0.3 * x_height + 2
    out_w, out_h = np.ceil(corners.max(axis=0) - low + 2 * pad).astype(int)
    back = np.linalg.inv(shape)
    x = np.arange(out_w, dtype=np.float32)[None] + (low[0] - pad)
    y = np.arange(out_h, dtype=np.float32)[:, None] + (low[1] - pad)
    from_x, from_y = back[0, 0] * x + back[0, 1] * y, back[1, 0] * x + back[1, 1] * y
    dx, dy = random_wave(x, x_height, rng)
    return cv2.remap(ink, from_x + dx, from_y + dy, cv2.INTER_LINEAR)


def trim(ink):
    """The part of the image that holds ink; None if there is none."""
    x, y, width, height = cv2.boundingRect((ink > 40).astype(np.uint8))
    return ink[y:y + height, x:x + width] if width and height else None


def put_on_paper(ink, rng):
    """A grey image uint8 [H, W] of ink (uint8, 255: full) on paper; one in 15 is chalk on a board."""
    left, top, right, bottom = random_margins(rng)
    ink = cv2.copyMakeBorder(ink, max(top, 0), max(bottom, 0), max(left, 0), max(right, 0), cv2.BORDER_CONSTANT)
    height, width = ink.shape
    if height > 24 and width > 24:  # slightly cut
        ink = ink[max(-top, 0):height - max(-bottom, 0), max(-left, 0):width - max(-right, 0)]
    ink = cv2.GaussianBlur(ink, (0, 0), rng.choice([0.3, 0.5, 0.7, 1.0], p=[0.3, 0.35, 0.25, 0.1]))
    height, width = ink.shape
    paper, dark = rng.choice([rng.uniform(225, 255), rng.uniform(150, 240)]), rng.uniform(5, 110)
    grain = rng.standard_normal((height, width), dtype=np.float32)
    cover = ink * np.float32(1 / 255) * (1 - np.float32(rng.uniform(0, 0.25)) * np.abs(grain))
    shade = np.linspace(*rng.normal(0, 6, 2), width, dtype=np.float32)[None] + \
        np.linspace(*rng.normal(0, 6, 2), height, dtype=np.float32)[:, None] + paper
    if rng.random() < 0.06:  # a ruled line
        y = rng.integers(0, height)
        shade[y:y + 1 + height // 48] -= np.float32(rng.uniform(15, 60))
    if rng.random() < 0.25:  # paper that was whitened in part, as databases of handwriting have it
        x, y = rng.integers(0, width), rng.integers(0, height)
        part = [np.s_[:, x:], np.s_[:, :x], np.s_[y:], np.s_[:y]][rng.integers(4)]
        shade[part] = 255
    page = shade - cover * (shade - dark) + np.float32(rng.choice([0.5, 1.5, 4])) * np.roll(grain, 1, axis=1)
    page = np.clip(page, 0, 255)
    return (255 - page if rng.random() < 1 / 15 else page).astype(np.uint8)


def random_margins(rng):
    """px to add left, top, right and bottom of the ink: tight, loose, or (negative) slightly cut."""
    kind = rng.random()
    low, high = (0, 4) if kind < 0.6 else (2, 16) if kind < 0.9 else (-2, 4)
    return [int(margin) for margin in rng.integers(low, high, 4)]


# --- The data set ---------------------------------------------------------------------------------------------

def make_word(k, sources, random_state):
    """Word k: (image uint8 [H, W], text, split, writer). `sources`: [(source, its share of the words)]."""
    rng = np.random.default_rng([random_state, k])
    (first, share), (second, _) = sources[0], sources[-1]
    ink = None
    while ink is None:
        ink, text, split, writer = (first if rng.random() < share else second).draw(rng)
    return put_on_paper(ink, rng), text, split, writer


def write_word(k, output, sources, random_state):
    """Writes word k; gives its row of labels.csv."""
    image, *labels = make_word(k, sources, random_state)
    name = f"{k // 1000}/{k}.jpg"
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    (output / name).write_bytes(jpeg)
    return [name, *labels]


_job = None  # the function that workers call: forked with them, for fonts cannot be pickled


def _call_job(k):
    return _job(k)


def write_words(args, sources):
    """Writes all words into args.output, then labels.csv, whole."""
    global _job
    args.output.mkdir(parents=True, exist_ok=True)
    if any(args.output.iterdir()) and not args.overwrite:
        raise utils.UserError(f"{args.output} is not empty: name another folder, or add --overwrite")
    (args.output / "labels.csv").unlink(missing_ok=True)
    for thousand in range((args.number + 999) // 1000):
        (args.output / str(thousand)).mkdir(exist_ok=True)
    _job = functools.partial(write_word, output=args.output, sources=sources, random_state=args.random_state)
    bar = functools.partial(tqdm, total=args.number, unit=" words", smoothing=0.05)
    if args.workers > 1 and hasattr(os, "fork"):
        with multiprocessing.get_context("fork").Pool(args.workers) as pool:
            rows = list(bar(pool.imap(_call_job, range(args.number), chunksize=100)))
    else:
        rows = list(bar(map(_job, range(args.number))))
    utils.write_csv(args.output / "labels.csv", [["file", "text", "split", "writer"], *rows])


def write_sheet(path, sources, random_state):
    """An image of the first 100 words, ten in a row, each with its label beneath."""
    sheet = Image.new("L", (10 * 200, 10 * 100), 128)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for k in range(100):
        image, text, *_ = make_word(k, sources, random_state)
        image, x, y = Image.fromarray(image), k % 10 * 200, k // 10 * 100
        image.thumbnail((196, 80))
        sheet.paste(image, (x + 2, y + 2))
        pen.text((x + 2, y + 83), text, fill=255, font=font)
    with utils.written_whole(path) as beside:
        sheet.save(beside)


def load_sources(args):
    """[(source, share of the words)] as the options say; the shares add up to 1."""
    if not args.strokes and not args.fonts:
        raise utils.UserError("nothing to draw from: give --strokes FILE.npz, --fonts DIR, or both")
    strokes = Strokes(args.strokes) if args.strokes else None
    if not args.fonts:
        return [(strokes, 1.0)]
    if args.lexicon:
        lexicon = read_lexicon(args.lexicon)
    elif strokes:
        lexicon = weigh(*np.unique([strokes.texts[k] for k in strokes.words], return_counts=True))
    else:
        raise utils.UserError("--fonts needs words to write: give --lexicon FILE (one word a line)")
    fonts = Fonts(args.fonts, lexicon)
    return [(strokes, args.strokes_share), (fonts, 1 - args.strokes_share)] if strokes else [(fonts, 1.0)]


def main(argv=None):
    args = parse_args(argv)
    if not args.output and not args.sheet:
        raise utils.UserError("say where the words go: -o DIR (or --sheet FILE.png for 100 samples)")
    if args.number < 1 or args.workers < 1 or not 0 <= args.strokes_share <= 1 or args.random_state < 0:
        raise utils.UserError("--number and --workers start at 1, --random_state at 0; --strokes_share lies in 0 to 1")
    sources = load_sources(args)
    if args.sheet:
        write_sheet(args.sheet, sources, args.random_state)
    else:
        write_words(args, sources)


if __name__ == "__main__":
    utils.run(main)
