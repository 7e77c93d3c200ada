"""The IAM on-line handwriting database -> pen strokes of single words, which `render/` draws from: train.py --strokes.

    python IAM_OnDB_preprocessing.py -p iam_ondb -o ondb_words.npz
    python IAM_OnDB_preprocessing.py -p iam_ondb -o ondb_words.npz --held_out valid_forms.txt
    python make_words.py --sheet sheet.png --strokes ondb_words.npz --strokes_share 1 --styles board=1

`-p` is the database's own layout (https://fki.tic.heia-fr.ch/databases/iam-on-line-handwriting-database, free registration):

    iam_ondb/lineStrokes/a01/a01-001/a01-001z-01.xml ...    lineStrokes-all.tar.gz: a line's strokes, on a whiteboard
    iam_ondb/ascii/a01/a01-001/a01-001z.txt ...             ascii-all.tar.gz: its text, a line a line, below "CSR:"
    iam_ondb/original/a01/a01-001/strokesz.xml ...          original-xml-all.tar.gz: the form's writer (optional; without it
                                                            each form counts as a writer)

A line's strokes are parted into its words at the gaps between strokes that fit the words' lengths best (dynamic
programming); `quality` says, from 0 to 100, how clear those gaps are. `render.Strokes` describes the arrays; form_names,
form, line and word say where a word comes from. IAM's and IAM-OnDB's texts are the same: with --held_out, a list of IAM's
form ids, one a line, words of the same texts are marked in `iam_text` and not drawn.
"""
import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import command
from command import UserError

LAYOUT = "-p takes lineStrokes/ beside ascii/, from fki.tic.heia-fr.ch/databases/iam-on-line-handwriting-database"
X_HEIGHT = 128  # units of an x in the strokes file
SPACE = 0.9  # letters, between two words
NARROW, WIDE = "il.,:;'|!", "mwMW"


class Word(NamedTuple):
    """A word's strokes, float [n, 2] each, in units of the strokes file, and where they come from."""
    text: str
    strokes: list
    quality: int
    form: str
    line: int
    word: int


# --- The database's files -------------------------------------------------------------------------------------

def read_strokes(path: Path) -> list[np.ndarray]:
    """The strokes of a line's XML, float [n, 2] of x and y each, y down, in the order in which they were written.

    Raises ElementTree.ParseError, or ValueError where a point has no numbers.
    """
    strokes = [[(float(point.get("x", "none")), float(point.get("y", "none"))) for point in stroke.iter("Point")]
               for stroke in ElementTree.parse(path).getroot().iter("Stroke")]
    return [np.array(stroke) for stroke in strokes if stroke]


def read_lines(path: Path) -> list[str]:
    """The lines of a form's text: those below "CSR:", as written, not as a recogniser read them (below "OCR:")."""
    _, _, text = path.read_text(encoding="utf8", errors="replace").partition("CSR:")
    return [line.strip() for line in text.splitlines() if line.strip()]


def writer_of(root: Path, form: str) -> str:
    """The writer of a form, as a01-001z; the form itself where the database does not say."""
    path = root / "original" / form[:3] / form[:7] / f"strokes{form[7:]}.xml"
    if path.is_file():
        found = re.search(rb'writerID="(\w+)"', path.read_bytes())
        if found:
            return found[1].decode()
    return form


# --- From lines to words --------------------------------------------------------------------------------------

def normalise(strokes: list[np.ndarray]) -> list[np.ndarray]:
    """A line's strokes with the baseline at y = 0 and an x X_HEIGHT high, turned level.

    Where the pen turns upwards is most often on the baseline, where it turns downwards most often at the height of an x:
    medians of those places, along a line through them that most of them are near to (Theil, 1950; Sen, 1968).
    """
    turns = {sign: np.concatenate([stroke[turning_points(sign * stroke[:, 1])] for stroke in strokes]) for sign in (1, -1)}
    low = turns[1]
    if not len(low):
        raise ValueError("no height of letters in it")
    first, second = np.triu_indices(len(low), 1)
    run = low[second, 0] - low[first, 0]
    far = np.abs(run) > 0.2 * max(np.ptp(low[:, 0]), 1)
    slope = np.median((low[second, 1] - low[first, 1])[far] / run[far]) if far.any() else 0.0
    angle = math.atan(slope)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    baseline = np.median((low @ turn.T)[:, 1])
    high = (turns[-1] @ turn.T)[:, 1] if len(turns[-1]) else np.array([baseline])
    height = np.median(baseline - high[high < baseline]) if (high < baseline).any() else 0.0
    if not height > 0:
        raise ValueError("no height of letters in it")
    return [(stroke @ turn.T - (0, baseline)) * (X_HEIGHT / height) for stroke in strokes]


