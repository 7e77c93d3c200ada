"""Bring an index up to date with a folder of photos: new and changed ones are read, files that are gone are forgotten.

    >>> update(store, open_folder("photos"), lambda: photos.load_reader("models/pages", words="models/notes"))

Each photo is written in one transaction, so that a run may end at any moment and the next one goes on. Runs at the same time
share the work, as the store deals it out. Where a cluster reads, only this process writes, what comes twice once; what
another run has done by the time that its turn comes is left out.
"""
import collections
import contextlib
import functools
import os
import random
import socket
import sys
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from command import UserError
from index import blocks, files
from index.entries import Entries
from photos import in_bucket
from photos.buckets import Bucket

TEXTS = 5  # the likeliest texts of a word that are kept
Counts = collections.namedtuple("Counts", "read known failed gone")


class Folder:
    """Photos in a folder, as photos.buckets.Bucket has them in a bucket. UserError if there is none that may be read."""

    def __init__(self, path):
        if not Path(path).is_dir():
            raise UserError(f"{os.fsdecode(path)}: no such folder")
        if not os.access(path, os.R_OK | os.X_OK):  # told before an index is made
            raise UserError(f"{os.fsdecode(path)}: cannot be looked into; see who may read it")
        self.path = os.path.abspath(os.fsencode(path))

    def walk(self, unseen):
        return files.walk(self.path, unseen)

    def fetched(self, path):
        return contextlib.nullcontext(path)

    def has(self, path):
        return os.path.exists(path)


def open_folder(name):
    """The Folder of a name or, of a URL, the Bucket. UserError where there is none."""
    return Bucket(os.fsdecode(name)) if in_bucket(name) else Folder(name)


def update(store, folder, load_reader, retry=False, ray=None, models=()):
    """Index the photos below a Folder or, with `ray`, in a Bucket; Counts of photos read, known by their content, failed,
    and files gone.

    load_reader: called once, if a photo is to be read; returns a photos.reader.PageReader. retry: read photos again that
    could not be read. ray: the address of a cluster that reads, see cluster.py, whose processes call `load_reader` too;
    models: folders and files that it reads by, of which all machines must have the same.
    UserError as `Store` and `cluster` raise them.
    """
    known = store.files()  # before looking, so that what another run adds meanwhile does not seem gone
    unseen = []  # folders that could not be looked into: what is below them is not gone
    found = list(folder.walk(unseen))
    unseen = [store.name(os.path.join(folder.path, os.fsencode(name))) for name in unseen]
    there = {store.name(path) for path, *_ in found}
    below = store.name(folder.path)
    gone = [name for name in known if name not in there and files.file_with(name) not in there and _inside(name, below)
            and not any(_inside(name, place) for place in unseen)]
    if gone:
        store.drop_files(gone)
    again = {files.file_with(name) for name, (*_, error) in known.items() if retry and error}
    changed = [(path, size, modified) for path, size, modified in found
               if known.get(store.name(path), ())[1:3] != (size, modified) or store.name(path) in again]
    outcomes = _by_cluster(store, folder, changed, load_reader, retry, ray, models, again) if ray and changed else _here(
        store, folder, [path for path, *_ in changed], load_reader, retry)
    with contextlib.closing(outcomes), tqdm(outcomes, "photos", len(changed), unit="photo", file=sys.stderr,
                                            disable=not changed) as bar:
        results = collections.Counter(outcome for each in bar for outcome in each)
    blocks.try_to_keep(store)
    return Counts(results["read"], results["known"], results["failed"], len(set(map(files.file_with, gone))))


def _inside(name, folder):
    return folder == b"." or name == folder or name.startswith(folder.rstrip(b"/") + b"/")


def _here(store, folder, paths, load_reader, retry):
    """What `keep` says of each photo in each of the files at `paths`, lists; none where there is no file any more, or where
    it comes again, as the server that deals them out went away when it was done."""
    @functools.cache
    def loaded():  # the networks are loaded when they are first needed
        reader = load_reader()
        return reader, Entries(store, reader.words.alphabet.characters)

    def read_sheet(sheet):
        return read(*loaded(), sheet.path, sheet)

    last = None
    for path, again in store.jobs(folder.path, paths, retry):
        file = files.look(path)
        outcomes = keep_all(store, files.sheets(file), read_sheet, again) if file else []
        yield outcomes if path != last else []
        last = path


