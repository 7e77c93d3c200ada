"""The options of the scripts that draw words; all that a script needs of this package until it draws.

    >>> add_options(parser.add_argument)
    >>> chosen = {name: getattr(args, name) for name in OPTIONS}
    >>> render.Renderer(**chosen)
"""
from pathlib import Path

ROOT = Path(__file__).parent.parent
FONTS, LEXICON = ROOT / "fonts", ROOT / "lexicons" / "en.txt"
SPLITS = "train", "valid", "test"
STYLES = "scene", "paper", "board"
OPTIONS = "fonts", "lexicon", "strokes", "strokes_share", "styles"


def add_options(add):
    """Add the options that a Renderer takes to a parser; `add` is its add_argument."""
    add("--fonts", type=Path, default=FONTS, metavar="DIR", help="folder of woff2, woff, ttf or otf files (default: fonts/)")
    add("--lexicon", type=Path, default=LEXICON, metavar="FILE", help="words to draw: one a line, and how often it occurs "
                                                                      "(default: lexicons/en.txt)")
    add("--strokes", type=Path, metavar="NPZ", help="pen movements to draw from too; render.Strokes says how they are kept")
    add("--strokes_share", type=float, default=0.5, help="part of the paper and board words drawn from them (default 0.5)")
    add("--styles", type=styles, default="scene=1,paper=2,board=1",
        help="how often each is drawn (default scene=1,paper=2,board=1)")


def styles(text):
    """{style: weight} of "scene=1,paper=2"; weights that cannot be are the Renderer's to refuse."""
    return {name.strip(): float(weight) for name, _, weight in (part.partition("=") for part in text.split(","))}
