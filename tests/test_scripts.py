"""The scripts as a user runs them: the commands of 2018, bad input, a kill in the middle, the model that is shipped."""
import csv
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import IAM_preprocessing
import predict
import search
import train
from command import UserError
from fitting.state import STATE
from words.image_files import write_image
from words.lists import image_names, text_of_name
from words.models import WEIGHTS, load_config
from words.reader import load_reader

ROOT = Path(__file__).parent.parent


def draw(path, text):
    image = np.full((48, 24 * len(text) + 16), 255, np.uint8)
    cv2.putText(image, text, (6, 34), cv2.FONT_HERSHEY_SIMPLEX, 1, 0, 2, cv2.LINE_AA)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, image)


@pytest.fixture(scope="module")
def mjsynth(tmp_path_factory):
    """80 words in mjsynth's layout: 70 in annotation_train.txt, 10 in annotation_test.txt."""
    root = tmp_path_factory.mktemp("mjsynth")
    names = []
    for k in range(80):
        text = ("Slinking", "MONIKER", "letters", "book")[k % 4]
        names.append(f"./{k // 20}/{k % 3}/{k}_{text}_{k}.jpg {k}\n")
        draw(root / names[-1].split()[0], text)
    (root / "annotation_train.txt").write_text("".join(names[:70]))
    (root / "annotation_test.txt").write_text("".join(names[70:]))
    return root


@pytest.fixture(scope="module")
def iam(tmp_path_factory):
    """An IAM folder of three made-up forms of ten words."""
    root = tmp_path_factory.mktemp("iam")
    lines = []
    for form in ("a01-000u", "a01-003", "b02-007"):
        for k in range(10):
            text = ("Move", "to", "stop", "MR.", "Gaitskell")[k % 5]
            draw(root / "words" / form[:3] / form / f"{form}-00-{k:02}.png", text)
            lines.append(f"{form}-00-{k:02} ok 154 1 408 768 27 51 NN {text}\n")
    (root / "ascii").mkdir()
    (root / "ascii" / "words.txt").write_text("".join(lines))
    return root


# The commands of the 2018 README, with the placeholders to fill in.
COMMANDS_OF_2018 = """
python3 train.py --G 1 --path %MJSYNTH% --training_fname annotation_train.txt --val_fname annotation_test.txt --save_path %MODELS% --model_name first --nbepochs 1 --norm --mjsynth --opt adam --time_dense_size 128 --lr .0001 --batch_size 64 --early_stopping 5000
python3 train.py --G 1 --path %MJSYNTH% --training_fname annotation_train.txt --val_fname annotation_test.txt --save_path %MODELS% --model_name second --nbepochs 1 --norm --mjsynth --opt adam --time_dense_size 128 --lr .0001 --batch_size 64 --early_stopping 20 %MODELS%/first/checkpoint_weights.h5
python3 IAM_preprocessing.py -p %IAM% -np %PROCESSED%
python3 train.py --G 1 --path %PROCESSED% --train_portion 0.9 --save_path %MODELS% --model_name third --nbepochs 2 --norm --opt adam --time_dense_size 128 --lr .0001 --batch_size 64 --pretrained_path %MODELS%/second/final_weights.h5
python3 predict.py --G 0 --model_path %MODELS%/second --image_path %MJSYNTH% --val_fname annotation_test.txt --mjsynth --validate --num_instances 512 --max_len 23
python3 predict.py --G 0 --model_path %MODELS%/third --image_path %PROCESSED% --validate --num_instances 512 --max_len 21
python3 predict.py --G 0 --model_path %MODELS%/third --image_path %PROCESSED% --result_path %ANSWER% --max_len 21
"""


