"""fitting/recipe.py and fitting/state.py: options, the folder of a training, and the state to go on from; without Keras."""
import importlib
import importlib.util
import json
import runpy
import subprocess
import sys
import types
import unittest.mock
from pathlib import Path

import numpy as np
import pytest

import command
from command import UserError
from fitting import recipe, state
from words.models import WEIGHTS

ROOT = Path(__file__).parent.parent
FACTS = {"batch": 3, "history": [{"model": "m", "batch": 2, "loss": float("nan"), "val_loss": 1.5}], "best": float("inf"),
         "recent": [0.5], "since_validation": [0.5, 0.25], "stopped_early": False, "seconds": 1.5, "settings": {"a": 1},
         "unreadable": {"7": "no such file"}}


DAMAGED = "damaged, or of another version; --overwrite starts the training afresh"


def options(*argv):
    parser = command.Parser("")
    recipe.add_options(parser, batch_size=8)
    return parser.parse_args(argv)


def test_a_recipe_is_what_the_options_say():
    plan = recipe.Recipe.of(vars(options("--nbepochs", "3", "--no_augment", "--opt", "muon")))
    assert (plan.nbepochs, plan.batch_size, plan.augment, plan.opt) == (3, 8, 0, "muon")
    assert [plan.batches(items) for items in (8, 9, 16)] == [3, 4, 6]  # no batch is half full but the last of all


@pytest.mark.parametrize("argv, said", [
    (("--G", "abc"), "--G.*: abc: must be numbers of GPUs"), (("--G", "0,"), "--G.*: 0,: must be"),
    (("--batch_size", "0"), "--batch_size: 0: must be a whole number from 1"), (("--lr", "nan"), "--lr: nan: must be"),
    (("--batch_size", "1000000"), "--batch_size"), (("--nbepochs", "-1"), "--nbepochs"), (("--opt", "lbfgs"), "--opt")])
def test_options_out_of_range_are_one_line(argv, said):
    with pytest.raises(UserError, match=said) as error:
        options(*argv)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ids", ["0", "0,1", "-1"])
def test_gpus_are_named_by_number(ids):
    assert options("--G", ids).G == ids


def test_tensorboard_that_is_not_installed_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UserError, match="pip install tensorboard"):
        options("--tensorboard", "board")


# --- The folder -------------------------------------------------------------------------------------------------

def test_a_folder_in_which_nothing_was_trained_goes_away(tmp_path):
    with recipe.opened(tmp_path / "models" / "m", False, False):
        assert (tmp_path / "models" / "m").is_dir()
    with pytest.raises(ValueError), recipe.opened(tmp_path / "models" / "m", False, False):
        raise ValueError
    assert not (tmp_path / "models" / "m").exists()


def test_a_model_is_not_replaced_unasked(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / WEIGHTS["final"]).write_text("weights")
    for resume, overwrite, said in ((False, False, "is there already; --overwrite replaces it, --model_name makes"),
                                    (True, False, "this training has finished; --pretrained_path goes on"),
                                    (True, True, "give one of them")):
        with pytest.raises(UserError, match=said), recipe.opened(tmp_path, resume, overwrite):
            pass
    with recipe.opened(tmp_path, False, True):
        recipe.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_training_that_broke_off_can_be_resumed_or_replaced(tmp_path):
    with pytest.raises(UserError, match="no interrupted training is here to --resume"), recipe.opened(tmp_path, True, False):
        pass
    tmp_path.mkdir(exist_ok=True)
    state.write(tmp_path, FACTS, [])
    (tmp_path / ".77.resume.npz").write_text("half")
    with pytest.raises(UserError, match="--resume goes on with it, --overwrite replaces it"):
        with recipe.opened(tmp_path, False, False):
            pass
    with recipe.opened(tmp_path, True, False):
        assert not (tmp_path / ".77.resume.npz").exists()
    (tmp_path / state.STATE).write_bytes((tmp_path / state.STATE).read_bytes()[:100])
    with pytest.raises(UserError, match="resume.npz: damaged"), recipe.opened(tmp_path, True, False):
        pass


def test_a_second_training_in_a_folder_is_refused(tmp_path):
    state.write(tmp_path, FACTS, [])
    with recipe.opened(tmp_path, True, False):
        code = "import sys; from pathlib import Path; from fitting import recipe; print(recipe.state.STATE)\n" + (
            "for resume, overwrite in ((False, False), (True, False), (False, True)):\n"
            "  try:\n    recipe.opened(Path(sys.argv[1]), resume, overwrite).__enter__()\n"
            "  except Exception as error: print(error)")
        done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "resume.npz", *[f"{tmp_path}: another run works in it; wait for that, or name another folder"] * 3]


def test_a_file_in_the_way_is_left_alone(tmp_path):
    (tmp_path / "m").write_text("mine")
    with pytest.raises(UserError, match="is no folder"), recipe.opened(tmp_path / "m", False, True):
        pass
    assert (tmp_path / "m").read_text() == "mine"


# --- The state --------------------------------------------------------------------------------------------------

