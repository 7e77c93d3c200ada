"""The page network as train_pages.py trains it: its layers, its loss, its batches and its validation, in Keras.

    >>> network = build_network()  # images float [B, H, W, 3] -> maps float [B, H / 2, W / 2, 7]
    >>> network.compile("adamw", page_loss)

photos/network.py says what it is, and builds the same in ONNX.
"""
import math

import numpy as np

from command import UserError
from fitting.backend import keras
from fitting.batches import Batches
from photos.crops import example, moved, placement
from photos.detector import Maps, words_of
from photos.light import PAPER
from photos.metrics import f1, match
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
    return mask_loss(ink, ink_weight, maps[..., 0]) + 2 * mask_loss(kernel, kernel_weight, maps[..., 1]) + 3 * boxes


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


# --- Data -------------------------------------------------------------------------------------------------------

class PageBatches(Batches):
    """Batches of crops: (images float32 [B, size, size, 3], targets float32 [B, size / 2, size / 2, 10])."""

    def __init__(self, sources, crops, size, batch_size, last, first=0, seed=0, augment=1.0, workers=1):
        """sources: lists of photos.folders.Page, each of which gives as many of the `crops` of an epoch."""
        self.sources, self.size, self.augment = sources, size, augment
        super().__init__(np.arange(crops), batch_size, last, first, seed, workers)

    def read(self, item, epoch, rng):
        pages = self.sources[item % len(self.sources)]
        page = pages[rng.integers(len(pages))]
        image, targets = example(page, (self.size, self.size), rng, rng.random() < self.augment)
        return image.astype(np.float32), targets


class Validation:
    """Scores a network on the middle of each page, at the scale that the network is for."""

    def __init__(self, pages, size, batch_size=8):
        self.batch_size, examples = batch_size, [example(page, (size, size)) for page in pages]
        self.images = np.stack([image for image, _ in examples]).astype(np.float32)
        self.targets = np.stack([targets for _, targets in examples])
        self.words = [words_inside(page, (size, size)) for page in pages if page.quads is not None]
        self.with_words = [k for k, page in enumerate(pages) if page.quads is not None]

    def __call__(self, network):
        """(val_loss, F1 of the words and of the ink's pixels as a dict, a line that says so)."""
        maps = network.predict(self.images, self.batch_size, verbose=0)
        if not np.isfinite(maps).all():
            raise UserError("the network writes no finite numbers any more; lower --lr")
        loss = float(np.mean(ops.convert_to_numpy(page_loss(self.targets, maps))))
        counts = [match(words_of(Maps.of(maps[k]))[0], *words) for k, words in zip(self.with_words, self.words)]
        boxes = f1(*np.sum(counts, axis=0)) if counts else {}
        true, known, found = self.targets[..., 0] > 0.5, self.targets[..., 1] > 0, maps[..., 0] > 0
        ink = f1((true & known & found).sum(), (known & found).sum(), (true & known).sum())
        metrics = {"val_loss": loss, "word_f1": boxes.get("f1", math.nan), "ink_f1": ink["f1"]}
        return metrics, f"F1 of words {metrics['word_f1']:.4f}, of ink {metrics['ink_f1']:.4f}"


def words_inside(page, size):
    """(words wholly in the middle crop of a page, what may be there besides): quads float32 [N, 4, 2] each."""
    matrix = placement(page, size, None)
    quads, ignored = moved(page.quads, matrix), moved(page.ignored, matrix)
    whole = np.all((quads >= 0) & (quads < size), axis=(1, 2))
    return quads[whole], np.concatenate([quads[~whole], ignored])
