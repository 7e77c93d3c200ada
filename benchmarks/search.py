"""How well are photos found? Mean average precision and recall of search.py's index, beside searches in what was read.

    python benchmarks/search.py --iam_pages iam_pages --boards boards                        # true boxes, models/notes
    python benchmarks/search.py --iam_pages iam_pages --boards boards --keep read.index      # keep what was read, or use it
    python benchmarks/search.py --iam_pages iam_pages --boards boards --index all.index      # made by search.py, see below
    python benchmarks/search.py --iam_pages iam_pages --boards boards --ppocr ppocr.json     # and PP-OCRv6: rapidocr 3.10

The collection: IAM's valid pages, and the boards of the valid and train parts. The queries: every word of three and more
characters, one a letter at least, of the valid parts. A photo is right if the word is on it, as its labels say; photos with
the word in a line that the labels ignore are left out for that query. A system ranks the photos that it finds:

    1-best      photos with the query in the likeliest text of a word, first those where it is a whole word, by confidence
    trigrams    SQLite's FTS5 with trigrams over the five likeliest texts of all words, by its bm25
    index       what search.py does
    PP-OCRv6    1-best over the lines that RapidOCR's PP-OCRv6 finds and reads, by itself

With --index the photos, known by their names, are those of an index that may have others too, from end to end:
`python search.py index iam_pages --index all.index; python search.py index boards/photos --index all.index`.

False alarms: how many photos are found on average for 200 English words that are on none.
"""
import collections
import contextlib
import csv
import json
import re
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the scripts are no package: their folder, by hand
import command
from index import open_store
from index.entries import Entries
from index.finding import Index
from index.folding import fold
from index.hits import SHIFT, SLOPE
from photos.cutting import cut
from photos.page import Word
from words.image_files import read_image
from words.images import grey_of, prepare
from words.lexicon import read_counts
from words.reader import load_reader

TEXTS = 5  # the likeliest texts of a word that are kept
NOWHERE = 200  # words that are on no photo
Photo = collections.namedtuple("Photo", "split words ignored boxes")  # words: set of folded; boxes: (polygon, line)


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("--iam_pages", type=Path, required=True, metavar="DIR", help="folder with boxes.tsv and IAM's pages")
    parser.add_argument("--boards", type=Path, required=True, metavar="DIR", help="folder of lines.json, words.tsv, photos")
    parser.add_argument("--words", default="models/notes", help="model that reads the boxes (default models/notes)")
    parser.add_argument("--index", type=Path, metavar="FILE", help="an index of these photos, in place of their true boxes")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep the index of the true boxes; use it if it is there")
    parser.add_argument("--ppocr", type=Path, metavar="JSON", help="also PP-OCRv6, whose texts are kept in this file")
    return parser.parse_args(argv)


# --- The collection ---------------------------------------------------------------------------------------------

def load_photos(iam_pages, boards):
    """{path: Photo} of the collection."""
    photos = {}
    for row in read_tsv(iam_pages / "boxes.tsv"):
        if row["split"] == "valid":
            photo = photos.setdefault(iam_pages / row["page"], Photo("valid", set(), set(), []))
            (photo.ignored if row["segmentation"] == "err" else photo.words).update(fold(row["text"]).split())
            x, y, width, height = (float(row[name]) for name in "xywh")
            if row["segmentation"] != "err":
                photo.boxes.append(([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], 0))
    for entry in json.loads((boards / "lines.json").read_text(encoding="utf8")):
        photo = photos[boards / "photos" / entry["file"]] = Photo(entry["split"], set(), set(), [])
        for line in entry["lines"]:
            (photo.ignored if line["ignore"] else photo.words).update(fold(line["text"]).split())
        photo.words.update(*(fold(text).split() for text in entry["extra"]))
    for row in read_tsv(boards / "words.tsv"):
        corners = [[float(row[f"x{k}"]), float(row[f"y{k}"])] for k in range(1, 5)]
        photos[boards / "photos" / row["file"]].boxes.append((corners, int(row["line"])))
    return photos


def words_of(photos):
    """The words of photos that are worth a query, a set."""
    return {word for photo in photos for word in photo.words if len(word) >= 3 and re.search("[a-z]", word)}


