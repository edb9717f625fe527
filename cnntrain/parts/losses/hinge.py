"""Hinge losses: the right class's score should lead every other by a margin; beyond it nothing is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Positive
from cnntrain.core.arrays import Array
from cnntrain.core.description import CLASSES
from cnntrain.core.registry import register
from cnntrain.parts.losses.base import Loss


@register("hinge")
@dataclass(frozen=True)
class Hinge(Loss):
    """Multi-class hinge loss (Weston and Watkins 1999; PyTorch's MultiMarginLoss with p = 1).

    With scores z of K classes, the label y and excesses e_j = max(0, margin - z_y + z_j),

        L_y = sum_{j != y} e_j / K,    dL_y/dz_j = 1 / K where e_j > 0, else 0,    dL_y/dz_y = -sum_j dL_y/dz_j.

    With a row t of shares it is the expected loss, sum_y t_y L_y. K in the divisor is PyTorch's; the paper has none.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"margin": 0.5, "class_weight": (1.0, 0.0, 2.0, 0.5)})
    scores: ClassVar[tuple[str, ...]] = (CLASSES,)
    power: ClassVar[int] = 1

    margin: Positive = 1.0  # how far the true class should be ahead

    def score(self, outputs: Array, targets: Array, weights: Array, losses: Array, d_outputs: Array | None) -> None:
        """Losses and gradient of a shard, class by class where the targets are rows."""
        with np.errstate(invalid="ignore", over="ignore"):
            losses[...] = (outputs * 0).sum(axis=1)  # NaN for what is not finite, which a margin could hide
            if d_outputs is not None:
                np.multiply(outputs, 0, out=d_outputs)
            if targets.ndim == 1:
                self._against(targets, None, outputs, losses, d_outputs)
            else:
                for k in range(outputs.shape[1]):
                    shares = targets[:, k].astype(outputs.dtype)
                    self._against(np.full(len(outputs), k), shares, outputs, losses, d_outputs)
            if d_outputs is not None:
                d_outputs *= weights[:, None]

    def _against(
        self, labels: Array, shares: Array | None, outputs: Array, losses: Array, d_outputs: Array | None
    ) -> None:
        """Add the loss for these labels, times the shares, and its gradient."""
        rows = np.arange(len(outputs))
        excess = np.maximum(outputs - outputs[rows, labels][:, None] + self.margin, 0)
        excess[rows, labels] = 0
        factor: Any = 1 / outputs.shape[1] if shares is None else shares / outputs.shape[1]
        losses += factor * (excess**self.power).sum(axis=1)
        if d_outputs is None:
            return
        slopes = (excess > 0).astype(outputs.dtype) if self.power == 1 else 2 * excess
        slopes *= factor if shares is None else factor[:, None]
        d_outputs += slopes
        d_outputs[rows, labels] -= slopes.sum(axis=1)


@register("squared_hinge")
@dataclass(frozen=True)
class SquaredHinge(Hinge):
    """The hinge loss with squared excesses (Weston and Watkins 1999, Tang 2013; MultiMarginLoss with p = 2).

    As in `hinge`, but L_y = sum_{j != y} e_j^2 / K and dL_y/dz_j = 2 e_j / K.
    """

    power: ClassVar[int] = 2
