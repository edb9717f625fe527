"""Cross-entropy: how surprised the network's class probabilities are by the true class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Rate
from cnntrain.core.arrays import Array
from cnntrain.core.description import CLASSES
from cnntrain.core.masks import MASKS
from cnntrain.core.registry import register
from cnntrain.ops.scores import largest, total
from cnntrain.parts.losses.base import Loss, one_hot


@register("cross_entropy")
@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Softmax cross-entropy from logits, with label smoothing.

    With logits z of K classes and a target row t (one-hot for a label), a sample's loss is

        L = -sum_k t_k log softmax(z)_k = (sum_k t_k) log(sum_k exp(z_k)) - sum_k t_k z_k,

    and so dL/dz = (sum_k t_k) softmax(z) - t. The largest logit is subtracted first, which changes neither and keeps
    exp from overflowing. Smoothing by e replaces t by (1 - e) t + e / K (Szegedy et al. 2016, "Rethinking the
    Inception Architecture"). Class weights c multiply the terms, c_k t_k in place of t_k after smoothing, while the
    mean divides by those of the unsmoothed targets; both as in PyTorch. A logit that is NaN or infinity gives a NaN or
    infinite loss; so does -infinity, except where the label is another class: then the probability of its own class is
    0, which is no error, and the loss is that of the others.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"label_smoothing": 0.1},
        {"class_weight": (0.5, 2.0, 1.0, 0.25), "label_smoothing": 0.2, "weight": 1.5},
    )
    scores_classes: ClassVar[bool] = True
    scores: ClassVar[tuple[str, ...]] = (CLASSES, MASKS)
    from_logits: ClassVar[bool] = True

    label_smoothing: Rate = 0.0  # share of the target that is spread evenly over all classes

    def score(self, outputs: Array, targets: Array, weights: Array, losses: Array, d_outputs: Array | None) -> None:
        """Losses and gradient of a shard; without a gradient one temporary of the outputs' shape is made."""
        with np.errstate(invalid="ignore", over="ignore"):  # not finite in, not finite out: the engine looks for it
            z = np.subtract(outputs, largest(outputs), out=d_outputs)
            rows = self._rows(targets, outputs) if targets.ndim == 2 or self.class_weight is not None else None
            score = self._label_score(z, targets) if rows is None else total(_terms(rows, z))[:, 0]
            mass = 1 if rows is None else total(rows)[:, 0]
            np.exp(z, out=z)
            powers = total(z)[:, 0]
            np.subtract(mass * np.log(powers), score, out=losses)
            if d_outputs is None:
                return
            z *= (mass / powers)[:, None]
            if rows is None:
                self._subtract_labels(z, targets)
            else:
                z -= rows
            z *= weights[:, None]

    def _rows(self, targets: Array, outputs: Array) -> Array:
        """The targets as rows (n, units), smoothed and times the class weights."""
        rows = one_hot(targets, outputs)
        if self.label_smoothing:
            rows = rows * (1 - self.label_smoothing) + self.label_smoothing / outputs.shape[1]
        if self.class_weight is not None:
            rows = rows * np.array(self.class_weight, outputs.dtype)
        return rows

    def _label_score(self, z: Array, labels: Array) -> Array:
        """sum_k t_k z_k, without making t."""
        score: Array = z[np.arange(len(z)), labels]
        if self.label_smoothing:
            score = (1 - self.label_smoothing) * score + self.label_smoothing * z.mean(axis=1)
        return score

    def _subtract_labels(self, z: Array, labels: Array) -> None:
        if self.label_smoothing:
            z -= self.label_smoothing / z.shape[1]
        z[np.arange(len(z)), labels] -= 1 - self.label_smoothing


def _terms(rows: Array, z: Array) -> Array:
    """t_k z_k; 0 where t_k is, also for z_k = -infinity."""
    terms: Array = rows * z
    terms[rows == 0] = 0
    return terms
