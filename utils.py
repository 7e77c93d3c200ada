"""The word recogniser that the scripts share: alphabet, word lists, images, batches, network, metrics, model folders.

    >>> import utils
    >>> reader = utils.load_reader("models/iam")
    >>> reader.read("imgs/words/_letter_01.png")
    Reading(text='letter', confidence=...)

A word goes through this file from top to bottom: a file becomes an image (`read_image`), the image what the network
sees (`prepare`, in training with random changes); `build_network` makes the network, and `ctc.py` turns its logits
into text, that of doubtful words from several looks (`Reader`).
"""
import argparse
import array
import collections
import concurrent.futures.process
import contextlib
import csv
import itertools
import json
import math
import multiprocessing
import multiprocessing.connection
import os
import platform
import re
import signal
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps
from rapidfuzz.distance import Levenshtein

import ctc


@contextlib.contextmanager
def no_stderr():
    """Nothing that is written to stderr, by C++ too, is seen; exceptions pass."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # only TensorFlow's errors are for users; and as it heeds that
with no_stderr():                                  # badly while it loads (tensorflow issue 100442), none then
    import keras
    from keras import layers, ops

cv2.setNumThreads(1)  # reading is spread over workers; OpenCV's own threads would only get in their way


# --- Errors and files -----------------------------------------------------------------------------------------

class UserError(Exception):
    """Something the user can mend. Its text is one line: what is wrong, and what to do about it."""


class Parser(argparse.ArgumentParser):
    """argparse's parser with one-line errors; shows a script's docstring as its help."""

    def __init__(self, description):
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message):
        raise UserError(f"{message}; --help lists the options")


def new_picture(path, overwrite):
    """UserError unless `path` may become a new picture; None, for no picture, may."""
    if path and path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise UserError(f"{path}: name a picture that ends in .png, .jpg or .webp")
    if path and path.exists() and not overwrite:
        raise UserError(f"{path}: is there already; --overwrite replaces it")


def run(main):
    """Call `main()` as a script does: status 0 when done, 130 for Ctrl-C, 2 and one line on stderr for a `UserError`."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf8", errors="backslashreplace")  # names of files may be anything
    try:
        main()
    except UserError as error:
        sys.exit(_complain(error, 2))
    except KeyboardInterrupt as interrupt:
        sys.exit(_complain(str(interrupt) or "stopped by the keyboard", 130))
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # disk full, no permission, ...
        sys.exit(_complain(f"{error.filename or 'writing'}: {error.strerror or error}", 2))


def _complain(message, status):
    print(f"{Path(sys.argv[0]).name}: {' '.join(str(message).split())}", file=sys.stderr)
    return status


@contextlib.contextmanager
def written_whole(path):
    """A path beside `path` to write to; it takes the name `path` at the end, and is removed if anything fails.

    So `path` holds either its old content or the new, never a part. The suffixes stay (`.weights.h5`, `.png`).
    """
    path = Path(path)
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_csv(path, rows):
    """Write rows to a CSV file, UTF-8, whole; names of files that are no UTF-8 keep their bytes."""
    with written_whole(path) as beside, open(beside, "w", newline="", encoding="utf8", errors="surrogateescape") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


# --- Alphabet -------------------------------------------------------------------------------------------------

ALPHABETS = {
    "seed": "0123456789abcdefghijklmnopqrstuvwxyz-",
    "ascii": "".join(map(chr, range(32, 127))),  # all printable ASCII, the space among them
}


class Alphabet:
    """The characters a network can write. Character i is class i + 1; class 0 is CTC's blank and labels' padding.

    `Alphabet("seed")` and `Alphabet("ascii")` are the named ones; any other string is taken as the characters.
    """

    def __init__(self, characters):
        self.characters = ALPHABETS.get(characters, characters)
        if not self.characters or len(set(self.characters)) < len(self.characters):
            raise UserError(f"--alphabet {self.characters!r}: name each character once, and at least one")
        self.has_case = self.characters not in (self.characters.lower(), self.characters.upper())
        small = self.characters == self.characters.lower()
        self._fold = str if self.has_case else str.lower if small else str.upper
        self._classes = {character: i + 1 for i, character in enumerate(self.characters)}

    def __len__(self):
        return len(self.characters)

    def spell(self, text):
        """`text` as this alphabet writes it, and how many of its characters are outside the alphabet.

        Lower case where the alphabet has no capitals, upper case where it has only those. A character outside becomes
        "-" if the alphabet has that (the 2018 rule), and is dropped if not. A text with no character of the alphabet
        at all gives "".
        """
        text = self._fold(text)
        inside = [character in self._classes for character in text]
        if not any(inside):
            return "", len(text)
        substitute = "-" if "-" in self._classes else ""
        spelled = "".join(c if known else substitute for c, known in zip(text, inside))
        return spelled, len(text) - sum(inside)

    def encode(self, spelled):
        """Classes of a spelled text: list of int in 1..len(self)."""
        return [self._classes[character] for character in spelled]

    def decode(self, classes):
        """The text of classes in 1..len(self)."""
        return "".join(self.characters[c - 1] for c in classes)


def steps_needed(text):
    """Time steps CTC needs to write `text`: one a character, and a blank between equal neighbours."""
    return len(text) + sum(a == b for a, b in zip(text, text[1:]))


# --- Word lists -----------------------------------------------------------------------------------------------

