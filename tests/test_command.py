"""command.py: options with ranges, slow modules, locks, files that appear whole."""
import subprocess
import sys
import time
from pathlib import Path

import pytest

import command
from command import UserError

ROOT = Path(__file__).parent.parent


def test_numbers_out_of_range_are_one_line():
    parser = command.Parser("")
    parser.add_argument("--threads", type=command.whole(1, 8))
    parser.add_argument("--share", type=command.number(0, 1))
    args = parser.parse_args(["--threads", "8", "--share", "0.5"])
    assert (args.threads, args.share) == (8, 0.5)
    for option, value in (("--threads", "0"), ("--threads", "9"), ("--threads", "two"), ("--threads", "1.5"),
                          ("--share", "nan"), ("--share", "1.01"), ("--share", "inf")):
        with pytest.raises(UserError, match=f"{option}: {value}: must be .* from"):
            parser.parse_args([option, value])


def test_a_slow_module_is_loaded_when_it_is_used(tmp_path):
    (tmp_path / "slow.py").write_text("print('loaded')\nvalue = 3\n")
    code = "import command; slow = command.later('slow'); print('options'); print(slow.value)"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": f"{ROOT}:{tmp_path}"}, capture_output=True, text=True)
    assert done.stdout.split() == ["options", "loaded", "3"], done.stderr


def test_a_second_run_in_a_folder_is_refused_and_a_killed_one_leaves_it(tmp_path):
    code = f"import command, time\nwith command.locked({str(tmp_path)!r}):\n print('in', flush=True)\n time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "in\n"
    with pytest.raises(UserError, match="another run"):
        with command.locked(tmp_path):
            pass
    other.kill()
    other.wait()
    time.sleep(0.1)
    with command.locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.csv"
    command.write_csv(path, [("a", "b")])

    def rows():
        yield "c", "d"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError):
        command.write_csv(path, rows())
    assert path.read_text() == "a,b\n" and list(tmp_path.iterdir()) == [path]


def test_what_is_there_is_not_replaced_unasked(tmp_path):
    picture = tmp_path / "a.png"
    command.new_picture(picture, overwrite=False)
    picture.symlink_to("nowhere")
    for overwrite in (False, True):
        if overwrite:
            command.new_picture(picture, overwrite)
        else:
            with pytest.raises(UserError, match="there already"):
                command.new_picture(picture, overwrite)
    with pytest.raises(UserError, match="name a picture"):
        command.new_picture(tmp_path / "a.txt", True)
