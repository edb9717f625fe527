"""FCOS: every location inside a box learns the box, its class, and how near it is to the box's middle."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import NonNegative, Probability
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.boxes import BOXES, COUNTED, record
from cnntrain.core.description import Description
from cnntrain.core.registry import make, register
from cnntrain.ops.boxes import generalized, log_overlap
from cnntrain.ops.locations import BOX, FIXED, PLACE, QUALITY, SCORES, STRIDE
from cnntrain.ops.sigmoid import sigmoid_and_softplus
from cnntrain.parts.losses.base import Loss, Specimen


@register("fcos")
@dataclass(frozen=True)
class Fcos(Loss):
    """The loss of a detector that has no anchors (Tian et al. 2019, "FCOS"), as torchvision computes it.

    A location (x, y) of stride s is positive for a box if it lies inside it, within `radius` strides of its middle in
    both directions, and if the box suits the level: with the distances l, t, r, b from there to its sides,

        4 s < max(l, t, r, b) < 8 s,

    without the lower bound at the smallest stride and the upper one at the largest. Of several boxes, the smallest
    counts. Then with N the positive locations of the whole step, 1 at least,

        L = 1/N sum focal(scores) + 1/N sum over positives (`box` loss + BCE(quality, centerness)),
        centerness = sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b)).

    The focal loss (`focal`) is summed over all locations and classes; the box loss is 1 - GIoU, or -log IoU as in the
    paper. Locations that lie in a crowd or a difficult box, and are not positive, are left out of it: what lies in a
    box that need not be found is not background.
    """

    scores: ClassVar[tuple[str, ...]] = (BOXES,)
    least_normalizer: ClassVar[float] = 1.0
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"box": "iou", "radius": 0.0, "gamma": 1.0, "alpha": 0.4, "box_weight": 2.0, "weight": 0.5},
        {"quality": "iou"},
    )

    box: Literal["giou", "iou"] = "giou"  # the loss of boxes: 1 - GIoU, or -log IoU
    quality: Literal["centerness", "iou"] = "centerness"  # what the quality's logit learns; iou: how well boxes fit
    radius: NonNegative = 1.5  # strides from the middle of a box within which a location learns it; 0: all inside it
    gamma: NonNegative = 2.0  # how strongly the focal loss plays down what is already right
    alpha: Probability = 0.25  # weight of the true class in the focal loss; the others have the rest
    box_weight: NonNegative = 1.0  # factor on the loss of boxes

    def check(self, outputs: Shape, units: int, data: Description) -> None:  # noqa: ARG002  (the contract's signature)
        """Raise ValueError unless outputs are what the layer box_levels gives for the data's classes."""
        if len(outputs) != 2 or outputs[1] != FIXED + units:
            found = "x".join(map(str, outputs))
            raise ValueError(
                f"fcos needs what box_levels gives for {units} classes, (locations, {FIXED + units}), the network ends "
                f"with {found}: end it with box_levels, and give the convolution of the classes 'filters: auto'"
            )
        if self.class_weight is not None:
            raise ValueError("class_weight needs samples of one class each, the data has boxes: leave it out")

    def divisor(self, outputs: Array, targets: Array, weights: Array) -> float:
        """The positive locations, each times the weight of its sample."""
        counts = [int((self.assigned(o, t)[0] >= 0).sum()) for o, t in zip(outputs, targets, strict=True)]
        return float(np.dot(counts, weights.astype(np.float64)))

    def assigned(self, outputs: Array, target: Any) -> tuple[Array, Array]:
        """For each location of one sample the number of the box it is positive for, or -1; whether it is left out."""
        there = np.flatnonzero(target["labels"] >= 0)
        if not len(there):
            return np.full(len(outputs), -1), np.zeros(len(outputs), bool)
        (x, y), strides, (x1, y1, x2, y2) = (
            outputs[:, PLACE].T[..., None],
            outputs[:, STRIDE, None],
            target["corners"][there].astype(outputs.dtype).T,
        )
        wide, high = np.maximum(x - x1, x2 - x), np.maximum(y - y1, y2 - y)  # (locations, boxes)
        farthest = np.maximum(wide, high)
        inside = (wide < x2 - x1) & (high < y2 - y1)
        spared = inside & (target["roles"][there] != COUNTED)
        near = inside & ~spared
        near &= (farthest > 4 * strides) | (strides == strides.min())
        near &= (farthest < 8 * strides) | (strides == strides.max())
        if self.radius:
            reach = self.radius * strides
            near &= (np.abs(x - (x1 + x2) / 2) < reach) & (np.abs(y - (y1 + y2) / 2) < reach)
        sizes = np.where(near, (x2 - x1) * (y2 - y1), np.inf)
        which = np.where(near.any(axis=1), there[sizes.argmin(axis=1)], -1)
        return which, (which < 0) & spared.any(axis=1)

    def score(self, outputs: Array, targets: Array, weights: Array, losses: Array, d_outputs: Array | None) -> None:
        """Losses and gradient of a shard, sample by sample.

        An output that is not finite makes its sample's loss and gradient NaN.
        """
        with np.errstate(all="ignore"):
            for i, (o, target) in enumerate(zip(outputs, targets, strict=True)):
                d = np.zeros_like(o) if d_outputs is not None else None
                poison = (o * 0).sum()
                losses[i] = self._of_sample(o, target, d) + poison
                if d is not None and d_outputs is not None:
                    np.multiply(d, weights[i], out=d_outputs[i])
                    d_outputs[i] += poison

    def _of_sample(self, o: Array, target: Any, d: Array | None) -> Any:
        """The loss of one sample; its gradient is written into d, which is zeros."""
        which, left_out = self.assigned(o, target)
        positive = np.flatnonzero(which >= 0)
        learned = which[positive]
        wanted = np.zeros_like(o[:, SCORES])
        wanted[positive, target["labels"][learned]] = 1
        values, slopes = _focal(self.gamma, self.alpha).values_and_slopes(o[:, SCORES], wanted)
        counts = ~left_out[:, None]
        corners, rows = target["corners"][learned].astype(o.dtype), o[positive]
        fit, fit_slopes = self._fit(rows[:, BOX], corners, d is not None)
        goal = self._goal(rows, corners)
        p, softplus = sigmoid_and_softplus(rows[:, QUALITY])
        quality = (1 - goal) * rows[:, QUALITY] + softplus
        if d is not None:
            d[:, SCORES] = slopes * counts
            d[positive, BOX] = -self.box_weight * fit_slopes
            d[positive, QUALITY] = p - goal
        return (values * counts).sum() + self.box_weight * fit.sum() + quality.sum()

    def _goal(self, rows: Array, corners: Array) -> Array:
        """What the quality of each location should be, in [0, 1]; a constant to the gradient."""
        if self.quality == "centerness":
            return centerness(rows[:, PLACE], corners)
        return np.exp(log_overlap(rows[:, BOX], corners)[0])

    def _fit(self, boxes: Array, corners: Array, slopes: bool) -> tuple[Array, Any]:
        """The loss of each box, and if wanted the derivative of its negative."""
        if self.box == "giou":
            value, slope = generalized(boxes, corners, slopes)
            return 1 - value, slope
        value, slope = log_overlap(boxes, corners, slopes)
        return -value, slope

    def without_constants(self) -> Fcos:
        """With centerness, which no output changes."""
        return replace(self, quality="centerness")

    def forms(self) -> tuple[str, ...]:
        """Records of boxes."""
        return ("boxes",)

    def trial(self, form: str, n: int, rng: np.random.Generator) -> Specimen:  # noqa: ARG002  (boxes are all there is)
        """Two levels of five locations for pictures of 32x32 with up to three boxes, and three classes."""
        middles = [(8.0, 8.0, 16.0), (24.0, 8.0, 16.0), (8.0, 24.0, 16.0), (24.0, 24.0, 16.0), (16.0, 16.0, 32.0)]
        outputs = rng.standard_normal((n, len(middles), FIXED + 3))
        outputs[..., PLACE.start : STRIDE + 1] = middles
        reach = np.exp(rng.standard_normal((n, len(middles), 4))) * 8 * [-1, -1, 1, 1]
        outputs[..., BOX] = outputs[..., [4, 5, 4, 5]] + reach
        if self.quality == "iou":
            outputs[..., QUALITY] = 0  # where the loss does not depend on the goal, which boxes change
        found = np.zeros(n, record(3))
        start = rng.uniform(0, 14, (n, 3, 2))
        found["corners"] = np.concatenate([start, start + rng.uniform(4, 17, (n, 3, 2))], axis=2)
        found["labels"] = rng.integers(0, 3, (n, 3))
        found["labels"][rng.random((n, 3)) < 0.2] = -1
        found["roles"] = (rng.random((n, 3)) < 0.2) * 1
        moves = np.ones(outputs.shape, bool)
        moves[..., PLACE.start : STRIDE + 1] = False
        return Specimen(outputs, found, moves)


@functools.lru_cache(maxsize=8)
def _focal(gamma: float, alpha: float) -> Any:
    """The focal loss of single scores; its settings are checked when it is made, which takes longer than a sample."""
    return make("losses", "focal", gamma=gamma, alpha=alpha)


def centerness(places: Array, corners: Array) -> Array:
    """How near places (n, 2) are to the middles of the boxes (n, 4) around them: 1 there, 0 at the border."""
    low, high = places - corners[:, :2], corners[:, 2:] - places
    shares = np.minimum(low, high) / np.maximum(low, high)
    found: Array = np.sqrt(np.maximum(shares, 0).prod(axis=1))
    return found