# --- One photo --------------------------------------------------------------------------------------------------

class Reading(NamedTuple):
    """What was read on a photo: its size; why it could not be read, or ""; words and posteriors as `Store.add` has them."""
    width: int
    height: int
    error: str
    words: list
    posteriors: bytes


def read(reader, entries, path, file):
    """The Reading of the photo at `path`, bytes, that is in a files.File; entries: the Entries of its index."""
    if file.error:
        return Reading(0, 0, file.error, [], b"")
    try:
        page = reader.read(os.fsdecode(path), top_paths=TEXTS, min_confidence=0)
        return Reading(page.width, page.height, page.error, *entries.of([] if page.error else page.words))
    except UserError:
        raise
    except Exception as error:  # whatever a strange photo brings about costs that photo, not the run
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        return Reading(0, 0, reason or "cannot be read", [], b"")


def keep_all(store, sheets, read, retry):
    """What `keep` says of each of the photos in a file, a list of files.File as files.sheets gives it; what was known of
    more pages of the file is forgotten."""
    outcomes = [keep(store, sheet, read, retry) for sheet in sheets]
    name, page = store.name(sheets[-1].path), len(sheets) + 1
    while files.file_with(more := name + b"#%d" % page) == name and store.facts(more):
        store.drop_files([more])
        page += 1
    return outcomes


def keep(store, file, read, retry):
    """Put a files.File and, if it is not known, its photo into an index: "read", "known" or "failed". Twice is as once.

    read: called, with the File, for the Reading of the photo, if it is needed. retry: read it again if it is known, and
    could not be read.
    """
    known, outcome = store.find_photo(file.content), "known"
    if known is None or retry and known[1]:
        reading = read(file)
        photo = {"hash": file.content, "orientation": file.orientation, "width": reading.width, "height": reading.height,
                 "error": reading.error}
        number = store.add(photo, reading.words, reading.posteriors, replace=retry)
        outcome = "failed" if reading.error else "read"
        if reading.error:
            tqdm.write(f"{os.fsdecode(file.path)}: {reading.error}", file=sys.stderr)
    else:
        number = known[0]
    store.put_file(store.name(file.path), number, file.size, file.modified, file.orientation, file.taken)
    return outcome


# --- By a cluster -----------------------------------------------------------------------------------------------

def _by_cluster(store, folder, found, load_reader, retry, address, models, again):
    """What `keep` says of each photo in each of the files `found`, (path, size, modified), which a cluster looks at and
    reads; lists. again: the names of those whose photos could not be read, which `retry` reads again."""
    import cluster
    reader = load_reader()  # what is wrong with the models is said here
    entries = Entries(store, reader.words.alphabet.characters)
    make = functools.partial(Worker, folder, load_reader, entries, store.hashes(retry))
    random.shuffle(found)  # else two runs at once would always be at the same photos

    def wanted(file):
        path, *facts = file
        known = store.facts(store.name(path))
        return not known or known[:2] != tuple(facts) or store.name(path) in again

    with contextlib.closing(cluster.results(address, make, found, same=models, wanted=wanted)) as results:
        for readings in results:
            *_, file = readings
            gone = file.error and not folder.has(file.path)
            yield [] if gone else keep_all(store, list(readings), readings.get, retry)


class Worker:
    """Looks at photos, in a process of a cluster, and reads those whose content is not among the hashes `known`."""

    def __init__(self, folder, load_reader, entries, known):
        self.folder, self.reader, self.entries, self.known = folder, load_reader(), entries, known

    def __call__(self, found):
        """{files.File: its Reading, None where it is known} of the photos in a file that was found, (path, size, modified),
        in the order of files.sheets."""
        path, *_ = found
        try:
            with self.folder.fetched(path) as copy:
                file = files.look(copy)
                if file is None:
                    raise FileNotFoundError(0, f"not there on {socket.gethostname()}; each machine needs the same photos")
                return {sheet._replace(path=path + sheet.path[len(copy):]): None if sheet.content in self.known else
                        read(self.reader, self.entries, sheet.path, sheet) for sheet in files.sheets(file)}
        except OSError as error:
            return self.lost(found, error.strerror or str(error))

    def lost(self, found, reason):
        """As a call, of a file that cannot be read."""
        return {files.unread(*found, reason): Reading(0, 0, reason, [], b"")}
