"""The page network as an ONNX graph: what `build_network` of page_network.py trains, for reading without Keras.

A U-shaped network (Ronneberger et al., 2015) of depthwise-separable convolutions (Howard et al., MobileNets, 2017) from a
photo whose light is evened out to MAPS at half its size. As in EAST (Zhou et al., 2017) each pixel of a word's kernel, its
inner part, says how far the word's sides are and how it is turned.
"""
from photos.light import PAPER

MAPS = ("ink", "kernel", "left", "top", "right", "bottom", "angle")  # two logits, four logarithms of pixels, radians
STRIDE = 2  # pixels of the image a pixel of the maps
MULTIPLE = 32  # the image's sides are multiples of it
SHRINK = 0.3  # a word's kernel is the word less this part of its shorter side, on every side
WORD_HEIGHT = 26  # px of a page's words, by the median, at the scale at which the network reads

# Channels at 1/2, 1/4, ... of the image's size and on the way back up to 1/2; separable convolutions at each size.
NETWORK = {"encoder": [24, 48, 96, 160, 224], "decoder": [96, 64, 48, 24], "depth": 2}

_CHANNELS = {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 4096}}
SCHEMA = {  # of a page network's config.json
    "type": "object", "required": ["format", "kind", "network"],
    "properties": {
        "format": {"const": 2}, "kind": {"const": "pages"}, "trained": {"type": "object"}, "scores": {"type": "object"},
        "network": {"type": "object", "required": list(NETWORK), "additionalProperties": False, "properties": {
            "encoder": {**_CHANNELS, "minItems": 5, "maxItems": 5}, "decoder": {**_CHANNELS, "minItems": 4, "maxItems": 4},
            "depth": {"type": "integer", "minimum": 1, "maximum": 16}}}}}

DESCRIPTION = (f"A page network of CRNN_OCR_lite. image: a photo over its background, [N, height, width, 3], {PAPER} paper, "
               f"sides multiples of {MULTIPLE}. maps: [N, height / 2, width / 2, 7]: {', '.join(MAPS)}.")


def build_graph(graph, config):
    """The onnx.ModelProto of a page network, on an empty `words.graph.Graph` with its weights.

    Input "image": float32 [N, H, W, 3], see `photos.light.even_light`, H and W multiples of MULTIPLE. Output "maps": float32
    [N, H / 2, W / 2, 7], see MAPS. ValueError where the weights are not of this network.
    """
    encoder, decoder, depth = (config["network"][name] for name in NETWORK)
    x = graph.node("Transpose", "image", perm=[0, 3, 1, 2])
    x = graph.node("Add", graph.node("Mul", x, [1 / PAPER]), [-1.0])
    x = _convolution(graph, x, "stem", 3, encoder[0], 3, 2)
    sizes, channels = [x], encoder[0]
    for k, filters in enumerate(encoder[1:], 1):
        for i in range(depth):
            x = _separable(graph, x, f"down{k}_{i}", channels, filters, 2 if i == 0 else 1)
            channels = filters
        sizes.append(x)
    for k, filters in reversed(list(enumerate(decoder[::-1]))):
        x = _convolution(graph, x, f"up{k}", channels, filters, 1)
        x = graph.node("Resize", x, "", [1.0, 1.0, 2.0, 2.0], mode="nearest", nearest_mode="floor",
                       coordinate_transformation_mode="asymmetric")
        x = graph.node("Add", x, _convolution(graph, sizes[k], f"side{k}", encoder[k], filters, 1))
        x = _separable(graph, x, f"merge{k}", filters, filters)
        channels = filters
    x = graph.conv(x, "maps", channels, len(MAPS), 1, bias=True)
    maps = graph.rename(graph.node("Transpose", x, perm=[0, 2, 3, 1]), "maps")
    return graph.model({"image": ["N", "H", "W", 3]}, {maps: ["N", "h", "w", len(MAPS)]}, DESCRIPTION)


def _convolution(graph, x, name, channels, filters, size, stride=1):
    return graph.conv(x, name, channels, filters, size, stride, norm=f"{name}_bn", activation="relu6")


def _separable(graph, x, name, channels, filters, stride=1):
    x = graph.depthwise(x, f"{name}_depthwise", channels, 3, stride, norm=f"{name}_depthwise_bn", activation="relu6")
    return _convolution(graph, x, name, channels, filters, 1)
