"""Do neighbours in a line stay neighbours? photos/lines.py on known boxes of boards and IAM pages, turned and shaken too.

    python benchmarks/lines.py --boards DATA/boards --iam_pages DATA/iam_pages

Boards: the words of words.tsv, whose lines are a detector's: one line of a board may be two of them, so that "joined" is no
error alone. IAM pages: the words of boxes.tsv, which come line by line; a line ends where x goes back.
"""
import argparse
import csv
import itertools
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))  # the scripts are no package
from photos.lines import reading_order


def board_words(folder, split):
    """[(polygons float [N, 4, 2], line of each), ...] of the boards of a split."""
    splits = {photo["file"]: photo["split"] for photo in json.loads((folder / "lines.json").read_text(encoding="utf8"))}
    rows = [row for row in table(folder / "words.tsv") if splits[row["file"]] == split]
    for _, words in itertools.groupby(rows, lambda row: row["file"]):
        words = list(words)
        yield np.array([[[float(row[f"x{k}"]), float(row[f"y{k}"])] for k in range(1, 5)] for row in words]), [
            row["line"] for row in words]


def iam_words(folder, split):
    """As `board_words`, of IAM pages."""
    rows = [row for row in table(folder / "boxes.tsv") if row["split"] == split]
    for _, words in itertools.groupby(rows, lambda row: row["page"]):
        boxes = np.array([[float(row[name]) for name in "xywh"] for row in words])
        left, top, right, bottom = *boxes[:, :2].T, *(boxes[:, :2] + boxes[:, 2:]).T
        lines = np.cumsum(np.diff(left, prepend=left[0]) < -100)
        yield np.stack([[left, top], [right, top], [right, bottom], [left, bottom]]).transpose(2, 0, 1), lines


def table(path):
    with open(path, encoding="utf8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def measure(pages, angle, noise):
    """(pairs of neighbours, share that stays neighbours, share of found neighbours that are of two lines, s a page)."""
    a, rng = np.radians(angle), np.random.default_rng(0)
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    pairs = kept = found = joined = seconds = 0
    for polygons, lines in pages:
        height = np.linalg.norm(polygons[:, 3] - polygons[:, 0], axis=1)[:, np.newaxis, np.newaxis]
        started = time.perf_counter()
        order = reading_order((polygons + rng.normal(0, 1, polygons.shape) * noise * height) @ turn)
        seconds += time.perf_counter() - started
        neighbours = {(i, j) for (i, line, _), (j, other, _) in itertools.pairwise(order) if line == other}
        truth = {(k, k + 1) for k in range(len(lines) - 1) if lines[k] == lines[k + 1]}
        pairs, kept, found = pairs + len(truth), kept + len(truth & neighbours), found + len(neighbours)
        joined += sum(lines[i] != lines[j] for i, j in neighbours)
    return pairs, kept / pairs, joined / found, seconds / len(pages)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=Path, required=True)
    parser.add_argument("--iam_pages", type=Path, required=True)
    args = parser.parse_args()
    print("| data | pages | pairs | turned by | noise, of a height | stay neighbours | joined | ms a page |")
    print("| --- " * 8 + "|")
    for name, load, folder in (("boards", board_words, args.boards), ("IAM pages", iam_words, args.iam_pages)):
        for split, angle, noise in (("train", 0, 0), ("train", 0, 0.05), ("train", 30, 0), ("valid", 0, 0)):
            pages = list(load(folder, split))
            pairs, kept, joined, seconds = measure(pages, angle, noise)
            print(f"| {name}, {split} | {len(pages)} | {pairs:,} | {angle} | {noise} | {kept:.3f} | {joined:.3f} "
                  f"| {1000 * seconds:.0f} |")


if __name__ == "__main__":
    main()
