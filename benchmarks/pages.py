"""How well are words and ink found on photos, and how well and how fast is a whole photo read, beside other programs?

    python benchmarks/pages.py boxes --model_path models/pages --iam_pages iam_pages --boards boards
    python benchmarks/pages.py ink --model_path models/pages --ink ink                               # needs doxapy
    python benchmarks/pages.py words --model_path models/pages --words models/notes --iam_pages iam_pages --boards boards
    python benchmarks/pages.py time --model_path models/pages --words models/notes --boards boards
    python benchmarks/pages.py memory --model_path models/pages --words models/notes --boards boards

boxes: F1 at IoU 0.5 and 0.7 of words' boxes on the pages to validate on; what is doubtful there is ignored. With --peers
also Tesseract's. ink: pixel F1 on AccessMath's lecture 10, which is in no training, beside Sauvola, Wolf and NICK, each with
the window and k that do best on the other lectures. words: recall and precision of a photo's words as a bag (lower case,
letters and digits, 2 and more); with --peers also PP-OCRv6 small's (pip install rapidocr). time: three photos of 12
megapixels and about 100 words, decoded, found and read; each program in a process of its own, the median of --rounds.
memory: what a process holds after each tenth of --photos photos. photos/folders.py describes the folders.
"""
import argparse
import collections
import datetime
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import unicodedata
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))  # the scripts are no package
from photos.detector import load_detector
from photos.folders import KEPT_APART, read_pages
from photos.metrics import f1, match
from photos.reader import load_reader
from words.image_files import read_image

WINDOWS, SENSITIVITIES = (15, 25, 45, 75), {"SAUVOLA": (0.05, 0.1, 0.2, 0.3), "WOLF": (0.05, 0.1, 0.2, 0.3),
                                            "NICK": (-0.05, -0.1, -0.15, -0.2)}
MEGAPIXELS, WORDS, TIMED = 12e6, 100, 3  # of a photo that is timed; so many photos
TUNED = 3  # every third frame of the other lectures is what the classical ones are tuned on


# --- Words' boxes -----------------------------------------------------------------------------------------------

def boxes(folders, model_path, threads, peers):
    finders = {"ours": load_detector(model_path, threads).find, **({"Tesseract": tesseract} if peers else {})}
    print("| data | pages | words | finder | F1 at IoU 0.5 | precision | recall | F1 at IoU 0.7 | s a page |")
    print("| --- " * 9 + "|")
    for folder in folders:
        pages = read_pages(folder, split="valid")
        for name, find in finders.items():
            counts, seconds = {0.5: np.zeros(3, int), 0.7: np.zeros(3, int)}, 0.0
            for page in pages:
                started = time.perf_counter()
                polygons = find(page.levels[0]).polygons
                seconds += time.perf_counter() - started
                for least in counts:
                    counts[least] += match(polygons, page.quads, page.ignored, least)
            half, most = f1(*counts[0.5]), f1(*counts[0.7])
            print(f"| {folder.name} | {len(pages)} | {counts[0.5][2]:,} | {name} | {half['f1']:.3f} | "
                  f"{half['precision']:.3f} | {half['recall']:.3f} | {most['f1']:.3f} | {seconds / len(pages):.2f} |",
                  flush=True)


def tesseract(pixels):
    """Tesseract's words, as an object with `polygons`."""
    _, png = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    rows = subprocess.run(["tesseract", "-", "-", "--psm", "11", "tsv"], input=png.tobytes(), capture_output=True,
                          check=True).stdout.decode().splitlines()
    words = [row.split("\t") for row in rows[1:]]
    sides = np.array([row[6:10] for row in words if row[0] == "5" and row[11].strip()], np.float32).reshape(-1, 4)
    x, y, right, bottom = sides[:, 0], sides[:, 1], sides[:, 0] + sides[:, 2], sides[:, 1] + sides[:, 3]
    return argparse.Namespace(polygons=np.stack([x, y, right, y, right, bottom, x, bottom], axis=1).reshape(-1, 4, 2))


# --- Ink --------------------------------------------------------------------------------------------------------

