"""Photos in a folder: which files there are, and what a file says of its photo without being read.

    >>> for path, size, modified in walk("photos", unseen): ...
    >>> content("photos/a.jpg"), facts("photos/a.jpg")
    >>> file = look(b"photos/a.jpg")
"""
import contextlib
import hashlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from photos.files import pages_of
from photos.page import file_of
from words import lists
from words.image_files import IMAGE_FORMATS

BLOCK = 1 << 20
ORIENTATION, DATE, DETAILS, DATE_TAKEN = 0x0112, 0x0132, 0x8769, 0x9003  # EXIF's tags


class File(NamedTuple):
    """A file, without what is on its photo. path: bytes; size, modified: bytes, nanoseconds; orientation, taken: see
    `facts`; content: see there; error: why it cannot be read, or ""."""
    path: bytes
    size: int
    modified: int
    orientation: int
    taken: str | None
    content: bytes
    error: str = ""


def walk(folder, unseen):
    """(path, size, modified) of each image that words.lists.walk finds; path: bytes, as names may be anything; modified:
    nanoseconds."""
    for entry in lists.walk(folder, unseen):
        with contextlib.suppress(OSError):  # gone in this moment, or a link to itself
            if entry.is_file():
                yield entry.path, entry.stat().st_size, entry.stat().st_mtime_ns


def look(path):
    """The File at a path, bytes; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    try:
        return File(path, status.st_size, status.st_mtime_ns, *facts(path), content(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        return unread(path, status.st_size, status.st_mtime_ns, error.strerror or str(error))


def sheets(file):
    """The Files of all photos in a File: its own and, of a TIFF of several pages, the others, which photos/files.py names.
    The first page comes last: it has the file's name and, once it is known, stands for all."""
    others = [] if file.error else pages_of(Path(), os.fsdecode(file.path))[1:]
    return [*(file._replace(path=os.fsencode(name), content=_digest(file.content, b"#%d" % page))
              for page, name in enumerate(others, start=2)), file]


def file_with(name):
    """The name, bytes, of the file in which a photo is: its own, or the TIFF whose page it is."""
    return os.fsencode(file_of(os.fsdecode(name)))


def unread(path, size, modified, error):
    """A File whose content cannot be known: this file, as it is now, stands for it."""
    return File(path, size, modified, 1, None, _digest(path, b"%d %d" % (size, modified)), error)


def _digest(*parts):
    """31 bytes for what is no file's content alone, which has 32."""
    return hashlib.blake2b(b"".join(parts), digest_size=31).digest()


def content(path):
    """What makes a photo the same photo, 32 bytes: a hash of its file, of a JPEG without its metadata, so that it stays the
    same with another title, date or orientation. OSError if it cannot be read."""
    with open(path, "rb") as file:
        digest = hashlib.blake2b(digest_size=32)
        if file.read(2) == b"\xff\xd8":
            _hash_tables(file, digest)
        else:
            file.seek(0)
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.digest()


def _hash_tables(file, digest):
    """Hash a JPEG's segments before its pixels but those for metadata (APP0 to APP15, comments), up to the first that is
    something else than a segment."""
    while True:
        start = file.tell()
        marker, length = file.read(2), file.read(2)
        if len(length) < 2 or marker[0] != 0xFF or marker[1] == 0xDA:  # the pixels follow
            return file.seek(start)
        body = file.read(max(int.from_bytes(length, "big") - 2, 0))
        if not (0xE0 <= marker[1] <= 0xEF or marker[1] == 0xFE):
            digest.update(marker + length + body)


def facts(path):
    """(orientation 1 to 8, date taken as 2026-11-25T17:00:00 or None), as EXIF says; (1, None) for what is no image."""
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            exif = image.getexif()
            orientation = exif.get(ORIENTATION, 1)
            taken = exif.get_ifd(DETAILS).get(DATE_TAKEN) or exif.get(DATE)
    except Exception:  # Pillow raises almost anything on damaged files; the reader will say what is wrong
        return 1, None
    date = re.match(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)", str(taken))
    return (orientation if orientation in range(1, 9) else 1), "{}-{}-{}T{}".format(*date.groups()) if date else None
