"""Read word images with a trained model: score it on labelled ones, or write down what they say.

    python predict.py --model_path models/iam --image_path imgs/words --result_path results      # prediction.csv
    python predict.py --model_path models/iam --image_path my_words --validate                   # metrics, errors.csv
    python predict.py --model_path models/mjsynth --image_path mjsynth --mjsynth --val_fname annotation_test.txt \\
        --validate --num_instances 512
    python predict.py --model_path models/iam --image_path imgs/words --show words.png           # what it sees and reads
    python predict.py --model_path models/iam --image_path imgs/words --lexicon en --top_paths 3 # English, three guesses
    python predict.py --model_path models/iam --image_path photos --boxes boxes.json --result_path results --draw drawn

An image shows one word; pages.py reads whole photos. With --boxes the words are those that boxes.json (docs/formats.md)
places on photos. The model folder knows the alphabet and the image size. Without --result_path,
predictions go to stdout. A run ends with a count; one that was broken off goes on with --resume.
"""
import collections
import contextlib
import dataclasses
import importlib.util
import itertools
import os
import sys
from pathlib import Path

import command
from command import UserError, whole
from words.models import find_model, load_config, metadata

np = command.later("numpy")
boxes = command.later("photos.boxes")
drawing = command.later("photos.drawing")
page = command.later("photos.page")
batches = command.later("words.batches")
calibration = command.later("words.calibration")
image_files = command.later("words.image_files")
lists = command.later("words.lists")
metrics = command.later("words.metrics")
plots = command.later("words.plots")
reader = command.later("words.reader")
results = command.later("words.results")
sheets = command.later("words.sheets")

SHOWN = 60  # words on the sheet of --show
LOOKED = 20  # of so many images all whole photos: the folder is one of photos
SINGLE = "predict.py reads images of single words, `python pages.py` finds and reads the words on photos"


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    add_word_options(parser.add_argument_group("which words").add_argument)
    add_decoding_options(parser.add_argument_group("how they are read").add_argument)
    add_result_options(parser.add_argument_group("what is written").add_argument)
    add_old_options(parser.add_argument_group("for the commands of 2018").add_argument)
    args = parser.parse_args(argv)
    for flag in ("split", "plots", "calibrate"):
        if getattr(args, flag) and not args.validate:
            raise UserError(f"--{flag} goes with --validate")
    if args.validate and not importlib.util.find_spec("rapidfuzz"):
        raise UserError("--validate scores with rapidfuzz: pip install rapidfuzz, or leave that option out")
    if args.plots and not importlib.util.find_spec("matplotlib"):
        raise UserError("--plots draws with matplotlib: pip install matplotlib, or leave that option out")
    if args.greedy and (args.lexicon or args.top_paths > 1):
        raise UserError("--greedy knows one text a word and no lexicon; leave it, --lexicon or --top_paths out")
    if args.calibrate and args.no_tta:
        raise UserError("--calibrate fits how the model reads by itself, which is not with --no_tta; leave that out")
    if args.calibrate and not args.overwrite:
        raise UserError(f"--calibrate changes {args.model_path}, the decoding in its config.json; add --overwrite if it may")
    if args.draw and not args.boxes:
        raise UserError("--draw goes with --boxes")
    if args.boxes and args.mjsynth:
        raise UserError("--boxes reads photos, --mjsynth a listing of words; leave one out")
    if args.resume and (args.validate or args.overwrite or not args.result_path):
        raise UserError("--resume goes on with predictions in a --result_path, neither with --validate nor with --overwrite")
    command.new_picture(args.show, args.overwrite)
    if not args.image_path.exists():
        raise UserError(f"--image_path {args.image_path}: no such file or folder")
    return args


def add_word_options(add):
    add("--model_path", required=True, help="model folder, or a weights file in one")
    add("--image_path", required=True, type=Path, help="folder of word images, or one image")
    add("--boxes", type=Path, metavar="FILE", help="--image_path holds photos: read the words in their boxes, from this "
                                                   "boxes.json")
    add("--mjsynth", action="store_true", help="--image_path is in mjsynth's layout: use the listing --val_fname")
    add("--val_fname", default="annotation_val.txt", help="mjsynth listing to read (default annotation_val.txt)")
    add("--split", help="with --validate: the part to score where the labels name parts (default: their valid part)")
    add("--num_instances", type=whole(1), help="read that many of the words only, chosen at random")
    add("--random_state", type=whole(0), default=0, help="seed of that choice")


