"""Does a model lean on the white patches in the background of IAM's word images?

    python benchmarks/patches.py --model_path models/iam --image_path iam_words

IAM's images have pure white where its makers cut away what belongs to other words, beside paper that is a little darker.
The same words, greedily read by one look, in one run:

* as they are
* patches gone: whatever is brighter than the paper's median shade gets that shade
* background smoothed: all that is no ink gets the paper's median shade; ink is what lies on the dark side of Otsu's
  threshold, and a pixel around it
"""
import datetime
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))  # the scripts are no package
import command
import predict
from fitting import backend
from words.image_files import read_image
from words.images import grey_of
from words.lists import read_folder
from words.metrics import letters_and_digits, score, worth_scoring
from words.reader import load_reader


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("--model_path", required=True, help="model folder, or a weights file in one")
    parser.add_argument("--image_path", required=True, type=Path, help="folder of words, dark on bright, with labels")
    parser.add_argument("--split", help="the part to score (default: the words' valid part)")
    return parser.parse_args(argv)


def ink_and_paper(grey):
    """bool [H, W], where the ink and a pixel around it is, and the shade of the paper between it and the patches."""
    _, dark = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)
    ink = cv2.dilate(dark, np.ones((3, 3), np.uint8)) > 0
    paper = grey[~ink & (grey < 253)]  # 253 and more: a patch, blurred a little by JPEG or WebP
    return ink, np.uint8(np.median(paper)) if paper.size else np.uint8(255)


def without_patches(grey):
    _, paper = ink_and_paper(grey)
    return np.minimum(grey, paper)


def smoothed(grey):
    ink, paper = ink_and_paper(grey)
    return np.where(ink, np.minimum(grey, paper), paper)


CHANGES = {"as they are": lambda grey: grey, "patches gone": without_patches, "background smoothed": smoothed}


def main(argv=None):
    args = parse_args(argv)
    words = read_folder(args.image_path)
    chosen = predict.choose_split(words)
    reader = load_reader(args.model_path, beam_width=0, tta=False)
    images = {i: grey_of(read_image(words.path(i))) for i in chosen.tolist()}
    changed = np.mean([(without_patches(grey) != grey).mean() for grey in images.values()])
    print(f"{datetime.date.today()}, {backend.hardware()}, {args.model_path}; {changed:.0%} of all pixels are brighter than "
          "their paper\n\n| | words | word accuracy | mean edit distance | normalised |\n"
          "| --- | ---: | ---: | ---: | ---: |")
    for name, change in CHANGES.items():
        readings = reader.read([change(grey) for grey in images.values()])
        pairs = [(letters_and_digits(reading.text), letters_and_digits(words.text(i)))
                 for reading, i in zip(readings, images)]
        scores = score(*zip(*(pair for pair, worth in zip(pairs, worth_scoring(pairs)) if worth)))
        print(f"| {name} | {scores['words']:,} | {scores['word_accuracy']:.3f} | {scores['mean_edit_distance']:.3f} | "
              f"{scores['normalised_edit_distance']:.3f} |")


if __name__ == "__main__":
    command.run(main)