def turning_points(y: np.ndarray) -> np.ndarray:
    """bool [n]: where y, float [n], is as high as its neighbours or higher and not level; a stroke's ends count too."""
    before, after = np.concatenate([[-np.inf], y[:-1]]), np.concatenate([y[1:], [-np.inf]])
    return (y >= before) & (y >= after) & ((y > before) | (y > after)) & (len(y) > 1)


def part(strokes: list[np.ndarray], words: list[str]) -> tuple[list[list[int]], int] | None:
    """The strokes of each word, lists of indices, and the quality of the parting; None where there are too few gaps.

    strokes: as of `normalise`; words: the texts of the line.
    """
    spans = sorted((stroke[:, 0].min(), stroke[:, 0].max(), k) for k, stroke in enumerate(strokes))
    groups = []  # (left, right, strokes): strokes above and below each other belong together
    for left, right, k in spans:
        if groups and left <= groups[-1][1]:
            groups[-1] = groups[-1][0], max(groups[-1][1], right), groups[-1][2] + [k]
        else:
            groups.append((left, right, [k]))
    gaps = np.array([after[0] - before[1] for before, after in zip(groups, groups[1:])])
    if len(gaps) < len(words) - 1:
        return None
    cuts, quality = choose_gaps(groups, gaps, words)
    edges = [0, *(cut + 1 for cut in cuts), len(groups)]
    return [sorted(k for *_, members in groups[a:b] for k in members) for a, b in zip(edges, edges[1:])], quality


def choose_gaps(groups, gaps, words):
    """Which of `gaps`, float [n], part the `words`, and the quality: wide ones, near where the words' lengths put them."""
    lengths = np.array([sum(map(width_of, word)) for word in words])
    left, right = groups[0][0], groups[-1][1]
    letter = max(right - left, 1) / (lengths.sum() + SPACE * (len(words) - 1))
    expected = left + letter * (np.cumsum(lengths) + SPACE * (np.arange(len(words)) + 0.5))[:-1]
    middles = np.array([(before[1] + after[0]) / 2 for before, after in zip(groups, groups[1:])])
    cost = ((middles - expected[:, np.newaxis]) / (2.5 * letter)) ** 2 - 2 * np.log(gaps / letter + 0.1)
    cuts = cheapest(cost)
    edges = [0, *(cut + 1 for cut in cuts), len(groups)]
    widths = [groups[b - 1][1] - groups[a][0] for a, b in zip(edges, edges[1:])]
    astray = np.abs(np.log(np.maximum(widths, 1) / (lengths * letter))).max()
    least, most = gaps[cuts].min(initial=np.inf), np.delete(gaps, cuts).max(initial=0.0)
    clear = 1.0 if math.isinf(least) else least / (least + most)
    return cuts, round(100 * clear * math.exp(-astray / 2))


def width_of(letter):
    return 0.55 if letter in NARROW else 1.3 if letter in WIDE else 1.0


def cheapest(cost: np.ndarray) -> np.ndarray:
    """int [n]: for each row of `cost`, float [n, m], a column, further right than that of the row above; the cheapest."""
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)  # [rows, columns passed]: the least cost
    total[0] = 0
    for k in range(1, rows + 1):
        for j in range(k, columns + 1):
            total[k, j] = min(total[k, j - 1], total[k - 1, j - 1] + cost[k - 1, j - 1])
    chosen, j = np.zeros(rows, int), columns
    for k in range(rows, 0, -1):
        while total[k, j] == total[k, j - 1]:
            j -= 1
        j -= 1
        chosen[k - 1] = j
    return chosen


def words_of_line(strokes, text, form, line):
    """The Words of a line; ValueError with a reason where it cannot be parted."""
    words = text.split()
    strokes = normalise(strokes)
    parted = part(strokes, words)
    if parted is None:
        raise ValueError("fewer gaps than its text has")
    found = []
    for number, (text, members) in enumerate(zip(words, parted[0])):
        left = min(strokes[k][:, 0].min() for k in members)
        found.append(Word(text, [strokes[k] - (left, 0) for k in members], parted[1], form, line, number))
    return found


