"""Find photos by what is written on them: an index of what was read on many photos, and queries to it.

    >>> import index
    >>> photos = index.open("photos/search.index")  # or "postgresql://reader@server/photos"
    >>> for result in photos.find('budget "next sprint" review*', limit=5):
    ...     print(result.file, result.score, [match.text for match in result.matches])

search.py makes an index. Nothing slow is imported before `open`.
"""
import dataclasses
import gc

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


def is_url(path):
    """Whether this names a database, str, and no file."""
    return str(path).startswith(("postgresql://", "postgres://"))


def open_store(path, create=False):
    """The index.store.Store of a file or, by its URL, of a database. With `create`, it may be written to, and is made if it
    is not there. UserError, one line, if there is none or it cannot be opened."""
    if is_url(path):
        from index.postgres import PostgreSQL
        return PostgreSQL(path, create)
    from index.sqlite import SQLite
    return SQLite(path, create)


def open(path, compiled=False):
    """The Index that search.py made, in a file or, by its URL, in a database, to be read. UserError as of `open_store`.

    compiled: for many queries; see index/compiled.py.
    """
    from index import blocks
    from index.finding import Index
    store = open_store(path)
    if is_url(path):  # the indexers of a database are elsewhere; its words are kept where they are searched
        blocks.try_to_keep(store)
    if compiled:
        from index import compiled as loops
        gc.freeze()  # what is loaded stays: to look it through for garbage, now and then, holds up all who ask
        return Index(store, loops)
    return Index(store)
