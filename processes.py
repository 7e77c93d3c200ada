"""Work that other processes do ahead of time: one call after another, in order, on every core.

    >>> with contextlib.closing(Ahead(draw, 1000, workers=4)) as drawn:
    ...     for k in range(1000):
    ...         drawn[k]
"""
import concurrent.futures
import concurrent.futures.process
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from command import UserError


class Ahead:
    """function(0), function(1), ..., function(count - 1), to be asked for in that order.

    With `workers` > 1, on Linux, so many processes call it ahead of what is asked for (threads would wait for each other at
    Python's lock); `close` ends them. They are forked, so that each has all that `function` knows at once, whatever it is;
    elsewhere fork is missing or unsafe, and the function is called here. What a call returns or raises must be picklable.
    """

    def __init__(self, function: Callable[[int], Any], count: int, workers: int = 1):
        self.function, self.count = function, count
        self._pool, self._futures, self._ahead = None, {}, 3 * workers
        if workers > 1 and sys.platform == "linux":
            self._pool = concurrent.futures.ProcessPoolExecutor(
                workers, multiprocessing.get_context("fork"), initializer=_begin, initargs=(function,))
            self._submit(0)

    def __getitem__(self, k: int):
        """function(k). UserError if a process was ended from outside."""
        if not self._pool:
            return self.function(k)
        try:
            self._submit(k)
            return self._futures.pop(k).result()
        except concurrent.futures.process.BrokenProcessPool:
            raise UserError("a process that works ahead was ended from outside, maybe for want of memory; go on with "
                            "--resume and fewer --workers") from None

    def _submit(self, k):
        for later in range(k, min(k + self._ahead, self.count)):
            if later not in self._futures:
                self._futures[later] = self._pool.submit(_call, later)

    def close(self):
        """End the processes, when what they have begun is done."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)


_function = None  # in a process that works ahead: what it calls


def _begin(function):
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the script's to answer
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the pool's way to end a process
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    """A process that works ahead must not outlive a script that was killed."""
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _call(k):
    return _function(k)
