"""How soon does reading begin? Beside Tesseract, in one run.

    python benchmarks/start.py
    python benchmarks/start.py --environment .venv       # and how large an environment is

Rows, each in processes of their own, the median of --rounds:

* --help of every script;
* the 12 sample words by predict.py, from the command to the last row, for the very first time: nothing is compiled, and
  Python's and Numba's caches are empty;
* the same once more, as at every later start;
* the same words by Tesseract, if it is installed: one process for all of them, which reads their list, and one a word.
"""
import argparse
import datetime
import os
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


def seconds(command, environment=None):
    """How long a command takes, from its start to its end; it must succeed."""
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env={**os.environ, **(environment or {})}, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def median(rounds, command, environment=None):
    return statistics.median(seconds(command, environment) for _ in range(rounds))


def scripts():
    """The scripts at the top that take options."""
    return sorted(path for path in ROOT.glob("*.py") if "__main__" in path.read_text(encoding="utf8"))


def first_and_later(model, rounds):
    """(seconds of the very first start, the median of `rounds`; of later ones)."""
    read = [sys.executable, "predict.py", "--model_path", str(model), "--image_path", str(WORDS)]
    first, later = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as empty:
            caches = {"NUMBA_CACHE_DIR": f"{empty}/numba", "PYTHONPYCACHEPREFIX": f"{empty}/python"}
            first.append(seconds(read, caches))
            later.append(seconds(read, caches))
    return statistics.median(first), statistics.median(later)


def tesseract(rounds):
    """(seconds for the sample words' list in one process, for a process a word), or None where it is not installed."""
    if not shutil.which("tesseract"):
        return None
    words = sorted(str(path) for path in WORDS.glob("*.png"))
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder, "words.txt")
        listing.write_text("\n".join(words), encoding="utf8")
        together = median(rounds, ["tesseract", str(listing), "stdout", "--psm", "8"])
    apart = [seconds(["tesseract", word, "stdout", "--psm", "8"]) for word in words]
    return together, statistics.median(apart)


def megabytes(folder):
    """The size of a folder on disk, links not followed."""
    return sum(path.lstat().st_blocks for path in Path(folder).rglob("*")) * 512 / 1e6


def main(argv=None):
    args = parse_args(argv)
    processor = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    print(f"{datetime.date.today()}, {os.cpu_count()} cores of {processor}, Python {sys.version.split()[0]}, median of "
          f"{args.rounds} rounds; python {' '.join(sys.argv)}\n\n| | s |\n| --- | ---: |")
    for script in scripts():
        print(f"| {script.name} --help | {median(args.rounds, [sys.executable, script.name, '--help']):.2f} |", flush=True)
    first, later = first_and_later(args.model_path, args.rounds)
    print(f"| predict.py, {len(list(WORDS.glob('*.png')))} words, the very first time | {first:.2f} |")
    print(f"| predict.py, the same words, later | {later:.2f} |", flush=True)
    if times := tesseract(args.rounds):
        print(f"| Tesseract, the same words, one process | {times[0]:.2f} |\n| Tesseract, one word | {times[1]:.2f} |")
    if args.environment:
        print(f"\n{args.environment}: {megabytes(args.environment):,.0f} MB on disk")


if __name__ == "__main__":
    main()