def add_decoding_options(add):
    add("--beam_width", type=whole(1, 10000), default=10, help="texts that the search keeps in sight at each step (default "
                                                               "10)")
    add("--greedy", action="store_true", help="no search: the likeliest path")
    add("--no_tta", "--one_look", action="store_true", help="read each word once; else doubtful words are read again, a "
                                                            "little squeezed, long ones in halves, and the surest "
                                                            "reading counts (test-time augmentation)")
    add("--lexicon", metavar="FILE", help="what to read by: en, English; none (default); or a file with a word a line, and "
                                       "how often it occurs")
    add("--top_paths", type=whole(1, 1000), default=1, metavar="N", help="write the N likeliest texts of each word")
    add("--max_len", type=whole(1), help="longest text to write; by itself the model's time steps are the limit")
    add("--threads", type=whole(1, 1024), default=os.cpu_count() or 1, help="threads of network and search")
    add("--workers", type=whole(1, 1024), default=os.cpu_count() or 1, help="threads that read images")


def add_result_options(add):
    add("--result_path", type=Path, help="folder for prediction.csv or errors.csv (or a name ending in .csv)")
    add("--resume", action="store_true", help="go on with a run that was broken off; its rows stay")
    add("--validate", action="store_true", help="score against the labels instead of writing predictions")
    add("--plots", type=Path, metavar="DIR", help="with --validate: draw how often readings are right by their confidence, "
                                                  "and how the edit distances are spread")
    add("--calibrate", action="store_true", help="with --validate: fit confidences and --lexicon's weight to these words, "
                                                 "and keep that in the model folder; needs --overwrite")
    add("--show", type=Path, metavar="PNG", help=f"also draw the first {SHOWN} words: input, after the STN, what was read")
    add("--draw", type=Path, metavar="DIR", help="with --boxes: save each photo with what was read on it, green where sure, "
                                                 "red where not")
    add("--overwrite", action="store_true", help="replace the files of an earlier run")


def add_old_options(add):
    add("--G", "--gpus", type=command.gpu_ids, help="words are read on the CPU, whatever GPU is named")
    add("--imgh", type=whole(1), help="the model knows its height; another is an error")
    add("--imgW", type=whole(1), help="the model knows its width; another is an error")
    add("--norm", action="store_true", help="images are always normalised")


# --- Which words ------------------------------------------------------------------------------------------------

def list_words(path, boxes_path=None, listing=None, labelled=False):
    """The WordList or BoxList of a folder or file; listing: an mjsynth listing in it; labelled: with a folder's labels."""
    if boxes_path:
        return boxes.load_list(path, boxes_path)
    if listing:
        return lists.read_listings(path, valid=listing)
    if path.is_dir() and labelled:
        return lists.read_folder(path)
    if path.is_dir():
        return lists.WordList(path, ((name, "", "", "") for name in lists.image_names(path)))
    if path.suffix.lower() == ".pdf":
        raise UserError(f"{path}: a PDF; {SINGLE}")
    return lists.WordList(path.parent, [(path.name, lists.text_of_name(path.name), "", "")])


def choose(words, chosen, number, seed):
    """Of the words `chosen`, int [n], so many at random, or all for None, in the order of their names."""
    if number and number < len(chosen):
        chosen = np.random.default_rng(seed).choice(chosen, number, replace=False)
    if not len(chosen):
        raise UserError(f"{words.root}: no word in it; images that are read end in {', '.join(lists.IMAGE_SUFFIXES)}")
    return np.array(sorted(chosen.tolist(), key=words.name))


def choose_split(words, name=None):
    """The words of a split, int [n]; without a name, those of the valid part where there is one, else all."""
    name = name or next((name for name in lists.VALID_NAMES if name in words.splits), None)
    if name is None:
        print("all words are scored, with no part of their own to score on: those that the model learnt from make it look "
              "better than it is")
        return np.arange(len(words))
    if name not in words.splits:
        raise UserError(f"--split {name}: the words have {', '.join(words.splits) or 'no parts'}")
    print(f"scored on the part {name}")
    return np.flatnonzero(words.split_ids == words.splits.index(name))