# --- The strokes file -----------------------------------------------------------------------------------------

def delta_coded(strokes: list[np.ndarray]) -> np.ndarray:
    """int16 [n, 2]: a word's points, the first as it is, the others from the one before."""
    points = np.round(np.concatenate(strokes)).astype(int)
    deltas = np.diff(points, axis=0, prepend=np.zeros((1, 2), int))
    if np.abs(deltas).max() > np.iinfo(np.int16).max:
        raise ValueError("a word far too wide")
    return deltas.astype(np.int16)


def arrays_of(words: list[Word], writers: dict[str, str], held_out: set[str]) -> dict[str, np.ndarray]:
    """The arrays of a strokes file. writers: {form: writer}; held_out: texts, as a01-001, to be kept from training."""
    numbers = {writer: k for k, writer in enumerate(sorted(set(writers.values())))}
    forms = sorted({word.form for word in words})
    texts = [word.text.encode() for word in words]
    return {
        "points": np.concatenate([delta_coded(word.strokes) for word in words]),
        "stroke_ends": np.cumsum([len(stroke) for word in words for stroke in word.strokes]).astype(np.int32),
        "word_ends": np.cumsum([len(word.strokes) for word in words]).astype(np.int32),
        "text_blob": np.frombuffer(b"".join(texts), np.uint8),
        "text_ends": np.cumsum([len(text) for text in texts]).astype(np.int32),
        "writer": np.array([numbers[writers[word.form]] for word in words], np.int32),
        "form_names": np.array(forms), "form": np.array([forms.index(word.form) for word in words], np.int32),
        "line": np.array([word.line for word in words], np.uint8), "word": np.array([word.word for word in words], np.uint8),
        "quality": np.array([word.quality for word in words], np.uint8),
        "iam_text": np.array([word.form[:7] in held_out for word in words], np.uint8)}


def convert(root: Path) -> tuple[list[Word], list[tuple[str, str]]]:
    """The Words of the database in `root`, and (file, reason) of the lines that could not be used."""
    words, skipped = [], []
    for path in tqdm(sorted(root.glob("ascii/*/*/*.txt")), unit="form"):
        form = path.stem
        for number, text in enumerate(read_lines(path), 1):
            name = Path("lineStrokes") / form[:3] / form[:7] / f"{form}-{number:02d}.xml"
            try:
                found = words_of_line(read_strokes(root / name), text, form, number)
                [delta_coded(word.strokes) for word in found]
                words += found
            except FileNotFoundError:
                skipped.append((str(name), "no such file"))
            except (ElementTree.ParseError, ValueError) as error:
                skipped.append((str(name), str(error)))
    return words, skipped


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("-p", "--path", type=Path, required=True, help="IAM-OnDB: lineStrokes/ beside ascii/")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="NPZ", help="the strokes file to write")
    parser.add_argument("--held_out", type=Path, metavar="FILE",
                        help="IAM's forms whose texts are not to be drawn, one a line")
    parser.add_argument("--overwrite", action="store_true", help="replace a strokes file that is there")
    args = parser.parse_args(argv)
    command.new_file(args.output, args.overwrite)
    if not (args.path / "lineStrokes").is_dir() or not (args.path / "ascii").is_dir():
        raise UserError(f"{args.path}: no lineStrokes/ and ascii/ in it; {LAYOUT}")
    if args.held_out and not args.held_out.is_file():
        raise UserError(f"{args.held_out}: no such file; --held_out takes a text file with one form id a line")
    return args


def main(argv=None):
    args = parse_args(argv)
    held_out = {form.strip()[:7] for form in args.held_out.read_text().splitlines()} if args.held_out else set()
    words, skipped = convert(args.path)
    if not words:
        raise UserError(f"{args.path}: not one line in it that could be used" + (f" ({skipped[0][1]})" if skipped else "")
                        + f"; {LAYOUT}")
    writers = {form: writer_of(args.path, form) for form in {word.form for word in words}}
    with command.written_whole(args.output) as beside:
        np.savez_compressed(beside, **arrays_of(words, writers, held_out))
    print(f"{args.output}: {command.count(len(words), 'word')} by {command.count(len(set(writers.values())), 'writer')}; "
          f"{command.count(len(skipped), 'line')} left out"
          + "".join(f"\n  {file}: {reason}" for file, reason in skipped[:5]))


if __name__ == "__main__":
    command.run(main)
