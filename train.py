"""Fit a word recogniser: from scratch, or onwards from another one.

    python train.py --path words --save_path models --model_name mine                    # a folder with labels.csv
    python train.py --path mjsynth --mjsynth --training_fname annotation_train.txt \\
        --val_fname annotation_val.txt --save_path models --model_name mjsynth --nbepochs 1
    python train.py --path my_words --save_path models --model_name mine --pretrained_path models/iam --lr 3e-4
    python train.py --synth 500000 --save_path models --model_name drawn --nbepochs 1   # on words drawn as it trains
    python train.py --path words --show_batch batch.png                                  # look at what it would see

Writes SAVE_PATH/MODEL_NAME/: config.json, checkpoint.weights.h5 (best validation loss), final.weights.h5, model.onnx,
history.csv, losses.png, model_summary.txt, report.md, and skipped.csv if words could not be read or drawn.
"""
import collections
import contextlib
import os
import shlex
import sys
import zlib
from pathlib import Path

import command
from command import UserError, whole
from fitting import recipe
from words.alphabet import Alphabet, steps_needed
from words.models import FORMAT, PRESETS, WEIGHTS, export, find_model, load_config, open_session, write_onnx

np = command.later("numpy")
render = command.later("render")
backend = command.later("fitting.backend")
folders = command.later("fitting.folder")
history = command.later("fitting.history")
optimizers = command.later("fitting.optimizers")
state = command.later("fitting.state")
training = command.later("fitting.training")
utils = command.later("utils")
image_files = command.later("words.image_files")
lists = command.later("words.lists")
sheets = command.later("words.sheets")
splits = command.later("words.splits")
reader = command.later("words.reader")
word_network = command.later("words.network")
calibration = command.later("words.calibration")

LONGEST_DRAWN = 24  # characters of a drawn word, at most
NETWORK = "preset", "stn", "rnn", "n_units", "time_dense_size", "height", "width"  # options that config.json keeps
DRAWN_VALID = 2000  # drawn words to validate on, where --path gives none


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    add_word_options(parser.add_argument_group("words").add_argument)
    render.add_options(parser.add_argument_group("words drawn as the training goes").add_argument)
    add_network_options(parser.add_argument_group("network").add_argument)
    recipe.add_options(parser)
    args = parser.parse_args(argv)
    if args.pretrained and args.pretrained_path:
        raise UserError(f"--pretrained_path names {args.pretrained_path[0]}, the last argument {args.pretrained}: give one, "
                        "or --pretrained_path twice for their mean")
    args.pretrained_path = args.pretrained_path or [args.pretrained] * bool(args.pretrained)
    if not args.nbepochs and not args.pretrained_path:
        raise UserError("--nbepochs 0: trains nothing; that takes a --pretrained_path")
    if not args.path and not args.synth:
        raise UserError("no words to train on: give --path DIR, or --synth N for words drawn as it trains")
    for path in args.path:
        if not os.path.isdir(path):
            raise UserError(f"--path {path}: no such folder")
    for path in args.pretrained_path:
        if os.path.realpath(find_model(path)[0]) == os.path.realpath(args.save_path / args.model_name):
            raise UserError(f"--pretrained_path {path}: is the new model's own folder; give it another --model_name")
    command.new_picture(args.show_batch, args.overwrite)
    return args


def add_word_options(add):
    add("--path", action="append", default=[], metavar="DIR",
        help="folder of words: with labels.csv or labels.tsv, or of _text_id.png files; give it again for more folders, "
             "twice the same to see its words twice as often")
    add("--mjsynth", action="store_true", help="--path is in mjsynth's layout: use the two listings")
    add("--training_fname", default="annotation_train.txt", help="mjsynth listing to train on")
    add("--val_fname", default="annotation_val.txt", help="mjsynth listing to validate on")
    add("--train_portion", type=command.number(0.001, 0.999), default=0.9,
        help="part to train on of words without a split (default 0.9)")
    add("--val_instances", type=whole(1), default=8000, help="words validated on, at most (default 8000)")
    add("--alphabet", type=characters, help="seed (the default: digits, small letters, -), ascii, or the characters")
    add("--norm", action="store_true", help="images are always normalised; for the commands of 2018")
    add("--synth", type=whole(0), default=0, metavar="N",
        help="also train on N words an epoch that are drawn on the way, never twice the same; alone, or beside the words of "
             "--path")


