"""A CSV of results that appears whole, and goes on where a run was broken off.

    with rows_of(path, ("file", "prediction"), settings, kept=rows_before(path, header, settings) if resume else ()) as rows:
        rows.writerow(("a.png", "word"))

Until it is finished its rows stand in PATH.part, and what a run must share with them, as JSON, in PATH.part.json.
"""
import contextlib
import csv
import io
import itertools
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import command
from command import UserError

FILE = dict(newline="", encoding="utf8", errors="surrogateescape")  # names of files may be any bytes


def part_of(path: Path) -> Path:
    """Where the rows of `path` are until it is finished."""
    return path.with_name(path.name + ".part")


def settings_of(path: Path) -> Path:
    """Where the options of the run that writes `path` are until it is finished."""
    return path.with_name(path.name + ".part.json")


def result_file(path: Path | None, name: str, overwrite: bool, resume: bool = False) -> Path:
    """The path of the result file `name` in `path`, or `path` itself where that ends in .csv; UserError where one is.

    Without a path it goes into the current folder, as errors_2.csv and so on if others are there.
    """
    if path is None and not overwrite:
        first = Path(name)
        names = itertools.chain([first], (first.with_stem(f"{first.stem}_{k}") for k in itertools.count(2)))
        return next(path for path in names if not path.exists())
    path = path or Path(name)
    if path.suffix != ".csv":
        path = path / name
    if resume and path.exists():
        raise UserError(f"{path}: is there already: that run has finished, there is nothing to --resume")
    command.new_file(path, overwrite)
    part, settings = part_of(path), settings_of(path)
    if part.exists() and not settings.exists() and not overwrite:
        raise UserError(f"{part}: rows of a run that was broken off, but not {settings.name}, which says how it was run, so "
                        "that --resume cannot go on with them; keep them under another name, or --overwrite begins anew")
    if part.exists() and not (overwrite or resume):
        raise UserError(f"{part}: rows of a run that was broken off; --resume goes on with it, --overwrite begins anew")
    if resume and not part.exists():
        raise UserError(f"{part}: not there, so that there is nothing to --resume; leave that option out")
    return path


@contextlib.contextmanager
def rows_of(path: Path | None, header: Iterable[str], settings: dict, kept: Iterable[list] = ()) -> Iterator:
    """A CSV writer onto stdout, for None, or into PATH.part, which becomes PATH at the end and stays if work breaks off.

    The header and the rows `kept` are written first, so that a file that cannot be written is noticed before the work;
    beside them the `settings`, a dict that JSON can hold, to which a run that goes on must keep.
    """
    if path is None:
        rows = csv.writer(sys.stdout, lineterminator="\n")
        rows.writerow(header)
        yield rows
        return
    part = part_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    command.write_json(settings_of(path), settings)
    with command.written_whole(part) as beside, open(beside, "w", **FILE) as file:
        csv.writer(file, lineterminator="\n").writerows([header, *kept])
    try:
        with open(part, "a", buffering=1, **FILE) as file:
            begun = file.tell()
            yield csv.writer(file, lineterminator="\n")
    except BaseException as error:
        if part.stat().st_size == begun and not kept:
            part.unlink()  # no row yet
            settings_of(path).unlink(missing_ok=True)
        elif isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"stopped; the rows up to here are in {part}, and --resume goes on with them") from None
        raise
    os.replace(part, path)
    settings_of(path).unlink(missing_ok=True)


def rows_before(path: Path, header: list[str], settings: dict) -> list[list[str]]:
    """The whole rows that a run left in PATH.part; UserError where they are not such as this run would write."""
    command.same_settings(settings_of(path), settings)
    with open(part_of(path), **FILE) as file:
        content = file.read()
    rows = list(csv.reader(io.StringIO(content[:content.rfind("\n") + 1], newline="")))
    if not rows or rows[0] != header:
        raise UserError(f"{part_of(path)}: has not the columns {', '.join(header)}; give the options of that run")
    return [row for row in rows[1:] if len(row) == len(header)]


def left_over(words, chosen: Iterable[int], rows: list[list[str]]) -> list[int]:
    """Those of the words `chosen`, of a WordList or a BoxList, that have no row yet."""
    done = {tuple(row[:len(words.columns)]) for row in rows}
    return [i for i in chosen if tuple(map(str, words.cells(i))) not in done]
