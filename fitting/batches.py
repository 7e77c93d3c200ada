"""A whole training as one row of full batches, read ahead by other processes."""
import threading

import numpy as np

from command import UserError
from fitting.backend import keras
from processes import Ahead


class Batches(keras.utils.PyDataset):
    """Batches number `first` to `last` - 1 of a training, each full, epoch after epoch in a new order.

    A batch may reach over an epoch's end, so that none is half filled. Batch k depends on (`items`, `seed`, k) alone: a
    training that goes on at batch `first` sees what it would have seen. Items that cannot be read are replaced by others of
    the batch, and remembered in `unreadable` {item: reason}. A subclass says what an item is:

    read(item, epoch, rng) -> (input, target), two arrays or tuples of arrays of equal shapes; ValueError with a reason if
    it cannot be read.
    """

    def __init__(self, items: np.ndarray, batch_size: int, last: int, first: int = 0, seed: int = 0, workers: int = 1):
        """items: int [n]; workers: processes that read, see processes.Ahead."""
        super().__init__(workers=1)
        self.items, self.batch_size, self.first, self.last, self.seed = items, batch_size, first, last, seed
        self.unreadable, self._orders = {}, {}
        self.failure = None  # a UserError, which Keras would wrap in errors of its own
        self._closed, self._reading = False, threading.Lock()
        self._ahead = Ahead(self.read_batch, len(self), workers)

    def read(self, item, epoch, rng):
        raise NotImplementedError

    def __len__(self):
        return self.last - self.first

    def __getitem__(self, k):
        try:
            with self._reading:
                if self._closed:
                    raise StopIteration
                inputs, targets, unreadable = self._ahead[k]
        except UserError as error:
            self.failure = error
            raise
        self.unreadable.update(unreadable)
        return inputs, targets

    def close(self):
        """End the processes that read, when the batch that is being read is done."""
        self._closed = True
        with self._reading:
            self._ahead.close()

    def read_batch(self, k: int) -> tuple:
        """Batch k: inputs, targets, and {item: reason} of those that could not be read."""
        places = np.arange(self.batch_size) + (self.first + k) * self.batch_size
        rng = np.random.default_rng((self.seed, self.first + k))
        inputs, targets, unreadable = [], [], {}
        for epoch, offset in zip(*(part.tolist() for part in np.divmod(places, len(self.items)))):
            item = int(self._order(epoch)[offset])
            try:
                one, target = self.read(item, epoch, rng)
                inputs.append(one)
                targets.append(target)
            except ValueError as error:
                unreadable[item] = str(error)
        if not inputs:
            raise UserError("not one image of a whole batch is readable; the paths in the list seem to be wrong")
        filled = [j % len(inputs) for j in range(self.batch_size)]
        return stack([inputs[j] for j in filled]), stack([targets[j] for j in filled]), unreadable

    def _order(self, epoch):
        if epoch not in self._orders:
            self._orders = {e: order for e, order in self._orders.items() if e == epoch - 1}  # a batch may need two
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.items))
            self._orders[epoch] = self.items[order]
        return self._orders[epoch]


def stack(rows: list):
    """Equal arrays, or tuples of them, as one array, or one tuple of arrays, with the batch as first axis."""
    if isinstance(rows[0], tuple):
        return tuple(np.stack(column) for column in zip(*rows))
    return np.stack(rows)
