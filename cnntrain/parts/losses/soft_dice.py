"""Soft Dice: how far the regions that a network predicts, by their probabilities, overlap the true ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Positive
from cnntrain.core.arrays import Array
from cnntrain.core.masks import IGNORED, MASKS
from cnntrain.core.registry import register
from cnntrain.ops.scores import total
from cnntrain.ops.softmax import softmax
from cnntrain.parts.losses.base import Loss


@register("soft_dice")
@dataclass(frozen=True)
class SoftDice(Loss):
    """1 - the mean of Dice's coefficients of probabilities and mask (Milletari et al. 2016; MONAI's DiceLoss).

    With p the softmax of the outputs of a picture and t its mask as ones and zeros, over its pixels that count,

        D_k = (2 sum p_k t_k + smooth) / (sum p_k + sum t_k + smooth),    L = 1 - sum_k c_k D_k / sum_k c_k,

    where c are the class weights, 1 without; without the squares that the paper has in the denominator, as is usual
    (Drozdzal et al. 2016). With n_k and d_k the numerator and the denominator,

        dL/dp_k = -(2 t_k - n_k / d_k) c_k / (d_k sum_j c_j),    dL/dz_k = p_k (dL/dp_k - sum_j p_j dL/dp_j).

    A picture is weighted by its pixels that count, each with its class weight: so the mean is that of cross-entropy,
    and both can be added up in a `sum`. A class that is absent from a picture costs nothing only if it is given no
    probability.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"smooth": 1.0, "weight": 0.5},
        {"class_weight": (0.5, 2.0, 1.0, 0.25)},
    )
    scores: ClassVar[tuple[str, ...]] = (MASKS,)
    from_logits: ClassVar[bool] = True
    scores_classes: ClassVar[bool] = True

    smooth: Positive = 1e-5  # added to both sums, so that a class without a pixel has a coefficient

    def score_map(self, outputs: Array, masks: Array, weights: Array, losses: Array, d_outputs: Array | None) -> None:
        """Losses and gradient of a shard, picture by picture: temporaries are of one picture."""
        counted = self.counted(masks) * self.weight
        for i, (z, mask) in enumerate(zip(outputs, masks, strict=True)):
            into = None if d_outputs is None else d_outputs[i].reshape(-1, z.shape[-1])
            loss = self._of_picture(z.reshape(-1, z.shape[-1]), mask.reshape(-1), into)
            losses[i] = loss * counted[i]
            if into is not None:
                into *= np.asarray(counted[i] * weights[i], into.dtype)

    def _of_picture(self, z: Array, labels: Array, into: Array | None) -> float:
        """L of logits (pixels, units) and labels (pixels,), and its gradient; sums are in float64."""
        units = z.shape[1]
        counts = np.flatnonzero(labels != IGNORED)
        own = labels[counts].astype(np.intp)
        with np.errstate(invalid="ignore", over="ignore"):
            p = softmax(z)[0]
            poison = float((z * 0).sum())  # NaN for what is not finite, also where no pixel counts
            seen = p[counts] if len(counts) < len(labels) else p
            rows = np.arange(len(own))
            hit = np.bincount(own, seen[rows, own], minlength=units)
            true = np.bincount(own, minlength=units)
            above = 2 * hit + self.smooth
            below = seen.sum(axis=0, dtype=np.float64) + true + self.smooth
            shares = np.ones(units) if self.class_weight is None else np.array(self.class_weight)
            shares = shares / shares.sum()
            if into is not None:
                factor = shares / below
                slopes = np.tile((above / below * factor).astype(z.dtype), (len(own), 1))
                slopes[rows, own] -= (2 * factor[own]).astype(z.dtype)
                slopes -= total(seen * slopes)
                slopes *= seen
                into[...] = poison
                into[counts] += slopes
            return float(1 - shares @ (above / below)) + poison
