"""How long does the search page take, when eight ask at once?

    python search.py index photos
    python benchmarks/serving.py --index photos/search.index
    python benchmarks/serving.py --index many/search.index    # 20,000 photos: see index_scale.py --links

Starts `search.py serve` on the index, and --clients threads ask it for one page after another on connections that stay open,
as browsers do: for each kind of page --requests in all, by queries of one or two words that were read on the photos, drawn
by --random_state. A page is the HTML alone; pictures are timed by themselves, for the first time and again. Times are from
asking to the last byte, so that waiting for the other clients counts.
"""
import concurrent.futures
import datetime
import html
import http.client
import itertools
import os
import platform
import random
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the scripts are no package: their folder, by hand
import command
import index
from command import UserError


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("--index", type=Path, required=True, metavar="FILE", help="an index that search.py made")
    parser.add_argument("--clients", type=command.whole(1, 100), default=8, help="who ask at once (default 8)")
    parser.add_argument("--requests", type=command.whole(1), default=400, help="pages of each kind (default 400)")
    parser.add_argument("--random_state", type=int, default=0, help="seed (default 0)")
    args = parser.parse_args(argv)
    args.command = "python benchmarks/serving.py " + shlex.join(sys.argv[1:] if argv is None else argv)
    return args


def draw_queries(found, count, rng):
    """`count` queries of one or two words that stand on the photos."""
    photos = [number for number, _ in found.store.photos()]
    texts = (word.text.lower() for number in rng.sample(photos, min(len(photos), 200)) for word in found.page(number))
    words = sorted({text for text in texts if re.fullmatch("[a-z]{3,}", text)})
    if not words:
        raise UserError("no words of three letters in the index; index more photos")
    return [" ".join(rng.choices(words, k=rng.randint(1, 2))) for _ in range(count)]


def serve(path):
    """`search.py serve` in a process of its own, ready: (process, port)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(__file__).resolve().parent.parent / "search.py"
    served = [sys.executable, script, "serve", "--index", path, "--port", str(port)]
    process = subprocess.Popen(served, stdout=subprocess.PIPE)
    if not process.stdout.readline():
        raise UserError("search.py serve did not start; its error is above")
    return process, port


class Clients:
    """Threads that ask a server for addresses; each keeps its connection."""

    def __init__(self, port, count):
        self._port, self._local, self._count = port, threading.local(), count

    def ask(self, address):
        """(seconds, body) of one address."""
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        began = time.perf_counter()
        self._local.connection.request("GET", address)
        answer = self._local.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise UserError(f"{address}: status {answer.status}")
        return time.perf_counter() - began, body

    def ask_all(self, addresses):
        """The seconds of each address, float [n], its body, and the seconds of all together."""
        began = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(self._count) as pool:
            seconds, bodies = zip(*pool.map(self.ask, addresses))
        return np.array(seconds), bodies, time.perf_counter() - began


def row(name, seconds, together):
    p50, p95, slowest = 1000 * np.percentile(seconds, (50, 95, 100))
    print(f"| {name} | {len(seconds)} | {p50:.0f} | {p95:.0f} | {slowest:.0f} | {len(seconds) / together:.0f} |", flush=True)


def measure(clients, queries):
    """Print a row a kind of page."""
    coded = [urllib.parse.urlencode({"q": query}) for query in queries]
    clients.ask_all([f"/?{query}" for query in coded[:20]])  # warm
    pages = {}
    for name, path in (("results page", "/"), ("results as one types", "/results")):
        seconds, pages[name], together = clients.ask_all([f"{path}?{query}" for query in coded])
        row(name, seconds, together)
    bodies = [html.unescape(body.decode()) for body in pages["results page"]]
    best, small, pieces = ([re.findall(pattern, body) for body in bodies] for pattern in (
        r'class="card"[^>]* href="([^"]+)"', r'href="(/photo/\d+/small[^"]+)"', r'src="(/photo/\d+/piece[^"]+)"'))
    small, pieces = (list(dict.fromkeys(itertools.chain(*addresses)))[:len(coded)] for addresses in (small, pieces))
    for name, addresses in (("a photo's page", [links[0] for links in best if links]), ("small photo, first time", small),
                            ("the same again", small), ("cut-out, first time", pieces)):
        if addresses:  # none where nothing was found or the photos are gone
            seconds, _, together = clients.ask_all(addresses)
            row(name, seconds, together)


def main():
    args = parse_args()
    found = index.open(args.index)
    queries = draw_queries(found, args.requests, random.Random(args.random_state))
    stats = found.stats()
    process, port = serve(args.index)
    try:
        print(f"{datetime.date.today()}, {os.cpu_count()} cores of {platform.processor() or platform.machine()}, "
              f"Python {platform.python_version()}\n{args.command}\n{stats['photos']:,} photos, {stats['words']:,} words; "
              f"{args.clients} clients at once\n\n| what | asked | p50, ms | p95, ms | slowest, ms | a second |\n"
              "| --- | ---: | ---: | ---: | ---: | ---: |")
        measure(Clients(port, args.clients), queries)
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    command.run(main)
