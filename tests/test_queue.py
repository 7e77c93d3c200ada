"""benchmarks/queue.sh: a list of trainings, one after another; a script in train.py's place says what it was told."""
import os
import subprocess
from pathlib import Path

QUEUE = Path(__file__).parent.parent / "benchmarks" / "queue.sh"
TRAINING = """import sys
print(sys.argv[1:])
if "bad" in sys.argv:
    sys.exit(2)
"""


def run(folder, *lines):
    (folder / "training.py").write_text(TRAINING)
    (folder / "list.txt").write_text("\n".join(lines))
    done = subprocess.run([QUEUE, "list.txt", "logs"], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, "PYTHON": "python3"})
    logs = {path.stem: path.read_text() for path in sorted(folder.glob("logs/*.log"))}
    return done, logs


def test_trainings_run_once_each_and_broken_ones_go_on(tmp_path):
    (tmp_path / "out" / "c").mkdir(parents=True)
    (tmp_path / "out" / "c" / "resume.npz").touch()
    lines = ["# two words in quotes", "", "training.py --path 'my words' --model_name a --lr 1e-3",
             "training.py --model_name bad", "training.py --save_path out --model_name c"]
    done, logs = run(tmp_path, *lines)
    assert done.returncode == 1
    assert logs == {"a": "['--path', 'my words', '--model_name', 'a', '--lr', '1e-3']\n", "bad": "['--model_name', 'bad']\n",
                    "c": "['--save_path', 'out', '--model_name', 'c', '--resume']\n"}
    done, again = run(tmp_path, *lines, "training.py --model_name d")
    assert (done.returncode, again) == (0, {**logs, "d": "['--model_name', 'd']\n"})


def test_a_line_without_a_name_and_a_list_that_is_not_there_are_refused(tmp_path):
    done, logs = run(tmp_path, "training.py --lr 1")
    assert done.returncode == 2 and "no --model_name" in done.stderr and not logs
    done = subprocess.run([QUEUE, "none.txt", "logs"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "queue.sh: give a list" in done.stderr
