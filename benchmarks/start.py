"""How soon does reading begin? Beside Tesseract, in one run.

    python benchmarks/start.py
    python benchmarks/start.py --environment .venv       # and how large an environment is

Rows, each in processes of their own, the median of --rounds, by the clock and in seconds of processor time:

* --help of every script;
* the 12 sample words by predict.py, from the command to the last row, for the very first time: Numba's cache is empty;
* the same once more, as at every later start;
* the same words by Tesseract, if it is installed: one process for all of them, which reads their list, and one a word.
"""
import argparse
import datetime
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORDS = ROOT / "imgs" / "words"


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_path", default=ROOT / "models" / "iam", type=Path)
    parser.add_argument("--environment", type=Path, help="a folder whose size is told")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args(argv)


def processor_time():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seconds(command, environment=None):
    """How long a command takes, from its start to its end, (by the clock, of the processor); it must succeed."""
    began, used = time.perf_counter(), processor_time()
    subprocess.run(command, cwd=ROOT, env={**os.environ, **(environment or {})}, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return time.perf_counter() - began, processor_time() - used


def show(name, times):
    """A row of the table: the medians of pairs of `seconds`."""
    clock, processor = (statistics.median(column) for column in zip(*times))
    print(f"| {name} | {clock:.2f} | {processor:.2f} |", flush=True)


def scripts():
    """The scripts at the top that take options."""
    return sorted(path for path in ROOT.glob("*.py") if "\nif __name__ ==" in path.read_text(encoding="utf8"))


def first_and_later(model, rounds):
    """(`seconds` of each very first start, of each later one)."""
    read = [sys.executable, "predict.py", "--model_path", str(model), "--image_path", str(WORDS)]
    first, later = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as empty:
            first.append(seconds(read, {"NUMBA_CACHE_DIR": empty}))
            later.append(seconds(read, {"NUMBA_CACHE_DIR": empty}))
    return first, later


def tesseract(rounds):
    """(`seconds` for the sample words' list in one process, for a process a word)."""
    words = sorted(str(path) for path in WORDS.glob("*.png"))
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder, "words.txt")
        listing.write_text("\n".join(words), encoding="utf8")
        together = [seconds(["tesseract", str(listing), "stdout", "--psm", "8"]) for _ in range(rounds)]
    return together, [seconds(["tesseract", word, "stdout", "--psm", "8"]) for word in words]


def megabytes(folder):
    """The size of a folder on disk, links not followed."""
    return sum(path.lstat().st_blocks for path in Path(folder).rglob("*")) * 512 / 1e6


def main(argv=None):
    args = parse_args(argv)
    processor = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    print(f"{datetime.date.today()}, {os.cpu_count()} cores of {processor}, Python {sys.version.split()[0]}, median of "
          f"{args.rounds} rounds; python {' '.join(sys.argv)}\n\n| | s | CPU s |\n| --- | ---: | ---: |")
    for script in scripts():
        show(f"{script.name} --help", [seconds([sys.executable, script.name, "--help"]) for _ in range(args.rounds)])
    first, later = first_and_later(args.model_path, args.rounds)
    show(f"predict.py, {len(list(WORDS.glob('*.png')))} words, the very first time", first)
    show("predict.py, the same words, later", later)
    if shutil.which("tesseract"):
        together, apart = tesseract(args.rounds)
        show("Tesseract, the same words, one process", together)
        show("Tesseract, one word", apart)
    if args.environment:
        print(f"\n{args.environment}: {megabytes(args.environment):,.0f} MB on disk")


if __name__ == "__main__":
    main()
