"""Optimizers by name, Muon among them, and their learning rate over a training."""
import math
from collections.abc import Callable

from fitting.backend import keras
from fitting.recipe import Recipe

CLIPNORM = 5.0  # gradients longer than that, over all weights, are shortened to it


class Muon(keras.optimizers.AdamW):
    """AdamW, but for weights that are matrices: those go a step whose singular values are all about 1.

    Jordan: Muon, an optimizer for hidden layers in neural networks, 2024; the step's length is that of Liu et al., Muon is
    Scalable for LLM Training, 2025, so that AdamW's learning rates and weight decay suit. Matrices are those of the dense
    and recurrent layers and of 1 x 1 convolutions; the STN and the last layer stay AdamW's.
    """

    def build(self, variables):
        super().build(variables)
        self.matrices = {k for k, variable in enumerate(variables) if self._is_matrix(variable)}

    def _is_matrix(self, variable):
        sides = variable.shape
        return (variable.path.endswith("kernel") and not variable.path.startswith(("stn", "logits", "maps"))
                and min(sides[-2:]) > 1 and max(sides[:-2], default=1) == 1)

    def update_step(self, gradient, variable, learning_rate):
        k = self._get_variable_index(variable)
        if k not in self.matrices:
            return super().update_step(gradient, variable, learning_rate)
        rows, columns = variable.shape[-2:]
        momentum = self._momentums[k]
        self.assign(momentum, 0.95 * momentum + gradient)
        step = orthogonal(keras.ops.reshape(gradient + 0.95 * momentum, (rows, columns)))
        length = keras.ops.cast(learning_rate, variable.dtype) * 0.2 * math.sqrt(max(rows, columns))
        self.assign_sub(variable, length * keras.ops.reshape(step, variable.shape))


def orthogonal(matrix):
    """float [M, N] -> about U V^T of its singular value decomposition U S V^T: five Newton-Schulz steps (Jordan, 2024)
    bring the singular values to 0.7 to 1.2."""
    x = keras.ops.transpose(matrix) if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (keras.ops.norm(x) + 1e-7)
    for _ in range(5):
        square = x @ keras.ops.transpose(x)
        x = 3.4445 * x + (-4.775 * square + 2.0315 * square @ square) @ x
    return keras.ops.transpose(x) if matrix.shape[0] > matrix.shape[1] else x


CLASSES = {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW, "muon": Muon, "sgd": keras.optimizers.SGD,
           "rmsprop": keras.optimizers.RMSprop, "nadam": keras.optimizers.Nadam}


def compile_network(network: keras.Model, loss: Callable, recipe: Recipe, batches: int, devices: int = 1):
    """Give the network a loss, and the recipe's optimizer with its schedule over `batches` batches, on so many devices."""
    rise = min(500, max(1, batches // 50))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, batches - rise), warmup_target=recipe.lr, warmup_steps=rise,
        alpha=0.0 if recipe.schedule == "cosine" else 1.0)
    # each device clips its own part of the gradient before tf.distribute adds them up
    optimizer = CLASSES[recipe.opt](schedule, global_clipnorm=CLIPNORM / devices)
    # XLA compiles recurrent layers and depthwise convolutions badly on a CPU: 24 words/s against 133
    network.compile(optimizer, loss, jit_compile=keras.backend.backend() == "jax")
    network.optimizer.build(network.trainable_variables)
