"""Lists of labelled word images: folders with a labels.csv or labels.tsv, file names, mjsynth's listings.

    >>> words = read_folder("imgs/words")
    >>> words.path(0), words.text(0)
"""
import array
import csv
import functools
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from command import UserError
from words.alphabet import composed


class WordList:
    """Labelled word images, packed so that mjsynth's 8.9 million fit into 500 MB and load in seconds.

    Each different folder and text is kept once; a word is a few integers that point to them.

    words.path(i), words.text(i): word i's file and exact text.
    words.texts: list of the different texts; words.text_ids: int32 [N] into it.
    words.groups: int32 [N], equal for words of one writer or form; -1 where neither is known.
    words.splits: list of the splits' names; words.split_ids: int32 [N] into it; -1 where none is given.
    words.columns, words.cells(i): what names word i in a table.
    """
    columns = ("file",)

    def __init__(self, root, rows):
        """`rows`: (file name relative to `root`, text, group or "", split or "") a word, all str."""
        self.root = str(root)
        folders, texts, groups, splits = {}, {}, {"": -1}, {"": -1}
        folder_ids, text_ids, group_ids, split_ids = (array.array("i") for _ in range(4))
        names, ends = bytearray(), array.array("q")
        for name, text, group, split in rows:
            folder, slash, base = name.rpartition("/")
            folder_ids.append(folders.setdefault(folder or slash, len(folders)))
            names += os.fsencode(base)
            ends.append(len(names))
            text_ids.append(texts.setdefault(text, len(texts)))
            group_ids.append(groups.setdefault(group, len(groups) - 1))
            split_ids.append(splits.setdefault(split, len(splits) - 1))
        self.folders, self.texts, self.splits = list(folders), list(texts), list(splits)[1:]
        self._names, self._ends = bytes(names), np.frombuffer(ends, np.int64)
        self.folder_ids, self.text_ids, self.groups, self.split_ids = (
            np.frombuffer(ids, np.int32) for ids in (folder_ids, text_ids, group_ids, split_ids))

    def __len__(self):
        return len(self._ends)

    def name(self, i: int) -> str:
        """Word i's file name relative to the root."""
        base = os.fsdecode(self._names[self._ends[i - 1] if i else 0:self._ends[i]])
        folder = self.folders[self.folder_ids[i]]
        return f"{folder.rstrip('/')}/{base}" if folder else base

    def cells(self, i: int) -> list[str]:
        return [self.name(i)]

    def path(self, i: int) -> str:
        return os.path.join(self.root, self.name(i))

    def text(self, i: int) -> str:
        return self.texts[self.text_ids[i]]

    def missing(self) -> np.ndarray:
        """bool [N]: which files are not there. Lists each folder once instead of asking for each file."""
        absent = np.zeros(len(self), bool)
        order = np.argsort(self.folder_ids, kind="stable")
        firsts = np.searchsorted(self.folder_ids[order], np.arange(len(self.folders) + 1))
        for folder, first, last in zip(self.folders, firsts, firsts[1:]):
            try:
                present = set(os.listdir(os.fsencode(os.path.join(self.root, folder))))
            except OSError:
                present = ()
            for i in order[first:last].tolist():
                start = self._ends[i - 1] if i else 0
                absent[i] = self._names[start:self._ends[i]] not in present
        return absent


def join(lists: list[WordList]) -> WordList:
    """One WordList of several. Writers of different folders are different; a folder given twice keeps its words' groups,
    so that no split puts a word here and its copy there."""
    if len(lists) == 1:
        return lists[0]
    roots = [os.path.realpath(words.root) for words in lists]

    def rows():
        for words, root in zip(lists, roots):
            for i in range(len(words)):
                group = words.groups[i] if words.groups[i] >= 0 else f"word {i}" if roots.count(root) > 1 else ""
                split = words.splits[words.split_ids[i]] if words.split_ids[i] >= 0 else ""
                name = os.path.join(root, words.name(i)).replace(os.sep, "/")
                yield name, words.text(i), f"{roots.index(root)}: {group}" if group != "" else "", split

    return WordList("", rows())