class WordList:
    """Labelled word images, packed so that mjsynth's 8.9 million fit into 500 MB and load in seconds.

    Each different folder and text is kept once; a word is a few integers that point to them.

    words.path(i), words.text(i): word i's file and exact text.
    words.texts: list of the different texts; words.text_ids: int32 [N] into it.
    words.groups: int32 [N], equal for words of one writer or form; -1 where neither is known.
    words.splits: list of the splits' names; words.split_ids: int32 [N] into it; -1 where none is given.
    words.columns, words.cells(i): what names word i in a table.
    """
    columns = ("file",)

    def __init__(self, root, rows):
        """`rows`: (file name relative to `root`, text, group or "", split or "") a word, all str."""
        self.root = str(root)
        folders, texts, groups, splits = {}, {}, {"": -1}, {"": -1}
        folder_ids, text_ids, group_ids, split_ids = (array.array("i") for _ in range(4))
        names, ends = bytearray(), array.array("q")
        for name, text, group, split in rows:
            folder, slash, base = name.rpartition("/")
            folder_ids.append(folders.setdefault(folder or slash, len(folders)))
            names += os.fsencode(base)
            ends.append(len(names))
            text_ids.append(texts.setdefault(text, len(texts)))
            group_ids.append(groups.setdefault(group, len(groups) - 1))
            split_ids.append(splits.setdefault(split, len(splits) - 1))
        self.folders, self.texts, self.splits = list(folders), list(texts), list(splits)[1:]
        self._names, self._ends = bytes(names), np.frombuffer(ends, np.int64)
        self.folder_ids, self.text_ids, self.groups, self.split_ids = (
            np.frombuffer(ids, np.int32) for ids in (folder_ids, text_ids, group_ids, split_ids))

    def __len__(self):
        return len(self._ends)

    def name(self, i):
        """Word i's file name relative to the root."""
        base = os.fsdecode(self._names[self._ends[i - 1] if i else 0:self._ends[i]])
        folder = self.folders[self.folder_ids[i]]
        return f"{folder.rstrip('/')}/{base}" if folder else base

    def cells(self, i):
        return [self.name(i)]

    def path(self, i):
        return os.path.join(self.root, self.name(i))

    def text(self, i):
        return self.texts[self.text_ids[i]]

    def missing(self):
        """bool [N]: which files are not there. Lists each folder once instead of asking for each file."""
        absent = np.zeros(len(self), bool)
        order = np.argsort(self.folder_ids, kind="stable")
        firsts = np.searchsorted(self.folder_ids[order], np.arange(len(self.folders) + 1))
        for folder, first, last in zip(self.folders, firsts, firsts[1:]):
            try:
                present = set(os.listdir(os.fsencode(os.path.join(self.root, folder))))
            except OSError:
                present = ()
            for i in order[first:last].tolist():
                start = self._ends[i - 1] if i else 0
                absent[i] = self._names[start:self._ends[i]] not in present
        return absent


def join(lists):
    """One WordList of several. Writers of different folders are different; a folder given twice keeps its words' groups,
    so that no split puts a word here and its copy there."""
    if len(lists) == 1:
        return lists[0]
    roots = [os.path.realpath(words.root) for words in lists]

    def rows():
        for words, root in zip(lists, roots):
            for i in range(len(words)):
                group = words.groups[i] if words.groups[i] >= 0 else f"word {i}" if roots.count(root) > 1 else ""
                split = words.splits[words.split_ids[i]] if words.split_ids[i] >= 0 else ""
                name = os.path.join(root, words.name(i)).replace(os.sep, "/")
                yield name, words.text(i), f"{roots.index(root)}: {group}" if group != "" else "", split

    return WordList("", rows())


VALID_NAMES = ("valid", "val", "validation", "test")  # splits to score on, the first there is


def text_of_name(name):
    """The label in a file name of mjsynth's or the 2018 kind: "12/3/45_Word_678.jpg", "_word_id.png" -> "word"."""
    parts = name.rpartition("/")[2].split("_")
    return parts[1] if len(parts) > 2 else ""


def form_of_name(name):
    """The IAM form in a file name such as "_word_a01-000u-00-00.png", a01-000u: words of one writer; else ""."""
    match = re.search(r"_([a-z]\d\d-\d{3}[a-z]?)-\d\d-\d\d\b", name)
    return match[1] if match else ""


def read_listings(root, **listings):
    """The WordList of mjsynth's annotation files, `read_listings(root, train="annotation_train.txt", valid=...)`.

    A line a word, "./12/3/45_Word_678.jpg 678"; the names of the arguments become the words' split.
    """
    return WordList(root, (row for split, name in listings.items() for row in _listing_rows(Path(root) / name, split)))


def _listing_rows(path, split):
    try:
        with open(path, encoding="utf8", errors="surrogateescape") as lines:
            for line in lines:
                name, _, number = line.rstrip().removeprefix("./").rpartition(" ")
                name = name or number  # a name alone will do
                if name:
                    yield name, text_of_name(name), "", split
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a listing such as annotation_train.txt") from None


IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")


