"""From a text to a labelled image of a word.

    >>> renderer = Renderer(styles={"scene": 1, "paper": 2, "board": 1})
    >>> word = renderer.word(np.random.default_rng((0, 7)))  # word 7 of the set with random_state 0
    >>> word.text, word.style, word.source, word.image.shape
"""
import collections
import math

import numpy as np

from command import UserError
from render import camera, shapes
from render.chances import cumulative, pick
from render.fonts import Fonts
from render.options import FONTS, LEXICON
from render.strokes import Strokes, draw_strokes, vary
from render.styles import PAINT
from render.surfaces import TILE, tiles
from render.texts import Texts, drawable

HEIGHTS = {"scene": (18, 42), "paper": (24, 54), "board": (24, 54)}  # px of the ink
MIN_X_HEIGHT = 7.5  # px of a letter such as "x", where a word has small letters
READABLE = {"scene": 8, "paper": 26, "board": 26}  # grey levels between ink and paper in each part of a finished word
UNDERLINED = 0.07  # of the signs
TRIES = 100  # texts for a face, and faces for a word, before it is given up
VARIED = 0.5  # of the training words from strokes

Word = collections.namedtuple("Word", "image text style source")


class Renderer:
    """Draws labelled words without end.

    fonts: folder of faces (see Fonts); lexicon: path of a word list (see Texts; default the project's own, English);
    strokes: path of pen movements (see Strokes) or None; styles: weights of "scene", "paper" and "board" (default 1, 2,
    1); strokes_share: part of the paper and board words that is drawn from strokes, where there are some.
    renderer.usable: a function text -> bool; texts that it refuses are not drawn. UserError for what is wrong.
    """

    def __init__(self, fonts=FONTS, lexicon=None, strokes=None, styles=None, strokes_share=0.5, usable=None):
        styles = {"scene": 1, "paper": 2, "board": 1} if styles is None else styles
        if unknown := set(styles) - set(PAINT):
            raise UserError(f"--styles: {', '.join(map(str, sorted(unknown)))} is none of {', '.join(PAINT)}")
        weights = [float(styles.get(style, 0)) for style in PAINT]
        if not all(0 <= weight < math.inf for weight in weights) or not sum(weights):
            raise UserError(f"--styles: weights are numbers from 0, not all of them 0, not {styles}")
        if not 0 <= strokes_share <= 1:
            raise UserError(f"--strokes_share {strokes_share}: lies in 0 to 1")
        self.styles = cumulative(weights)
        self.texts = Texts(lexicon or LEXICON)
        self.strokes = Strokes(strokes) if strokes else None
        self.fonts = Fonts(fonts)
        self.strokes_share = strokes_share if strokes else 0
        self.usable = usable or (lambda text: True)
        tiles()  # now, so that processes forked later share them

    def word(self, rng, split="train"):
        """A Word (image uint8 [H, W], text, style, source) drawn with a numpy Generator.

        split: "train", or "valid" or "test", whose fonts and writers are those held out for it. source: the font's
        family, or "ondb" and the number of the writer. UserError if no face of the split can write the texts.
        """
        for _ in range(TRIES):
            style = list(PAINT)[pick(rng, self.styles)]
            height = rng.uniform(*HEIGHTS[style])
            ink, x_height, text, source = self._ink(rng, split, style, height)
            if ink is None:
                continue
            drawn, height = ink.shape[0], max(height, min(MIN_X_HEIGHT / x_height * ink.shape[0], camera.MAX_HEIGHT))
            ink, scale = shapes.warp(ink, height, style, rng)
            if ink is None:
                continue
            ink, strangers = shapes.crop(ink, min(drawn * scale, ink.shape[0]), rng)
            if np.any(ink.shape > np.array(TILE)):  # so bent, or wide, that nothing of it would be left in 100 x 32 px
                continue
            x_height *= scale / ink.shape[0]
            page, ink = camera.fit_height(PAINT[style](ink, strangers, rng), ink)
            image = camera.degrade(page, x_height * ink.shape[0], rng)
            if camera.readable(image, ink, READABLE[style]):
                return Word(image, text, style, source)
        raise UserError("no word could be drawn: the fonts lack the characters of the lexicon, or the alphabet does")

    def _ink(self, rng, split, style, height):
        """(ink uint8 [H, W] or None, the height of its small letters in px, text, source) of a random word."""
        if style != "scene" and self.strokes_share and rng.random() < self.strokes_share:
            word = self.strokes.pick(rng, split)
            text, source = self.strokes.texts[word], f"ondb{self.strokes.writers[word]}"
            if not self.usable(text):
                return None, 0, text, source
            strokes = self.strokes.strokes_of(word)
            if split == "train" and rng.random() < VARIED:  # the other parts keep their hands as they are
                strokes = vary(strokes, rng)
            return *draw_strokes(strokes, height, rng), text, source
        face = self.fonts.pick(rng, split, style)
        capitals = style == "scene" and rng.random() < 0.35  # a third of the signs may be in a hand's capitals
        texts = (face.suited(self.texts.pick(rng, style), capitals) for _ in range(TRIES))
        text = next((text for text in texts if face.writes(text) and drawable(text) and self.usable(text)), "")
        if not text:
            return None, 0, text, face.family
        ink, x_height = face.draw(text, height, rng, style == "scene")
        if ink is not None:
            ink = shapes.pen_width(ink, style, rng)
            x_height = x_height if any(c.islower() for c in text) else 0.7 * ink.shape[0]
            ink = shapes.underline(ink, rng) if style == "scene" and rng.random() < UNDERLINED else ink
        return ink, x_height, text, face.family
