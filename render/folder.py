"""A folder of drawn words in mjsynth's layout, which a run that broke off can go on with.

    with opened(root, settings, resume=False, overwrite=False) as folder:
        folder.begin()
        for _ in folder.write(words):  # (JPEG bytes, text, split, style, source) from number folder.done on
            pass
        print(folder.finish())
"""
import collections
import contextlib
import csv
import io
import os
from pathlib import Path

import command
from command import UserError

FOLDER, FOLDERS = 300, 7  # words a folder, and folders in a folder, about as in mjsynth
CHUNK = 1000  # words whose labels are written at a time; what a killed run draws again
ROOM = 160  # bytes a word, kept free while drawing, so that a full disk leaves room for the listings
LISTINGS = {"train": "annotation_train.txt", "valid": "annotation_val.txt", "test": "annotation_test.txt"}
COLUMNS = "file", "text", "split", "style", "source"
PART, SETTINGS, RESERVE = ".labels.part", "make_words.json", ".reserve"


@contextlib.contextmanager
def opened(root, settings, resume, overwrite):
    """The Folder at `root`, made and kept for this process; removed if nothing is written.

    UserError if another run is in it, if something would be overwritten unasked, or if the words were begun with other
    `settings` (a dict that JSON can hold).
    """
    root = Path(root)
    with command.new_folder(root):
        begun = (root / SETTINGS).exists()
        if resume and begun:
            command.same_settings(root / SETTINGS, settings)
        elif not overwrite and not command.is_empty(root):
            raise UserError(f"{root} is not empty: name another folder, or add " + (
                "--resume to go on or --overwrite to start afresh" if begun and not resume else "--overwrite"))
        yield Folder(root, settings, afresh=not (resume and begun))


class Folder:
    """A folder of words in the making: image files, and their labels in a hidden file.

    folder.done: how many words are drawn and have their labels written; folder.finished: whether these are all."""

    def __init__(self, root, settings, afresh):
        self.root, self.settings, self.afresh, self.lexicon = root, settings, afresh, {}
        self.finished = not afresh and (root / "labels.csv").exists() and not (root / PART).exists()
        self.done = settings["number"] if self.finished else 0

    def begin(self):
        """Make the folder ready to write to: read what is done, or delete the listings of words that are no more."""
        if self.afresh:
            for name in (*LISTINGS.values(), "lexicon.txt", "labels.csv", PART, RESERVE):
                (self.root / name).unlink(missing_ok=True)
            command.write_json(self.root / SETTINGS, self.settings)
        self.done = self._read_part()

    def _read_part(self):
        """How many words are done. What is no whole line, as a killed run may leave it, is cut off."""
        done = size = 0
        with open(self.root / PART, "a+b") as part:
            part.seek(0)
            for line in part:
                if not line.endswith(b"\n"):
                    break
                self.line_of(next(csv.reader([line.decode("utf8")]))[1])
                size, done = size + len(line), done + 1
            part.truncate(size)
        return done

    def line_of(self, text):
        """The text's line in lexicon.txt; a new one if it has none. They are numbered in the order of the words."""
        return self.lexicon.setdefault(letters_of(text).lower(), len(self.lexicon))

    def write(self, words):
        """Writes the images of (JPEG bytes, text, ...), yields after each, and puts their labels into the hidden file.

        At an OSError, too, the labels of what is written are kept as far as the disk allows."""
        with open(self.root / PART, "ab", buffering=0) as part:
            first, rows = self.done, []
            try:
                for k, (jpeg, text, *labels) in enumerate(words, first):
                    place = k // FOLDER
                    folder = f"{place // FOLDERS + 1}/{place % FOLDERS + 1}"
                    name = f"{folder}/{k % FOLDER + 1}_{letters_of(text)}_{self.line_of(text)}.jpg"
                    if k % FOLDER == 0 or k == first:
                        (self.root / folder).mkdir(parents=True, exist_ok=True)
                    (self.root / name).write_bytes(jpeg)
                    rows.append((name, text, *labels))
                    if len(rows) == CHUNK:
                        self._keep(part, rows)
                    yield
            except OSError:
                (self.root / RESERVE).unlink(missing_ok=True)
                raise
            finally:
                self._keep(part, rows)

    def _keep(self, part, rows):
        """Appends the labels of all rows, or, at an OSError, of none."""
        lines, size = io.StringIO(), os.fstat(part.fileno()).st_size
        csv.writer(lines, lineterminator="\n").writerows(rows)
        rest = memoryview(lines.getvalue().encode("utf8"))
        try:
            while rest:
                rest = rest[part.write(rest):]  # a disk that is nearly full takes a part first
        except OSError:
            part.truncate(size)
            raise
        self.done += len(rows)
        rows.clear()

    @contextlib.contextmanager
    def room_kept(self):
        """Keeps the room on the disk that the listings will need; frees it at the end."""
        words = self.settings["number"]
        try:
            with open(self.root / RESERVE, "wb") as reserve:
                for first in range(0, words, CHUNK):
                    reserve.write(bytes(ROOM * min(CHUNK, words - first)))
            yield
        finally:
            (self.root / RESERVE).unlink(missing_ok=True)

    def write_listings(self):
        """The annotation files, lexicon.txt and labels.csv of the words whose labels are written; {split: words}."""
        counts = collections.Counter()
        with contextlib.ExitStack() as stack:
            def whole(name):
                beside = stack.enter_context(command.written_whole(self.root / name))
                return stack.enter_context(open(beside, "w", encoding="utf8", newline=""))

            listings = {split: whole(name) for split, name in LISTINGS.items()}
            labels = csv.writer(whole("labels.csv"), lineterminator="\n")
            whole("lexicon.txt").writelines(f"{text}\n" for text in self.lexicon)
            labels.writerow(COLUMNS)
            with open(self.root / PART, encoding="utf8", newline="") as part:
                for row in csv.reader(part):
                    labels.writerow(row)
                    listings[row[2]].write(f"./{row[0]} {row[0].rpartition('_')[2].removesuffix('.jpg')}\n")
                    counts[row[2]] += 1
        return counts

    def finish(self):
        """`write_listings` of all words, which are not to be gone on with any more."""
        counts = self.write_listings()
        (self.root / PART).unlink()
        return counts


def letters_of(text):
    """What a file name may hold of a text."""
    return "".join(filter(str.isalnum, text))