def characters(text):
    """An argparse type: an alphabet's name or its characters."""
    return Alphabet(text).characters


def add_network_options(add):
    add("pretrained", nargs="?", help="the same as --pretrained_path")
    add("--pretrained_path", action="append", default=[], metavar="MODEL",
        help="model folder, or weights in one, to start from; given again: the mean of several models' weights")
    add("--preset", choices=PRESETS, help="lite (default) or seed, the network of 2018")
    add("--stn", action="store_true", default=None, help="a spatial transformer before the convolutions "
                                                         "(the default of seed, not of lite)")
    add("--no_stn", dest="stn", action="store_false", help="none")
    add("--GRU", dest="rnn", action="store_const", const="GRU", help="GRU instead of the preset's recurrent layers")
    add("--n_units", type=whole(1, 4096), help="units of each recurrent layer and direction (lite 160, seed 256); may be "
                                               "more than --pretrained_path's, whose network then grows")
    add("--time_dense_size", type=whole(1, 4096), help="units of the dense layer before them")
    add("--imgh", "--height", dest="height", type=whole(28, 512), help="height of the network's image (default 32)")
    add("--imgW", "--width", dest="width", type=whole(28, 2048), help="its width (default 100)")


# --- Words ----------------------------------------------------------------------------------------------------

# labels: int32 [texts, L]; train, valid: int [n], indices of words; left_out: {index: reason}; draw: with --synth, a
# function (i, epoch, split="train") -> (pixels, label int32 [L]) for the words from number len(words) on
Data = collections.namedtuple("Data", "words labels train valid left_out draw", defaults=[None])


def load_data(paths, listings, portion, seed, alphabet, steps):
    """The Data of folders of words; listings: {"train": name, "valid": name} if they are in mjsynth's layout, else None."""
    if not paths:
        nothing = np.arange(0)
        return Data(lists.WordList("", []), np.zeros((0, 1), np.int32), nothing, nothing, {})
    words = [lists.read_listings(path, **listings) if listings else lists.read_folder(path) for path in paths]
    return check_words(lists.join(words), portion, seed, alphabet, steps)


def check_words(words, portion, seed, alphabet, steps, show=print):
    """Data of the words that can be learnt, split: those unwritable in `steps` time steps, empty, or with no file are left
    out first. `show` gets what was found, in a few lines.
    """
    spelled, outside = zip(*map(alphabet.spell, words.texts))
    too_long = np.array([steps_needed(text) > steps for text in spelled], bool)
    empty = np.array([not text for text in spelled], bool)
    labels = np.zeros((len(spelled), max([len(t) for t, long in zip(spelled, too_long) if not long], default=1)), np.int32)
    for k, text in enumerate(spelled):
        if not too_long[k]:
            labels[k, :len(text)] = alphabet.encode(text)
    reasons = {f"too long for {steps} time steps": too_long[words.text_ids],
               "no character of the alphabet in its label": empty[words.text_ids], "no such file": words.missing()}
    usable = ~np.any(list(reasons.values()), axis=0)
    left_out = {}
    for reason, which in reasons.items():
        named = np.flatnonzero(which).tolist()
        left_out.update(dict.fromkeys(named, reason))
        if named:
            said = (reason != "no such file" and words.text(i) or words.name(i) for i in named[:5])
            examples = ", ".join(dict.fromkeys(said)) + (", ..." if len(named) > 5 else "")
            show(f"  left out, {reason}: {len(named):,} ({examples})")
    if len(words) and not usable.any():
        raise UserError("no word is left to train on; see the lines above, and check --path and its labels")
    train, valid = splits.split(words, np.flatnonzero(usable), portion, np.random.default_rng(seed))
    describe_words(words, usable, train, valid, show)
    replaced = (np.array(outside) > 0)[words.text_ids[usable]].sum()
    if replaced:
        fate = "become their base letter or " + ('"-"' if "-" in alphabet.characters else "are dropped")
        show(f"  with characters outside the alphabet, which {fate}: {replaced:,}")
    return Data(words, labels, train, valid, left_out)


