"""The options of the scripts that draw words; all that a script needs of this package until it draws.

    >>> add_options(parser.add_argument)
    >>> chosen = {name: getattr(args, name) for name in OPTIONS}
    >>> render.Renderer(**chosen)
"""
import argparse
import math
from pathlib import Path

from command import UserError, number

ROOT = Path(__file__).parent.parent
FONTS, LEXICON = ROOT / "fonts", ROOT / "lexicons" / "en.txt"
SPLITS = "train", "valid", "test"
STYLES = "scene", "paper", "board"
OPTIONS = "fonts", "lexicon", "strokes", "strokes_share", "styles"


def add_options(add):
    """Add the options that a Renderer takes to a parser; `add` is its add_argument."""
    add("--fonts", type=folder, default=FONTS, metavar="DIR", help="folder of ttf, otf, woff or woff2 files (default fonts)")
    add("--lexicon", type=file, default=LEXICON, metavar="FILE", help="words to draw: one a line, and how often it occurs "
                                                                      "(default: lexicons/en.txt)")
    add("--strokes", type=file, metavar="NPZ", help="pen movements to draw from too; render.Strokes says how they are kept")
    add("--strokes_share", type=number(0, 1), default=0.5, help="part of the paper and board words drawn from them (0.5)")
    add("--styles", type=styles, default="scene=1,paper=2,board=1",
        help="how often each is drawn (default scene=1,paper=2,board=1)")


def folder(text):
    """An argparse type: the path of a folder that is there."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text}: no such folder")
    return Path(text)


def file(text):
    """An argparse type: the path of a file that is there."""
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"{text}: no such file")
    return Path(text)


def styles(text):
    """An argparse type: {style: weight} of "scene=1,paper=2"."""
    weights = {name.strip(): float(weight) for name, _, weight in (part.partition("=") for part in text.split(","))}
    check_styles(weights)
    return weights


def check_styles(weights):
    """UserError unless {style: weight} has styles that there are and weights that can be."""
    if unknown := set(weights) - set(STYLES):
        raise UserError(f"--styles: {', '.join(map(str, sorted(unknown)))} is none of {', '.join(STYLES)}")
    if not all(0 <= weight < math.inf for weight in weights.values()) or not sum(weights.values()):
        raise UserError(f"--styles: weights are numbers from 0, not all of them 0, not {weights}")