def ink(folder, model_path, threads):
    pages = [page for page in read_pages(folder) if page.name.startswith("board_")]
    apart = [page for page in pages if KEPT_APART in page.name]
    others = [page for page in pages if KEPT_APART not in page.name][::TUNED]
    find = load_detector(model_path, threads).find
    print(f"F1 on {len(apart)} frames, tuned on {len(others)} others\n")
    print("| binarisation | tuned | F1 | precision | recall | s a frame |\n" + "| --- " * 6 + "|")
    show_ink("the page network", "", apart, lambda pixels: find(pixels).ink)
    for name, sensitivities in SENSITIVITIES.items():
        best, window, k = max((pixel_f1(others, classical(name, window, k))["f1"], window, k)
                              for window in WINDOWS for k in sensitivities)
        show_ink(name, f"window {window}, k {k}: {best:.3f}", apart, classical(name, window, k))


def classical(name, window, k):
    """A function from pixels to ink, uint8 [H, W], 255 ink, by doxapy."""
    import doxapy

    def binarise(pixels):
        grey = np.ascontiguousarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
        doxapy.Binarization.update_to_binary(getattr(doxapy.Binarization.Algorithms, name), grey, {"window": window, "k": k})
        return 255 - grey
    return binarise


def pixel_f1(pages, binarise):
    counts = np.zeros(3, int)
    for page in pages:
        true, found = page.ink > 127, binarise(page.levels[0]) > 127
        counts += (true & found).sum(), found.sum(), true.sum()
    return f1(*counts)


def show_ink(name, tuned, pages, binarise):
    started = time.perf_counter()
    score = pixel_f1(pages, binarise)
    seconds = (time.perf_counter() - started) / len(pages)
    print(f"| {name} | {tuned} | {score['f1']:.3f} | {score['precision']:.3f} | {score['recall']:.3f} | {seconds:.2f} |",
          flush=True)


# --- Words as a bag ---------------------------------------------------------------------------------------------

def bag(texts):
    """The words of texts, counted: lower case, letters and digits, 2 and more."""
    plain = (unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower() for text in texts)
    return collections.Counter(word for text in plain for word in re.findall("[a-z0-9]{2,}", text))


def true_texts(folder):
    """{path of a photo: its texts} of the pages to validate on."""
    if (folder / "lines.json").is_file():
        photos = json.loads((folder / "lines.json").read_text(encoding="utf8"))
        return {folder / "photos" / photo["file"]: [line["text"] for line in photo["lines"] if not line["ignore"]]
                + photo["extra"] for photo in photos if photo["split"] == "valid"}
    texts = {}
    with open(folder / "boxes.tsv", encoding="utf8") as file:
        next(file)
        for row in file:
            page, split, *_, text = row.rstrip("\n").split("\t")
            if split == "valid":
                texts.setdefault(folder / page, []).append(text)
    return texts


def words(folders, model_path, recogniser, threads, peers):
    read = {name: page_texts(load_reader(model_path, words=recogniser, lexicon=lexicon, threads=threads))
            for name, lexicon in (("ours", None), ("ours, --lexicon en", "en"))}
    if peers:
        read["PP-OCRv6 small"] = rapidocr_texts(threads)
    print("| data | photos | words | reader | recall | precision | s a photo |\n" + "| --- " * 7 + "|")
    for folder in folders:
        truth = true_texts(folder)
        for name, texts_of in read.items():
            hits = there = found = 0
            started = time.perf_counter()
            for path, texts in truth.items():
                true, seen = bag(texts), bag(texts_of(path))
                hits, there, found = hits + (true & seen).total(), there + true.total(), found + seen.total()
            seconds = (time.perf_counter() - started) / len(truth)
            print(f"| {folder.name} | {len(truth)} | {there:,} | {name} | {hits / there:.3f} | {hits / max(found, 1):.3f} | "
                  f"{seconds:.2f} |", flush=True)


def page_texts(reader):
    return lambda path: [word.text for word in reader.read(path).words]


def rapidocr_texts(threads):
    """A function from a photo's path to the texts that PP-OCRv6 small reads on it."""
    import rapidocr
    engine = rapidocr.RapidOCR(params={
        "Det.limit_side_len": 1600, "Det.limit_type": "max", "Det.box_thresh": 0.4, "Global.text_score": 0.0,
        "Global.log_level": "error", "EngineConfig.onnxruntime.intra_op_num_threads": threads})
    # without its classifier of upside-down lines, which turns lines of handwriting round
    return lambda path: engine(str(path), use_cls=False).txts or ()


