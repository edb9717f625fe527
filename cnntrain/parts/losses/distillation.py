"""Distillation: a small network learns from what a large one says of the same samples, beside the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Positive, Probability
from cnntrain.core.arrays import Array
from cnntrain.core.description import CLASSES
from cnntrain.core.registry import register
from cnntrain.ops.softmax import softmax
from cnntrain.parts.losses.base import Loss, logits_of, one_hot


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
    scores: ClassVar[tuple[str, ...]] = (CLASSES,)

    teacher: str  # checkpoint or run directory of a network with the same classes
    temperature: Positive = 4.0  # both answers are softened by dividing the logits by this
    alpha: Probability = 0.9  # weight of the teacher's answer; the labels have the rest

    def score(self, outputs: Array, targets: Array, weights: Array, losses: Array, d_outputs: Array | None) -> None:
        """Losses and gradient of a shard; temporaries of the outputs' shape are made."""
        lesson = logits_of(targets)
        rows = one_hot(self.own_targets(targets), outputs)
        share = self.alpha if lesson is not None else 0.0
        with np.errstate(invalid="ignore", over="ignore"):
            p, log_p = softmax(outputs)
            losses[...] = -(1 - share) * (rows * log_p).sum(axis=1)
            slopes = (1 - share) * (p * rows.sum(axis=1, keepdims=True) - rows)
            if lesson is not None:
                temperature = self.temperature
                q, log_q = softmax(outputs / temperature)
                u, log_u = softmax(lesson.astype(outputs.dtype) / temperature)
                losses += share * temperature**2 * (u * (log_u - log_q)).sum(axis=1)
                slopes += share * temperature * (q - u)
            if d_outputs is not None:
                np.multiply(slopes, weights[:, None], out=d_outputs)
