"""Fit a word recogniser: from scratch, or onwards from another one.

    python train.py --path words --save_path models --model_name mine                    # a folder with labels.csv
    python train.py --path mjsynth --mjsynth --training_fname annotation_train.txt \\
        --val_fname annotation_val.txt --save_path models --model_name mjsynth --nbepochs 1
    python train.py --path my_words --save_path models --model_name mine --pretrained_path models/iam --lr 3e-4
    python train.py --path words --show_batch batch.png                                  # look at what it would see

Writes SAVE_PATH/MODEL_NAME/: config.json, checkpoint.weights.h5 (best validation loss), final.weights.h5,
history.csv, losses.png, model_summary.txt, report.md, and skipped.csv if images could not be read.
"""
import argparse
import collections
import contextlib
import csv
import datetime
import io
import json
import math
import os
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

import ctc
import utils
from utils import UserError, keras

SAVE_SECONDS = 120  # between two states to resume from; a validation saves one too
OPTIMIZERS = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW, "sgd": keras.optimizers.SGD,
              "rmsprop": keras.optimizers.RMSprop, "nadam": keras.optimizers.Nadam}


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    words = parser.add_argument_group("words")
    words.add_argument("--path", action="append", required=True, metavar="DIR",
                       help="folder of words: with labels.csv or labels.tsv, or of _text_id.png files; give it again "
                            "for more folders, twice the same to see its words twice as often")
    words.add_argument("--mjsynth", action="store_true", help="--path is in mjsynth's layout: use the two listings")
    words.add_argument("--training_fname", default="annotation_train.txt", help="mjsynth listing to train on")
    words.add_argument("--val_fname", default="annotation_val.txt", help="mjsynth listing to validate on")
    words.add_argument("--train_portion", type=float, default=0.9,
                       help="part to train on where the words come without a split (default 0.9)")
    words.add_argument("--val_instances", type=int, default=8000, help="words validated on, at most (default 8000)")
    words.add_argument("--alphabet", help="seed (the default: digits, small letters, -), ascii, or the characters")
    words.add_argument("--norm", action="store_true", help="images are always normalised; for the commands of 2018")
    network = parser.add_argument_group("network")
    network.add_argument("pretrained", nargs="?", help="the same as --pretrained_path")
    network.add_argument("--pretrained_path", help="model folder, or weights in one, to start from")
    network.add_argument("--preset", choices=utils.PRESETS, help="lite (default) or seed, the network of 2018")
    network.add_argument("--GRU", action="store_true", help="GRU instead of the preset's recurrent layers")
    network.add_argument("--n_units", type=int, help="units of each recurrent layer and direction")
    network.add_argument("--time_dense_size", type=int, help="units of the dense layer before them")
    network.add_argument("--imgh", type=int, help="height of the network's image (default 32)")
    network.add_argument("--imgW", type=int, help="its width (default 100)")
    fit = parser.add_argument_group("training")
    fit.add_argument("--nbepochs", type=int, default=20, help="times the words are gone through (default 20)")
    fit.add_argument("--batch_size", type=int, default=64)
    fit.add_argument("--opt", choices=OPTIMIZERS, default="adamw", help="optimizer (default adamw)")
    fit.add_argument("--lr", type=float, default=1e-3, help="highest learning rate (default 0.001)")
    fit.add_argument("--schedule", choices=("cosine", "constant"), default="cosine",
                     help="cosine: down to 0 at the end (default); both rise over the first 2 %%, 500 batches at most")
    fit.add_argument("--early_stopping", type=int, metavar="N", default=0,
                     help="stop when N batches have no lower mean loss than the N before (default 0: never)")
    fit.add_argument("--validate_every", type=int, metavar="N", default=0,
                     help="validate every N batches, not only after each epoch")
    fit.add_argument("--no_augment", action="store_true", help="show the images as they are")
    fit.add_argument("--keep_last", action="store_true", help="final weights: the last ones, not the best")
    fit.add_argument("--random_state", type=int, default=0, help="seed of split, order and augmentation")
    job = parser.add_argument_group("job")
    job.add_argument("--G", default="0", help="GPU ids, 0 or 0,1; -1: the CPU, as is a machine without GPU")
    job.add_argument("--workers", type=int, help="processes that read images (default: one a core for a GPU; for the CPU "
                                                 "1, which is the training's own)")
    job.add_argument("--save_path", type=Path, default=Path("models"), help="where model folders are (default models)")
    job.add_argument("--model_name", default="model", help="name of the new model's folder")
    job.add_argument("--resume", action="store_true", help="go on with an interrupted training of this name")
    job.add_argument("--overwrite", action="store_true", help="replace a model of this name")
    job.add_argument("--tensorboard", metavar="DIR", help="also log there for TensorBoard")
    job.add_argument("--show_batch", metavar="PNG", type=Path, help="draw a batch as the network sees it, and stop")
    args = parser.parse_args(argv)
    args.pretrained_path = args.pretrained_path or args.pretrained
    _check_numbers(args)
    args.command = "python train.py " + shlex.join(argv if argv is not None else sys.argv[1:])
    return args


