"""How many words a second are read, by onnxruntime and by Keras, and beside the way of 2018?

    python benchmarks/predicting.py                                      # on imgs/words, over and over
    python benchmarks/predicting.py --image_path iam_words --words 4000

Two tables, all rows of one timed in turns in one run, with --threads threads each:

From prepared images to logits, 64 words at a time: the network alone, of the shipped model and of the preset `seed`
(with fresh weights), by onnxruntime and by Keras.

From the image file to the text:

* lite: the shipped model as predict.py uses it, beam search, doubtful words read again;
* lite, without test-time augmentation;
* lite, with the lexicon;
* lite in Keras: as the first, but with Keras for the network;
* seed in Keras, as in 2018: the preset `seed`, and one call of keras.ops.ctc_decode a word, a beam search of width 10;
* lite in Keras, decoded as in 2018: outputs of a trained network cost a beam search less than those of fresh weights.
"""
import datetime
import itertools
import os
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the scripts are no package
import command
from command import UserError, whole
from words import batches, models
from words.alphabet import ALPHABETS, Alphabet
from words.lists import WordList, image_names
from words.network import build_graph
from words.reader import BATCH, Reader, Reading, load_reader


class KerasSession:
    """A Keras network with the methods of onnxruntime's sessions that a Reader calls."""

    def __init__(self, network):
        self.network = network

    def get_inputs(self):
        return [SimpleNamespace(shape=self.network.input_shape)]

    def run(self, names, feeds):
        images = feeds["image"]
        full = np.zeros((BATCH, *images.shape[1:]), np.float32)  # another size would cost a compilation
        full[:len(images)] = images
        return [np.asarray(self.network.predict_on_batch(full))[:len(images)]]


class Reader2018(Reader):
    """Each word decoded by a beam search of its own, by Keras."""

    def read_prepared(self, images, top_paths=1, **_):
        return [self._read_logits(logits) for logits in self.logits(images)]

    def _read_logits(self, logits):
        from keras import ops
        paths, scores = ops.ctc_decode(logits[np.newaxis], [len(logits)], strategy="beam_search", beam_width=10, top_paths=1,
                                       mask_index=0)
        classes = ops.convert_to_numpy(paths)[0, 0]
        return Reading(self.alphabet.decode(classes[classes > 0]), float(ops.convert_to_numpy(scores)[0, 0]))


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("--model_path", default=ROOT / "models" / "iam", help="the lite model (default models/iam)")
    parser.add_argument("--image_path", default=ROOT / "imgs" / "words", type=Path, help="folder of word images")
    parser.add_argument("--words", type=whole(BATCH), default=2048, help="words a round; the images are repeated as needed")
    parser.add_argument("--slow_words", type=whole(1), default=128, help="words a round for the way of 2018")
    parser.add_argument("--rounds", type=whole(1), default=3)
    parser.add_argument("--threads", type=whole(1), default=2, help="threads of each network, of search, of loading")
    return parser.parse_args(argv)


def keras_networks(model_path, threads):
    """(the shipped model, the preset seed with fresh weights) in Keras, with so many threads."""
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    import utils
    from fitting.folder import load_weights
    folder, weights = models.find_model(model_path)
    lite = utils.network_of(models.load_config(folder))
    load_weights(lite, weights)
    return lite, utils.build_network(len(ALPHABETS["seed"]) + 1, preset="seed")


def onnx_seed(network, threads):
    """A Reader, on onnxruntime, of a Keras network of the preset seed."""
    config = {"kind": "words", "alphabet": ALPHABETS["seed"],
              "network": {"width": 100, "height": 32, **models.PRESETS["seed"]}}
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, models.WEIGHTS["final"])
        network.save_weights(weights)
        return Reader(models.open_session(config, weights, build_graph), Alphabet("seed"), threads=threads)


def seconds_of_network(reader, images):
    began = time.perf_counter()
    reader.logits(images)
    return (time.perf_counter() - began) / len(images)


def seconds_a_word(reader, words, number, threads):
    chosen = list(itertools.islice(itertools.cycle(range(len(words))), number))
    began = time.perf_counter()
    for read in batches.read(reader, batches.load(words, chosen, reader.size, threads)):
        if read.error:
            raise UserError(f"{words.path(read.index)}: {read.error}; give a folder of readable images")
    return (time.perf_counter() - began) / number


def table(title, rows, rounds):
    """Time rows, {name: function that gives seconds a word}, in turns, after a first time for compilation; print them."""
    for measure in rows.values():
        measure()
    times = {name: [] for name in rows}
    for _ in range(rounds):
        for name, measure in rows.items():
            times[name].append(measure())
    print(f"\n| {title} | words/s | ms/word |\n| --- | ---: | ---: |")
    for name, values in times.items():
        print(f"| {name} | {1 / np.median(values):,.0f} | {1000 * np.median(values):.2f} |", flush=True)


def main(argv=None):
    args = parse_args(argv)
    words = WordList(args.image_path, [(name, "", "", "") for name in image_names(args.image_path)])
    if not len(words):
        raise UserError(f"--image_path {args.image_path}: no image in it")
    lite, seed = keras_networks(args.model_path, args.threads)
    ours = load_reader(args.model_path, threads=args.threads)
    loaded = next(batches.load(words, itertools.islice(itertools.cycle(range(len(words))), BATCH), ours.size, args.threads))
    images = np.tile(np.stack([word.image for word in loaded[:BATCH]]), (args.words // BATCH, 1, 1, 1))
    slow = images[:max(BATCH, args.slow_words // BATCH * BATCH)]
    import keras
    import onnxruntime
    print(f"{datetime.date.today()}, {os.cpu_count()} cores, {args.threads} threads, onnxruntime {onnxruntime.__version__}, "
          f"Keras {keras.__version__} on {keras.backend.backend()}, median of {args.rounds} rounds")
    in_keras = Reader(KerasSession(lite), ours.alphabet, ours.decoding, threads=args.threads)
    in_keras_once = Reader(KerasSession(lite), ours.alphabet, threads=1)  # Keras has threads of its own, within a batch
    seeds = onnx_seed(seed, args.threads), Reader(KerasSession(seed), Alphabet("seed"))
    table(f"the network alone, batches of {BATCH}", {
        "lite, onnxruntime": lambda: seconds_of_network(ours, images),
        "lite, Keras": lambda: seconds_of_network(in_keras_once, images),
        "seed, onnxruntime": lambda: seconds_of_network(seeds[0], slow),
        "seed, Keras": lambda: seconds_of_network(seeds[1], slow)}, args.rounds)
    readers = {
        "lite": (ours, args.words),
        "lite, without test-time augmentation": (load_reader(args.model_path, threads=args.threads, tta=False), args.words),
        "lite, with the lexicon": (load_reader(args.model_path, threads=args.threads, lexicon="en"), args.words),
        "lite in Keras": (in_keras, args.words),
        "seed in Keras, as in 2018": (Reader2018(KerasSession(seed), Alphabet("seed")), args.slow_words),
        "lite in Keras, decoded as in 2018": (Reader2018(KerasSession(lite), ours.alphabet), args.slow_words)}
    table("from file to text", {
        name: lambda reader=reader, number=number: seconds_a_word(reader, words, number, args.threads)
        for name, (reader, number) in readers.items()}, args.rounds)


if __name__ == "__main__":
    command.run(main)
