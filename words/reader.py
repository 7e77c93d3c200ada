"""Read images of single words with a trained network, on onnxruntime.

    >>> reader = load_reader("models/iam", lexicon="en")
    >>> reading = reader.read("imgs/words/_letter_01.png")
    >>> reading.text, reading.confidence, reading.alternatives[:3]
"""
import concurrent.futures
import dataclasses
import itertools
import math
import os

import cv2
import numpy as np
from PIL import Image

from command import UserError
from words import ctc
from words.alphabet import Alphabet
from words.image_files import pixels_of, read_image
from words.images import MARGIN, Prepared, prepare_to_read
from words.lexicon import load_lexicon
from words.models import find_model, load_config, open_session
from words.network import build_graph

BATCH = 64  # words that go through the network together

CANDIDATES = 10  # texts that share the confidence where a lexicon is used

# What a model folder's config.json holds as "decoding", fitted by `fit_decoding`; these where nothing has been fitted.
# A temperature above 1 makes the best text surer than its bare probability, see `confidences`.
# A weight of 0 for the n-gram model of "en" reads by its words.
DECODING = {"temperature": 1.0, "lexicon_temperature": 1.0, "lexicon_weight": 0.5, "lexicon_margin": 3.0,
            "ngram_temperature": 1.0, "ngram_weight": 0.0, "ngram_bonus": 0.0}

# Test-time augmentation: a word whose likeliest text has a log-probability below DOUBT is read again, with its prepared
# image squeezed by the first of these factors of width and height, and if that says something else, by the next: of
# different readings of a word the likelier one is more often right (benchmarks/results/2026-11-24-looks.md). A long word is
# read in halves before that, see `images.prepare_to_read`.
DOUBT = math.log(0.5)
AUGMENTATIONS = (1.0, 0.85), (0.85, 1.0)


@dataclasses.dataclass
class Reading:
    """What one word image says.

    alternatives: the likeliest texts with their confidences, the best first, `text` itself among them.
    log_probabilities: float32 [T, 1 + len(alphabet)], class 0 the blank, of the view of the word that was read, T twice as
    much for one read in halves; None without ink. error: why there is no text, or "".
    """
    text: str = ""
    confidence: float = 0.0
    alternatives: list[tuple[str, float]] = dataclasses.field(default_factory=list)
    log_probabilities: np.ndarray | None = dataclasses.field(default=None, repr=False, compare=False)
    error: str = ""


