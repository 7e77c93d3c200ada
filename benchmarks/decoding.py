"""How fast and how good is ctc.py, beside other CTC decoders, on what the shipped model says of real words?

    pip install fast-ctc-decode flashlight-text      # optional: two more rows each
    python benchmarks/decoding.py --image_path iam_words

Prints, of one run on one processor core, each word looked at once: ms a word and words read rightly for each decoder on the
same outputs; what the word list and the n-gram model do to words that are in the list and to words that are not, with their
weights fitted on the other half of the writers; calibration; time of the first call with and without numba's cache; and
memory, over a million words.
"""
import datetime
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # the scripts are no package
import command
from fitting import backend
from utils import keras
from words import ctc
from words.calibration import fit_decoding
from words.image_files import read_image
from words.images import prepare
from words.lexicon import LEXICONS, load_lexicon
from words.lists import read_folder
from words.metrics import calibration, letters_and_digits
from words.ngram import NGram
from words.reader import Reader, load_reader

BEAM = 10
LIST = str(LEXICONS / "en.txt")


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("--model_path", default=ROOT / "models" / "iam")
    parser.add_argument("--image_path", default=Path("iam_words"), type=Path,
                        help="labelled words, of which the valid part is used")
    parser.add_argument("--words", type=int, default=2000, help="words to time on")
    parser.add_argument("--slow_words", type=int, default=200, help="words to time keras.ops.ctc_decode on, a call each")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--million", type=int, default=1_000_000, help="words to decode while memory is watched")
    return parser.parse_args(argv)


def network_outputs(reader, words):
    """Images [N, W, H, 1], logits [N, T, C], truths and writers of the valid words of two letters or digits and more."""
    images, truths, writers = [], [], []
    for i in np.flatnonzero(words.split_ids == words.splits.index("valid")):
        if len(letters_and_digits(words.text(i))) > 1:
            images.append(prepare(read_image(words.path(i)), reader.size))
            truths.append(words.text(i))
            writers.append(words.groups[i])
    images = np.stack(images)
    return images, reader.logits(images), truths, np.array(writers)


# --- Decoders: logits [N, T, C] -> N lists of classes --------------------------------------------------------------

def ours(**options):
    return lambda logits: [texts[0].classes for texts in ctc.beam_search(logits, **options)]


def with_tensorflow(logits):
    import tensorflow as tf
    last = np.roll(logits, -1, axis=2).transpose(1, 0, 2)  # its blank is the last class
    found, _ = tf.nn.ctc_beam_search_decoder(last, np.full(len(logits), logits.shape[1]), BEAM)
    return [[int(c) + 1 for c in row if c >= 0] for row in tf.sparse.to_dense(found[0], default_value=-1).numpy()]


def with_keras(logits):
    found = []
    for word in logits:
        paths, _ = keras.ops.ctc_decode(word[np.newaxis], [len(word)], strategy="beam_search", beam_width=BEAM, top_paths=1,
                                        mask_index=0)
        found.append([int(c) for c in keras.ops.convert_to_numpy(paths)[0, 0] if c > 0])
    return found


def with_fast_ctc_decode(logits):
    from fast_ctc_decode import beam_search
    names = "".join(map(chr, range(1000, 1000 + logits.shape[2])))  # a character a class, the first the blank
    return [[ord(c) - 1000 for c in beam_search(word, names, BEAM, 1e-6)[0]] for word in np.exp(ctc.log_softmax(logits))]


def with_flashlight(logits, lexicon_words=None):
    """flashlight-text without a language model; with `lexicon_words`, {classes: log prior}, over these alone."""
    from flashlight.lib.text import decoder as fl
    classes = logits.shape[2]
    if lexicon_words is None:
        options = fl.LexiconFreeDecoderOptions(beam_size=BEAM, beam_size_token=classes, beam_threshold=50, lm_weight=0,
                                               sil_score=0, log_add=True, criterion_type=fl.CriterionType.CTC)
        search = fl.LexiconFreeDecoder(options, fl.ZeroLM(), -1, 0, [])
    else:
        search = flashlight_lexicon(fl, classes, lexicon_words)
    found = []
    for word in ctc.log_softmax(logits):
        best = search.decode(word.ctypes.data, *word.shape)[0]
        path = np.array([c for c in best.tokens if 0 <= c < classes])
        found.append([int(c) for c, before in zip(path, [0, *path]) if c and c != before])
    return found


