"""Networks as ONNX graphs, built node by node from the weights that Keras saved; needs onnx and h5py, not Keras.

    graph = Graph(read_weights("models/iam/final.weights.h5"))
    x = graph.node("Transpose", "image", perm=[0, 3, 1, 2])
    x = graph.conv(x, "stem", 1, 16, 5, strides=2, norm="stem_bn", activation="relu6")
    model = graph.model({"image": ["N", 100, 32, 1]}, {x: ["N", 16, 50, 16]}, "what it is")

Images are [N, channels, rows, columns] here, as ONNX has them, where Keras has [N, rows, columns, channels].
A layer's weights are found by its name; their shapes are checked when a layer is added, so that weights of another
network raise ValueError.
"""
import os

import h5py
import numpy as np
import onnx
from onnx import helper, numpy_helper

from command import written_whole

OPSET, IR_VERSION = 17, 8  # read by onnxruntime 1.12 (2022) and later
EPSILON = 1e-3  # Keras's, of batch normalisation
LARGE = 40_000  # numbers; larger arrays, which are most of a model, are kept in half precision
SMALL = {"compression": "gzip", "compression_opts": 9, "shuffle": True}  # of an array in a weights file, a tenth less


def read_weights(path: str | os.PathLike) -> dict[str, list[np.ndarray]]:
    """{layer: its arrays, float32, in Keras's order} of a .weights.h5 file; ValueError where it is none or holds NaN.

    A layer within a layer is called "stn/localisation/layers/conv2d" or "recurrent1/forward_layer/cell".
    """
    weights = {}
    try:
        with h5py.File(path) as file:
            for group in file["layers"].values():
                _collect(group, _name(group), weights)
    except Exception as error:  # h5py has many kinds for a damaged file
        reason = str(error) if isinstance(error, OSError) else "damaged, or another program's"
        raise ValueError(f"not a weights file of Keras 3 ({reason})") from None
    for name, arrays in weights.items():
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError(f"the weights of {name} are not finite numbers")
    return weights


def halve(path: str | os.PathLike):
    """Keep the large arrays of a .weights.h5 file in half precision, and compressed, as released models do; Keras loads them
    as it did."""
    with written_whole(path) as beside, h5py.File(path) as whole, h5py.File(beside, "w", libver="latest") as half:
        def copy(name, item):
            if isinstance(item, h5py.Group):
                half.require_group(name).attrs.update(item.attrs)
            else:
                large = item.dtype == np.float32 and item.size > LARGE
                array = item[()]  # HDF5's own conversion rounds some numbers to half of what they are
                half.create_dataset(name, data=array.astype(np.float16) if large else array,
                                    **SMALL if array.size > 1000 else {})
        whole.visititems(copy)


def _name(group):
    """The name that the network gave to a layer; its group in the file is called after its class."""
    return str(group["vars"].attrs["name"])


def _collect(group, name, weights):
    for key, inner in group.items():
        if key != "vars":
            _collect(inner, f"{name}/{key}", weights)
        elif len(inner):
            weights[name] = [np.asarray(inner[str(k)], np.float32) for k in range(len(inner))]


