"""words/models.py and export.py: model folders found, read, refused; model.onnx written and noticed when it is stale."""
import json
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import onnxruntime
import pytest
from samples import write, write_model

import export
from command import UserError
from words.models import FORMAT, ONNX, WEIGHTS, find_model, load_config, migrate, open_session, read_config
from words.network import build_graph
from words.reader import load_reader

ROOT = Path(__file__).parent.parent


@pytest.fixture
def model(tmp_path):
    """A model folder of a small network with random weights."""
    folder = tmp_path / "model"
    folder.mkdir()
    write_model(folder)
    return folder


def config_of(folder):
    return json.loads((folder / "config.json").read_text(encoding="utf8"))


def changed(folder, place, value):
    """Put `value` at a place, a tuple of keys, of the folder's config.json."""
    config = part = config_of(folder)
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    (folder / "config.json").write_text(json.dumps(config), encoding="utf8")


# --- Folders --------------------------------------------------------------------------------------------------

def test_a_model_is_found_by_folder_file_or_the_names_of_2018(tmp_path):
    for name in ("config.json", "final.weights.h5", "checkpoint.weights.h5"):
        write(tmp_path / name, "{}")
    final, checkpoint = tmp_path / "final.weights.h5", tmp_path / "checkpoint.weights.h5"
    for given, weights in ((tmp_path, final), (final, final), (tmp_path / "final_weights.h5", final),
                           (checkpoint, checkpoint), (str(tmp_path / "checkpoint_weights.h5"), checkpoint)):
        assert find_model(given) == (tmp_path, weights)


def test_models_that_are_not_there_are_the_users_to_mend(tmp_path):
    with pytest.raises(UserError, match="no config.json"):
        find_model(tmp_path)
    write(tmp_path / "config.json", "{}")
    with pytest.raises(UserError, match="no such file"):
        find_model(tmp_path)


# --- config.json ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", sorted(path.parent.name for path in (ROOT / "models").glob("*/config.json")))
def test_shipped_models_are_valid(name):
    folder = ROOT / "models" / name
    assert load_config(folder, export.KINDS[read_config(folder)["kind"]].SCHEMA)["format"] == FORMAT


def test_a_config_of_the_first_format_is_migrated():
    old = {"alphabet": "ab", "network": {"preset": "lite", "width": 100, "height": 32, "n_units": 9}, "scores": {"cer": 1}}
    new = migrate(old)
    assert (new["format"], new["kind"], new["alphabet"], new["scores"]) == (2, "words", "ab", {"cer": 1})
    assert new["network"]["n_units"] == 9 and new["network"]["stn"] is True
    assert new["network"]["blocks"][0] == [64, 1, [1, 2]]
    assert migrate(new) == new


@pytest.mark.parametrize("place, value, said", [
    (("network", "blocks"), "x", "network.blocks"), (("network", "height"), 0, "network.height"),
    (("network", "n_units"), 10 ** 9, "network.n_units"), (("network", "attention"), 8, "attention"),
    (("network", "stn"), 1, "network.stn"), (("network", "width"), 32.5, "network.width"), (("network",), None, "network"),
    (("decoding",), [1], "decoding"), (("decoding",), {"temperature": 0}, "decoding.temperature"),
    (("decoding",), {"temperature": "x"}, "decoding.temperature"), (("decoding",), {"temperature": float("nan")}, "NaN"),
    (("decoding",), {"lexicon_margin": float("inf")}, "Infinity"), (("alphabet",), "abca", "twice"),
    (("alphabet",), "", "alphabet"), (("alphabet",), ["a"], "alphabet"), (("alphabet",), "\ud83d", "surrogates"),
    (("format",), 3, "made by a newer version"), (("format",), "2", "config.json"), (("kind",), "pages", "a model of pages"),
    (("kind",), {}, "a model of {}"), (("network", "preset"), ["lite"], "network.preset")])
def test_a_config_that_is_not_valid_is_refused_by_its_place(model, place, value, said):
    changed(model, place, value)
    with pytest.raises(UserError, match=said) as refusal:
        load_config(model)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 500


@pytest.mark.parametrize("content", ["", "[]", "{}", "3", "null", '{"network": 3, "alphabet": "ab"}', '{"network": {}}',
                                     "[" * 100_000, '{"network": {"preset": "big"}, "alphabet": "ab"}'])
def test_what_is_no_config_is_refused(tmp_path, content):
    write(tmp_path / "config.json", content)
    with pytest.raises(UserError, match="config.json: not a model's, or damaged.*; copy the model's folder anew"):
        load_config(tmp_path)
    with pytest.raises(UserError, match="none/config.json: No such file"):
        load_config(tmp_path / "none")