VALID_NAMES = ("valid", "val", "validation", "test")  # splits to score on, the first there is


def text_of_name(name: str) -> str:
    """The label in a file name of mjsynth's or the 2018 kind: "12/3/45_Word_678.jpg", "_word_id.png" -> "word"."""
    parts = name.rpartition("/")[2].split("_")
    return composed(parts[1]) if len(parts) > 2 else ""


def form_of_name(name: str) -> str:
    """The IAM form in a file name such as "_word_a01-000u-00-00.png", a01-000u: words of one writer; else ""."""
    match = re.search(r"_([a-z]\d\d-\d{3}[a-z]?)-\d\d-\d\d\b", name)
    return match[1] if match else ""


def read_listings(root: str | os.PathLike, **listings: str) -> WordList:
    """The WordList of mjsynth's annotation files, `read_listings(root, train="annotation_train.txt", valid=...)`.

    A line a word, "./12/3/45_Word_678.jpg 678"; the names of the arguments become the words' split.
    """
    return WordList(root, (row for split, name in listings.items() for row in _listing_rows(Path(root) / name, split)))


def _listing_rows(path, split):
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise UserError(f"{path}: is no file; name a listing such as annotation_train.txt")
    try:
        with open(path, encoding="utf8", errors="surrogateescape") as lines:
            for line in lines:
                name, _, number = line.rstrip().removeprefix("./").rpartition(" ")
                name = name or number  # a name alone will do
                if name:
                    yield name, text_of_name(name), "", split
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a listing such as annotation_train.txt") from None


IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".heif")


