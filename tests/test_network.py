"""words/network.py and words/graph.py: the graph answers as Keras does, on real words, for every kind of network."""
from pathlib import Path

import numpy as np
import pytest

from words.image_files import read_image
from words.images import prepare
from words.models import PRESETS, WEIGHTS, find_model, load_config, open_session, read_config
from words.network import build_graph, time_steps

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def images():
    """The 24 sample words, float32 [24, 100, 32, 1]."""
    paths = sorted([*(ROOT / "imgs" / "words").glob("*.png"), *(ROOT / "imgs" / "signs").glob("*.jpg")])
    return np.stack([prepare(read_image(path)) for path in paths])


def assert_same(network, session, images, tolerance=2e-3):
    import keras
    ours, straight = (session.run(None, {"image": images}) + [None])[:2]
    theirs = network.predict(images, verbose=0)
    np.testing.assert_allclose(ours, theirs, atol=tolerance * max(1, theirs.std()))
    np.testing.assert_array_equal(ours.argmax(axis=2), theirs.argmax(axis=2))
    for part in (slice(0, 1), slice(3, 10)):  # any number of images
        np.testing.assert_allclose(session.run(["logits"], {"image": images[part]})[0], ours[part], atol=2e-3)
    if straight is not None:
        np.testing.assert_allclose(straight, keras.ops.convert_to_numpy(network.get_layer("stn")(images)), atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.parent.name for path in (ROOT / "models").glob("*/config.json")))
def test_shipped_models_answer_as_in_keras(name, images):
    import utils
    folder, weights = find_model(ROOT / "models" / name)
    if read_config(folder)["kind"] != "words":
        pytest.skip("no word recogniser")
    config = load_config(folder)
    network = utils.network_of(config)
    network.load_weights(weights)
    assert_same(network, open_session(config, weights, build_graph), images, tolerance=2e-2)  # kept in half precision


@pytest.mark.slow
@pytest.mark.parametrize("changes", [dict(preset="seed"), dict(preset="lite", rnn="LSTM"), dict(preset="lite", stn=True),
                                     dict(preset="lite", reset_after=False, pad=1, stem=None, n_units=9)])
def test_networks_of_every_shape_answer_as_in_keras(changes, images, tmp_path):
    import keras

    import utils
    keras.utils.set_random_seed(0)  # else its weights, and how rounding adds up in them, depend on the tests before
    rng = np.random.default_rng(0)
    shape = {**PRESETS[changes["preset"]], **changes}
    if changes["preset"] == "lite":
        shape["blocks"] = [[24, 1, [2, 2]], [32, 2, None], [32, 1, [1, 2]]]
    network = utils.build_network(4, **shape)
    network.set_weights([np.abs(array + rng.normal(0, 0.1, array.shape)) if "variance" in variable.path else
                         array + rng.normal(0, 0.1, array.shape)
                         for array, variable in zip(network.get_weights(), network.weights)])
    network.save_weights(tmp_path / WEIGHTS["final"])
    config = {"kind": "words", "alphabet": "abc", "network": {"width": 100, "height": 32, **shape}}
    assert time_steps(config["network"]) == network.output_shape[1]
    assert_same(network, open_session(config, tmp_path / WEIGHTS["final"], build_graph), images)
