"""Folders of pages to train the page network on, or to measure it on: photos with words' quads, with ink masks, or both.

    >>> pages = read_pages("boards", split="valid")
    >>> pages[0].levels[0].shape, pages[0].quads.shape
    ((1800, 2400, 3), (136, 4, 2))

A folder of pages is one of three: boxes.tsv (page, split, segmentation, x, y, w, h, text: upright boxes; rows of a
segmentation other than `ok` are to be ignored); lines.json and words.tsv (file, line, word, four corners, text, fit: quads,
doubtful ones to be ignored); pairs.tsv (file, ink, kind, group: a mask a photo, black where ink is).
"""
import csv
import json
import math
from pathlib import Path

import cv2
import numpy as np

from command import UserError
from photos.network import WORD_HEIGHT
from words.image_files import read_image
from words.images import grey_of

SURE = 1.0  # words.tsv: a fit from here on is doubtful
KEPT_APART = "lecture_10"  # pairs.tsv: the group of pages to measure on


class Page:
    """A page to train or score on.

    image: uint8 [H, W, 3]; quads: float32 [N, 4, 2], words' corners clockwise from each word's own top-left, or None where
    words are not known; ignored: float32 [M, 4, 2], regions that may hold words; ink: uint8 [H, W], 255 ink, or None;
    height: px of a word, the median; split: "train" or "valid".
    """

    def __init__(self, name, split, image, quads=None, ignored=(), ink=None, height=None):
        self.name, self.split, self.ink = name, split, ink
        self.quads = None if quads is None else np.asarray(quads, np.float32).reshape(-1, 4, 2)
        self.ignored = np.asarray(ignored, np.float32).reshape(-1, 4, 2)
        self.height = height or typical_height(self.quads)
        self.levels = [image]  # the image, half of it, a quarter, ...

    def level(self, halvings):
        """(image, ink) at 1 / 2 ** halvings of the size."""
        while len(self.levels) <= halvings:
            self.levels.append(cv2.resize(self.levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
        image = self.levels[halvings]
        ink = None if self.ink is None else cv2.resize(self.ink, image.shape[1::-1], interpolation=cv2.INTER_AREA)
        return image, ink


def typical_height(quads):
    """The median height of words' quads, float32 [N, 4, 2], in px."""
    if not len(quads):
        return float(WORD_HEIGHT)
    return float(np.median(np.linalg.norm(quads[:, 3] - quads[:, 0], axis=1)))


# --- Folders ----------------------------------------------------------------------------------------------------

def read_pages(folder, most=math.inf, split=None):
    """The Pages of a folder, of one split or all; those with words larger than `most` px are shrunk to that: less memory."""
    folder = Path(folder)
    for name, read in (("boxes.tsv", _read_boxes), ("words.tsv", _read_words), ("pairs.tsv", _read_inks)):
        if (folder / name).is_file():
            return [_shrunk(page, most) for page in read(folder, split)]
    raise UserError(f"{folder}: holds neither boxes.tsv nor words.tsv nor pairs.tsv; photos/folders.py says what they are")


def read_lines(folder, split=None):
    """The labelled words of a folder, line by line: [(path of a photo, who wrote, split, [[(quad, text), ...], ...]), ...].

    Quads are float [4, 2], sure ones only; a line ends where a doubtful word stands. split: of one or all."""
    folder = Path(folder)
    if (folder / "boxes.tsv").is_file():
        return list(_lines_of_boxes(folder, split))
    if (folder / "words.tsv").is_file():
        return list(_lines_of_words(folder, split))
    raise UserError(f"{folder}: holds neither boxes.tsv nor words.tsv; photos/folders.py says what they are")


def _lines_of_words(folder, only):
    lines = {}
    for row in _rows(folder / "words.tsv"):
        if float(row["fit"]) < SURE:
            quad = np.array([[float(row[f"{axis}{k}"]) for axis in "xy"] for k in range(1, 5)])
            lines.setdefault(row["file"], {}).setdefault(int(row["line"]), {})[int(row["word"])] = quad, row["text"]
    for photo in json.loads((folder / "lines.json").read_text(encoding="utf8")):
        if only in (None, photo["split"]):
            words = [parted(line) for _, line in sorted(lines.get(photo["file"], {}).items())]
            yield (folder / "photos" / photo["file"], photo.get("source", photo["file"]), photo["split"],
                   [line for part in words for line in part])


def parted(line):
    """A line's words, {place: word}, as lists of those that follow each other."""
    lines = []
    for place, word in sorted(line.items()):
        if place - 1 not in line:
            lines.append([])
        lines[-1].append(word)
    return lines


def _lines_of_boxes(folder, only):
    pages = {}
    for row in _rows(folder / "boxes.tsv"):
        if only in (None, row["split"]):
            pages.setdefault((row["page"], row["split"]), []).append(row)
    for (name, split), rows in pages.items():
        lines, last = [[]], None
        for row in rows:
            x, y, width, height = (float(row[side]) for side in "xywh")
            if last and (x < last[0] or abs(y + height / 2 - last[1]) > max(height, last[2])):  # a line below
                lines.append([])
            last = x, y + height / 2, height
            if row["segmentation"] == "ok":
                lines[-1].append((np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]]), row["text"]))
            else:
                lines.append([])
        yield folder / name, Path(name).stem, split, [line for line in lines if line]


