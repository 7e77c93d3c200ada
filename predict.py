"""Read word images with a trained model: score it on labelled ones, or write down what they say.

    python predict.py --model_path models/iam --image_path imgs/words --result_path results      # prediction.csv
    python predict.py --model_path models/iam --image_path my_words --validate                   # metrics, errors.csv
    python predict.py --model_path models/mjsynth --image_path mjsynth --mjsynth --val_fname annotation_test.txt \\
        --validate --num_instances 512
    python predict.py --model_path models/iam --image_path imgs/words --show words.png           # what it sees and reads
    python predict.py --model_path models/iam --image_path imgs/words --lexicon en --top_paths 3 # English, three guesses
    python predict.py --model_path models/iam --image_path photos --boxes boxes.json --result_path results --draw drawn

With --boxes the words are those that boxes.json (see photos/boxes.py and the README) places on photos.
The model folder knows the alphabet and the image size. Without --result_path, predictions go to stdout.
"""
import collections
import concurrent.futures
import contextlib
import csv
import itertools
import os
import sys
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein
from tqdm import tqdm

import command
from command import UserError
from photos import boxes, drawing
from photos.page import Word
from words import ctc
from words.calibration import FITTED_ON, fit_decoding
from words.images import prepare, read_image, write_image
from words.lists import IMAGE_SUFFIXES, VALID_NAMES, WordList, image_names, read_folder, read_listings, text_of_name
from words.metrics import calibration, letters_and_digits, score, worth_scoring
from words.models import find_model, load_config
from words.reader import BATCH, load_reader
from words.sheets import contact_sheet

SHOWN = 60  # words on the sheet of --show
CHUNK = 4 * BATCH  # words read at a time


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    add_options(parser.add_argument)
    args = parser.parse_args(argv)
    check(args)
    return args


def add_options(add):
    """Add the script's options to a parser; `add` is its add_argument."""
    add("--model_path", required=True, help="model folder, or a weights file in one")
    add("--image_path", required=True, type=Path, help="folder of word images, or one image")
    add("--boxes", type=Path, metavar="FILE", help="--image_path holds photos: read the words in their boxes, from this "
                                                   "boxes.json")
    add("--draw", type=Path, metavar="DIR", help="with --boxes: save each photo with what was read on it, green where sure, "
                                                 "red where not")
    add("--result_path", type=Path, help="folder for prediction.csv or errors.csv (or a name ending in .csv)")
    add("--validate", action="store_true", help="score against the labels instead of writing predictions")
    add("--split", help="with --validate: the part to score where the labels name parts (default: their valid part)")
    add("--mjsynth", action="store_true", help="--image_path is in mjsynth's layout: use the listing --val_fname")
    add("--val_fname", default="annotation_val.txt", help="mjsynth listing to read (default annotation_val.txt)")
    add("--num_instances", type=int, help="read that many of the words only, chosen at random")
    add("--random_state", type=int, default=0, help="seed of that choice")
    add("--beam_width", type=int, default=ctc.BEAM_WIDTH, help="texts that the search keeps in sight at each step (default "
                                                               f"{ctc.BEAM_WIDTH})")
    add("--greedy", action="store_true", help="no search: the likeliest path")
    add("--no_tta", "--one_look", action="store_true", help="read each word once; else doubtful words are read again, a "
                                                            "little squeezed, and the surest reading counts (test-time "
                                                            "augmentation)")
    add("--lexicon", metavar="FILE", help="words to read by: en, or a file with a word a line, and how often it occurs")
    add("--top_paths", type=int, default=1, metavar="N", help="write the N likeliest texts of each word")
    add("--threads", type=int, default=os.cpu_count() or 1, help="threads that search")
    add("--max_len", type=int, help="longest text to write; by itself the model's time steps are the limit")
    add("--show", type=Path, metavar="PNG", help=f"also draw the first {SHOWN} words: input, after the STN, what was read")
    add("--plots", type=Path, metavar="DIR", help="with --validate: draw how often readings are right by their confidence, "
                                                  "and how the edit distances are spread")
    add("--calibrate", action="store_true", help="with --validate: fit confidences and --lexicon's weight to these words, "
                                                 "and keep that in the model folder")
    add("--G", "--gpus", help="words are read on the CPU, which is fast enough; for the commands of 2018")
    add("--workers", type=int, default=os.cpu_count() or 1, help="threads that read images")
    add("--overwrite", action="store_true", help="replace the files of an earlier run")
    add("--imgh", type=int, help="the model knows its height; another is an error")
    add("--imgW", type=int, help="the model knows its width; another is an error")
    add("--norm", action="store_true", help="images are always normalised; for the commands of 2018")