def flashlight_lexicon(fl, classes, words, cache={}):  # noqa: B006 (kept between calls)
    if "search" not in cache:
        trie = fl.Trie(classes, 0)
        for k, (spelling, prior) in enumerate(words.items()):
            trie.insert(list(spelling), k, prior)
        trie.smear(fl.SmearingMode.MAX)
        options = fl.LexiconDecoderOptions(beam_size=BEAM, beam_size_token=classes, beam_threshold=50, lm_weight=1,
                                           word_score=0, unk_score=-np.inf, sil_score=0, log_add=True,
                                           criterion_type=fl.CriterionType.CTC)
        cache["lm"] = fl.ZeroLM()
        cache["trie"], cache["search"] = trie, fl.LexiconDecoder(options, trie, cache["lm"], -1, 0, -1, [], False)
    return cache["search"]


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def load_ngram(reader):
    return NGram.load(LEXICONS / "en.ngram.npz", reader.alphabet.characters)


# --- Tables -------------------------------------------------------------------------------------------------------

def read_rightly(alphabet, texts, truths):
    return np.array([letters_and_digits(alphabet.decode(text)) == letters_and_digits(truth)
                     for text, truth in zip(texts, truths)])


def time_decoders(reader, logits, truths, slow, rounds):
    lexicon, ngram = load_lexicon(LIST, reader.alphabet, reader.decoding), load_ngram(reader)
    rows = [("ctc.greedy", lambda x: [text.classes for text in ctc.greedy(x)], len(logits)),
            (f"ctc.beam_search, beam {BEAM}", ours(beam_width=BEAM), len(logits)),
            (f"ctc.beam_search, beam {BEAM}, nothing pruned", ours(beam_width=BEAM, prune=0), len(logits)),
            (f"ctc.beam_search, beam {BEAM}, lexicon of {len(lexicon):,}", ours(beam_width=BEAM, lexicon=lexicon),
             len(logits)),
            (f"ctc.beam_search, beam {BEAM}, n-gram model of {len(ngram):,}", ours(beam_width=BEAM, lexicon=ngram),
             len(logits)),
            (f"tf.nn.ctc_beam_search_decoder, one call, beam {BEAM}", with_tensorflow, len(logits)),
            (f"keras.ops.ctc_decode, a call a word, beam {BEAM}", with_keras, slow)]
    if version("fast-ctc-decode"):
        rows.append((f"fast-ctc-decode {version('fast-ctc-decode')}, beam {BEAM}", with_fast_ctc_decode, len(logits)))
    if version("flashlight-text"):
        words = Path(LEXICONS / "en.txt").read_text(encoding="utf8").splitlines()
        spelled = {tuple(reader.alphabet.encode(reader.alphabet.spell(line.split()[0])[0])): 0.0
                   for line in words if not line.startswith("#")}
        rows += [(f"flashlight-text {version('flashlight-text')}, beam {BEAM}", with_flashlight, len(logits)),
                 (f"flashlight-text, beam {BEAM}, lexicon of {len(spelled):,}, no way out",
                  lambda x: with_flashlight(x, spelled), len(logits))]
    times, right = {name: [] for name, *_ in rows}, {}
    for name, decode, count in rows:
        right[name] = read_rightly(reader.alphabet, decode(logits[:count]), truths)  # and compiles
    for _ in range(rounds):  # in turns, so that a disturbance hits all
        for name, decode, count in rows:
            began = time.perf_counter()
            decode(logits[:count])
            times[name].append((time.perf_counter() - began) / count * 1000)
    print("| decoder | ms a word | times beam search's | words | read rightly |\n| --- | ---: | ---: | ---: | ---: |")
    unit = np.median(times[rows[1][0]])
    for name, _, count in rows:
        print(f"| {name} | {np.median(times[name]):.4f} | {np.median(times[name]) / unit:.2f} | {count:,} | "
              f"{right[name].mean():.4f} |")


def score_widths(reader, logits, truths):
    print("\n| beam width | read rightly | with the word list | with the n-gram model |\n| ---: | ---: | ---: | ---: |")
    lexicon = load_lexicon(LIST, reader.alphabet, reader.decoding)
    for width in (1, 3, 5, 10, 20, 50):
        scores = [read_rightly(reader.alphabet, ours(beam_width=width, lexicon=known)(logits), truths).mean()
                  for known in (None, lexicon, load_ngram(reader))]
        print(f"| {width} | " + " | ".join(f"{score:.4f}" for score in scores) + " |")


