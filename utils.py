"""The word recogniser as its training shares it: the network, its weights, batches of words, their validation (Keras).

    >>> network = utils.build_network(classes=38)
    >>> network.compile("adam", keras.losses.CTC())  # blank 0

A network gives logits; `words.ctc` turns them into text. Reading with a trained one is words.reader's, without Keras.
"""
import contextlib
from collections.abc import Callable

import numpy as np

from command import UserError
from fitting.backend import gpus, keras
from fitting.batches import Batches
from words import ctc
from words.alphabet import Alphabet
from words.image_files import read_image
from words.images import prepare
from words.lists import WordList
from words.metrics import letters_and_digits, score, worth_scoring
from words.models import PRESETS

layers, ops = keras.layers, keras.ops


# --- Network --------------------------------------------------------------------------------------------------

@keras.saving.register_keras_serializable(package="crnn_ocr_lite")
class SpatialTransformer(layers.Layer):
    """Straightens a word by an affine map that it reads off the image itself.

    Jaderberg, Simonyan, Zisserman, Kavukcuoglu: Spatial Transformer Networks, NIPS 2015. A small localisation net
    gives six numbers theta; output point (x, y, 1), x and y in -1..1, shows the input at theta @ (x, y, 1),
    sampled bilinearly, with the border's values beyond the border. At the start theta is the identity.

    Input and output: float [B, W, H, channels].
    """

    def build(self, input_shape):
        filters = dict(filters=20, kernel_size=5, activation="relu")
        self.localisation = keras.Sequential([
            layers.MaxPooling2D(2), layers.Conv2D(**filters), layers.MaxPooling2D(2), layers.Conv2D(**filters),
            layers.Flatten(), layers.Dense(50, activation="relu"),
            layers.Dense(6, kernel_initializer="zeros",
                         bias_initializer=lambda shape, dtype=None: ops.cast([1, 0, 0, 0, 1, 0], dtype)),
        ], name="localisation")
        self.localisation.build(input_shape)

    def call(self, images):
        width, height = images.shape[1:3]
        theta = ops.reshape(self.localisation(images), (-1, 2, 3))
        across, down = ops.meshgrid(ops.linspace(-1.0, 1.0, width), ops.linspace(-1.0, 1.0, height), indexing="ij")
        grid = ops.stack([ops.ravel(across), ops.ravel(down), ops.ones(width * height)])  # [3, W * H]
        points = ops.matmul(theta, ops.cast(grid, theta.dtype))  # [B, 2, W * H]
        return sample_bilinear(images, (points[:, 0] + 1) * (width - 1) / 2, (points[:, 1] + 1) * (height - 1) / 2)


def sample_bilinear(images: keras.KerasTensor, x: keras.KerasTensor, y: keras.KerasTensor) -> keras.KerasTensor:
    """Pixels of `images`, float [B, W, H, channels], at x and y, float [B, W * H], in pixels of W and of H.

    Returns float [B, W, H, channels]. Places beyond the border show the border.
    """
    width, height, channels = images.shape[1:]
    x, y = ops.clip(x, 0, width - 1), ops.clip(y, 0, height - 1)
    left, top = ops.floor(x), ops.floor(y)
    right, bottom = ops.minimum(left + 1, width - 1), ops.minimum(top + 1, height - 1)
    pixels = ops.reshape(images, (-1, channels))
    first = ops.expand_dims(ops.arange(ops.shape(images)[0], dtype="int32") * (width * height), 1)

    def at(column, row):
        return ops.take(pixels, first + ops.cast(column, "int32") * height + ops.cast(row, "int32"), axis=0)

    along_x, along_y = ops.expand_dims(x - left, -1), ops.expand_dims(y - top, -1)
    upper = at(left, top) * (1 - along_x) + at(right, top) * along_x
    lower = at(left, bottom) * (1 - along_x) + at(right, bottom) * along_x
    return ops.reshape(upper * (1 - along_y) + lower * along_y, (-1, width, height, channels))