class Graph:
    """An ONNX graph that grows by a node at a time. Values are known by their names, str."""

    def __init__(self, weights: dict[str, list[np.ndarray]]):
        self.weights, self.nodes, self.constants, self.casts = weights, [], [], []

    def node(self, kind: str, *inputs, **attributes) -> str:
        """Add a node; the name of its (first) output. An input may be an array, or "" for one that is left out."""
        inputs = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        output = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, values) -> str:
        """Add an array, float32 or int64; its name. Large ones are kept in half precision, and made float32 when loaded."""
        values = np.asarray(values)
        name = f"constant{len(self.constants)}"
        large = values.dtype.kind == "f" and values.size > LARGE
        values = np.ascontiguousarray(values, np.float16 if large else np.int64 if values.dtype.kind == "i" else np.float32)
        self.constants.append(numpy_helper.from_array(values, name))
        if large:
            self.casts.append(helper.make_node("Cast", [name], [f"{name}_float"], to=onnx.TensorProto.FLOAT))
        return f"{name}_float" if large else name

    def rename(self, value: str, name: str) -> str:
        """Give the output of the last node another name, which an output of the whole graph should have."""
        assert self.nodes[-1].output[0] == value
        self.nodes[-1].output[0] = name
        return name

    def take(self, layer: str, *shapes) -> list[np.ndarray]:
        """The arrays of a layer, which must have these shapes (None: any length); ValueError if they are others."""
        if layer not in self.weights:
            raise ValueError(f"no weights of a layer {layer}")
        arrays = self.weights[layer]
        fits = len(arrays) == len(shapes) and all(
            len(array.shape) == len(shape) and all(wanted in (None, there) for there, wanted in zip(array.shape, shape))
            for array, shape in zip(arrays, shapes))
        if not fits:
            raise ValueError(f"the weights of {layer} have the shapes {[array.shape for array in arrays]}, "
                             f"not {list(shapes)}")
        return arrays

    def conv(self, x, layer, channels, filters, kernel, strides=1, same=True, bias=False, norm=None, activation=None):
        """Conv2D, from `channels` to `filters`, with the batch normalisation `norm` folded into it.

        kernel, strides: int or (rows, columns); same: zeros around it, as Keras's padding="same" has them.
        """
        kernel = _pair(kernel)
        kernels, *biases = self.take(layer, (*kernel, channels, filters), *[(filters,)] * bias)
        return self._conv(x, kernels.transpose(3, 2, 0, 1), biases, strides, same, 1, norm, activation)

    def depthwise(self, x, layer, channels, kernel, strides=1, norm=None, activation=None):
        """DepthwiseConv2D with padding="same", and with the batch normalisation `norm` folded into it."""
        [kernels] = self.take(layer, (*_pair(kernel), channels, 1))
        return self._conv(x, kernels.transpose(2, 3, 0, 1), [], strides, True, channels, norm, activation)

    def _conv(self, x, kernels, biases, strides, same, group, norm, activation):
        filters = len(kernels)
        bias = biases[0] if biases else np.zeros(filters, np.float32)
        if norm:
            gamma, beta, mean, variance = self.take(norm, *[(filters,)] * 4)
            scale = gamma / np.sqrt(variance + EPSILON)
            kernels, bias = kernels * scale[:, np.newaxis, np.newaxis, np.newaxis], beta + (bias - mean) * scale
        x = self.node("Conv", x, kernels, bias, strides=_pair(strides), group=group, kernel_shape=kernels.shape[2:],
                      auto_pad="SAME_UPPER" if same else "VALID")
        return self.activate(x, activation)

    def activate(self, x: str, activation: str | None) -> str:
        """`x` after "relu", "relu6" or "sigmoid"; None leaves it as it is."""
        if activation == "relu6":
            return self.node("Clip", x, np.float32(0), np.float32(6))
        return self.node({"relu": "Relu", "sigmoid": "Sigmoid"}[activation], x) if activation else x

    def max_pool(self, x: str, size) -> str:
        return self.node("MaxPool", x, kernel_shape=_pair(size), strides=_pair(size))

    def dense(self, x, layer, units, activation=None, columns=slice(None)):
        """Dense over the last axis; `columns` puts the units into another order."""
        kernel, bias = self.take(layer, (None, units), (units,))
        x = self.node("Add", self.node("MatMul", x, kernel[:, columns]), bias[columns])
        return self.activate(x, activation)

    def bidirectional(self, x: str, layer: str, kind: str, units: int, reset_after: bool = True) -> str:
        """A Bidirectional GRU or LSTM of x [T, N, features]: [T, 2, N, units], forwards and backwards.

        Gates are in the order z, r, h in both for GRU; for LSTM Keras has i, f, c, o and ONNX i, o, f, c.
        """
        gates = {"GRU": [0, 1, 2], "LSTM": [0, 3, 1, 2]}[kind]
        two_biases = kind == "GRU" and reset_after  # one for the input, one for the state
        size = len(gates) * units

        def ordered(array):  # [..., gates * units] -> [gates * units, ...]
            return array.reshape(-1, len(gates), units)[:, gates].reshape(-1, size).T

        kernels, recurrent, biases = [], [], []
        for direction in ("forward_layer", "backward_layer"):
            bias_shape = (2, size) if two_biases else (size,)
            kernel, state, bias = self.take(f"{layer}/{direction}/cell", (None, size), (units, size), bias_shape)
            kernels.append(ordered(kernel))
            recurrent.append(ordered(state))
            bias = bias if two_biases else np.stack([bias, np.zeros_like(bias)])
            biases.append(ordered(bias).T.ravel())
        return self.node(kind, x, np.stack(kernels), np.stack(recurrent), np.stack(biases), direction="bidirectional",
                         hidden_size=units, **({"linear_before_reset": int(reset_after)} if kind == "GRU" else {}))

    def model(self, inputs: dict, outputs: dict, description: str) -> onnx.ModelProto:
        """The finished onnx.ModelProto. inputs, outputs: {name: shape}, all float32, where an axis that is called by a str
        may have any length."""
        def values(shapes):
            return [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items()]

        graph = helper.make_graph(self.casts + self.nodes, "network", values(inputs), values(outputs), self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                                  producer_name="CRNN_OCR_lite", doc_string=description)
        onnx.checker.check_model(model, full_check=True)
        return model


def _pair(size):
    return [size, size] if isinstance(size, int) else list(size)
