"""train_pages.py before Keras is loaded: what it tells a user who made a mistake."""
import json
import shutil
import subprocess
import sys
from pathlib import Path

from test_train_words import BEGUN

from fitting import state
from words.models import WEIGHTS

ROOT = Path(__file__).parent.parent
MISTAKES = """
import json, sys, train_pages
said = []
for argv in json.loads(sys.argv[1]):
    try:
        train_pages.main(argv)
    except train_pages.UserError as error:
        said.append(str(error))
json.dump([said, "keras" in sys.modules], sys.stderr)
"""


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
    argvs = [["--save_path", str(tmp_path / "models"), *argv] for argv, _ in cases]
    done = subprocess.run([sys.executable, "-c", MISTAKES, json.dumps(argvs)], cwd=ROOT, capture_output=True, text=True,
                          timeout=300)
    said, keras = json.loads(done.stderr.splitlines()[-1])
    assert len(said) == len(cases) and not keras, (said, done.stderr)
    for (argv, expected), line in zip(cases, said):
        assert expected in line and "\n" not in line, (argv, line)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["begun"]