# --- Time and memory --------------------------------------------------------------------------------------------

def large_photos(boards, folder):
    """[(row's beginning, path)] of JPEGs of 12 megapixels in `folder`: the TIMED boards to validate on whose transcribed
    words are nearest to 100, enlarged; of two as near the one with more."""
    counts = {path: sum(len(text.split()) for text in texts) for path, texts in true_texts(boards).items()}
    found = []
    for path in sorted(counts, key=lambda path: (abs(counts[path] - WORDS), -counts[path]))[:TIMED]:
        pixels = read_image(path)
        scale = (MEGAPIXELS / (pixels.shape[0] * pixels.shape[1])) ** 0.5
        large = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        Image.fromarray(large).save(folder / path.name, quality=92)
        found.append((f"| {path.name}, {large.shape[1]} x {large.shape[0]} px | {counts[path]} |", folder / path.name))
    return found


def times(boards, model_path, recogniser, threads, rounds, peers):
    programs = ["ours", "ours, finding only", "PP-OCRv6 small"] if peers else ["ours", "ours, finding only"]
    print("| photo | words | program | ms a photo | found |\n" + "| --- " * 5 + "|")
    with tempfile.TemporaryDirectory() as folder:
        for start, path in large_photos(boards, Path(folder)):
            for name in programs:
                command = [sys.executable, __file__, "one", "--program", name, "--photo", str(path), "--model_path",
                           str(model_path), "--words", str(recogniser), "--threads", str(threads), "--rounds", str(rounds)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                print(start, done.stdout.strip().splitlines()[-1][2:], flush=True)


def one(program, photo, model_path, recogniser, threads, rounds):
    """The row of one program, timed in this process."""
    if program == "PP-OCRv6 small":
        read = rapidocr_texts(threads)
    else:
        reader = load_reader(model_path, words=None if "finding" in program else recogniser, threads=threads)

        def read(path):
            return reader.read(path).words
    count, seconds = len(read(photo)), []
    for _ in range(rounds):
        started = time.perf_counter()
        read(photo)
        seconds.append(time.perf_counter() - started)
    print(f"| {program} | {1000 * statistics.median(seconds):.0f} | {count} |")


def memory(boards, count, model_path, recogniser, threads):
    reader = load_reader(model_path, words=recogniser, threads=threads)
    paths = sorted((boards / "photos").iterdir())
    print("| photos read | MB in use | MB at most so far |\n" + "| --- " * 3 + "|")
    for k in range(count):
        reader.read(paths[k % len(paths)])
        if (k + 1) % max(count // 10, 1) == 0:
            now = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2 ** 20
            print(f"| {k + 1} | {now:.0f} | {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("boxes", "ink", "words", "time", "memory", "one"), help="one: what time calls")
    parser.add_argument("--model_path", type=Path, required=True, help="page network")
    parser.add_argument("--words", type=Path, help="word recogniser")
    parser.add_argument("--iam_pages", type=Path)
    parser.add_argument("--boards", type=Path)
    parser.add_argument("--ink", type=Path)
    parser.add_argument("--peers", action="store_true", help="also PP-OCRv6 small")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--program", help=argparse.SUPPRESS)
    parser.add_argument("--photo", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.what != "one":
        print(f"{datetime.date.today()}, {os.cpu_count()} cores, {platform.machine()}, {args.threads} threads\n")
    folders = list(filter(None, (args.iam_pages, args.boards)))
    if args.what == "boxes":
        boxes(folders, args.model_path, args.threads, args.peers)
    elif args.what == "ink":
        ink(args.ink, args.model_path, args.threads)
    elif args.what == "words":
        words(folders, args.model_path, args.words, args.threads, args.peers)
    elif args.what == "time":
        times(args.boards, args.model_path, args.words, args.threads, args.rounds, args.peers)
    elif args.what == "memory":
        memory(args.boards, args.photos, args.model_path, args.words, args.threads)
    else:
        one(args.program, args.photo, args.model_path, args.words, args.threads, args.rounds)


if __name__ == "__main__":
    main()