def _rows(path):
    with open(path, encoding="utf8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def image(path):
    """words.image_files.read_image, whose errors end the script: there is no training without all pages."""
    try:
        return read_image(path)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def _pixels(path):
    pixels = image(path)
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., :3])


def _read_boxes(folder, only):
    pages = {}
    for row in _rows(folder / "boxes.tsv"):
        pages.setdefault((row["page"], row["split"]), []).append(row)
    for (name, split), rows in pages.items():
        if only not in (None, split):
            continue
        boxes = np.array([[float(row[side]) for side in "xywh"] for row in rows], np.float32)
        x, y, right, bottom = boxes[:, 0], boxes[:, 1], boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3]
        quads = np.stack([x, y, right, y, right, bottom, x, bottom], axis=1).reshape(-1, 4, 2)
        sure = np.array([row["segmentation"] == "ok" for row in rows])
        words = np.array([any(c.isalnum() for c in row["text"]) for row in rows])
        height = typical_height(quads[sure & words])
        yield Page(name, split, _pixels(folder / name), quads[sure], quads[~sure], height=height)


def _read_words(folder, only):
    words = {}
    for row in _rows(folder / "words.tsv"):
        words.setdefault(row["file"], []).append(row)
    for photo in json.loads((folder / "lines.json").read_text(encoding="utf8")):
        if only not in (None, photo["split"]):
            continue
        rows = words.get(photo["file"], [])
        quads = np.array([[float(row[f"{axis}{k}"]) for k in range(1, 5) for axis in "xy"] for row in rows], np.float32)
        quads = quads.reshape(-1, 4, 2)
        sure = np.array([float(row["fit"]) < SURE for row in rows], bool)
        split_lines = {int(row["line"]) for row in rows}
        ignored = [line["quad"] for k, line in enumerate(photo["lines"]) if line["ignore"] or k not in split_lines]
        ignored = np.concatenate([quads[~sure], np.array(ignored, np.float32).reshape(-1, 4, 2)])
        yield Page(photo["file"], photo["split"], _pixels(folder / "photos" / photo["file"]), quads[sure], ignored)


def _read_inks(folder, only):
    for row in _rows(folder / "pairs.tsv"):
        split = "valid" if row["group"] == KEPT_APART else "train"
        if only not in (None, split):
            continue
        ink = 255 - grey_of(image(folder / row["ink"]))
        heights = cv2.connectedComponentsWithStats(ink)[2][1:]
        tall = heights[heights[:, cv2.CC_STAT_AREA] > 30, cv2.CC_STAT_HEIGHT]
        yield Page(row["file"], split, _pixels(folder / row["file"]),
                   ink=ink, height=float(np.clip(1.6 * np.median(tall), 12, 200)) if len(tall) else WORD_HEIGHT)


def _shrunk(page, most):
    scale = most / page.height
    if scale >= 0.8:
        return page
    image = cv2.resize(page.levels[0], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    ink = None if page.ink is None else cv2.resize(page.ink, image.shape[1::-1], interpolation=cv2.INTER_AREA)
    quads = None if page.quads is None else page.quads * np.float32(scale)
    return Page(page.name, page.split, image, quads, page.ignored * np.float32(scale), ink, page.height * scale)