def check_images(words, chosen):
    """UserError where none of the words `chosen`, int [n], of a WordList is on an image of its own, told before a model is
    loaded. They are looked at in a random order, until a word is found or LOOKED whole photos are."""
    photos = 0
    for i in np.random.default_rng(0).permutation(chosen):
        path, fault = words.path(i), batches.fault_of(words.path(i))
        photos += fault == batches.WHOLE_PHOTO
        if not fault:
            return
        if photos == LOOKED:
            break
    others = f"; so it is with the others in {words.root}" if len(chosen) > 1 else ""
    raise UserError(f"{path}: {fault}{others}" + f"; {SINGLE}" * (photos > 0))


# --- Reading ----------------------------------------------------------------------------------------------------

def load_words(words, chosen, size, workers):
    """Chunks of batches.Loaded, of a WordList or of a BoxList."""
    if hasattr(words, "pages"):
        return batches.in_chunks(itertools.starmap(batches.Loaded, itertools.chain.from_iterable(
            loaded for *_, loaded in words.load(chosen, size))))
    return batches.load(words, chosen, size, workers)


def read_photos(model, words, chosen, top_paths, folder):
    """As `batches.read`, of a BoxList, and draws each photo with its readings into `folder` when it has been read."""
    for photo, pixels, loaded in words.load(chosen, model.size):
        reads = list(batches.read(model, batches.in_chunks(itertools.starmap(batches.Loaded, loaded)), top_paths))
        if pixels is not None:
            drawing.draw(drawing.drawing_path(folder, photo.file), pixels, [
                page.Word(words.word(read.index).polygon, read.reading.text if read.reading else "",
                          read.reading.confidence if read.reading else 0.0) for read in reads])
        yield from reads


def shortened(reads, most):
    """`reads` with texts of at most so many characters."""
    for read in reads:
        if read.reading:
            texts = [(text[:most], confidence) for text, confidence in read.reading.alternatives]
            reading = dataclasses.replace(read.reading, text=read.reading.text[:most], alternatives=texts)
            read = read._replace(reading=reading)
        yield read


def counted(reads, counts):
    """`reads`, counted by how they went."""
    for read in reads:
        counts["words"] += 1
        counts["unreadable" if read.reading is None else "empty" if not read.reading.text else
               "sure" if read.reading.confidence >= page.SURE else "doubtful"] += 1
        counts["photos"] += read.error == batches.WHOLE_PHOTO
        yield read


def show_counts(counts, before=0):
    """Say on stderr how a run went."""
    there = f"{command.count(before, 'word')} from before; " if before else ""
    print(f"{there}{command.count(counts['words'], 'word')}: {counts['sure']:,} read, {counts['doubtful']:,} doubtful "
          f"(confidence below {page.SURE}), {counts['empty']:,} without text, {counts['unreadable']:,} unreadable",
          file=sys.stderr)
    if counts["photos"]:
        print(f"whole photos among them, as it seems: {counts['photos']:,}; {SINGLE}", file=sys.stderr)


# --- Results ----------------------------------------------------------------------------------------------------

def prediction_columns(words, top_paths):
    return [*words.columns, "prediction", "confidence",
            *(f"{name}_{k}" for k in range(2, top_paths + 1) for name in ("prediction", "confidence")), "error"]


def write_predictions(rows, words, reads, top_paths):
    """Rows of prediction.csv: file (or photo and box), prediction, confidence, the next likely ones, error."""
    for index, reading, error in reads:
        texts = (reading.alternatives if reading else []) or [("", 0.0)]
        cells = [cell for text, confidence in texts for cell in (text, f"{confidence:.4f}")]
        rows.writerow([*words.cells(index), *cells, *[""] * (2 * top_paths - len(cells)), error])


Scored = collections.namedtuple("Scored", "cells text reading pair distance")  # pair: letters and digits read, and true