class Reader:
    """A trained network that reads images of single words.

    reader.size: (width, height) of the images that the network takes. reader.alphabet: the Alphabet it writes.
    reader.beam_width: of the search for the likeliest text; 0 reads the likeliest path (greedy).
    reader.lexicon: a Lexicon or an NGram to read by, or None. reader.threads: of network and search.
    reader.augmentations: of doubtful words, see AUGMENTATIONS; () reads each word once.
    """

    def __init__(self, session, alphabet: Alphabet, decoding: dict | None = None, beam_width: int = ctc.BEAM_WIDTH,
                 lexicon: str | None = None, threads: int = 1, tta: bool = True):
        self.session, self.alphabet = session, alphabet
        self.size = tuple(session.get_inputs()[0].shape[1:3])
        self.decoding = {**DECODING, **(decoding or {})}
        self.beam_width, self.threads = beam_width, threads
        self.augmentations = AUGMENTATIONS if tta else ()
        self._letters = [alphabet.encode(each)[0] for each in alphabet.characters if each.isalnum()]
        self.lexicon = None if lexicon is None else load_lexicon(lexicon, alphabet, self.decoding)

    # --- From images to logits

    def _run(self, output, images):
        """The network's `output` for prepared images; UserError where it is not finite.

        Threads take batches in turns: several in one batch wait for each other at each layer, which takes half as long
        again. All have as many batches, of about a size.
        """
        rounds = -(-len(images) // (BATCH * self.threads))
        size = -(-len(images) // (rounds * self.threads))
        parts = [images[k:k + size] for k in range(0, len(images), size)]

        def run(part):
            return self.session.run([output], {"image": part})[0]

        if len(parts) == 1:
            found = run(parts[0])
        else:
            with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
                found = np.concatenate(list(pool.map(run, parts)))
        if not np.isfinite(found).all():
            raise UserError("the network's outputs are not finite numbers: the model's weights are damaged; train it again")
        return found

    def logits(self, images: np.ndarray) -> np.ndarray:
        """float32 [N, T, 1 + len(alphabet)] of prepared images, float32 [N, W, H, 1], N > 0."""
        return self._run("logits", images)

    def views(self, images: np.ndarray, halves: list | None = None) -> list:
        """Functions from indices of prepared images, int [n], to the logits of further views of these, see `search_views`:
        of their `halves`, float32 [2, W, H, 1] or None each, and for each augmentation of them squeezed."""
        def of_halves(which):
            there = [halves[k] for k in which if halves[k] is not None]
            found = iter(self.logits(np.concatenate(there))) if there else iter(())
            return [None if halves[k] is None else np.concatenate([next(found), next(found)]) for k in which]

        squeezed = [lambda which, by=factors: self.logits(squeeze(images[which], *by)) for factors in self.augmentations]
        return [of_halves] * (halves is not None and bool(squeezed)) + squeezed

    def straighten(self, images: np.ndarray) -> np.ndarray | None:
        """Prepared images as they leave the STN, float32 [N, W, H, 1]; None if the network has none."""
        if "straight" not in [output.name for output in self.session.get_outputs()]:
            return None
        return self._run("straight", images)

    # --- From logits to texts

    def search(self, logits: np.ndarray, top_paths: int = 1) -> list[list[ctc.Text]]:
        """The `top_paths` likeliest ctc.Texts of each of float [N, T, C], N lists, the best first; with a lexicon CANDIDATES
        of them or more, greedily one."""
        if self.lexicon:
            return ctc.beam_search(logits, max(self.beam_width, top_paths), max(CANDIDATES, top_paths), self.lexicon,
                                   self.threads)
        if self.beam_width:
            return ctc.beam_search(logits, max(self.beam_width, top_paths), top_paths, threads=self.threads)
        greedy = [text.classes for text in ctc.greedy(logits)]
        return [[ctc.Text(*text)] for text in zip(greedy, ctc.string_log_probability(logits, greedy))]

    def alternatives(self, found: list[list[ctc.Text]], top_paths: int = 1) -> list[list[tuple[str, float]]]:
        """The `top_paths` best (text, confidence) of each list of ctc.Texts that `search` found; no spaces around a text."""
        temperature = self.decoding[self.lexicon.TEMPERATURE if self.lexicon else "temperature"]
        return [[(self.alphabet.decode(text.classes).strip(), float(chance)) for text, chance in
                 zip(texts[:top_paths], confidences(texts, temperature, self.lexicon))] for texts in found]

    # --- From images to texts

    def read_prepared(self, images: np.ndarray, top_paths: int = 1, tta: bool = True,
                      halves: list | None = None) -> list[Reading]:
        """A Reading of each of prepared images, float32 [N, W, H, 1], with its `top_paths` likeliest texts.

        tta: whether doubtful ones are read again, squeezed, if the reader does so, and the long ones of them in halves.
        halves: N of them, float32 [2, W, H, 1] or None each, see `images.prepare_to_read`."""
        if not len(images):
            return []
        logits = self.logits(images)
        if halves is not None:  # rows of dots and lines are no long words
            written = np.isin(logits.argmax(axis=2), self._letters).any(axis=1)
            halves = [half if some else None for half, some in zip(halves, written)]
        found, logits = search_views(lambda logits: self.search(logits, top_paths), logits,
                                     self.views(images, halves) if tta else [], self.lexicon)
        logits = [ctc.log_softmax(steps[np.newaxis])[0] for steps in logits]
        return [Reading(*texts[0], texts, steps) if image.any() else Reading(error="no ink in it")
                for image, texts, steps in zip(images, self.alternatives(found, top_paths), logits)]

    def read_words(self, words: list[Prepared | None], top_paths: int = 1, tta: bool = True) -> list[Reading | None]:
        """As `read_prepared`, of words by `images.prepare_to_read`; None for None."""
        there = [word for word in words if word is not None]
        wholes, halves = zip(*there) if there else ((), ())
        readings = iter(self.read_prepared(np.stack(wholes), top_paths, tta, halves) if there else ())
        return [None if word is None else next(readings) for word in words]

    def read(self, images, top_paths: int = 1) -> Reading | list[Reading]:
        """A Reading for each image: a path, a PIL image, or an array [H, W] or [H, W, 1 to 4] (RGB order).

        One of these instead of a list gives one Reading. What cannot be read gets an `error`, which names its file.
        """
        if isinstance(images, (str, os.PathLike, Image.Image)) or getattr(images, "ndim", 0) in (2, 3):
            return self.read([images], top_paths)[0]
        readings, images = [], iter(images)
        while batch := [self._prepare(image) for image in itertools.islice(images, 4 * BATCH)]:
            read = self.read_words([word for word, _ in batch], top_paths)
            readings += [reading or Reading(error=error) for reading, (_, error) in zip(read, batch)]
        return readings

    def _prepare(self, image):
        """(Prepared, "") or (None, why not)."""
        is_file = isinstance(image, (str, os.PathLike))
        try:
            pixels = read_image(image) if is_file else pixels_of(image) if isinstance(image, Image.Image) else image
            return prepare_to_read(pixels, self.size), ""
        except ValueError as error:
            return None, f"{os.fspath(image)}: {error}" if is_file else str(error)
        except OSError as error:  # of a PIL image, which decodes when it is used
            return None, f"not a readable image ({error})"


def load_reader(path: str | os.PathLike, lexicon: str | None = None, beam_width: int = ctc.BEAM_WIDTH,
                threads: int = os.cpu_count() or 1, tta: bool = True) -> Reader:
    """The Reader of a model folder, or of a weights file in one; UserError where that is no model.

    lexicon: "en", or the path of a word list or of an n-gram model. beam_width: 0 reads greedily. threads: of network and
    search. tta: whether doubtful words are read again, squeezed (test-time augmentation).
    """
    folder, weights = find_model(path)
    config = load_config(folder)
    session = open_session(config, weights, build_graph)
    return Reader(session, Alphabet(config["alphabet"]), config.get("decoding"), beam_width, lexicon, threads, tta)


# --- Test-time augmentation -------------------------------------------------------------------------------------

def squeeze(images: np.ndarray, width: float, height: float) -> np.ndarray:
    """Prepared images, float32 [N, W, H, 1], with the words less wide or less high: factors, at most 1.

    The words begin at the same place and stay in the middle of the height; paper fills the rest.
    """
    left, middle = MARGIN[0] * images.shape[1] - 0.5, images.shape[2] / 2 - 0.5  # pixels' middles are the whole numbers
    matrix = np.float32([[width, 0, left * (1 - width)], [0, height, middle * (1 - height)]])
    return np.stack([cv2.warpAffine(image[..., 0].T, matrix, images.shape[1:3]).T[..., np.newaxis] for image in images])


def search_views(search, logits: np.ndarray, views: list, lexicon=None) -> tuple[list[list[ctc.Text]], list[np.ndarray]]:
    """Search words, and doubtful ones in several views: (N lists of ctc.Texts, the best first; the logits of the best).

    search: logits [n, T, C] -> n lists of Texts. logits: float [N, T, C] of the words as they are. views: functions from
    indices of words, int [n], to their logits in a further view, n of [T, C], all of as many steps, or None where a word has
    no such view; the first is asked for the doubtful words, each other one for those that the views before it have not read
    in the same way. The Texts of all views of a word stand together, ordered
    by their scores with a `lexicon`, by their log-probabilities without.
    """
    def certainty(candidate):
        text, _ = candidate
        return lexicon.score(text) if lexicon else text.log_probability

    found, logits = search(logits), list(logits)
    asked = [k for k, texts in enumerate(found) if texts[0].log_probability < DOUBT]
    for view in views:
        if not asked:
            break
        seen, alike = dict(zip(asked, view(np.array(asked)))), set()
        there = [k for k in asked if seen[k] is not None]
        for k, texts in zip(there, search(np.stack([seen[k] for k in there])) if there else ()):
            if texts[0].classes == found[k][0].classes:
                alike.add(k)
            candidates = [(text, logits[k]) for text in found[k]] + [(text, seen[k]) for text in texts]
            candidates.sort(key=certainty, reverse=True)
            different = {}
            for text, _ in candidates:
                different.setdefault(tuple(text.classes), text)
            most = max(len(found[k]), len(texts))
            found[k], logits[k] = list(different.values())[:most], candidates[0][1]
        asked = [k for k in asked if k not in alike]
    return found, logits


def confidences(texts: list[ctc.Text], temperature: float, lexicon=None) -> np.ndarray:
    """How likely each of a word's ctc.Texts, the best first, is right: float64 [n] in 0..1, falling.

    The text's probability to the power of 1 / temperature. With a lexicon, the scores of all `texts` are shared out
    instead: softmax(score / temperature).
    """
    if lexicon is None:
        return np.exp(np.minimum([text.log_probability for text in texts], 0) / temperature)
    scores = np.array([lexicon.score(text) for text in texts]) / temperature
    shares = np.exp(scores - scores[0])
    return shares / shares.sum()
