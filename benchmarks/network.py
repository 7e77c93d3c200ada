"""How heavy are the networks? Parameters, multiply-adds and ms a word of the presets `seed` and `lite`, and of `lite` as the
shipped models have it, with 224 recurrent units and an STN, measured in one run.

    python benchmarks/network.py
    python benchmarks/network.py --rounds 100 --batch_size 1

Multiply-adds a word are counted layer by layer, the spatial transformer's localisation net included: each weight of
a kernel is used once at each place of the layer's output.

    Conv2D           width * height (of its output) * kernel width * kernel height * input channels * filters
    DepthwiseConv2D  width * height (of its output) * kernel width * kernel height * channels
    Dense            places (time steps, or 1) * inputs * units
    LSTM, GRU        T * gates * (inputs + units) * units, for each direction; an LSTM has 4 gates, a GRU 3

Biases, batch normalisation, activations, pooling and the transformer's sampling are left out: a few percent.
Times are of the network alone, on images made up beforehand: medians over --rounds, in each of which all take turns.
"""
import datetime
import math
import platform
import shlex
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the scripts are no package: their folder, by hand
import command
import train
import utils
from command import UserError
from fitting import backend
from utils import keras
from words.alphabet import Alphabet

NETWORKS = {"seed": {"preset": "seed"}, "lite": {"preset": "lite"},
            "lite as shipped": {"preset": "lite", "stn": True, "n_units": 224}}
WARM_UP = 3  # steps before the clock runs; the first traces the graph


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="steps timed of each kind and network (default 20)")
    parser.add_argument("--batch_size", type=int, default=64, help="words a step (default 64)")
    args = parser.parse_args(argv)
    for name in ("rounds", "batch_size"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name} {getattr(args, name)}: must be above 0")
    args.command = "python benchmarks/network.py " + shlex.join(sys.argv[1:] if argv is None else argv)
    return args


def plain_layers(layers):
    """`layers` with those inside the spatial transformer and inside models in its and their place."""
    for layer in layers:
        inner = getattr(layer, "localisation", layer)
        if isinstance(inner, keras.Model):
            yield from plain_layers(inner.layers)
        else:
            yield layer


def multiply_adds(network):
    """Multiply-adds of a network for one word; the module's docstring has the formula."""
    total = 0
    for layer in plain_layers(network.layers):
        kernels = [weight for weight in layer.weights if weight.name.endswith("kernel")]  # a recurrent_kernel, too
        if kernels:
            places = math.prod(layer.output.shape[1:-1])
            total += places * sum(math.prod(kernel.shape) for kernel in kernels)
    return total


def made_up_batch(size, classes, batch_size):
    """Noise as images, float32 [B, W, H, 1], and words of 4 to 10 letters as labels, int32 [B, 10]."""
    rng = np.random.default_rng(0)
    labels = rng.integers(1, classes, (batch_size, 10), np.int32)
    labels[np.arange(10) >= rng.integers(4, 11, (batch_size, 1))] = 0
    return rng.random((batch_size, *size, 1), np.float32), labels


def steps(shape, batch_size):
    """(network, {"training": function, "prediction": function}) of what `build_network` takes; a call is a step."""
    classes = len(Alphabet("seed")) + 1
    network = utils.build_network(classes, **shape)
    train.compile_network(network, train.parse_args(["--path", "made up"]), batches=100_000)
    images, labels = made_up_batch(network.input_shape[1:3], classes, batch_size)
    return network, {"training": lambda: network.train_on_batch(images, labels),
                     "prediction": lambda: network.predict_on_batch(images)}


def time_in_turns(steps, rounds):
    """Median seconds of each function of `steps`, a dict, as a dict of the same keys."""
    # TensorFlow's graph optimizer says "error" of two networks in one process that differ in T. Both are as fast as
    # each alone in its process, so that is kept from the terminal
    with backend.no_stderr():
        for step in steps.values():
            for _ in range(WARM_UP):
                step()
    seconds = {key: [] for key in steps}
    for _ in range(rounds):
        for key, step in steps.items():
            began = time.perf_counter()
            step()
            seconds[key].append(time.perf_counter() - began)
    return {key: statistics.median(values) for key, values in seconds.items()}


def main(argv=None):
    args = parse_args(argv)
    networks, timed = {}, {}
    for name, shape in NETWORKS.items():
        networks[name], kinds = steps(shape, args.batch_size)
        timed |= {(kind, name): step for kind, step in kinds.items()}
    seconds = time_in_turns(dict(sorted(timed.items())), args.rounds)  # sorted: each beside its rival
    rows = {name: (network.count_params(), multiply_adds(network) / 1e6, network.output_shape[1],
                     *(1000 * seconds[kind, name] / args.batch_size for kind in ("training", "prediction")))
            for name, network in networks.items()}
    print(f"{datetime.date.today().isoformat()}, {backend.hardware()}; Python {platform.python_version()}, "
          f"Keras {keras.__version__} on {keras.backend.backend()}\n\n    {args.command}\n")
    print("| network | parameters | million multiply-adds a word | time steps T | training, ms a word | "
          "prediction, ms a word |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, (parameters, millions, time_steps, training, prediction) in rows.items():
        print(f"| {name} | {parameters:,} | {millions:.1f} | {time_steps} | {training:.3f} | {prediction:.3f} |")
    print("| seed / lite | " + " | ".join(f"{a / b:.2f}" for a, b in zip(rows["seed"], rows["lite"])) + " |")


if __name__ == "__main__":
    command.run(main)
