"""Bring an index up to date with a folder of photos: new and changed ones are read, files that are gone are forgotten.

    >>> update(store, "photos", lambda: photos.load_reader("models/pages", words="models/notes"))

Each photo is written in one transaction, so that a run may end at any moment and the next one goes on. Runs at the same time
share the work, as the store deals it out.
"""
import collections
import hashlib
import os
import sys
from pathlib import Path

from tqdm import tqdm

from command import UserError
from index import blocks, files
from index.entries import Entries

TEXTS = 5  # the likeliest texts of a word that are kept
Counts = collections.namedtuple("Counts", "read known failed gone")


def update(store, folder, load_reader, retry=False):
    """Index the photos below a folder; Counts of photos read, known by their content, failed, and files gone.

    load_reader: called once, if a photo is to be read; returns a photos.reader.PageReader. retry: read photos again that
    could not be read. UserError if there is no such folder, and as `Store` raises them.
    """
    if not Path(folder).is_dir():
        raise UserError(f"{os.fsdecode(folder)}: no such folder")
    known = store.files()  # before looking, so that what another run adds meanwhile does not seem gone
    unseen = []  # folders that could not be looked into: what is below them is not gone
    folder = os.path.abspath(os.fsencode(folder))
    found = list(files.walk(folder, unseen.append))
    for path in unseen:
        print(f"{os.fsdecode(path)}: cannot be looked into", file=sys.stderr)
    there = {store.name(path) for path, *_ in found}
    below = store.name(folder)
    gone = [name for name in known if name not in there and _inside(name, below)
            and not any(_inside(name, store.name(path)) for path in unseen)]
    if gone:
        store.drop_files(gone)
    changed = [path for path, size, modified in found
               if known.get(store.name(path), ())[1:3] != (size, modified) or retry and known[store.name(path)][3]]
    reader = _Reader(store, load_reader)
    jobs = store.jobs(folder, changed, retry)
    with tqdm(jobs, "photos", len(changed), unit="photo", file=sys.stderr, disable=not changed) as bar:
        results = collections.Counter(reader.add(*job) for job in bar)
    blocks.try_to_keep(store)
    return Counts(results["read"], results["known"], results["failed"], len(gone))


def _inside(name, folder):
    return folder == b"." or name == folder or name.startswith(folder.rstrip(b"/") + b"/")


class _Reader:
    """Reads photos into a store; the networks are loaded when they are first needed."""

    def __init__(self, store, load_reader):
        self.store, self._load = store, load_reader
        self._reader = self._entries = None

    def add(self, path, retry):
        """Add a file and, if it is not known, its photo: "read", "known" or "failed", or "gone" without such a file."""
        try:
            status = os.stat(path)
        except OSError:
            return "gone"
        size, modified = status.st_size, status.st_mtime_ns
        orientation, taken = files.facts(path)
        try:
            content, error = files.content(path), ""
        except FileNotFoundError:
            return "gone"
        except OSError as reason:  # its content is not known: this file, as it is now, stands for it
            content = hashlib.blake2b(path + b"%d %d" % (size, modified), digest_size=31).digest()
            error = reason.strerror or str(reason)
        known, outcome = self.store.find_photo(content), "known"
        if known is None or retry and known[1]:
            photo = {"hash": content, "orientation": orientation, "width": 0, "height": 0, "error": error}
            facts, words, posteriors = ({}, [], b"") if error else self._read(path)
            number = self.store.add({**photo, **facts}, words, posteriors, replace=retry)
            error = error or facts["error"]
            outcome = "failed" if error else "read"
            if error:
                tqdm.write(f"{os.fsdecode(path)}: {error}", file=sys.stderr)
        else:
            number = known[0]
        self.store.put_file(self.store.name(path), number, size, modified, orientation, taken)
        return outcome

    def _read(self, path):
        """({"width": ..., "height": ..., "error": ...}, words, posteriors) as `Store.add` takes them."""
        if self._reader is None:
            self._reader = self._load()
            self._entries = Entries(self.store, self._reader.words.alphabet.characters)
        try:
            page = self._reader.read(os.fsdecode(path), top_paths=TEXTS, min_confidence=0)
            words, posteriors = self._entries.of([] if page.error else page.words)
        except UserError:
            raise
        except Exception as error:  # whatever a strange photo brings about costs that photo, not the run
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            return {"error": reason or "cannot be read"}, [], b""
        return {"width": page.width, "height": page.height, "error": page.error}, words, posteriors
