"""How large and how fast is an index of a million words?

    python benchmarks/search.py --iam_pages iam_pages --boards boards --keep read.index    # real words
    python benchmarks/index_scale.py read.index                                            # 20,000 photos of 50 words
    python benchmarks/index_scale.py read.index --photos 200000 --keep large.index         # ten million
    python benchmarks/index_scale.py read.index --keep many/search.index --links           # for benchmarks/serving.py

Photos are made of stretches of real ones, their posteriors jittered: each probability p of a step becomes p ** f * exp(g),
f from 0.8 to 1.2, g normal with a standard deviation of 0.5, so that no two words are the same.

Measured, in processes of their own: bytes of the index; seconds from Python's start to the first results; the time a query
takes in an index that is open, over --queries of one to three words that were read somewhere, one in four a prefix, one in
eight a phrase; the process's memory at its highest; how many of the 20 best photos of a full scan are found.
"""
import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the scripts are no package: their folder, by hand
import command
from index import blocks, open_store
from index.blocks import unpack_photo
from index.finding import Index
from index.folding import fold
from index.posteriors import LEVELS
from index.store import packed

WORDS = 50  # a photo
BATCH = 200  # photos written together


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("real", type=Path, help="an index of real words")
    parser.add_argument("--photos", type=command.whole(1), default=20000, help="of 50 words each (default 20000)")
    parser.add_argument("--queries", type=command.whole(1), default=200, help="(default 200)")
    parser.add_argument("--scans", type=command.whole(0), default=20, help="queries compared with full scans (default 20)")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep the large index; use it if it is there")
    parser.add_argument("--links", action="store_true", help="link the real photos beside it, for benchmarks/serving.py")
    parser.add_argument("--measure", action="store_true", help="REAL is the large index: measure queries, print JSON")
    return parser.parse_args(argv)


# --- The index --------------------------------------------------------------------------------------------------

def load_page(joined):
    """(line, length of each word, their bytes, the places of the levels in these, the word of each) of a photo's words in an
    index: arrays."""
    lines, lengths, data = unpack_photo(joined)
    places, ends = [], np.cumsum(lengths, dtype=np.int64)
    k = 0
    while k < len(data):
        pairs = data[k] if data[k] < 128 else 0
        places += range(k + 2, k + 2 + 2 * pairs, 2)
        k += 1 + 2 * pairs
    return lines, lengths, np.frombuffer(data, np.uint8), np.array(places), np.searchsorted(ends, places, side="right")


def jittered(page, first, rng):
    """The bytes of WORDS words of a page, from `first` on, with levels changed."""
    lines, lengths, data, places, words = page
    part = slice(first, first + WORDS)
    data, (start, end) = data.copy(), np.searchsorted(words, (first, first + WORDS))
    places, words = places[start:end], words[start:end]
    levels = data[places] * rng.uniform(0.8, 1.2, len(lines))[words] + LEVELS * rng.normal(0, 0.5, len(places))
    data[places] = np.clip(np.round(levels), 0, 255)
    ends = np.append(0, np.cumsum(lengths, dtype=np.int64))
    head = np.concatenate([[len(lines[part])], lines[part], lengths[part]]).astype("<u2")
    return head.tobytes() + data[ends[part][0]:ends[min(first + WORDS, len(lines))]].tobytes()


def make(real, path, photos, rng, links=False):
    """An index of so many photos; with `links`, beside it a link for each to the real photo that it was made of."""
    source, store = open_store(real), open_store(path, create=True)
    store.learn(source.letters)
    store._all("PRAGMA synchronous = OFF")  # after a power cut it is made anew
    pages = [(source.photo(number), source.words(number), load_page(joined)) for number, joined in source.posteriors()]
    pages = [page for page in pages if page[0] and page[1]]
    sizes = np.array([len(words) for _, words, _ in pages])
    entries = functools.cache(lambda which, first: packed(pages[which][1][first:first + WORDS]))
    for begin in tqdm(range(0, photos, BATCH), "photos", unit=f" {BATCH} photos"):
        rows, files = [], []
        for photo in range(begin, min(begin + BATCH, photos)):
            which = rng.choice(len(pages), p=sizes / sizes.sum())
            known, words, page = pages[which]
            first = int(rng.integers(max(1, len(words) - WORDS + 1)))
            name, orientation, _ = known["files"][0]
            content, file = photo.to_bytes(8, "big"), b"%06d.jpg" % photo
            rows.append((content, *(known[fact] for fact in ("width", "height", "orientation", "error")),
                         entries(which, first), jittered(page, first, rng)))
            files.append((file, content, 0, 0, orientation, None))
            if links:
                os.symlink(source.file(name), os.path.join(os.fsencode(path.absolute().parent), file))
        store.add_copies(rows, files)
    blocks.keep(store)
    source.close()
    store.close()


# --- Measures ---------------------------------------------------------------------------------------------------

def make_queries(index, count, rng):
    numbers = [number for number, _ in index.store.photos()]
    queries = []
    while len(queries) < count:
        words = index.page(int(rng.choice(numbers)))
        first, length = rng.integers(len(words)), rng.integers(1, 4)
        chosen = [fold(word.text) for word in words[first:first + length]]
        if all(len(word) >= 3 for word in chosen):
            kind = len(queries) % 8
            queries.append(f"{chosen[0][:4]}*" if kind in (0, 4) else f'"{" ".join(chosen)}"' if kind == 2 else
                           " ".join(chosen))
    return queries


def measure(path, count, scans):
    """A dict of what is measured on an index in this process."""
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    index = Index(open_store(path))
    index.find("the")
    opened = time.perf_counter() - start
    queries = make_queries(index, count, rng)
    pauses = []
    for query in queries:
        start = time.perf_counter()
        index.find(query)
        pauses.append(time.perf_counter() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    shares = []
    for query in [query for query in queries if query.isalpha()][:scans]:
        full = index.scores(query, full_scan=True)
        best = sorted(full, key=full.get, reverse=True)
        found = [full[result.photo] for result in index.find(query, limit=20)]
        shares.append(np.mean([score >= full[best[:20][-1]] for score in found]))  # photos with the same score are as good
    return {"words": index.stats()["words"], "open and first find, s": opened, "find p50, ms": 1000 * np.median(pauses),
            "find p95, ms": 1000 * np.percentile(pauses, 95), "memory, MB": memory,
            "of the 20 best found": np.mean(shares or 1)}


def main(argv=None):
    args = parse_args(argv)
    if args.measure:
        return print(json.dumps(measure(args.real, args.queries, args.scans)))
    with tempfile.TemporaryDirectory() as folder:
        path = args.keep or Path(folder, "large.index")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            make(args.real, path, args.photos, np.random.default_rng(0), args.links)
        arrays = sum(part.stat().st_size for part in Path(f"{path}-blocks").iterdir())
        print(f"index, MB: {path.stat().st_size / 1e6:.0f}, and its words as arrays: {arrays / 1e6:.0f}")
        for name, script in (("cold or warm", "search.py"), ("again", "search.py")):
            start = time.perf_counter()
            subprocess.run([sys.executable, ROOT / script, "find", "budget", "--index", path], stdout=subprocess.DEVNULL,
                           check=True)
            print(f"python search.py find, {name}, s: {time.perf_counter() - start:.2f}")
        done = subprocess.run([sys.executable, __file__, path, "--measure", "--queries", str(args.queries), "--scans",
                               str(args.scans)], stdout=subprocess.PIPE, check=True)
        for name, value in json.loads(done.stdout).items():
            print(f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value:,}")


if __name__ == "__main__":
    command.run(main)