@pytest.mark.slow
def test_no_mutation_of_a_config_ends_in_a_traceback_or_a_number_that_is_none(model, tmp_path):
    rng = np.random.default_rng(0)
    changed(model, ("decoding",), {"temperature": 1.2, "lexicon_temperature": 0.9, "lexicon_weight": 0.2,
                                   "lexicon_margin": 6})
    values = [None, True, 0, -1, 1, 2, 1e9, 10 ** 30, 0.5, "", "x", "lite", [], [1], {}, {"a": 1}, [[1, 2], None], "é" * 99,
              -0.0, 1e-300, float("nan"), float("inf")]
    text = (model / "config.json").read_text()
    read = 0
    for k in range(300):
        folder = tmp_path / "mutated"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(model, folder)
        if k % 3:
            config, part = json.loads(text), None
            part = config
            while True:
                key = rng.choice(list(part)) if isinstance(part, dict) else int(rng.integers(len(part)))
                if isinstance(part[key], (dict, list)) and len(part[key]) and rng.random() < 0.7:
                    part = part[key]
                    continue
                if rng.random() < 0.2 and isinstance(part, dict):
                    del part[key]
                else:
                    part[key] = values[rng.integers(len(values))]
                break
            content = json.dumps(config).encode()
        else:
            content = bytearray(text.encode())
            for _ in range(rng.integers(1, 4)):
                content[rng.integers(len(content))] = rng.integers(256)
        (folder / "config.json").write_bytes(bytes(content))
        try:
            reading = load_reader(folder).read(np.arange(2000, dtype=np.uint8).reshape(20, 100))
            assert 0 <= reading.confidence <= 1
            read += 1
        except UserError as error:
            assert "\n" not in str(error)
    assert 10 < read < 250


# --- Weights and model.onnx -----------------------------------------------------------------------------------

def run(session, images):
    return session.run(["logits"], {"image": images})[0]


def test_the_exported_file_can_be_used_by_itself(model):
    export.main(["--model_path", str(model)])
    session = onnxruntime.InferenceSession(model / ONNX)
    said = session.get_modelmeta().custom_metadata_map
    assert said["alphabet"] == config_of(model)["alphabet"] and json.loads(said["network"])["width"] == 100
    assert said["kind"] == "words" and len(said["weights_sha256"]) == 64
    assert run(session, np.zeros((3, 100, 32, 1), np.float32)).shape == (3, 50, 38)
    with pytest.raises(UserError, match="model.onnx: is there already; --overwrite"):
        export.main(["--model_path", str(model)])
    export.main(["--model_path", str(model), "--overwrite"])


def test_a_model_onnx_that_is_missing_damaged_or_stale_is_made_anew_in_memory(model, capsys):
    images = np.random.default_rng(0).random((2, 100, 32, 1), np.float32)

    def answer():
        return run(open_session(load_config(model), model / WEIGHTS["final"], build_graph), images)

    first = answer()
    assert not (model / ONNX).exists()
    for damage in (b"", b"no ONNX", None):
        if damage is not None:
            (model / ONNX).write_bytes(damage)
        else:
            (model / ONNX).unlink()
            export.main(["--model_path", str(model)])
        np.testing.assert_allclose(answer(), first, atol=1e-6)
        assert ("model.onnx: is damaged; `python export.py" in capsys.readouterr().err) is (damage is not None)
    write_model(model, seed=1)  # other weights: model.onnx is stale
    assert not np.allclose(answer(), first, atol=0.1)
    assert "model.onnx: is not of these weights and this config.json; `python export.py" in capsys.readouterr().err
    write_model(model, alphabet="abc")
    assert answer().shape[2] == 4


def test_a_checkpoint_is_read_by_its_own_weights(model):
    export.main(["--model_path", str(model)])
    final = (model / WEIGHTS["final"]).rename(model / "kept")
    write_model(model, seed=1)
    (model / WEIGHTS["final"]).rename(model / WEIGHTS["checkpoint"])
    final.rename(model / WEIGHTS["final"])
    image = np.random.default_rng(0).random((1, 100, 32, 1), np.float32)
    a, b = (load_reader(path).logits(image) for path in (model, model / WEIGHTS["checkpoint"]))
    assert not np.allclose(a, b, atol=0.1)


def test_without_onnx_the_error_names_the_command(model, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(UserError, match="final.weights.h5: these need onnx: pip install -r requirements.txt, here or where "
                                        "`python export.py --model_path .* makes the model.onnx that"):
        load_reader(model)


def spoil(path, layer, change):
    with h5py.File(path, "a") as file:
        for group in file["layers"].values():
            if group["vars"].attrs["name"] == layer:
                change(group["vars"])


def test_wrong_weights_are_refused_in_a_line(model):
    weights = model / WEIGHTS["final"]

    def holds_nan(variables):
        variables["0"][...] = np.nan

    def has_another_shape(variables):
        del variables["0"]
        variables["0"] = np.zeros((3, 4), np.float32)

    for change, said in ((holds_nan, "weights of time_dense are not finite"),
                         (has_another_shape, "time_dense have the shapes")):
        write_model(model)
        spoil(weights, "time_dense", change)
        with pytest.raises(UserError, match=f"final.weights.h5: not weights of this network .*{said}"):
            load_reader(model)
    for content in (b"", b"no HDF5", weights.read_bytes()[:5000]):
        weights.write_bytes(content)
        with pytest.raises(UserError, match="final.weights.h5: not weights of this network"):
            load_reader(model)
    with h5py.File(weights, "w") as file:
        file["layers"] = 3
    with pytest.raises(UserError, match="not weights of this network"):
        load_reader(model)
    write_model(model)
    changed(model, ("network", "n_units"), 7)
    with pytest.raises(UserError, match="the weights of recurrent1/forward_layer/cell have the shapes"):
        load_reader(model)


def test_networks_share_their_memory():
    """What the first one needed is enough for the second."""
    grown = subprocess.run([sys.executable, "-c", """
import resource
import numpy as np
from photos.detector import load_detector
detectors, held = [load_detector("models/pages", 1) for _ in range(2)], []
for detector in [detectors[0], *detectors]:  # the first look has more to load than its memory
    detector.run(np.full((1024, 1024, 3), 200, np.uint8))
    held.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(held[2] - held[1])
"""], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    assert float(grown) < 30  # MB; with an arena each 100 and more