def score_lexicon(reader, images, logits, truths, writers):
    """Each half of the writers is read with what the other half's words say is best."""
    half = np.isin(writers, np.unique(writers)[::2])
    texts = {name: np.zeros(len(truths), bool) for name in ("greedy", "beam search", "word list", "n-gram model")}
    confidences, inside = {name: np.zeros(len(truths)) for name in texts}, np.zeros(len(truths), bool)
    words = load_lexicon(LIST, reader.alphabet, reader.decoding)
    for part in (half, ~half):
        fitted = fit_decoding(reader, images[~part], [t for t, other in zip(truths, ~part) if other])
        own = [truth for truth, mine in zip(truths, part) if mine]
        print(f"\nfitted on {(~part).sum():,} words of {len(np.unique(writers[~part]))} writers: {fitted}")
        for name, options in (("greedy", dict(beam_width=0)), ("beam search", {}), ("word list", dict(lexicon=LIST)),
                              ("n-gram model", dict(lexicon="en"))):
            other = Reader(reader.session, reader.alphabet, fitted, **options)
            best = [texts[0] for texts in other.alternatives(other.search(logits[part]))]
            texts[name][part] = [letters_and_digits(text) == letters_and_digits(truth)
                                 for (text, _), truth in zip(best, own)]
            confidences[name][part] = [confidence for _, confidence in best]
        inside[part] = [reader.alphabet.encode(reader.alphabet.spell(truth)[0]) in words for truth in own]
    print(f"\n| on writers it was not fitted to | {inside.sum():,} words in the lexicon | {(~inside).sum():,} not in it"
          " | all | expected calibration error |\n| --- | ---: | ---: | ---: | ---: |")
    for name, right in texts.items():
        error, _ = calibration(confidences[name], right)
        print(f"| {name} | {right[inside].mean():.4f} | {right[~inside].mean():.4f} | {right.mean():.4f} | {error:.4f} |")


def first_calls():
    """Seconds of the first beam search in a new process, with an empty cache and with a filled one."""
    program = ("import time, numpy as np; from words import ctc; began = time.perf_counter(); "
               "ctc.beam_search(np.zeros((1, 5, 4))); print(time.perf_counter() - began)")
    with tempfile.TemporaryDirectory() as cache:
        return [float(subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True,
                                     env={**os.environ, "NUMBA_CACHE_DIR": cache}).stdout) for _ in range(2)]


def megabytes():
    """Of this process: now, and at most so far."""
    now = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
    return now, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main(argv=None):
    args = parse_args(argv)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core for everybody
    backend.choose_gpus("-1")
    reader = load_reader(args.model_path, tta=False)  # each word looked at once: this is about decoding
    images, logits, truths, writers = network_outputs(reader, read_folder(args.image_path))
    print(f"{datetime.date.today()}, one core of {backend.hardware()}; Python {platform.python_version()}, "
          f"numba {version('numba')}, Keras {keras.__version__} on {keras.backend.backend()} {version('tensorflow-cpu')}; "
          f"{logits.shape[1]} steps, {logits.shape[2]} classes; median of {args.rounds} rounds\n")
    time_decoders(reader, logits[:args.words], truths[:args.words], args.slow_words, args.rounds)
    score_widths(reader, logits, truths)
    score_lexicon(reader, images, logits, truths, writers)
    began = time.perf_counter()
    lexicon = load_lexicon(LIST, reader.alphabet, reader.decoding)
    print(f"\nlist of {len(lexicon):,} words: loaded in {time.perf_counter() - began:.2f} s, {lexicon.nbytes / 1e6:.1f} MB")
    began = time.perf_counter()
    ngram = load_ngram(reader)
    print(f"{len(ngram):,} n-grams: loaded in {time.perf_counter() - began:.2f} s, {ngram.nbytes / 1e6:.1f} MB")
    cold, warm = first_calls()
    print(f"first call of a process: {cold:.1f} s without numba's cache, {warm:.2f} s with it")
    before = megabytes()
    for _ in range(args.million // len(logits)):
        ctc.beam_search(logits, beam_width=BEAM)
    after = megabytes()
    print(f"memory, TensorFlow's included: {before[0]:.0f} MB before {args.million:,} more words, {after[0]:.0f} MB after; "
          f"at most {before[1]:.0f} and {after[1]:.0f} MB")


if __name__ == "__main__":
    command.run(main)
