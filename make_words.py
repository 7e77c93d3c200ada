"""Draw labelled images of single words to train on, in mjsynth's layout, as many as wanted.

    python make_words.py -o words -n 500000                                # the project's fonts and English words
    python make_words.py -o words -n 500000 --resume                       # goes on where a killed run was
    python make_words.py -o words -n 100000 --styles paper=3,board=1 --lexicon WORDS.txt --fonts FONTS
    python make_words.py -o words -n 100000 --strokes STROKES.npz          # and pen movements; render.py has the format
    python make_words.py --sheet sheet.png                                 # 100 samples with labels, to look at

    python train.py --path words --mjsynth --training_fname annotation_train.txt --val_fname annotation_val.txt
    python train.py --path words                                           # or so: exact labels, with punctuation

WORDS.txt has a word a line, and its count if known; FONTS is any folder of ttf, otf, woff or woff2 files. The styles are
scene (signs and print), paper (pen and pencil) and board (markers and chalk). Written are, as in mjsynth,

    ./12/3/123_Word_456.jpg     grey; 123rd in its folder; letters and digits of the text; its line in lexicon.txt, from 0
    annotation_train.txt, annotation_val.txt, annotation_test.txt          lines "./12/3/123_Word_456.jpg 456"
    lexicon.txt                 the texts' letters and digits in lower case, a text a line
    labels.csv                  file,text,split,style,source: the exact text; the face's family or the writer

Word k depends on the options and --random_state alone, not on --workers. The fonts and writers of the validation and
test parts are in no other part. A full disk ends the run; the words drawn by then are listed and ready for use.
"""
import collections
import concurrent.futures
import concurrent.futures.process
import contextlib
import csv
import fractions
import io
import itertools
import json
import math
import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

import command
import processes
import render
from command import UserError
from words.alphabet import Alphabet
from words.images import write_image

FOLDER, FOLDERS = 300, 7  # words a folder, and folders in a folder, about as in mjsynth
TASK = 50  # words that a process draws at a time
CHUNK = 1000  # words whose labels are written at a time; what a killed run draws again
QUALITY = 92  # of the JPEGs
ROOM = 160  # bytes a word, kept free while drawing, so that a full disk leaves room for the listings
LISTINGS = {"train": "annotation_train.txt", "valid": "annotation_val.txt", "test": "annotation_test.txt"}
COLUMNS = ("file", "text", "split", "style", "source")
PART, SETTINGS, RESERVE = ".labels.part", "make_words.json", ".reserve"


def share(text):
    """A share of the words, exact, below 1; or a whole number of them, from 1."""
    try:
        value = fractions.Fraction(text)
    except ZeroDivisionError:
        raise ValueError from None
    if value < 0 or value >= 1 and value.denominator > 1:
        raise ValueError
    return value


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder for the words")
    parser.add_argument("-n", "--number", type=int, default=10000, help="how many words (default 10000)")
    render.add_options(parser.add_argument)
    parser.add_argument("--alphabet", help="only texts that it can write: seed, ascii, or the characters themselves")
    parser.add_argument("--valid", type=share, default="1/50",
                        help="validation words, and as many test words: a share below 1, or a count (default 1/50)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--random_state", type=int, default=0, help="another number draws other words (default 0)")
    parser.add_argument("--resume", action="store_true", help="go on with a run of the same options that broke off")
    parser.add_argument("--overwrite", action="store_true", help="write into a folder that is not empty")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="only draw 100 samples with their labels")
    args = parser.parse_args(argv)
    if not args.output and not args.sheet:
        raise UserError("say where the words go: -o DIR (or --sheet FILE.png for 100 samples)")
    for name, least in (("number", 1), ("workers", 1), ("random_state", 0)):
        if getattr(args, name) < least:
            raise UserError(f"--{name} {getattr(args, name)}: must be {least} or more")
    args.valid = args.valid if args.valid < 1 else args.valid / args.number
    if args.valid > fractions.Fraction(1, 3):
        raise UserError("--valid: at most a third of the words can be for validation, and as many for the test")
    if args.resume and args.overwrite:
        raise UserError("--resume goes on, --overwrite starts afresh: give one of them")
    return args


def make_renderer(args):
    alphabet = Alphabet(args.alphabet) if args.alphabet else None
    usable = (lambda text: alphabet.spell(text)[1] == 0) if alphabet else None
    return render.Renderer(**{name: getattr(args, name) for name in render.OPTIONS}, usable=usable)


# --- Drawing, in processes of their own -------------------------------------------------------------------------

def split_of(k, part):
    """The split of word k: of n words, n * part are for validation and as many for the test, evenly spread."""
    if math.floor((k + 1) * part) > math.floor(k * part):
        return "valid"
    half = fractions.Fraction(1, 2)
    return "test" if math.floor((k + 1) * part + half) > math.floor(k * part + half) else "train"


Drawer = collections.namedtuple("Drawer", "renderer random_state valid")
_drawer = None  # in a drawing process: what it draws with


def _begin_drawing(drawer):
    global _drawer
    _drawer = drawer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the script's to answer
    threading.Thread(target=processes.end_with_parent, daemon=True).start()


def _draw(numbers):
    return draw(_drawer, numbers)


