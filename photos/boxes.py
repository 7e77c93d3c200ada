"""boxes.json: the words on photos and where they stand; read, written, gone on with, and read by predict.py as a word list.

    >>> from photos import boxes
    >>> page, = boxes.read("boxes.json")
    >>> page.words[0].polygon
    [[10, 10], [90, 10], [90, 40], [10, 40]]

The format is described in docs/formats.md and by `boxes.schema.json`; azure_ocr.py and pages.py write it, a
person or another service may. A run that makes one keeps each photo in a journal beside it, see `Journal`.
"""
import concurrent.futures
import functools
import itertools
import json
from collections.abc import Iterable
from pathlib import Path

import fastjsonschema

import command
from command import UserError
from photos.cutting import cut
from photos.files import check_photos, find_photos, load_photo
from photos.page import Page, Word
from words.images import grey_of, prepare_to_read

VERSION = 1
SCHEMA = Path(__file__).with_name("boxes.schema.json")
COORDINATES = ("pixels of the upright photo (turned as its EXIF data say), x to the right and y down from its top-left "
               "corner; four corners a word, clockwise from the word's own top-left")
ENCODING = dict(encoding="utf8", errors="surrogateescape")  # names of files may be any bytes


# --- The file -------------------------------------------------------------------------------------------------

def read(path: str | Path) -> list[Page]:
    """The photos of a boxes.json; UserError where it is none. Never loads a pickle."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; azure_ocr.py writes one, or you by hand (docs/formats.md)") from None
    if is_pickle(content):
        raise UserError(f"{path}: a pickle, which may run anything when loaded, so it is not read; "
                        "docs/formats.md shows how to convert it to boxes.json")
    return pages_of(parsed(content, path), path)


def read_page(path: str | Path) -> Page:
    """The page of a JSON of pages.py; UserError where it is none."""
    page, = pages_of({"version": VERSION, "photos": [parsed(Path(path).read_bytes(), path)]}, path)
    if not page.width:
        raise UserError(f"{path}: has no width and height; the format is in docs/formats.md")
    return page


def parsed(content: bytes, path: str | Path):
    """What JSON says, read from `path`; UserError where it is none."""
    try:
        document = json.loads(content.decode("utf-8-sig", "surrogateescape"), parse_constant=_no_constant)
        json.dumps(document, ensure_ascii=False).encode("utf8", "surrogateescape")  # half a surrogate pair cannot be written
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error}); the format is in docs/formats.md") from None
    return document


def _no_constant(name):
    raise ValueError(f"{name} is no number")


def pages_of(document: dict, path: str | Path) -> list[Page]:
    """The photos of a boxes.json's content, read from `path`; UserError where it is not as the schema says."""
    try:
        validator()(document)
    except fastjsonschema.JsonSchemaValueException as error:
        message = error.message.removeprefix("data.")
        raise UserError(f"{path}: {message}; the format is in docs/formats.md") from None
    files = [photo["file"] for photo in document["photos"]]
    if len(set(files)) < len(files):
        twice = next(file for file in files if files.count(file) > 1)
        raise UserError(f"{path}: {twice} is in it twice; put all its words into one photo")
    return [Page.from_dict(photo) for photo in document["photos"]]


@functools.cache
def validator():
    """A function that raises fastjsonschema.JsonSchemaValueException for a document that is no boxes.json."""
    return fastjsonschema.compile(json.loads(SCHEMA.read_text(encoding="utf8")))


def is_pickle(content: bytes) -> bool:
    """Whether bytes are a pickle of any protocol: 2 and later begin with 0x80, all end with a stop; JSON does neither."""
    return content[:1] == b"\x80" or (content[:1] in (b"(", b"c", b"]", b"}") and content.rstrip()[-1:] == b".")


def write(path: str | Path, pages: Iterable[Page]):
    """Write a boxes.json, whole, a line a word."""
    with command.written_whole(path) as beside, open(beside, "w", **ENCODING) as file:
        file.write(f'{{\n"version": {VERSION},\n"coordinates": {json.dumps(COORDINATES)},\n"photos": [')
        for number, page in enumerate(pages):
            file.write((",\n" if number else "\n") + page.to_json())
        file.write("\n]\n}\n")


