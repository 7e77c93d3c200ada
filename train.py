"""Fit a word recogniser: from scratch, or onwards from another one.

    python train.py --path words --save_path models --model_name mine                    # a folder with labels.csv
    python train.py --path mjsynth --mjsynth --training_fname annotation_train.txt \\
        --val_fname annotation_val.txt --save_path models --model_name mjsynth --nbepochs 1
    python train.py --path my_words --save_path models --model_name mine --pretrained_path models/iam --lr 3e-4
    python train.py --synth 500000 --save_path models --model_name drawn --nbepochs 1   # on words drawn as it trains
    python train.py --path words --show_batch batch.png                                  # look at what it would see

Writes SAVE_PATH/MODEL_NAME/: config.json, checkpoint.weights.h5 (best validation loss), final.weights.h5,
history.csv, losses.png, model_summary.txt, report.md, and skipped.csv if words could not be read or drawn.
"""
import collections
import contextlib
import csv
import datetime
import importlib
import io
import json
import math
import os
import platform
import shlex
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
from tqdm import tqdm

from words import ctc
import render
import command
from command import UserError
from words.alphabet import Alphabet, steps_needed
from words.calibration import fit_decoding
from words.images import prepare, read_image, write_image
from words.lists import join, read_folder, read_listings, VALID_NAMES, WordList
from words.metrics import letters_and_digits, score, worth_scoring
from words.models import find_model, load_config, WEIGHTS
from words.reader import Reader
from words.sheets import contact_sheet
import utils
from utils import keras

STATE = "resume.npz"  # in the model's folder while it is trained
SAVE_SECONDS = 120  # between two states to resume from; a validation saves one too
CLIPNORM = 5.0  # gradients longer than that, over all weights, are shortened to it


class Muon(keras.optimizers.AdamW):
    """AdamW, but for weights that are matrices: those go a step whose singular values are all about 1.

    Jordan: Muon, an optimizer for hidden layers in neural networks, 2024; the step's length is that of Liu et al., Muon is
    Scalable for LLM Training, 2025, so that AdamW's learning rates and weight decay suit. Matrices are those of the dense
    and recurrent layers and of 1 x 1 convolutions; the STN and the last layer stay AdamW's.
    """

    def build(self, variables):
        super().build(variables)
        self.matrices = {k for k, variable in enumerate(variables) if self._is_matrix(variable)}

    def _is_matrix(self, variable):
        sides = variable.shape
        return (variable.path.endswith("kernel") and not variable.path.startswith(("stn", "logits"))
                and min(sides[-2:]) > 1 and max(sides[:-2], default=1) == 1)

    def update_step(self, gradient, variable, learning_rate):
        k = self._get_variable_index(variable)
        if k not in self.matrices:
            return super().update_step(gradient, variable, learning_rate)
        rows, columns = variable.shape[-2:]
        momentum = self._momentums[k]
        self.assign(momentum, 0.95 * momentum + gradient)
        step = orthogonal(keras.ops.reshape(gradient + 0.95 * momentum, (rows, columns)))
        length = keras.ops.cast(learning_rate, variable.dtype) * 0.2 * math.sqrt(max(rows, columns))
        self.assign_sub(variable, length * keras.ops.reshape(step, variable.shape))


def orthogonal(matrix):
    """float [M, N] -> about U V^T of its singular value decomposition U S V^T: five Newton-Schulz steps (Jordan, 2024)
    bring the singular values to 0.7 to 1.2."""
    x = keras.ops.transpose(matrix) if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (keras.ops.norm(x) + 1e-7)
    for _ in range(5):
        square = x @ keras.ops.transpose(x)
        x = 3.4445 * x + (-4.775 * square + 2.0315 * square @ square) @ x
    return keras.ops.transpose(x) if matrix.shape[0] > matrix.shape[1] else x


OPTIMIZERS = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW, "muon": Muon, "sgd": keras.optimizers.SGD,
              "rmsprop": keras.optimizers.RMSprop, "nadam": keras.optimizers.Nadam}


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    add_word_options(parser.add_argument_group("words").add_argument)
    render.add_options(parser.add_argument_group("words drawn as the training goes").add_argument)
    add_network_options(parser.add_argument_group("network").add_argument)
    add_training_options(parser.add_argument_group("training").add_argument)
    add_job_options(parser.add_argument_group("job").add_argument)
    args = parser.parse_args(argv)
    if args.pretrained and args.pretrained_path:
        raise UserError(f"--pretrained_path names {args.pretrained_path[0]}, the last argument {args.pretrained}: give one, "
                        "or --pretrained_path twice for their mean")
    args.pretrained_path = args.pretrained_path or [args.pretrained] * bool(args.pretrained)
    check_numbers(args)
    if not args.path and not args.synth:
        raise UserError("no words to train on: give --path DIR, or --synth N for words drawn as it trains")
    command.new_picture(args.show_batch, args.overwrite)
    args.command = "python train.py " + shlex.join(argv if argv is not None else sys.argv[1:])
    return args


