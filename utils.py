"""The word recogniser as the trainings share it: network, batches of words, weights (Keras).

    >>> network = utils.build_network(classes=38)
"""
import concurrent.futures.process
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import platform
import signal
import sys
import threading

import numpy as np

from command import UserError
from words.alphabet import Alphabet
from words.images import prepare, read_image
from words.models import find_model, load_config
from words.reader import Reader

@contextlib.contextmanager
def no_stderr():
    """Nothing that is written to stderr, by C++ too, is seen; exceptions pass."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # only TensorFlow's errors are for users; and as it heeds that
with no_stderr():                                  # badly while it loads (tensorflow issue 100442), none then
    import keras
    from keras import layers, ops


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


def sample_bilinear(images, x, y):
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


# A preset's blocks: (filters, stride, pooling after it), each (along the width, along the height).
PRESETS = {
    # The 2018 network, as its published weights have it: the one to measure against.
    "seed": dict(stn=True, pad=2, stem=None, rnn="GRU", reset_after=False, n_units=256, time_dense_size=128, blocks=(
        (64, 1, None), (128, 1, None), (256, 1, (2, 2)), (256, 1, None), (512, 1, (1, 2)), (512, 1, None),
        (512, 1, None))),
    # Half the width and height from the first layer on: an eighth of the multiply-adds and a third of the parameters. From
    # nothing it learns better without STN (benchmarks/results/2026-11-23-what-pays.md); the shipped models have one.
    "lite": dict(stn=False, pad=0, stem=32, rnn="GRU", reset_after=True, n_units=160, time_dense_size=128, blocks=(
        (64, 1, (1, 2)), (128, 1, None), (128, 1, (1, 2)), (256, 1, None), (256, 1, (1, 2)), (384, 1, None))),
}


def build_network(classes, size=(100, 32), preset="lite", synchronized=False, dropout=0.0, **changes):
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


def network_of(config, **changes):
    """The network, with fresh weights, that a model folder's config describes."""
    shape = {"stn": True, **config["network"]}  # as all had, before it could be left out
    return build_network(len(config["alphabet"]) + 1, size=(shape.pop("width"), shape.pop("height")), **shape, **changes)


def load_weights(network, weights):
    try:
        keras.Model(network.inputs, network.outputs).load_weights(weights)  # whatever optimizer the network has
    except Exception as error:  # h5py and Keras raise many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{weights}: not weights of this network ({reason})") from None


def load_reader(path, **decoding):
    """The Reader of a model folder, or of a weights file in one.

    decoding: as of Reader, beam_width, lexicon ("en", or the path of a word list), threads and squeezes.
    """
    folder, weights = find_model(path)
    config = load_config(folder)
    network = network_of(config)
    load_weights(network, weights)
    return Reader(network, Alphabet(config["alphabet"]), config.get("decoding"), **decoding)


