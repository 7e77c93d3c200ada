"""A photo and the words on it, as every part of the project passes them on, and as JSON.

    >>> page = Page("board.jpg", 800, 600, [Word([[10, 10], [90, 10], [90, 40], [10, 40]], "Hello", 0.9, line=0)])
    >>> page.text
    'Hello\\n'
    >>> Page.from_dict(page.to_dict()) == page
    True
"""
import dataclasses
import itertools
import json
import re

import numpy as np

MIN_CONFIDENCE = 0.01  # of words read by themselves; what is read less surely is mostly an arrow or a part of a drawing

SURE = 0.5  # a text of less confidence counts as doubtful

SHEET = re.compile(r"(?P<file>.+\.(?:pdf|tiff?))#(?P<page>[1-9]\d*)", re.IGNORECASE | re.DOTALL)


def file_of(name: str) -> str:
    """The file in which a photo is: its own, or the PDF or TIFF whose page it is."""
    sheet = SHEET.fullmatch(name)
    return sheet["file"] if sheet else name


def title(name: str) -> str:
    """A photo's name for people: "scan.tif, page 2" of "scan.tif#2"."""
    sheet = SHEET.fullmatch(name)
    return f"{sheet['file']}, page {sheet['page']}" if sheet else name


@dataclasses.dataclass
class Word:
    """A word on a photo.

    polygon: four corners [x, y], clockwise from the word's own top-left, in pixels of the upright photo, from the outer
    corner of its top-left pixel. confidence: how likely the text is right, 0..1. alternatives: the likeliest texts with
    their confidences, the best first. line, paragraph: numbers from 0 on the photo. log_probabilities: what the network
    said, float32 [T, 1 + len(alphabet)], class 0 the blank; not in JSON. None: not known. other: what else a file says.
    """
    polygon: list[list[float]]
    text: str = ""
    confidence: float | None = None
    alternatives: list[tuple[str, float]] = dataclasses.field(default_factory=list)
    line: int | None = None
    paragraph: int | None = None
    log_probabilities: np.ndarray | None = dataclasses.field(default=None, repr=False, compare=False)
    other: dict = dataclasses.field(default_factory=dict, repr=False)

    def to_dict(self) -> dict:
        return _known(polygon=self.polygon, text=self.text, confidence=self.confidence,
                      alternatives=[list(text) for text in self.alternatives] or None, line=self.line,
                      paragraph=self.paragraph, **self.other)

    @classmethod
    def from_dict(cls, content: dict) -> "Word":
        word = _from_dict(cls, content)
        word.alternatives = [tuple(text) for text in word.alternatives]
        return word


@dataclasses.dataclass
class Page:
    """A photo and its words, in reading order where their lines are known.

    file: its name, relative to the photos' folder, with "/"; page 3 of a PDF is "name.pdf#3", of a TIFF with several
    "name.tif#3". width, height: of the upright photo, in pixels. models: what it was read with, {"pages": ..., "words":
    ...}. error: why it has no words.
    """
    file: str
    width: int | None = None
    height: int | None = None
    words: list[Word] = dataclasses.field(default_factory=list)
    models: dict = dataclasses.field(default_factory=dict)
    error: str = ""
    other: dict = dataclasses.field(default_factory=dict, repr=False)

    @property
    def lines(self) -> list[list[Word]]:
        """The words, line by line."""
        return [list(line) for _, line in itertools.groupby(self.words, lambda word: word.line)]

    @property
    def paragraphs(self) -> list[list[list[Word]]]:
        """The lines, paragraph by paragraph."""
        return [list(lines) for _, lines in itertools.groupby(self.lines, lambda line: line[0].paragraph)]

    @property
    def text(self) -> str:
        """A line of text for each line, an empty one between paragraphs; words without text are left out."""
        paragraphs = [[" ".join(word.text for word in line if word.text) for line in lines] for lines in self.paragraphs]
        return "\n".join("".join(f"{line}\n" for line in lines if line) for lines in paragraphs if any(lines))

    def to_dict(self) -> dict:
        """As JSON holds it; what is not known is left out."""
        return _known(file=self.file, width=self.width, height=self.height, models=self.models or None, **self.other,
                      error=self.error or None, words=[word.to_dict() for word in self.words])

    def to_json(self) -> str:
        """JSON with a line a word."""
        head, words = self.to_dict(), ",\n".join(_line(word.to_dict()) for word in self.words)
        del head["words"]
        return f'{_line(head)[:-1]}, "words": [' + (f"\n{words}\n" if words else "") + "]}"

    @classmethod
    def from_dict(cls, content: dict) -> "Page":
        page = _from_dict(cls, content)
        page.words = [Word.from_dict(word) for word in page.words]
        return page


def _line(content):
    return json.dumps(content, ensure_ascii=False)


def _known(**content):
    return {name: value for name, value in content.items() if value is not None}


def _from_dict(cls, content):
    names = {field.name for field in dataclasses.fields(cls)} - {"other", "log_probabilities"}
    return cls(**{name: value for name, value in content.items() if name in names},
               other={name: value for name, value in content.items() if name not in names})