def read_tsv(path):
    with open(path, encoding="utf8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def read_boxes(store, photos, reader):
    """Put what is read in the true boxes into an index."""
    entries = Entries(store, reader.alphabet.characters)
    for path, photo in tqdm(photos.items(), "photos", unit="photo"):
        pixels = grey_of(read_image(path))
        places, images = [], []
        for polygon, line in photo.boxes:
            word, _ = cut(pixels, polygon)
            if word is not None:
                places.append((polygon, line))
                images.append(prepare(word, reader.size))
        words = [Word(polygon, reading.text, reading.confidence, reading.alternatives, line, 0, reading.log_probabilities)
                 for (polygon, line), reading in zip(places, reader.read_prepared(np.stack(images), TEXTS))]
        content = {"hash": bytes(path), "width": pixels.shape[1], "height": pixels.shape[0], "orientation": 1, "error": ""}
        number = store.add(content, *entries.of(words))
        store.put_file(store.name(bytes(path.absolute())), number, 0, 0, 1, None)


@contextlib.contextmanager
def open_index(path, keep, words, photos):
    """The Index to measure: the one at `path`, or without one a new index of boxes, read by the model `words`, at `keep`."""
    with tempfile.TemporaryDirectory() as folder:
        made = path or keep or Path(folder, "read.index")
        if not made.exists() and not path:
            reader = load_reader(words)
            store = open_store(made, create=True)
            read_boxes(store, photos, reader)
            store.close()
        yield Index(open_store(made))


# --- The systems ------------------------------------------------------------------------------------------------

class BestText:
    """Photos with the query in a text; texts: {path: (text, confidence) of each word or line}."""

    def __init__(self, texts):
        self.texts = {path: [(fold(text), confidence) for text, confidence in words] for path, words in texts.items()}

    def find(self, query):
        scores = {}
        for path, words in self.texts.items():
            found = [(query in text.split(), confidence) for text, confidence in words if query in text]
            if found:
                scores[path] = max(found)
        return scores


class Trigrams:
    """SQLite's FTS5 over the likeliest texts; texts: {path: text}."""

    def __init__(self, texts):
        self.db, self.paths = sqlite3.connect(":memory:"), list(texts)
        self.db.execute("CREATE VIRTUAL TABLE texts USING fts5(text, tokenize = 'trigram')")
        self.db.executemany("INSERT INTO texts (rowid, text) VALUES (?, ?)", enumerate(texts.values()))

    def find(self, query):
        rows = self.db.execute("SELECT rowid, -bm25(texts) FROM texts WHERE texts MATCH ?", (f'"{query}"',))
        return {self.paths[number]: score for number, score in rows}


class Ours:
    """The index; paths: {number: path} of the photos of the collection."""

    def __init__(self, index, paths):
        self.index, self.paths = index, paths

    def find(self, query):
        return {self.paths[number]: score for number, score in self.index.scores(query).items() if number in self.paths}


def systems_of(index, photos):
    """The systems that search what an index knows of the photos."""
    names, paths, best, all_texts = {path.name: path for path in photos}, {}, {}, {}
    for number, _ in index.store.photos():
        path, words = names.get(Path(index.photo(number).file).name), index.page(number)
        if path is None:
            continue
        paths[number] = path
        best[path] = [(word.text, word.confidence) for word in words]
        all_texts[path] = "\n".join(fold(text) for word in words for text, _ in word.alternatives)
    return {"1-best": BestText(best), "trigrams": Trigrams(all_texts), "index": Ours(index, paths)}


PPOCR = {"Det.limit_side_len": 1600, "Det.limit_type": "max", "Det.box_thresh": 0.4, "Global.text_score": 0.0,
         "Global.log_level": "error"}  # as benchmarks/pages.py has it


def read_ppocr(path, photos):
    """{path: (text, confidence) of each line} as RapidOCR reads the photos, kept in a JSON file."""
    if not path.exists():
        import rapidocr
        engine = rapidocr.RapidOCR(params=PPOCR)
        texts = {}
        for photo in tqdm(photos, "PP-OCRv6", unit="photo"):
            found = engine(str(photo), use_cls=False)
            texts[photo.name] = list(zip(found.txts or (), map(float, found.scores or ())))
        command.write_json(path, texts)
    texts = json.loads(path.read_text(encoding="utf8"))
    return {photo: texts[photo.name] for photo in photos}


# --- Scores -----------------------------------------------------------------------------------------------------

def average_precision(ranked, right):
    """Average precision and recall at 1, 5 and 10 (of what can be in so many places) of a ranking.

    ranked: of each photo, the best first, whether it is right; right: how many are, found or not.
    """
    hits = np.cumsum(ranked)
    precision = sum(hit / place for place, (hit, found) in enumerate(zip(hits, ranked), 1) if found) / right
    return precision, *(sum(ranked[:k]) / min(k, right) for k in (1, 5, 10))


def measure(system, photos, queries, nowhere):
    """(mAP, recall at 1, 5, 10, photos found of `nowhere`, ms a query) of a system."""
    scores, start = [], time.perf_counter()
    for query in queries:
        found = system.find(query)
        ranked = [query in photos[path].words for path in sorted(found, key=found.get, reverse=True)
                  if query in photos[path].words or query not in photos[path].ignored]
        scores.append(average_precision(ranked, sum(query in photo.words for photo in photos.values())))
    pause = 1000 * (time.perf_counter() - start) / len(queries)
    return *np.mean(scores, axis=0), [list(system.find(query).values()) for query in nowhere], pause


def shortcut(index, queries, limit=20):
    """How many of the best photos of a full scan `find` has too, on average over the queries that have any."""
    shares = []
    for query in queries:
        full = index.scores(query, full_scan=True)
        best = sorted(full, key=full.get, reverse=True)[:limit]
        if best:
            found = {result.photo for result in index.find(query, limit=limit)}
            shares.append(np.mean([photo in found for photo in best]))
    return np.mean(shares)


def scan_time(index, queries):
    """Microseconds that a word takes in a full scan for a query of 6 letters: the median of several."""
    pauses = []
    for query in [query for query in queries if len(query) == 6][:30]:
        start = time.perf_counter()
        index.scores(query, full_scan=True)
        pauses.append(time.perf_counter() - start)
    return 1e6 * np.median(pauses) / index.stats()["words"]


def judged(ours, photos, queries):
    """(score, whether it is right) of each photo that is found, float64 [n] and bool [n]."""
    rows = [(score, query in photos[path].words) for query in queries for path, score in ours.find(query).items()
            if path in photos and (query in photos[path].words or query not in photos[path].ignored)]
    scores, right = zip(*rows)
    return np.clip(scores, 1e-9, 1 - 1e-9), np.array(right)


def fit_calibration(scores, right):
    """(SHIFT, SLOPE) for `index.hits.calibrated`: the line of the log-odds by CTC with the least cross-entropy, over
    probabilities of a millionth and more."""
    odds = (np.log(scores / (1 - scores)) - SHIFT) / SLOPE
    odds, right = odds[odds > np.log(1e-6)], right[odds > np.log(1e-6)]
    inputs, line = np.stack([np.ones(len(odds)), odds]), np.zeros(2)
    for _ in range(30):  # Newton's method
        chances = 1 / (1 + np.exp(-line @ inputs))
        line += np.linalg.solve(inputs * chances * (1 - chances) @ inputs.T, inputs @ (right - chances))
    return line


def show_calibration(scores, right):
    print("\nscore        photos   right")
    for low, high in ((0.9, 1.01), (0.7, 0.9), (0.5, 0.7), (0.3, 0.5), (0.1, 0.3), (0.03, 0.1), (0, 0.03)):
        inside = (low <= scores) & (scores < high)
        print(f"{low:4.2f}-{min(high, 1):4.2f}  {inside.sum():9,}   {right[inside].mean() if inside.any() else 0:.3f}")


def main(argv=None):
    args = parse_args(argv)
    photos = load_photos(args.iam_pages.absolute(), args.boards.absolute())
    queries = sorted(words_of(photo for photo in photos.values() if photo.split == "valid"))
    there = set().union(*(photo.words | photo.ignored for photo in photos.values()))
    english = [word for word in read_counts("lexicons/en.txt")[0]
               if len(word) >= 3 and fold(word) == word and word not in there]
    nowhere = np.random.default_rng(0).choice(english, NOWHERE, replace=False).tolist()
    with open_index(args.index, args.keep, args.words, photos) as index:
        print(f"{len(photos):,} photos, {index.stats()['words']:,} words, {len(queries):,} queries")
        systems = systems_of(index, photos)
        print(f"{len(systems['index'].paths):,} of the photos are in the index")
        if args.ppocr:
            systems["PP-OCRv6"] = BestText(read_ppocr(args.ppocr, photos))
        print(f"\n{'':<10}     mAP     R@1     R@5    R@10 ms/query     found of what is nowhere: all, score 0.5 and more")
        for name, system in systems.items():
            *scores, false, pause = measure(system, photos, queries, nowhere)
            sure = np.mean([sum(score >= 0.5 for score in found) for found in false]) if name == "index" else None
            print(f"{name:<10}" + "".join(f"{score:8.4f}" for score in scores) + f"{pause:9.1f}"
                  f"{np.mean([len(found) for found in false]):12.2f}" + (f"{sure:8.3f}" if sure is not None else ""))
        print(f"\nof the 20 best photos of a full scan, find has {shortcut(index, queries[::10]):.4f}")
        print(f"a full scan takes {scan_time(index, queries):.2f} us a word and query of 6 letters")
        valid = sorted(path for path, photo in photos.items() if photo.split == "valid")  # the models have learnt the others
        fitted, shown = ({path: photos[path] for path in half} for half in (valid[::2], valid[1::2]))
        shift, slope = fit_calibration(*judged(systems["index"], fitted, queries))
        print(f"by every second valid photo, SHIFT should be {shift:.2f} and SLOPE {slope:.2f}; scores on the others:")
        show_calibration(*judged(systems["index"], shown, queries))


if __name__ == "__main__":
    command.run(main)
