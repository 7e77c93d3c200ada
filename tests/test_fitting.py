"""fitting/: what a training learns, its learning rate, its clipping; and labels that are the right ones."""
import json
import math
import threading

import cv2
import numpy as np
import pytest
from samples import NO_IMAGE

import train
import utils
from fitting import optimizers, recipe
from fitting.backend import keras
from fitting.batches import Batches
from words import ctc
from words.alphabet import Alphabet
from words.images import prepare

pytestmark = pytest.mark.slow  # Keras

WORDS = "ab", "letter", "c3", "book", "see", "10", "tea", "zoo"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight words drawn plainly, each to train on and, as another file, to validate on."""
    folder = tmp_path_factory.mktemp("eight")
    rows = ["file,text,split"]
    for split in ("train", "valid"):
        for k, text in enumerate(WORDS):
            image = np.full((48, 22 * len(text) + 16), 255, np.uint8)
            cv2.putText(image, text, (6, 34), cv2.FONT_HERSHEY_SIMPLEX, 1, 0, 2, cv2.LINE_AA)
            cv2.imwrite(str(folder / f"{split}{k}.png"), image)
            rows.append(f"{split}{k}.png,{text},{split}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def test_eight_words_are_learnt_by_heart_and_read_back(folder, tmp_path):
    """Wrong labels, wrong truths, a rate of 0 or gradients clipped away would end here."""
    often = ["--path", str(folder)] * 40  # so that few of the batches end an epoch, after which all is validated
    train.main([*often, "--save_path", str(tmp_path), "--model_name", "m", "--batch_size", "8", "--nbepochs", "8",
                "--n_units", "48", "--time_dense_size", "48", "--opt", "muon", "--lr", "1e-2", "--augment", "0"])
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["scores"]["word_accuracy"] == 1 and config["scores"]["words"] == 8
    network = utils.network_of(config)
    network.load_weights(tmp_path / "m" / "final.weights.h5")
    images = np.stack([prepare(cv2.imread(str(folder / f"train{k}.png"), cv2.IMREAD_GRAYSCALE)) for k in range(8)])
    read = [Alphabet("seed").decode(text.classes) for text in ctc.greedy(network.predict(images, verbose=0))]
    assert read == list(WORDS)


def test_labels_of_batches_are_those_of_their_images(folder):
    data = train.load_data([str(folder)], None, 0.9, 0, Alphabet("seed"), 25)
    batches = utils.WordBatches(data.words, data.train, data.labels, (100, 32), 8, 3, seed=5, augment=0)
    for k in range(3):
        images, labels = batches[k]
        for image, label in zip(images, labels):
            text = Alphabet("seed").decode(label[label > 0])
            file = folder / f"train{WORDS.index(text)}.png"
            np.testing.assert_array_equal(image, prepare(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)))
        assert len({tuple(label) for label in labels}) == 8  # an epoch has each once


class Writes:
    """A network that writes a text for each image, in 25 steps."""

    def __init__(self, texts, alphabet):
        self.logits = np.full((len(texts), 25, 1 + len(alphabet)), -9.0, np.float32)
        for row, text in zip(self.logits, texts):
            row[1::2, 0] = row[2 * len(text):, 0] = 9  # a blank behind each letter, and to the end
            row[np.arange(len(text)) * 2, alphabet.encode(text)] = 9

    def predict(self, images, *args, **options):
        self.images = images
        return self.logits


def test_a_validation_scores_against_the_words_own_texts(folder, monkeypatch):
    alphabet = Alphabet("seed")
    data = train.load_data([str(folder)], None, 0.9, 0, alphabet, 25)
    validation, unreadable = train.make_validation(data, (100, 32), alphabet, 100, 0)
    assert not unreadable and validation.truths == list(WORDS)
    right, _ = validation(Writes(WORDS, alphabet))
    wrong, _ = validation(Writes(WORDS[1:] + WORDS[:1], alphabet))
    assert (right["word_accuracy"], wrong["word_accuracy"]) == (1, 0)
    assert right["val_loss"] < 0.01 < 50 < wrong["val_loss"]
    monkeypatch.setattr(utils, "LOSSES", 3)  # the last batch has two words: a mean of the batches' means would be another
    assert validation(Writes(WORDS[1:] + WORDS[:1], alphabet))[0]["val_loss"] == pytest.approx(wrong["val_loss"], rel=1e-5)
    same, _ = validation(Writes(["ab"] * 8, alphabet))  # 0, 6, 2, 4, 3, 2, 3 and 3 edits away from 25 letters
    assert (same["words"], same["word_accuracy"]) == (8, 1 / 8)
    assert (same["cer"], same["mean_edit_distance"]) == pytest.approx((23 / 25, 23 / 8))


def test_case_counts_beside():
    """Scores are of lower-case letters and digits; with an alphabet of both cases, also of all that it can write."""
    alphabet = Alphabet("ascii")
    labels = np.array([alphabet.encode("To-do"), alphabet.encode("idea!")], np.int32)
    validation = utils.Validation(np.zeros((2, 100, 32, 1), np.float32), labels, ["To-do", "idea!"], alphabet)
    metrics, _ = validation(Writes(["to-do", "idea!"], alphabet))
    assert (metrics["word_accuracy"], metrics["cased_word_accuracy"], metrics["cased_cer"]) == (1, 0.5, 0.1)


def test_a_validation_is_of_the_words_to_validate_on_that_can_be_read(tmp_path):
    """No image to train on can be read here, nor the second one to validate on."""
    rows = ["file,text,split"]
    for k, text in enumerate(WORDS):
        readable = k in (4, 6, 7)
        (tmp_path / f"{k}.png").write_bytes(cv2.imencode(".png", np.eye(9 + k) * 200)[1].tobytes() if readable else b"no")
        rows.append(f"{k}.png,{text},{'train' if k < 4 else 'valid'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    data = train.load_data([str(tmp_path)], None, 0.9, 0, Alphabet("seed"), 25)
    validation, unreadable = train.make_validation(data, (100, 32), Alphabet("seed"), 100, 0)
    assert unreadable == {5: NO_IMAGE}
    assert validation.truths == [WORDS[4], WORDS[6], WORDS[7]]
    assert [Alphabet("seed").decode(label[label > 0]) for label in validation.labels] == validation.truths
    for image, k in zip(validation.images, (4, 6, 7), strict=True):
        np.testing.assert_array_equal(image, prepare(np.uint8(np.eye(9 + k) * 200)))


def test_drawn_words_to_validate_on_have_their_own_truths():
    alphabet, asked = Alphabet("seed"), []

    def draw(i, epoch, split):
        asked.append((i, epoch, split))
        return np.uint8(np.eye(9 + i) * 200), np.array(alphabet.encode(WORDS[i][:2]) + [0], np.int32)

    validation = utils.Validation.of_drawn(draw, 8, (100, 32), alphabet)
    assert asked == [(i, 0, "valid") for i in range(8)]
    assert validation.truths == [word[:2] for word in WORDS]
    for i in range(8):
        assert alphabet.decode(validation.labels[i, :2]) == WORDS[i][:2] and validation.labels[i, 2] == 0
        np.testing.assert_array_equal(validation.images[i], prepare(np.uint8(np.eye(9 + i) * 200)))


def small_network(devices=1, **options):
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="a"), keras.layers.Dense(1, name="b")])
    optimizers.compile_network(network, "mse", recipe.Recipe(**options), 1000, devices)
    return network


@pytest.mark.parametrize("schedule, rates", [
    # up over the first 20 of 1000 batches, then half a cosine down: at its middle, batch 510, half
    ("cosine", {0: 0, 10: 0.05, 20: 0.1, 510: 0.05, 1000: 0}), ("constant", {0: 0, 10: 0.05, 20: 0.1, 510: 0.1, 1000: 0.1})])
def test_the_learning_rate_rises_and_falls(schedule, rates):
    rate = small_network(lr=0.1, schedule=schedule).optimizer._learning_rate
    assert {batch: pytest.approx(float(rate(batch)), abs=1e-6) for batch in rates} == rates


@pytest.mark.parametrize("devices", [1, 2])  # each clips its own share, before the shares are added up
def test_a_gradient_is_clipped_over_all_weights(devices):
    """Two layers' gradients, together too long: their directions stay, and the length is CLIPNORM."""
    network = small_network(devices, opt="sgd", lr=1.0)
    gradients = [np.full(variable.shape, 3.0, np.float32) for variable in network.trainable_variables]
    clipped = network.optimizer._clip_gradients([keras.ops.convert_to_tensor(gradient) for gradient in gradients])
    flat = np.concatenate([np.ravel(keras.ops.convert_to_numpy(gradient)) for gradient in clipped])
    assert np.sqrt(3.0 ** 2 * flat.size) > optimizers.CLIPNORM
    np.testing.assert_allclose(flat, optimizers.CLIPNORM / devices / math.sqrt(flat.size), rtol=1e-5)


