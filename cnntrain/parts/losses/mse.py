"""Mean squared error: how far the outputs lie from the targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.losses.base import Loss, one_hot


@register("mse")
@dataclass(frozen=True)
class MSE(Loss):
    """Squared error, averaged over a sample's outputs (Gauss 1809; PyTorch's MSELoss over the whole batch).

    With K outputs y and targets t, L = sum_k (y_k - t_k)^2 / K, and so dL/dy = 2 (y - t) / K. Labels become
    one-hot rows.
    """

    def score(self, outputs: Array, targets: Array, weights: Array, losses: Array, d_outputs: Array | None) -> None:
        """Losses and gradient of a shard; temporaries of the outputs' shape are made."""
        with np.errstate(invalid="ignore", over="ignore"):  # not finite in, not finite out: the engine looks for it
            difference = np.subtract(outputs, one_hot(targets, outputs), out=d_outputs)
            np.mean(difference * difference, axis=1, out=losses)
            if d_outputs is not None:
                d_outputs *= (2 / outputs.shape[1] * weights)[:, None]
