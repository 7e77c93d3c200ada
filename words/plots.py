"""Plots of how well words were read.

    >>> reliability(bins, error).savefig("reliability.png")
"""
import matplotlib
import numpy as np

matplotlib.use("Agg")  # draws into files, without a screen
from matplotlib import pyplot


def reliability(bins: list[tuple[int, float, float]], error: float):
    """How often readings of each confidence are right: a figure of `metrics.calibration`'s bins and error."""
    figure, axis = pyplot.subplots(figsize=(5, 5), layout="constrained")
    words, confidence, accuracy = np.array(bins).T
    axis.plot([0, 1], [0, 1], ":", color="grey", label="as sure as right")
    axis.scatter(confidence, accuracy, 10 + 300 * words / words.sum(), label="a bin; its area: words in it")
    axis.set(xlabel="mean confidence", ylabel="part of the words that are right", xlim=(0, 1), ylim=(0, 1.02),
             aspect="equal", title=f"expected calibration error {error:.3f}, {words.sum():,.0f} words")
    axis.legend(loc="upper left")
    return figure


def edit_distances(distances: list[int]):
    """How edit distances are spread: a figure, 10 standing for 10 and more."""
    figure, axis = pyplot.subplots(figsize=(6, 4), layout="constrained")
    bars = axis.bar(*np.unique(np.minimum(distances, 10), return_counts=True))
    axis.bar_label(bars)
    axis.set(xlabel="edit distance (10: or more)", ylabel="words", xticks=range(11))
    return figure
