"""Turns for what only a few threads should do at once.

    >>> turns = Turns(2)
    >>> with turns(patience=0.1): ...
"""
import contextlib
import heapq
import itertools
import threading
import time


class Turns:
    """So many turns at once, in the order of arrival; who comes with patience waits as if it had come so much later.

    Those who are quick need not wait for those who are slow then, and nobody waits without end: the earliest deadline goes
    first (Liu and Layland, JACM 1973).
    """

    def __init__(self, count: int):
        self._free, self._waiting = count, []  # a heap of (when it would have come without patience, its number, its Event)
        self._lock, self._numbers = threading.Lock(), itertools.count()

    @contextlib.contextmanager
    def __call__(self, patience: float = 0.0):
        """A turn, as a context. patience: seconds."""
        turn = threading.Event()
        with self._lock:
            if self._free:
                self._free -= 1
                turn.set()
            else:
                heapq.heappush(self._waiting, (time.monotonic() + patience, next(self._numbers), turn))
        turn.wait()
        try:
            yield
        finally:
            with self._lock:
                if self._waiting:
                    heapq.heappop(self._waiting)[-1].set()
                else:
                    self._free += 1