def validate(rows, words, reads, alphabet):
    """Print the metrics, and write rows of errors.csv, the worst first; the Scored words.

    Scored are words with two letters or digits and more, over lower-case letters and digits; cased, over all that
    the alphabet can write, where it has capitals.
    """
    reads = list(reads)
    unread = [(words.cells(index), error) for index, reading, error in reads if reading is None]
    read = [(words.cells(index), words.text(index), reading) for index, reading, _ in reads if reading is not None]
    pairs = [tuple(map(metrics.letters_and_digits, (reading.text, text))) for _, text, reading in read]
    worth = metrics.worth_scoring(pairs) if any(truth for _, truth in pairs) else [False] * len(pairs)
    scored = [Scored(*row, pair, metrics.distance(*pair)) for row, pair, which in zip(read, pairs, worth) if which]
    if not scored:
        raise UserError(f"none of {command.count(len(reads), 'word')} has a label to score against; --image_path must "
                        "hold labels.csv, labels.tsv or _text_id.png files that can be read, or --boxes texts")
    print(f"{command.count(len(scored), 'word')} scored; left out: {len(read) - len(scored):,} of fewer than two "
          f"letters or digits, {len(unread):,} unreadable")
    show_scores("lower case, letters and digits only", [word.pair for word in scored])
    show_best_of(scored)
    if alphabet.has_case:
        show_scores("with case and punctuation", [(word.reading.text, alphabet.spell(word.text)[0]) for word in scored])
    error, _ = calibration_of(scored)
    print(f"\nconfidences\n{'  expected calibration error, 15 bins':<38}{error:>8.4f}")
    rows.writerows([*cells, "", "", "", "", error] for cells, error in unread)
    rows.writerows([*cells, text, reading.text, f"{reading.confidence:.4f}", distance, ""]
                   for cells, text, reading, pair, distance in sorted(
                       scored, key=lambda word: (-word.distance / len(word.pair[1]), word.cells)) if distance)
    return scored


def calibration_of(scored):
    return metrics.calibration([word.reading.confidence for word in scored], [word.distance == 0 for word in scored])


def show_best_of(scored):
    """With --top_paths: how often the truth is among so many."""
    most = max(len(word.reading.alternatives) for word in scored)
    if most > 1:
        found = [word.pair[1] in [metrics.letters_and_digits(text) for text, _ in word.reading.alternatives]
                 for word in scored]
        print(f"  {f'word accuracy, best of {most}':<36}{np.mean(found):>8.4f}")


def show_scores(title, pairs):
    """Print the metrics of (prediction, truth) pairs."""
    predictions, truths = zip(*pairs)
    print(f"\n{title}")
    for name, value in metrics.score(predictions, truths).items():
        print(f"  {name.replace('_', ' '):<36}{value:>8,}" if isinstance(value, int) else
              f"  {name.replace('_', ' '):<36}{value:>8.4f}")


