"""Does it pay to erase the strokes of others from a word's box? Boards' words read from their boxes, with and without.

    python benchmarks/foreign_ink.py --boards DATA/boards --model_path models/pages --words models/notes

The boxes and texts are those of words.tsv, the ink that of the page network. Scored as predict.py does: lower case, letters
and digits, words of two and more.
"""
import argparse
import csv
import itertools
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))  # the scripts are no package
from photos.cutting import cut, cut_alone
from photos.detector import load_detector
from words.image_files import read_image
from words.images import grey_of, prepare
from words.metrics import letters_and_digits
from words.reader import load_reader


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", type=Path, required=True)
    parser.add_argument("--split", default="valid")
    parser.add_argument("--model_path", default="models/pages")
    parser.add_argument("--words", default="models/notes")
    args = parser.parse_args()
    detector, reader = load_detector(args.model_path), load_reader(args.words)
    splits = {photo["file"]: photo["split"] for photo in json.loads((args.boards / "lines.json").read_text(encoding="utf8"))}
    with open(args.boards / "words.tsv", encoding="utf8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
                if splits[row["file"]] == args.split and len(letters_and_digits(row["text"])) > 1]
    right = {"as cut": 0, "alone": 0}
    for name, group in itertools.groupby(rows, lambda row: row["file"]):
        words, pixels = list(group), read_image(args.boards / "photos" / name)
        grey, ink = grey_of(pixels), detector.find(pixels).ink
        polygons = [[[float(row[f"x{k}"]), float(row[f"y{k}"])] for k in range(1, 5)] for row in words]
        for way, images in (("as cut", [cut(grey, polygon)[0] for polygon in polygons]),
                            ("alone", [cut_alone(grey, ink, polygon)[0] for polygon in polygons])):
            seen = [k for k, image in enumerate(images) if image is not None]
            readings = reader.read_prepared(np.stack([prepare(images[k], reader.size) for k in seen]))
            right[way] += sum(letters_and_digits(reading.text) == letters_and_digits(words[k]["text"])
                              for k, reading in zip(seen, readings))
    print("| words | right as cut | right without the strokes of others |\n| --- | --- | --- |")
    print(f"| {len(rows):,} | {right['as cut'] / len(rows):.4f} | {right['alone'] / len(rows):.4f} |")


if __name__ == "__main__":
    main()
