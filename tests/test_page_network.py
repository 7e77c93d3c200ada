"""The page network: Keras against ONNX, the loss by hand, and a page that is learnt and found again."""
import json

import numpy as np
import pytest

import export
from command import UserError
from photos.detector import load_detector, words_of
from photos.metrics import f1, match
from photos.network import NETWORK, SCHEMA
from words.models import load_config

SMALL = {"encoder": [8, 12, 16, 16, 16], "decoder": [16, 12, 12, 8], "depth": 1}


@pytest.fixture(scope="module")
def page_network():
    return pytest.importorskip("page_network")


def model_folder(folder, page_network, network=None, shape=SMALL):
    network = network or page_network.build_network(**shape)
    folder.mkdir(exist_ok=True)
    network.save_weights(folder / "final.weights.h5")
    (folder / "config.json").write_text(json.dumps({"format": 2, "kind": "pages", "network": shape}))
    return network


@pytest.mark.slow
@pytest.mark.parametrize("shape", [SMALL, NETWORK])
def test_onnx_says_what_keras_says(tmp_path, page_network, shape):
    network = page_network.build_network(**shape)
    rng = np.random.default_rng(0)
    network.set_weights([rng.uniform(0.1, 0.5, weight.shape) * rng.choice([-1, 1], weight.shape)
                         if weight.ndim > 1 else rng.uniform(0.5, 1.5, weight.shape) for weight in network.get_weights()])
    model_folder(tmp_path / "model", page_network, network, shape)
    export.main(["--model_path", str(tmp_path / "model")])
    images = rng.uniform(0, 255, (2, 64, 96, 3)).astype(np.float32)
    maps = load_detector(tmp_path / "model").network(images)
    expected = np.array(network(images))
    assert maps.shape == (2, 32, 48, 7) and expected.std() > 0
    assert abs(maps - expected).max() < 1e-2 * abs(expected).max()  # large arrays are kept in half precision


@pytest.mark.slow
def test_a_page_network_is_not_taken_for_a_recogniser_nor_wrong_weights_for_it(tmp_path, page_network):
    model_folder(tmp_path, page_network)
    with pytest.raises(UserError, match="of pages, not of words"):
        load_config(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"format": 2, "kind": "pages", "network": NETWORK}))
    assert load_config(tmp_path, SCHEMA)["network"] == NETWORK
    with pytest.raises(UserError, match="not weights of this network"):
        load_detector(tmp_path)


@pytest.mark.slow
def test_the_loss_by_hand(page_network):
    targets = np.zeros((1, 2, 2, 10), np.float32)
    targets[0, 0, 0] = 0, 0, 1, 1, 2, 2, 4, 2, 0.1, 1  # a box of 6 x 4
    maps = np.zeros((1, 2, 2, 7), np.float32)
    maps[0, 0, 0] = 0, 0, np.log(2), np.log(1), np.log(4), np.log(3), 0.3
    overlap, turned = (np.array(error)[0, 0, 0] for error in page_network.box_errors(targets, maps))
    assert overlap == pytest.approx(-np.log((6 * 3 + 1) / (24 + 24 - 18 + 1)), rel=1e-4)
    assert turned == pytest.approx(0.2 - 0.025, rel=1e-4)

    def loss(weight, logit):
        mask, weight, logits = np.float32([[[[1, 0]]], [[[weight] * 2]], [[[logit, -logit]]]])
        return float(np.array(page_network.mask_loss(mask, weight, logits))[0])
    assert loss(1, 9) < 0.01 < 1 < loss(1, -9) and loss(0, -9) == 0


@pytest.mark.slow
def test_a_drawn_page_is_learnt_and_found_again(tmp_path, page_network, monkeypatch):
    import render
    from photos.crops import example
    from photos.folders import Page
    from render.pages import draw_page

    drawn = draw_page(render.Renderer(), np.random.default_rng(9), size=(320, 320))
    assert len(drawn.quads) >= 3
    page = Page("drawn", "train", drawn.image, drawn.quads, ink=drawn.ink, height=26)
    image, targets = example(page, (320, 320))
    page_network.keras.utils.set_random_seed(1)
    network = page_network.build_network(**SMALL)
    falling = page_network.keras.optimizers.schedules.CosineDecay(1e-2, 300)
    network.compile(page_network.keras.optimizers.Adam(falling), page_network.page_loss)
    for _ in range(300):
        network.train_on_batch(image[None].astype(np.float32), targets[None])
    model_folder(tmp_path, page_network, network)
    monkeypatch.setattr("photos.detector.SCORE", 0.5)  # after so few steps it is not surer
    found = load_detector(tmp_path).look(drawn.image)
    assert f1(*match(words_of(found)[0], page.quads, least=0.3))["f1"] > 0.8