def image_names(folder):
    """Names of the images in `folder` and below it, relative to it, sorted."""
    names = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        prefix = os.path.relpath(parent, folder).replace(os.sep, "/") + "/"
        names += [prefix.removeprefix("./") + name for name in files
                  if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")]
    return sorted(names)


def read_folder(root):
    """The WordList of a folder: of its labels.csv or labels.tsv if it has one, else of its `_text_id.png` names.

    The table's columns: `file` (or `word_id`, a name without suffix), `text`, optionally `split`, `writer`, `form`.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    for table, dialect in (("labels.csv", {}), ("labels.tsv", dict(delimiter="\t", quoting=csv.QUOTE_NONE))):
        if (root / table).is_file():
            with open(root / table, encoding="utf-8-sig", newline="") as lines:  # -sig: as Excel saves it, too
                return WordList(root, _table_rows(root / table, csv.DictReader(lines, **dialect)))
    words = WordList(root, ((name, text_of_name(name), form_of_name(name), "") for name in image_names(root)))
    if not len(words):
        raise UserError(f"{root}: neither labels.csv, labels.tsv nor an image in it")
    return words


def _table_rows(table, rows):
    try:
        columns = rows.fieldnames or ()
        if "text" not in columns or not {"file", "word_id"} & set(columns):
            raise UserError(f"{table}: its first line must name the columns file (or word_id) and text")
        named = {} if "file" in columns else {os.path.splitext(name)[0]: name for name in image_names(table.parent)}
        for row in rows:
            name = row["file"] if "file" in columns else named.get(row["word_id"], row["word_id"])
            yield name or "", row["text"] or "", row.get("writer") or row.get("form") or "", row.get("split") or ""
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table}: {error}; save it as plain CSV in UTF-8") from None


# --- Images ---------------------------------------------------------------------------------------------------

def read_image(path):
    """The pixels of an image file: [H, W] or [H, W, channels] in RGB(A) order, uint8, or as deep as the file has them.

    Turned upright as its EXIF data say. Raises ValueError with a short reason for whatever cannot be read.
    """
    try:
        with Image.open(path) as image:
            image = ImageOps.exif_transpose(image)
            if image.mode in ("P", "1", "CMYK", "YCbCr", "LAB", "HSV", "PA"):
                image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
            pixels = np.asarray(image)
    except FileNotFoundError:
        raise ValueError("no such file") from None
    except Exception as error:  # Pillow raises almost anything on damaged files
        if os.path.isfile(path) and os.path.getsize(path) == 0:
            raise ValueError("the file is empty") from None
        raise ValueError(f"not a readable image ({type(error).__name__})") from None
    return pixels


def find_ink(pixels, limit):
    """A word's ink, bright on dark: uint8 [H, W], PAPER paper, 255 ink, at most `limit` = (width, height) large.

    Otsu's threshold parts the histogram; the side that holds more of the border and of the whole is the paper.
    The paper's median becomes PAPER and the ink's strongest tenth 255, so that shade and pen make no difference.
    What differs from the paper the other way becomes less than PAPER, down to 1: on a photo of a sign that may be the word.
    But a third of the ink's contrast of it counts as paper, as IAM's white patches do.
    """
    grey = grey_of(pixels)
    scale = min(limit[0] / grey.shape[1], limit[1] / grey.shape[0])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in grey.shape[::-1]]
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    threshold, bright = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    border = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
    histogram = np.bincount(grey.ravel(), minlength=256)
    threshold = int(threshold) + 1
    if border.mean() + bright.mean() > 1:
        grey, histogram, threshold = 255 - grey, histogram[::-1], 256 - threshold
    paper, ink = histogram[:threshold], histogram[threshold:]
    if not paper.any() or not ink.any():  # one flat shade: no ink
        return np.full_like(grey, PAPER)
    paper = np.searchsorted(paper.cumsum(), paper.sum() / 2)
    ink = threshold + np.searchsorted(ink.cumsum(), ink.sum() * 0.9)
    levels = (np.arange(256) - paper) / max(ink - paper, 16)  # 16: noise on blank paper stays faint
    levels = np.maximum(levels, 0) + np.minimum(levels + 1 / 3, 0)
    return cv2.LUT(grey, np.round(PAPER + 127 * np.clip(levels, -1, 1)).astype(np.uint8))


PAPER = 128  # in uint8 images of ink


def grey_of(pixels):
    """uint8 [H, W] of any image array: grey, with alpha, colour (RGB order), 16 bit, float or bool; else ValueError."""
    pixels = np.asarray(pixels)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in (2, 3) or pixels.size == 0 or (pixels.ndim == 3 and pixels.shape[2] not in (2, 3, 4)):
        raise ValueError(f"an image is [H, W] or [H, W, 1 to 4], not of shape {pixels.shape}")
    if pixels.dtype != np.uint8:
        pixels = np.nan_to_num(pixels.astype(np.float32), posinf=0, neginf=0)
        low, high = float(pixels.min()), float(pixels.max())
        pixels = ((pixels - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)
    if pixels.ndim == 2:
        return np.ascontiguousarray(pixels)
    if pixels.shape[2] in (2, 4):  # see-through means white paper
        alpha = pixels[..., -1:].astype(np.uint16)
        pixels = ((pixels[..., :-1] * alpha + 255 * (255 - alpha)) // 255).astype(np.uint8)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.shape[2] == 3 else np.ascontiguousarray(pixels[..., 0])


def prepare(pixels, size=(100, 32), rng=None):
    """What the network sees of an image of one word: float32 [width, height, 1], time axis first.

    0 is paper, 1 ink, and less than 0, to -1, what differs from the paper the other way, see `find_ink`.
    The one way from image to network, in training and everywhere else. The word keeps its aspect ratio, is as
    large as `size` = (width, height) and MARGIN allow, starts at the left and stands in the middle of the height.
    With `rng` (numpy Generator), as training does, it is also changed at random: see `random_placement`,
    `random_stroke` and `random_light`. All is drawn at twice the size and shrunk at the end, to keep thin pens.
    """
    width, height = 2 * size[0], 2 * size[1]
    ink = find_ink(pixels, (2 * width, 2 * height))
    if rng is None:
        matrix = fit_into(ink.shape, (width, height))
    else:
        matrix = random_placement(ink.shape, (width, height), rng)
    canvas = cv2.warpAffine(ink, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=PAPER)
    if rng is not None:
        canvas = random_stroke(canvas, rng)
    canvas = (cv2.resize(canvas, size, interpolation=cv2.INTER_AREA).astype(np.float32) - PAPER) / 127
    if rng is not None:
        canvas = random_light(canvas, rng)
    return np.ascontiguousarray(canvas.T)[..., np.newaxis]


# Free on either side of a word, as parts of width and height: letters at the very edge are often misread, as the
# convolutions see little but padding there (benchmarks/results/2026-11-23-margin.md).
MARGIN = 0.04, 0.0625


def fit_into(shape, box):
    """The affine matrix, float [2, 3], that fits an image of `shape` (H, W) into `box` (width, height) less MARGIN."""
    left, room = box[0] * MARGIN[0], np.array(box) * (1 - 2 * np.array(MARGIN))
    scale = min(room[0] / shape[1], room[1] / shape[0])
    return np.array([[scale, 0, left + (scale - 1) / 2], [0, scale, (box[1] - scale * shape[0] + scale - 1) / 2]])


def random_placement(shape, box, rng):
    """As `fit_into`, with random stretch, slant, rotation and place: what differs between writers and between croppers."""
    slant, angle = rng.normal(0, 0.2), rng.normal(0, 0.03)
    stretch, zoom = np.exp(rng.normal(0, 0.15)), 1 - abs(rng.normal(0, 0.12))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.array([[stretch, -slant * stretch], [0, 1]])
    corners = linear @ np.array([[0, shape[1], 0, shape[1]], [0, 0, shape[0], shape[0]]])
    extent = np.ptp(corners, axis=1)
    scale = max(zoom, 0.6) * min(box[0] / extent[0], box[1] / extent[1])
    room = np.array(box) - scale * extent
    place = room * [rng.beta(1, 3), rng.uniform(0.1, 0.9)] - scale * corners.min(axis=1)
    return np.column_stack([scale * linear, place])


def random_stroke(canvas, rng):
    """uint8 [H, W], ink bright: a thicker or thinner pen, in one of three places out of ten."""
    kind = rng.random()
    if kind < 0.15:
        return cv2.dilate(canvas, np.ones(_KERNELS[rng.integers(len(_KERNELS))], np.uint8))
    if kind < 0.3:
        thin = cv2.erode(canvas, np.ones((2, 2), np.uint8))
        return cv2.addWeighted(thin, 0.7, canvas, 0.3, 0)  # never rubs a thin pen out
    return canvas


_KERNELS = ((2, 2), (1, 2), (2, 1), (3, 3))


def random_light(canvas, rng):
    """float32 [H, W] in -1..1: blur, contrast, a shadow across, and noise."""
    if rng.random() < 0.25:
        canvas = cv2.GaussianBlur(canvas, (3, 3), rng.uniform(0.3, 1.0))
    canvas = canvas * np.float32(rng.uniform(0.6, 1.1))
    if rng.random() < 0.25:
        canvas = canvas + np.linspace(0, rng.uniform(-0.25, 0.25), canvas.shape[1], dtype=np.float32)
    if rng.random() < 0.4:
        canvas = canvas + rng.standard_normal(canvas.shape, np.float32) * np.float32(rng.uniform(0, 0.08))
    return np.clip(canvas, -1, 1)


# --- Network --------------------------------------------------------------------------------------------------

@keras.saving.register_keras_serializable(package="crnn_ocr_lite")
class SpatialTransformer(layers.Layer):
    """Straightens a word by an affine map that it reads off the image itself.

    Jaderberg, Simonyan, Zisserman, Kavukcuoglu: Spatial Transformer Networks, NIPS 2015. A small localisation net
    gives six numbers theta; output point (x, y, 1), x and y in -1..1, shows the input at theta @ (x, y, 1),
    sampled bilinearly, with the border's values beyond the border. At the start theta is the identity.

    Input and output: float [B, W, H, channels].
    """

    def build(self, input_shape):
        filters = dict(filters=20, kernel_size=5, activation="relu")
        self.localisation = keras.Sequential([
            layers.MaxPooling2D(2), layers.Conv2D(**filters), layers.MaxPooling2D(2), layers.Conv2D(**filters),
            layers.Flatten(), layers.Dense(50, activation="relu"),
            layers.Dense(6, kernel_initializer="zeros",
                         bias_initializer=lambda shape, dtype=None: ops.cast([1, 0, 0, 0, 1, 0], dtype)),
        ], name="localisation")
        self.localisation.build(input_shape)

    def call(self, images):
        width, height = images.shape[1:3]
        theta = ops.reshape(self.localisation(images), (-1, 2, 3))
        across, down = ops.meshgrid(ops.linspace(-1.0, 1.0, width), ops.linspace(-1.0, 1.0, height), indexing="ij")
        grid = ops.stack([ops.ravel(across), ops.ravel(down), ops.ones(width * height)])  # [3, W * H]
        points = ops.matmul(theta, ops.cast(grid, theta.dtype))  # [B, 2, W * H]
        return sample_bilinear(images, (points[:, 0] + 1) * (width - 1) / 2, (points[:, 1] + 1) * (height - 1) / 2)


def sample_bilinear(images, x, y):
    """Pixels of `images`, float [B, W, H, channels], at x and y, float [B, W * H], in pixels of W and of H.

    Returns float [B, W, H, channels]. Places beyond the border show the border.
    """
    width, height, channels = images.shape[1:]
    x, y = ops.clip(x, 0, width - 1), ops.clip(y, 0, height - 1)
    left, top = ops.floor(x), ops.floor(y)
    right, bottom = ops.minimum(left + 1, width - 1), ops.minimum(top + 1, height - 1)
    pixels = ops.reshape(images, (-1, channels))
    first = ops.expand_dims(ops.arange(ops.shape(images)[0], dtype="int32") * (width * height), 1)

    def at(column, row):
        return ops.take(pixels, first + ops.cast(column, "int32") * height + ops.cast(row, "int32"), axis=0)

    along_x, along_y = ops.expand_dims(x - left, -1), ops.expand_dims(y - top, -1)
    upper = at(left, top) * (1 - along_x) + at(right, top) * along_x
    lower = at(left, bottom) * (1 - along_x) + at(right, bottom) * along_x
    return ops.reshape(upper * (1 - along_y) + lower * along_y, (-1, width, height, channels))


# A preset's blocks: (filters, stride, pooling after it), each (along the width, along the height).
PRESETS = {
    # The 2018 network, as its published weights have it: the one to measure against.
    "seed": dict(stn=True, pad=2, stem=None, rnn="GRU", reset_after=False, n_units=256, time_dense_size=128, blocks=(
        (64, 1, None), (128, 1, None), (256, 1, (2, 2)), (256, 1, None), (512, 1, (1, 2)), (512, 1, None),
        (512, 1, None))),
    # Half the width and height from the first layer on: an eighth of the multiply-adds and a third of the parameters. From
    # nothing it learns better without STN (benchmarks/results/2026-11-23-what-pays.md); the shipped models have one.
    "lite": dict(stn=False, pad=0, stem=32, rnn="GRU", reset_after=True, n_units=160, time_dense_size=128, blocks=(
        (64, 1, (1, 2)), (128, 1, None), (128, 1, (1, 2)), (256, 1, None), (256, 1, (1, 2)), (384, 1, None))),
}


def build_network(classes, size=(100, 32), preset="lite", synchronized=False, dropout=0.0, **changes):
    """The recogniser: images float [B, width, height, 1] -> logits float [B, T, classes], class 0 the blank.

    STN where the shape has one, depthwise-separable convolutions (Howard et al., MobileNets, 2017), a dense layer a time
    step, two bidirectional recurrent layers, the first's directions summed, the second's concatenated (after CRNN: Shi,
    Bai, Yao, 2015). `changes` replaces values of the preset: stn (bool), rnn ("LSTM" or "GRU"), n_units, time_dense_size.
    `synchronized`: batch normalisation over all devices of a tf.distribute strategy. `dropout`: share of the recurrent
    layers' outputs that is 0 in training (Srivastava et al., JMLR 2014); it adds no weights.
    """
    shape = {**PRESETS[preset], **changes}
    inputs = keras.Input((*size, 1), name="image")
    x = SpatialTransformer(name="stn")(inputs) if shape["stn"] else inputs
    if shape["pad"]:
        x = layers.ZeroPadding2D(shape["pad"])(x)
    if shape["stem"]:
        x = layers.Conv2D(shape["stem"], 5, strides=2, padding="same", use_bias=False, name="stem")(x)
        x = _normalise(x, synchronized, "stem")
    for i, (filters, stride, pooling) in enumerate(shape["blocks"], 1):
        x = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False, name=f"depthwise{i}")(x)
        x = _normalise(x, synchronized, f"depthwise{i}")
        x = layers.Conv2D(filters, 1, use_bias=False, name=f"pointwise{i}")(x)
        x = _normalise(x, synchronized, f"pointwise{i}")
        if pooling:
            x = layers.MaxPooling2D(pooling)(x)
    x = layers.Reshape((x.shape[1], -1))(x)
    x = layers.Dense(shape["time_dense_size"], activation="relu", name="time_dense")(x)
    for i, merge_mode in enumerate(("sum", "concat"), 1):
        # reset_after=False: Cho et al. 2014, as Keras had it in 2018; True: a fifth faster, and what cuDNN computes
        cell = (layers.LSTM(shape["n_units"], return_sequences=True) if shape["rnn"] == "LSTM"
                else GRU(shape["n_units"], return_sequences=True, reset_after=shape["reset_after"]))
        x = layers.Bidirectional(cell, merge_mode=merge_mode, name=f"recurrent{i}")(x)
        x = layers.Dropout(dropout, name=f"dropout{i}")(x) if dropout else x
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name=preset)


def _normalise(x, synchronized, name):
    # momentum: averages over 10 batches; over Keras's 100 they lag behind the weights early in a training
    x = BatchNormalization(momentum=0.9, synchronized=synchronized, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu6")(x)


@keras.saving.register_keras_serializable(package="crnn_ocr_lite")
class BatchNormalization(layers.BatchNormalization):
    """Keras's, of images float [B, W, H, channels], trained by TensorFlow's fused kernel where that is the backend: mean,
    variance and outputs in one go, which on a CPU makes a step of `lite` an eighth shorter. Weights files hold the class's
    name, which therefore is Keras's too.
    """

    def call(self, inputs, training=None, mask=None):
        if not training or not self.trainable or self.synchronized or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, ops.convert_to_tensor(self.gamma), ops.convert_to_tensor(self.beta), epsilon=self.epsilon)
        count = ops.cast(ops.size(inputs) // inputs.shape[-1], "float32")
        variance *= (count - 1) / count  # the kernel divides by count - 1, Keras by count
        self.moving_mean.assign(self.momentum * self.moving_mean + (1 - self.momentum) * mean)
        self.moving_variance.assign(self.momentum * self.moving_variance + (1 - self.momentum) * variance)
        return outputs


@keras.saving.register_keras_serializable(package="crnn_ocr_lite")
class GRU(layers.GRU):
    """Keras's, run by `gru_cpu.py` where TensorFlow runs it on a CPU: a training step of `lite` is a fifth shorter by it."""

    def inner_loop(self, sequences, initial_state, mask, training=False):
        if keras.backend.backend() != "tensorflow" or gpus() or not self.cell.reset_after:
            return super().inner_loop(sequences, initial_state, mask, training=training)
        import gru_cpu
        cell = self.cell
        outputs = gru_cpu.gru(sequences, cell.kernel, cell.recurrent_kernel, cell.bias, self.go_backwards)
        return outputs[:, -1], outputs, [outputs[:, -1]]


# --- Batches --------------------------------------------------------------------------------------------------

class Batches(keras.utils.PyDataset):
    """A whole training as one row of full batches: (images float32 [B, W, H, 1], labels int32 [B, L]).

    Epoch after epoch in a new order; a batch may reach over an epoch's end, so that none is half filled. Batch k
    depends on (`words`, `seed`, k) alone: a training that goes on at batch `first` sees what it would have seen.
    Unreadable images are replaced by the batch's other words, and remembered in `unreadable` {index: reason}.

    With `workers` > 1, on Linux, so many processes read ahead (threads would wait for each other at Python's lock);
    `close` ends them.
    """

    def __init__(self, words, chosen, labels, size, batch_size, batches, first=0, seed=0, augment=1.0, workers=1,
                 draw=None):
        """`chosen`: int [n], the words to read; `labels`: int32 [texts, L], the classes of each of `words.texts`.

        `augment`: the share of the words that is changed at random, see `prepare`; the others are shown as they are.
        `draw`, a function (i, epoch) -> (pixels, label int32 [L]), makes the words from number len(words) on.
        """
        super().__init__(workers=1)
        self.words, self.chosen, self.labels, self.size, self.draw = words, chosen, labels, size, draw
        self.batch_size, self.first, self.last = batch_size, first, batches
        self.seed, self.augment, self.unreadable = seed, augment, {}
        self.failure = None  # a UserError, which Keras would wrap in errors of its own
        self._orders, self._pool, self._futures, self._ahead = {}, None, {}, 3 * workers
        if workers > 1 and sys.platform == "linux":
            # fork: each process has the words at once, and no second TensorFlow. Elsewhere it is missing, or unsafe.
            self._pool = concurrent.futures.ProcessPoolExecutor(
                workers, multiprocessing.get_context("fork"), initializer=_begin_reading, initargs=(self,))
            self._read_ahead(0)

    def __len__(self):
        return self.last - self.first

    def __getitem__(self, k):
        try:
            if self._pool:
                self._read_ahead(k)
                images, labels, unreadable = self._futures.pop(k).result()
            else:
                images, labels, unreadable = self.read_batch(k)
        except concurrent.futures.process.BrokenProcessPool:
            self.failure = UserError("a process that reads images was ended from outside, maybe for want of memory; "
                                     "go on with --resume and fewer --workers")
            raise self.failure from None
        except UserError as error:
            self.failure = error
            raise
        self.unreadable.update(unreadable)
        return images, labels

    def _read_ahead(self, k):
        for later in range(k, min(k + self._ahead, len(self))):
            if later not in self._futures:
                self._futures[later] = self._pool.submit(_read_batch, later)

    def close(self):
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def read_batch(self, k):
        """Batch k: images, labels, and {index: reason} of the words that could not be read."""
        places = np.arange(self.batch_size) + (self.first + k) * self.batch_size
        rng = np.random.default_rng((self.seed, self.first + k))
        images, labels, unreadable = [], [], {}
        for epoch, offset in zip(*(part.tolist() for part in np.divmod(places, len(self.chosen)))):
            i = self._order(epoch)[offset]
            try:
                pixels, label = self._word(i, epoch)
                images.append(prepare(pixels, self.size, rng if rng.random() < self.augment else None))
                labels.append(label)
            except ValueError as error:
                unreadable[int(i)] = str(error)
        if not images:
            raise UserError("not one image of a whole batch is readable; the paths in the word list seem to be wrong")
        filled = [j % len(images) for j in range(self.batch_size)]
        return np.stack([images[j] for j in filled]), np.stack([labels[j] for j in filled]), unreadable

    def _word(self, i, epoch):
        if i >= len(self.words):
            return self.draw(int(i), epoch)
        return read_image(self.words.path(i)), self.labels[self.words.text_ids[i]]

    def _order(self, epoch):
        if epoch not in self._orders:
            self._orders = {e: order for e, order in self._orders.items() if e == epoch - 1}  # a batch may need two
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.chosen))
            self._orders[epoch] = self.chosen[order]
        return self._orders[epoch]


