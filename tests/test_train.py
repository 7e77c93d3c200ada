"""train.py: whole trainings of small networks, what happens between batches, and the folder that they leave."""
import csv
import json
import resource
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from samples import NO_IMAGE

import command
import render
import train
import utils
from command import UserError
from fitting import folder as folders
from fitting import history as histories
from fitting import recipe, training
from fitting.backend import keras
from fitting.state import STATE
from words.alphabet import Alphabet, steps_needed
from words.image_files import read_image, write_image
from words.lists import read_folder
from words.models import WEIGHTS, load_config
from words.reader import load_reader

pytestmark = pytest.mark.slow  # Keras


@pytest.fixture(scope="module")
def words_folder(tmp_path_factory):
    """40 words of four writers, drawn large and plain, with labels.csv; the last writer's are the valid part."""
    folder = tmp_path_factory.mktemp("words")
    rows = []
    for k in range(40):
        text = ("ab", "letter", "c3", "book")[k % 4]
        image = np.full((48, 24 * len(text) + 16), 255, np.uint8)
        cv2.putText(image, text, (6, 34), cv2.FONT_HERSHEY_SIMPLEX, 1, int(k), 2, cv2.LINE_AA)
        write_image(folder / f"{k}.png", image)
        rows.append((f"{k}.png", text, "valid" if k >= 32 else "train", f"writer{k // 10}"))
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([("file", "text", "split", "writer"), *rows])
    return folder


def train_on(folder, save_path, *options):
    train.main(["--path", str(folder), "--save_path", str(save_path), "--model_name", "m", "--batch_size", "8",
                "--n_units", "8", "--time_dense_size", "16", "--workers", "1", *options])
    return save_path / "m"


