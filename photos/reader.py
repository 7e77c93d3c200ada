"""Reads whole photos: finds the words on them, reads each, and puts them in reading order.

    >>> import photos
    >>> reader = photos.load_reader("models/pages", words="models/notes")
    >>> page = reader.read("board.jpg")
    >>> print(page.text)
    >>> [(word.text, word.confidence, word.polygon) for word in page.words]
"""
import concurrent.futures
import dataclasses
import os
from pathlib import Path

import numpy as np
from PIL import Image

from photos.cutting import cut_to_read, levels_of
from photos.detector import load_detector
from photos.files import as_photo, load_photo
from photos.joining import joined, neighbours
from photos.lines import reading_order
from photos.page import MIN_CONFIDENCE, Page, Word
from photos.parting import part
from words import ctc
from words.image_files import pixels_of
from words.images import grey_of, prepare_to_read
from words.models import find_model
from words.reader import Reader
from words.reader import load_reader as load_word_reader

AT_ONCE = 32  # words, at most, that a thread reads at once
SPECKS = frozenset(" .,:;'`\"-_=~|")  # a text of these alone may be dots of the paper, stains or lines
FORCED = -2.0  # nats a character: a lexicon makes a word of anything; where the image says less of its text, it is none


class PageReader:
    """Finds and reads the words of photos.

    detector: finds them, see photos/detector.py. words: a words.reader.Reader, or None to find words only.
    models: {"pages": ..., "words": ...}, their names, which stand in the pages as what they were read with. threads: that
    cut and read words, each some at a time: while the network of one works, another has Python's lock to cut.
    """

    def __init__(self, detector, words: Reader | None, models: dict, threads: int = 1):
        self.detector, self.words, self.models, self.threads = detector, words, models, threads

    def read(self, photo: str | os.PathLike | Image.Image | np.ndarray, top_paths: int = 1,
             min_confidence: float = MIN_CONFIDENCE) -> Page:
        """The Page of a photo: a path, also of a page of a PDF, as "scan.pdf#3", a PIL image, or an array [H, W] or [H, W, 1
        to 4] (RGB order).

        top_paths: so many likeliest texts of each word are kept as alternatives. min_confidence: of words to keep.
        Raises ValueError with a short reason for what cannot be read.
        """
        if isinstance(photo, Image.Image):
            photo = pixels_of(photo)
        if isinstance(photo, np.ndarray):
            return self.look(as_photo(photo), "", top_paths, min_confidence)[0]
        path = Path(photo)
        return self.look(load_photo(path.parent, Page(path.name)), path.name, top_paths, min_confidence)[0]

    def look(self, pixels: np.ndarray, file: str, top_paths: int = 1,
             min_confidence: float = MIN_CONFIDENCE) -> tuple[Page, np.ndarray]:
        """As `read`, of the pixels of the photo `file`: (Page, its ink, uint8 [H, W], 255 ink)."""
        found = self.detector.find(pixels)
        polygons = np.asarray(found.polygons, float).round(1)
        words = [Word(polygons[i].tolist(), line=line, paragraph=paragraph)
                 for i, line, paragraph in reading_order(polygons)]
        if self.words:
            words = [word for word in self.read_words(pixels, found.ink, words, top_paths)
                     if word.text and word.confidence >= min_confidence and (min_confidence == 0 or self.fits(word))]
            words = without_specks(words) if min_confidence else words
        return Page(file, pixels.shape[1], pixels.shape[0], words, dict(self.models)), found.ink

    def fits(self, word):
        """Whether a word's text is what its image says, or with a lexicon may be."""
        if not self.words.lexicon:
            return True
        text = self.words.alphabet.encode(word.text)
        return ctc.string_log_probability(word.log_probabilities[None], [text])[0] >= FORCED * len(text)

    def read_words(self, pixels, ink, words, top_paths):
        """The words with their texts, confidences, alternatives and log-probabilities; boxes of several words are parted,
        those of parts of a word joined."""
        levels, alphabet = levels_of(grey_of(pixels), ink), self.words.alphabet
        words = self.read_boxes(levels, words, top_paths)
        quads = [part(word.polygon, ink, word.text, word.log_probabilities, alphabet) if " " in word.text.strip() else []
                 for word in words]
        parts = [dataclasses.replace(word, polygon=quad.round(1).tolist())
                 for word, quads in zip(words, quads) for quad in quads]
        parts = iter(self.read_boxes(levels, parts, top_paths))
        words = [found for word, quads in zip(words, quads) for found in ([next(parts) for _ in quads] or [word])]
        pairs = neighbours(words)
        wholes = [dataclasses.replace(words[k], text="", confidence=0.0, polygon=polygon) for k, polygon in pairs]
        wholes = self.read_boxes(levels, wholes, top_paths, tta=False)
        return joined(words, {k: whole for (k, _), whole in zip(pairs, wholes)})

    def read_boxes(self, levels, words, top_paths, **options):
        """The words with what is read in their boxes; as they are, without a text, where the photo shows nothing there."""
        def read(some):
            images = [image if image is None else prepare_to_read(image, self.words.size)
                      for image, _ in (cut_to_read(levels, word.polygon) for word in some)]
            readings = self.words.read_words(images, top_paths, **options)
            return [word if reading is None else as_read(word, reading) for word, reading in zip(some, readings)]

        turns = -(-len(words) // (AT_ONCE * self.threads))  # all threads have as many
        size = -(-len(words) // max(turns * self.threads, 1))
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            parts = pool.map(read, (words[k:k + size] for k in range(0, len(words), max(size, 1))))
            return [word for part in parts for word in part]


def without_specks(words: list[Word]) -> list[Word]:
    """The words in reading order without dots and dashes that no word of their line is next to, as those of dotted paper."""
    found = [None, *(None if SPECKS.issuperset(word.text) else word.line for word in words), None]  # lines of words
    return [word for word, (left, own, right) in zip(words, zip(found, found[1:], found[2:]))
            if own is not None or word.line in (left, right)]


def as_read(word: Word, reading) -> Word:
    """The word with what a words.reader.Reading says of it."""
    return dataclasses.replace(word, text=reading.text, confidence=round(reading.confidence, 4),
                               alternatives=[(text, round(sure, 4)) for text, sure in reading.alternatives],
                               log_probabilities=reading.log_probabilities)


def load_reader(model_path: str | os.PathLike, words: str | os.PathLike | None = None, lexicon: str | None = "en",
                threads: int = os.cpu_count() or 1) -> PageReader:
    """The PageReader of two model folders, of a page network and of a word recogniser, None to find words only.

    lexicon: what to read by, "en", None, or the path of a word list. UserError where a folder holds no such model.
    """
    folders = {"pages": model_path, **({} if words is None else {"words": words})}
    models = {kind: find_model(folder)[0].resolve().name for kind, folder in folders.items()}
    reader = None if words is None else load_word_reader(words, lexicon=lexicon)
    return PageReader(load_detector(model_path, threads=threads), reader, models, threads)
