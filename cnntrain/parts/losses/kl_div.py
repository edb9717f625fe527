"""Kullback-Leibler divergence: how far the network's class probabilities lie from those of the targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.description import CLASSES
from cnntrain.core.registry import register
from cnntrain.parts.losses.base import Loss, one_hot


@register("kl_div")
@dataclass(frozen=True)
class KLDivergence(Loss):
    """Divergence of the softmax of the outputs from the targets (Kullback and Leibler 1951).

    With logits z and a row t, L = sum_k t_k (log t_k - log softmax(z)_k), where 0 log 0 = 0, and so
    dL/dz = (sum_k t_k) softmax(z) - t: cross-entropy less the entropy of the targets, which is 0 for a label.
    Summed over the classes and averaged over the samples: PyTorch's KLDivLoss of log_softmax(z) with "batchmean".
    """

    scores: ClassVar[tuple[str, ...]] = (CLASSES,)

    def score(self, outputs: Array, targets: Array, weights: Array, losses: Array, d_outputs: Array | None) -> None:
        """Losses and gradient of a shard; temporaries of the outputs' shape are made."""
        rows = one_hot(targets, outputs)
        with np.errstate(invalid="ignore", over="ignore"):
            z = outputs - outputs.max(axis=1, keepdims=True)
            powers = np.exp(z)
            total = powers.sum(axis=1, keepdims=True)
            logs = np.log(np.where(rows > 0, rows, 1))
            np.sum(rows * (logs - z + np.log(total)), axis=1, out=losses)
            if d_outputs is not None:
                np.multiply(powers, rows.sum(axis=1, keepdims=True) / total, out=d_outputs)
                d_outputs -= rows
                d_outputs *= weights[:, None]