def describe_words(words, usable, train, valid, show):
    """Say how many words there are, of what, and how they are split."""
    writers = len(np.unique(words.groups[words.groups >= 0]))
    how = "by their own split" if words.splits else "by writer or form" if writers else "at random"
    unused = usable.sum() - len(train) - len(valid)
    show(f"{command.count(len(words), 'word')}, {len(words.texts):,} different"
         + (f", of {writers:,} writers or forms" if writers else "")
         + f"; split {how}: {len(train):,} to train on, {len(valid):,} to validate on"
         + (f"; {unused:,} of other splits unused" if unused else ""))


def with_drawn(data, count, renderer, seed, alphabet, steps):
    """`data` with `count` more words an epoch to train on, drawn when they are read: word i of an epoch depends on the seed,
    the epoch and i alone."""
    renderer.usable = lambda text: 0 < len(spelled := alphabet.spell(text)[0]) <= LONGEST_DRAWN and (
        steps_needed(spelled) <= steps)
    renderer.texts_of("train")  # a lexicon that cannot be drawn is told before the work
    length = max(LONGEST_DRAWN, data.labels.shape[1])

    def draw(i, epoch, split="train"):
        word = renderer.word(np.random.default_rng((seed, epoch, i)), split)
        classes = alphabet.encode(alphabet.spell(word.text)[0])
        return word.image, np.array(classes + [0] * (length - len(classes)), np.int32)

    print(f"{command.count(count, 'word')} an epoch to train on, drawn on the way")
    return data._replace(labels=np.pad(data.labels, ((0, 0), (0, length - data.labels.shape[1]))), draw=draw,
                         train=np.concatenate([data.train, len(data.words) + np.arange(count)]))


def make_validation(data, size, alphabet, most, seed):
    """The utils.Validation of at most `most` of the words to validate on, and {index: reason} of the unreadable ones."""
    if not len(data.valid):
        count = min(most, DRAWN_VALID)
        print(f"{command.count(count, 'word')} to validate on, drawn once, with other fonts")
        return utils.Validation.of_drawn(data.draw, count, size, alphabet), {}
    chosen = data.valid
    if len(chosen) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(chosen, most, replace=False))
    return utils.Validation.of_words(data.words, chosen, data.labels, size, alphabet)


# --- Network --------------------------------------------------------------------------------------------------

def start_config(asked, alphabet, starts, trains=True):
    """The config of the new model: as the options ask, or of the models that it starts from, which win.

    asked: {name: value} of the network, as far as given; alphabet: its characters, or None; starts: paths of models.
    """
    if not starts:
        preset = asked.pop("preset", "lite")
        network = {"preset": preset, "width": 100, "height": 32, **PRESETS[preset], **asked}
        return {"format": FORMAT, "kind": "words", "alphabet": alphabet or characters("seed"), "network": network}
    paths = [find_model(path)[0] for path in starts]
    configs = [load_config(path) for path in paths]
    folder, config = paths[0], configs[0]
    for path, other, its in zip(starts, paths, configs):
        export(its, find_model(path)[1], word_network.build_graph)  # wrong or damaged weights are told now
        if (its["network"], its["alphabet"]) != (config["network"], config["alphabet"]):
            raise UserError(f"{other} has another network or alphabet than {folder}; a mean takes models of the same")
    network = dict(config["network"])
    if asked.get("n_units", 0) > network["n_units"]:
        print(f"the network grows from {network['n_units']} to {asked['n_units']} recurrent units a direction")
        network["n_units"] = asked["n_units"]
    for name, value in asked.items():
        if network.get(name) != value:
            raise UserError(f"{folder} has {name} {network.get(name)}, not {value}; leave that option out"
                            + ", or give more: it can grow" * (name == "n_units"))
    if not trains and alphabet not in (None, config["alphabet"]):
        raise UserError("--nbepochs 0: another alphabet has a last layer to train; give it an epoch or more")
    return {"format": FORMAT, "kind": "words", "alphabet": alphabet or config["alphabet"], "network": network}


