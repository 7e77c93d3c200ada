"""The words of many photos as Parquet files, a row a word, which DuckDB, Spark, pandas and others read.

    >>> with Parts("out") as parts:
    ...     for page in pages:
    ...         parts.add(page)
    >>> duckdb.sql("SELECT photo, text FROM 'out/words-*.parquet' WHERE confidence > 0.9")

A photo without words has one row, in which only photo, width and height stand. docs/formats.md has the columns.
"""
import dataclasses
import os
from pathlib import Path

from command import UserError, written_whole
from photos.files import load_photo, pages_of
from photos.page import Page, file_of

try:
    import pyarrow
    from pyarrow import parquet
except ImportError:
    raise UserError("--ray writes Parquet, which needs PyArrow: pip install -r requirements-cluster.txt") from None

PART = 1000  # photos of a file; a run that breaks off by more than Ctrl-C or an error loses as many
NAMES = "words-*.parquet"
SCHEMA = pyarrow.schema([
    ("photo", pyarrow.string()), ("width", pyarrow.int32()), ("height", pyarrow.int32()),
    ("line", pyarrow.int32()), ("paragraph", pyarrow.int32()), ("polygon", pyarrow.list_(pyarrow.list_(pyarrow.float64()))),
    ("text", pyarrow.string()), ("confidence", pyarrow.float64()),
    ("alternatives", pyarrow.list_(pyarrow.struct([("text", pyarrow.string()), ("confidence", pyarrow.float64())])))])


class Parts:
    """The files in a folder, each written whole when it has PART photos, or when the context ends. done: the names of the
    photos in them.

    keep: go on with what is there. overwrite: delete it. UserError if something is there and neither is said, or it is no
    such file.
    """

    def __init__(self, folder: Path, keep: bool = False, overwrite: bool = False):
        self.folder, self.done, self._rows = Path(folder), set(), []
        there = sorted(self.folder.glob(NAMES))
        if there and not (keep or overwrite):
            raise UserError(f"{there[0]}: is there already; --resume goes on, --overwrite replaces it")
        self._old = [] if keep else there  # to be deleted when there is something instead
        for path in there * keep:
            try:
                self.done |= set(parquet.read_table(path, columns=["photo"])["photo"].to_pylist())
            except (OSError, KeyError, pyarrow.ArrowException):
                raise UserError(f"{path}: not a file of this kind; move it away, and its photos are read again") from None
        self._pages = {}
        for name in self.done:
            if file_of(name) != name:
                self._pages.setdefault(file_of(name), set()).add(name)
        self._number = max([int(path.stem.rpartition("-")[2]) for path in there if keep], default=0)
        self._photos = 0

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        if self._rows or error is None:
            self._write()

    def has(self, name: str) -> bool:
        """Whether a photo's words are in the files."""
        return _utf8(name) in self.done

    def pages(self, file: str) -> set[str]:
        """The names of the pages of a PDF or a TIFF, as Parquet holds them, whose words are in the files."""
        return self._pages.get(_utf8(file), set())

    def add(self, page: Page):
        """Add the words of a Page, all in one file."""
        photo = {"photo": _utf8(page.file), "width": page.width, "height": page.height}
        self._rows += [photo | word.to_dict() | {"alternatives": [dict(zip(("text", "confidence"), reading))
                                                                  for reading in word.alternatives]}
                       for word in page.words] or [photo]
        self._photos += 1
        if self._photos == PART:
            self._write()

    def _write(self):
        while self._old:
            self._old.pop().unlink()
        if self._rows:
            self._number += 1
            with written_whole(self.folder / NAMES.replace("*", f"{self._number:05d}")) as beside:
                parquet.write_table(pyarrow.Table.from_pylist(self._rows, SCHEMA), beside)
        self._rows, self._photos = [], 0


def _utf8(name):
    """A file's name, which may be any bytes, as Parquet can hold it."""
    return os.fsencode(name).decode("utf8", "backslashreplace")


class Worker:
    """Reads photos below a folder, a path or a buckets.Bucket, in a process of a cluster; options: of `reader.look`."""

    def __init__(self, folder, load_reader, options):
        self.folder, self.reader, self.options = folder, load_reader(), options

    def __call__(self, item):
        """The Pages of an item, (name, done): of a photo in the folder; or, as a bucket does not say how many pages a file
        has, of all pages of a file there but those with the names `done`. With an error where they cannot be read."""
        name, done = item
        if isinstance(self.folder, Path):
            return [self._read(self.folder, name, name)]
        try:
            with self.folder.fetched(self.folder.path_of(name)) as copy:
                root, file = os.path.split(os.fsdecode(copy))
                pages = [(sheet, name + sheet[len(file):]) for sheet in pages_of(Path(root), file)]
                return [self._read(root, sheet, page) for sheet, page in pages if _utf8(page) not in done]
        except OSError as error:
            return self.lost(item, str(error))

    def _read(self, root, file, name):
        """The Page, called `name`, of the photo `file` in the folder `root`."""
        try:
            page, _ = self.reader.look(load_photo(root, Page(file)), name, **self.options)
        except (ValueError, OSError) as error:
            return Page(name, error=str(error))
        page.words = [dataclasses.replace(word, log_probabilities=None) for word in page.words]
        return page

    def lost(self, item, reason):
        """As a call, of what cannot be read."""
        name, _ = item
        return [Page(name, error=reason)]
