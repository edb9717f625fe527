"""The sigmoid of scores: what their numbers mean as the probability of yes; and the softplus that goes with it."""

from __future__ import annotations

import numpy as np

from cnntrain.core.arrays import Array


def sigmoid(scores: Array) -> Array:
    """1 / (1 + exp(-z)) of scores of any shape, in float64: the probability of yes of a logit (Cox 1958)."""
    with np.errstate(over="ignore"):  # exp of a very sure no is infinite, its probability 0
        return np.asarray(1 / (1 + np.exp(-scores.astype(np.float64))))


def sigmoid_and_softplus(z: Array) -> tuple[Array, Array]:
    """sigmoid(z) and log(1 + exp(-z)), neither of which overflows: both from exp(-|z|), which is at most 1."""
    small = np.exp(-np.abs(z))
    p = np.where(z >= 0, 1, small) / (1 + small)
    return p, np.log1p(small) - np.minimum(z, 0)