def start_network(config, starts, dropout=0.0, devices=1):
    """The network of `config`, with the mean of the weights of the models `starts`; whether its last layer has them too."""
    network = utils.network_of(config, synchronized=devices > 1, dropout=dropout)
    if not starts:
        return network, False
    folder, _ = find_model(starts[0])
    pretrained = utils.network_of(load_config(folder))
    folders.load_mean(pretrained, [find_model(path)[1] for path in starts])
    old_alphabet = load_config(folder)["alphabet"]
    classes = utils.inherited_classes(config["alphabet"], old_alphabet)
    utils.copy_weights(pretrained, network, classes)
    if old_alphabet != config["alphabet"]:
        print(f"another alphabet than {folder}'s: capitals start as their small letters, other new characters as its \"-\", "
              f"if it has one; {classes.count(None)} start afresh")
    return network, old_alphabet == config["alphabet"]


# --- Training -------------------------------------------------------------------------------------------------

def settings_of(plan, config, data, starts, drawing):
    """What a resumed training must share with the interrupted one."""
    checksum = 0
    for part in (data.train, data.valid, data.labels, data.words.text_ids):
        checksum = zlib.crc32(np.ascontiguousarray(part), checksum)
    same = ("opt", "lr", "schedule", "batch_size", "nbepochs", "random_state", "augment", "dropout")
    return {"network": config["network"], "alphabet": config["alphabet"], "words": checksum,
            "--pretrained_path": [str(find_model(path)[1].resolve()) for path in starts],
            **{f"--{name}": str(getattr(plan, name)) for name in same}, **drawing}


def write_skipped(path, data, unreadable):
    """skipped.csv: the words that were left out, and why; none, no file."""
    path.unlink(missing_ok=True)
    skipped = sorted((data.left_out | unreadable).items())
    if skipped:
        names = (data.words.path(i) if i < len(data.words) else f"drawn word {i}" for i, _ in skipped)
        command.write_csv(path, [("file", "reason"), *zip(names, (why for _, why in skipped))])
        print(f"words that could not be read or drawn: {len(unreadable):,}, that were left out: {len(data.left_out):,}; "
              f"{path} names them")


def show_batch(path, data, alphabet, size, plan):
    """Draw 60 words as the network will see them, with their labels."""
    shown, labels = utils.WordBatches(data.words, data.train, data.labels, size, 60, 1, seed=plan.random_state,
                                       augment=plan.augment, draw=data.draw)[0]
    captions = [alphabet.decode(label[label > 0]) for label in labels]
    tiles = [([sheets.as_on_paper(image)], caption) for image, caption in zip(shown, captions)]
    image_files.write_image(path, sheets.contact_sheet(tiles))
    print(path)


SCORED_ON = """On {words:,} validation words of two letters or digits and more, greedy decoding, without test-time
augmentation; lower case, letters and digits only, or, where a row says cased, all that the alphabet can write:"""