def add_word_options(add):
    add("--path", action="append", default=[], metavar="DIR",
        help="folder of words: with labels.csv or labels.tsv, or of _text_id.png files; give it again for more folders, "
             "twice the same to see its words twice as often")
    add("--mjsynth", action="store_true", help="--path is in mjsynth's layout: use the two listings")
    add("--training_fname", default="annotation_train.txt", help="mjsynth listing to train on")
    add("--val_fname", default="annotation_val.txt", help="mjsynth listing to validate on")
    add("--train_portion", type=float, default=0.9, help="part to train on of words without a split (default 0.9)")
    add("--val_instances", type=int, default=8000, help="words validated on, at most (default 8000)")
    add("--alphabet", help="seed (the default: digits, small letters, -), ascii, or the characters")
    add("--norm", action="store_true", help="images are always normalised; for the commands of 2018")
    add("--synth", type=int, default=0, metavar="N", help="also train on N words an epoch that are drawn on the way, never "
                                                          "twice the same; alone, or beside the words of --path")


def add_network_options(add):
    add("pretrained", nargs="?", help="the same as --pretrained_path")
    add("--pretrained_path", action="append", default=[], metavar="MODEL",
        help="model folder, or weights in one, to start from; given again: the mean of several models' weights")
    add("--preset", choices=utils.PRESETS, help="lite (default) or seed, the network of 2018")
    add("--stn", action="store_true", default=None, help="a spatial transformer before the convolutions "
                                                         "(the default of seed, not of lite)")
    add("--no_stn", dest="stn", action="store_false", help="none")
    add("--GRU", action="store_true", help="GRU instead of the preset's recurrent layers")
    add("--n_units", type=int, help="units of each recurrent layer and direction (lite 160, seed 256); may be more than "
                                    "--pretrained_path's, whose network then grows")
    add("--time_dense_size", type=int, help="units of the dense layer before them")
    add("--imgh", "--height", type=int, help="height of the network's image (default 32)")
    add("--imgW", "--width", type=int, help="its width (default 100)")


def add_training_options(add):
    add("--nbepochs", "--epochs", type=int, default=20,
        help="times the words are gone through (default 20); 0: only score what --pretrained_path gives")
    add("--batch_size", type=int, default=64)
    add("--opt", choices=OPTIMIZERS, default="adamw", help="optimizer (default adamw)")
    add("--lr", type=float, default=1e-3, help="highest learning rate (default 0.001)")
    add("--schedule", choices=("cosine", "constant"), default="cosine",
        help="cosine: down to 0 at the end (default); both rise over the first 2 %%, 500 batches at most")
    add("--early_stopping", type=int, metavar="N", default=0,
        help="stop when N batches have no lower mean loss than the N before (default 0: never)")
    add("--validate_every", type=int, metavar="N", default=0, help="validate every N batches, not only after each epoch")
    add("--augment", type=float, default=1.0, metavar="SHARE",
        help="share of the images that is changed at random; the others are shown as they are (default 1: all are changed)")
    add("--dropout", type=float, default=0.0, metavar="SHARE",
        help="share of the recurrent layers' outputs left out at random in training (default 0)")
    add("--no_augment", dest="augment", action="store_const", const=0.0, help="the same as --augment 0")
    add("--keep_last", action="store_true", help="final weights: the last ones, not the best")
    add("--random_state", type=int, default=0, help="seed of weights, split, order and augmentation")


def add_job_options(add):
    add("--G", "--gpus", help="GPU ids, 0 (the default) or 0,1; -1: the CPU, as is a machine without GPU")
    add("--workers", type=int, help="processes that read images (default: one a core for a GPU; for the CPU 1, which is "
                                    "the training's own)")
    add("--save_path", type=Path, default=Path("models"), help="where model folders are (default models)")
    add("--model_name", default="model", help="name of the new model's folder")
    add("--resume", action="store_true", help="go on with an interrupted training of this name")
    add("--overwrite", action="store_true", help="replace a model of this name")
    add("--tensorboard", metavar="DIR", help="also log there for TensorBoard")
    add("--show_batch", metavar="PNG", type=Path, help="draw a batch as the network sees it, and stop")


def check_numbers(args):
    for name, least in (("batch_size", 1), ("nbepochs", 0), ("workers", 1), ("val_instances", 1), ("n_units", 1),
                        ("time_dense_size", 1), ("imgh", 28), ("imgW", 28),  # 28: what the spatial transformer needs
                        ("early_stopping", 0), ("validate_every", 0), ("synth", 0), ("random_state", 0)):
        value = getattr(args, name)
        if value is not None and not least <= value < 2 ** 31:
            raise UserError(f"--{name} {value}: must lie between {least} and {2 ** 31 - 1}")
    if not args.nbepochs and not args.pretrained_path:
        raise UserError("--nbepochs 0: trains nothing; that takes a --pretrained_path")
    if not 0 < args.train_portion < 1:
        raise UserError(f"--train_portion {args.train_portion}: must lie between 0 and 1")
    if not 0 <= args.augment <= 1:
        raise UserError(f"--augment {args.augment}: must lie between 0 and 1")
    if not 0 <= args.dropout < 1:
        raise UserError(f"--dropout {args.dropout}: must be 0 or more and below 1")
    if not 0 < args.lr < math.inf:
        raise UserError(f"--lr {args.lr}: must be above 0")


# --- Words ----------------------------------------------------------------------------------------------------

# labels: int32 [texts, L]; train, valid: int [n], indices of words; left_out: {index: reason}; draw: with --synth, a
# function (i, epoch, split="train") -> (pixels, label int32 [L]) for the words from number len(words) on
Data = collections.namedtuple("Data", "words labels train valid left_out draw", defaults=[None])

LONGEST_DRAWN = 24  # characters of a drawn word, at most
DRAWN_VALID = 2000  # drawn words to validate on, where --path gives none