class Batches(keras.utils.PyDataset):
    """A whole training as one row of full batches: (images float32 [B, W, H, 1], labels int32 [B, L]).

    Epoch after epoch in a new order; a batch may reach over an epoch's end, so that none is half filled. Batch k
    depends on (`words`, `seed`, k) alone: a training that goes on at batch `first` sees what it would have seen.
    Unreadable images are replaced by the batch's other words, and remembered in `unreadable` {index: reason}.

    With `workers` > 1, on Linux, so many processes read ahead (threads would wait for each other at Python's lock);
    `close` ends them.
    """

    def __init__(self, words, chosen, labels, size, batch_size, batches, first=0, seed=0, augment=1.0, workers=1,
                 draw=None):
        """`chosen`: int [n], the words to read; `labels`: int32 [texts, L], the classes of each of `words.texts`.

        `augment`: the share of the words that is changed at random, see `prepare`; the others are shown as they are.
        `draw`, a function (i, epoch) -> (pixels, label int32 [L]), makes the words from number len(words) on.
        """
        super().__init__(workers=1)
        self.words, self.chosen, self.labels, self.size, self.draw = words, chosen, labels, size, draw
        self.batch_size, self.first, self.last = batch_size, first, batches
        self.seed, self.augment, self.unreadable = seed, augment, {}
        self.failure = None  # a UserError, which Keras would wrap in errors of its own
        self._orders, self._pool, self._futures, self._ahead = {}, None, {}, 3 * workers
        if workers > 1 and sys.platform == "linux":
            # fork: each process has the words at once, and no second TensorFlow. Elsewhere it is missing, or unsafe.
            self._pool = concurrent.futures.ProcessPoolExecutor(
                workers, multiprocessing.get_context("fork"), initializer=_begin_reading, initargs=(self,))
            self._read_ahead(0)

    def __len__(self):
        return self.last - self.first

    def __getitem__(self, k):
        try:
            if self._pool:
                self._read_ahead(k)
                images, labels, unreadable = self._futures.pop(k).result()
            else:
                images, labels, unreadable = self.read_batch(k)
        except concurrent.futures.process.BrokenProcessPool:
            self.failure = UserError("a process that reads images was ended from outside, maybe for want of memory; "
                                     "go on with --resume and fewer --workers")
            raise self.failure from None
        except UserError as error:
            self.failure = error
            raise
        self.unreadable.update(unreadable)
        return images, labels

    def _read_ahead(self, k):
        for later in range(k, min(k + self._ahead, len(self))):
            if later not in self._futures:
                self._futures[later] = self._pool.submit(_read_batch, later)

    def close(self):
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def read_batch(self, k):
        """Batch k: images, labels, and {index: reason} of the words that could not be read."""
        places = np.arange(self.batch_size) + (self.first + k) * self.batch_size
        rng = np.random.default_rng((self.seed, self.first + k))
        images, labels, unreadable = [], [], {}
        for epoch, offset in zip(*(part.tolist() for part in np.divmod(places, len(self.chosen)))):
            i = self._order(epoch)[offset]
            try:
                pixels, label = self._word(i, epoch)
                images.append(prepare(pixels, self.size, rng if rng.random() < self.augment else None))
                labels.append(label)
            except ValueError as error:
                unreadable[int(i)] = str(error)
        if not images:
            raise UserError("not one image of a whole batch is readable; the paths in the word list seem to be wrong")
        filled = [j % len(images) for j in range(self.batch_size)]
        return np.stack([images[j] for j in filled]), np.stack([labels[j] for j in filled]), unreadable

    def _word(self, i, epoch):
        if i >= len(self.words):
            return self.draw(int(i), epoch)
        return read_image(self.words.path(i)), self.labels[self.words.text_ids[i]]

    def _order(self, epoch):
        if epoch not in self._orders:
            self._orders = {e: order for e, order in self._orders.items() if e == epoch - 1}  # a batch may need two
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.chosen))
            self._orders[epoch] = self.chosen[order]
        return self._orders[epoch]


_batches = None  # in a reading process: what it reads


def _begin_reading(batches):
    global _batches
    _batches = batches
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the training's to answer
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent():
    """A reading process must not outlive a training that was killed."""
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _read_batch(k):
    return _batches.read_batch(k)


def choose_gpus(ids):
    """Let this process see the GPUs of --G only, "0" or "0,1", or none ("-1"). Without --G, the first that the
    environment's CUDA_VISIBLE_DEVICES allows. Works before the backend first looks for devices."""
    if ids is None:
        ids = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    os.environ["CUDA_VISIBLE_DEVICES"] = ids


def gpus():
    """Names of the GPUs that tf.distribute can use together; with other backends none are joined."""
    if keras.backend.backend() != "tensorflow":
        return []
    import tensorflow as tf
    return [device.name for device in tf.config.list_logical_devices("GPU")]


def hardware():
    """The processor and the GPUs in a few words, for reports."""
    name = platform.processor()
    if os.path.exists("/proc/cpuinfo"):
        models = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
        name = models[0] if models else name
    return f"{os.cpu_count()} cores of {name or platform.machine()}" + "".join(f", {gpu}" for gpu in gpus())
