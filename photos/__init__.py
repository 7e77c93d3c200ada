"""Photos and the words on them.

    >>> import photos
    >>> page = photos.load_reader("models/pages", words="models/notes").read("board.jpg")
    >>> print(page.text)

page: the page format that all parts pass on; files: photos in folders and PDFs; buckets: in s3:// and gs://; detector: ink
and words on a photo; lines: reading order; cutting: words upright out of a photo; reader: all of that together; exports,
pdf: pages for other programs; drawing, cleaning: pictures of what was found; boxes: boxes.json.
"""
import os
from pathlib import Path

MODELS = Path(__file__).parent.parent / "models"
PAGES, WORDS = MODELS / "pages", MODELS / "notes"  # those that find and read, where no others are named


def load_reader(model_path, words=None, **options):
    """The PageReader of model folders, see photos/reader.py; imported here, when it is asked for."""
    from photos import reader
    return reader.load_reader(model_path, words, **options)


def in_bucket(path):
    """Whether a photo or a folder of them, str, bytes or os.PathLike, is in a bucket, as s3://...: no other path has "://"."""
    return b"://" in os.fsencode(path)
