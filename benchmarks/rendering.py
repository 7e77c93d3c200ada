"""How fast does make_words.py's renderer draw? Words a second of each style and of the default mix, by 1 and 2 workers.

    python benchmarks/rendering.py                          # the project's fonts
    python benchmarks/rendering.py --strokes STROKES.npz    # and pen strokes, half of the paper and board words

Words/s are wall time, as make_words.py takes it with writing left out; words/s of processor time are what a worker does
where nothing else runs on its core. Every face has been used before the clock starts. If the TextRecognitionDataGenerator
is installed (`pip install trdg`; trdg 1.8 needs `pillow<10` too), its default settings are timed beside, one process, on
the same word list.
"""
import contextlib
import datetime
import importlib.util
import itertools
import os
import platform
import shlex
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import PIL

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the scripts are no package: their folder, by hand
import command
import render
from render import word_set

MIXES = {**{style: {style: 1} for style in render.STYLES}, "default mix": None}


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("--words", type=command.whole(100), default=3000, help="words drawn a measurement (default 3000)")
    parser.add_argument("--strokes", type=Path, metavar="FILE.npz", help="words as pen movements, to draw from too")
    args = parser.parse_args(argv)
    args.command = "python benchmarks/rendering.py " + shlex.join(sys.argv[1:] if argv is None else argv)
    return args


def processor_speed(renderer, words):
    """Words a second of processor time, in this process."""
    began = time.process_time()
    for k in range(words):
        renderer.word(np.random.default_rng((1, k)))
    return words / (time.process_time() - began)


def wall_speed(renderer, words, workers):
    """Words a second by the clock, JPEGs made, of workers that are at work already when it starts."""
    drawer = word_set.Drawer(renderer, 1, 0)
    ready = 3 * workers * word_set.TASK
    with contextlib.closing(word_set.drawn(drawer, 0, ready + words, workers)) as drawn:
        for _ in itertools.islice(drawn, ready):
            pass
        began = time.perf_counter()
        count = sum(1 for _ in drawn)
        return count / (time.perf_counter() - began)


def trdg_speed(words):
    """Words a second of processor time that trdg draws."""
    from trdg.generators import GeneratorFromStrings
    texts = render.Texts(render.LEXICON).words[:words]
    began = time.process_time()
    for _ in GeneratorFromStrings(texts, count=words):
        pass
    return words / (time.process_time() - began)


def table(words, strokes):
    """Lines of the table."""
    yield "| what | words/s of processor time | words/s, 1 worker | words/s, 2 workers | times 1 worker |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for name, styles in MIXES.items():
        renderer = render.Renderer(styles=styles, strokes=strokes)
        processor_speed(renderer, 2000)  # opens the fonts
        alone, two = (wall_speed(renderer, words, workers) for workers in (1, 2))
        yield f"| {name} | {processor_speed(renderer, words):,.0f} | {alone:,.0f} | {two:,.0f} | {two / alone:.2f} |"
    if importlib.util.find_spec("trdg"):
        try:
            yield f"| trdg, its defaults | {trdg_speed(words):,.0f} | | | |"
        except AttributeError as error:  # trdg 1.8 calls what Pillow 10 has no more
            yield f"| trdg, its defaults | does not run with Pillow {PIL.__version__}: {error} | | | |"


def main(argv=None):
    args = parse_args(argv)
    print(f"{datetime.date.today()}, {os.cpu_count()} cores of {platform.processor() or platform.machine()}; "
          f"Python {platform.python_version()}, NumPy {np.__version__}, OpenCV {cv2.__version__}, Pillow {PIL.__version__}; "
          f"{args.words:,} words each")
    print(f"\n    {args.command.strip()}\n")
    for line in table(args.words, args.strokes):
        print(line, flush=True)


if __name__ == "__main__":
    command.run(main)
