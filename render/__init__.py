"""Draws labelled images of single words, as a camera or a scanner sees them: what make_words.py writes to a folder.

    >>> import numpy as np, render
    >>> renderer = render.Renderer(styles={"scene": 1, "paper": 2, "board": 1})
    >>> word = renderer.word(np.random.default_rng((0, 7)))  # word 7 of the set with random_state 0
    >>> word.text, word.style, word.source, word.image.shape

A word passes these modules in order: a text (`texts`), its ink from a font or a pen (`fonts`, `strokes`), the ink's shape,
one warp and a crop (`shapes`), then paper, light and ink of a style (`surfaces`, `styles`), and at last what a camera does
to it (`camera`). `renderer` leads it through, `options` are those of the scripts.

All images are grey, for grey is all that the network reads. Ink is uint8 [H, W], 255 full, until it is warped, and float32
[H, W] in 0 to 1 from then on; pages are float32 [H, W] in grey levels 0 to 255; finished words are uint8 [H, W].
"""
import importlib

from render.options import FONTS, LEXICON, OPTIONS, SPLITS, STYLES, add_options

HOMES = {"Renderer": "renderer", "Word": "renderer", "Texts": "texts", "Fonts": "fonts", "Face": "fonts",
         "Strokes": "strokes"}
__all__ = ["FONTS", "LEXICON", "OPTIONS", "SPLITS", "STYLES", "add_options", *HOMES]


def __getattr__(name):
    """What takes long to import is imported when it is first asked for, so that --help answers at once (PEP 562)."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