def draw(drawer, numbers):
    """[(JPEG bytes, text, split, style, source)] of the words with these numbers."""
    words = []
    for k in numbers:
        split = split_of(k, drawer.valid)
        word = drawer.renderer.word(np.random.default_rng((drawer.random_state, k)), split)
        _, jpeg = cv2.imencode(".jpg", word.image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        words.append((jpeg.tobytes(), word.text, split, word.style, word.source))
    return words


def drawn(drawer, first, number, workers):
    """The words from `first` to `number`, in order, as `draw` gives them; `workers` processes draw ahead."""
    tasks = (range(k, min(k + TASK, number)) for k in range(first, number, TASK))
    if workers == 1 or sys.platform != "linux":  # fork is missing or unsafe there, and fonts cannot be pickled
        for task in tasks:
            yield from draw(drawer, task)
        return
    pool = concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context("fork"),
                                                  initializer=_begin_drawing, initargs=(drawer,))
    try:
        ahead = collections.deque(pool.submit(_draw, task) for task in itertools.islice(tasks, 3 * workers))
        while ahead:
            yield from ahead.popleft().result()
            ahead.extend(pool.submit(_draw, task) for task in itertools.islice(tasks, 1))
    except concurrent.futures.process.BrokenProcessPool:
        raise UserError("a process that draws was ended from outside, maybe for want of memory; go on with "
                              "--resume and fewer --workers") from None
    finally:
        pool.shutdown(cancel_futures=True)


# --- The folder -------------------------------------------------------------------------------------------------

def letters_of(text):
    """What a file name may hold of a text."""
    return "".join(filter(str.isalnum, text))


class Folder:
    """A folder of words in the making: image files, and the labels of whole chunks of 1000 in a hidden file.

    folder.done: how many words are drawn and have their labels written."""

    def __init__(self, root, settings, resume, overwrite):
        self.root, self.lexicon = root, {}
        root.mkdir(parents=True, exist_ok=True)
        old = root / SETTINGS
        if resume and old.exists():
            if (different := differing(old, settings)):
                raise UserError(f"{root}: was begun with another {different}; --resume needs the same options")
        elif any(root.iterdir()) and not overwrite:
            raise UserError(f"{root} is not empty: name another folder, or add " + (
                "--overwrite" if resume or not old.exists() else "--resume to go on or --overwrite to start afresh"))
        else:
            for name in (*LISTINGS.values(), "lexicon.txt", "labels.csv", PART, RESERVE):
                (root / name).unlink(missing_ok=True)  # they would name words that are no more
            command.write_json(old, settings)
        self.finished = (root / "labels.csv").exists() and not (root / PART).exists()
        self.done = settings["number"] if self.finished else self._read_part()

    def _read_part(self):
        """How many words are done. Labels of a chunk that was not written whole are cut off."""
        done = size = 0
        with open(self.root / PART, "a+b") as part:
            part.seek(0)
            while len(lines := list(itertools.islice(part, CHUNK))) == CHUNK and lines[-1].endswith(b"\n"):
                size += sum(map(len, lines))
                done += CHUNK
                for line in lines:
                    self.line_of(next(csv.reader([line.decode("utf8")]))[1])
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
    def room_kept(self, words):
        """Keeps the room on the disk that the listings of so many words will need; frees it at the end."""
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


def differing(path, settings):
    """The name of a setting that is not as in the file `path`; None if all are."""
    try:
        old = json.loads(path.read_text(encoding="utf8"))
        return next((f"--{name}" for name in settings if settings[name] != old.get(name)), None)
    except (OSError, ValueError, AttributeError):
        raise UserError(f"{path}: not readable; add --overwrite instead of --resume to start afresh") from None


def settings_of(args):
    """What the words depend on, as make_words.json keeps it."""
    paths = {name: str(path.resolve()) if path else None for name, path in
             (("fonts", args.fonts), ("lexicon", args.lexicon), ("strokes", args.strokes))}
    return {**paths, **{name: getattr(args, name) for name in ("number", "strokes_share", "styles", "alphabet",
                                                              "random_state")}, "valid": str(args.valid)}


def write_words(args):
    """Writes all words into args.output; at a full disk lists those there are."""
    renderer = make_renderer(args)
    folder = Folder(args.output, settings_of(args), args.resume, args.overwrite)
    if folder.finished:
        print(f"{args.output}: all {args.number:,} words are there already")
        return
    words = drawn(Drawer(renderer, args.random_state, args.valid), folder.done, args.number, args.workers)
    try:
        with folder.room_kept(args.number), contextlib.closing(words), \
                tqdm(total=args.number, initial=folder.done, unit=" words", smoothing=0.05) as bar:
            for _ in folder.write(words):
                bar.update()
    except OSError as error:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            folder.write_listings()
        raise UserError(f"{args.output}: {error.strerror or error}; the {folder.done:,} words there are listed and "
                              f"ready for use; --resume goes on when that is mended") from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; the same command with --resume goes on") from None
    counts = folder.write_listings()
    (args.output / PART).unlink()
    print(f"{args.output}: {args.number:,} words ({', '.join(f'{counts[split]:,} {split}' for split in LISTINGS)})")


def write_sheet(path, renderer, random_state):
    """A picture of the first 100 words, ten in a row, each with its label beneath."""
    sheet = Image.new("L", (10 * 200, 10 * 90), 128)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for k in range(100):
        word = renderer.word(np.random.default_rng((random_state, k)))
        image, x, y = Image.fromarray(word.image), k % 10 * 200, k // 10 * 90
        image.thumbnail((196, 70))
        sheet.paste(image, (x + 2, y + 2))
        pen.text((x + 2, y + 73), word.text, fill=255, font=font)
    write_image(path, np.asarray(sheet))


def main(argv=None):
    args = parse_args(argv)
    command.new_picture(args.sheet, args.overwrite)
    if args.sheet:
        write_sheet(args.sheet, make_renderer(args), args.random_state)
    else:
        write_words(args)


if __name__ == "__main__":
    command.run(main)