@pytest.mark.slow
def test_the_commands_of_2018_run(mjsynth, iam, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")  # --G 1 changes it
    places = {"MJSYNTH": mjsynth, "IAM": iam, "MODELS": tmp_path / "models", "PROCESSED": tmp_path / "words",
              "ANSWER": tmp_path / "answer"}
    for command in COMMANDS_OF_2018.strip().splitlines():
        for name, place in places.items():
            command = command.replace(f"%{name}%", str(place))
        _, script, *argv = shlex.split(command)
        {"train.py": train, "predict.py": predict, "IAM_preprocessing.py": IAM_preprocessing}[script].main(argv)
    with open(tmp_path / "answer" / "prediction.csv", newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == sorted(
            path.name for path in (tmp_path / "words").glob("*.png"))
    assert load_config(tmp_path / "models" / "third")["trained"]["before"][0]["words"] == 70


@pytest.mark.parametrize("command, said", [
    ("train.py --path nowhere", "nowhere: no such folder"),
    ("predict.py --model_path nowhere --image_path imgs", "nowhere: not a model folder"),
    ("IAM_preprocessing.py -p nowhere -np out", "no such folder"),
])
def test_what_a_user_can_mend_takes_one_line_and_status_2(command, said):
    done = subprocess.run([sys.executable, *shlex.split(command)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert said in done.stderr and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("option", ["--words", "--pages", "--lexicon"])
def test_wrong_models_leave_no_index(tmp_path, monkeypatch, option):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match="^(--lexicon )?nowhere: "):
        search.main(["index", str(tmp_path), option, "nowhere"])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on(mjsynth, tmp_path):
    options = ["--path", str(mjsynth), "--mjsynth", "--val_fname", "annotation_test.txt", "--save_path", str(tmp_path),
               "--model_name", "m", "--n_units", "8", "--batch_size", "5", "--nbepochs", "3", "--workers", "1"]
    state = tmp_path / "m" / STATE
    process = subprocess.Popen([sys.executable, "-c", "import sys, train; from fitting import training; training.SAVE_SECONDS = 0; "
                                "train.main(sys.argv[1:])", *options], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "m" / WEIGHTS["checkpoint"]  # of the first of three validations
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.02)
    assert process.poll() is None
    process.kill()
    process.wait()
    train.main([*options, "--resume"])
    with open(tmp_path / "m" / "history.csv", newline="") as file:
        assert [int(row["batch"]) for row in csv.DictReader(file)] == [14, 28, 42]
    assert not state.exists()


@pytest.mark.parametrize("model", ["iam", "notes"])
def test_the_shipped_model_reads_the_sample_words(model):
    names = image_names(ROOT / "imgs" / "words")
    readings = load_reader(ROOT / "models" / model).read([ROOT / "imgs" / "words" / name for name in names])
    right = [reading.text == text_of_name(name) for reading, name in zip(readings, names, strict=True)]
    assert len(right) == 12 and sum(right) >= 10
    assert all(0 < reading.confidence <= 1 for reading in readings)


@pytest.mark.slow
def test_a_model_is_calibrated_on_words_of_ones_own(tmp_path):
    model, words = tmp_path / "notes", tmp_path / "words"
    model.mkdir(), words.mkdir()
    for name in ("config.json", "final.weights.h5"):
        shutil.copy(ROOT / "models" / "notes" / name, model)
    names, before = image_names(ROOT / "imgs" / "words"), load_config(model)
    with open(words / "labels.csv", "w", newline="") as file:  # nine times the twelve, a third of them with a false label
        rows = csv.writer(file)
        rows.writerow(["file", "text"])
        for k in range(9):
            for name in names:
                shutil.copy(ROOT / "imgs" / "words" / name, words / f"{k}{name}")
                rows.writerow([f"{k}{name}", "nonsense" if k < 3 else text_of_name(name)])
    predict.main(["--model_path", str(model), "--image_path", str(words), "--validate", "--calibrate", "--overwrite",
                  "--result_path", str(tmp_path / "out")])
    after = load_config(model)
    assert 0 < after["decoding"]["temperature"] < before["decoding"]["temperature"]  # less sure
    assert {**after, "decoding": 0} == {**before, "decoding": 0}
