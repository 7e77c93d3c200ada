"""Find photos by what is written on them: an index of what was read on many photos, and queries to it.

    >>> import index
    >>> photos = index.open("photos/.search.index")
    >>> for result in photos.find('budget "next sprint" review*', limit=5):
    ...     print(result.file, result.score, [match.text for match in result.matches])

search.py makes an index. Nothing slow is imported before `open`.
"""
import dataclasses

DOUBTFUL = 0.1  # results with a lower score are shown apart


@dataclasses.dataclass
class Match:
    """A word that matched: four corners in pixels of the upright photo, what was read there, how likely it is what was
    asked for."""
    polygon: list[list[float]]
    text: str
    probability: float


@dataclasses.dataclass
class Result:
    """A photo that was found: its number, its file, how good a result it is (0..1, 1 is certain), and the words that
    matched, the likeliest first."""
    photo: int
    file: str
    score: float
    matches: list[Match]


@dataclasses.dataclass
class Photo:
    """A photo of the index. taken: EXIF's date as 2026-11-25T17:00:00, or None; error: why it could not be read, or ""."""
    id: int
    file: str
    width: int
    height: int
    taken: str | None
    error: str


@dataclasses.dataclass
class Word:
    """A word of a photo, as Match; `alternatives`: (text, confidence) of the likeliest texts, best first; line,
    paragraph: their numbers."""
    polygon: list[list[float]]
    text: str
    confidence: float
    alternatives: list[tuple[str, float]]
    line: int
    paragraph: int


def open(path):
    """The Index of a file that search.py made. UserError, one line, if there is none or it cannot be read."""
    from index.finding import Index
    from index.store import Store
    return Index(Store(path))