def test_muon_steps_along_the_singular_vectors_alone():
    rng = np.random.default_rng(0)
    left, _ = np.linalg.qr(rng.standard_normal((30, 30)))
    right, _ = np.linalg.qr(rng.standard_normal((70, 30)))
    gradient = np.float32(left * np.geomspace(0.1, 10, 30) @ right.T)
    shapes = {"dense_kernel": (30, 70), "tall_kernel": (70, 30), "pointwise_kernel": (1, 1, 30, 70),
              "logits_kernel": (30, 70), "bias": (30, 70)}
    variables = [keras.Variable(np.zeros(shape, np.float32), name=name) for name, shape in shapes.items()]
    optimizer = optimizers.Muon(0.01, weight_decay=0.0)
    optimizer.build(variables)
    gradients = [gradient.T if name == "tall_kernel" else gradient.reshape(shape) for name, shape in shapes.items()]
    optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], variables)
    dense, tall, pointwise, logits, bias = map(keras.ops.convert_to_numpy, variables)
    values = -left.T @ dense @ right / (0.01 * 0.2 * np.sqrt(70))  # of the step, in the gradient's own directions
    assert abs(values - np.diag(np.diag(values))).max() < 1e-3
    assert 0.6 < np.diag(values).min() and np.diag(values).max() < 1.3  # where the gradient's are 0.1 to 10
    np.testing.assert_allclose(tall, dense.T, atol=1e-6)
    np.testing.assert_allclose(pointwise[0, 0], dense, atol=1e-6)
    for adam in logits, bias:  # whose first step has the sign of the gradient
        np.testing.assert_allclose(adam, -0.01 * np.sign(gradient), rtol=0.05)


def test_batches_that_are_closed_end_behind_the_one_that_is_read():
    """As TensorFlow's thread reads them: one at work when Python ends would abort the process, after Ctrl-C."""
    begun, go, order = threading.Event(), threading.Event(), []

    class Slow(Batches):
        def read(self, item, epoch, rng):
            begun.set()
            go.wait()
            order.append("read")
            return np.zeros(1), np.zeros(1)

    batches = Slow(np.arange(1), batch_size=1, last=2)
    reading = threading.Thread(target=lambda: batches[0])
    closing = threading.Thread(target=lambda: (batches.close(), order.append("closed")))
    reading.start()
    begun.wait()
    closing.start()
    closing.join(0.2)  # long enough to close what waits for nothing
    go.set()
    reading.join()
    closing.join()
    assert order == ["read", "closed"]
    with pytest.raises(StopIteration):
        batches[1]
