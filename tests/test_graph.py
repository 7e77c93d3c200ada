"""words/graph.py: large arrays are kept in half precision, small ones as they are."""
import h5py
import numpy as np
import onnxruntime

from words import graph

RNG = np.random.default_rng(0)


def test_large_constants_are_half_as_large_in_the_file_and_whole_in_the_sum():
    large, small = RNG.standard_normal((250, 200)).astype(np.float32), RNG.standard_normal(200).astype(np.float32)
    made = graph.Graph({})
    model = made.model({"x": ["N", 250]}, {made.node("Add", made.node("MatMul", "x", large), small): ["N", 200]}, "")
    content = model.SerializeToString()
    assert len(content) < 2 * large.size + 5000
    x = RNG.standard_normal((3, 250)).astype(np.float32)
    [found] = onnxruntime.InferenceSession(content).run(None, {"x": x})
    np.testing.assert_allclose(found, x @ large.astype(np.float16).astype(np.float32) + small, rtol=1e-4, atol=1e-4)
    assert abs(found - (x @ large + small)).max() > 1e-4  # which half precision is not


def test_a_halved_weights_file_holds_the_same_numbers_less_precisely(tmp_path):
    path = tmp_path / "final.weights.h5"
    large, small = RNG.standard_normal((250, 200)).astype(np.float32), RNG.standard_normal(200).astype(np.float32)
    with h5py.File(path, "w") as file:
        layer = file.create_group("layers/dense/vars")
        layer.attrs["name"] = "dense"
        layer["0"], layer["1"] = large, small
        file.create_group("optimizer/vars")
    size = path.stat().st_size
    graph.halve(path)
    assert path.stat().st_size < 0.48 * size  # half, and compressed
    weights = graph.read_weights(path)
    np.testing.assert_array_equal(weights["dense"][0], large.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(weights["dense"][1], small)
    with h5py.File(path) as file:
        assert "optimizer/vars" in file
    graph.halve(path)  # once more changes nothing
    np.testing.assert_array_equal(graph.read_weights(path)["dense"][0], weights["dense"][0])


def test_a_damaged_weights_file_is_never_more_than_a_value_error(tmp_path):
    path = tmp_path / "final.weights.h5"
    with h5py.File(path, "w") as file:
        for name in "abcdefgh":
            layer = file.create_group(f"layers/{name}/vars")
            layer.attrs["name"] = name
            layer["0"] = np.ones(3, np.float32)
    content, draw, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(1000):
        damaged = bytearray(content)
        damaged[draw.integers(len(content))] = draw.integers(256)
        path.write_bytes(damaged)
        try:
            graph.read_weights(path)
        except ValueError as error:
            refused += 1
            assert "not a weights file of Keras 3" in str(error) or "not finite" in str(error)
    assert refused > 10
