"""Random choices by weight.

    >>> chances = cumulative([1, 3])  # the second is three times as likely
    >>> pick(np.random.default_rng(0), chances)
    1
"""
import numpy as np


def pick(rng, chances):
    """A random index into cumulative chances."""
    return min(int(np.searchsorted(chances, rng.random(), side="right")), len(chances) - 1)


def cumulative(weights):
    """Cumulative chances, float64, of weights."""
    weights = np.asarray(weights, float)
    return np.cumsum(weights / weights.sum())
