"""words/compiled.py: what is compiled is kept, and a cache that is damaged or cannot be written does no harm."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PROGRAM = """
from words.compiled import compiled
@compiled
def double(number):
    return 2 * number
print(double(21), sum(double.stats.cache_hits.values()))
"""


def run(folder, cache):
    """What the program says, kept as a file in `folder`: the result, and how often it was found compiled."""
    (folder / "program.py").write_text(PROGRAM)
    os.utime(folder / "program.py", (1, 1))
    done = subprocess.run([sys.executable, folder / "program.py"], env={"PYTHONPATH": str(ROOT), **cache}, check=True,
                          capture_output=True, text=True)
    return done.stdout.split()


def test_what_is_compiled_is_kept_where_the_variable_says(tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert [run(tmp_path, cache) for _ in range(2)] == [["42", "0"], ["42", "1"]]
    assert list((tmp_path / "cache").rglob("*.nbi")) and not list(tmp_path.glob("__pycache__"))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:len(content) // 2],
                                    lambda content: b"\x80\x04garbage" + content])
def test_a_damaged_file_is_thrown_away_and_made_anew(tmp_path, suffix, damage):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    run(tmp_path, cache)
    [file] = (tmp_path / "cache").rglob(f"*.{suffix}")
    file.write_bytes(damage(file.read_bytes()))
    assert [run(tmp_path, cache) for _ in range(2)] == [["42", "0"], ["42", "1"]]


def test_a_folder_that_cannot_be_written_to_is_done_without(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "__pycache__").touch()  # nor beside the source
    places = {"NUMBA_CACHE_DIR": str(tmp_path / "file" / "cache"), "HOME": "/proc", "XDG_CACHE_HOME": "/proc"}
    assert run(tmp_path, places) == run(tmp_path, places) == ["42", "0"]