def load_data(args, alphabet, steps):
    """The Data of the command line: checked words of --path, and words drawn by --synth."""
    nothing = np.arange(0)
    data = Data(WordList("", []), np.zeros((0, 1), np.int32), nothing, nothing, {})
    if args.path:
        data = check_words(*load_words(args), alphabet, steps)
    return with_drawn(data, args, alphabet, steps) if args.synth else data


def with_drawn(data, args, alphabet, steps):
    """`data` with --synth more words to train on, drawn when they are read: word i of an epoch depends on --random_state,
    the epoch and i alone."""
    renderer = render.from_options(args)
    renderer.usable = lambda text: 0 < len(spelled := alphabet.spell(text)[0]) <= LONGEST_DRAWN and (
        steps_needed(spelled) <= steps)
    length = max(LONGEST_DRAWN, data.labels.shape[1])

    def draw(i, epoch, split="train"):
        word = renderer.word(np.random.default_rng((args.random_state, epoch, i)), split)
        classes = alphabet.encode(alphabet.spell(word.text)[0])
        return word.image, np.array(classes + [0] * (length - len(classes)), np.int32)

    print(f"{args.synth:,} words an epoch to train on are drawn as they are read" + (
        "" if len(data.valid) else f", and {min(args.val_instances, DRAWN_VALID):,} once to validate on, with other fonts"))
    return data._replace(labels=np.pad(data.labels, ((0, 0), (0, length - data.labels.shape[1]))), draw=draw,
                         train=np.concatenate([data.train, len(data.words) + np.arange(args.synth)]))


def load_words(args):
    """The WordList of the command line, and two int arrays: its words to train on and to validate on."""
    if args.mjsynth:
        lists = [read_listings(path, train=args.training_fname, valid=args.val_fname) for path in args.path]
    else:
        lists = [read_folder(path) for path in args.path]
    words = join(lists)
    train, valid = split(words, args.train_portion, np.random.default_rng(args.random_state))
    if len(lists) > len({os.path.realpath(path) for path in args.path}):  # a folder given twice is validated on once
        valid = np.array(sorted({words.name(i): i for i in reversed(valid.tolist())}.values()), int)
    return words, train, valid


def split(words, portion, rng):
    """Indices to train and to validate on: by the words' own split; at random for words that have none.

    At random, whole writers or forms go to one side, as do the words of one writer each where writers are unknown.
    Raises UserError where there is nothing to train or to validate on.
    """
    if not len(words):
        raise UserError("the word list is empty; see --path")
    given = {name: np.flatnonzero(words.split_ids == k) for k, name in enumerate(words.splits)}
    nothing = np.arange(0)
    rest = np.flatnonzero(words.split_ids < 0)
    train, rest = with_their_writers(words, given.get("train", nothing), rest)
    valid = next((given[name] for name in VALID_NAMES if name in given), nothing)
    valid, rest = with_their_writers(words, valid, rest)
    train, valid = (np.concatenate(sides) for sides in zip((train, valid), split_groups(words, rest, portion, rng)))
    if not len(train):
        raise UserError(f"no word to train on: the words' splits are {', '.join(words.splits)}, and none is called train")
    if not len(valid):
        raise UserError("no word to validate on: give the words a split column with train and valid, or leave the column "
                        "writer out if all are one writer's")
    return np.sort(train), np.sort(valid)


def with_their_writers(words, part, rest):
    """`part` with those of `rest` that are of its writers, and the others of `rest`."""
    known = np.isin(words.groups[rest], words.groups[part]) & (words.groups[rest] >= 0)
    return np.concatenate([part, rest[known]]), rest[~known]


def split_groups(words, indices, portion, rng):
    """`indices` in two: whole groups, in random order, are kept to validate on until about 1 - `portion` is reached."""
    if not len(indices):
        return indices, indices
    groups = words.groups[indices]
    groups = np.where(groups >= 0, groups, groups.max() + 1 + np.arange(len(groups)))  # a group each where unknown
    names, sizes = np.unique(groups, return_counts=True)
    order = rng.permutation(len(names))
    room = (1 - portion) * len(indices)
    sums = np.cumsum(sizes[order])[:-1]  # never everybody
    count = np.argmin(abs(sums - room)) + 1 if len(sums) else 0
    kept = order[:count]
    if count and sums[count - 1] > 2 * room:  # a writer of very many words
        kept = [np.argmin(sizes)]
    valid = np.isin(groups, names[kept])
    return indices[~valid], indices[valid]