_batches = None  # in a reading process: what it reads


def _begin_reading(batches):
    global _batches
    _batches = batches
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the training's to answer
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent():
    """A reading process must not outlive a training that was killed."""
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _read_batch(k):
    return _batches.read_batch(k)


def contact_sheet(rows, columns=6, scale=2):
    """A picture of labelled images, uint8 [H, W]: `rows` is a list of (images, caption), images float [W, H, 1] each."""
    tiles = []
    for images, caption in rows:
        shown = [cv2.resize(np.uint8(np.clip(205 - 205 * image[..., 0].T, 0, 255)), None, fx=scale, fy=scale,
                            interpolation=cv2.INTER_NEAREST) for image in images]
        shown = [cv2.copyMakeBorder(image, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=128) for image in shown]
        label = np.full((20, shown[0].shape[1]), 255, np.uint8)
        cv2.putText(label, caption.encode("ascii", "replace").decode(), (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 0, 1,
                    cv2.LINE_AA)
        tiles.append(np.vstack([*shown, label]))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[k:k + columns]) for k in range(0, len(tiles), columns)])


def write_image(path, pixels):
    """Write uint8 [H, W] or [H, W, 3] (RGB) to `path`, whole."""
    with written_whole(path) as beside:
        Image.fromarray(pixels).save(beside)


