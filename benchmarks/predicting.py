"""How many words a second does predict.py read, beside the way of 2018?

    python benchmarks/predicting.py                                      # on imgs/words, over and over
    python benchmarks/predicting.py --image_path iam_words --words 4000

Rows, timed in turns in one run, from the image file to the text:

* lite, ours: the shipped model through predict.read_words, as predict.py does it: batches, ctc.beam_search, doubtful words
  looked at again.
* lite, ours, one look: each word looked at once.
* lite, ours, with the lexicon: the first with --lexicon en.
* seed, our decoding: the preset `seed`, one look, so that network and decoding can be told apart.
* seed, as in 2018: the preset `seed`, and one call of keras.ops.ctc_decode a word, a beam search of width 10.

The preset `seed` has fresh weights here. Their near-uniform outputs may cost a beam search more than a trained network's,
so the last row decodes the shipped lite model's outputs, of the same shape but for two steps, as in 2018 too.
"""
import datetime
import itertools
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))  # the scripts are no package
import command
import predict
import utils
from command import UserError
from utils import keras
from words.alphabet import Alphabet
from words.lists import WordList, image_names
from words.reader import BATCH, Reader, Reading

ROOT = Path(__file__).parent.parent


class SeedReader(Reader):
    """The network of 2018, each word decoded by a beam search of its own."""

    def read_prepared(self, images, top_paths=1):
        return [[self._read_logits(logits)] for logits in self.logits(images)]

    def _read_logits(self, logits):
        paths, scores = keras.ops.ctc_decode(logits[np.newaxis], [len(logits)], strategy="beam_search", beam_width=10,
                                             top_paths=1, mask_index=0)
        classes = keras.ops.convert_to_numpy(paths)[0, 0]
        return Reading(self.alphabet.decode(classes[classes > 0]), float(keras.ops.convert_to_numpy(scores)[0, 0]))


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("--model_path", default=ROOT / "models" / "iam", help="the lite model (default models/iam)")
    parser.add_argument("--image_path", default=ROOT / "imgs" / "words", type=Path, help="folder of word images")
    parser.add_argument("--words", type=int, default=2048, help="words a round; the images are repeated as needed")
    parser.add_argument("--slow_words", type=int, default=128, help="words a round for the way of 2018")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="threads that read images, and that decode")
    return parser.parse_args(argv)


def seconds_a_word(reader, words, number, workers):
    chosen = list(itertools.islice(itertools.cycle(range(len(words))), number))
    began = time.perf_counter()
    for read in predict.read_words(reader, words, chosen, workers):
        if read.error:
            raise UserError(f"{words.path(read.index)}: {read.error}; give a folder of readable images")
    return (time.perf_counter() - began) / number


def main(argv=None):
    args = parse_args(argv)
    words = WordList(args.image_path, [(name, "", "", "") for name in image_names(args.image_path)])
    if not len(words):
        raise UserError(f"--image_path {args.image_path}: no image in it")
    lite = load_reader(args.model_path, threads=args.workers)
    once = load_reader(args.model_path, threads=args.workers, tta=False)
    english = load_reader(args.model_path, threads=args.workers, lexicon="en")
    network = utils.build_network(38, preset="seed")
    alphabet = Alphabet("seed")
    rows = [("lite, ours", lite, args.words), ("lite, ours, one look", once, args.words),
            ("lite, ours, with the lexicon", english, args.words),
            ("seed, our decoding", Reader(network, alphabet, squeezes=()), args.slow_words * 4),
            ("seed, as in 2018", SeedReader(network, alphabet), args.slow_words),
            ("lite, decoded as in 2018", SeedReader(lite.network, lite.alphabet), args.slow_words)]
    times = {name: [] for name, _, _ in rows}
    for name, reader, _ in rows:
        seconds_a_word(reader, words, BATCH, args.workers)  # compilation
    for _ in range(args.rounds):
        for name, reader, number in rows:
            times[name].append(seconds_a_word(reader, words, number, args.workers))
    print(f"{datetime.date.today()}, {utils.hardware()}, Keras {keras.__version__} on {keras.backend.backend()}, "
          f"median of {args.rounds} rounds\n")
    print("| from file to text | words/s | ms/word |\n| --- | --- | --- |")
    for name, values in times.items():
        print(f"| {name} | {1 / np.median(values):,.0f} | {1000 * np.median(values):.2f} |")


if __name__ == "__main__":
    command.run(main)
