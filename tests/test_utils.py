"""utils.py against enumeration, cases worked by hand, other libraries' answers, and pictures drawn here."""
import contextlib
import importlib.util
import itertools
import math
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from samples import draw, write, write_images

import command
import train
import utils
from command import UserError
from fitting import optimizers, recipe
from utils import keras
from words.alphabet import Alphabet, steps_needed
from words.image_files import read_image
from words.images import prepare
from words.lists import read_folder
from words.models import WEIGHTS, load_config

pytestmark = pytest.mark.slow  # Keras

ROOT = Path(__file__).parent.parent
SIZE = (100, 32)  # width, height


def to_numpy(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


# --- CTC's needs ----------------------------------------------------------------------------------------------

def collapse(path):
    """The label of a path: repeats merged, blanks (0) removed."""
    return tuple(c for c, _ in itertools.groupby(path) if c)


@pytest.mark.parametrize("text", ["a", "letter", "book", "aazz", "zzzz"])
def test_keras_loss_is_finite_in_exactly_the_steps_needed(text):
    alphabet, steps = Alphabet("seed"), steps_needed(text)
    loss = keras.losses.CTC()(np.array([alphabet.encode(text)], np.int32), np.zeros((1, steps, 38), np.float32))
    assert float(loss) == pytest.approx(steps * math.log(38), rel=1e-4)  # one path, each step 1 / 38


def test_keras_loss_is_minus_log_of_the_sum_over_all_paths():
    logits = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    labels = [(1, 1), (1, 2), (2,), (), (2, 1, 2)]
    padded = np.array([label + (0,) * (3 - len(label)) for label in labels], np.int32)
    sums = [sum(math.prod(word[t][c] for t, c in enumerate(path))
                for path in itertools.product(range(3), repeat=4) if collapse(path) == label)
            for word, label in zip(probabilities, labels)]
    np.testing.assert_allclose(to_numpy(keras.losses.CTC(reduction=None)(padded, logits)), -np.log(sums), rtol=1e-4)


# --- Network --------------------------------------------------------------------------------------------------

def transformer(theta=None, shape=(40, 30, 1)):
    """A SpatialTransformer for images of `shape` whose map is `theta`, six numbers, for any image."""
    layer = utils.SpatialTransformer()
    layer.build((None, *shape))
    if theta is not None:
        layer.localisation.layers[-1].bias.assign(np.array(theta, np.float32))
    return layer


def random_images(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def test_the_transformer_starts_as_the_identity():
    images = random_images(2, 40, 30, 1)
    np.testing.assert_allclose(to_numpy(transformer()(images)), images, atol=1e-4)


@pytest.mark.parametrize("theta, expected", [
    ([-1, 0, 0, 0, 1, 0], lambda images: images[:, ::-1]),
    ([1, 0, 0, 0, -1, 0], lambda images: images[:, :, ::-1]),
    ([1, 0, 2 * 10 / 39, 0, 1, 0], lambda images: images[:, np.minimum(np.arange(40) + 10, 39)]),  # 10 pixels on
    ([1, 0, 0, 0, 1, -2 * 3 / 29], lambda images: images[:, :, np.maximum(np.arange(30) - 3, 0)]),
    ([0, 0, 0, 0, 0, 0], lambda images: images[:, 19:21, 14:16].mean((1, 2), keepdims=True) + 0 * images),
    ([0, 0, 9, 0, 0, -9], lambda images: images[:, 39:, :1] + 0 * images)],  # beyond a corner
    ids=["flip x", "flip y", "shift x", "shift y", "middle", "corner"])
def test_the_transformer_shows_what_theta_says(theta, expected):
    images = random_images(2, 40, 30, 1)
    np.testing.assert_allclose(to_numpy(transformer(theta)(images)), expected(images), atol=1e-4)


def test_the_transformer_agrees_with_opencv():
    theta = np.array([[0.8, 0.3, 0.1], [-0.2, 1.3, -0.15]])
    image = cv2.GaussianBlur(random_images(30, 40), (0, 0), 2)  # [H, W]
    x, y = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 30))
    sources = np.tensordot(theta, np.stack([x, y, np.ones_like(x)]), axes=1)
    maps = ((sources + 1) * np.array([39, 29])[:, None, None] / 2).astype(np.float32)
    expected = cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    out = to_numpy(transformer(theta.ravel())(image.T[np.newaxis, ..., np.newaxis]))
    np.testing.assert_allclose(out[0, ..., 0].T, expected, atol=2e-3)  # OpenCV rounds places to 1/32 pixel