def draw_plots(paths, scored):
    """reliability.png, how often readings of each confidence are right, and edit_distances.png, their histogram."""
    error, bins = calibration_of(scored)
    figures = plots.reliability(bins, error), plots.edit_distances([word.distance for word in scored])
    for path, figure in zip(paths, figures, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        with command.written_whole(path) as beside:
            figure.savefig(beside, dpi=100)
        print(path)


def show_sheet(path, model, words, chunks):
    """Draw words as the network gets them, as they leave its STN if it has one, and what it reads:
    doubtful ones from squeezed images and halves too."""
    readable = [(word.prepared, words.text(word.index)) for chunk in chunks for word in chunk if word.prepared is not None]
    if not readable:  # each has its row in the results
        return print(f"none of the first {SHOWN} images can be read: no {path}", file=sys.stderr)
    shown = np.stack([word.whole for word, _ in readable])
    captions = [f"{reading.text} {reading.confidence:.2f}" + (f"  ({text})" if text else "")
                for (_, text), reading in zip(readable, model.read_words([word for word, _ in readable]))]
    straight = model.straighten(shown)
    rows = zip(shown) if straight is None else zip(shown, straight)
    image_files.write_image(path, sheets.contact_sheet(
        (list(map(sheets.as_on_paper, row)), caption) for row, caption in zip(rows, captions)))


def calibrate(folder, config, model, words, chosen, workers):
    """Fit confidences and the lexicon's weight to the words, and write them into the model folder's config.json."""
    least, most = calibration.FITTED_ON
    order = np.random.default_rng(0).permutation(chosen)
    if hasattr(words, "pages"):  # photo by photo, so that each is decoded once
        order = np.sort(order[:most])
    fitted_on = [(word.prepared.whole, words.text(word.index)) for word in itertools.islice(
        (word for chunk in load_words(words, order, model.size, workers) for word in chunk if word.prepared is not None
         and len(metrics.letters_and_digits(words.text(word.index))) > 1), most)]
    prepared, truths = [image for image, _ in fitted_on], [text for _, text in fitted_on]
    decoding = calibration.fit_decoding(model, np.stack(prepared), truths) if prepared else None
    if not decoding:
        raise UserError(f"--calibrate: {len(truths)} labelled words are too few; give {least} or more")
    command.write_json(folder / "config.json", {**config, "decoding": decoding})
    print(f"{folder / 'config.json'}: fitted on {command.count(len(truths), 'word')}: "
          + ", ".join(f"{name} {value:g}" for name, value in decoding.items()))
    print("these words are among those that are scored below: their confidences, and readings by a lexicon, look better "
          "than on other words")


# --- Main -------------------------------------------------------------------------------------------------------

def known_size(config, name, **asked):
    """UserError where --imgW or --imgh asks for another size than the model has."""
    for flag, side in (("imgW", "width"), ("imgh", "height")):
        if asked[flag] not in (None, config["network"][side]):
            raise UserError(f"--{flag} {asked[flag]}: {name} reads images of {config['network'][side]}; "
                            "leave that option out")


def progress(reads, number, on_screen):
    """`reads` with a bar on stderr, to be closed; none where the rows themselves show how far it is."""
    from tqdm import tqdm
    return contextlib.closing(tqdm(reads, total=number, unit="word", dynamic_ncols=True,
                                   disable=on_screen and sys.stdout.isatty()))


def settings_that_count(config, weights, options):
    """What a run which goes on with the rows of another must share with it, as JSON can hold it: the model, known by its
    config and a hash of its weights file, not by its name, and the options that change what is read."""
    names = "image_path boxes mjsynth val_fname greedy beam_width no_tta lexicon top_paths max_len".split()
    return {"model_path": metadata(config, weights), **{
        name: str(Path(value).resolve()) if isinstance(value, (str, Path)) and os.path.exists(value) else str(value)
        for name, value in options.items() if name in names}}


def main(argv=None):
    args = parse_args(argv)
    folder, weights = find_model(args.model_path)
    config = load_config(folder)
    known_size(config, args.model_path, imgW=args.imgW, imgh=args.imgh)
    words = list_words(args.image_path, args.boxes, args.val_fname if args.mjsynth else None, args.validate)
    chosen = choose_split(words, args.split) if args.validate else np.arange(len(words))
    chosen = choose(words, chosen, args.num_instances, args.random_state)
    if args.validate:
        columns = [*words.columns, "text", "prediction", "confidence", "edit_distance", "error"]
        path = results.result_file(args.result_path, "errors.csv", args.overwrite)
    else:
        columns = prediction_columns(words, args.top_paths)
        path = args.result_path and results.result_file(args.result_path, "prediction.csv", args.overwrite, args.resume)
    decoding = dict(beam_width=0 if args.greedy else args.beam_width, lexicon=args.lexicon, threads=args.threads,
                    tta=not args.no_tta)
    settings = settings_that_count(config, weights, vars(args))
    kept = results.rows_before(path, columns, settings) if args.resume else []
    chosen = results.left_over(words, chosen, kept)
    if not (args.boxes or args.resume):
        check_images(words, chosen)
    plotted = [args.plots / name for name in ("reliability.png", "edit_distances.png")] if args.plots else []
    for picture in plotted:
        command.new_file(picture, args.overwrite)
    if args.draw:
        drawing.new_drawings(args.draw, words.root, [photo.file for photo in words.pages], args.overwrite)
    counts = collections.Counter()
    with results.rows_of(path, columns, settings, kept) as rows:
        model = reader.load_reader(args.model_path, **decoding)
        if args.calibrate:
            calibrate(folder, config, model, words, chosen, args.workers)
            model = reader.load_reader(args.model_path, **decoding)
        if args.show:
            show_sheet(args.show, model, words, load_words(words, chosen[:SHOWN], model.size, args.workers))
        if args.draw:
            reads = read_photos(model, words, chosen, args.top_paths, args.draw)
        else:
            reads = batches.read(model, load_words(words, chosen, model.size, args.workers), args.top_paths)
        reads = counted(shortened(reads, args.max_len) if args.max_len else reads, counts)
        with progress(reads, len(chosen), path is None) as reads:
            if args.validate:
                scored = validate(rows, words, reads, model.alphabet)
            else:
                write_predictions(rows, words, reads, args.top_paths)
    if args.validate:
        print(f"errors, the worst first: {path}")
        if plotted:
            draw_plots(plotted, scored)
    show_counts(counts, len(kept))


if __name__ == "__main__":
    command.run(main)