def check_words(words, train, valid, alphabet, steps, show=print):
    """Data without the words that cannot be learnt: unwritable in `steps` time steps, empty, or with no file.

    `show` gets what was found, in a few lines.
    """
    spelled, outside = zip(*map(alphabet.spell, words.texts))
    too_long = np.array([steps_needed(text) > steps for text in spelled], bool)
    empty = np.array([not text for text in spelled], bool)
    labels = np.zeros((len(spelled), max([len(t) for t, long in zip(spelled, too_long) if not long], default=1)), np.int32)
    for k, text in enumerate(spelled):
        if not too_long[k]:
            labels[k, :len(text)] = alphabet.encode(text)
    missing = words.missing()
    out = missing | (too_long | empty)[words.text_ids]
    used = len(train) + len(valid)
    train, valid = train[~out[train]], valid[~out[valid]]
    describe_words(words, train, valid, used, show)
    left_out = {}
    for which, what, reason in ((too_long[words.text_ids], words.text, f"too long for {steps} time steps"),
                                (empty[words.text_ids], words.text, "no character of the alphabet in its label"),
                                (missing, words.name, "no such file")):
        named = np.flatnonzero(which).tolist()
        left_out.update(dict.fromkeys(named, reason))
        if named:
            examples = ", ".join(dict.fromkeys(map(what, named[:5]))) + (", ..." if len(named) > 5 else "")
            show(f"  left out, {reason}: {len(named):,} ({examples})")
    replaced = (np.array(outside) > 0)[words.text_ids[~out]].sum()
    if replaced:
        fate = 'become "-"' if "-" in alphabet.characters else "are dropped"
        show(f"  with characters outside the alphabet, which {fate}: {replaced:,}")
    if not len(train) or not len(valid):
        raise UserError(f"no word is left to {'validate' if len(train) else 'train'} on; see the lines above, and check "
                        "--path and its labels")
    return Data(words, labels, train, valid, left_out)


def describe_words(words, train, valid, used, show):
    """Say how many words there are, of what, and how they are split."""
    writers = len(np.unique(words.groups[words.groups >= 0]))
    how = "by their own split" if words.splits else "at random"
    if not words.splits and writers:
        how = "by writer or form"
    show(f"{len(words):,} words, {len(words.texts):,} different"
         + (f", of {writers:,} writers or forms" if writers else "")
         + f"; split {how}: {len(train):,} to train on, {len(valid):,} to validate on"
         + (f"; {len(words) - used:,} of other splits unused" if used < len(words) else ""))


# --- Network --------------------------------------------------------------------------------------------------

def start_config(args):
    """The config of the new model: from the command line, or of the one that --pretrained_path names, which wins."""
    asked = {"preset": args.preset, "stn": args.stn, "rnn": "GRU" if args.GRU else None,
             "n_units": args.n_units, "time_dense_size": args.time_dense_size, "height": args.imgh, "width": args.imgW}
    asked = {name: value for name, value in asked.items() if value is not None}
    if not args.pretrained_path:
        preset = asked.pop("preset", "lite")
        network = {"preset": preset, "width": 100, "height": 32, **utils.PRESETS[preset], **asked}
        return {"alphabet": Alphabet(args.alphabet or "seed").characters, "network": network}
    folders = [find_model(path)[0] for path in args.pretrained_path]
    configs = [load_config(folder) for folder in folders]
    for config in configs:  # one from before a preset got a value lacks it; JSON has lists where the preset has tuples
        config["network"] = json.loads(json.dumps({**utils.PRESETS[config["network"]["preset"]], "stn": True,
                                                   **config["network"]}))
    folder, config = folders[0], configs[0]
    for other, its in zip(folders, configs):
        if other.resolve() == (args.save_path / args.model_name).resolve():
            raise UserError(f"--pretrained_path {other}: is the new model's own folder; give it another --model_name")
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
    alphabet = Alphabet(args.alphabet).characters if args.alphabet else config["alphabet"]
    if not args.nbepochs and alphabet != config["alphabet"]:
        raise UserError("--nbepochs 0: another alphabet has a last layer to train; give it an epoch or more")
    return {"alphabet": alphabet, "network": network, "pretrained": [its.get("trained") for its in configs]}


def start_network(args, config, devices=1):
    """The network of `config`, with the weights of --pretrained_path if given."""
    network = utils.network_of(config, synchronized=devices > 1, dropout=args.dropout)
    if args.pretrained_path:
        folder, _ = find_model(args.pretrained_path[0])
        pretrained = utils.network_of(load_config(folder))
        load_mean(pretrained, [find_model(path)[1] for path in args.pretrained_path])
        same_alphabet = reads_already(args, config)
        copy_weights(pretrained, network, same_alphabet)
        if not same_alphabet:
            print(f"another alphabet than {folder}'s: the last layer starts afresh")
    return network


def copy_weights(pretrained, network, last_layer=True):
    """Give `network` the weights of `pretrained`, its last layer's too or not.

    `network` may have more recurrent units. The new ones start at random and are read with weight 0, so that it does what
    `pretrained` does, the aim of Net2Net (Chen, Goodfellow, Shlens, ICLR 2016), which makes them copies of old ones instead.
    """
    units, old_units = (each.get_layer("recurrent2").forward_layer.units for each in (network, pretrained))
    layers, old_layers = ([layer for layer in each.layers[:-1] if layer.weights] for each in (network, pretrained))
    for layer, old_layer in zip(layers, old_layers, strict=True):
        weights = old_layer.get_weights()
        if layer.name.startswith("recurrent"):
            weights = [wider(*pair, units, old_units) for pair in zip(layer.get_weights(), weights)]
        layer.set_weights(weights)
    if last_layer:
        kernel, bias = pretrained.layers[-1].get_weights()  # the kernel's rows: forward units, then backward ones
        unread = np.zeros((len(bias), 2 * units))
        network.layers[-1].set_weights([wider(unread, kernel.T, units, old_units).T, bias])


