"""The word recogniser as an ONNX graph: what `build_network` of utils.py trains, for reading without Keras."""
import numpy as np

from words.models import SCHEMA  # noqa: F401 (of its config.json, as each kind of network has one)

DESCRIPTION = ("A word recogniser of CRNN_OCR_lite. image: one word, [N, width, height, 1], paper 0, ink 1. logits: for "
               "each of T steps from left to right; class 0 is CTC's blank, class i + 1 character i of the alphabet.")


def build_graph(graph, config: dict):
    """The onnx.ModelProto of a word recogniser, on an empty `graph.Graph` with its weights.

    Input "image": float32 [N, width, height, 1], see `prepare`. Outputs: "logits", float32 [N, T, 1 + len(alphabet)],
    class 0 the blank; and, where the network has a STN, "straight": the image as it leaves that, of the image's shape.
    ValueError where the weights are not of this network.
    """
    shape = config["network"]
    width, height = shape["width"], shape["height"]
    classes = len(config["alphabet"]) + 1
    x = graph.node("Reshape", "image", [0, 1, width, height])  # one channel: the same numbers in another order of axes
    outputs = {}
    if shape["stn"]:
        x = _straighten(graph, x, width, height)
        outputs[graph.rename(graph.node("Reshape", x, [0, width, height, 1]), "straight")] = ["N", width, height, 1]
    x, channels, width, height = _convolutions(graph, x, shape, width, height)
    x = _time_dense(graph, x, shape["time_dense_size"], channels, height)
    x = graph.bidirectional(x, "recurrent1", shape["rnn"], shape["n_units"], shape["reset_after"])
    x = graph.node("ReduceSum", x, [1], keepdims=0)
    x = graph.bidirectional(x, "recurrent2", shape["rnn"], shape["n_units"], shape["reset_after"])
    x = graph.node("Transpose", x, perm=[2, 0, 1, 3])  # [N, T, 2, units]
    x = graph.node("Reshape", x, [0, 0, 2 * shape["n_units"]])
    outputs = {graph.rename(graph.dense(x, "logits", classes), "logits"): ["N", width, classes], **outputs}
    return graph.model({"image": ["N", shape["width"], shape["height"], 1]}, outputs, DESCRIPTION)


def time_steps(shape: dict) -> int:
    """T, how many time steps a network gives; shape: config.json's "network"."""
    width = shape["width"] + 2 * shape["pad"]
    width = -(-width // 2) if shape["stem"] else width
    for _, stride, pooling in shape["blocks"]:
        width = -(-width // stride) // (pooling[0] if pooling else 1)
    return width


def _time_dense(graph, x, units, channels, height):
    """A dense layer a time step, [T, N, units] of x [N, channels, T, height], as a convolution over the whole height: x is
    six times larger than what it makes of it, and takes long to be transposed."""
    kernel, bias = graph.take("time_dense", (height * channels, units), (units,))
    kernel = kernel.reshape(height, channels, 1, units).transpose(3, 1, 2, 0)
    x = graph.activate(graph.node("Conv", x, kernel, bias, kernel_shape=[1, height]), "relu")
    return graph.node("Reshape", graph.node("Transpose", x, perm=[2, 0, 1, 3]), [0, 0, units])


def _straighten(graph, x, width, height):
    """The spatial transformer: x [N, 1, width, height], sampled where an affine map of six numbers says."""
    stn = "stn/localisation/layers/"
    theta = graph.max_pool(x, 2)
    theta = graph.conv(theta, stn + "conv2d", 1, 20, 5, same=False, bias=True, activation="relu")
    theta = graph.max_pool(theta, 2)
    theta = graph.conv(theta, stn + "conv2d_1", 20, 20, 5, same=False, bias=True, activation="relu")
    theta = graph.node("Flatten", graph.node("Transpose", theta, perm=[0, 2, 3, 1]))  # in Keras's order
    theta = graph.dense(theta, stn + "dense", 50, activation="relu")
    # Keras's six numbers are a matrix [2, 3], whose rows give x, along the width, and y. GridSample wants columns, and
    # the last axis, which is the height here, first.
    theta = graph.dense(theta, stn + "dense_1", 6, columns=[3, 0, 4, 1, 5, 2])
    across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height), indexing="ij")
    points = np.stack([across.ravel(), down.ravel(), np.ones(width * height)], axis=1)  # [width * height, 3]
    places = graph.node("MatMul", points, graph.node("Reshape", theta, [0, 3, 2]))
    places = graph.node("Reshape", places, [0, width, height, 2])
    return graph.node("GridSample", x, places, mode="bilinear", padding_mode="border", align_corners=1)


def _convolutions(graph, x, shape, width, height):
    """The convolutions of x [N, 1, width, height]: (its name, channels, width, height) behind them."""
    channels, pad = 1, shape["pad"]
    if pad:
        x = graph.node("Pad", x, [0, 0, pad, pad, 0, 0, pad, pad])
        width, height = width + 2 * pad, height + 2 * pad
    if shape["stem"]:
        x = graph.conv(x, "stem", channels, shape["stem"], 5, strides=2, norm="stem_bn", activation="relu6")
        channels, width, height = shape["stem"], -(-width // 2), -(-height // 2)
    for i, (filters, stride, pooling) in enumerate(shape["blocks"], 1):
        x = graph.depthwise(x, f"depthwise{i}", channels, 3, stride, norm=f"depthwise{i}_bn", activation="relu6")
        x = graph.conv(x, f"pointwise{i}", channels, filters, 1, norm=f"pointwise{i}_bn", activation="relu6")
        channels, width, height = filters, -(-width // stride), -(-height // stride)
        if pooling:
            x = graph.max_pool(x, pooling)
            width, height = width // pooling[0], height // pooling[1]
    return x, channels, width, height