# --- Machine ---------------------------------------------------------------------------------------------------

def choose_gpus(ids):
    """Let this process see the GPUs of --G only, "0" or "0,1", or none ("-1"). Without --G, the first that the
    environment's CUDA_VISIBLE_DEVICES allows. Works before the backend first looks for devices."""
    if ids is None:
        ids = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    os.environ["CUDA_VISIBLE_DEVICES"] = ids


def gpus():
    """Names of the GPUs that tf.distribute can use together; with other backends none are joined."""
    if keras.backend.backend() != "tensorflow":
        return []
    import tensorflow as tf
    return [device.name for device in tf.config.list_logical_devices("GPU")]


def hardware():
    """The processor and the GPUs in a few words, for reports."""
    name = platform.processor()
    if os.path.exists("/proc/cpuinfo"):
        models = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
        name = models[0] if models else name
    return f"{os.cpu_count()} cores of {name or platform.machine()}" + "".join(f", {gpu}" for gpu in gpus())


# --- Metrics --------------------------------------------------------------------------------------------------

def letters_and_digits(text):
    """What is scored by default: lower case, letters and digits only, as the field and the 2018 repository do."""
    return "".join(character for character in text.lower() if character.isalnum())


def worth_scoring(pairs):
    """Of (prediction, truth) pairs of `letters_and_digits`, which to score: bool a pair, with two or more in the truth.

    Where no truth has two, as in single digits, those with one.
    """
    least = 2 if any(len(truth) > 1 for _, truth in pairs) else 1
    return [len(truth) >= least for _, truth in pairs]