def check(args):
    """UserError for options that are out of range, do not go together, or name a picture that is there already."""
    for name, least in (("num_instances", 1), ("max_len", 1), ("workers", 1), ("random_state", 0),
                        ("beam_width", 1), ("top_paths", 1), ("threads", 1)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise UserError(f"--{name} {value}: must be {least} or more")
    for name, most in (("beam_width", 10000), ("top_paths", 1000), ("threads", 1024)):
        if getattr(args, name) > most:
            raise UserError(f"--{name} {getattr(args, name)}: must be {most} or less")
    for flag in ("split", "plots", "calibrate"):
        if getattr(args, flag) and not args.validate:
            raise UserError(f"--{flag} goes with --validate")
    if args.greedy and (args.lexicon or args.top_paths > 1):
        raise UserError("--greedy knows one text a word and no lexicon; leave it, --lexicon or --top_paths out")
    if args.calibrate and args.no_tta:
        raise UserError("--calibrate fits how the model reads by itself, which is not with --no_tta; leave that out")
    if args.draw and not args.boxes:
        raise UserError("--draw goes with --boxes")
    if args.boxes and args.mjsynth:
        raise UserError("--boxes reads photos, --mjsynth a listing of words; leave one out")
    command.new_picture(args.show, args.overwrite)


# --- Which words ----------------------------------------------------------------------------------------------

def load_words(args):
    """(WordList or BoxList, int [n] which of them to read, in the order of their names)."""
    path = args.image_path
    if args.boxes:
        words = boxes.load_list(path, args.boxes)
    elif args.mjsynth:
        words = read_listings(path, valid=args.val_fname)
    elif path.is_dir() and args.validate:
        words = read_folder(path)
    elif path.is_dir():
        words = WordList(path, ((name, "", "", "") for name in image_names(path)))
    elif path.exists():
        words = WordList(path.parent, [(path.name, text_of_name(path.name), "", "")])
    else:
        raise UserError(f"{path}: no such file or folder")
    chosen = choose_split(words, args) if args.validate else np.arange(len(words))
    if args.num_instances and args.num_instances < len(chosen):
        chosen = np.random.default_rng(args.random_state).choice(chosen, args.num_instances, replace=False)
    if not len(chosen) and args.mjsynth:
        raise UserError(f"{path / args.val_fname}: no word in it")
    if not len(chosen):
        raise UserError(f"{path}: no image in it; {', '.join(IMAGE_SUFFIXES)} are read")
    return words, np.array(sorted(chosen.tolist(), key=words.name))


def choose_split(words, args):
    """The words of --split; without it, those of the valid part where there is one, else all."""
    name = args.split or next((name for name in VALID_NAMES if name in words.splits), None)
    if name is None:
        print("all words are scored, with no part of their own to score on: those that the model learnt from make it look "
              "better than it is")
        return np.arange(len(words))
    if name not in words.splits:
        raise UserError(f"--split {name}: the words have {', '.join(words.splits) or 'no parts'}")
    print(f"scored on the part {name}")
    return np.flatnonzero(words.split_ids == words.splits.index(name))


# --- Reading --------------------------------------------------------------------------------------------------

Guess = collections.namedtuple("Guess", "text confidence")

Read = collections.namedtuple("Read", "index readings error")  # readings: none of an unreadable image; error: why no text


def load_batches(size, words, chosen, workers):
    """The words `chosen`, batch by batch: lists of (index, prepared image or None, why it cannot be read or "")."""
    if isinstance(words, boxes.BoxList):
        stream = itertools.chain.from_iterable(loaded for *_, loaded in words.load(chosen, size))
        while batch := list(itertools.islice(stream, CHUNK)):
            yield batch
        return

    def load(i):
        try:
            return i, prepare(read_image(words.path(i)), size), ""
        except ValueError as error:
            return i, None, str(error)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        batches = in_batches(chosen)
        loading = collections.deque()
        for batch in itertools.chain(batches, [None] * 2):  # two batches are read while one is recognised
            if batch is not None:
                loading.append([pool.submit(load, i) for i in batch])
            if loading and (len(loading) > 2 or batch is None):
                yield [future.result() for future in loading.popleft()]


def in_batches(items):
    return (items[k:k + CHUNK] for k in range(0, len(items), CHUNK))


def read_batches(reader, batches, top_paths=1):
    """A Read for each word of `load_batches`, in their order; memory does not grow with their number."""
    for batch in batches:
        images = [image for _, image, _ in batch if image is not None]
        found = iter(reader.read_prepared(np.stack(images), top_paths) if images else ())
        for i, image, error in batch:
            readings = [Guess(*best) for best in next(found).alternatives or [("", 0.0)]] if image is not None else []
            yield Read(i, readings, error if image is None or image.any() else "no ink in it")


def read_words(reader, words, chosen, workers, top_paths=1):
    """As `read_batches`, of the words `chosen`."""
    return read_batches(reader, load_batches(reader.size, words, chosen, workers), top_paths)


def read_photos(reader, words, chosen, top_paths, folder):
    """As `read_batches`, of a BoxList, and draws each photo with its readings into `folder` when it has been read."""
    for page, pixels, loaded in words.load(chosen, reader.size):
        reads = list(read_batches(reader, in_batches(loaded), top_paths))
        if pixels is not None:
            drawing.draw(drawing.drawing_path(folder, page.file), pixels,
                         [Word(words.word(read.index).polygon, *(read.readings or [("", 0)])[0]) for read in reads])
        yield from reads


# --- Results --------------------------------------------------------------------------------------------------

def result_file(args, name):
    """The path of a result file called `name`, or None for stdout; UserError where one of an earlier run is.

    Without --result_path errors.csv goes into the current folder, as errors_2.csv and so on if others are there.
    """
    if args.result_path is None and not args.validate:
        return None
    path = args.result_path or Path(name)
    if path.suffix != ".csv":
        path = path / name
    if args.result_path is None and not args.overwrite:
        names = itertools.chain([path], (path.with_stem(f"{path.stem}_{k}") for k in itertools.count(2)))
        return next(path for path in names if not path.exists())
    for there in (path, part_of(path)):
        if there.exists() and not args.overwrite:
            raise UserError(f"{there}: is there already; --overwrite replaces it, --result_path names another folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def part_of(path):
    """Where the rows of `path` are until it is finished."""
    return path.with_name(path.name + ".part")


@contextlib.contextmanager
def open_rows(path):
    """A CSV writer onto stdout or into PATH.part, which becomes PATH at the end, and stays if the work breaks off."""
    if path is None:
        yield csv.writer(sys.stdout, lineterminator="\n")
        return
    part = part_of(path)
    try:
        with open(part, "w", newline="", encoding="utf8", errors="surrogateescape", buffering=1) as file:
            yield csv.writer(file, lineterminator="\n")
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; the rows up to here are in {part}") from None
    os.replace(part, path)


def write_predictions(path, words, reads, top_paths):
    """prediction.csv: file (or photo and box), prediction, confidence, the next likely ones, error.

    A row is written as its word is read."""
    with open_rows(path) as rows:
        rows.writerow([*words.columns, "prediction", "confidence",
                       *(f"{name}_{k}" for k in range(2, top_paths + 1) for name in ("prediction", "confidence")), "error"])
        for index, readings, error in reads:
            cells = [cell for text, confidence in readings or [("", 0)] for cell in (text, f"{confidence:.4f}")]
            rows.writerow([*words.cells(index), *cells, *[""] * (2 * top_paths - len(cells)), error])


def validate(path, words, reads, alphabet, plots=None):
    """Print the metrics and write errors.csv, the worst first; draw into the folder `plots` if given.

    Scored are words with two letters or digits and more, over lower-case letters and digits; cased, over all that
    the alphabet can write, where it has capitals.
    """
    reads = list(reads)
    unread = [(words.cells(index), error) for index, readings, error in reads if not readings]
    read = [(words.cells(index), words.text(index), readings) for index, readings, _ in reads if readings]
    pairs = [tuple(map(letters_and_digits, (readings[0].text, text))) for _, text, readings in read]
    worth = worth_scoring(pairs) if any(truth for _, truth in pairs) else [False] * len(pairs)
    scored = [(*row, pair) for row, pair, which in zip(read, pairs, worth) if which]
    if not scored:
        raise UserError(f"none of {len(reads):,} words has a label to score against; --image_path must hold labels.csv, "
                        "labels.tsv or _text_id.png files that can be read, or --boxes texts")
    print(f"{len(scored):,} words scored; left out: {len(read) - len(scored):,} of fewer than two letters or digits, "
          f"{len(unread):,} unreadable")
    show_scores("lower case, letters and digits only", [pair for *_, pair in scored])
    show_best_of(scored)
    if alphabet.has_case:
        show_scores("with case and punctuation",
                    [(readings[0].text, alphabet.spell(text)[0]) for _, text, readings, _ in scored])
    confidences, right = [readings[0].confidence for *_, readings, _ in scored], [a == b for *_, (a, b) in scored]
    error, bins = calibration(confidences, right)
    print(f"\nconfidences\n{'  expected calibration error, 15 bins':<38}{error:>8.4f}")
    rows = [(Levenshtein.distance(*pair), cells, text, readings[0], len(pair[1])) for cells, text, readings, pair in scored]
    with open_rows(path) as out:
        out.writerow([*words.columns, "text", "prediction", "confidence", "edit_distance", "error"])
        out.writerows([*cells, "", "", "", "", error] for cells, error in unread)
        out.writerows([*cells, text, reading.text, f"{reading.confidence:.4f}", distance, ""]
                      for distance, cells, text, reading, length in sorted(rows, key=lambda row: (-row[0] / row[4], row[1]))
                      if distance)
    print(f"errors, the worst first: {path}")
    if plots:
        draw_plots(plots, bins, error, [distance for distance, *_ in rows])


def show_best_of(scored):
    """With --top_paths: how often the truth is among so many."""
    most = max(len(readings) for _, _, readings, _ in scored)
    if most > 1:
        found = [truth in [letters_and_digits(text) for text, _ in readings] for _, _, readings, (_, truth) in scored]
        print(f"  {f'word accuracy, best of {most}':<36}{np.mean(found):>8.4f}")


def draw_plots(folder, bins, error, distances):
    """reliability.png, how often readings of each confidence are right, and edit_distances.png, their histogram."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    figure, axis = pyplot.subplots(figsize=(5, 5), layout="constrained")
    words, confidence, accuracy = np.array(bins).T
    axis.plot([0, 1], [0, 1], ":", color="grey", label="as sure as right")
    axis.scatter(confidence, accuracy, 10 + 300 * words / words.sum(), label="a bin; its area: words in it")
    axis.set(xlabel="mean confidence", ylabel="part of the words that are right", xlim=(0, 1), ylim=(0, 1.02),
             aspect="equal", title=f"expected calibration error {error:.3f}, {words.sum():,.0f} words")
    axis.legend(loc="upper left")
    save_figure(figure, folder / "reliability.png")
    figure, axis = pyplot.subplots(figsize=(6, 4), layout="constrained")
    bars = axis.bar(*np.unique(np.minimum(distances, 10), return_counts=True))
    axis.bar_label(bars)
    axis.set(xlabel="edit distance (10: or more)", ylabel="words", xticks=range(11))
    save_figure(figure, folder / "edit_distances.png")


def save_figure(figure, path):
    with command.written_whole(path) as beside:
        figure.savefig(beside, dpi=100)
    print(path)


def show_scores(title, pairs):
    """Print the metrics of (prediction, truth) pairs."""
    predictions, truths = zip(*pairs)
    print(f"\n{title}")
    for name, value in score(predictions, truths).items():
        print(f"  {name.replace('_', ' '):<36}{value:>8,}" if isinstance(value, int) else
              f"  {name.replace('_', ' '):<36}{value:>8.4f}")


def show_sheet(path, reader, words, batches):
    """Draw words as the network gets them, as they leave its STN if it has one, and what it reads:
    doubtful ones from other looks too."""
    readable = [(image, words.text(i)) for batch in batches for i, image, _ in batch if image is not None]
    if not readable:  # each has its row in the results
        return print(f"none of the first {SHOWN} images can be read: no {path}", file=sys.stderr)
    images, captions = np.stack([image for image, _ in readable]), [text for _, text in readable]
    captions = [f"{best.text} {best.confidence:.2f}" + (f"  ({text})" if text else "")
                for text, best in zip(captions, reader.read_prepared(images))]
    straight = reader.straighten(images)
    shown = zip(images) if straight is None else zip(images, straight)
    rows = list(zip(shown, captions))
    write_image(path, contact_sheet(rows))


def calibrate(args, reader, words, chosen):
    """Fit confidences and the lexicon's weight to the words, and write them into the model folder's config.json."""
    images, truths = [], []
    order = np.random.default_rng(0).permutation(chosen)
    if args.boxes:  # photo by photo, so that each is decoded once
        order = np.sort(order[:FITTED_ON[1]])
    for batch in load_batches(reader.size, words, order, args.workers):
        readable = [(image, words.text(i)) for i, image, _ in batch if image is not None]
        readable = [(image, text) for image, text in readable if len(letters_and_digits(text)) > 1]
        if len(truths) >= FITTED_ON[1]:
            break
        if readable:
            images += [image for image, _ in readable]
            truths += [text for _, text in readable]
    folder, _ = find_model(args.model_path)
    decoding = fit_decoding(reader, np.stack(images), truths) if images else None
    if not decoding:
        raise UserError(f"--calibrate: {len(truths)} labelled words are too few; give {FITTED_ON[0]} or more")
    command.write_json(folder / "config.json", {**load_config(folder), "decoding": decoding})
    print(f"{folder / 'config.json'}: fitted on {len(truths):,} words: "
          + ", ".join(f"{name} {value:g}" for name, value in decoding.items()))


# --- Main -----------------------------------------------------------------------------------------------------

def reader_of(args):
    return load_reader(args.model_path, beam_width=0 if args.greedy else args.beam_width, lexicon=args.lexicon,
                       threads=args.threads, tta=not args.no_tta)


def main(argv=None):
    args = parse_args(argv)
    reader = reader_of(args)
    for flag, value, known in (("imgW", args.imgW, reader.size[0]), ("imgh", args.imgh, reader.size[1])):
        if value not in (None, known):
            raise UserError(f"--{flag} {value}: {args.model_path} reads images of {known}; leave that option out")
    words, chosen = load_words(args)
    path = result_file(args, "errors.csv" if args.validate else "prediction.csv")
    for name in ("reliability.png", "edit_distances.png") if args.plots else ():
        command.new_picture(args.plots / name, args.overwrite)
    if args.draw:
        drawing.new_drawings(args.draw, words.root, [page.file for page in words.pages], args.overwrite)
    if args.calibrate:
        calibrate(args, reader, words, chosen)
        reader = reader_of(args)
    if args.show:
        show_sheet(args.show, reader, words, load_batches(reader.size, words, chosen[:SHOWN], args.workers))
    if args.draw:
        reads = read_photos(reader, words, chosen, args.top_paths, args.draw)
    else:
        reads = read_words(reader, words, chosen, args.workers, args.top_paths)
    if args.max_len:
        reads = (read._replace(readings=[reading._replace(text=reading.text[:args.max_len]) for reading in read.readings])
                 for read in reads)
    on_screen = path is None and sys.stdout.isatty()  # where the rows themselves show how far it is
    with contextlib.closing(tqdm(reads, total=len(chosen), unit="word", dynamic_ncols=True, disable=on_screen)) as reads:
        if args.validate:
            validate(path, words, reads, reader.alphabet, args.plots)
        else:
            write_predictions(path, words, reads, args.top_paths)


if __name__ == "__main__":
    command.run(main)