def wider(fresh, weights, units, old_units):
    """A layer's weights with more units, float [..., blocks * units], from `weights`, float [..., blocks * old_units].

    A block is a gate or a direction; in each the old units come first, with their weights. The old units do not read the
    new ones (0 in the further rows); the new ones are as in `fresh`.
    """
    result = fresh.reshape(-1, fresh.shape[-1] // units, units).copy()
    weights = weights.reshape(-1, result.shape[1], old_units)
    result[:len(weights), :, :old_units] = weights
    result[len(weights):, :, :old_units] = 0
    return result.reshape(fresh.shape)


def load_mean(network, files):
    """Give the network the mean of the weights in `files`, of models that were fine-tuned from the same one.

    Wortsman et al.: Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing
    inference time, ICML 2022.
    """
    models = []
    for file in files:
        utils.load_weights(network, file)
        models.append(network.get_weights())
    network.set_weights([np.mean(weights, axis=0) for weights in zip(*models)])


def compile_network(network, args, batches, devices=1):
    """CTC loss (blank 0), and the optimizer with its schedule over `batches` batches."""
    rise = min(500, max(1, batches // 50))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, batches - rise), warmup_target=args.lr, warmup_steps=rise,
        alpha=0.0 if args.schedule == "cosine" else 1.0)
    # each device clips its own part of the gradient before tf.distribute adds them up
    optimizer = OPTIMIZERS[args.opt](schedule, clipnorm=CLIPNORM / devices)
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
    """Scores a network on the validation words, whose images are read, or drawn, once and kept."""

    def __init__(self, data, alphabet, size, most, seed, batch_size=64):
        if not len(data.valid):
            return self._draw(data, alphabet, size, min(most, DRAWN_VALID), batch_size)
        chosen = data.valid
        if len(chosen) > most:
            chosen = np.sort(np.random.default_rng(seed).choice(chosen, most, replace=False))
        self.alphabet, self.batch_size, self.unreadable = alphabet, batch_size, {}
        images, kept = [], []
        for i in chosen:
            try:
                images.append(prepare(read_image(data.words.path(i)), size))
                kept.append(i)
            except ValueError as error:
                self.unreadable[int(i)] = str(error)
        if not kept:
            raise UserError("none of the images to validate on can be read; check --path")
        self.images, self.labels = np.stack(images), data.labels[data.words.text_ids[kept]]
        self.truths = [data.words.text(i) for i in kept]

    def _draw(self, data, alphabet, size, count, batch_size):
        self.alphabet, self.batch_size, self.unreadable = alphabet, batch_size, {}
        drawn = [data.draw(i, 0, "valid") for i in range(count)]
        self.images = np.stack([prepare(pixels, size) for pixels, _ in drawn])
        self.labels = np.stack([label for _, label in drawn])
        self.truths = [alphabet.decode(label[label > 0]) for label in self.labels]

    def __call__(self, network):
        """(val_loss and metrics as a dict, five (prediction, truth) pairs, wrong ones first)."""
        logits = network.predict(self.images, self.batch_size, verbose=0)
        if not np.isfinite(logits).all():
            raise UserError("the network writes no finite numbers any more; lower --lr")
        losses = keras.losses.CTC(reduction="none")(self.labels, logits)  # a mean would be a device's share of it
        loss = float(np.mean(keras.ops.convert_to_numpy(losses)))
        texts = [self.alphabet.decode(classes) for classes, _ in ctc.greedy(logits)]
        pairs = [(letters_and_digits(text), letters_and_digits(truth))
                 for text, truth in zip(texts, self.truths)]
        which = worth_scoring(pairs)
        scored = [pair for pair, worth in zip(pairs, which) if worth]
        metrics = {"val_loss": loss, **score(*columns(scored))}
        if self.alphabet.has_case:
            cased = [(text, self.alphabet.spell(truth)[0]) for text, truth, worth in zip(texts, self.truths, which) if worth]
            metrics.update({f"cased_{name}": value for name, value in score(*columns(cased)).items()})
        examples = sorted(dict.fromkeys(scored), key=lambda pair: pair[0] == pair[1])
        return metrics, examples[:3] + examples[-2:]


def columns(pairs):
    return [a for a, _ in pairs], [b for _, b in pairs]


class Training(keras.callbacks.Callback):
    """What happens between batches: counting, validating, saving, stopping, and going on after an interruption."""

    def __init__(self, folder, validation, words, args):
        super().__init__()
        self.folder, self.validation = folder, validation
        self.earlier = read_history(find_model(args.pretrained_path[0])[0]) if args.pretrained_path else []
        self.words, self.batch_size = words, args.batch_size
        self.batches = -(-args.nbepochs * words // args.batch_size)
        self.validate_every, self.patience = args.validate_every, args.early_stopping
        self.batch, self.history, self.best, self.seconds = 0, [], math.inf, 0.0
        self.settings, self.bar = {}, None
        self.recent = collections.deque(maxlen=max(1, 2 * self.patience))  # losses, for --early_stopping
        self.since_validation, self.unreadable, self.stopped_early = [], {}, False
        self.saved_at = self.clock = time.monotonic()
        self.board = open_board(args.tensorboard) if args.tensorboard else None

    def on_train_begin(self, logs=None):
        self.bar = tqdm(total=self.batches, initial=self.batch, unit="batch", dynamic_ncols=True, mininterval=1.0)

    def on_train_batch_begin(self, batch, logs=None):
        self.model.reset_metrics()  # so that the next loss is this batch's own, not the epoch's mean

    def on_train_batch_end(self, batch, logs=None):
        loss = float(logs["loss"])
        self.batch += 1
        if not math.isfinite(loss):
            raise UserError(f"the loss became {loss} at batch {self.batch:,}; lower --lr")
        self.recent.append(loss)
        self.since_validation.append(loss)
        self.bar.set_postfix(loss=f"{np.mean(self.since_validation[-100:]):.3f}", refresh=False)
        self.bar.update()
        last = self.batch == self.batches or self._stop_early()
        epoch_ends = self.batch * self.batch_size % self.words < self.batch_size
        if last or epoch_ends or (self.validate_every and self.batch % self.validate_every == 0):
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
        row = {"model": self.folder.name, "batch": self.batch, "epoch": round(self.batch * self.batch_size / self.words, 4),
               "loss": float(np.mean(self.since_validation or [math.nan])), **metrics,
               "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))}
        if row["val_loss"] < self.best:
            save_weights(self.model, self.folder / WEIGHTS["checkpoint"])
            self.best = row["val_loss"]
        self.since_validation = []
        self.history.append(row)
        write_history(self.folder, self.earlier + self.history)
        tqdm.write(f"batch {self.batch:,}: " + (f"loss {row['loss']:.3f}, " if self.batch else "")
                   + f"validation loss {row['val_loss']:.3f}, "
                   f"word accuracy {row['word_accuracy']:.4f}, CER {row['cer']:.4f}, edit distance "
                   f"{row['mean_edit_distance']:.3f}, normalised {row['normalised_edit_distance']:.4f}; "
                   + ", ".join(f"{truth} -> {text or '(nothing)'}" for text, truth in examples))
        if self.board:
            for name in row.keys() - {"model"}:
                self.board.add_scalar(name, row[name], self.batch)
            self.board.flush()

    def save(self):
        """Write all that --resume needs into one file, whole."""
        self.seconds, self.clock = self.seconds + time.monotonic() - self.clock, time.monotonic()
        facts = {name: getattr(self, name) for name in self.FACTS} | {"recent": list(self.recent)}
        arrays = {f"variable{k}": keras.ops.convert_to_numpy(v) for k, v in enumerate(self._variables())}
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise UserError(f"the weights are no finite numbers any more at batch {self.batch:,}; lower --lr")
        with command.written_whole(self.folder / STATE) as beside:
            np.savez(beside, facts=np.frombuffer(json.dumps(facts).encode(), np.uint8), **arrays)
        self.saved_at = time.monotonic()

    FACTS = "batch", "history", "best", "since_validation", "stopped_early", "seconds", "unreadable", "settings"

    def restore(self):
        """Go back to where `save` was; UserError if that cannot be read, or was a training with other settings."""
        try:
            with np.load(self.folder / STATE, allow_pickle=False) as state:
                facts = json.loads(state["facts"].tobytes())
                arrays = [state[f"variable{k}"] for k in range(len(state.files) - 1)]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"{self.folder / STATE}: damaged ({error}); --overwrite starts afresh") from None
        now = json.loads(json.dumps(self.settings))  # as they come out of the file
        changed = [name for name in now if facts.get("settings", {}).get(name) != now[name]]
        if changed or [array.shape for array in arrays] != [tuple(v.shape) for v in self._variables()]:
            changed = changed or ["versions"]
            raise UserError(f"--resume: {', '.join(changed)} differ from the interrupted training's; give its command "
                            "again, or --overwrite to start afresh")
        for variable, value in zip(self._variables(), arrays):
            variable.assign(value)
        self.recent.extend(facts.pop("recent"))
        for name, value in facts.items():
            setattr(self, name, value)
        self.unreadable = {int(index): reason for index, reason in self.unreadable.items()}

    def _variables(self):
        return [*self.model.variables, *self.model.optimizer.variables]


def open_board(folder):
    """A writer of TensorBoard's event files."""
    try:
        from tensorboard.summary import Writer
    except ImportError:
        raise UserError("--tensorboard needs TensorBoard: pip install tensorboard") from None
    return Writer(folder)


def without_optimizer(network):
    return keras.Model(network.inputs, network.outputs, name=network.name)  # the same layers


def save_weights(network, path):
    with command.written_whole(path) as beside:
        without_optimizer(network).save_weights(beside)


def read_history(folder):
    """The rows of a model folder's history.csv, each a dict, those of the trainings before it first; [] without one."""
    def number(text):
        return int(text) if text.isdigit() else float(text)

    try:
        with open(folder / "history.csv", newline="", encoding="utf8", errors="surrogateescape") as file:
            history = [{"model": folder.resolve().name, **{name: value if name == "model" else number(value)
                                                 for name, value in row.items() if value}} for row in csv.DictReader(file)]
        [row[name] for row in history for name in ("batch", "loss", "val_loss", "word_accuracy")]
        return history
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, AttributeError, csv.Error) as error:
        raise UserError(f"{folder / 'history.csv'}: not train.py's ({type(error).__name__}: {error}); mend it or move it "
                        "away") from None


def write_history(folder, history):
    """history.csv and losses.png of a list of validations, each a dict; one training after the other."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    names = list(dict.fromkeys(name for row in history for name in row))
    command.write_csv(folder / "history.csv", [names, *([row.get(name, "") for name in names] for row in history)])
    figure, axis = pyplot.subplots(figsize=(7, 4), layout="constrained")
    accuracy, end = axis.twinx(), 0
    for model, rows in one_by_one(history):
        batches = [end + row["batch"] for row in rows]
        axis.plot(batches, [row["loss"] for row in rows], ".-", color="tab:blue", label="training loss")
        axis.plot(batches, [row["val_loss"] for row in rows], ".-", color="tab:orange", label="validation loss")
        accuracy.plot(batches, [row["word_accuracy"] for row in rows], ".--", color="tab:green", label="word accuracy")
        axis.axvline(end, color="lightgrey", zorder=0)
        axis.annotate(model.encode(errors="replace").decode(), (end, 1), (3, -3), xycoords=axis.get_xaxis_transform(),
                      textcoords="offset points", rotation=90, va="top", fontsize="x-small", color="grey", parse_math=False)
        end = batches[-1]
    axis.set(xlabel="batch", ylabel="CTC loss a word", yscale="log")
    axis.yaxis.set(major_formatter="{x:g}", minor_formatter=ticker.LogFormatter())
    accuracy.set(ylabel="validation word accuracy", ylim=(0, 1))
    figure.legend(handles=[*axis.lines[:2], accuracy.lines[0]], loc="outside upper center", ncols=3)
    with command.written_whole(folder / "losses.png") as beside:
        figure.savefig(beside, dpi=100)
    pyplot.close(figure)


def one_by_one(history):
    """[(model, its rows)]: several trainings, apart; one begins where the name changes or the batch does not rise."""
    trainings = []
    for row in history:
        if not trainings or trainings[-1][0] != row["model"] or row["batch"] <= trainings[-1][1][-1]["batch"]:
            trainings.append((row["model"], []))
        trainings[-1][1].append(row)
    return trainings


def fit(network, data, alphabet, args, folder, config, devices=1):
    """Train `network` as `args` say, into `folder`; the network holds the final weights afterwards."""
    size = network.input_shape[1:3]
    validation = Validation(data, alphabet, size, args.val_instances, args.random_state)
    training = Training(folder, validation, len(data.train), args)
    training.settings = settings_of(args, config, data)
    compile_network(network, args, training.batches, devices)
    training.set_model(network)
    if args.resume:
        training.restore()
    else:
        for name in WRITTEN:  # of the model that --overwrite replaces
            (folder / name).unlink(missing_ok=True)
        training.save()  # so that --resume works from the first moment
    command.write_json(folder / "config.json", config)
    workers = args.workers or (os.cpu_count() if utils.gpus() else 1)
    reading = utils.Batches(data.words, data.train, data.labels, size, args.batch_size, training.batches, training.batch,
                            args.random_state, args.augment, workers, data.draw)
    reading.unreadable.update(training.unreadable | validation.unreadable)
    training.unreadable = reading.unreadable
    with contextlib.closing(reading):
        if not training.batch and not training.history and reads_already(args, config):
            training.validate()
            training.save()
        if training.batch < training.batches and not training.stopped_early:
            run_fit(network, reading, training)
    if not training.history or training.history[-1]["batch"] < training.batch:  # interrupted in its last validation
        training.validate()
    if not args.keep_last:
        utils.load_weights(network, folder / WEIGHTS["checkpoint"])
    save_weights(network, folder / WEIGHTS["final"])
    write_skipped(folder, data, reading.unreadable)
    training.seconds += time.monotonic() - training.clock
    return training, validation


def reads_already(args, config):
    """Does the network start with all of another one's weights, the last layer's too?"""
    if not args.pretrained_path:
        return False
    return load_config(find_model(args.pretrained_path[0])[0])["alphabet"] == config["alphabet"]


def settings_of(args, config, data):
    """What a resumed training must share with the interrupted one."""
    words = 0
    for part in (data.train, data.valid, data.labels, data.words.text_ids):
        words = zlib.crc32(np.ascontiguousarray(part), words)
    options = ("opt", "lr", "schedule", "batch_size", "nbepochs", "random_state", "augment", "dropout", "val_instances",
               *(("synth", *render.OPTIONS) if args.synth else ()))
    return {"network": config["network"], "alphabet": config["alphabet"], "words": words,
            "backend": keras.backend.backend(),
            "--pretrained_path": [str(find_model(path)[1].resolve()) for path in args.pretrained_path],
            **{f"--{name}": str(getattr(args, name)) for name in options}}


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
    finally:
        if training.bar:
            training.bar.close()


def write_skipped(folder, data, unreadable):
    """skipped.csv: the words that were left out, and why; none, no file."""
    (folder / "skipped.csv").unlink(missing_ok=True)
    skipped = sorted((data.left_out | unreadable).items())
    if skipped:
        names = (data.words.path(i) if i < len(data.words) else f"drawn word {i}" for i, _ in skipped)
        command.write_csv(folder / "skipped.csv", [("file", "reason"), *zip(names, (why for _, why in skipped))])
        print(f"{len(unreadable):,} words could not be read or drawn, {len(data.left_out):,} words were left out; "
              f"{folder / 'skipped.csv'} names them")


# --- The model's folder ---------------------------------------------------------------------------------------

WRITTEN = ("config.json", *WEIGHTS.values(), "history.csv", "losses.png", "model_summary.txt", "report.md",
           "skipped.csv", STATE)


def open_folder(args):
    """The new model's folder, made; UserError if it would overwrite something unasked, or has nothing to resume."""
    folder = args.save_path / args.model_name
    begun, finished = (folder / STATE).exists(), (folder / WEIGHTS["final"]).exists()
    if args.resume and not begun:
        raise UserError(f"{folder}: " + ("this training has finished; --pretrained_path goes on from its weights" if finished
                                         else "no interrupted training is here to --resume; leave that option out"))
    if not args.resume and not args.overwrite and folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder}: is there already; " + ("--resume goes on with it, " if begun else "")
                        + "--overwrite replaces it, --model_name makes another")
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".*.resume.npz"):  # of a process that was killed while it wrote
        left.unlink()
    return folder


