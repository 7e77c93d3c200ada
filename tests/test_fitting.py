"""fitting/: what a training learns, its learning rate, its clipping; and labels that are the right ones."""
import json
import math

import cv2
import numpy as np
import pytest

import train
import utils
from fitting import optimizers, recipe
from fitting.backend import keras
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


def test_a_validation_scores_against_the_words_own_texts(folder):
    """A network that writes the labels of its images is right about all of them; that of another word, about none."""
    alphabet = Alphabet("seed")
    data = train.load_data([str(folder)], None, 0.9, 0, alphabet, 25)
    validation, unreadable = train.make_validation(data, (100, 32), alphabet, 100, 0)
    assert not unreadable and validation.truths == list(WORDS)
    logits = np.full((8, 25, 38), -9.0, np.float32)
    for row, text in zip(logits, WORDS):
        row[1::2, 0] = row[2 * len(text):, 0] = 9  # a blank behind each letter, and to the end
        row[np.arange(len(text)) * 2, alphabet.encode(text)] = 9

    class Writes:
        def __init__(self, logits):
            self.logits = logits

        def predict(self, images, *args, **options):
            np.testing.assert_array_equal(images, validation.images)
            return self.logits

    right, _ = validation(Writes(logits))
    wrong, _ = validation(Writes(np.roll(logits, 1, axis=0)))
    assert (right["word_accuracy"], wrong["word_accuracy"]) == (1, 0)
    assert right["val_loss"] < 0.01 < 50 < wrong["val_loss"]


def small_network(loss="mse", **options):
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="a"), keras.layers.Dense(1, name="b")])
    optimizers.compile_network(network, loss, recipe.Recipe(**options), batches=1000)
    return network


@pytest.mark.parametrize("schedule, rates", [
    # up over the first 20 of 1000 batches, then half a cosine down: at its middle, batch 510, half
    ("cosine", {0: 0, 10: 0.05, 20: 0.1, 510: 0.05, 1000: 0}), ("constant", {0: 0, 10: 0.05, 20: 0.1, 510: 0.1, 1000: 0.1})])
def test_the_learning_rate_rises_and_falls(schedule, rates):
    rate = small_network(lr=0.1, schedule=schedule).optimizer._learning_rate
    assert {batch: pytest.approx(float(rate(batch)), abs=1e-6) for batch in rates} == rates


def test_a_gradient_is_clipped_over_all_weights():
    """Two layers' gradients, each short enough, together too long: their directions stay, and the length is CLIPNORM."""
    network = small_network(opt="sgd", lr=1.0)
    gradients = [np.full(variable.shape, 3.0, np.float32) for variable in network.trainable_variables]
    clipped = network.optimizer._clip_gradients([keras.ops.convert_to_tensor(gradient) for gradient in gradients])
    flat = np.concatenate([np.ravel(keras.ops.convert_to_numpy(gradient)) for gradient in clipped])
    assert np.sqrt(3.0 ** 2 * flat.size) > optimizers.CLIPNORM
    np.testing.assert_allclose(flat, optimizers.CLIPNORM / math.sqrt(flat.size), rtol=1e-5)
