"""How does search grow? Size, time and memory at 1, 10, 50 million words, in SQLite's file and in PostgreSQL.

    python benchmarks/search.py --iam_pages iam_pages --boards boards --keep read.index    # real words
    python benchmarks/scale.py read.index --photos 20000 200000 1000000 --folder large --url postgresql://owner@/postgres
    python benchmarks/scale.py read.index --photos 20000 --copies 50 --folder large --url postgresql://owner@/postgres
    python benchmarks/scale.py read.index --folder large --draw docs/scale.png             # curves of what was measured

An index of 50 words a photo is made by benchmarks/index_scale.py, as a file in --folder, and copied by `search.py copy` into
a database beside the one that --url names; its owner must be allowed to make databases. With --copies, a database is made of
so many copies of that one by the server itself, where the disk has no room for a file as well, and measured instead. What is
there already is used. What is measured goes into a JSON file in --folder, with date and machine, and is printed.

bytes: on disk, with what searching keeps beside it. index: seconds to make the file, which is mostly to jitter, or to copy
it into the database. first: seconds from Python's start to a query's results in a process that finds nothing kept; start:
the same again. p50, p95: milliseconds of a query in an index opened as `search.py serve` does, --queries of them, asked one
after another, and by 16 threads at once, each of which asks again when it has its answer. CPU: milliseconds that a query
keeps the searching process busy, as a mean, asked one after another. memory: the highest of a process that searches, MB,
mapped files with it.
"""
import concurrent.futures
import datetime
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from index_scale import WORDS, make, make_queries
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the scripts are no package: their folder, by hand
import command
import index
from index import blocks

CLIENTS = 1, 16
COPY = """
WITH new AS (INSERT INTO photos (hash, width, height, orientation, error, words, posteriors)
             SELECT hash || %(k)s, width, height, orientation, error, words, posteriors FROM photos WHERE id <= %(last)s
             ORDER BY id RETURNING id, hash)
INSERT INTO files SELECT path || %(k)s, new.id, size, modified, files.orientation, taken
FROM files JOIN photos ON photos.id = photo JOIN new ON new.hash = photos.hash || %(k)s WHERE photo <= %(last)s"""
STORES = {"SQLite": "#1f77b4", "PostgreSQL": "#d62728"}
PANELS = {"bytes": "GB on disk", "index": "s to make (file), to copy (database)", "first": "s to results, nothing kept",
          "start": "s to results", "find": "ms a query: p50, p95 (dashed); 16 at once: thin", "memory": "MB of memory"}


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("real", help="an index of real words; with --measure, the one to measure")
    parser.add_argument("--folder", type=Path, required=True, help="for the large indexes and what is measured")
    parser.add_argument("--photos", type=command.whole(1), nargs="*", default=[], help=f"sizes, of {WORDS} words each")
    parser.add_argument("--url", help="a database in the server to measure")
    parser.add_argument("--copies", type=command.whole(2), metavar="N", help="measure a database of N copies of each photo")
    parser.add_argument("--queries", type=command.whole(1), default=200, help="(default 200)")
    parser.add_argument("--draw", type=Path, metavar="FILE", help="draw curves of all that was measured")
    parser.add_argument("--overwrite", action="store_true", help="replace the picture")
    parser.add_argument("--measure", action="store_true", help="measure queries in this process, print JSON")
    args = parser.parse_args(argv)
    command.new_picture(args.draw, args.overwrite)
    if args.copies and not args.url:
        raise command.UserError("--copies are made in a database; name one with --url")
    return args


# --- The indexes ------------------------------------------------------------------------------------------------

def make_file(real, folder, photos):
    """(an index in a file, the seconds that making it took); None for one that was there."""
    path = folder / f"{photos}.index"
    if path.exists():
        return path, None
    start = time.perf_counter()
    make(Path(real), path, photos, np.random.default_rng(0))
    return path, time.perf_counter() - start


def make_database(url, path, photos):
    """(the URL of a copy of an index, the seconds that copying took); None for one that was there."""
    copied, new = make_empty(url, f"scale_{photos}")
    start = time.perf_counter()
    if new:
        subprocess.run([sys.executable, ROOT / "search.py", "copy", path, copied], stdout=subprocess.DEVNULL, check=True)
    return copied, time.perf_counter() - start if new else None


