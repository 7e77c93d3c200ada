"""The words of many photos as Parquet files, a row a word, which DuckDB, Spark, pandas and others read.

    >>> with Parts("out") as parts:
    ...     for page in pages:
    ...         parts.add(page)
    >>> duckdb.sql("SELECT photo, text FROM 'out/words-*.parquet' WHERE confidence > 0.9")

A photo without words has one row, in which only photo, width and height stand. docs/formats.md has the columns.
"""
import contextlib
import dataclasses
import os
from pathlib import Path

from command import UserError, written_whole
from photos.files import load_photo
from photos.page import Page

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

    def __call__(self, name):
        """The Page of a photo; with an error if it cannot be read."""
        try:
            with contextlib.ExitStack() as stack:
                root, file = self.folder, name
                if not isinstance(root, Path):
                    root, file = os.path.split(os.fsdecode(stack.enter_context(root.fetched(root.path_of(name)))))
                page, _ = self.reader.look(load_photo(root, Page(file)), name, **self.options)
        except (ValueError, OSError) as error:
            return self.lost(name, str(error))
        page.words = [dataclasses.replace(word, log_probabilities=None) for word in page.words]
        return page

    def lost(self, name, reason):
        """The Page of a photo that cannot be read."""
        return Page(name, error=reason)
