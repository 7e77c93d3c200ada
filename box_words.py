"""Cut labelled boxes on photos into labelled words: each alone, and with --pairs neighbours of a line together.

    python box_words.py --path boards --result_path board_words --copies 1
    python box_words.py --path boards --result_path board_pairs --pairs --split train
    python train.py --path board_words --path board_pairs --alphabet ascii --save_path models --model_name mine

The folder is one to train the page network on that has the words' texts: boxes.tsv (page, split, segmentation, x, y, w, h,
text), or lines.json and words.tsv (file, line, word, four corners, text, fit); see photos/folders.py. Doubtful words are
left out. line_words.py cuts lines whose words have no boxes.

Pairs, and threes of short words, teach a reader with a space in its alphabet where two words stand so close together that a
detector takes them for one: "linked list". A mark stands with its word: "list.". Those that the network's image would show
too small, and those with a wide gap, are left out.

Written are RESULT_PATH/labels.csv (file, text, writer, split) and the words' images.
"""
import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import command
from photos import folders
from photos.cutting import cut, loosened, sides
from words.image_files import write_image
from words.images import grey_of

MARKS = frozenset(".,;:!?)\"'")  # written without a space before them
WIDEST = {1: np.inf, 2: 5.5, 3: 4.5}  # heights of so many words in one box
GAP = 0.9  # of the height of the box: neighbours are not further apart


class Box(NamedTuple):
    """A word on a photo: its corners, float [4, 2], and its text."""
    quad: np.ndarray
    text: str


def around(quads):
    """The corners, float [4, 2], of the box around words, float [N, 4, 2], from left to right, turned as they are."""
    along = quads[0][1] - quads[0][0] + quads[-1][2] - quads[-1][3]
    frame = np.array([along, [-along[1], along[0]]]) / np.linalg.norm(along)
    places = np.concatenate(quads) @ frame.T
    (left, top), (right, bottom) = places.min(axis=0), places.max(axis=0)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]]) @ frame


def together(words, count):
    """The Boxes around each `count` words that follow each other in a line, [Box, ...] from left to right."""
    for start in range(len(words) - count + 1):
        some = words[start:start + count]
        quad = around([word.quad for word in some])
        wide, high = sides(quad)
        along = (quad[1] - quad[0]) / wide
        gaps = [(right.quad @ along).min() - (left.quad @ along).max() for left, right in itertools.pairwise(some)]
        if wide <= WIDEST[count] * high and max(gaps, default=0) <= GAP * high:
            yield Box(quad, some[0].text + "".join(" " * (not set(word.text) <= MARKS) + word.text for word in some[1:]))


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    add = parser.add_argument
    add("--path", required=True, type=Path, metavar="DIR", help="folder of labelled photos")
    add("--result_path", required=True, type=Path, metavar="DIR", help="folder for the words")
    add("--pairs", action="store_true", help="two or three neighbours in one box, instead of each word alone")
    add("--split", choices=("train", "valid"), help="only the photos of this split (default: all)")
    add("--copies", type=command.whole(0, 99), default=0, metavar="N",
        help="cut each word to train on N times more, in boxes as a detector may find them")
    add("--overwrite", action="store_true", help="replace the words of an earlier run")
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    command.new_file(args.result_path / "labels.csv", args.overwrite)
    photos, rng = folders.read_lines(args.path, args.split), np.random.default_rng(0)
    (args.result_path / "words").mkdir(parents=True, exist_ok=True)
    labels = []
    for path, writer, split, lines in tqdm(photos, unit="photo", dynamic_ncols=True):
        pixels = grey_of(folders.image(path))
        boxes = [box for line in lines for count in ((2, 3) if args.pairs else (1,))
                 for box in together([Box(*word) for word in line], count)]
        for k, (box, copy) in enumerate(itertools.product(boxes, range(1 + args.copies * (split == "train")))):
            image, _ = cut(pixels, loosened(box.quad, rng) if copy else box.quad)
            if image is not None:
                name = f"words/{path.stem}-{k:04d}.png"
                write_image(args.result_path / name, image)
                labels.append((name, box.text, writer, split))
    command.write_csv(args.result_path / "labels.csv", [("file", "text", "writer", "split"), *labels])
    print(f"{args.result_path}: {command.count(len(labels), 'word image')} of {command.count(len(photos), 'photo')}")


if __name__ == "__main__":
    command.run(main)
