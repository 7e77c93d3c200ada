"""What every script does on the command line and with files: options, one-line errors, files that appear whole or not at all.

    >>> import command
    >>> if __name__ == "__main__":
    ...     command.run(main)
"""
import argparse
import contextlib
import csv
import json
import os
import sys
from pathlib import Path


class UserError(Exception):
    """Something the user can mend. Its text is one line: what is wrong, and what to do about it."""


class Parser(argparse.ArgumentParser):
    """argparse's parser with one-line errors; shows a script's docstring as its help."""

    def __init__(self, description):
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message):
        raise UserError(f"{message}; --help lists the options")


def new_picture(path, overwrite):
    """UserError unless `path` may become a new picture; None, for no picture, may."""
    if path and path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise UserError(f"{path}: name a picture that ends in .png, .jpg or .webp")
    if path and path.exists() and not overwrite:
        raise UserError(f"{path}: is there already; --overwrite replaces it")


def run(main):
    """Call `main()` as a script does: status 0 when done, 130 for Ctrl-C, 2 and one line on stderr for a `UserError`."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf8", errors="backslashreplace")  # names of files may be anything
    try:
        main()
    except UserError as error:
        sys.exit(_complain(error, 2))
    except KeyboardInterrupt as interrupt:
        sys.exit(_complain(str(interrupt) or "stopped by the keyboard", 130))
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # disk full, no permission, ...
        sys.exit(_complain(f"{error.filename or 'writing'}: {error.strerror or error}", 2))


def _complain(message, status):
    print(f"{Path(sys.argv[0]).name}: {' '.join(str(message).split())}", file=sys.stderr)
    return status


@contextlib.contextmanager
def written_whole(path):
    """A path beside `path` to write to; it takes the name `path` at the end, and is removed if anything fails.

    So `path` holds either its old content or the new, never a part. The suffixes stay (`.weights.h5`, `.png`).
    """
    path = Path(path)
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_csv(path, rows):
    """Write rows to a CSV file, UTF-8, whole; names of files that are no UTF-8 keep their bytes."""
    with written_whole(path) as beside, open(beside, "w", newline="", encoding="utf8", errors="surrogateescape") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def write_json(path, content):
    with written_whole(path) as beside:
        beside.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf8")