def git_commit():
    """The commit of this checkout, or None where there is no git."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def describe(config, args, data):
    """`config` with what was trained, on what, how and with which versions."""
    backend, starts = keras.backend.backend(), config.pop("pretrained", [])
    return {**config, "trained": {
        "data": [*dict.fromkeys(Path(path).resolve().name for path in args.path), *["drawn words"] * bool(args.synth)],
        "words": len(data.train) if args.nbepochs else 0,
        "words_validated": len(data.valid) or min(args.val_instances, DRAWN_VALID),
        "command": args.command, "date": datetime.date.today().isoformat(), "commit": git_commit(), "versions": {
            "python": platform.python_version(), "keras": keras.__version__,
            backend: importlib.import_module(backend).__version__, "numpy": np.__version__},
        **({"averaged": len(starts)} if len(starts) > 1 else {}), "before": ancestry(starts)}}


def main(argv=None):
    args = parse_args(argv)
    utils.choose_gpus(args.G)
    devices = utils.gpus()
    if args.batch_size % max(1, len(devices)):
        raise UserError(f"--batch_size {args.batch_size}: must be a multiple of the {len(devices)} GPUs")
    with distribute(devices):
        train(args, max(1, len(devices)))


def train(args, devices=1):
    """From the command line's words to a model folder, or to the picture of --show_batch."""
    keras.utils.set_random_seed(args.random_state)
    config = start_config(args)
    alphabet = Alphabet(config["alphabet"])
    network = start_network(args, config, devices)
    data = load_data(args, alphabet, network.output_shape[1])
    if args.show_batch:
        return show_batch(args, data, alphabet, network.input_shape[1:3])
    folder = open_folder(args)
    print(f"on {utils.hardware()}")
    config = describe(config, args, data)
    training, validation = fit(network, data, alphabet, args, folder, config, devices)
    metrics, _ = validation(network)
    if decoding := fit_decoding(Reader(network, alphabet), validation.images, validation.truths):
        config["decoding"] = decoding
    config["trained"]["hours"] = round(training.seconds / 3600, 2)
    command.write_json(folder / "config.json", {**config, "scores": finite(metrics)})
    write_summary(folder, network)
    write_report(folder, config, metrics, "last" if args.keep_last else "best")
    (folder / STATE).unlink(missing_ok=True)
    early = ", stopped early: the loss fell no more" if training.stopped_early else ""
    print(f"{folder}: {training.batch:,} batches{early}; word accuracy {metrics['word_accuracy']:.4f}, "
          f"normalised edit distance {metrics['normalised_edit_distance']:.4f} on {metrics['words']:,} words")


