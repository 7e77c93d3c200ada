"""How like are drawn words to real ones? What can be measured of them side by side, and whether a classifier parts them.

    python make_words.py -o drawn -n 1500 --styles board=1 --strokes STROKES.npz
    python benchmarks/likeness.py --real board_words --drawn drawn --sheet sheet.png

Both folders have a labels.csv; of the real words those of split train are taken, at most 30 a writer or source. The table
has percentiles of each measure. The two-sample test (Lopez-Paz and Oquab, 2017) asks of each word whether most of the 15
that are nearest to it by these measures are real or drawn: half of the answers are right where nobody could tell, all where
anybody can.
--sheet draws 50 of each, real ones above, to look at.
"""
import datetime
import shlex
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the scripts are no package: their folder, by hand
import command
from command import UserError
from words.image_files import read_image, write_image
from words.images import grey_of
from words.lists import read_folder
from words.sheets import contact_sheet

PER_WRITER = 30
NEAREST = 15
PERCENTILES = 5, 25, 50, 75, 95


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("--real", type=Path, required=True, metavar="DIR", help="folder of real words")
    parser.add_argument("--drawn", type=Path, required=True, metavar="DIR", help="folder of drawn words")
    parser.add_argument("--words", type=command.whole(100), default=1500, help="words of each, at most (default 1500)")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="draw 50 of each")
    parser.add_argument("--overwrite", action="store_true", help="replace the sheet")
    args = parser.parse_args(argv)
    command.new_picture(args.sheet, args.overwrite)
    return args


def images_of(folder, most, rng):
    """Up to `most` random words of a folder, uint8 [H, W] each: of the split train, at most PER_WRITER a writer."""
    words = read_folder(folder)
    order = [i for i in rng.permutation(len(words)) if not words.splits or words.splits[words.split_ids[i]] == "train"]
    order = [i for i in order if sum(c.isalnum() for c in words.text(i)) > 1]
    counts, chosen = {}, []
    for i in order:
        writer = int(words.groups[i])
        counts[writer] = counts.get(writer, 0) + 1
        if writer < 0 or counts[writer] <= PER_WRITER:
            chosen.append(i)
    if len(chosen) < 100:
        raise UserError(f"{folder}: holds {len(chosen)} words to compare; it takes 100")
    return [grey_of(read_image(words.path(i))) for i in chosen[:most]]


def measures(grey):
    """What can be measured of a word's image uint8 [H, W], {name: float}; None where there is no ink."""
    height, width = grey.shape
    page = grey.astype(np.float32)
    smooth = cv2.GaussianBlur(grey, (0, 0), max(height / 60, 0.4))
    _, ink = cv2.threshold(smooth, 0, 1, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)
    light = ink.mean() > 0.5
    ink = 1 - ink if light else ink
    core, far = cv2.erode(ink, np.ones((2, 2))) == 1, cv2.dilate(ink, np.ones((5, 5))) == 0
    if min(core.sum(), far.sum()) < 30:
        return None
    paper, level = np.median(page[ink == 0]), np.percentile(page[ink == 1], 75 if light else 25)
    contrast = max(abs(paper - level), 1)
    large = cv2.resize(page, None, fx=192 / height, fy=192 / height, interpolation=cv2.INTER_CUBIC)
    depth = cv2.distanceTransform(np.uint8((large - paper) / (level - paper) > 0.5), cv2.DIST_L2, 5)
    middle = depth[(depth >= cv2.dilate(depth, np.ones((3, 3))) - 1e-3) & (depth > 1)]  # along the middle of the strokes
    if middle.size < 5:
        return None
    slope = np.hypot(cv2.Sobel(page, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(page, cv2.CV_32F, 0, 1) / 8)
    return {
        "height, px": height,
        "width / height": width / height,
        "paper, grey level": paper,
        "ink, grey level": level,
        "contrast, grey levels": contrast,
        "stroke width / height": 2 * np.median(middle) / 192,
        "unevenness of strokes": middle.std() / middle.mean(),
        "width of edges, px": contrast / max(np.percentile(slope, 97), 1),
        "grain, grey levels": (page - cv2.GaussianBlur(page, (0, 0), 1.5))[far].std(),
        "light's deviation, grey levels": cv2.GaussianBlur(page, (0, 0), 4)[far].std(),
        "ink's deviation / contrast": page[core].std() / contrast,
        "part that is ink": ink.mean(),
        "ink at the upper edge": ink[0].mean(),
        "ink at the lower edge": ink[-1].mean(),
        "ink at the left": ink[:, 0].mean(),
        "ink at the right": ink[:, -1].mean(),
        "light on dark": float(light),
    }


def two_samples(real, drawn, rng):
    """What part of as many real as drawn words, measures float [N, M], is known by its neighbours.

    Each measure counts by its rank, so that none outweighs the others."""
    count = min(len(real), len(drawn))
    samples = np.concatenate([rng.permutation(real)[:count], rng.permutation(drawn)[:count]])
    ranks = np.argsort(np.argsort(samples + 1e-6 * rng.random(samples.shape), axis=0), axis=0) / len(samples)
    squares = np.square(ranks).sum(axis=1)
    distances = squares[:, None] + squares[None] - 2 * ranks @ ranks.T
    np.fill_diagonal(distances, np.inf)
    is_drawn = np.arange(len(samples)) >= count
    votes = is_drawn[np.argpartition(distances, NEAREST, axis=1)[:, :NEAREST]].mean(axis=1)
    return float(((votes > 0.5) == is_drawn).mean())


def main(argv=None):
    args = parse_args(argv)
    rng = np.random.default_rng(0)
    words = {name: images_of(folder, args.words, rng) for name, folder in (("real", args.real), ("drawn", args.drawn))}
    if args.sheet:
        write_image(args.sheet, contact_sheet(
            [([image], name) for name, images in words.items() for image in images[:50]], columns=10, largest=(146, 52)))
    found = {name: [each for each in map(measures, images) if each] for name, images in words.items()}
    tables = {name: np.array([list(each.values()) for each in rows]) for name, rows in found.items()}
    print(f"{datetime.date.today()}, {len(tables['real']):,} real and {len(tables['drawn']):,} drawn words\n")
    print(f"    python benchmarks/likeness.py {shlex.join(sys.argv[1:] if argv is None else argv)}\n")
    print(f"| measure | real: {', '.join(map(str, PERCENTILES))} % | drawn |\n| --- | --- | --- |")
    for k, name in enumerate(found["real"][0]):
        cells = [" ".join(f"{value:.3g}" for value in np.percentile(table[:, k], PERCENTILES))
                 + f", mean {table[:, k].mean():.3g}" for table in tables.values()]
        print(f"| {name} | {cells[0]} | {cells[1]} |")
    print(f"\nTwo-sample test: {two_samples(*tables.values(), rng):.3f} of the words are known.")


if __name__ == "__main__":
    command.run(main)