def test_bilinear_sampling_pixel_by_pixel():
    images = random_images(3, 5, 4, 2)
    x, y = (np.random.default_rng(k).uniform(-2, 6, (3, 20)).astype(np.float32) for k in (1, 2))

    def sample(image, x, y):
        x, y = min(max(x, 0), 4), min(max(y, 0), 3)
        return sum(image[i, j] * max(0, 1 - abs(x - i)) * max(0, 1 - abs(y - j)) for i in range(5) for j in range(4))

    expected = [[sample(image, *place) for place in zip(*places)] for image, *places in zip(images, x, y)]
    out = to_numpy(utils.sample_bilinear(keras.ops.convert_to_tensor(images), keras.ops.convert_to_tensor(x),
                                         keras.ops.convert_to_tensor(y)))
    np.testing.assert_allclose(out.reshape(3, 20, 2), expected, atol=1e-5)


def test_a_saved_network_loads_without_custom_objects(tmp_path):
    network = utils.build_network(5, size=(40, 28), n_units=4, time_dense_size=4, stn=True)
    network.get_layer("stn").localisation.layers[-1].bias.assign([0.9, 0.1, 0.2, 0, 1.1, -0.1])
    network.save(tmp_path / "network.keras")
    images = random_images(2, 40, 28, 1)
    expected = to_numpy(network(images))
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_allclose(to_numpy(loaded(images)), expected, atol=1e-5)
    assert expected.shape == (2, 20, 5) and np.isfinite(expected).all()


def test_the_seed_preset_is_the_network_of_2018():
    network = utils.build_network(38, preset="seed")
    assert network.count_params() == 2_831_027 and network.output_shape == (None, 52, 38)


def test_the_lite_preset_is_light():
    network = utils.build_network(38, stn=True)
    assert network.count_params() <= 1_000_000 and network.output_shape == (None, 50, 38)
    assert utils.build_network(96, size=(128, 48)).output_shape == (None, 64, 96)


def test_recurrent_layers_can_be_chosen():
    for rnn, kind in (("GRU", keras.layers.GRU), ("LSTM", keras.layers.LSTM)):
        network = utils.build_network(38, rnn=rnn, n_units=8)
        for layer, units in ((network.get_layer("recurrent1"), 8), (network.get_layer("recurrent2"), 16)):
            assert isinstance(layer.forward_layer, kind) and layer.output.shape[1:] == (50, units)


