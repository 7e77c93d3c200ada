"""What CTC output says: from a network's logits to text. Needs only numpy.

    >>> import numpy as np, ctc
    >>> logits = np.log([[[.1, .8, .1], [.9, .05, .05], [.2, .7, .1], [.1, .1, .8]]])  # [B=1, T=4, C=3]
    >>> ctc.greedy(logits)
    [([1, 1, 2], ...)]

Logits are [B, T, C]: B words, T time steps, C classes, of which class 0 is the blank.
Graves, Fernandez, Gomez, Schmidhuber: Connectionist Temporal Classification, ICML 2006.
"""
import numpy as np


def log_softmax(logits):
    """Log-probabilities, float64, of logits of any shape; classes on the last axis. Leaves log-probabilities as they are."""
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def greedy(logits):
    """Best-path decoding (Graves 2006, section 3.2): the best class of each step, repeats merged, blanks removed.

    logits: float [B, T, C], finite, class 0 the blank.
    Returns B pairs (classes, confidence): list of int in 1..C-1, and that path's probability, in 0..1.
    Equal neighbours survive when a blank stands between them: l, blank, l is "ll", l, l is "l".
    Raises ValueError for another shape or for values that are not finite.
    """
    logits = np.asarray(logits)
    if logits.ndim != 3 or logits.shape[2] < 1:
        raise ValueError(f"logits must be [B, T, C], not of shape {logits.shape}")
    if not np.isfinite(logits).all():
        word, step, _ = np.argwhere(~np.isfinite(logits))[0]
        raise ValueError(f"logits of word {word} are not finite at step {step}")
    path = logits.argmax(axis=2) if logits.size else np.zeros(logits.shape[:2], int)
    best = np.take_along_axis(log_softmax(logits), path[..., np.newaxis], axis=2)[..., 0] if logits.size else path
    before = np.concatenate([np.zeros_like(path[:, :1]), path[:, :-1]], axis=1)
    written = (path != 0) & (path != before)
    return [(steps[keep].tolist(), float(np.exp(total)))
            for steps, keep, total in zip(path, written, best.sum(axis=1))]
