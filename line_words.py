"""Cut labelled lines on photos into labelled words; where a line is cut is settled by what a trained model reads there.

    python line_words.py --lines lines.json --image_path photos --model_path models/notes --result_path board_words
    python train.py --path board_words --pretrained_path models/notes --save_path models --model_name mine

lines.json is a list of photos: file (the name below --image_path), lines, and optionally split ("train", "valid", ...) and
source (who wrote, so that no split divides them). A line has a quad, its four corners in pixels of the upright photo,
clockwise from its own top-left, and its text, with a space between words; with "ignore": true it is left out.

A line of n words is parted at n - 1 gaps of its ink. For every stretch of ink between two gaps and every word that may stand
there by its length, the model says how likely it is to read that word there (CTC's string probability); dynamic programming
finds the most likely parting. The box of a word is then fitted to its own ink, and to what is left of it without the lines
above and below, and again the likeliest counts. A word that the model hardly believes is left out: `--least`.
Look at the words before training on them: what is hard to read for the model is left out too, which makes them easier.

Written are RESULT_PATH/labels.csv (file, text, writer, split, log_probability), the words' images, boxes.json with their
boxes, and doubtful.csv, which has the words and lines that were left out, and why.
"""
import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

import command
from command import UserError
from photos import boxes
from photos.cutting import corners, cut, loosened, sides
from photos.files import check_photos
from photos.page import Page, Word
from words.image_files import read_image, write_image
from words.images import grey_of, prepare

ctc = command.later("words.ctc")
word_reader = command.later("words.reader")

HEIGHT = 64  # pixels of a line as its gaps are looked for, with its margins
MARGIN = 0.2  # of the line's height, on each side
EDGE = 1.5  # pixels of those between a word's ink and its box
SHORTEST, LONGEST = 0.4, 2.2  # a word's width beside the one expected of its letters
ASTRAY = 0.15  # of the line's length: how far from the place expected a word may begin or end
CUT_INK = 3  # pixels of ink in a column that may be cut through where gaps alone give no words that are believed
DOUBT = -1.0  # the log-probability of a line's words for each character, below which they are not
UNWRITABLE = -3.0  # the log-probability of a word, as "=" or "->", that the model's alphabet cannot write
BETTER = 1.0  # by how much a closer box must be likelier than the ink's own
NARROW, WIDE = "il.,:;'|!1()[]", "mwMW"


# --- What is to be cut ----------------------------------------------------------------------------------------

def read_lines(path: Path) -> list[dict]:
    """The photos of a lines.json; UserError where it is none."""
    try:
        photos = json.loads(Path(path).read_text(encoding="utf8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; line_words.py --help says what it holds") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error})") from None
    try:
        for photo in photos:
            str(photo["file"])
            for line in photo["lines"]:
                if np.shape(line["quad"]) != (4, 2) or not isinstance(line["text"], str):
                    raise ValueError
    except (TypeError, KeyError, ValueError):
        raise UserError(f"{path}: not a list of photos with a file and lines, each with a quad of four corners and a text; "
                        "--help says what it holds") from None
    return photos


# --- A line's ink and its gaps --------------------------------------------------------------------------------

