"""Softmax and sigmoid of scores: what their numbers mean as probabilities, apart from any layer."""

from __future__ import annotations

import numpy as np

from cnntrain.core.arrays import Array


def softmax(scores: Array) -> tuple[Array, Array]:
    """The softmax of scores along the last axis, and its logarithm, both in the dtype of the scores (Bridle 1990).

    The largest score is subtracted first, which changes neither and keeps exp from overflowing. NaN where a score is
    NaN, or where infinities leave it undefined.
    """
    with np.errstate(invalid="ignore"):  # inf - inf: such outputs are reported as a loss that is not finite
        logs = scores - scores.max(axis=-1, keepdims=True)
        shares = np.exp(logs)
        total = shares.sum(axis=-1, keepdims=True)
        shares /= total
        logs -= np.log(total)
    return shares, logs


def sigmoid(scores: Array) -> Array:
    """1 / (1 + exp(-z)) of scores of any shape, in float64: the probability of yes of a logit (Cox 1958)."""
    with np.errstate(over="ignore"):  # exp of a very sure no is infinite, its probability 0
        return np.asarray(1 / (1 + np.exp(-scores.astype(np.float64))))