def finish(folder, config, network, run, validation):
    """Write what the folder of a model holds beside its weights: model.onnx, how to decode, scores and report."""
    metrics, _ = validation(network)
    weights = folder / WEIGHTS["final"]
    session = open_session(config, weights, word_network.build_graph)
    decoding = calibration.fit_decoding(reader.Reader(session, validation.alphabet), validation.images, validation.truths)
    if decoding:
        config["decoding"] = decoding
    write_onnx(config, weights, word_network.build_graph)
    config["trained"]["hours"] = round(run.seconds / 3600, 2)
    folders.finish(folder, network, config, metrics, "last" if run.recipe.keep_last else "best", SCORED_ON.format(**metrics))
    early = ", stopped early: the loss fell no more" if run.stopped_early else ""
    print(f"{folder}: {command.count(run.batch, 'batch', 'batches')}{early}; word accuracy {metrics['word_accuracy']:.4f}, "
          f"normalised edit distance {metrics['normalised_edit_distance']:.4f} on {command.count(metrics['words'], 'word')}")


def main(argv=None):
    args = parse_args(argv)
    plan, folder, starts = recipe.Recipe.of(vars(args)), args.save_path / args.model_name, args.pretrained_path
    with contextlib.ExitStack() as stack:
        if not args.show_batch:
            stack.enter_context(recipe.opened(folder, args.resume, args.overwrite))
        # Models and words are read and checked before Keras is loaded, which takes long
        asked = {name: getattr(args, name) for name in NETWORK if getattr(args, name) is not None}
        config = start_config(asked, args.alphabet, starts, plan.nbepochs > 0)
        earlier = history.read_history(find_model(starts[0])[0]) if starts else ()
        alphabet, shape = Alphabet(config["alphabet"]), config["network"]
        size, steps = (shape["width"], shape["height"]), word_network.time_steps(shape)
        listings = {"train": args.training_fname, "valid": args.val_fname} if args.mjsynth else None
        data = load_data(args.path, listings, args.train_portion, plan.random_state, alphabet, steps)
        drawing = {name: getattr(args, name) for name in render.OPTIONS}
        if args.synth:
            data = with_drawn(data, args.synth, render.Renderer(**drawing), plan.random_state, alphabet, steps)
        drawn = {name: str(value) for name, value in {"synth": args.synth, **drawing}.items()} if args.synth else {}
        settings = settings_of(plan, config, data, starts, {"val_instances": args.val_instances, **drawn})
        if args.resume:
            state.check_same(state.read(folder)[0], {**settings, "backend": state.keras_backend()})

        backend.choose_gpus(args.G)
        if args.show_batch:
            return show_batch(args.show_batch, data, alphabet, size, plan)
        devices = backend.gpus()
        if plan.batch_size % max(1, len(devices)):
            raise UserError(f"--batch_size {plan.batch_size}: must be a multiple of the {len(devices)} GPUs")
        print(f"on {backend.hardware()}")
        stack.enter_context(backend.distribute(devices))
        backend.keras.utils.set_random_seed(plan.random_state)
        network, reads = start_network(config, starts, plan.dropout, max(1, len(devices)))
        validation, unreadable = make_validation(data, size, alphabet, args.val_instances, plan.random_state)
        config["trained"] = folders.training_record(
            [*dict.fromkeys(Path(path).resolve().name for path in args.path), *["drawn words"] * bool(args.synth)], "words",
            len(data.train) if plan.nbepochs else 0, len(validation.truths),
            "python train.py " + shlex.join(sys.argv[1:] if argv is None else argv),
            [load_config(find_model(path)[0]).get("trained") for path in starts])
        run = training.Training(folder, validation, plan, len(data.train), "word_accuracy", settings, earlier,
                                args.tensorboard)
        run.unreadable.update(unreadable)
        training.start(network, backend.keras.losses.CTC(), run, args.resume, max(1, len(devices)))
        command.write_json(folder / "config.json", config)
        workers = args.workers or (os.cpu_count() if devices else 1)
        training.fit(network, run, utils.WordBatches(data.words, data.train, data.labels, size, plan.batch_size, run.batches,
                                                     run.batch, plan.random_state, plan.augment, workers, data.draw), reads)
        write_skipped(folder / "skipped.csv", data, run.unreadable)
        finish(folder, config, network, run, validation)


if __name__ == "__main__":
    command.run(main)