def walk(folder: str | os.PathLike, unseen: list[str], suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> Iterator[os.DirEntry]:
    """The os.DirEntry, with names as bytes, of each image, a file with such a suffix, in `folder` and below it. Links are
    followed, and each folder looked into once, however many lead to it; names that begin with a dot are left out.

    A folder below that cannot be looked into costs a line on stderr, and its name, relative to `folder`, is added to the
    list `unseen`. UserError where `folder` itself cannot be.
    """
    suffixes = tuple(map(os.fsencode, suffixes))
    top, seen = os.fsencode(folder), set()
    folders = [top]
    while folders:
        place = folders.pop()
        try:
            status = os.stat(os.path.join(place, b"."))  # which takes the right to open what is in it, too
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            fault = f"{os.fsdecode(place)}: cannot be looked into ({error.strerror})"
            if place == top:
                raise UserError(f"{fault}; see who may read it") from None
            print(fault, file=sys.stderr)
            unseen.append(os.fsdecode(os.path.relpath(place, top)))
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if entry.name.startswith(b"."):
                continue
            if _is_folder(entry):
                folders.append(entry.path)
            elif entry.name.lower().endswith(suffixes):
                yield entry


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def image_names(folder: str | os.PathLike, suffixes: tuple[str, ...] = IMAGE_SUFFIXES, unseen: list[str] | None = None
                ) -> list[str]:
    """Names of the images that `walk` finds, relative to `folder`, with "/", sorted."""
    start = len(os.path.join(os.fsencode(folder), b""))
    return sorted(os.fsdecode(entry.path[start:]).replace(os.sep, "/")
                  for entry in walk(folder, [] if unseen is None else unseen, suffixes))


TABLES = "labels.csv", "labels.tsv"


def read_folder(root: str | os.PathLike) -> WordList:
    """The WordList of a folder: of its labels.csv or labels.tsv if it has one, else of its `_text_id.png` names."""
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    for name in TABLES:
        if os.path.lexists(root / name):
            words = WordList(root, read_table(root / name))
            if words.missing().all():
                raise UserError(f"{root / name}: not one file that it names is there, such as {words.name(0)}; it must "
                                f"name files below {root}, with / between folders, not \\")
            return words
    words = WordList(root, ((name, text_of_name(name), form_of_name(name), "") for name in image_names(root)))
    if not len(words):
        raise UserError(f"{root}: neither {', '.join(TABLES)} nor an image in it")
    return words


def read_table(table: Path) -> list[tuple[str, str, str, str]]:
    """Rows (file name, text, group, split) of a table of labels; UserError, with the line, where one cannot be told.

    UTF-8; a word a line. The first line names the columns: `file` (or `word_id`, a name without suffix), `text`, optionally
    `split`, and `writer` or `form`; commas, semicolons or tabs part them. In a .tsv nothing is quoted.
    """
    lines = _lines_of(table)
    header, part = lines[0][1], next((mark for mark in "\t;," if mark in lines[0][1]), ",")
    quoted = table.suffix != ".tsv"
    columns = [name.strip() for name in _cells(header, part, quoted)]
    key = next((name for name in ("file", "word_id") if name in columns), None)
    if key is None or "text" not in columns:
        raise UserError(f"{table}: its first line names {', '.join(map(repr, columns))}; it must name the columns file (or "
                        "word_id) and text, with commas, semicolons or tabs between them")
    names, rows, joined = _Names(table.parent, key), [], 0
    for number, line in lines[1:]:
        cells = _cells(line, part, quoted, len(columns))
        if len(cells) > len(columns) and columns[-1] == "text":  # 1,000 in a table with commas
            cells[len(columns) - 1:] = [part.join(cells[len(columns) - 1:])]
            joined += 1
        row = {name: cell.strip() for name, cell in zip(columns, cells)}
        if len(cells) > len(columns) or not {key, "text"} <= row.keys():
            raise UserError(f"{table}: line {number}, {line[:60]!r}, has {len(cells)} cells, the first line names "
                            f"{len(columns)}: {', '.join(columns)}; texts that hold a {part!r} stand in double quotes")
        rows.append((names.find(row[key]), composed(row["text"]), row.get("writer") or row.get("form") or "",
                     row.get("split", "")))
    if not rows:
        raise UserError(f"{table}: has no word below its first line")
    if joined > len(rows) / 2:
        raise UserError(f"{table}: most lines have more cells than the columns {', '.join(columns)}; the first line must "
                        "name all")
    return rows


def _lines_of(table):
    """[(number, line)] of a file, without the empty ones."""
    if table.exists() and not table.is_file():  # a pipe would be waited for
        raise UserError(f"{table}: is no file; it must be a table of labels, or not be there")
    try:
        content = table.read_text(encoding="utf-8-sig")  # -sig: as Excel saves it, too
    except UnicodeDecodeError as error:
        raise UserError(f"{table}: {error}; save it as plain CSV in UTF-8") from None
    except OSError as error:
        raise UserError(f"{table}: {error.strerror}; it must be a table of labels, or not be there") from None
    lines = [(number, line) for number, line in enumerate(re.split("\r\n|\r|\n", content), 1) if line.strip()]
    if not lines:
        raise UserError(f"{table}: is empty; its first line must name the columns file (or word_id) and text")
    if any(len(line) > LONGEST_LINE or "\0" in line for _, line in lines):
        raise UserError(f"{table}: not a table of words; save it as plain CSV in UTF-8")
    return lines


LONGEST_LINE = 100_000  # characters


def _cells(line, part, quoted, count=None):
    """The cells of a line. Quotes that do not go together are taken for characters, as is the label of a lone ".

    Empty cells behind the `count` that there should be are left out: some programs write them.
    """
    cells = line.split(part)
    if quoted and '"' in line:
        try:
            [cells] = csv.reader([line], delimiter=part, strict=True, skipinitialspace=True)
        except csv.Error:
            pass
    while count and len(cells) > count and not cells[-1].strip():
        cells.pop()
    return cells


class _Names:
    """Finds the files that a table's cells name in a folder: as they are, else without what programs and systems change."""

    def __init__(self, folder, column):
        self.folder, self.column = folder, column

    @functools.cached_property
    def there(self):
        """{name, composed, without suffix for word_id: name} of the images in the folder."""
        names = image_names(self.folder)
        return {composed(os.path.splitext(name)[0] if self.column == "word_id" else name): name for name in names}

    def find(self, name):
        if self.column == "file" and name.isascii() and "\\" not in name:
            return name.removeprefix("./")
        if self.column == "file" and os.path.exists(self.folder / name):
            return name
        return self.there.get(composed(name).replace("\\", "/").removeprefix("./"), name)
