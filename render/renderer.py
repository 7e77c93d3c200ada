"""From a text to a labelled image of a word.

    >>> renderer = Renderer(styles={"scene": 1, "paper": 2, "board": 1})
    >>> word = renderer.word(np.random.default_rng((0, 7)))  # word 7 of the set with random_state 0
    >>> word.text, word.style, word.source, word.image.shape
"""
import collections
import string
import sys

import numpy as np

from command import UserError
from render import camera, shapes
from render.chances import cumulative, pick
from render.fonts import EVEN_STROKES, Fonts
from render.options import FONTS, LEXICON, STYLES, check_styles
from render.strokes import Strokes, draw_strokes, vary
from render.styles import PAINT
from render.surfaces import TILE, tiles
from render.texts import Texts, drawable

HEIGHTS = {"scene": (18, 42), "paper": (24, 54), "board": (18, 54)}  # px of the ink
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
        check_styles(styles)
        if not 0 <= strokes_share <= 1:
            raise UserError(f"--strokes_share {strokes_share}: lies in 0 to 1")
        self.styles = cumulative([styles.get(style, 0) for style in STYLES])
        self.texts, self._texts = Texts(lexicon or LEXICON), {}
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
            style = STYLES[pick(rng, self.styles)]
            height = rng.uniform(*HEIGHTS[style])
            ink, x_height, text, source = self._ink(rng, split, style, height)
            if ink is None:
                continue
            drawn, height = ink.shape[0], max(height, min(MIN_X_HEIGHT / x_height * ink.shape[0], camera.MAX_HEIGHT))
            ink, scale = shapes.warp(ink, height, style, rng)
            if ink is None:
                continue
            ink, strangers = shapes.crop(ink, min(drawn * scale, ink.shape[0]), style, rng)
            if np.any(ink.shape > np.array(TILE)):  # so bent, or wide, that nothing of it would be left in 100 x 32 px
                continue
            x_height *= scale / ink.shape[0]
            page, ink = camera.fit_height(PAINT[style](ink, strangers, rng), ink)
            image = camera.degrade(page, x_height * ink.shape[0], style, rng)
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
            return *draw_strokes(strokes, height, rng, style), text, source
        face, text = self._face_and_text(rng, split, style)
        if not face:
            return None, 0, "", ""
        ink, x_height = face.draw(text, height, rng, style)
        if ink is not None:
            ink = shapes.pen_width(ink, style, rng)
            x_height = x_height if any(c.islower() for c in text) else 0.7 * ink.shape[0]
            ink = shapes.underline(ink, rng) if style == "scene" and rng.random() < UNDERLINED else ink
        return ink, x_height, text, face.family

    def _face_and_text(self, rng, split, style):
        """A random text and a random face that can write it; (None, "") if none is found."""
        texts = self.texts_of(split)
        capitals = style == "scene" and rng.random() < 0.35  # a third of the signs may be in a hand's capitals
        for _ in range(TRIES):
            text = texts.pick(rng, style)
            if face := self.fonts.pick(rng, split, style, text):
                text = face.suited(text, capitals or style == "board" and face.unevenness < EVEN_STROKES)
                if face.writes(text) and drawable(text) and self.usable(text):
                    return face, text
        return None, ""

    def texts_of(self, split):
        """The Texts with those words of the lexicon that a face of a split can write and `usable` accepts.

        UserError if there are none. Where the alphabet has no letters, only digits, say, no words are expected.
        """
        if (split, self.usable) not in self._texts:
            words = self.texts.words
            if self.fonts.can_write(split, "".join(words)):  # one face writes them all
                written = [True] * len(words)
            else:
                written = [self.fonts.can_write(split, word) for word in words]
            if not any(written):
                raise UserError(f"--lexicon: no face that --fonts keeps for {split} can write any of its words, such as "
                                f"{words[0]}; give fonts that can, or another list")
            kept = [able and self.usable(word) for able, word in zip(written, words)]
            if not any(kept) and any(map(self.usable, string.ascii_letters)):
                raise UserError(f"--lexicon: the alphabet can write none of its words, such as {words[0]}; name another")
            lacking = [word for able, word in zip(written, words) if not able]
            if lacking and split == "train":
                print(f"--lexicon: {len(lacking):,} of {len(words):,} words are left out, for no face can write them: "
                      f"{', '.join(lacking[:5])}{', ...' * (len(lacking) > 5)}", file=sys.stderr)
            self._texts[split, self.usable] = self.texts.only(kept) if any(kept) else self.texts
        return self._texts[split, self.usable]