def build_network(classes: int, size: tuple[int, int] = (100, 32), preset: str = "lite", synchronized: bool = False,
                  dropout: float = 0.0, **changes) -> keras.Model:
    """The recogniser: images float [B, width, height, 1] -> logits float [B, T, classes], class 0 the blank.

    STN where the shape has one, depthwise-separable convolutions (Howard et al., MobileNets, 2017), a dense layer a time
    step, two bidirectional recurrent layers, the first's directions summed, the second's concatenated (after CRNN: Shi,
    Bai, Yao, 2015). `changes` replaces values of the preset: stn (bool), rnn ("LSTM" or "GRU"), n_units, time_dense_size.
    `synchronized`: batch normalisation over all devices of a tf.distribute strategy. `dropout`: share of the recurrent
    layers' outputs that is 0 in training (Srivastava et al., JMLR 2014); it adds no weights.
    """
    shape = {**PRESETS[preset], **changes}
    inputs = keras.Input((*size, 1), name="image")
    x = SpatialTransformer(name="stn")(inputs) if shape["stn"] else inputs
    if shape["pad"]:
        x = layers.ZeroPadding2D(shape["pad"])(x)
    if shape["stem"]:
        x = layers.Conv2D(shape["stem"], 5, strides=2, padding="same", use_bias=False, name="stem")(x)
        x = _normalise(x, synchronized, "stem")
    for i, (filters, stride, pooling) in enumerate(shape["blocks"], 1):
        x = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False, name=f"depthwise{i}")(x)
        x = _normalise(x, synchronized, f"depthwise{i}")
        x = layers.Conv2D(filters, 1, use_bias=False, name=f"pointwise{i}")(x)
        x = _normalise(x, synchronized, f"pointwise{i}")
        if pooling:
            x = layers.MaxPooling2D(pooling)(x)
    x = layers.Reshape((x.shape[1], -1))(x)
    x = layers.Dense(shape["time_dense_size"], activation="relu", name="time_dense")(x)
    for i, merge_mode in enumerate(("sum", "concat"), 1):
        # reset_after=False: Cho et al. 2014, as Keras had it in 2018; True: a fifth faster, and what cuDNN computes
        cell = (layers.LSTM(shape["n_units"], return_sequences=True) if shape["rnn"] == "LSTM"
                else GRU(shape["n_units"], return_sequences=True, reset_after=shape["reset_after"]))
        x = layers.Bidirectional(cell, merge_mode=merge_mode, name=f"recurrent{i}")(x)
        x = layers.Dropout(dropout, name=f"dropout{i}")(x) if dropout else x
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name=preset)