def has_doubled(text):
    """Whether two neighbouring characters are equal, as in "letter": what CTC needs a blank for."""
    return any(a == b for a, b in zip(text, text[1:]))


def score(predictions, truths):
    """Metrics of predicted against true texts, two lists of str of the same length. Returns a dict:

    words; mean_edit_distance: Levenshtein distance a word; normalised_edit_distance: mean of distance / length of
    the truth; cer: sum of distances / sum of lengths; word_accuracy: part read without any error; and the same with
    `doubled_` before it, over words with doubled letters. NaN where there is no word.
    """
    doubled = [has_doubled(truth) for truth in truths]
    pairs = list(zip(predictions, truths, strict=True))
    return {**_score(pairs), **{f"doubled_{name}": value for name, value in
                                _score([pair for pair, twice in zip(pairs, doubled) if twice]).items()}}


def _score(pairs):
    distances = np.array([Levenshtein.distance(*pair) for pair in pairs], float)
    lengths = np.array([max(len(truth), 1) for _, truth in pairs], float)
    mean = np.mean if pairs else lambda values: np.nan
    return {
        "words": len(pairs),
        "mean_edit_distance": float(mean(distances)),
        "normalised_edit_distance": float(mean(distances / lengths)),
        "cer": float(distances.sum() / lengths.sum()) if pairs else float("nan"),
        "word_accuracy": float(mean(distances == 0)),
    }


def calibration(confidences, correct, bins=15):
    """How far confidences are from how often they are right, over `bins` equally wide bins of 0 to 1 (Guo et al., 2017).

    confidences: float [N] in 0..1; correct: bool [N]. Returns the expected calibration error, the mean over words of
    |accuracy - mean confidence| of their bin (NaN without words), and the bins with words: rows (words, mean confidence,
    accuracy).
    """
    confidences, correct = np.asarray(confidences, float), np.asarray(correct, bool)
    place = np.minimum((confidences * bins).astype(int), bins - 1)
    rows = [(int(part.sum()), float(confidences[part].mean()), float(correct[part].mean()))
            for part in (place == k for k in range(bins)) if part.any()]
    error = sum(words * abs(accuracy - confidence) for words, confidence, accuracy in rows)
    return error / len(confidences) if rows else float("nan"), rows


# --- Model folders and reading --------------------------------------------------------------------------------

WEIGHTS = {"final": "final.weights.h5", "checkpoint": "checkpoint.weights.h5"}


def write_json(path, content):
    with written_whole(path) as beside:
        beside.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf8")