def history(model):
    with open(model / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


# --- Between batches ------------------------------------------------------------------------------------------

class Model:
    stop_training = False

    def reset_metrics(self):
        pass


def training_of(tmp_path, batches=100, **options):
    run = training.Training(tmp_path, None, recipe.Recipe(nbepochs=1, **options), 64 * batches, "word_accuracy")
    run.set_model(Model())
    run.validate = run.save = lambda: None
    run.on_train_begin()
    return run


def test_early_stopping_compares_the_last_batches_with_those_before(tmp_path):
    run = training_of(tmp_path, early_stopping=3)
    losses = [9, 9, 9, 8, 8, 8, 9, 8, 7, 0]  # mean of batches 7 to 9 is 8, as of 4 to 6
    for k, loss in enumerate(losses):
        run.on_train_batch_end(k, {"loss": loss})
        if run.model.stop_training:
            break
    assert run.batch == 9 and run.stopped_early


def test_a_loss_that_is_no_number_stops_with_a_clear_word(tmp_path):
    run = training_of(tmp_path)
    with pytest.raises(UserError, match="nan at batch 1; lower --lr"):
        run.on_train_batch_end(0, {"loss": float("nan")})


def test_training_that_was_interrupted_ends_where_an_uninterrupted_one_does(words_folder, tmp_path, monkeypatch):
    options = "--nbepochs", "2", "--validate_every", "3", "--keep_last", "--opt", "adam", "--lr", "1e-4", "--dropout", "0.3"
    straight = train_on(words_folder, tmp_path / "straight", *options)

    on_train_batch_end = training.Training.on_train_batch_end

    def interrupted(self, batch, logs=None):
        on_train_batch_end(self, batch, logs)
        if self.batch == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(training.Training, "on_train_batch_end", interrupted)
    with pytest.raises(KeyboardInterrupt, match="stopped at batch 4 of 8; --resume"):
        train_on(words_folder, tmp_path / "broken", *options)
    monkeypatch.undo()
    resumed = train_on(words_folder, tmp_path / "broken", *options, "--resume")

    assert [row["batch"] for row in history(resumed)] == [row["batch"] for row in history(straight)] == ["3", "4", "6", "8"]
    for a, b in zip(history(straight), history(resumed)):
        assert float(a["loss"]) == pytest.approx(float(b["loss"]), rel=1e-3)
        assert float(a["val_loss"]) == pytest.approx(float(b["val_loss"]), rel=1e-3)
    assert not (resumed / STATE).exists()
    with pytest.raises(UserError, match="this training has finished"):
        train_on(words_folder, tmp_path / "broken", *options, "--resume")


def test_a_training_is_resumed_with_its_own_settings_only(words_folder, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no interrupted training is here"):
        train_on(words_folder, tmp_path, "--resume")
    monkeypatch.setattr(utils.Validation, "__call__", interrupt)
    with pytest.raises(KeyboardInterrupt, match="stopped at batch 4 of 4"):
        train_on(words_folder, tmp_path, "--nbepochs", "1")  # in its last validation
    monkeypatch.undo()
    with pytest.raises(UserError, match="--lr, --random_state differ"):
        train_on(words_folder, tmp_path, "--nbepochs", "1", "--lr", "0.1", "--random_state", "5", "--resume")
    started = train_on(words_folder, tmp_path / "other", "--nbepochs", "1")
    with pytest.raises(UserError, match="--resume: --pretrained_path differ"):
        train_on(words_folder, tmp_path, "--nbepochs", "1", "--pretrained_path", str(started), "--resume")
    state = (tmp_path / "m" / STATE).read_bytes()
    (tmp_path / "m" / STATE).write_bytes(state[:1000])
    with pytest.raises(UserError, match="resume.npz: damaged"):
        train_on(words_folder, tmp_path, "--nbepochs", "1", "--resume")
    (tmp_path / "m" / STATE).write_bytes(state)
    assert [row["batch"] for row in history(train_on(words_folder, tmp_path, "--nbepochs", "1", "--resume"))] == ["4"]


def interrupt(*args):
    raise KeyboardInterrupt


def test_final_weights_are_the_best_ones_unless_told(words_folder, tmp_path):
    model = train_on(words_folder, tmp_path, "--nbepochs", "1", "--validate_every", "1")
    best, final = ([weight.tobytes() for weight in weights_of(model, name)] for name in WEIGHTS.values())
    assert best == final
    losses = [float(row["val_loss"]) for row in history(model)]
    config = json.loads((model / "config.json").read_text())
    assert config["scores"]["val_loss"] == pytest.approx(min(losses), rel=1e-3)
    assert {path.name for path in model.iterdir()} == {
        "config.json", "checkpoint.weights.h5", "final.weights.h5", "history.csv", "losses.png", "model_summary.txt",
        "model.onnx", "report.md"}


def test_weights_that_the_disk_has_no_room_for_leave_the_old_ones(tmp_path, capfd):
    network, path = utils.build_network(5), tmp_path / "a.weights.h5"
    path.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # bytes a file
    try:
        with pytest.raises(OSError, match="too large"):
            folders.save_weights(network, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    assert capfd.readouterr() == ("", "")


def test_a_full_disk_is_told_and_the_training_goes_on_when_it_is_mended(words_folder, tmp_path, monkeypatch):
    write, options = training.state.write, ("--nbepochs", "1", "--validate_every", "2")

    def full(folder, facts, arrays):
        if facts["batch"] == 4:
            raise OSError(28, "No space left on device", "resume.npz")
        write(folder, facts, arrays)

    monkeypatch.setattr(training.state, "write", full)
    with pytest.raises(UserError, match="m: No space left on device; --resume goes on"):
        train_on(words_folder, tmp_path, *options)
    monkeypatch.undo()
    assert [row["batch"] for row in history(train_on(words_folder, tmp_path, *options, "--resume"))] == ["2", "4"]


def test_the_history_of_a_fine_tuning_begins_with_what_it_went_on_from(words_folder, tmp_path):
    old = train_on(words_folder, tmp_path / "a", "--nbepochs", "1", "--validate_every", "2", "--keep_last")
    older = history(old)
    assert [(row["model"], row["batch"]) for row in older] == [("m", "2"), ("m", "4")]
    header, *lines = (old / "history.csv").read_text().splitlines()
    assert header.startswith("model,") and all(line.startswith("m,") for line in lines)
    (old / "history.csv").write_text("\n".join(line.partition(",")[2] for line in [header, *lines]))  # as it once was
    new = tmp_path / "b" / "mine"
    options = ["--path", str(words_folder), "--nbepochs", "1", "--batch_size", "8", "--workers", "1", "--lr", "1e-4",
               "--validate_every", "3", "--save_path", str(tmp_path / "b")]
    train.main([*options, "--model_name", "mine", "--pretrained_path", str(old)])
    rows = history(new)
    assert rows[:2] == older
    assert [(row["model"], row["batch"]) for row in rows[2:]] == [("mine", "0"), ("mine", "3"), ("mine", "4")]
    assert rows[2]["loss"] == "nan" and float(rows[2]["val_loss"]) == pytest.approx(float(older[-1]["val_loss"]), rel=1e-4)
    assert [name for name, _ in histories.one_by_one(histories.read_history(new))] == ["m", "mine"]
    train.main([*options, "--model_name", "cased", "--pretrained_path", str(new), "--alphabet", "ascii"])
    rows = history(tmp_path / "b" / "cased")  # a new last layer has read nothing yet
    assert [row["batch"] for row in rows] == ["2", "4", "0", "3", "4", "3", "4"]
    assert rows[0]["cased_cer"] == "" != rows[-1]["cased_cer"]
    with pytest.raises(UserError, match="--nbepochs 0: another alphabet has a last layer to train"):
        train.main([*options, "--nbepochs", "0", "--model_name", "third", "--pretrained_path", str(new),
                    "--alphabet", "ascii"])
    (new / "history.csv").write_text("epoch,loss\n1,2.5\n")
    with pytest.raises(UserError, match="history.csv: not a training's, whose columns are .*; mend it or move it away"):
        train.main([*options, "--model_name", "third", "--pretrained_path", str(new)])


def weights_of(model, name):
    config = load_config(model)
    network = utils.network_of(config)
    network.load_weights(model / name)
    return network.get_weights()


def test_a_new_alphabet_goes_on_from_what_the_old_one_knew(words_folder, tmp_path, capsys):
    old = train_on(words_folder, tmp_path / "old", "--nbepochs", "1")
    starts = [old / "final_weights.h5"]
    network, reads = train.start_network(train.start_config({}, Alphabet("ascii").characters, starts), starts)
    assert not reads
    assert "capitals start as their small letters" in capsys.readouterr().out
    before = weights_of(old, "final.weights.h5")
    assert all(np.array_equal(a, b) for a, b in zip(before[:-2], network.get_weights()[:-2]))
    assert network.output_shape[-1] == 96
    pretrained = utils.network_of(load_config(old))
    pretrained.load_weights(old / "final.weights.h5")
    images = np.random.default_rng(0).random((2, 100, 32, 1), np.float32)
    then, now = (np.exp(each.predict(images, verbose=0)) for each in (pretrained, network))  # [B, T, classes]
    now /= now.sum(axis=-1, keepdims=True)
    then /= then.sum(axis=-1, keepdims=True)
    ascii_classes = {c: k for k, c in enumerate(Alphabet("ascii").characters, 1)}
    np.testing.assert_allclose(now[..., 0], then[..., 0], rtol=1e-4)  # the blank
    np.testing.assert_allclose(now[..., ascii_classes["a"]] + now[..., ascii_classes["A"]], then[..., 11], rtol=1e-4)
    np.testing.assert_allclose(now[..., ascii_classes["7"]], then[..., 8], rtol=1e-4)
    others = [k for c, k in ascii_classes.items() if not c.isalnum()]  # "-" and what it stood for
    np.testing.assert_allclose(now[..., others].sum(axis=-1), then[..., 37], rtol=1e-4)


def test_a_label_in_a_table_may_name_its_file_by_an_absolute_path(words_folder, tmp_path):
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([("file", "text"), (words_folder / "0.png", "ab")])
    words = read_folder(tmp_path)
    assert not words.missing().any() and read_image(words.path(0)).shape == (48, 64)


@pytest.mark.parametrize("options", [(), ("--no_stn",), ("--stn",)])
def test_a_network_with_and_without_stn(words_folder, tmp_path, options):
    reader = load_reader(train_on(words_folder, tmp_path, "--nbepochs", "1", *options))
    image = np.zeros((1, 100, 32, 1), np.float32)
    if options == ("--stn",):
        assert reader.straighten(image).shape == image.shape
        return
    with_stn = utils.build_network(38, n_units=8, time_dense_size=16, stn=True)
    # two convolutions of 5 x 5 with 20 filters; a dense layer of 50 over what they leave of 50 x 16, 19 x 2 x 20; one of 6
    fewer = (25 + 1) * 20 + (25 * 20 + 1) * 20 + (19 * 2 * 20 + 1) * 50 + 51 * 6
    assert with_stn.count_params() - utils.network_of(load_config(tmp_path / "m")).count_params() == fewer
    assert reader.straighten(image) is None
    assert reader.read(np.zeros((32, 100), np.uint8)).text == ""


def test_drop_out_is_for_training_alone(words_folder, tmp_path):
    config = {"alphabet": "abc", "network": {**utils.PRESETS["lite"], "width": 100, "height": 32, "n_units": 8}}
    plain, dropping = utils.network_of(config), utils.network_of(config, dropout=0.25)
    utils.copy_weights(plain, dropping, [0, 1, 2, 3])
    folders.save_weights(dropping, tmp_path / "x.weights.h5")
    fresh = utils.network_of(config)
    folders.load_weights(fresh, tmp_path / "x.weights.h5")
    images = np.random.default_rng(0).random((2, 100, 32, 1), np.float32)
    for network in (dropping, fresh):
        np.testing.assert_allclose(network.predict(images, verbose=0), plain.predict(images, verbose=0), atol=1e-6)
    for name in ("dropout1", "dropout2"):
        dropped = keras.ops.convert_to_numpy(dropping.get_layer(name)(np.ones((50, 40, 8), np.float32), training=True))
        assert set(np.unique(dropped).round(4)) == {0, np.float32(1.3333)}  # what stays makes up for the rest
        assert np.mean(dropped == 0) == pytest.approx(0.25, abs=0.02)
    model = train_on(words_folder, tmp_path, "--nbepochs", "1", "--dropout", "0.3")
    assert "--dropout 0.3" in (model / "report.md").read_text()
    assert load_reader(model).read(np.zeros((32, 100), np.uint8)).text == ""
    with pytest.raises(UserError, match="--dropout.*: 1: must be a number from 0 to"):
        train.main(["--path", str(words_folder), "--dropout", "1"])


def test_a_report_names_each_step_once_and_after_what_came_of_it():
    def step(name, *starts):
        return {"command": name, "before": folders.ancestry(starts)}

    first = step("first")
    second = step("second", first)
    mean = step("mean", second, step("third", second), None)
    assert [found["command"] for found in folders.ancestry([mean])] == ["mean", "third", "second", "first"]
    assert not any("before" in found for found in mean["before"])


def test_the_mean_of_two_models(words_folder, tmp_path):
    import h5py
    a, b = (train_on(words_folder, tmp_path / seed, "--nbepochs", "1", "--stn", "--random_state", seed) for seed in "12")
    older = load_config(b)
    del older["network"]["stn"], older["network"]["blocks"]  # as in the folders of the first format
    del older["format"], older["kind"]
    command.write_json(b / "config.json", older)
    options = ["--path", str(words_folder), "--save_path", str(tmp_path), "--pretrained_path", str(a), "--pretrained_path"]
    train.main([*options, str(b), "--model_name", "mean", "--nbepochs", "0", "--workers", "1"])

    def weights(model):
        found = {}
        with h5py.File(model / "final.weights.h5") as file:
            file.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
        return found

    of_a, of_b, mean = weights(a), weights(b), weights(tmp_path / "mean")
    assert len(mean) > 60 and any(abs(of_a[name] - of_b[name]).max() > 0.01 for name in mean)
    for name, weight in mean.items():
        np.testing.assert_allclose(weight, (of_a[name].astype(float) + of_b[name]) / 2, rtol=1e-5, atol=1e-7)
    assert [(row["model"], row["batch"]) for row in history(tmp_path / "mean")] == [("m", "4"), ("mean", "0")]
    trained = load_config(tmp_path / "mean")["trained"]
    assert trained["words"] == 0 and trained["before"][0]["words"] == 32
    report = (tmp_path / "mean" / "report.md").read_text()
    assert "hours, no training, from the mean of 2 models' weights:" in report and report.count("hours, 32 words of ") == 2
    assert report.index("--nbepochs 0") < report.index("--random_state 1") < report.index("--random_state 2")
    other = train_on(words_folder, tmp_path / "other", "--nbepochs", "1", "--GRU")
    with pytest.raises(UserError, match="has another network or alphabet than .*; a mean takes models of the same"):
        train.main([*options, str(other), "--model_name", "third"])
    with pytest.raises(UserError, match="--nbepochs 0: trains nothing; that takes a --pretrained_path"):
        train.main(["--path", str(words_folder), "--nbepochs", "0"])


def test_options_that_contradict_the_pretrained_model_are_refused(words_folder, tmp_path):
    old = train_on(words_folder, tmp_path, "--nbepochs", "1")
    with pytest.raises(UserError, match="has time_dense_size 16, not 99"):
        train.main(["--path", str(words_folder), "--time_dense_size", "99", "--pretrained_path", str(old)])
    with pytest.raises(UserError, match="has stn False, not True"):
        train.main(["--path", str(words_folder), "--stn", "--pretrained_path", str(old)])
    with pytest.raises(UserError, match="is there already; --overwrite"):
        train_on(words_folder, tmp_path, "--nbepochs", "1")


def test_an_unreadable_image_is_skipped_and_named(words_folder, tmp_path):
    folder = tmp_path / "words"
    folder.mkdir()
    for path in words_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "5.png").write_text("no picture")
    model = train_on(folder, tmp_path, "--nbepochs", "1")
    with open(model / "skipped.csv", newline="") as file:
        assert list(csv.reader(file))[1:] == [[str(folder / "5.png"), NO_IMAGE]]


def test_words_none_of_which_can_be_read_are_the_users_to_mend(words_folder, tmp_path):
    folder = tmp_path / "words"
    folder.mkdir()
    for path in words_folder.iterdir():
        keep = path.name == "labels.csv" or int(path.stem) >= 32  # the valid part
        (folder / path.name).write_bytes(path.read_bytes() if keep else b"")
    with pytest.raises(UserError, match="not one image of a whole batch is readable"):
        train_on(folder, tmp_path, "--nbepochs", "1")


def test_tensorboard_gets_the_validations(words_folder, tmp_path):
    pytest.importorskip("tensorboard")
    train_on(words_folder, tmp_path, "--nbepochs", "1", "--tensorboard", str(tmp_path / "board"))
    logged = b"".join(path.read_bytes() for path in (tmp_path / "board").rglob("*tfevents*"))
    assert b"val_loss" in logged and b"word_accuracy" in logged


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """A folder of four fonts of the project, one of them for validation."""
    folder = tmp_path_factory.mktemp("faces")
    with open(render.FONTS / "manifest.csv", newline="", encoding="utf8") as file:
        rows = [row for row in csv.DictReader(file) if not row["missing"]]
    chosen = [row for row in rows if row["split"] == "train"][:3] + [row for row in rows if row["split"] == "valid"][:1]
    for row in chosen:
        (folder / row["file"]).write_bytes((render.FONTS / row["file"]).read_bytes())
    with open(folder / "manifest.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(chosen[0]))
        writer.writeheader()
        writer.writerows(chosen)
    return folder


def synth_data(faces, *options):
    args = train.parse_args(["--synth", "30", "--fonts", str(faces), "--alphabet", "ascii", *options])
    nothing = train.load_data([], None, 0.9, 0, Alphabet("ascii"), 12)
    renderer = render.Renderer(**{name: getattr(args, name) for name in render.OPTIONS})
    return train.with_drawn(nothing, 30, renderer, args.random_state, Alphabet("ascii"), 12)


def test_drawn_words_are_new_in_every_epoch_and_the_same_in_every_run(faces):
    data = synth_data(faces)
    assert data.train.tolist() == list(range(30)) and not len(data.valid)
    shapes = {}
    for run in range(2):
        batches = utils.WordBatches(data.words, data.train, data.labels, (100, 32), 30, 2, draw=data.draw)
        shapes[run] = [batches[0], batches[1]]
    for (images, labels, *_), (again, labels_again, *_) in zip(shapes[0], shapes[1]):
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(labels, labels_again)
    first, second = ({tuple(label) for label in labels} for _, labels in shapes[0])
    assert len(first) > 25 and len(first & second) < 5
    other = synth_data(faces, "--random_state", "1")
    assert {tuple(other.draw(i, 0)[1]) for i in range(30)} != {tuple(data.draw(i, 0)[1]) for i in range(30)}


def test_a_drawn_word_goes_with_its_own_label(faces, monkeypatch):
    seen, word = [], render.Renderer.word
    monkeypatch.setattr(render.Renderer, "word", lambda *args: seen.append(word(*args)) or seen[-1])
    data, alphabet = synth_data(faces), Alphabet("ascii")
    for i in range(20):
        pixels, label = data.draw(i, 0)
        assert pixels is seen[-1].image and alphabet.decode(label[label > 0]) == seen[-1].text


def test_a_lexicon_that_cannot_be_drawn_is_told_at_once(faces, tmp_path):
    (tmp_path / "words.txt").write_text("\u6f22\u5b57\n", encoding="utf8")
    with pytest.raises(UserError, match="lexicon"):
        synth_data(faces, "--lexicon", str(tmp_path / "words.txt"))


def test_drawn_words_can_be_written_by_the_network(faces):
    data = synth_data(faces)
    alphabet = Alphabet("ascii")
    texts = [alphabet.decode(label[label > 0]) for label in (data.draw(i, 3)[1] for i in range(300))]
    assert max(map(steps_needed, texts)) <= 12 and min(map(len, texts)) > 0
    assert any(c.isupper() for text in texts for c in text)


def test_a_word_that_could_not_be_drawn_is_named(faces, words_folder, tmp_path, monkeypatch):
    word = render.Renderer.word

    def fails(self, rng, split="train"):
        if rng.bit_generator.seed_seq.entropy == (0, 0, 45):  # in epoch 0, the sixth after 40 real words
            raise ValueError("no ink")
        return word(self, rng, split)

    monkeypatch.setattr(render.Renderer, "word", fails)
    train_on(words_folder, tmp_path, "--synth", "24", "--fonts", str(faces), "--nbepochs", "1")
    with open(tmp_path / "m" / "skipped.csv", newline="") as file:
        assert list(csv.reader(file))[1:] == [["drawn word 45", "no ink"]]


def test_training_on_drawn_words_alone_and_beside_real_ones(faces, words_folder, tmp_path, capsys):
    options = ["--synth", "24", "--fonts", str(faces), "--nbepochs", "1", "--batch_size", "8", "--n_units", "8",
               "--val_instances", "10", "--save_path", str(tmp_path), "--workers", "1"]
    train.main([*options, "--model_name", "alone"])
    said = capsys.readouterr().out
    assert "24 words an epoch to train on, drawn" in said and "10 words to validate on, drawn" in said
    assert [int(row["batch"]) for row in history(tmp_path / "alone")] == [3]
    assert json.loads((tmp_path / "alone" / "config.json").read_text())["trained"]["data"] == ["drawn words"]
    train.main([*options, "--model_name", "beside", "--path", str(words_folder)])
    [row] = history(tmp_path / "beside")
    assert int(row["batch"]) == (32 + 24) // 8 and int(row["words"]) == 8  # the real words to validate on
    with pytest.raises(UserError, match="no words to train on: give --path DIR, or --synth N"):
        train.main(["--save_path", str(tmp_path)])
    with pytest.raises(UserError, match="--augment.*: 1.5: must be a number from 0 to 1"):
        train.main([*options, "--augment", "1.5"])


def test_show_batch_draws_and_stops(words_folder, tmp_path):
    train_on(words_folder, tmp_path, "--show_batch", str(tmp_path / "batch.png"))
    assert read_image(tmp_path / "batch.png").shape[0] > 500
    assert not (tmp_path / "m").exists()


TWO_DEVICES = """
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import train
train.optimizers.CLIPNORM = 1e9  # each device clips its own part, which is not quite the same
for name, devices in (("one", []), ("two", ["CPU:0", "CPU:1"])):
    train.backend.gpus = lambda: devices
    train.main([*sys.argv[1:], "--model_name", name])
"""


def test_two_devices_have_the_loss_of_one(words_folder, tmp_path):
    pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("tf.distribute needs the TensorFlow backend")
    options = ["--path", words_folder, "--save_path", tmp_path, "--nbepochs", "1", "--batch_size", "8",
               "--validate_every", "1", "--lr", "1e-3", "--opt", "adam", "--workers", "1"]
    subprocess.run([sys.executable, "-c", TWO_DEVICES, *options], cwd=Path(__file__).parent.parent, check=True)
    one, two = history(tmp_path / "one"), history(tmp_path / "two")
    assert len(one) == len(two) == 4
    assert float(one[-1]["val_loss"]) < 0.97 * float(one[0]["val_loss"])  # there was something to learn
    # differences that grow: a ReLU6 at its kink, and Adam's division of the smallest gradients by their own size
    for a, b, tolerance in zip(one, two, (1e-5, 1e-5, 1e-2, 1e-2)):
        assert float(a["loss"]) == pytest.approx(float(b["loss"]), rel=tolerance)
        assert float(a["val_loss"]) == pytest.approx(float(b["val_loss"]), rel=tolerance)