def _normalise(x, synchronized, name):
    # momentum: averages over 10 batches; over Keras's 100 they lag behind the weights early in a training
    x = BatchNormalization(momentum=0.9, synchronized=synchronized, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu6")(x)


@keras.saving.register_keras_serializable(package="crnn_ocr_lite")
class BatchNormalization(layers.BatchNormalization):
    """Keras's, of images float [B, W, H, channels], trained by TensorFlow's fused kernel where that is the backend: mean,
    variance and outputs in one go, which on a CPU makes a step of `lite` an eighth shorter. Weights files hold the class's
    name, which therefore is Keras's too.
    """

    def call(self, inputs, training=None, mask=None):
        if not training or not self.trainable or self.synchronized or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, ops.convert_to_tensor(self.gamma), ops.convert_to_tensor(self.beta), epsilon=self.epsilon)
        count = ops.cast(ops.size(inputs) // inputs.shape[-1], "float32")
        variance *= (count - 1) / count  # the kernel divides by count - 1, Keras by count
        self.moving_mean.assign(self.momentum * self.moving_mean + (1 - self.momentum) * mean)
        self.moving_variance.assign(self.momentum * self.moving_variance + (1 - self.momentum) * variance)
        return outputs


@keras.saving.register_keras_serializable(package="crnn_ocr_lite")
class GRU(layers.GRU):
    """Keras's, run by `gru_cpu.py` where TensorFlow runs it on a CPU: a training step of `lite` is a fifth shorter by it."""

    def inner_loop(self, sequences, initial_state, mask, training=False):
        if keras.backend.backend() != "tensorflow" or gpus() or not self.cell.reset_after:
            return super().inner_loop(sequences, initial_state, mask, training=training)
        import gru_cpu
        cell = self.cell
        outputs = gru_cpu.gru(sequences, cell.kernel, cell.recurrent_kernel, cell.bias, self.go_backwards)
        return outputs[:, -1], outputs, [outputs[:, -1]]


def network_of(config: dict, **changes) -> keras.Model:
    """The network, with fresh weights, that a model folder's config describes."""
    shape = {"stn": True, **config["network"]}  # as all had, before it could be left out
    return build_network(len(config["alphabet"]) + 1, size=(shape.pop("width"), shape.pop("height")), **shape, **changes)


# --- Weights --------------------------------------------------------------------------------------------------

def copy_weights(pretrained: keras.Model, network: keras.Model, classes: list[int | None]):
    """Give `network` the weights of `pretrained`.

    classes: for each class of `network` the class of `pretrained` whose place it takes, as `inherited_classes` gives them.
    Where several take the place of one, each gets an equal part of its probability. Where it is None, the class keeps the
    weights that it has.

    `network` may have more recurrent units. The new ones start at random and are read with weight 0, so that it does what
    `pretrained` does, the aim of Net2Net (Chen, Goodfellow, Shlens, ICLR 2016), which makes them copies of old ones instead.
    """
    units, old_units = (each.get_layer("recurrent2").forward_layer.units for each in (network, pretrained))
    layers, old_layers = ([layer for layer in each.layers[:-1] if layer.weights] for each in (network, pretrained))
    for layer, old_layer in zip(layers, old_layers, strict=True):
        weights = old_layer.get_weights()
        if layer.name.startswith("recurrent"):
            weights = [wider(*pair, units, old_units) for pair in zip(layer.get_weights(), weights)]
        layer.set_weights(weights)
    kernel, bias = pretrained.layers[-1].get_weights()  # the kernel's rows: forward units, then backward ones
    kernel = wider(np.zeros((len(bias), 2 * units)), kernel.T, units, old_units).T
    new_kernel, new_bias = network.layers[-1].get_weights()
    for new, old in enumerate(classes):
        if old is not None:
            new_kernel[:, new] = kernel[:, old]
            new_bias[new] = bias[old] - np.log(classes.count(old))
    network.layers[-1].set_weights([new_kernel, new_bias])


def inherited_classes(alphabet: str, old_alphabet: str) -> list[int | None]:
    """For each class of `alphabet`, the blank first, the class of `old_alphabet` that stood for it in training.

    A character stood for itself, a capital letter was learnt as its small one, and "-" stands for all that an alphabet
    lacks; None where there is nothing of these.
    """
    old = {character: k for k, character in enumerate(old_alphabet, 1)}
    return [0, *(old.get(c, old.get(c.lower(), old.get("-"))) for c in alphabet)]


def wider(fresh: np.ndarray, weights: np.ndarray, units: int, old_units: int) -> np.ndarray:
    """A layer's weights with more units, float [..., blocks * units], from `weights`, float [..., blocks * old_units].

    A block is a gate or a direction; in each the old units come first, with their weights. The old units do not read the
    new ones (0 in the further rows); the new ones are as in `fresh`.
    """
    result = fresh.reshape(-1, fresh.shape[-1] // units, units).copy()
    weights = weights.reshape(-1, result.shape[1], old_units)
    result[:len(weights), :, :old_units] = weights
    result[len(weights):, :, :old_units] = 0
    return result.reshape(fresh.shape)


# --- Words to train and to validate on ------------------------------------------------------------------------

class WordBatches(Batches):
    """Batches of words: (images float32 [B, W, H, 1], labels int32 [B, L], 0 behind their end)."""

    def __init__(self, words, chosen, labels, size, batch_size, last, first=0, seed=0, augment=1.0, workers=1, draw=None):
        """`chosen`: int [n], the words to read; `labels`: int32 [texts, L], the classes of each of `words.texts`.

        `augment`: the share of the words that is changed at random, see `prepare`, some of them with a piece of another
        word beside them; the others are shown as they are.
        `draw`, a function (i, epoch) -> (pixels, label int32 [L]), makes the words from number len(words) on.
        """
        self.words, self.labels, self.size, self.augment, self.draw = words, labels, size, augment, draw
        super().__init__(chosen, batch_size, last, first, seed, workers)

    def read(self, i, epoch, rng):
        pixels, label = self._word(i, epoch)
        if rng.random() >= self.augment:
            return prepare(pixels, self.size), label
        neighbour = None
        if rng.random() < NEIGHBOURS:
            with contextlib.suppress(ValueError):  # its own turn tells why it cannot be read
                neighbour, _ = self._word(int(rng.choice(self.items)), epoch)
        return prepare(pixels, self.size, rng, neighbour), label

    def _word(self, i, epoch):
        if i >= len(self.words):
            return self.draw(i, epoch)
        return read_image(self.words.path(i)), self.labels[self.words.text_ids[i]]


NEIGHBOURS = 0.35  # the share of augmented words that stand beside a piece of another

LOSSES = 256  # words whose losses are computed at once: each takes some megabytes


class Validation:
    """Scores a network on words, whose images are kept: images float32 [N, W, H, 1], labels int32 [N, L], truths N str."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, truths: list[str], alphabet: Alphabet, batch_size: int = 64):
        self.images, self.labels, self.truths = images, labels, truths
        self.alphabet, self.batch_size = alphabet, batch_size

    @classmethod
    def of_words(cls, words: WordList, chosen: np.ndarray, labels: np.ndarray, size: tuple[int, int], alphabet: Alphabet):
        """The Validation of the words `chosen`, int [n], and {index: reason} of those that cannot be read."""
        images, kept, unreadable = [], [], {}
        for i in chosen:
            try:
                images.append(prepare(read_image(words.path(i)), size))
                kept.append(i)
            except ValueError as error:
                unreadable[int(i)] = str(error)
        if not kept:
            raise UserError("none of the images to validate on can be read; check --path")
        truths = [words.text(i) for i in kept]
        return cls(np.stack(images), labels[words.text_ids[kept]], truths, alphabet), unreadable

    @classmethod
    def of_drawn(cls, draw: Callable, count: int, size: tuple[int, int], alphabet: Alphabet):
        """The Validation of `count` words that are drawn once, with other fonts and writers than those to train on.

        draw: a function (i, 0, "valid") -> (pixels, label int32 [L]).
        """
        pixels, labels = zip(*(draw(i, 0, "valid") for i in range(count)))
        truths = [alphabet.decode(label[label > 0]) for label in labels]
        return cls(np.stack([prepare(each, size) for each in pixels]), np.stack(labels), truths, alphabet)

    def __call__(self, network: keras.Model) -> tuple[dict[str, float], str]:
        """(val_loss and metrics as a dict, a remark with some (prediction, truth) pairs, wrong ones first)."""
        logits = network.predict(self.images, self.batch_size, verbose=0)
        if not np.isfinite(logits).all():
            raise UserError("the network writes no finite numbers any more; lower --lr")
        loss = keras.losses.CTC(reduction="none")  # a mean would be a device's share of it
        parts = [slice(k, k + LOSSES) for k in range(0, len(logits), LOSSES)]
        losses = np.concatenate([ops.convert_to_numpy(loss(self.labels[part], logits[part])) for part in parts])
        texts = [self.alphabet.decode(classes) for classes, _ in ctc.greedy(logits)]
        pairs = [(letters_and_digits(text), letters_and_digits(truth)) for text, truth in zip(texts, self.truths)]
        which = worth_scoring(pairs)
        scored = [pair for pair, worth in zip(pairs, which) if worth]
        metrics = {"val_loss": float(np.mean(losses)), **score(*columns(scored))}
        if self.alphabet.has_case:
            cased = [(text, self.alphabet.spell(truth)[0]) for text, truth, worth in zip(texts, self.truths, which) if worth]
            metrics.update({f"cased_{name}": value for name, value in score(*columns(cased)).items()})
        examples = sorted(dict.fromkeys(scored), key=lambda pair: pair[0] == pair[1])
        return metrics, (f"word accuracy {metrics['word_accuracy']:.4f}, CER {metrics['cer']:.4f}, edit distance "
                         f"{metrics['mean_edit_distance']:.3f}, normalised {metrics['normalised_edit_distance']:.4f}; "
                         + ", ".join(f"{truth} -> {text or '(nothing)'}" for text, truth in examples[:3] + examples[-2:]))


def columns(pairs):
    """Two lists of a list of pairs."""
    return [a for a, _ in pairs], [b for _, b in pairs]