def find_model(path):
    """(folder, weights file) of a model named by its folder or by a weights file in it.

    The names of 2018, final_weights.h5 and checkpoint_weights.h5, stand for final.weights.h5 and
    checkpoint.weights.h5. A folder means its final weights.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    if path.is_dir():
        weights = folder / WEIGHTS["final"]
    else:
        weights = folder / path.name.replace("_weights.h5", ".weights.h5")
    if not (folder / "config.json").is_file():
        raise UserError(f"{path}: not a model folder (no config.json); train.py makes one")
    if not weights.is_file():
        raise UserError(f"{weights}: no such file; a model folder holds {' and '.join(WEIGHTS.values())}")
    return folder, weights


def load_config(folder):
    """The config.json of a model folder, a dict; UserError if it cannot be read or lacks something."""
    try:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf8"))
        network = config["network"]
        Alphabet(str(config["alphabet"]))
        if network["preset"] not in PRESETS or not all(type(network[name]) is int for name in ("width", "height")):
            raise ValueError(f"network {network}")
        return config
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}/config.json: not a model's ({type(error).__name__}: {error})") from None


def network_of(config, **changes):
    """The network, with fresh weights, that a model folder's config describes."""
    shape = {"stn": True, **config["network"]}  # as all had, before it could be left out
    return build_network(len(config["alphabet"]) + 1, size=(shape.pop("width"), shape.pop("height")), **shape, **changes)


def load_weights(network, weights):
    try:
        keras.Model(network.inputs, network.outputs).load_weights(weights)  # whatever optimizer the network has
    except Exception as error:  # h5py and Keras raise many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{weights}: not weights of this network ({reason})") from None


Reading = collections.namedtuple("Reading", "text confidence")

# What a model folder's config.json holds as "decoding", fitted by `fit_decoding`; these where nothing has been fitted.
# A temperature above 1 makes the best text surer than its bare probability, see `confidences`.
DECODING = {"temperature": 1.0, "lexicon_temperature": 1.0, "lexicon_weight": 0.5, "lexicon_margin": 3.0}


class Reader:
    """A trained network that reads images of single words.

    reader.beam_width: of the search for the likeliest text; 0 reads the likeliest path (greedy).
    reader.lexicon: a ctc.Lexicon to read by, or None. reader.threads: how many threads search.
    reader.squeezes: how doubtful words are looked at again, see SQUEEZES; () reads each word once.
    """

    def __init__(self, network, alphabet, decoding=None, beam_width=ctc.BEAM_WIDTH, lexicon=None, threads=1, squeezes=None):
        self.network, self.alphabet = network, alphabet
        self.size = network.input_shape[1:3]  # width, height
        self.decoding = {**DECODING, **(decoding or {})}
        self.beam_width, self.threads = beam_width, threads
        self.squeezes = SQUEEZES if squeezes is None else squeezes
        self.lexicon = None if lexicon is None else load_lexicon(lexicon, alphabet, self.decoding)

    def logits(self, images):
        """float32 [N, T, 1 + len(alphabet)] of prepared images [N, W, H, 1]."""
        logits = []
        for k in range(0, len(images), BATCH):
            batch = images[k:k + BATCH]
            full = np.zeros((BATCH, *images.shape[1:]), np.float32)  # another size would cost a compilation
            full[:len(batch)] = batch
            logits.append(np.asarray(self.network.predict_on_batch(full))[:len(batch)])
        return np.concatenate(logits)

    def look_again(self, images):
        """Logits of prepared images [N, W, H, 1] squeezed, a float32 [N, T, C] for each of `squeezes`."""
        if not self.squeezes:
            return []
        squeezed = np.concatenate([squeeze(images, *factors) for factors in self.squeezes])
        return np.split(self.logits(squeezed), len(self.squeezes))

    def search(self, logits, top_paths=1):
        """The `top_paths` likeliest ctc.Texts of each of float [N, T, C], N lists, the best first; with a lexicon CANDIDATES
        of them or more, greedily one."""
        if self.lexicon:
            return ctc.beam_search(logits, max(self.beam_width, top_paths), max(CANDIDATES, top_paths), self.lexicon,
                                   self.threads)
        if self.beam_width:
            return ctc.beam_search(logits, max(self.beam_width, top_paths), top_paths, threads=self.threads)
        greedy = [text.classes for text in ctc.greedy(logits)]
        return [[ctc.Text(*text)] for text in zip(greedy, ctc.string_log_probability(logits, greedy))]

    def readings(self, found, top_paths=1):
        """The `top_paths` best Readings of each list of ctc.Texts that `search` found."""
        temperature = self.decoding["lexicon_temperature" if self.lexicon else "temperature"]
        return [[Reading(self.alphabet.decode(text.classes), float(chance)) for text, chance in
                 zip(texts[:top_paths], confidences(texts, temperature, self.lexicon))] for texts in found]

    def read_prepared(self, images, top_paths=1):
        """The `top_paths` likeliest Readings of each of prepared images, float32 [N, W, H, 1]: N lists, the best first.

        Doubtful words are looked at again, see `settle`.
        """
        def look_again(which):
            return [self.search(logits, top_paths) for logits in self.look_again(images[which])]

        found = settle(self.search(self.logits(images), top_paths), look_again, self.lexicon)
        return [texts if image.any() else [Reading("", 0.0)]  # no ink, no text
                for image, texts in zip(images, self.readings(found, top_paths))]

    def straighten(self, images):
        """Prepared images as they leave the STN, float32 [B, W, H, 1]; None if the network has none."""
        if "stn" not in {layer.name for layer in self.network.layers}:
            return None
        return np.asarray(keras.ops.convert_to_numpy(self.network.get_layer("stn")(images)))

    def read(self, images):
        """A Reading(text, confidence in 0..1) for each image: a path, or an array [H, W] or [H, W, 1 to 4] (RGB order).

        One path or array instead of a list gives one Reading. Raises ValueError for what is no image.
        """
        if isinstance(images, (str, os.PathLike)) or getattr(images, "ndim", 0) in (2, 3):
            return self.read([images])[0]
        pixels = (read_image(image) if isinstance(image, (str, os.PathLike)) else image for image in images)
        prepared = [prepare(image, self.size) for image in pixels]
        return [best[0] for best in self.read_prepared(np.stack(prepared))] if prepared else []


BATCH = 64  # words that go through the network together
CANDIDATES = 10  # texts that share the confidence where a lexicon is used

# A word whose likeliest text has a log-probability below DOUBT is looked at again, its prepared image squeezed by these
# factors of width and height: the likelier of two readings of a word is more often the right one
# (benchmarks/results/2026-11-24-looks.md).
DOUBT = math.log(0.5)
SQUEEZES = (0.85, 1.0), (1.0, 0.85)