def _check_numbers(args):
    for name in ("batch_size", "nbepochs", "workers", "val_instances", "lr", "n_units", "time_dense_size", "imgh", "imgW"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            raise UserError(f"--{name} {value}: must be above 0")
    for name in ("imgh", "imgW"):
        if getattr(args, name) and getattr(args, name) < 28:
            raise UserError(f"--{name} {getattr(args, name)}: the spatial transformer needs 28 pixels at least")
    if not 0 < args.train_portion < 1:
        raise UserError(f"--train_portion {args.train_portion}: must lie between 0 and 1")


# --- Words ----------------------------------------------------------------------------------------------------

Data = collections.namedtuple("Data", "words labels train valid")  # labels: int32 [texts, L]; the others: int [n]


def load_words(args):
    """The WordList of the command line and two int arrays: its words to train on and to validate on."""
    if args.mjsynth:
        words = utils.join([utils.read_listings(path, train=args.training_fname, valid=args.val_fname)
                            for path in args.path])
    else:
        words = utils.join([utils.read_folder(path) for path in args.path])
    return words, *split(words, args.train_portion, np.random.default_rng(args.random_state))


def split(words, portion, rng):
    """Indices to train and to validate on: by the words' own split, else at random, whole writers or forms at a time."""
    given = {name: np.flatnonzero(words.split_ids == k) for k, name in enumerate(words.splits)}
    if "train" in given:
        return given["train"], next((given[name] for name in utils.VALID_NAMES if name in given), np.arange(0))
    group = np.where(words.groups >= 0, words.groups, words.groups.max(initial=-1) + 1 + np.arange(len(words)))
    groups, sizes = np.unique(group, return_counts=True)
    order = rng.permutation(len(groups))
    into_training = np.cumsum(sizes[order]) <= max(portion * len(words), sizes[order][0])
    train = np.isin(group, groups[order][into_training])
    return np.flatnonzero(train), np.flatnonzero(~train)


def check_words(words, train, valid, alphabet, steps, show=print):
    """Data without the words that cannot be learnt: unwritable in `steps` time steps, empty, or with no file.

    `show` gets what was found, in a few lines.
    """
    spelled, outside = zip(*map(alphabet.spell, words.texts)) if words.texts else ((), ())
    too_long = np.array([utils.steps_needed(text) > steps for text in spelled], bool)
    empty = np.array([not text for text in spelled], bool)
    labels = np.zeros((len(spelled), max([len(t) for t, long in zip(spelled, too_long) if not long], default=1)), np.int32)
    for k, text in enumerate(spelled):
        if not too_long[k]:
            labels[k, :len(text)] = alphabet.encode(text)
    counts = np.bincount(words.text_ids, minlength=len(spelled))
    missing = words.missing()
    out = missing | (too_long | empty)[words.text_ids]
    train, valid = train[~out[train]], valid[~out[valid]]
    show(f"{len(words):,} words, {len(spelled):,} different: {len(train):,} to train on, {len(valid):,} to validate on")
    examples = ", ".join(repr(words.texts[k]) for k in np.flatnonzero(too_long)[:5])
    for count, what in (
            (counts[too_long].sum(), f"left out, too long for {steps} time steps: {examples}"),
            (counts[empty].sum(), "left out, without a character of the alphabet"),
            (missing.sum(), "left out, no such file: " + ", ".join(words.name(i) for i in np.flatnonzero(missing)[:5])),
            (counts[np.array(outside) > 0].sum(), "with characters outside the alphabet, which "
             + ('become "-"' if "-" in alphabet.characters else "are dropped"))):
        if count:
            show(f"  {count:,} {what}")
    if not len(train):
        raise UserError("no word is left to train on; see the lines above, and check --path and its labels")
    if not len(valid):
        raise UserError("no word is left to validate on; lower --train_portion, or give the words a split column")
    return Data(words, labels, train, valid)


# --- Network --------------------------------------------------------------------------------------------------

def start_config(args):
    """The config of the new model: from the command line, or of the one that --pretrained_path names, which wins."""
    asked = {"preset": args.preset, "rnn": "GRU" if args.GRU else None, "n_units": args.n_units,
             "time_dense_size": args.time_dense_size, "height": args.imgh, "width": args.imgW}
    asked = {name: value for name, value in asked.items() if value is not None}
    if not args.pretrained_path:
        preset = utils.PRESETS[asked.get("preset", "lite")]
        network = {"preset": "lite", "width": 100, "height": 32,
                   **{name: preset[name] for name in ("rnn", "n_units", "time_dense_size")}, **asked}
        return {"alphabet": utils.Alphabet(args.alphabet or "seed").characters, "network": network}
    folder, _ = utils.find_model(args.pretrained_path)
    config = utils.load_config(folder)
    for name, value in asked.items():
        if config["network"][name] != value:
            raise UserError(f"{folder} has {name} {config['network'][name]}, not {value}; leave that option out")
    alphabet = utils.Alphabet(args.alphabet).characters if args.alphabet else config["alphabet"]
    return {"alphabet": alphabet, "network": config["network"], "pretrained": config.get("trained")}


def start_network(args, config, devices=1):
    """The network of `config`, with the weights of --pretrained_path if given."""
    network = utils.network_of(config, **({"synchronized": True} if devices > 1 else {}))
    if args.pretrained_path:
        folder, weights = utils.find_model(args.pretrained_path)
        old = utils.load_config(folder)
        if old["alphabet"] == config["alphabet"]:
            utils.load_weights(network, weights)
        else:
            pretrained = utils.network_of(old)
            utils.load_weights(pretrained, weights)
            for layer, old_layer in zip(network.layers[:-1], pretrained.layers[:-1]):
                layer.set_weights(old_layer.get_weights())
            print(f"another alphabet than {folder}'s: the last layer starts afresh")
    return network


def compile_network(network, args, batches, devices=1):
    """CTC loss (blank 0), and the optimizer with its schedule over `batches` batches."""
    rise = min(500, max(1, batches // 50))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, batches - rise), warmup_target=args.lr, warmup_steps=rise,
        alpha=0.0 if args.schedule == "cosine" else 1.0)
    # each device clips its own part of the gradient before tf.distribute adds them up
    optimizer = OPTIMIZERS[args.opt](schedule, clipnorm=5.0 / devices)
    # XLA compiles recurrent layers and depthwise convolutions badly on a CPU: 24 words/s against 133
    network.compile(optimizer, keras.losses.CTC(), jit_compile=keras.backend.backend() == "jax")
    network.optimizer.build(network.trainable_variables)


def distribute(devices):
    """The scope to build a network in: tf.distribute's over several devices, else none."""
    if len(devices) < 2:
        return contextlib.nullcontext()
    import tensorflow as tf
    return tf.distribute.MirroredStrategy(devices).scope()


# --- Training -------------------------------------------------------------------------------------------------

class Validation:
    """Scores a network on the validation words, whose images are read once and kept."""

    def __init__(self, data, alphabet, size, most, seed, batch_size=64):
        chosen = data.valid
        if len(chosen) > most:
            chosen = np.sort(np.random.default_rng(seed).choice(chosen, most, replace=False))
        self.alphabet, self.batch_size, self.unreadable = alphabet, batch_size, {}
        images, kept = [], []
        for i in chosen:
            try:
                images.append(utils.prepare(utils.read_image(data.words.path(i)), size))
                kept.append(i)
            except ValueError as error:
                self.unreadable[int(i)] = str(error)
        if not kept:
            raise UserError("none of the images to validate on can be read; check --path")
        self.images, self.labels = np.stack(images), data.labels[data.words.text_ids[kept]]
        self.truths = [data.words.text(i) for i in kept]

    def __call__(self, network):
        """(val_loss and metrics as a dict, up to five (truth, prediction) of different outcome)."""
        logits = network.predict(self.images, self.batch_size, verbose=0)
        loss = float(keras.losses.CTC()(self.labels, logits))
        texts = [self.alphabet.decode(classes) for classes, _ in ctc.greedy(logits)]
        pairs = [(utils.letters_and_digits(truth), utils.letters_and_digits(text))
                 for truth, text in zip(self.truths, texts)]
        scored = [(truth, text) for truth, text in pairs if len(truth) > 1]
        metrics = utils.score([text for _, text in scored], [truth for truth, _ in scored])
        wrong, right = ([pair for pair in scored if (pair[0] == pair[1]) == outcome] for outcome in (False, True))
        return {"val_loss": loss, **metrics}, wrong[:3] + right[:2]


class Training(keras.callbacks.Callback):
    """What happens between batches: counting, validating, saving, stopping, and going on after an interruption."""

    def __init__(self, folder, validation, batches, epoch_batches, args):
        super().__init__()
        self.folder, self.validation, self.batches, self.epoch_batches = folder, validation, batches, epoch_batches
        self.validate_every, self.patience = args.validate_every, args.early_stopping
        self.batch, self.history, self.best = 0, [], math.inf
        self.recent = collections.deque(maxlen=max(1, 2 * self.patience))  # losses, for --early_stopping
        self.since_validation, self.saved_at, self.stopped_early = [], time.monotonic(), False
        self.board = open_board(args.tensorboard) if args.tensorboard else None

    def on_train_begin(self, logs=None):
        self.bar = tqdm(total=self.batches, initial=self.batch, unit="batch", dynamic_ncols=True, mininterval=1.0)

    def on_train_end(self, logs=None):
        self.bar.close()

    def on_train_batch_begin(self, batch, logs=None):
        self.model.reset_metrics()  # so that the next loss is this batch's own, not the epoch's mean

    def on_train_batch_end(self, batch, logs=None):
        loss = float(logs["loss"])
        self.batch += 1
        if not math.isfinite(loss):
            raise UserError(f"the loss became {loss} at batch {self.batch}; lower --lr. The best weights so far are in "
                            f"{self.folder / utils.WEIGHTS['checkpoint']}")
        self.recent.append(loss)
        self.since_validation.append(loss)
        self.bar.set_postfix(loss=f"{np.mean(self.since_validation[-100:]):.3f}", refresh=False)
        self.bar.update()
        last = self.batch == self.batches or self._stop_early()
        if last or self.batch % self.epoch_batches == 0 or (
                self.validate_every and self.batch % self.validate_every == 0):
            self.validate()
            self.save()
        elif time.monotonic() - self.saved_at > SAVE_SECONDS:
            self.save()
        self.model.stop_training = last

    def _stop_early(self):
        """Every N batches: is the mean loss of the last N not below that of the N before?"""
        n = self.patience
        if not n or self.batch % n or len(self.recent) < 2 * n:
            return False
        losses = np.array(self.recent)
        self.stopped_early = bool(losses[n:].mean() >= losses[:n].mean())
        return self.stopped_early

    def validate(self):
        """Score the network, keep its weights if they are the best so far, and write and show where it stands."""
        metrics, examples = self.validation(self.model)
        row = {"batch": self.batch, "epoch": round(self.batch / self.epoch_batches, 4),
               "loss": float(np.mean(self.since_validation)), **metrics,
               "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))}
        self.since_validation = []
        self.history.append(row)
        if row["val_loss"] < self.best:
            self.best = row["val_loss"]
            save_weights(self.model, self.folder / utils.WEIGHTS["checkpoint"])
        write_history(self.folder, self.history)
        tqdm.write(f"batch {self.batch:,}: loss {row['loss']:.3f}, validation loss {row['val_loss']:.3f}, "
                   f"word accuracy {row['word_accuracy']:.4f}, CER {row['cer']:.4f}, edit distance "
                   f"{row['mean_edit_distance']:.3f}, normalised {row['normalised_edit_distance']:.4f}; "
                   + ", ".join(f"{truth} -> {text or '(nothing)'}" for truth, text in examples))
        if self.board:
            for name, value in row.items():
                self.board.add_scalar(name, value, self.batch)
            self.board.flush()

    def save(self):
        """Write all that --resume needs into one file, whole."""
        facts = {"batch": self.batch, "history": self.history, "best": self.best if self.history else None,
                 "recent": list(self.recent), "since_validation": self.since_validation}
        arrays = {f"variable{k}": keras.ops.convert_to_numpy(v) for k, v in enumerate(self._variables())}
        with utils.written_whole(self.folder / STATE) as beside:
            np.savez(beside, facts=np.frombuffer(json.dumps(facts).encode(), np.uint8), **arrays)
        self.saved_at = time.monotonic()

    def restore(self):
        """Go back to where `save` was; nothing happens where it never was."""
        if not (self.folder / STATE).is_file():
            return
        with np.load(self.folder / STATE, allow_pickle=False) as state:
            facts = json.loads(state["facts"].tobytes())
            for k, variable in enumerate(self._variables()):
                variable.assign(state[f"variable{k}"])
        self.batch, self.history = facts["batch"], facts["history"]
        self.best = math.inf if facts["best"] is None else facts["best"]
        self.recent.extend(facts["recent"])
        self.since_validation = facts["since_validation"]

    def _variables(self):
        return [*self.model.variables, *self.model.optimizer.variables]


STATE = "resume.npz"


def open_board(folder):
    """A writer of TensorBoard's event files."""
    try:
        from tensorboard.summary import Writer
    except ImportError:
        raise UserError("--tensorboard needs TensorBoard: pip install tensorboard") from None
    return Writer(folder)


def save_weights(network, path):
    bare = keras.Model(network.inputs, network.outputs)  # the same layers, without the optimizer's variables
    with utils.written_whole(path) as beside:
        bare.save_weights(beside)


def write_history(folder, history):
    """history.csv and losses.png of a list of validations, each a dict."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    with utils.written_whole(folder / "history.csv") as beside, open(beside, "w", newline="", encoding="utf8") as file:
        table = csv.DictWriter(file, history[0])
        table.writeheader()
        table.writerows(history)
    figure, axis = pyplot.subplots(figsize=(7, 4), layout="constrained")
    batches = [row["batch"] for row in history]
    axis.plot(batches, [row["loss"] for row in history], ".-", label="training loss (augmented words)")
    axis.plot(batches, [row["val_loss"] for row in history], ".-", label="validation loss")
    axis.set(xlabel="batch", ylabel="CTC loss a word", ylim=(0, None))
    accuracy = axis.twinx()
    accuracy.plot(batches, [row["word_accuracy"] for row in history], ".--", color="tab:green", label="word accuracy")
    accuracy.set(ylabel="validation word accuracy", ylim=(0, 1))
    figure.legend(loc="outside upper center", ncols=3)
    with utils.written_whole(folder / "losses.png") as beside:
        figure.savefig(beside, dpi=100)
    pyplot.close(figure)


def fit(network, data, alphabet, args, folder, devices=1):
    """Train `network` as `args` say, into `folder`; the network holds the final weights afterwards."""
    size = network.input_shape[1:3]
    epoch_batches = max(1, len(data.train) // args.batch_size)
    batches = math.ceil(args.nbepochs * len(data.train) / args.batch_size)
    compile_network(network, args, batches, devices)
    validation = Validation(data, alphabet, size, args.val_instances, args.random_state)
    training = Training(folder, validation, batches, epoch_batches, args)
    training.set_model(network)
    if args.resume:
        training.restore()
    workers = args.workers or (os.cpu_count() if utils.gpus() else 1)
    reading = utils.Batches(data.words, data.train, data.labels, size, args.batch_size, batches, training.batch,
                            args.random_state, not args.no_augment, workers)
    with contextlib.closing(reading):
        if training.batch < batches:
            run_fit(network, reading, training)
    if not args.keep_last:
        utils.load_weights(network, folder / utils.WEIGHTS["checkpoint"])
    save_weights(network, folder / utils.WEIGHTS["final"])
    write_skipped(folder, data.words, {**validation.unreadable, **reading.unreadable})
    return training, validation


def run_fit(network, reading, training):
    try:
        network.fit(reading, callbacks=[training], verbose=0, shuffle=False)
    except KeyboardInterrupt:
        training.save()
        raise KeyboardInterrupt(f"stopped at batch {training.batch:,} of {training.batches:,}; --resume goes on from there"
                                ) from None
    except Exception:
        if reading.failure:
            raise reading.failure from None
        raise


def write_skipped(folder, words, unreadable):
    """skipped.csv: the images that could not be read, and why."""
    if not unreadable:
        return
    with utils.written_whole(folder / "skipped.csv") as beside, open(beside, "w", newline="", encoding="utf8") as file:
        csv.writer(file).writerows([("file", "reason"), *((words.path(i), why) for i, why in sorted(unreadable.items()))])
    print(f"{len(unreadable):,} images could not be read; {folder / 'skipped.csv'} names them")


# --- The model's folder ---------------------------------------------------------------------------------------

def open_folder(args):
    """The new model's folder, made; UserError if it would overwrite something unasked."""
    folder = args.save_path / args.model_name
    if folder.exists() and any(folder.iterdir()) and not (args.resume or args.overwrite):
        raise UserError(f"{folder}: is there already; --resume goes on with it, --overwrite replaces it, "
                        "--model_name makes another")
    folder.mkdir(parents=True, exist_ok=True)
    if args.overwrite and not args.resume:
        (folder / STATE).unlink(missing_ok=True)
    return folder


def describe(config, args, data, seconds):
    """`config` with what was trained, on what, how and with which versions."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
    return {**config, "trained": {
        "data": [Path(path).resolve().name for path in args.path], "words": len(data.train),
        "words_validated": len(data.valid), "command": args.command, "hours": round(seconds / 3600, 2),
        "date": datetime.date.today().isoformat(), "commit": commit.stdout.strip() or None,
        "versions": {"python": platform.python_version(), "keras": keras.__version__,
                     "backend": keras.backend.backend(), "numpy": np.__version__}}}


def main(argv=None):
    args = parse_args(argv)
    os.environ["CUDA_VISIBLE_DEVICES"] = args.G
    devices = utils.gpus()
    with distribute(devices):
        train(args, max(1, len(devices)))


def train(args, devices=1):
    """From the command line's words to a model folder, or to the picture of --show_batch."""
    keras.utils.set_random_seed(args.random_state)
    config = start_config(args)
    alphabet = utils.Alphabet(config["alphabet"])
    network = start_network(args, config, devices)
    data = check_words(*load_words(args), alphabet, network.output_shape[1])
    if args.show_batch:
        return show_batch(args, data, alphabet, network.input_shape[1:3])
    folder = open_folder(args)
    began = time.monotonic()
    utils.write_json(folder / "config.json", describe(config, args, data, 0))
    training, validation = fit(network, data, alphabet, args, folder, devices)
    metrics, _ = validation(network)
    config = describe(config, args, data, time.monotonic() - began)
    utils.write_json(folder / "config.json", {**config, "scores": metrics})
    write_summary(folder, network)
    write_report(folder, config, metrics)
    (folder / STATE).unlink(missing_ok=True)
    early = ", stopped early: the loss fell no more" if training.stopped_early else ""
    print(f"{folder}: {training.batch:,} batches{early}; word accuracy {metrics['word_accuracy']:.4f}, "
          f"normalised edit distance {metrics['normalised_edit_distance']:.4f} on {metrics['words']:,} words")


def show_batch(args, data, alphabet, size):
    """Write --show_batch: 60 words as the network will see them, with their labels."""
    images, labels = utils.Batches(data.words, data.train, data.labels, size, 60, 1, seed=args.random_state,
                                   augment=not args.no_augment)[0]
    captions = [alphabet.decode(label[label > 0]) for label in labels]
    utils.write_image(args.show_batch, utils.contact_sheet([([i], caption) for i, caption in zip(images, captions)]))
    print(args.show_batch)


def write_summary(folder, network):
    lines = io.StringIO()
    network.summary(print_fn=lambda line, line_break=True: lines.write(line + "\n"), line_length=100)
    with utils.written_whole(folder / "model_summary.txt") as beside:
        beside.write_text(lines.getvalue(), encoding="utf8")


def write_report(folder, config, metrics):
    """report.md: what was trained on what, how, and how well it reads."""
    trained = config["trained"]
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value:,} |" if isinstance(value, int) else
                     f"| {name.replace('_', ' ')} | {value:.4f} |" for name, value in metrics.items())
    with utils.written_whole(folder / "report.md") as beside:
        beside.write_text(f"""# {folder.name}

Trained on {trained["date"]} in {trained["hours"]} hours on {utils.hardware()}, on {trained["words"]:,} words of
{", ".join(trained["data"])}:

    {trained["command"]}

On {metrics["words"]:,} validation words of two letters or digits and more, lower case, letters and digits only, greedy
decoding:

| metric | value |
| --- | --- |
{rows}

The checkpoint was chosen on these words, by validation loss.
""", encoding="utf8")


if __name__ == "__main__":
    utils.run(main)
