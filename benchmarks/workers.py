"""Does a cluster read twice as fast with twice the processors? Photos a second by one reader here, and by a Ray cluster's.

    python benchmarks/workers.py imgs/photos --times 5           # each photo five times, by one reader and by two
    python benchmarks/workers.py photos --readers 4 --rounds 3

All readers have one thread and read as search.py does. One reads in this process; the others are processes of a cluster that
is started here and ends with the round. together: photos that end between the moment in which the last reader has begun and
the one in which the first has no more, over the seconds between; all: over the seconds from the start of the cluster to the
last result. CPU: seconds that a photo keeps a processor busy; beside: seconds that all else in the run does so, from the
start of the cluster to the last result, the loading of the networks among it. One and the cluster take turns; figures are
medians. As many cores as readers must be free.
"""
import contextlib
import datetime
import functools
import os
import platform
import shlex
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the scripts are no package: their folder, by hand
import cluster
import command
import photos
from command import UserError
from index.indexing import TEXTS
from words.lists import image_names


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("--times", type=command.whole(1), default=1, help="so often each photo is read (default 1)")
    parser.add_argument("--readers", type=command.whole(2), default=2, help="of the cluster (default 2)")
    parser.add_argument("--rounds", type=command.whole(1), default=3, help="(default 3)")
    args = parser.parse_args(argv)
    args.command = "python benchmarks/workers.py " + shlex.join(sys.argv[1:] if argv is None else argv)
    return args


class Timed:
    """Reads a photo: (process, when it began, when it ended, how long its processor was busy), seconds."""

    def __init__(self):
        self.reader = photos.load_reader("models/pages", words="models/notes", threads=1)
        self.reader.read("imgs/photos/brackets.jpg", top_paths=TEXTS, min_confidence=0)  # what the first photo needs more

    def __call__(self, path):
        began, busy = time.time(), time.process_time()
        self.reader.read(path, top_paths=TEXTS, min_confidence=0)
        return os.getpid(), began, time.time(), time.process_time() - busy


def alone(paths):
    """(photos a second of one reader in this process, seconds that a photo keeps its processor busy)."""
    read = _here()
    began = time.time()
    busy = [read(path)[-1] for path in paths]
    return len(paths) / (time.time() - began), statistics.mean(busy)


_here = functools.cache(Timed)


def by_cluster(paths, readers):
    """(photos a second while all readers work, and with the start of the cluster; seconds that a photo keeps a processor
    busy, and all else)."""
    began, results, busy = time.time(), [], processor_time()
    for result in cluster.results("local", Timed, paths, readers):
        results.append(result)
        if len(results) == len(paths):  # the cluster is still there
            ended, busy = time.time(), processor_time() - busy
    by_reader = {}
    for process, *times, _ in results:
        by_reader.setdefault(process, []).append(times)
    if len(by_reader) < readers:
        raise UserError(f"{len(by_reader)} of {readers} readers did all; take more photos, or --times")
    first = max(min(start for start, _ in times) for times in by_reader.values())
    last = min(max(end for _, end in times) for times in by_reader.values())
    together = sum(first < end <= last for _, _, end, _ in results)
    reading = [result[-1] for result in results]
    return (together / max(last - first, 1e-9), len(paths) / (ended - began), statistics.mean(reading),
            busy - sum(reading))


def processor_time():
    """Seconds that this process and all that came of it keep processors busy, or did."""
    parents, times = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            fields = path.read_text().rpartition(")")[2].split()  # from the third one of `man proc` on
            parents[int(path.parent.name)] = int(fields[1])
            times[int(path.parent.name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def is_ours(process):
        return process == os.getpid() or process in parents and is_ours(parents[process])

    return sum(seconds for process, seconds in times.items() if is_ours(process))


def main(argv=None):
    args = parse_args(argv)
    paths = [str(args.photos.absolute() / name) for name in image_names(args.photos)] * args.times
    if not paths:
        raise UserError(f"{args.photos}: no photo in it")
    print(f"{datetime.date.today().isoformat()}, {platform.machine()}, {os.cpu_count()} cores; load "
          f"{os.getloadavg()[0]:.1f}; Ray {cluster.ray.__version__}; {len(paths)} photos\n\n    {args.command}\n")
    measured = []
    for _ in range(args.rounds):
        measured.append((*alone(paths), *by_cluster(paths, args.readers)))
        print("one, CPU s; together, all, CPU s, beside:", *(f"{value:.2f}" for value in measured[-1]), file=sys.stderr)
    one, cpu, together, whole, cpu_there, beside = (statistics.median(column) for column in zip(*measured))
    print("| readers | photos/s together | times one | photos/s, all | times one | CPU s a photo | CPU s beside |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    print(f"| 1, in this process | {one:.2f} | 1 | {one:.2f} | 1 | {cpu:.2f} | |")
    print(f"| {args.readers}, of a Ray cluster | {together:.2f} | {together / one:.2f} | {whole:.2f} | {whole / one:.2f} | "
          f"{cpu_there:.2f} | {beside:.1f} |")


if __name__ == "__main__":
    command.run(main)