def squeeze(images, width, height):
    """Prepared images, float32 [N, W, H, 1], with the words less wide or less high: factors, at most 1.

    The words begin at the same place and stay in the middle of the height; paper fills the rest.
    """
    left, middle = MARGIN[0] * images.shape[1] - 0.5, images.shape[2] / 2 - 0.5  # pixels' middles are the whole numbers
    matrix = np.float32([[width, 0, left * (1 - width)], [0, height, middle * (1 - height)]])
    return np.stack([cv2.warpAffine(image[..., 0].T, matrix, images.shape[1:3]).T[..., np.newaxis] for image in images])


def settle(found, look_again, lexicon=None):
    """N lists of ctc.Texts, the best first, where doubtful words have the best texts of several looks together.

    found: those of the first look; look_again: a function from the doubtful words' indices, int [n], to their lists of Texts
    by each further look. Texts are ordered by their scores with a `lexicon`, by their log-probabilities without.
    """
    def certainty(text):
        return lexicon.score(text) if lexicon else text.log_probability

    doubtful = np.array([k for k, texts in enumerate(found) if texts[0].log_probability < DOUBT], int)
    settled = list(found)
    for k, *looks in zip(doubtful, *(look_again(doubtful) if len(doubtful) else ())):
        texts = {}
        for text in sorted(itertools.chain(found[k], *looks), key=certainty, reverse=True):
            texts.setdefault(tuple(text.classes), text)
        settled[k] = list(texts.values())[:max(map(len, [found[k], *looks]))]
    return settled


def confidences(texts, temperature, lexicon=None):
    """How likely each of a word's ctc.Texts, the best first, is right: float64 [n] in 0..1, falling.

    The text's probability to the power of 1 / temperature. With a lexicon, the scores of all `texts` are shared out
    instead: softmax(score / temperature).
    """
    if lexicon is None:
        return np.exp(np.minimum([text.log_probability for text in texts], 0) / temperature)
    scores = np.array([lexicon.score(text) for text in texts]) / temperature
    shares = np.exp(scores - scores[0])
    return shares / shares.sum()


def load_reader(path, **decoding):
    """The Reader of a model folder, or of a weights file in one.

    decoding: as of Reader, beam_width, lexicon ("en", or the path of a word list), threads and squeezes.
    """
    folder, weights = find_model(path)
    config = load_config(folder)
    network = network_of(config)
    load_weights(network, weights)
    return Reader(network, Alphabet(config["alphabet"]), config.get("decoding"), **decoding)


LEXICONS = Path(__file__).parent / "lexicons"


def load_lexicon(name, alphabet, decoding):
    """The ctc.Lexicon of a word list: of a file, or of the project's own of that name, "en"."""
    path = Path(name) if Path(name).is_file() else LEXICONS / f"{name}.txt"
    if not path.is_file():
        own = ", ".join(sorted(path.stem for path in LEXICONS.glob("*.txt") if "LICENSE" not in path.name))
        raise UserError(f"--lexicon {name}: no such file; give one with a word a line, or {own}")
    try:
        return ctc.Lexicon.load(path, alphabet.characters, weight=decoding["lexicon_weight"],
                                margin=decoding["lexicon_margin"])
    except UnicodeDecodeError:
        raise UserError(f"--lexicon {path}: not a text in UTF-8") from None
    except ValueError as error:
        raise UserError(f"--lexicon {path}: {error}") from None


FITTED_ON = 100, 2000  # words, at least and at most
OUTSIDE_COUNTS = 3  # words


def fit_decoding(reader, images, truths):
    """What makes confidences true and the lexicon "en" useful: DECODING's values, fitted on words with known texts.

    images: prepared, float32 [N, W, H, 1], for the Reader to look at as often as it does; truths: list of str. Texts are
    equal here if their letters and digits are, without case; words of one letter are left out. None where fewer than 100
    words are left; more than 2,000 are not needed.
    A temperature is the one with the highest likelihood of which words were right and which not (after Guo et al.,
    2017). Of the lexicon's weights and margins those are taken that read most words, where a word outside the lexicon
    counts as OUTSIDE_COUNTS: those are names and numbers, which one looks for, and which a lexicon reads away. With an
    alphabet that cannot write English only the temperature is fitted.
    """
    kept = [k for k, truth in enumerate(truths) if len(letters_and_digits(truth)) > 1]
    if len(kept) < FITTED_ON[0]:
        return None
    kept = np.random.default_rng(0).permutation(kept)[:FITTED_ON[1]]
    images, truths, alphabet = images[kept], [truths[k] for k in kept], reader.alphabet
    first, again = reader.logits(images), reader.look_again(images)
    plain = [letters_and_digits(truth) for truth in truths]

    def right(found):
        return np.array([letters_and_digits(alphabet.decode(texts[0].classes)) == truth
                         for texts, truth in zip(found, plain)])

    def search(lexicon=None, top_paths=1):
        def found(logits):
            return ctc.beam_search(logits, top_paths=top_paths, lexicon=lexicon)

        return settle(found(first), lambda which: [found(logits[which]) for logits in again], lexicon)

    free = search()
    fitted = {**DECODING, "temperature": fit_temperature(free, right(free))}
    try:
        lexicon = load_lexicon("en", alphabet, DECODING)
    except UserError:
        return fitted
    worth = np.array([1 if alphabet.encode(alphabet.spell(truth)[0]) in lexicon else OUTSIDE_COUNTS
                      for truth in truths])
    most = -1
    for weight, margin in itertools.product((0.2, 0.5, 0.8), (0, 1, 2, 3, 4, 6, 8)):
        lexicon.weigh(weight, margin)
        read = worth @ right(search(lexicon))
        if read > most:
            most, fitted["lexicon_weight"], fitted["lexicon_margin"] = read, weight, float(margin)
    lexicon.weigh(fitted["lexicon_weight"], fitted["lexicon_margin"])
    found = search(lexicon, top_paths=CANDIDATES)
    fitted["lexicon_temperature"] = fit_temperature(found, right(found), lexicon)
    return fitted


def fit_temperature(found, right, lexicon=None):
    """The temperature, 0.1 to 20, with which `confidences` of the best texts are likeliest. right: bool [N]."""
    def loss(temperature):
        sure = np.array([confidences(texts, temperature, lexicon)[0] for texts in found]).clip(1e-6, 1 - 1e-6)
        return -np.log(np.where(right, sure, 1 - sure)).mean()
    return round(float(min(np.geomspace(0.1, 20, 54), key=loss)), 3)
