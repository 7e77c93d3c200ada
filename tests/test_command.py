"""command.py: options with ranges, slow modules, locks, files that appear whole."""
import os
import signal
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
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": f"{ROOT}:{tmp_path}"}, capture_output=True,
                          text=True)
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


def test_folders_are_made_together_or_not_at_all_and_what_stays_empty_goes(tmp_path):
    mine, file = tmp_path / "mine", tmp_path / "file"
    mine.mkdir()
    file.touch()
    for wrong in (file, file / "deeper"):
        with pytest.raises((UserError, NotADirectoryError)), command.new_folder(tmp_path / "a/b", tmp_path / "c", wrong):
            pass
        assert sorted(tmp_path.iterdir()) == [file, mine]
    with command.new_folder(tmp_path / "a/b", mine, tmp_path / "c/d"):
        (tmp_path / "c/kept").touch()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["c", "file", "kept", "mine"]


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


@pytest.mark.parametrize("error, said", [
    (UserError("no words;\n  give --path"), "no words; give --path"),
    (UserError("postgres://me:a /b@c@host/x?a=b&password=d&e=f: no"), "postgres://me@host/x?a=b&password=&e=f: no"),
    (UserError("postgres:/me:b@host: no"), "postgres:/me@host: no"),
    (UserError("http://localhost:8000/a: no"), "http://localhost:8000/a: no"),
    (OSError(28, "No space left on device", "out.csv"), "out.csv: No space left on device"),
    (FileExistsError(17, "File exists", "out"), "out: is no folder; name another")])
def test_run_turns_what_the_user_can_mend_into_status_2_and_one_line(error, said, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["somewhere/train.py"])

    def main():
        raise error

    with pytest.raises(SystemExit) as end:
        command.run(main)
    assert end.value.code == 2
    assert capsys.readouterr() == ("", f"train.py: {said}\n")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_script_that_is_stopped_ends_with_a_line(tmp_path, stop):
    code = ("import command, time\ndef main():\n with command.written_whole('a.csv') as beside:\n  beside.touch()\n"
            "  print('in', flush=True)\n  time.sleep(60)\ncommand.run(main)")
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "in\n"
    process.send_signal(stop)
    assert process.communicate(timeout=30) == ("", "-c: stopped\n") and process.returncode == 130
    assert not list(tmp_path.iterdir())


def test_run_lets_success_and_bugs_pass():
    assert command.run(lambda: None) is None
    with pytest.raises(ZeroDivisionError):
        command.run(lambda: 1 / 0)


def test_written_whole_replaces_at_the_end_only(tmp_path):
    path = tmp_path / "a.weights.h5"
    path.write_text("old")
    with command.written_whole(path) as beside:
        assert beside.parent == tmp_path and beside.name.endswith(".weights.h5") and beside != path
        beside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["a.weights.h5"]


def test_written_whole_keeps_the_old_content_and_leaves_nothing_when_it_fails(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), command.written_whole(path) as beside:
        beside.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.csv"]


def test_a_full_disk_is_told_with_the_files_name(tmp_path, capsys):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")

    def main():
        with command.written_whole(tmp_path / "a.txt"), open("/dev/full", "w") as file:
            file.write("text")

    with pytest.raises(SystemExit) as caught:
        command.run(main)
    assert caught.value.code == 2 and list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err.endswith(f": {tmp_path / 'a.txt'}: No space left on device\n")


def test_what_is_counted_is_said_as_one_or_many():
    assert [command.count(number, "word") for number in (0, 1, 2, 2000)] == ["0 words", "1 word", "2 words", "2,000 words"]
    assert [command.count(number, "batch", "batches") for number in (1, 3)] == ["1 batch", "3 batches"]
