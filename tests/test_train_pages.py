"""train_pages.py before Keras is loaded: what it tells a user who made a mistake."""
import shutil
from pathlib import Path

import mistakes
from mistakes import BEGUN

from fitting import state
from words.models import WEIGHTS

ROOT = Path(__file__).parent.parent


def test_mistakes_are_told_in_one_line_before_keras_is_loaded(tmp_path):
    cut, begun, empty = tmp_path / "cut", tmp_path / "models" / "begun", tmp_path / "empty"
    shutil.copytree(ROOT / "models" / "pages", cut)
    (cut / WEIGHTS["final"]).write_bytes((cut / WEIGHTS["final"]).read_bytes()[:3000])
    begun.mkdir(parents=True)
    state.write(begun, BEGUN, [])
    empty.mkdir()
    drawn = "--synth", "1", "--model_name"
    cases = [
        ([], "no pages to train on"),
        (["--path", "nowhere"], "--path nowhere: no such folder"),
        (["--path", str(empty)], "empty: "),
        ([*drawn, "new", "--size", "100"], "--size 100: must be a multiple of 32"),
        ([*drawn, "new", "--nbepochs", "0"], "--nbepochs 0: trains nothing"),
        ([*drawn, "new", "--pretrained_path", "nowhere"], "nowhere: not a model folder"),
        ([*drawn, "new", "--pretrained_path", str(ROOT / "models" / "notes")], "is a model of words, not of pages"),
        ([*drawn, "new", "--pretrained_path", str(cut)], "not weights of this network"),
        ([*drawn, "new", "--strokes", str(ROOT / "README.md")], "README.md: not a strokes file, or a damaged one"),
        ([*drawn, "new", "--lexicon", "nowhere"], "--lexicon nowhere: No such file"),
        ([*drawn, "new", "--resume"], "no interrupted training is here to --resume"),
        ([*drawn, "begun", "--opt", "adamw", "--resume"], "--resume: network, --pretrained_path, --lr, ")]
    mistakes.check("train_pages", ["--save_path", str(tmp_path / "models")], cases)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["begun"]
