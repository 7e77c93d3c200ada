"""How well are real words on boards read, by the project's models and, in the same run, by PP-OCRv6?

    python benchmarks/board_words.py --boards boards --model_path models/notes --model_path models/mjsynth
    python benchmarks/board_words.py --boards boards --model_path models/notes --peers         # needs pip install rapidocr

The folder `boards` holds lines.json (line_words.py --help says what is in it), photos/, and words.tsv: file, line, word,
four corners, text, and fit, below 1 where the box is sure. Scored are the sure words of two letters or digits and more of
the photos to validate on, in lower case, letters and digits only: all of them, and two halves of them with no source in
both, one to choose models on and one to report. PP-OCRv6's recogniser gets the same crops, in colour, by RapidOCR; it is
made for lines and takes them one by one. --peer_model adds a further recogniser of its kind, by its ONNX file.
"""
import collections
import csv
import datetime
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))  # the scripts are no package
import command
from command import UserError
from photos.cutting import cut
from words.image_files import read_image
from words.lexicon import LEXICONS
from words.metrics import letters_and_digits
from words.reader import load_reader

backend = command.later("fitting.backend")

SURE = 1.0  # the fit of a sure box is below


def sure_words(folder: Path) -> list[tuple[np.ndarray, str, str]]:
    """(uint8 [h, w, 3] pixels, text, source) of the sure words of the photos to validate on."""
    photos = {photo["file"]: photo for photo in json.loads((folder / "lines.json").read_text(encoding="utf8"))}
    with open(folder / "words.tsv", newline="", encoding="utf8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    rows = [row for row in rows if photos[row["file"]]["split"] == "valid" and float(row["fit"]) < SURE]
    words, pixels, last = [], None, None
    for row in rows:
        if row["file"] != last:
            pixels, last = read_image(folder / "photos" / row["file"]), row["file"]
        word, _ = cut(pixels, [[float(row[f"{axis}{k}"]) for axis in "xy"] for k in (1, 2, 3, 4)])
        if word is not None:
            words.append((word, row["text"], photos[row["file"]]["source"]))
    return words


def halves(sources: list[str]) -> np.ndarray:
    """0 or 1 for each word, int [n]: its source's half. The sources, those of most words first, go to the smaller half."""
    half, words = {}, [0, 0]
    for source, count in collections.Counter(sources).most_common():
        half[source] = int(words[1] < words[0])
        words[half[source]] += count
    return np.array([half[source] for source in sources])


def read_by_peer(images: list[np.ndarray], model: str | None) -> list[str]:
    """The texts of uint8 [h, w, 3] images (RGB) by PP-OCRv6 small, or by the recogniser in an ONNX file."""
    try:
        import rapidocr
    except ImportError:
        raise UserError("--peers: pip install rapidocr") from None
    engine = rapidocr.RapidOCR(params={"Global.log_level": "error", **({"Rec.model_path": model} if model else {})})
    found = (engine(image[..., ::-1], use_det=False, use_cls=False, use_rec=True) for image in images)
    return [result.txts[0] if result.txts else "" for result in found]


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("--boards", required=True, type=Path, metavar="DIR",
                        help="folder of lines.json, words.tsv and photos/")
    parser.add_argument("--model_path", action="append", default=[], help="model folder; give it again for more")
    parser.add_argument("--peers", action="store_true", help="also PP-OCRv6 small, as the package rapidocr brings it")
    parser.add_argument("--peer_model", action="append", default=[], metavar="ONNX", help="also this recogniser of its kind")
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    words = sure_words(args.boards)
    images, truths, sources = zip(*words)
    truths, half = [letters_and_digits(text) for text in truths], halves(sources)
    scored = [k for k, truth in enumerate(truths) if len(truth) > 1]
    images, truths, half = [images[k] for k in scored], [truths[k] for k in scored], half[scored]
    parts = [np.flatnonzero(half == 0), np.flatnonzero(half == 1), np.arange(len(scored))]
    print(f"{datetime.date.today()}, {backend.hardware()}\n\n| model | half to choose on | half to report | all |\n"
          "| --- | --- | --- | --- |")
    print("| words | " + " | ".join(f"{len(part):,}" for part in parts) + " |")

    def row(name, texts):
        right = np.array([letters_and_digits(text) == truth for text, truth in zip(texts, truths)])
        print(f"| {name} | " + " | ".join(f"{right[part].mean():.3f}" for part in parts) + " |", flush=True)

    for path in args.model_path:
        for name, options in (("greedy", {"beam_width": 0}), ("--lexicon lexicons/en.txt", {"lexicon": LEXICONS / "en.txt"}),
                              ("--lexicon en", {"lexicon": "en"})):
            row(f"{Path(path).name}, {name}", [reading.text for reading in load_reader(path, **options).read(images)])
    for model in [None] * args.peers + args.peer_model:
        row(Path(model).stem if model else "PP-OCRv6 small", read_by_peer(images, model))


if __name__ == "__main__":
    command.run(main)