class Journal:
    """The boxes.json of a run that may break off at any time, and goes on where it was.

    Each photo is a line in a journal beside the file as soon as it is done, so that its cost does not grow with their
    number. The two are merged at the end of the `with`, however it ends, and at the next start.

        with Journal("boxes.json") as journal:
            journal.add(page)
    """

    def __init__(self, path: str | Path, keep: bool = True):
        """journal.pages: {file: Page} of all that is done, from the file, and what a run that was killed left beside it.
        keep: False to begin anew, and replace the file at the end."""
        self.path = Path(path)
        self.beside = self.path.with_name(f"{self.path.name}.journal")
        self.pages = {page.file: page for page in read(path)} if keep and self.path.exists() else {}
        if not keep:
            self.beside.unlink(missing_ok=True)
        elif self.beside.exists():
            lines = self.beside.read_text(**ENCODING).split("\n")[:-1]  # behind the last end of a line: not written whole
            try:
                photos = [json.loads(line) for line in lines]
            except ValueError as error:
                raise UserError(f"{self.beside}: damaged ({error}); remove it, its photos are then done again") from None
            self.pages |= {page.file: page for page in pages_of({"version": VERSION, "photos": photos}, self.beside)}
            self.merge()

    def done(self, file: str) -> bool:
        """Whether a photo is in it, with its words."""
        return file in self.pages and not self.pages[file].error

    def merge(self):
        write(self.path, self.pages.values())
        self.beside.unlink(missing_ok=True)

    def __enter__(self) -> "Journal":
        self.file = open(self.beside, "a", **ENCODING)
        return self

    def add(self, page: Page):
        self.pages[page.file] = page
        self.file.write(json.dumps(page.to_dict()) + "\n")
        self.file.flush()

    def __exit__(self, *_):
        self.file.close()
        self.merge()


# --- Reading --------------------------------------------------------------------------------------------------

class BoxList:
    """The words of photos, to be read in place of a WordList: word i stands in a box of a photo.

    words.pages: the photos. words.columns, words.cells(i): what names word i in a table.
    """
    columns = ("photo", "box")
    splits = ()

    def __init__(self, root: str | Path, pages: list[Page]):
        self.root, self.pages = root, pages
        self.places = [(page, box) for page, entry in enumerate(pages) for box in range(len(entry.words))]

    def __len__(self):
        return len(self.places)

    def name(self, i: int) -> tuple[int, int]:
        return self.places[i]  # their order is that of the file

    def cells(self, i: int) -> list:
        page, box = self.places[i]
        return [self.pages[page].file, box]

    def word(self, i: int) -> Word:
        page, box = self.places[i]
        return self.pages[page].words[box]

    def text(self, i: int) -> str:
        return self.word(i).text

    def load(self, chosen, size):
        """Photo by photo, (page, pixels or None, words) of the words `chosen`, int [n] in rising order.

        words: (i, prepared image float32 [W, H, 1] or None, why there is none or ""). Each photo is decoded once, the next
        one meanwhile; no more than two are held.
        """
        groups = [(page, list(which)) for page, which in itertools.groupby(chosen, lambda i: self.places[i][0])]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            ahead = None
            for job in [*groups, None]:
                done, ahead = ahead, pool.submit(self._load, *job, size) if job else None
                if done:
                    yield done.result()

    def _load(self, page, which, size):
        try:
            pixels = load_photo(self.root, self.pages[page])
        except ValueError as error:
            return self.pages[page], None, [(i, None, str(error)) for i in which]
        words, grey = [], grey_of(pixels)
        for i in which:
            word, reason = cut(grey, self.word(i).polygon)
            words.append((i, None if word is None else prepare_to_read(word, size), reason))
        return self.pages[page], pixels, words


def load_list(root: str | Path, path: str | Path) -> BoxList:
    """The BoxList of the photos in the folder `root`, or of the one photo `root`, as the boxes.json `path` has them."""
    pages, root = read(path), Path(root)
    if not root.is_dir():
        root, names = find_photos(root)
        pages = [page for page in pages if page.file in names]
    words = BoxList(root, pages)
    if not len(words):
        raise UserError(f"{path}: no word of a photo of {root} in it; boxes are there from azure_ocr.py, or by hand")
    check_photos(root, [page.file for page in pages if page.words])
    return words
