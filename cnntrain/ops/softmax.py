"""The softmax of scores: what their numbers mean as probabilities, apart from any layer."""

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