def test_fused_batch_normalisation_trains_as_keras_s_own():
    images, outcomes = 3 + 2 * np.random.default_rng(0).normal(size=(4, 5, 3, 2)).astype(np.float32), []
    for kind in (keras.layers.BatchNormalization, utils.BatchNormalization):
        inputs = keras.Input((5, 3, 2))
        network = keras.Model(inputs, kind(momentum=0.9)(inputs) ** 2)
        network.layers[1].set_weights([*np.array([[1, 2], [0, 3], [0, 0], [1, 1]], np.float32)])
        network.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        losses = [float(network.train_on_batch(images, np.ones_like(images))) for _ in range(3)]
        outcomes.append([losses, *network.layers[1].get_weights(), to_numpy(network(images))])
    for keras_s, ours in zip(*outcomes):
        np.testing.assert_allclose(ours, keras_s, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backwards", [False, True])
def test_the_gru_reads_and_learns_as_keras_s_own(backwards):
    sequences, outcomes = np.random.default_rng(0).normal(size=(3, 7, 4)).astype(np.float32), []
    weights = [np.random.default_rng(k).normal(size=shape) for k, shape in enumerate(((4, 15), (5, 15), (2, 15)))]
    for kind in (keras.layers.GRU, utils.GRU):
        inputs = keras.Input((7, 4))
        layer = kind(5, return_sequences=True, go_backwards=backwards)
        network = keras.Model(inputs, layer(keras.layers.Dense(4, use_bias=False, kernel_initializer="identity")(inputs)))
        layer.set_weights(weights)
        before = to_numpy(network(sequences))
        network.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        losses = [float(network.train_on_batch(sequences, np.ones_like(before))) for _ in range(3)]
        outcomes.append([before, losses, *network.get_weights(), to_numpy(network(sequences[:1]))])
    for keras_s, ours in zip(*outcomes, strict=True):
        np.testing.assert_allclose(ours, keras_s, rtol=1e-4, atol=1e-6)


TRAIN = """
import sys
import numpy as np
import utils
from utils import keras

folder = sys.argv[1] + "/"
given = np.load(folder + "given.npz")
network = utils.build_network(5, stn=True)
network.load_weights(folder + "start.weights.h5")
logits = keras.ops.convert_to_numpy(network(given["images"], training=False))
network.compile(keras.optimizers.Adam(3e-3), keras.losses.CTC(), jit_compile=False)
losses = [float(network.train_on_batch(given["images"], given["labels"])) for _ in range(3)]
theta = keras.ops.convert_to_numpy(network.get_layer("stn").localisation.layers[-1].bias)
np.savez(folder + keras.backend.backend(), logits=logits, losses=losses, theta=theta)
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A folder with a network's weights and a batch, and the network's answer here."""
    folder = tmp_path_factory.mktemp("start")
    network = utils.build_network(5, stn=True)
    network.save_weights(folder / "start.weights.h5")
    images = np.stack([prepare(draw(text)[0]) for text in ("ab", "bb")])
    np.savez(folder / "given.npz", images=images, labels=np.array([[1, 2], [2, 2]], np.int32))
    return folder, to_numpy(network(images, training=False))


@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax"])
def test_each_backend_computes_the_same_and_learns(backend, start):
    if not importlib.util.find_spec(backend):
        pytest.skip(f"{backend} is not installed")
    folder, logits = start
    subprocess.run([sys.executable, "-c", TRAIN, str(folder)], check=True, cwd=ROOT, timeout=300,
                   env={**os.environ, "KERAS_BACKEND": backend})
    result = np.load(folder / f"{backend}.npz")
    np.testing.assert_allclose(result["logits"], logits, atol=1e-3)
    assert np.isfinite(result["losses"]).all() and result["losses"][-1] < result["losses"][0]
    assert np.abs(result["theta"] - [1, 0, 0, 0, 1, 0]).max() > 1e-4  # the transformer learns too


# --- Batches --------------------------------------------------------------------------------------------------

@pytest.fixture
def seven(tmp_path):
    """WordList of seven images, each with its own text; labels with the text's number + 1 as their one class."""
    write_images(tmp_path, *(f"_{text}_{i}.png" for i, text in enumerate(("ab", "cd", "ef", "gh", "ij", "kl", "mn"))))
    words = read_folder(tmp_path)
    return words, np.arange(1, 8, dtype=np.int32)[:, np.newaxis]


def batches(seven, chosen=range(7), batch_size=3, count=7, **options):
    words, labels = seven
    return utils.WordBatches(words, np.array(chosen), labels, SIZE, batch_size, count, **options)


def seen(reading):
    """Indices of the words in the order they come."""
    return [int(label[0]) - 1 for k in range(len(reading)) for label in reading[k][1]]


def test_every_batch_is_full_and_each_image_has_its_label(seven):
    reading = batches(seven, augment=0.0)
    assert len(reading) == 7
    for images, labels in (reading[k] for k in range(7)):
        assert images.shape == (3, *SIZE, 1) and images.dtype == np.float32
        assert labels.shape == (3, 1) and labels.dtype == np.int32
        for image, label in zip(images, labels):
            np.testing.assert_array_equal(image, prepare(read_image(seven[0].path(label[0] - 1))))


@pytest.mark.parametrize("share, least, most", [(0.0, 0, 0), (0.3, 45, 84), (1.0, 210, 210)])  # 63 +- 3 standard deviations
def test_a_share_of_the_words_is_augmented(seven, share, least, most):
    reading = batches(seven, batch_size=30, augment=share)
    plain = [prepare(read_image(seven[0].path(i))) for i in range(7)]
    changed = sum(not np.array_equal(image, plain[label[0] - 1]) for k in range(7) for image, label in zip(*reading[k]))
    assert least <= changed <= most


def test_a_third_of_the_augmented_words_stand_beside_a_piece_of_another(seven, monkeypatch):
    neighbours = []
    monkeypatch.setattr(utils, "prepare", lambda pixels, size, rng, other: neighbours.append(other) or prepare(pixels, size))
    reading = batches(seven, batch_size=100, count=3)
    [reading.read_batch(k) for k in range(3)]
    beside = [other for other in neighbours if other is not None]
    assert len(neighbours) == 300 and 80 <= len(beside) <= 130  # 105 +- 3 standard deviations
    images = [read_image(seven[0].path(i)) for i in range(7)]
    assert all(any(np.array_equal(other, image) for image in images) for other in beside)


def test_a_neighbour_that_cannot_be_read_does_no_harm(seven, tmp_path):
    Path(seven[0].path(3)).write_bytes(b"no image")
    images, labels, unreadable = batches(seven, batch_size=60, count=1, chosen=range(7)).read_batch(0)
    assert list(unreadable) == [3] and 4 not in labels and images.shape == (60, *SIZE, 1)


def test_a_word_is_changed_anew_each_time(seven):
    reading = batches(seven, chosen=[0], batch_size=2, count=2)
    shown = [image.tobytes() for k in range(2) for image in reading[k][0]]
    assert len(set(shown)) == 4


def test_each_epoch_shows_each_word_once_in_a_new_order(seven):
    order = np.reshape(seen(batches(seven)), (3, 7))
    assert (np.sort(order, axis=1) == np.arange(7)).all()
    assert len({tuple(epoch) for epoch in order}) == 3
    assert seen(batches(seven)) == order.ravel().tolist() != seen(batches(seven, seed=1))
    assert sorted(seen(batches(seven, chosen=[1, 4, 6], count=1))) == [1, 4, 6]
    assert seen(batches(seven, chosen=[1, 4], batch_size=5, count=2)).count(4) == 5  # a batch longer than an epoch


def test_a_training_that_goes_on_sees_what_it_would_have_seen(seven):
    whole, rest = batches(seven), batches(seven, first=4)
    assert len(rest) == 3
    for k in range(3):
        for ours, theirs in zip(rest[k], whole[4 + k]):
            np.testing.assert_array_equal(ours, theirs)


def test_batches_come_in_order_from_any_number_of_workers(seven):
    inputs = keras.Input((*SIZE, 1))
    echo = keras.Model(inputs, keras.layers.Flatten()(inputs))
    expected = np.concatenate([batches(seven)[k][0] for k in range(7)]).reshape(21, -1)
    for workers in (1, 3):
        with contextlib.closing(batches(seven, workers=workers)) as reading:
            np.testing.assert_allclose(echo.predict(reading, verbose=0), expected, atol=1e-6)


def test_an_unreadable_image_is_remembered_and_replaced(seven):
    write(Path(seven[0].path(2)), "")
    reading = batches(seven)
    order = seen(reading)
    assert len(order) == 21 and set(order) == {0, 1, 3, 4, 5, 6}
    assert reading.unreadable == {2: "the file is empty"}
    with contextlib.closing(batches(seven, workers=2)) as apart:  # in processes of their own
        assert seen(apart) == order and apart.unreadable == {2: "the file is empty"}
    with pytest.raises(UserError, match="not one image"):
        batches(seven, chosen=[2])[0]


# --- From one network to another -------------------------------------------------------------------------------

def test_a_character_of_which_nothing_is_known_starts_afresh():
    assert utils.inherited_classes("abéB", "xab") == [0, 2, 3, None, 3]


@pytest.mark.parametrize("preset, rnn", [("lite", "GRU"), ("lite", "LSTM"), ("seed", "GRU")])
def test_a_network_that_grows_does_what_it_did(preset, rnn, tmp_path):
    shape = {"preset": preset, "width": 40, "height": 28, **utils.PRESETS[preset], "rnn": rnn, "n_units": 3}
    command.write_json(tmp_path / "config.json", {"alphabet": "abc", "network": shape})
    small = utils.network_of(load_config(tmp_path))
    small.save_weights(tmp_path / WEIGHTS["final"])
    images = np.random.default_rng(0).random((2, 40, 28, 1), np.float32)
    config = train.start_config({"n_units": 5}, None, [tmp_path])
    grown, reads = train.start_network(config, [tmp_path])
    assert reads
    assert config["network"]["n_units"] == 5 and grown.count_params() > small.count_params()
    np.testing.assert_allclose(grown.predict(images, verbose=0), small.predict(images, verbose=0), atol=1e-5)
    optimizers.compile_network(grown, keras.losses.CTC(), recipe.Recipe(), 3)
    for _ in range(3):
        grown.train_on_batch(images, np.array([[1, 2], [3, 0]]))
    kernel = grown.layers[-1].get_weights()[0].reshape(2, 5, 4)
    assert abs(kernel[:, 3:]).min() > 0  # the new units have begun to be read
    with pytest.raises(UserError, match="has n_units 3, not 2; leave that option out, or give more"):
        train.start_config({"n_units": 2}, None, [tmp_path])
