"""How large and how fast is an index of a million words?

    python benchmarks/search.py --iam_pages iam_pages --boards boards --keep read.index    # real words
    python benchmarks/index_scale.py read.index                                            # 20,000 photos of 50 words
    python benchmarks/index_scale.py read.index --photos 200000 --keep large.index         # ten million

Photos are made of stretches of real ones, their posteriors jittered: each probability p of a step becomes p ** f * exp(g),
f from 0.8 to 1.2, g normal with a standard deviation of 0.5, so that no two words are the same.

Measured, in processes of their own: bytes of the index; seconds from Python's start to the first results; the time a query
takes in an index that is open, over --queries of one to three words that were read somewhere, one in four a prefix, one in
eight a phrase; the process's memory at its highest; how many of the 20 best photos of a full scan are found.
"""
import json
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
from index import open_store
from index.finding import Index
from index.folding import fold
from index.posteriors import LEVELS
from words.compiled import compiled

WORDS = 50  # a photo


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("real", type=Path, help="an index of real words")
    parser.add_argument("--photos", type=command.whole(1), default=20000, help="of 50 words each (default 20000)")
    parser.add_argument("--queries", type=command.whole(1), default=200, help="(default 200)")
    parser.add_argument("--scans", type=command.whole(0), default=20, help="queries compared with full scans (default 20)")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep the large index; use it if it is there")
    parser.add_argument("--measure", action="store_true", help="REAL is the large index: measure queries, print JSON")
    return parser.parse_args(argv)


# --- The index --------------------------------------------------------------------------------------------------

@compiled
def jitter(data, lengths, power, noise):
    """Change the levels of packed posteriors, uint8 [bytes], of words with these lengths; power: float64 [words]."""
    k = 0
    for word in range(len(lengths)):
        end = k + lengths[word]
        while k < end:
            pairs = data[k] if data[k] < 128 else 0
            for p in range(k + 2, k + 2 + 2 * pairs, 2):
                data[p] = min(255, max(0, round(data[p] * power[word] + noise[p])))
            k += 1 + 2 * pairs


def split(joined):
    """(lines, lengths, posteriors), uint16 [n], uint16 [n] and uint8 [bytes], of what `index.scanning.join` gave."""
    count = int(np.frombuffer(joined, "<u2", 1)[0])
    lines, lengths = np.frombuffer(joined, "<u2", 2 * count, 2).reshape(2, count)
    return lines, lengths, np.frombuffer(joined, np.uint8, offset=2 + 4 * count)


def make(real, path, photos, rng):
    """An index of so many photos."""
    source, store = open_store(real), open_store(path, create=True)
    store.learn(source.letters)
    pages = [(source.words(number), split(joined)) for number, joined in source.posteriors()]
    pages = [page for page in pages if page[0]]
    sizes = np.array([len(words) for words, _ in pages])
    for photo in tqdm(range(photos), "photos", unit="photo"):
        words, (lines, lengths, data) = pages[rng.choice(len(pages), p=sizes / sizes.sum())]
        first = rng.integers(max(1, len(words) - WORDS + 1))
        part = slice(first, first + WORDS)
        ends = np.append(0, np.cumsum(lengths, dtype=np.int64))
        data = data[ends[part][0]:ends[min(first + WORDS, len(words))]].copy()
        jitter(data, lengths[part], rng.uniform(0.8, 1.2, len(lengths[part])), LEVELS * rng.normal(0, 0.5, len(data)))
        joined = np.concatenate([[len(lengths[part])], lines[part], lengths[part]]).astype("<u2").tobytes() + data.tobytes()
        content = {"hash": photo.to_bytes(8, "big"), "width": 1000, "height": 1000, "orientation": 1, "error": ""}
        number = store.add(content, words[part], joined)
        store.put_file(b"%06d.jpg" % photo, number, 0, 0, 1, None)
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
        if not path.exists():
            make(args.real, path, args.photos, np.random.default_rng(0))
        print(f"index, MB: {path.stat().st_size / 1e6:.0f}")
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
