"""Does reading hold training up? Words a second that train.py's batches give, and how soon a big listing is ready.

    python benchmarks/reading.py                       # on 2,000 words that it draws itself
    python benchmarks/reading.py --path words          # on a folder, as train.py takes it
    python benchmarks/reading.py --listing 8900000     # and getting ready on a listing as long as mjsynth's

The words are read plain and augmented, as train.py reads them with --workers 1 and with one process a core. All were
read once before, so that the disk has no part in it. The figures are medians over --rounds, in each of which all four
take turns.

--listing N runs train.py --show_batch in a process of its own, on a made-up folder in mjsynth's layout whose listings
name N words: Python's start, reading the listings, looking for every file, checking every label, and a first batch.
All N files are there, in folders of 300; every folder beyond the 600th is a link to one of those.
"""
import contextlib
import datetime
import functools
import itertools
import math
import os
import platform
import resource
import shlex
import statistics
import string
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the scripts are no package: their folder, by hand
import command
import train
import utils
from command import UserError
from fitting import backend
from words.alphabet import Alphabet

BATCH_SIZE = 64
FOLDER, REAL_FOLDERS = 300, 600  # of --listing: images a folder, and folders that are no links


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("--path", action="append", metavar="DIR", help="folder of words, as for train.py")
    parser.add_argument("--words", type=int, default=10000, help="words read a measurement (default 10000)")
    parser.add_argument("--rounds", type=int, default=5, help="times each is measured (default 5)")
    parser.add_argument("--listing", type=int, metavar="N", help="also get ready on a listing of N words")
    args = parser.parse_args(argv)
    for name, value, least in (("words", args.words, 64), ("rounds", args.rounds, 1), ("listing", args.listing, 600)):
        if value is not None and value < least:
            raise UserError(f"--{name} {value}: must be {least} or more")
    args.command = "python benchmarks/reading.py " + shlex.join(sys.argv[1:] if argv is None else argv)
    return args


def draw_words(folder, count):
    """`count` made-up words as grey JPEGs of about 120 x 48 pixels, the size of IAM's, dark on noisy paper."""
    rng = np.random.default_rng(0)
    fonts = [ImageFont.load_default(size) for size in range(24, 40, 4)]
    for k in range(count):
        text = "".join(rng.choice(list(string.ascii_lowercase), rng.integers(2, 12)))
        font = fonts[rng.integers(len(fonts))]
        image = Image.new("L", (math.ceil(font.getlength(text)) + 10, 48), 225)
        ImageDraw.Draw(image).text((5, 24), text, fill=60, font=font, anchor="lm")
        noisy = np.asarray(image) + rng.normal(0, 5, (image.height, image.width))
        Image.fromarray(np.uint8(np.clip(noisy, 0, 255))).save(Path(folder, f"_{text}_{k}.jpg"), quality=90)


def words_per_second(make_batches, workers):
    """Speed of reading all batches with so many workers, which are at work already when the clock starts."""
    with contextlib.closing(make_batches(workers=workers)) as batches:
        batches[0]
        began = time.perf_counter()
        for k in range(1, len(batches)):
            batches[k]
        return (len(batches) - 1) * BATCH_SIZE / (time.perf_counter() - began)


def reading_table(paths, words, rounds):
    """Lines of a table: words a second, plain and augmented, of one worker and of one a core."""
    alphabet = Alphabet("seed")
    network = utils.build_network(len(alphabet) + 1)
    data = train.load_data(paths, None, 0.9, 0, alphabet, network.output_shape[1])
    batches = {kind: functools.partial(utils.WordBatches, data.words, data.train, data.labels, network.input_shape[1:3],
                                       BATCH_SIZE, max(2, words // BATCH_SIZE), augment=kind == "augmented")
               for kind in ("plain", "augmented")}
    speeds = {(kind, workers): [] for kind in batches for workers in sorted({1, os.cpu_count() or 1})}
    words_per_second(batches["plain"], os.cpu_count())
    for kind, workers in list(speeds) * rounds:
        speeds[kind, workers].append(words_per_second(batches[kind], workers))
    yield "| images | workers | words/s | words/s a worker | times one worker |\n| --- | ---: | ---: | ---: | ---: |"
    for (kind, workers), measured in speeds.items():
        speed, alone = statistics.median(measured), statistics.median(speeds[kind, 1])
        yield f"| {kind} | {workers} | {speed:,.0f} | {speed / workers:,.0f} | {speed / alone:.2f} |"


def make_mjsynth(root, count):
    """A folder in mjsynth's layout that lists `count` words, the last tenth of them to validate on; all files exist."""
    rng = np.random.default_rng(0)
    draw_words(root, 8)
    images, folders, names = list(root.iterdir()), [], []
    for k in range(math.ceil(count / FOLDER)):
        folders.append(root / str(k // 7 + 1) / str(k % 7 + 1))
        folders[k].parent.mkdir(exist_ok=True)
        if k >= REAL_FOLDERS:
            folders[k].symlink_to(folders[k % REAL_FOLDERS])
            continue
        folders[k].mkdir()
        texts = rng.choice(list(string.ascii_letters), (FOLDER, 8))
        names.append([f"{j}_{''.join(letters)}_{k}.jpg" for j, letters in enumerate(texts)])
        for name in names[k]:
            os.link(images[k % len(images)], folders[k] / name)
    lines = (f"./{folder.relative_to(root)}/{name} {k % REAL_FOLDERS}\n"
             for k, folder in enumerate(folders) for name in names[k % REAL_FOLDERS])
    for listing, share in (("annotation_train.txt", count - count // 10), ("annotation_val.txt", count // 10)):
        with open(root / listing, "w", encoding="utf8") as file:
            file.writelines(itertools.islice(lines, share))


def listing_table(count):
    """Lines of a table: seconds and memory that train.py takes to get ready on a listing of `count` words."""
    with tempfile.TemporaryDirectory() as folder:
        make_mjsynth(Path(folder), count)
        began = time.perf_counter()
        done = subprocess.run([sys.executable, train.__file__, "--path", folder, "--mjsynth",
                               "--show_batch", os.path.join(folder, "batch.png")], capture_output=True, text=True)
        seconds = time.perf_counter() - began
    if done.returncode:
        raise UserError(f"train.py on the made-up listing: {done.stderr.strip()}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    yield "| listed words | ready after, s | processor time, s | peak memory, MB |\n| ---: | ---: | ---: | ---: |"
    yield f"| {count:,} | {seconds:.1f} | {used.ru_utime + used.ru_stime:.1f} | {used.ru_maxrss / 1000:,.0f} |"
    yield f"\ntrain.py said: {done.stdout.splitlines()[0]}\n"


def main(argv=None):
    args = parse_args(argv)
    print(f"{datetime.date.today().isoformat()}, {backend.hardware()}; Python {platform.python_version()}, "
          f"Keras {utils.keras.__version__}, NumPy {np.__version__}, Pillow {Image.__version__}")
    print(f"\n    {args.command}\n")
    if args.listing:
        print(*listing_table(args.listing), sep="\n")
    with tempfile.TemporaryDirectory() as folder:
        if not args.path:
            draw_words(folder, 2300)  # train.py keeps a tenth to validate on
        print(*reading_table(args.path or [folder], args.words, args.rounds), sep="\n")


if __name__ == "__main__":
    command.run(main)
