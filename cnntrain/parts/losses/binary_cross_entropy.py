"""Binary cross-entropy: each output is a yes-or-no question of its own, as where a sample has several labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import NonNegative, Positive, Probability
from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.ops.sigmoid import sigmoid_and_softplus
from cnntrain.parts.losses.base import Elementwise


@register("binary_cross_entropy")
@dataclass(frozen=True)
class BinaryCrossEntropy(Elementwise):
    """Cross-entropy of sigmoids, from logits (Cox 1958; PyTorch's BCEWithLogitsLoss).

    With a logit z, p = sigmoid(z), a target t in [0, 1] and w = `pos_weight`,

        L = -w t log p - (1 - t) log(1 - p) = (1 - t) z + (1 - t + w t) log(1 + exp(-z)),

    averaged over a sample's outputs, and so dL/dz = (1 - t) p - w t (1 - p). Labels become one-hot rows: one question
    a class.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"pos_weight": 3.0})
    from_logits: ClassVar[bool] = True

    yes_or_no: ClassVar[bool] = True
    target_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    pos_weight: Positive = 1.0  # factor on the targets that are 1

    def values_and_slopes(self, y: Array, t: Array) -> tuple[Array, Array]:
        """One output's loss and derivative."""
        p, softplus = sigmoid_and_softplus(y)
        values = (1 - t) * y + (1 - t + self.pos_weight * t) * softplus
        return values, (1 - t) * p - self.pos_weight * t * (1 - p)


@register("focal")
@dataclass(frozen=True)
class Focal(Elementwise):
    """Binary cross-entropy in which samples that are already right hardly count (Lin et al. 2017, "Focal Loss").

    With B the binary cross-entropy of a logit z and a target t, p = sigmoid(z), the share that is wrong
    q = p + t - 2 p t and the balance a = alpha t + (1 - alpha) (1 - t) (1 where alpha is null),

        L = a q^gamma B,    dL/dz = a (gamma q^(gamma - 1) (1 - 2 t) p (1 - p) B + q^gamma (p - t)),

    averaged over a sample's outputs (torchvision's sigmoid_focal_loss, which means the same by gamma and alpha).
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"gamma": 0.0, "alpha": None}, {"gamma": 3.0, "alpha": 0.6})
    from_logits: ClassVar[bool] = True

    yes_or_no: ClassVar[bool] = True
    target_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    gamma: NonNegative = 2.0  # how strongly samples that are already right are played down; 0 is binary cross-entropy
    alpha: Probability | None = 0.25  # weight of the targets that are 1; those that are 0 have the rest

    def values_and_slopes(self, y: Array, t: Array) -> tuple[Array, Array]:
        """One output's loss and derivative."""
        p, softplus = sigmoid_and_softplus(y)
        entropy = (1 - t) * y + softplus
        wrong = np.maximum(p + t - 2 * p * t, np.finfo(y.dtype).tiny)  # 0^(gamma - 1) may be infinite
        balance = 1 if self.alpha is None else self.alpha * t + (1 - self.alpha) * (1 - t)
        focus = balance * wrong**self.gamma
        turn = self.gamma * (1 - 2 * t) * p * (1 - p) / wrong
        return focus * entropy, focus * (turn * entropy + p - t)