def test_a_state_is_read_as_it_was_written(tmp_path):
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7)]
    state.write(tmp_path, FACTS, arrays)
    facts, found = state.read(tmp_path)
    assert repr(facts) == repr(FACTS)  # NaN is not equal to itself
    assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(arrays, found, strict=True))


def test_a_damaged_state_is_told_in_one_line(tmp_path):
    state.write(tmp_path, FACTS, [np.arange(6.0), np.zeros((30, 2))])
    whole, rng, told = (tmp_path / state.STATE).read_bytes(), np.random.default_rng(0), 0
    for _ in range(300):
        content, place = bytearray(whole), int(rng.integers(len(whole)))
        match rng.integers(3):
            case 0:
                del content[place:]
            case 1:
                content[place:place + 5] = rng.integers(0, 256, 5, np.uint8).tobytes()
            case 2:
                content[place:place] = rng.integers(0, 256, 20, np.uint8).tobytes()
        (tmp_path / state.STATE).write_bytes(content)
        try:
            state.read(tmp_path)
        except UserError as error:
            assert str(error) == f"{tmp_path / state.STATE}: {DAMAGED}"  # no word of Python's
            told += 1
    assert told > 200  # the others changed nothing that is read


def test_what_a_resumed_training_changes_is_named():
    facts = {"settings": {"--lr": "0.1", "--opt": "sgd", "shape": [2, 3], "backend": "jax"}}
    state.check_same(facts, {"--lr": "0.1", "shape": (2, 3)})
    with pytest.raises(UserError, match="^--resume: --lr, new differ from the interrupted training's; give its command"):
        state.check_same(facts, {"--lr": "0.2", "--opt": "sgd", "new": 1})


@pytest.mark.parametrize("script, options", [
    ("train", ["--path", str(ROOT / "imgs" / "words")]), ("train_pages", ["--synth", "8"])])
def test_another_backend_is_told_before_keras_is_loaded(tmp_path, monkeypatch, script, options):
    check = state.check_same
    monkeypatch.setattr(state, "check_same", lambda facts, settings: check(
        {"settings": json.loads(json.dumps({**settings, "backend": "tensorflow"}))}, settings))  # all the rest is as it was
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    (tmp_path / "m").mkdir()
    state.write(tmp_path / "m", FACTS, [])
    with pytest.raises(UserError, match="by Keras with tensorflow, this would be with torch; set KERAS_BACKEND=tensorflow"):
        importlib.import_module(script).main([*options, "--save_path", str(tmp_path), "--model_name", "m", "--resume"])


@pytest.mark.parametrize("settings, named, backend", [
    ('{"backend": "jax"}', None, "jax"), ('{"backend": "torch"}', "jax", "jax"), ('{"backend": "torch"}', "", "torch"),
    (None, None, "tensorflow"), ("no JSON", None, "tensorflow"), ("{}", "numpy", "numpy")])
@pytest.mark.parametrize("home", ["HOME", "KERAS_HOME"])
def test_the_backend_is_the_one_that_keras_takes(tmp_path, monkeypatch, settings, named, backend, home):
    """As Keras's own file says, run by itself: with all of Keras it takes long."""
    file = Path(importlib.util.find_spec("keras").origin).parent / "src" / "backend" / "config.py"
    (tmp_path / ".keras").mkdir()
    if settings:
        (tmp_path / ".keras" / "keras.json").write_text(settings)
    for name in ("KERAS_HOME", "KERAS_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # which Keras sets
    monkeypatch.setenv(home, str(tmp_path / ".keras" if home == "KERAS_HOME" else tmp_path))
    if named is not None:
        monkeypatch.setenv("KERAS_BACKEND", named)
    for name in ("keras", "keras.src", "keras.src.backend", "keras.src.backend.common"):
        monkeypatch.setitem(sys.modules, name, unittest.mock.MagicMock())
    monkeypatch.setitem(sys.modules, "keras.src.api_export", types.SimpleNamespace(keras_export=lambda *_: lambda one: one))
    told = state.keras_backend()  # before Keras writes a keras.json
    assert told == runpy.run_path(str(file))["backend"]() == backend


@pytest.mark.parametrize("change", [
    {"batch": "3"}, {"batch": -1}, {"best": None}, {"best": float("nan")}, {"history": 5}, {"history": [{"batch": 3}]},
    {"settings": None}, {"since_validation": [float("nan")]}, {"unknown": 1}, {"recent": None}, {"stopped_early": "no"},
    {"unreadable": {"seven": "no such file"}}])
def test_a_state_with_other_facts_is_told_in_one_line(tmp_path, change):
    state.write(tmp_path, {**FACTS, **change}, [])
    with pytest.raises(UserError, match=DAMAGED):
        state.read(tmp_path)


def test_a_state_of_numbers_that_are_none_is_damaged(tmp_path):
    state.write(tmp_path, FACTS, [np.array([1, np.nan])])
    with pytest.raises(UserError, match="damaged"):
        state.read(tmp_path)