def straighten(photo: np.ndarray, quad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A line upright, uint8 [HEIGHT, W], with MARGIN around it, and the matrix, float [3, 3], from there to the photo.

    photo: uint8 [H, W]; quad: float [4, 2], the line's corners.
    """
    width, height = sides(quad)
    margin = MARGIN * height
    scale = HEIGHT / (height + 2 * margin)
    size = max(8, round((width + 2 * margin) * scale)), HEIGHT
    inside = np.array([[margin, margin], [margin + width, margin], [margin + width, margin + height],
                       [margin, margin + height]]) * scale
    matrix = cv2.getPerspectiveTransform(inside.astype(np.float32), quad.astype(np.float32))
    strip = cv2.warpPerspective(photo, matrix, size, flags=cv2.INTER_AREA | cv2.WARP_INVERSE_MAP,
                                borderMode=cv2.BORDER_REPLICATE)
    return strip, matrix


def ink_of(strip: np.ndarray) -> np.ndarray:
    """bool [HEIGHT, W]: where a line, uint8 [HEIGHT, W], has ink, darker than its surroundings or lighter, as chalk.

    What stands for the most part in the margins above and below is another line's.
    """
    paper = cv2.medianBlur(strip, 2 * (HEIGHT // 2) + 1).astype(np.float32)
    difference = cv2.GaussianBlur(strip, (3, 3), 0) - paper
    dark, light = (np.clip(sign * difference, 0, 255).astype(np.uint8) for sign in (-1, 1))
    contrast = light if np.percentile(light, 97) > 1.6 * np.percentile(dark, 97) else dark
    threshold, _ = cv2.threshold(contrast, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    ink = (contrast > max(8, 0.8 * threshold)).astype(np.uint8)
    count, labels, boxes_of, _ = cv2.connectedComponentsWithStats(ink)
    top, height, area = boxes_of[:, cv2.CC_STAT_TOP], boxes_of[:, cv2.CC_STAT_HEIGHT], boxes_of[:, cv2.CC_STAT_AREA]
    first, last = HEIGHT * MARGIN / (1 + 2 * MARGIN), HEIGHT * (1 + MARGIN) / (1 + 2 * MARGIN)
    inside = np.minimum(top + height, last) - np.maximum(top, first)
    kept = (inside > 0.45 * height) & (area > 5) & (np.arange(count) > 0)
    return kept[labels]


def pieces_of(ink: np.ndarray, thin: int = 0) -> list[tuple[int, int]]:
    """The stretches of ink between the gaps of a line, bool [H, W]: (first column, column after the last), in order.

    A gap is where columns hold at most `thin` pixels of ink.
    """
    edges = np.flatnonzero(np.diff(np.pad(ink.sum(axis=0) > thin, 1).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))


def lengths_of(words: list[str]) -> np.ndarray:
    """About how long each word is written, float [n], in letters of middling width."""
    return np.array([sum(0.55 if letter in NARROW else 1.25 if letter in WIDE else 1 for letter in word) for word in words])


def stretches(pieces: list[tuple[int, int]], words: list[str]) -> dict[tuple[int, int, int], float]:
    """Which words may stand where: {(word, its first piece, the piece after its last): log of how well its width fits}."""
    lengths = lengths_of(words)
    first, last = pieces[0][0], pieces[-1][1]
    unit = (last - first) / (lengths.sum() + 0.8 * (len(words) - 1))  # pixels a letter; a gap is 0.8 of one
    starts = first + unit * (np.cumsum(lengths + 0.8) - lengths - 0.8)
    astray = ASTRAY * (last - first) + 1.5 * unit
    fits = {}
    for k, (length, start) in enumerate(zip(lengths * unit, starts)):
        for i in range(k, len(pieces) - len(words) + k + 1):
            for j in range(i + 1, len(pieces) - len(words) + k + 2):
                left, right = pieces[i][0], pieces[j - 1][1]
                wide = (right - left) / length
                if k in (0, len(words) - 1) and (i, j) == (0, len(pieces)) or (
                        abs(left - start) < astray and abs(right - start - length) < astray and SHORTEST < wide < LONGEST):
                    fits[k, i, j] = -2 * np.log(wide) ** 2
    return fits


# --- Which word is where --------------------------------------------------------------------------------------

@dataclasses.dataclass
class Box:
    """A word's place on a photo: its corners, float [4, 2], its image, uint8 [h, w], and what the model says of its text."""
    quad: np.ndarray
    pixels: np.ndarray
    log_probability: float = UNWRITABLE


def box_of(photo, matrix, ink, left, right, rows=None):
    """The Box of the columns `left` to `right` of a line, around their ink; of its `rows` (first, after the last), if given;
    None where there is no ink."""
    first, last = rows or (0, len(ink))
    y, x = np.nonzero(ink[first:last, left:right])
    if not len(x):
        return None
    top, bottom = first + y.min() - EDGE, first + y.max() + 1 + EDGE
    left, right = left + x.min() - EDGE, left + x.max() + 1 + EDGE
    square = np.array([[[left, top], [right, top], [right, bottom], [left, bottom]]])
    quad = cv2.perspectiveTransform(square, matrix)[0]
    pixels, _ = cut(photo, quad.tolist())
    return None if pixels is None else Box(quad, pixels)


def believe(reader, found: list[Box], texts: list[str]):
    """Give each Box the log-probability of its text by the reader."""
    spelled = [reader.alphabet.encode(reader.alphabet.spell(text)[0]) for text in texts]
    known = [k for k, classes in enumerate(spelled) if classes]
    if known:
        images = np.stack([prepare(found[k].pixels, reader.size) for k in known])
        chances = ctc.string_log_probability(reader.logits(images), [spelled[k] for k in known])
        for k, chance in zip(known, chances):
            found[k].log_probability = float(chance)


def best_parting(scores: dict[tuple[int, int, int], float], words: int, pieces: int) -> list[tuple[int, int]] | None:
    """For each word its first piece and the one after its last, so that the sum of scores is highest and all ink is used.

    scores: {(word, first piece, piece after the last): score}. None where no parting is among them.
    """
    best = {(0, 0): (0.0, [])}  # (words placed, pieces used): the highest sum, and the words' places
    for k, i, j in sorted(scores):
        if (k, i) in best:
            total, places = best[k, i]
            total += scores[k, i, j]
            if (k + 1, j) not in best or total > best[k + 1, j][0]:
                best[k + 1, j] = total, places + [(i, j)]
    return best.get((words, pieces), (0, None))[1]


def part(photo: np.ndarray, line: dict, reader) -> list[Box] | None:
    """The Boxes of a line's words; None where it cannot be parted. photo: uint8 [H, W]."""
    words, quad = line["text"].split(), corners(line["quad"])
    if quad is None or not words:
        return None
    strip, matrix = straighten(photo, quad)
    ink, best = ink_of(strip), None
    for thin in (0, CUT_INK):
        found = part_at(photo, matrix, ink, pieces_of(ink, thin), words, reader)
        if found and (not best or believed(found) > believed(best)):
            best = found
        if best and believed(best) > DOUBT * sum(len(word) + 1 for word in words):
            break
    return best


def believed(found):
    return sum(box.log_probability for box in found)


def part_at(photo, matrix, ink, pieces, words, reader):
    """As `part`, of a line's `words` and `pieces` of ink."""
    if len(pieces) < len(words):
        return None
    fits = stretches(pieces, words)
    found = {place: box_of(photo, matrix, ink, pieces[place[1]][0], pieces[place[2] - 1][1]) for place in fits}
    found = {place: box for place, box in found.items() if box}
    believe(reader, list(found.values()), [words[k] for k, _, _ in found])
    scores = {place: box.log_probability + fits[place] for place, box in found.items()}
    places = best_parting(scores, len(words), len(pieces))
    if places is None:
        return None
    spans = [(pieces[i][0], pieces[j - 1][1]) for i, j in places]
    return fit(photo, matrix, ink, spans, [found[k, i, j] for k, (i, j) in enumerate(places)], words, reader)


def fit(photo, matrix, ink, spans, found, words, reader):
    """The Boxes `found`, and where the model reads the word by BETTER without the rows of the lines above or below, that."""
    top, bottom = round(HEIGHT * MARGIN / (1 + 2 * MARGIN)), round(HEIGHT * (1 + MARGIN) / (1 + 2 * MARGIN))
    upper, lower = HEIGHT * 2 // 5, HEIGHT // 2
    choices = [[box] for box in found]
    for boxes_of, (left, right) in zip(choices, spans):
        rows = ink[:, left:right].sum(axis=1)
        above, below = upper - rows[upper - 1::-1].argmin(), lower + rows[lower:].argmin()  # the gaps nearest to the middle
        tried = (box_of(photo, matrix, ink, left, right, limits)
                 for limits in ((top, bottom), (above, HEIGHT), (0, below), (above, below)))
        boxes_of += [box for box in tried if box]
    flat = [(box, word) for boxes_of, word in zip(choices, words) for box in boxes_of[1:]]
    believe(reader, [box for box, _ in flat], [word for _, word in flat])
    return [max(boxes_of, key=lambda box: box.log_probability + BETTER * (box is boxes_of[0])) for boxes_of in choices]


# --- The script -----------------------------------------------------------------------------------------------

def words_of(photo: dict, pixels: np.ndarray, reader, least: float) -> tuple[list, list]:
    """Rows (line, word, text, Box) of a photo's words, and rows (file, line, word, text, reason) of what is left out.

    photo: one of a lines.json; pixels: uint8 [H, W]; least: the log-probability for each character and one more.
    """
    words, doubtful = [], []
    for number, line in enumerate(photo["lines"]):
        texts = line["text"].split()
        if line.get("ignore") or not texts:
            continue
        found = part(pixels, line, reader)
        if found is None:
            doubtful.append((photo["file"], number, "", line["text"], "the line cannot be parted"))
            continue
        for k, (box, text) in enumerate(zip(found, texts)):
            if box.log_probability < least * (len(text) + 1):
                doubtful.append((photo["file"], number, k, text, f"log-probability {box.log_probability:.1f}"))
            else:
                words.append((number, k, text, box))
    return words, doubtful


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    add = parser.add_argument
    add("--lines", required=True, type=Path, metavar="FILE", help="the photos' lines and their texts: a lines.json")
    add("--image_path", required=True, type=Path, metavar="DIR", help="folder of the photos")
    add("--model_path", required=True, help="model folder: who judges where a word stands")
    add("--result_path", required=True, type=Path, metavar="DIR", help="folder for the words")
    add("--least", type=command.number(-100, 0), default=-1.0, metavar="X",
        help="leave out a word whose log-probability is below X for each of its characters, and one more (default -1)")
    add("--copies", type=command.whole(0, 99), default=0, metavar="N",
        help="cut each word to train on N times more, in boxes as a detector may find them")
    add("--overwrite", action="store_true", help="replace the words of an earlier run")
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    command.new_file(args.result_path / "labels.csv", args.overwrite)
    photos = read_lines(args.lines)
    check_photos(args.image_path, [photo["file"] for photo in photos])
    reader = word_reader.load_reader(args.model_path)
    (args.result_path / "words").mkdir(parents=True, exist_ok=True)
    labels, doubtful, pages, rng = [], [], [], np.random.default_rng(0)
    for photo in tqdm(photos, unit="photo", dynamic_ncols=True):
        try:
            pixels = grey_of(read_image(args.image_path / photo["file"]))
        except ValueError as error:
            doubtful.append((photo["file"], "", "", "", str(error)))
            continue
        words, left_out = words_of(photo, pixels, reader, args.least)
        doubtful += left_out
        pages.append(Page(photo["file"], pixels.shape[1], pixels.shape[0], [
            Word(box.quad.round(1).tolist(), text, line=number) for number, _, text, box in words]))
        split = photo.get("split", "")
        for number, k, text, box in words:
            loose = [cut(pixels, loosened(box.quad, rng))[0] for _ in range(args.copies * (split in ("", "train")))]
            for copy, image in enumerate([box.pixels, *loose]):
                name = f"words/{Path(photo['file']).stem}-{number:03d}-{k:02d}" + f"-{copy}" * (copy > 0) + ".png"
                write_image(args.result_path / name, image)
                labels.append((name, text, photo.get("source", photo["file"]), split, round(box.log_probability, 2)))
    command.write_csv(args.result_path / "labels.csv", [("file", "text", "writer", "split", "log_probability"), *labels])
    command.write_csv(args.result_path / "doubtful.csv", [("photo", "line", "word", "text", "reason"), *doubtful])
    boxes.write(args.result_path / "boxes.json", pages)
    print(f"{args.result_path}: {command.count(len(labels), 'word image')} of {command.count(len(pages), 'photo')}; words, "
          f"lines and photos left out: {len(doubtful):,}, see doubtful.csv")


if __name__ == "__main__":
    command.run(main)
