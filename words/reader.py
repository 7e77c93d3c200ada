"""A trained network that reads images of single words."""
import collections
import itertools
import math
import os

import cv2
import numpy as np

from words import ctc
from words.images import MARGIN, prepare, read_image
from words.lexicon import load_lexicon

Reading = collections.namedtuple("Reading", "text confidence")

# What a model folder's config.json holds as "decoding", fitted by `fit_decoding`; these where nothing has been fitted.
# A temperature above 1 makes the best text surer than its bare probability, see `confidences`.
DECODING = {"temperature": 1.0, "lexicon_temperature": 1.0, "lexicon_weight": 0.5, "lexicon_margin": 3.0}


class Reader:
    """A trained network that reads images of single words.

    reader.beam_width: of the search for the likeliest text; 0 reads the likeliest path (greedy).
    reader.lexicon: a ctc.Lexicon to read by, or None. reader.threads: how many threads search.
    reader.squeezes: how doubtful words are looked at again, see SQUEEZES; () reads each word once.
    """

    def __init__(self, network, alphabet, decoding=None, beam_width=ctc.BEAM_WIDTH, lexicon=None, threads=1, squeezes=None):
        self.network, self.alphabet = network, alphabet
        self.size = network.input_shape[1:3]  # width, height
        self.decoding = {**DECODING, **(decoding or {})}
        self.beam_width, self.threads = beam_width, threads
        self.squeezes = SQUEEZES if squeezes is None else squeezes
        self.lexicon = None if lexicon is None else load_lexicon(lexicon, alphabet, self.decoding)

    def logits(self, images):
        """float32 [N, T, 1 + len(alphabet)] of prepared images [N, W, H, 1]."""
        logits = []
        for k in range(0, len(images), BATCH):
            batch = images[k:k + BATCH]
            full = np.zeros((BATCH, *images.shape[1:]), np.float32)  # another size would cost a compilation
            full[:len(batch)] = batch
            logits.append(np.asarray(self.network.predict_on_batch(full))[:len(batch)])
        return np.concatenate(logits)

    def look_again(self, images):
        """Logits of prepared images [N, W, H, 1] squeezed, a float32 [N, T, C] for each of `squeezes`."""
        if not self.squeezes:
            return []
        squeezed = np.concatenate([squeeze(images, *factors) for factors in self.squeezes])
        return np.split(self.logits(squeezed), len(self.squeezes))

    def search(self, logits, top_paths=1):
        """The `top_paths` likeliest ctc.Texts of each of float [N, T, C], N lists, the best first; with a lexicon CANDIDATES
        of them or more, greedily one."""
        if self.lexicon:
            return ctc.beam_search(logits, max(self.beam_width, top_paths), max(CANDIDATES, top_paths), self.lexicon,
                                   self.threads)
        if self.beam_width:
            return ctc.beam_search(logits, max(self.beam_width, top_paths), top_paths, threads=self.threads)
        greedy = [text.classes for text in ctc.greedy(logits)]
        return [[ctc.Text(*text)] for text in zip(greedy, ctc.string_log_probability(logits, greedy))]

    def readings(self, found, top_paths=1):
        """The `top_paths` best Readings of each list of ctc.Texts that `search` found."""
        temperature = self.decoding["lexicon_temperature" if self.lexicon else "temperature"]
        return [[Reading(self.alphabet.decode(text.classes), float(chance)) for text, chance in
                 zip(texts[:top_paths], confidences(texts, temperature, self.lexicon))] for texts in found]

    def read_prepared(self, images, top_paths=1):
        """The `top_paths` likeliest Readings of each of prepared images, float32 [N, W, H, 1]: N lists, the best first.

        Doubtful words are looked at again, see `settle`.
        """
        def look_again(which):
            return [self.search(logits, top_paths) for logits in self.look_again(images[which])]

        found = settle(self.search(self.logits(images), top_paths), look_again, self.lexicon)
        return [texts if image.any() else [Reading("", 0.0)]  # no ink, no text
                for image, texts in zip(images, self.readings(found, top_paths))]

    def straighten(self, images):
        """Prepared images as they leave the STN, float32 [B, W, H, 1]; None if the network has none."""
        if "stn" not in {layer.name for layer in self.network.layers}:
            return None
        return np.asarray(self.network.get_layer("stn")(images))

    def read(self, images):
        """A Reading(text, confidence in 0..1) for each image: a path, or an array [H, W] or [H, W, 1 to 4] (RGB order).

        One path or array instead of a list gives one Reading. Raises ValueError for what is no image.
        """
        if isinstance(images, (str, os.PathLike)) or getattr(images, "ndim", 0) in (2, 3):
            return self.read([images])[0]
        pixels = (read_image(image) if isinstance(image, (str, os.PathLike)) else image for image in images)
        prepared = [prepare(image, self.size) for image in pixels]
        return [best[0] for best in self.read_prepared(np.stack(prepared))] if prepared else []


BATCH = 64  # words that go through the network together

CANDIDATES = 10  # texts that share the confidence where a lexicon is used

# A word whose likeliest text has a log-probability below DOUBT is looked at again, its prepared image squeezed by these
# factors of width and height: the likelier of two readings of a word is more often the right one
# (benchmarks/results/2026-11-24-looks.md).
DOUBT = math.log(0.5)

SQUEEZES = (0.85, 1.0), (1.0, 0.85)


def squeeze(images, width, height):
    """Prepared images, float32 [N, W, H, 1], with the words less wide or less high: factors, at most 1.

    The words begin at the same place and stay in the middle of the height; paper fills the rest.
    """
    left, middle = MARGIN[0] * images.shape[1] - 0.5, images.shape[2] / 2 - 0.5  # pixels' middles are the whole numbers
    matrix = np.float32([[width, 0, left * (1 - width)], [0, height, middle * (1 - height)]])
    return np.stack([cv2.warpAffine(image[..., 0].T, matrix, images.shape[1:3]).T[..., np.newaxis] for image in images])


def settle(found, look_again, lexicon=None):
    """N lists of ctc.Texts, the best first, where doubtful words have the best texts of several looks together.

    found: those of the first look; look_again: a function from the doubtful words' indices, int [n], to their lists of Texts
    by each further look. Texts are ordered by their scores with a `lexicon`, by their log-probabilities without.
    """
    def certainty(text):
        return lexicon.score(text) if lexicon else text.log_probability

    doubtful = np.array([k for k, texts in enumerate(found) if texts[0].log_probability < DOUBT], int)
    settled = list(found)
    for k, *looks in zip(doubtful, *(look_again(doubtful) if len(doubtful) else ())):
        texts = {}
        for text in sorted(itertools.chain(found[k], *looks), key=certainty, reverse=True):
            texts.setdefault(tuple(text.classes), text)
        settled[k] = list(texts.values())[:max(map(len, [found[k], *looks]))]
    return settled


def confidences(texts, temperature, lexicon=None):
    """How likely each of a word's ctc.Texts, the best first, is right: float64 [n] in 0..1, falling.

    The text's probability to the power of 1 / temperature. With a lexicon, the scores of all `texts` are shared out
    instead: softmax(score / temperature).
    """
    if lexicon is None:
        return np.exp(np.minimum([text.log_probability for text in texts], 0) / temperature)
    scores = np.array([lexicon.score(text) for text in texts]) / temperature
    shares = np.exp(scores - scores[0])
    return shares / shares.sum()
