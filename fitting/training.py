"""What happens between the batches of a training: validating, saving, stopping early, going on after an interruption.

    >>> training = Training(folder, validate, recipe, items=len(words), score="word_accuracy")
    >>> start(network, keras.losses.CTC(), training)
    >>> fit(network, training, batches)
"""
import collections
import contextlib
import math
import time
from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from command import UserError
from fitting import state
from fitting.backend import keras
from fitting.batches import Batches
from fitting.folder import load_weights, save_weights
from fitting.history import write_history
from fitting.optimizers import compile_network
from fitting.recipe import clear
from words.models import WEIGHTS

SAVE_SECONDS = 120  # between two states to resume from; a validation saves one too


class Training(keras.callbacks.Callback):
    """Counts, validates, saves and stops a training of `items` images an epoch, as `recipe` says, into `folder`.

    validate: function from the network to (metrics, remark): a dict of numbers with val_loss, of which the lowest is the
    best, and `score`, which is drawn beside it; a line that shows where it stands.
    settings: what a resumed training must share with the interrupted one, for JSON, beside Keras's backend; earlier: rows of
    the history before.
    """

    def __init__(self, folder, validate, recipe, items, score, settings=None, earlier=(), tensorboard=None):
        super().__init__()
        self.folder, self._validate, self.recipe, self.items, self.score = folder, validate, recipe, items, score
        self.batches, self.earlier = recipe.batches(items), list(earlier)
        self.batch, self.history, self.best, self.seconds = 0, [], math.inf, 0.0
        self.settings, self.bar = {**(settings or {}), "backend": keras.backend.backend()}, None
        self.recent = collections.deque(maxlen=max(1, 2 * recipe.early_stopping))  # losses, the last ones
        self.since_validation, self.unreadable, self.stopped_early = [], {}, False
        self.saved_at = self.clock = time.monotonic()
        self.board = open_board(tensorboard) if tensorboard else None

    def on_train_begin(self, logs=None):
        self.bar = tqdm(total=self.batches, initial=self.batch, unit="batch", dynamic_ncols=True, mininterval=1.0)

    def on_train_batch_begin(self, batch, logs=None):
        self.model.reset_metrics()  # so that the next loss is this batch's own, not the epoch's mean

    def on_train_batch_end(self, batch, logs=None):
        loss = float(logs["loss"])
        self.batch += 1
        if not math.isfinite(loss):
            raise UserError(f"the loss became {loss} at batch {self.batch:,}; lower --lr")
        self.recent.append(loss)
        self.since_validation.append(loss)
        self.bar.set_postfix(loss=f"{np.mean(self.since_validation[-100:]):.3f}", refresh=False)
        self.bar.update()
        last = self.batch == self.batches or self._stop_early()
        epoch_ends = self.batch * self.recipe.batch_size % self.items < self.recipe.batch_size
        every = self.recipe.validate_every
        if last or epoch_ends or (every and self.batch % every == 0):
            self.validate()
            self.save()
        elif time.monotonic() - self.saved_at > SAVE_SECONDS:
            self.save()
        self.model.stop_training = last

    def _stop_early(self):
        """Every N batches: is the mean loss of the last N not below that of the N before?"""
        n = self.recipe.early_stopping
        if not n or self.batch % n or len(self.recent) < 2 * n:
            return False
        losses = np.array(self.recent)
        self.stopped_early = bool(losses[n:].mean() >= losses[:n].mean())
        return self.stopped_early

    def validate(self):
        """Score the network, keep its weights if they are the best so far, and write and show where it stands."""
        metrics, remark = self._validate(self.model)
        row = {"model": self.folder.name, "batch": self.batch,
               "epoch": round(self.batch * self.recipe.batch_size / self.items, 4),
               "loss": float(np.mean(self.since_validation or [math.nan])), **metrics,
               "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))}
        if row["val_loss"] < self.best:
            save_weights(self.model, self.folder / WEIGHTS["checkpoint"])
            self.best = row["val_loss"]
        self.since_validation = []
        self.history.append(row)
        write_history(self.folder, self.earlier + self.history, self.score)
        tqdm.write(f"batch {self.batch:,}: " + (f"loss {row['loss']:.3f}, " if self.batch else "")
                   + f"validation loss {row['val_loss']:.3f}, {remark}")
        if self.board:
            for name in row.keys() - {"model"}:
                self.board.add_scalar(name, row[name], self.batch)
            self.board.flush()

    def save(self):
        """Write all that --resume needs into one file, whole."""
        self.seconds, self.clock = self.seconds + time.monotonic() - self.clock, time.monotonic()
        facts = {name: getattr(self, name) for name in state.FACTS} | {"recent": list(self.recent)}
        arrays = [keras.ops.convert_to_numpy(variable) for variable in self._variables()]
        if not all(np.isfinite(array).all() for array in arrays):
            raise UserError(f"the weights are no finite numbers any more at batch {self.batch:,}; lower --lr")
        state.write(self.folder, facts, arrays)
        self.saved_at = time.monotonic()

    def restore(self):
        """Go back to where `save` was; UserError if that cannot be read, or was a training with other settings."""
        facts, arrays = state.read(self.folder)
        state.check_same(facts, self.settings)
        if [array.shape for array in arrays] != [tuple(v.shape) for v in self._variables()]:
            raise UserError("--resume: the interrupted training was of another version of the project or of Keras; go on "
                            "with that, or --overwrite to start afresh")
        for variable, value in zip(self._variables(), arrays):
            variable.assign(value)
        self.recent.extend(facts.pop("recent"))
        for name, value in facts.items():
            setattr(self, name, value)
        self.unreadable = {int(index): reason for index, reason in self.unreadable.items()}

    def _variables(self):
        return [*self.model.variables, *self.model.optimizer.variables]


def open_board(folder: str):
    """A writer of TensorBoard's event files."""
    from tensorboard.summary import Writer
    return Writer(folder)


def start(network: keras.Model, loss: Callable, training: Training, resume: bool = False, devices: int = 1):
    """Compile `network` as the training's recipe says; go on where an interrupted training was, or begin in its folder."""
    compile_network(network, loss, training.recipe, training.batches, devices)
    training.set_model(network)
    if resume:
        training.restore()
    else:
        clear(training.folder)
        training.save()  # so that --resume works from the first moment


def fit(network: keras.Model, training: Training, batches: Batches, score_first: bool = False):
    """Train the started `network` to the end on `batches`, which begin at training.batch.

    The network holds the final weights then: the best ones, or with recipe.keep_last the last. score_first: validate before
    the first batch, of a network that can do something already.
    """
    batches.unreadable.update(training.unreadable)
    training.unreadable = batches.unreadable
    with contextlib.closing(batches):
        if score_first and not training.batch and not training.history:
            training.validate()
            training.save()
        if training.batch < training.batches and not training.stopped_early:
            run_batches(network, training, batches)
    if not training.history or training.history[-1]["batch"] < training.batch:  # interrupted in its last validation
        training.validate()
    if not training.recipe.keep_last:
        load_weights(network, training.folder / WEIGHTS["checkpoint"])
    save_weights(network, training.folder / WEIGHTS["final"])
    training.seconds += time.monotonic() - training.clock


def run_batches(network, training, batches):
    """network.fit, whose errors are told as what they are; Ctrl-C keeps what has been learnt."""
    try:
        network.fit(batches, callbacks=[training], verbose=0, shuffle=False)
    except KeyboardInterrupt:
        training.save()
        raise KeyboardInterrupt(f"stopped at batch {training.batch:,} of {training.batches:,}; --resume goes on from there"
                                ) from None
    except OSError as error:  # a full disk
        raise UserError(f"{training.folder}: {error.strerror or error}; --resume goes on when that is mended") from None
    except Exception:
        if batches.failure:
            raise batches.failure from None
        raise
    finally:
        if training.bar:
            training.bar.close()
