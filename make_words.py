"""Draw labelled images of single words to train on, in mjsynth's layout, as many as wanted.

    python make_words.py -o words -n 500000                                # the project's fonts and English words
    python make_words.py -o words -n 500000 --resume                       # goes on where a killed run was
    python make_words.py -o words -n 100000 --styles paper=3,board=1 --lexicon WORDS.txt --fonts FONTS
    python make_words.py -o words -n 100000 --strokes STROKES.npz          # and pen movements; render/strokes.py says how
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
import argparse
import contextlib
import fractions
import os
from pathlib import Path

import command
import render
from command import UserError, whole
from words.alphabet import Alphabet

folders = command.later("render.folder")
word_set = command.later("render.word_set")
image_files = command.later("words.image_files")
tqdm = command.later("tqdm")


def share(text):
    """An argparse type: a share of the words, exact, below 1; or a whole number of them, from 1."""
    try:
        value = fractions.Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = None
    if value is None or value < 0 or value >= 1 and value.denominator > 1:
        raise argparse.ArgumentTypeError(f"{text}: must be a share from 0 to 1, such as 1/50, or a whole number of words")
    return value


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder for the words")
    parser.add_argument("-n", "--number", type=whole(1), default=10000, help="how many words (default 10000)")
    render.add_options(parser.add_argument)
    parser.add_argument("--alphabet", type=Alphabet,
                        help="only texts that it can write: seed, ascii, or the characters themselves")
    parser.add_argument("--valid", type=share, default="1/50",
                        help="validation words, and as many test words: a share below 1, or a count (default 1/50)")
    parser.add_argument("--workers", type=whole(1, 1000), default=os.cpu_count() or 1,
                        help="processes (default: one a core)")
    parser.add_argument("--random_state", type=whole(0), default=0, help="another number draws other words (default 0)")
    parser.add_argument("--resume", action="store_true", help="go on with a run of the same options that broke off")
    parser.add_argument("--overwrite", action="store_true", help="write into a folder that is not empty")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="only draw 100 samples with their labels")
    args = parser.parse_args(argv)
    if not args.output and not args.sheet:
        raise UserError("say where the words go: -o DIR (or --sheet FILE.png for 100 samples)")
    args.valid = args.valid if args.valid < 1 else args.valid / args.number
    if args.valid > fractions.Fraction(1, 3):
        raise UserError("--valid: at most a third of the words can be for validation, and as many for the test")
    if args.resume and args.overwrite:
        raise UserError("--resume goes on, --overwrite starts afresh: give one of them")
    command.new_picture(args.sheet, args.overwrite)
    return args


def write_words(folder, drawer, workers):
    """Writes all words of a Folder that are not done; at a full disk lists those there are. {split: words}."""
    folder.begin()
    number = folder.settings["number"]
    words = word_set.drawn(drawer, folder.done, number, workers)
    try:
        with folder.room_kept(), contextlib.closing(words), \
                tqdm.tqdm(total=number, initial=folder.done, unit=" words", smoothing=0.05) as bar:
            for _ in folder.write(words):
                bar.update()
        return folder.finish()
    except OSError as error:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            folder.write_listings()
        raise UserError(f"{folder.root}: {error.strerror or error}; {command.count(folder.done, 'word')} so far, listed and "
                        "ready for use; --resume goes on when that is mended") from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; the same command with --resume goes on") from None


def main(argv=None):
    args = parse_args(argv)
    drawing = {name: getattr(args, name) for name in render.OPTIONS}
    usable = (lambda text: args.alphabet.spell(text)[1] == 0) if args.alphabet else None
    if args.sheet:
        image_files.write_image(args.sheet, word_set.sheet(render.Renderer(**drawing, usable=usable), args.random_state))
        print(f"{args.sheet}: 100 words")
        return
    settings = {name: str(value.resolve()) if isinstance(value, Path) else value for name, value in drawing.items()}
    settings |= {"number": args.number, "alphabet": args.alphabet and args.alphabet.characters,
                 "random_state": args.random_state, "valid": str(args.valid)}
    with folders.opened(args.output, settings, args.resume, args.overwrite) as folder:
        if folder.finished:
            print(f"{args.output}: all words are there already, {args.number:,}")
            return
        renderer = render.Renderer(**drawing, usable=usable)
        for split in render.SPLITS:
            renderer.texts_of(split)  # a lexicon that cannot be drawn is told before the work
        counts = write_words(folder, word_set.Drawer(renderer, args.random_state, args.valid), args.workers)
        parts = ", ".join(f"{number:,} {split}" for split, number in counts.items())
        print(f"{args.output}: {command.count(args.number, 'word')} ({parts})")


if __name__ == "__main__":
    command.run(main)
