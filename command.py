"""What every script does on the command line and with files: options, one-line errors, files that appear whole.

    import command
    import_later = command.later("utils")  # a module that is slow to load: loaded when it is first used

    if __name__ == "__main__":
        command.run(main)
"""
import argparse
import contextlib
import csv
import importlib.util
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType

# --- Errors -----------------------------------------------------------------------------------------------------

class UserError(Exception):
    """Something the user can mend. Its text is one line: what is wrong, and what to do about it."""


def run(main: Callable[[], object]):
    """Call `main()` as a script does: status 0 when done, 2 and one line on stderr for a `UserError`, 130 for Ctrl-C and for
    SIGTERM, which `kill`, systemd and Docker send: a KeyboardInterrupt, both.

    Where SIGINT is ignored, as a shell sets it for what it runs in the background, it stays so.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf8", errors="backslashreplace")  # names of files may be anything
    try:
        main()
    except UserError as error:
        sys.exit(_complain(error, 2))
    except KeyboardInterrupt as interrupt:
        sys.exit(_complain(str(interrupt) or "stopped", 130))
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except FileExistsError as error:  # where a folder is to be made
        sys.exit(_complain(f"{error.filename}: is no folder; name another", 2))
    except OSError as error:  # disk full, no permission, ...
        sys.exit(_complain(f"{error.filename or 'writing'}: {error.strerror or error}", 2))


def _complain(message, status):
    line = re.sub(r"(:/+[^\s:@/]*):.*@", r"\1@", " ".join(str(message).split()))  # the passwords of URLs are left out
    line = re.sub(r"(password=)[^\s&]*", r"\1", line)
    print(f"{Path(sys.argv[0]).name}: {line}", file=sys.stderr)
    return status


def later(name: str) -> ModuleType:
    """The module `name`, loaded when it is first used, so that --help and wrong options answer at once.

    (importlib.util.LazyLoader; a module that is loaded already is returned as it is.)
    """
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.find_spec(name)
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)  # as an import does
    return module


# --- What a script says -----------------------------------------------------------------------------------------

def count(number: int, noun: str, plural: str | None = None) -> str:
    """"1 word", "2,000 words"; with a `plural` that is more than an s behind, "2 batches"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


# --- Options ----------------------------------------------------------------------------------------------------

class Parser(argparse.ArgumentParser):
    """argparse's parser with one-line errors; shows a script's docstring as its help."""

    def __init__(self, description, **options):
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message):
        raise UserError(f"{message}; --help lists the options")


def whole(least: int, most: int = 2 ** 31 - 1) -> Callable[[str], int]:
    """An argparse type: a whole number from `least` to `most`."""
    return _number(int, "a whole number", least, most)


def number(least: float, most: float) -> Callable[[str], float]:
    """An argparse type: a number from `least` to `most`."""
    return _number(float, "a number", least, most)


def _number(kind, name, least, most):
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:  # not a number compares as false
            raise argparse.ArgumentTypeError(f"{text}: must be {name} from {least} to {most}")
        return value
    return parse


def gpu_ids(text: str) -> str:
    """An argparse type: GPU ids such as 0 or 0,1; or -1."""
    if text != "-1" and not all(part.isdecimal() for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text}: must be numbers of GPUs, such as 0 or 0,1, or -1 for the CPU")
    return text


# --- Files ------------------------------------------------------------------------------------------------------

PICTURES = ".png", ".jpg", ".jpeg", ".webp"


def new_file(path: str | os.PathLike | None, overwrite: bool):
    """UserError if something is at `path` already and may not be replaced; None, for no file, is fine."""
    if path and os.path.lexists(path) and not overwrite:
        raise UserError(f"{path}: is there already; --overwrite replaces it")


def new_picture(path: Path | None, overwrite: bool):
    """`new_file` for a picture, whose name must say its format and whose folder must be there."""
    if path and path.suffix.lower() not in PICTURES:
        raise UserError(f"{path}: name a picture that ends in {', '.join(PICTURES)}")
    if path and not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}; make it first")
    new_file(path, overwrite)


LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: str | os.PathLike):
    """Keeps `folder`, which must be there, for this process, however that ends; UserError if another one works in it."""
    import filelock
    folder = Path(folder)
    lock = filelock.FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(f"{folder}: another run works in it; wait for that, or name another folder") from None
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)  # while it is held: filelock refuses a file that is gone
        lock.release()


@contextlib.contextmanager
def new_folder(folder: str | os.PathLike, *others: str | os.PathLike):
    """`locked` for a folder to write to; it and the others are made if need be, and those that were made are removed if
    nothing is in them at the end. UserError or OSError where one of them cannot be written to: then none is made."""
    with contextlib.ExitStack() as made:
        for path in map(Path, (folder, *others)):
            if os.path.lexists(path) and not path.is_dir():
                raise UserError(f"{path}: is no folder; name another")
            for part in (*reversed(path.parents), path):
                if not part.exists():
                    part.mkdir(exist_ok=True)
                    made.callback(_remove_empty, part)
            if not os.access(path, os.W_OK):
                raise UserError(f"{path}: cannot be written to; name another folder")
        with locked(folder):
            yield


def _remove_empty(folder):
    with contextlib.suppress(OSError):  # something is in it
        folder.rmdir()


def is_empty(folder: Path) -> bool:
    """Whether a folder, which may be locked, has nothing but its lock, or is not there."""
    return not folder.exists() or all(path.name == LOCK for path in folder.iterdir())


def same_settings(path: Path, settings: dict):
    """UserError if the JSON file at `path`, of a run that broke off, has other `settings` than the run that goes on."""
    try:
        old = json.loads(path.read_text(encoding="utf8"))
        different = next((name for name in settings if settings[name] != old.get(name)), None)
    except (OSError, ValueError, AttributeError):
        raise UserError(f"{path}: not readable; add --overwrite instead of --resume to start afresh") from None
    if different:
        raise UserError(f"{path}: was begun with another --{different}; --resume needs the same")


@contextlib.contextmanager
def written_whole(path: str | os.PathLike):
    """A path beside `path` to write to; it takes the name `path` at the end, and is removed if anything fails.

    So `path` holds either its old content or the new, never a part. The suffixes stay (`.weights.h5`, `.png`).
    """
    path = Path(path)
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield beside
        os.replace(beside, path)
    except OSError as error:  # a full disk names no file
        if error.errno and error.filename in (None, str(beside)):
            error.filename = str(path)
        raise
    finally:
        beside.unlink(missing_ok=True)


def write_csv(path: str | os.PathLike, rows: Iterable[Iterable]):
    """Write rows to a CSV file, UTF-8, whole; names of files that are no UTF-8 keep their bytes."""
    with written_whole(path) as beside, open(beside, "w", newline="", encoding="utf8", errors="surrogateescape") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def write_json(path: str | os.PathLike, content):
    """Write what JSON can hold to a file, UTF-8, whole."""
    with written_whole(path) as beside:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        beside.write_text(text, encoding="utf8", errors="surrogateescape")
