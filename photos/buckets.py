"""Photos in a bucket, s3://... or gs://..., by pyarrow's file systems, which find keys where the clouds' own tools do.

    >>> bucket = Bucket("s3://archive/boards")
    >>> for path, size, modified in bucket.walk(): ...
    >>> with bucket.fetched(b"s3://archive/boards/monday/a.jpg") as file: ...

A photo is fetched whole, into a temporary file, and read as any other.
"""
import contextlib
import os
import tempfile

from command import UserError
from photos.files import SUFFIXES
from words.lists import IMAGE_SUFFIXES

KINDS = "s3", "gs"
PATIENCE = 20  # seconds for which Google's servers, or keys for them, are tried again, unless the URL says: not 15 minutes


class Bucket:
    """The photos below a folder of a bucket. path: the folder, bytes, without what the URL says behind a "?"; it begins the
    paths of all photos. Needs pyarrow; may be pickled. UserError for another URL, and where there is no such folder."""

    def __init__(self, url: str):
        try:
            from pyarrow import ArrowException, fs
        except ImportError:
            raise UserError("photos in a bucket need PyArrow: pip install -r requirements-cluster.txt") from None
        kind = url.partition("://")[0]
        if kind not in KINDS:
            raise UserError(f"{url}: photos are in folders, or in {' and '.join(f'{kind}://' for kind in KINDS)}")
        try:
            limited = "retry_limit_seconds" in url or kind != "gs"
            self._files, folder = fs.FileSystem.from_uri(
                url if limited else f"{url}{'&' if '?' in url else '?'}retry_limit_seconds={PATIENCE}")
            found = self._files.get_file_info(folder)
        except (OSError, ArrowException) as error:
            raise UserError(f"{url.partition('?')[0]}: {_line(error)}") from None
        self._kind = f"{kind}://".encode()
        self.path = self._kind + os.fsencode(folder.rstrip("/"))
        if not folder.strip("/") or found.type != fs.FileType.Directory:
            raise UserError(f"{os.fsdecode(self.path)}: no such folder")

    def walk(self, unseen=None, suffixes=IMAGE_SUFFIXES):
        """(path, size, modified) of each image file below, as index.files.walk gives them. UserError where the bucket cannot
        be looked into."""
        from pyarrow import ArrowException, fs
        try:
            found = self._files.get_file_info(fs.FileSelector(self._key(self.path), recursive=True))
        except (OSError, ArrowException) as error:
            raise UserError(f"{os.fsdecode(self.path)}: {_line(error)}") from None
        suffixes = tuple(map(os.fsencode, suffixes))
        for file in found:
            path = self._kind + os.fsencode(file.path)
            if file.is_file and path.lower().endswith(suffixes) and b"/." not in path[len(self.path):]:
                yield path, file.size, file.mtime_ns

    def names(self) -> list[str]:
        """The names of the files with photos, below the folder, sorted; a PDF or TIFF may have several, see `pages_of`."""
        return sorted(os.fsdecode(path[len(self.path) + 1:]) for path, *_ in self.walk(suffixes=SUFFIXES))

    def path_of(self, name: str) -> bytes:
        """The path of one of `names`."""
        return self.path + b"/" + os.fsencode(name)

    @contextlib.contextmanager
    def fetched(self, path: bytes):
        """The path, bytes, of a copy of a photo, for as long as the context lasts. OSError where it cannot be read."""
        from pyarrow import ArrowException
        with tempfile.TemporaryDirectory() as folder:
            copy = os.path.join(os.fsencode(folder), os.path.basename(path)[-100:])
            try:
                modified = self._files.get_file_info(self._key(path)).mtime_ns
                with self._files.open_input_stream(self._key(path)) as source, open(copy, "wb") as target:
                    while block := source.read(1 << 20):
                        target.write(block)
            except ArrowException as error:
                raise OSError(_line(error)) from None
            os.utime(copy, ns=(modified, modified))
            yield copy

    def has(self, path: bytes) -> bool:
        """Whether there is such a photo."""
        return self._files.get_file_info(self._key(path)).is_file

    def _key(self, path):
        return os.fsdecode(path[len(self._kind):])


def _line(error):
    return str(error).splitlines()[0].rstrip(".")