def make_empty(url, name, template="template1"):
    """(the URL of a database beside another one, whether it is new and as `template`)."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict
    before, after = url.split("?")[0], "".join(url.partition("?")[1:])
    made = before.removesuffix(conninfo_to_dict(url)["dbname"]) + name + after
    with psycopg.connect(url, autocommit=True) as connection:
        there = connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None
        if not there:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return made, not there


def make_copies(url, photos, copies):
    """As `make_database`, of a database with so many copies of each photo of one that `make_database` made."""
    import psycopg
    made, new = make_empty(url, f"scale_{photos * copies}", f"scale_{photos}")
    start = time.perf_counter()
    if new:
        with psycopg.connect(made, autocommit=True) as connection:
            connection.execute("SET search_path = photo_index; SET synchronous_commit = off; DELETE FROM meta WHERE name = "
                               "'recent'; UPDATE meta SET value = gen_random_uuid() WHERE name = 'identity'")
            last, = connection.execute("SELECT max(id) FROM photos").fetchone()
            for k in tqdm(range(1, copies), "copies", file=sys.stderr):
                connection.execute(COPY, {"k": f"-{k}".encode(), "last": last})
            connection.execute("UPDATE meta SET value = CAST(value AS bigint) + 1 WHERE name = 'changes'; ANALYZE")
    return made, time.perf_counter() - start if new else None


# --- Measures ---------------------------------------------------------------------------------------------------

def measure(place, count):
    """A dict of what is measured in this process."""
    found = index.open(place, compiled=True)
    queries = make_queries(found, count * len(CLIENTS) + 1, np.random.default_rng(0))  # others each time: answers are kept
    found.find(queries.pop())

    def ask(query):
        start = time.perf_counter()
        found.find(query)
        return 1000 * (time.perf_counter() - start)

    times = {}
    for clients in CLIENTS:
        mine, queries = queries[:count], queries[count:]
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            list(pool.map(ask, ["first"] * 2 * clients))  # each thread's connection
            start = time.process_time()
            pauses = list(pool.map(ask, mine))
        times[str(clients)] = {"p50": np.median(pauses), "p95": np.percentile(pauses, 95),
                               "processor": 1000 * (time.process_time() - start) / count}
    kept = found.store.blocks
    size = found.store.size() + sum(path.stat().st_size for path in kept.glob("*") if kept.is_dir())
    return {"words": found.stats()["words"], "bytes": size, "find": times,
            "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def seconds_to_find(place):
    start = time.perf_counter()
    subprocess.run([sys.executable, ROOT / "search.py", "find", "budget", "--index", place], stdout=subprocess.DEVNULL,
                   check=True)
    return time.perf_counter() - start


def measure_all(place, made, queries):
    """All that is measured of an index."""
    shutil.rmtree(index.open_store(place).blocks, ignore_errors=True)
    first = seconds_to_find(place)
    if not index.is_url(place):
        blocks.keep(index.open_store(place))  # as indexing does; who searches a database does it at the first time
    start = seconds_to_find(place)
    done = subprocess.run([sys.executable, __file__, place, "--folder", ".", "--measure", "--queries", str(queries)],
                          stdout=subprocess.PIPE, check=True)
    return {"store": "PostgreSQL" if index.is_url(place) else "SQLite", "index": made, "first": first, "start": start,
            **json.loads(done.stdout)}


def row(result):
    times = result["find"]
    cells = [result["store"], f"{result['words']:,}", f"{result['bytes'] / 1e9:.2f}", f"{result['index'] or np.nan:.0f}",
             f"{result['first']:.1f}", f"{result['start']:.1f}", *(f"{times[str(clients)]['p50']:.0f} / "
             f"{times[str(clients)]['p95']:.0f}" for clients in CLIENTS), f"{times['1']['processor']:.0f}",
             f"{result['memory']:.0f}"]
    return f"| {' | '.join(cells)} |"


def draw(results, path):
    """Curves over the number of words, a panel for each measure."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(2, 3).flat, PANELS.items()):
        for store, colour in STORES.items():
            rows = sorted((each for each in results if each["store"] == store), key=lambda each: each["words"])
            words = [each["words"] / 1e6 for each in rows]
            if name == "find":
                for clients, width in zip(CLIENTS, (2, 0.8)):
                    for part, style in (("p50", "-"), ("p95", "--")):
                        axes.plot(words, [each["find"][str(clients)][part] for each in rows], style, color=colour, lw=width)
            else:
                scale = 1e-9 if name == "bytes" else 1
                axes.plot(words, [np.nan if each[name] is None else each[name] * scale for each in rows], "o-", color=colour,
                          label=store)
        axes.set(xscale="log", yscale="log", title=title, xlabel="million words")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
        axes.grid(alpha=0.3, which="both")
    figure.axes[0].legend()
    with command.written_whole(path) as beside:
        figure.savefig(beside, dpi=90)


def main(argv=None):
    args = parse_args(argv)
    if args.measure:
        return print(json.dumps(measure(args.real, args.queries)))
    args.folder.mkdir(parents=True, exist_ok=True)
    notes = args.folder / "scale.json"
    results = json.loads(notes.read_text()) if notes.exists() else []
    for photos in args.photos:
        path, made = make_file(args.real, args.folder, photos)
        places = [(str(path), made)] + ([make_database(args.url, path, photos)] if args.url else [])
        if args.copies:
            places, photos = [make_copies(args.url, photos, args.copies)], photos * args.copies
        for place, made in places:
            result = {**measure_all(place, made, args.queries), "photos": photos, "date": str(datetime.date.today()),
                      "machine": f"{os.cpu_count()} cores, {platform.machine()}"}
            before = [each for each in results if (each["store"], each["photos"]) == (result["store"], photos)]
            if result["index"] is None and before:  # it was made in an earlier run
                result["index"] = before[0]["index"]
            results = [each for each in results if each not in before] + [result]
            command.write_json(notes, results)
    print("| store | words | GB | s, index | s, first | s, start | ms, 1 client, p50 / p95 | 16 clients | CPU | MB |")
    print(f"|{' --- |' * 10}")
    for result in sorted(results, key=lambda each: (each["words"], each["store"])):
        print(row(result))
    if args.draw:
        draw(results, args.draw)


if __name__ == "__main__":
    command.run(main)
