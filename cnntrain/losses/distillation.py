"""Distillation: a small network learns from what a large one says of the same samples, beside the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from cnntrain.arrays import Array
from cnntrain.config.fields import Positive, Probability
from cnntrain.losses.base import Loss, one_hot
from cnntrain.registry import register


@register("distillation")
@dataclass(frozen=True, kw_only=True)
class Distillation(Loss):
    """Cross-entropy with the labels, and with a teacher's softened answers (Hinton, Vinyals and Dean 2015).

    With logits z, the teacher's u, the label's row t and the temperature T,

        L = (1 - alpha) CE(t, softmax(z)) + alpha T^2 KL(softmax(u / T) || softmax(z / T)),
        dL/dz = (1 - alpha) (softmax(z) - t) + alpha T (softmax(z / T) - softmax(u / T)).

    `teacher` is a checkpoint or run directory of a network with the same classes. Its logits are computed once, for
    the training samples as the teacher's own evaluation preprocesses them, so it does not see the augmentation.
    Validation and `eval` have labels only: there the loss is plain cross-entropy.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"teacher": "teacher.npz"},)
    task: ClassVar[Literal["classification", "regression", "any"]] = "classification"

    teacher: str  # checkpoint or run directory of a network with the same classes
    temperature: Positive = 4.0  # both answers are softened by dividing the logits by this
    alpha: Probability = 0.9  # weight of the teacher's answer; the labels have the rest

    def own_targets(self, targets: Array, units: int) -> Array:
        """The labels, of targets whose rows are a label and the teacher's logits (`with_logits`)."""
        taught = targets.ndim == 2 and targets.shape[1] == units + 1
        return targets[:, 0].astype(np.int64) if taught else targets

    def score(self, outputs: Array, targets: Array, weights: Array, losses: Array, d_outputs: Array | None) -> None:
        """Losses and gradient of a shard; temporaries of the outputs' shape are made."""
        own = self.own_targets(targets, outputs.shape[1])
        taught = own is not targets
        rows = one_hot(own, outputs)
        share = self.alpha if taught else 0.0
        with np.errstate(invalid="ignore", over="ignore"):
            p, log_p = _softmax(outputs)
            losses[...] = -(1 - share) * (rows * log_p).sum(axis=1)
            slopes = (1 - share) * (p * rows.sum(axis=1, keepdims=True) - rows)
            if taught:
                temperature = self.temperature
                q, log_q = _softmax(outputs / temperature)
                u, log_u = _softmax(targets[:, 1:].astype(outputs.dtype) / temperature)
                losses += share * temperature**2 * (u * (log_u - log_q)).sum(axis=1)
                slopes += share * temperature * (q - u)
            if d_outputs is not None:
                np.multiply(slopes, weights[:, None], out=d_outputs)


def with_logits(labels: Array, logits: Array) -> Array:
    """Targets (n, 1 + classes) that carry a teacher's logits (n, classes) beside the labels (n,); float32."""
    return np.column_stack([labels, logits]).astype(np.float32)


def _softmax(z: Array) -> tuple[Array, Array]:
    """The softmax of rows, and its logarithm."""
    z = z - z.max(axis=1, keepdims=True)
    powers = np.exp(z)
    total = powers.sum(axis=1, keepdims=True)
    return powers / total, z - np.log(total)
