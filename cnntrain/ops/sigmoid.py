"""The sigmoid and the softplus, from one exponential that cannot overflow."""

from __future__ import annotations

import numpy as np

from cnntrain.core.arrays import Array


def sigmoid_and_softplus(z: Array) -> tuple[Array, Array]:
    """sigmoid(z) and log(1 + exp(-z)), neither of which overflows: both from exp(-|z|), which is at most 1."""
    small = np.exp(-np.abs(z))
    p = np.where(z >= 0, 1, small) / (1 + small)
    return p, np.log1p(small) - np.minimum(z, 0)
