"""The softmax of scores: what their numbers mean as probabilities, apart from any layer."""

from __future__ import annotations

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.ops.scores import largest, total


def softmax(scores: Array) -> tuple[Array, Array]:
    """The softmax of scores along the last axis, and its logarithm, both in the dtype of the scores (Bridle 1990).

    The largest score is subtracted first, which changes neither and keeps exp from overflowing. NaN where a score is
    NaN, or where infinities leave it undefined.
    """
    with np.errstate(invalid="ignore"):  # inf - inf: such outputs are reported as a loss that is not finite
        logs = scores - largest(scores)
        shares = np.exp(logs)
        sums = total(shares)
        shares /= sums
        logs -= np.log(sums)
    return shares, logs
