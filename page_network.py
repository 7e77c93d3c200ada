"""The page network as train_pages.py trains it: its layers and its loss, in Keras.

    >>> network = build_network()  # images float [B, H, W, 3] -> maps float [B, H / 2, W / 2, 7]
    >>> network.compile("adamw", page_loss)

photos/network.py says what it is, and builds the same in ONNX.
"""
from fitting.backend import keras
from photos.light import PAPER
from photos.network import MAPS, NETWORK
from utils import BatchNormalization

layers, ops = keras.layers, keras.ops


def build_network(encoder=NETWORK["encoder"], decoder=NETWORK["decoder"], depth=NETWORK["depth"]):
    """The network with fresh weights: images float [B, H, W, 3], H and W multiples of 32, values 0 to 255, PAPER the paper
    -> maps float [B, H / 2, W / 2, 7], see photos.network.MAPS."""
    inputs = keras.Input((None, None, 3), name="image")
    x = layers.Rescaling(1 / PAPER, -1, name="rescaling")(inputs)
    x = _convolution(x, encoder[0], 3, 2, "stem")
    sizes = [x]
    for k, filters in enumerate(encoder[1:], 1):
        for i in range(depth):
            x = _separable(x, filters, 2 if i == 0 else 1, f"down{k}_{i}")
        sizes.append(x)
    for k, filters in reversed(list(enumerate(decoder[::-1]))):
        x = layers.UpSampling2D(2, name=f"twice{k}")(_convolution(x, filters, 1, 1, f"up{k}"))
        x = layers.Add(name=f"sum{k}")([x, _convolution(sizes[k], filters, 1, 1, f"side{k}")])
        x = _separable(x, filters, 1, f"merge{k}")
    return keras.Model(inputs, layers.Conv2D(len(MAPS), 1, name="maps")(x), name="pages")


def _convolution(x, filters, size, stride, name):
    return _normalised(layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False, name=name)(x), name)


def _separable(x, filters, stride, name):
    x = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    return _convolution(_normalised(x, f"{name}_depthwise"), filters, 1, 1, name)


def _normalised(x, name):
    return layers.ReLU(6.0, name=f"{name}_relu6")(BatchNormalization(momentum=0.95, name=f"{name}_bn")(x))


# --- Loss -------------------------------------------------------------------------------------------------------

def page_loss(targets, maps):
    """What training brings down: float [B] of targets float [B, H, W, 10] (see photos.crops) and maps float [B, H, W, 7].

    Ink and kernels: cross entropy and Dice loss (Milletari et al., 2016). Boxes: -log of their overlap (IoU; Yu et al.,
    UnitBox, 2016) and the angle's error, at the pixels of kernels."""
    ink, ink_weight, kernel, kernel_weight = (targets[..., k] for k in range(4))
    weight = targets[..., 9]
    overlap, turned = box_errors(targets, maps)
    total = ops.sum(weight, axis=(1, 2))
    boxes = ops.sum(weight * (overlap + 10 * turned), axis=(1, 2)) / (total + 20)
    return mask_loss(ink, ink_weight, maps[..., 0]) + 2 * mask_loss(kernel, kernel_weight, maps[..., 1]) + boxes


def mask_loss(mask, weight, logits):
    """Cross entropy plus Dice loss of a mask, float [B, H, W], where the weight, float [B, H, W], is not 0: float [B]."""
    entropy = ops.maximum(logits, 0) - logits * mask + ops.log1p(ops.exp(-ops.abs(logits)))
    known = ops.cast(weight > 0, "float32")
    mean = ops.sum(weight * entropy, axis=(1, 2)) / (ops.sum(known, axis=(1, 2)) + 1)
    guess = ops.sigmoid(logits) * weight
    both, sums = ops.sum(guess * mask, axis=(1, 2)), ops.sum(guess + mask * weight, axis=(1, 2))
    some = ops.cast(ops.sum(known, axis=(1, 2)) > 0, "float32")
    return 3 * mean + some * (1 - (2 * both + 10) / (sums + 10))


def box_errors(targets, maps):
    """-log IoU of the boxes at each pixel, and the angle's error: float [B, H, W] each. Both boxes are upright in the
    truth's own axes, as in EAST: the angle is learnt by itself."""
    true = targets[..., 4:8]
    logs = ops.clip(maps[..., 2:6], -3.0, 7.0)
    sides = ops.exp(logs)
    least = ops.maximum(ops.minimum(true, sides), 0.0)
    inner = (least[..., 0] + least[..., 2]) * (least[..., 1] + least[..., 3])
    area = (true[..., 0] + true[..., 2]) * (true[..., 1] + true[..., 3])
    guess = (sides[..., 0] + sides[..., 2]) * (sides[..., 1] + sides[..., 3])
    overlap = -ops.log((inner + 1) / (area + guess - inner + 1))
    error = ops.abs(maps[..., 6] - targets[..., 8])
    return overlap, ops.where(error < 0.05, 10 * error * error, error - 0.025)