def finite(metrics):
    """`metrics` for JSON, which knows no NaN: null instead."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def show_batch(args, data, alphabet, size):
    """Write --show_batch: 60 words as the network will see them, with their labels."""
    images, labels = utils.Batches(data.words, data.train, data.labels, size, 60, 1, seed=args.random_state,
                                   augment=args.augment, draw=data.draw)[0]
    captions = [alphabet.decode(label[label > 0]) for label in labels]
    write_image(args.show_batch, contact_sheet([([i], caption) for i, caption in zip(images, captions)]))
    print(args.show_batch)


def write_summary(folder, network):
    lines = io.StringIO()
    without_optimizer(network).summary(print_fn=lambda line, line_break=True: lines.write(line + "\n"), line_length=100)
    with command.written_whole(folder / "model_summary.txt") as beside:
        beside.write_text(lines.getvalue(), encoding="utf8")


def ancestry(starts):
    """The trainings (config.json's "trained") `starts`, and all that led to them: each once, none before one that started
    from it."""
    steps = []
    for trained in filter(None, starts):
        steps += [{name: fact for name, fact in trained.items() if name != "before"}, *trained.get("before", [])]
    return [step for k, step in enumerate(steps) if step not in steps[k + 1:]]


def describe_step(trained):
    hours = f"{trained['hours']} hours" if "hours" in trained else "an interrupted run"
    words = f"{trained['words']:,} words of {', '.join(trained['data'])}" if trained["words"] else "no training"
    mean = f", from the mean of {trained['averaged']} models' weights" if "averaged" in trained else ""
    return f"{trained['date']}, {hours}, {words}{mean}:\n\n    {trained['command']}\n"


def write_report(folder, config, metrics, kept):
    """report.md: what was trained on what, how, and how well it reads."""
    steps = [describe_step(trained) for trained in ancestry([config["trained"]])]
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value:{',' if isinstance(value, int) else '.4f'}} |"
                     for name, value in metrics.items())
    with command.written_whole(folder / "report.md") as beside:
        beside.write_text(f"""# {folder.name}

Trained on {utils.hardware()}, the last step first; the models that a command names to start from are made further down:

""" + "\n".join(steps) + f"""
On {metrics["words"]:,} validation words of two letters or digits and more, greedy decoding, each looked at
once; lower case, letters and digits only, or, where a row says cased, all that the alphabet can write:

| metric | value |
| --- | --- |
{rows}

The weights are the {kept} ones{" by the loss on these words" if kept == "best" else ""}.

![Losses and accuracy, of this training and those before it](losses.png)
""", encoding="utf8")


if __name__ == "__main__":
    command.run(main)
