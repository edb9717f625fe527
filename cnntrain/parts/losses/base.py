"""A loss scores outputs against targets, sample by sample, and gives its derivative in the outputs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np

from cnntrain.config.fields import NonNegative, Positive, check_fields
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.counts import counted
from cnntrain.core.description import CLASSES, VALUES, Description
from cnntrain.core.masks import IGNORED, MASKS
from cnntrain.core.registry import Part


@dataclass(frozen=True)
class Specimen:
    """Outputs (n, ...) float64 and targets (n, ...) to try a loss with, and which outputs a network can move."""

    outputs: Array
    targets: Array
    moves: Array  # bool, of the outputs' shape; the others are the same for every picture


@dataclass(frozen=True)
class Loss(Part):
    """Base of every loss.

    Labels are integers (n,), targets are floats of the outputs' shape (n, units); a loss takes either, since labels
    mean the same as their one-hot rows. The value of a step is sum(weights * losses) / normalizer over the whole step.
    A loss that scores masks as well is given outputs (n, height, width, units) and masks (n, height, width), and treats
    every pixel as a sample of its own, except those that are IGNORED: the mean is over all other pixels of the step,
    as with PyTorch's `ignore_index`.

    `weight` multiplies the loss. `class_weight` holds a factor c for every class: a sample of class k counts c_k times,
    and one with a row t of shares counts sum_k t_k c_k times, both in the sum and in the normalizer, which makes it
    PyTorch's weighted mean (PyTorch divides by the number of samples where targets are rows). "balanced" is
    samples / (classes * samples of the class), counted on the training split (King and Zeng 2001; scikit-learn).
    """

    kind: ClassVar[str] = "losses"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    scores: ClassVar[tuple[str, ...]] = (CLASSES, VALUES)  # the targets it can score outputs against
    yes_or_no: ClassVar[bool] = False  # whether each output is the logit of a yes-or-no question of its own
    target_range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)  # of target values: it has no minimum beyond
    from_logits: ClassVar[bool] = False  # whether it applies softmax or sigmoid itself, to what comes before them
    scores_classes: ClassVar[bool] = False  # whether `score` applies the class weights itself
    least_normalizer: ClassVar[float] = 0.0  # what a step is divided by where its normalizer is less

    weight: Positive = field(default=1.0, kw_only=True)  # factor on the loss
    # factor on the samples of each class; `balanced` weighs all classes the same
    class_weight: Literal["balanced"] | tuple[NonNegative, ...] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_fields(self)
        if isinstance(self.class_weight, tuple) and not any(self.class_weight):
            raise ValueError("class_weight needs a factor above 0 for at least one class")

    def summands(self) -> Sequence[Loss]:
        """The losses it adds up; itself where it is no sum."""
        return (self,)

    def check(self, outputs: Shape, units: int, data: Description) -> None:
        """Raise ValueError where outputs of this shape cannot be scored against such data, which needs `units`.

        `data.shape` is that of a sample as the network gets it.
        """
        if data.target == MASKS:
            self._check_map(outputs, units, data)
        elif len(outputs) != 1:
            raise ValueError(
                f"{self.name_in_config} needs features, got {outputs}: put flatten or global_avg_pool before"
            )
        elif outputs[0] != units:
            raise ValueError(
                f"the network ends with {outputs[0]} outputs, the data has {units} {data.target}: give the last dense "
                "layer 'units: auto'"
            )
        if self.class_weight is not None and data.target not in (CLASSES, MASKS):
            raise ValueError(f"class_weight needs classes, the data has {data.target}: leave it out")
        if isinstance(self.class_weight, tuple) and len(self.class_weight) != units:
            raise ValueError(
                f"class_weight has {counted(len(self.class_weight), 'factor')}, the data has {units} classes"
            )

    def _check_map(self, outputs: Shape, units: int, data: Description) -> None:
        """Raise ValueError where outputs are not scores for every pixel."""
        size = "x".join(map(str, data.shape[:2]))
        if len(outputs) != 3 or outputs[:2] != data.shape[:2]:
            found = "x".join(map(str, outputs)) if len(outputs) == 3 else f"{math.prod(outputs)} features"
            raise ValueError(
                f"{self.name_in_config} of masks needs scores for each of {size} pixels, the network ends with "
                f"{found}: keep the size, as the preset unet does"
            )
        if outputs[2] != units:
            raise ValueError(
                f"the network ends with {outputs[2]} scores for each pixel, the data has {units} classes: give the "
                "last convolution 'filters: auto'"
            )

    def wrong_targets(self, targets: Array) -> Array:
        """Which target values it is not defined on, bool, of their shape: NaN, infinite, or out of `target_range`."""
        low, high = self.target_range
        return ~(np.isfinite(targets) & (targets >= low) & (targets <= high))

    def fit(self, counts: Sequence[int]) -> Self:
        """The loss with numbers in place of "balanced", given the training samples of each class.

        Raises ValueError where a class has none.
        """
        if self.class_weight != "balanced":
            return self
        if not all(counts):
            raise ValueError(
                f"class_weight cannot be balanced: class {list(counts).index(0)} has no training sample. "
                "Give a list of factors instead"
            )
        factors = tuple(sum(counts) / (len(counts) * count) for count in counts)
        return dataclasses.replace(self, class_weight=factors)

    def own_targets(self, targets: Array) -> Array:
        """The samples' own targets, without a teacher's logits beside them (`beside`); what metrics see."""
        return own(targets)

    def normalizer(self, targets: Array, weights: Array) -> float:
        """The divisor of the step's summed loss and gradient; adds up over shards. A weighted mean, as in PyTorch."""
        own_targets = self.own_targets(targets)
        if is_map(own_targets):
            return float(np.dot(weights.astype(np.float64), self.counted(own_targets)))
        factors = self.class_factors(targets)
        if factors is None:
            return float(np.sum(weights, dtype=np.float64))
        return float(np.dot(weights.astype(np.float64), factors))

    def counted(self, masks: Array) -> Array:
        """How much the pixels of each mask count together, float64 (n,)."""
        factors = np.ones(IGNORED + 1)
        if self.class_weight is not None:
            assert self.class_weight != "balanced", "fit was not called"
            factors[: len(self.class_weight)] = self.class_weight
        factors[IGNORED] = 0
        result: Array = factors[masks].reshape(len(masks), -1).sum(axis=1)
        return result

    def divisor(self, outputs: Array, targets: Array, weights: Array) -> float:
        """The `normalizer`, for a loss that has to see the outputs (n, ...) to know what counts."""
        return self.normalizer(targets, weights)

    def without_constants(self) -> Loss:
        """The loss whose gradients are checked: itself, unless it treats as constant what depends on outputs."""
        return self

    def forms(self) -> tuple[str, ...]:
        """The forms of targets it takes, as `trial` knows them."""
        flat = ("labels", "rows") if {CLASSES, VALUES} & {*self.scores} else ()
        return (*flat, *(("masks",) if MASKS in self.scores and teacher_of(self) is None else ()))

    def trial(self, form: str, n: int, rng: np.random.Generator) -> Specimen:
        """What the contract tests try it with: four outputs for n samples, and labels or rows of probabilities.

        Or outputs (n, 3, 2, 4) and masks (n, 3, 2).
        """
        if form == "masks":
            masks = rng.integers(0, 4, (n, 3, 2)).astype(np.uint8)
            masks[rng.random(masks.shape) < 0.2] = IGNORED
            return Specimen(rng.standard_normal((n, 3, 2, 4)), masks, np.ones((n, 3, 2, 4), bool))
        outputs = rng.standard_normal((n, 4))
        labels, rows = rng.integers(0, 4, n), rng.dirichlet(np.ones(4), n).astype(np.float32)
        return Specimen(outputs, labels if form == "labels" else rows, np.ones(outputs.shape, bool))

    def class_factors(self, targets: Array) -> Array | None:
        """How many times each sample counts by its class, float64 (n,); None where all count once."""
        if self.class_weight is None:
            return None
        assert self.class_weight != "balanced", "fit was not called"
        targets = self.own_targets(targets)
        factors = np.array(self.class_weight)
        result: Array = factors[targets] if targets.ndim == 1 else targets.astype(np.float64) @ factors
        return result

    def __call__(self, outputs: Array, targets: Array, weights: Array, losses: Array, d_outputs: Array | None) -> None:
        """Write the samples' losses (n,), unweighted, and unless it is None the gradient of sum(weights * losses).

        outputs (n, units) in the engine's dtype, never written; targets (n,) integers or (n, units) floats;
        weights (n,). Neither is divided by the normalizer. Of masks, a sample's loss is the sum over its pixels.
        """
        if is_map(targets):
            self.score_map(outputs, targets, weights, losses, d_outputs)
            return
        factors = self.class_factors(targets) if self.class_weight is not None and not self.scores_classes else None
        scale: Any = self.weight if factors is None else (self.weight * factors).astype(outputs.dtype)
        scaled = factors is not None or self.weight != 1
        self.score(outputs, targets, weights * scale if scaled else weights, losses, d_outputs)
        if scaled:
            losses *= scale

    def score(self, outputs: Array, targets: Array, weights: Array, losses: Array, d_outputs: Array | None) -> None:
        """What `__call__` does, apart from `weight` and class weights, which are in `weights` already."""
        raise NotImplementedError

    def score_map(self, outputs: Array, masks: Array, weights: Array, losses: Array, d_outputs: Array | None) -> None:
        """What `__call__` does for outputs (n, h, w, units) and masks (n, h, w): every pixel by itself.

        An output that is not finite shows in the loss of its sample even where the pixel does not count.
        """
        n, units = len(outputs), outputs.shape[-1]
        labels = masks.reshape(-1)
        counts = labels != IGNORED
        each = np.empty((n, labels.size // n), losses.dtype)
        self(
            outputs.reshape(-1, units),
            np.where(counts, labels, 0).astype(np.intp),
            np.repeat(weights, each.shape[1]) * counts,
            each.reshape(-1),
            None if d_outputs is None else d_outputs.reshape(-1, units),
        )
        with np.errstate(invalid="ignore"):
            each *= counts.reshape(n, -1)
        np.sum(each, axis=1, out=losses)


@dataclass(frozen=True)
class Elementwise(Loss):
    """Base of the losses that are the mean over a sample's outputs of a function of one output and its target.

    PyTorch's reduction "mean" over the whole batch gives the same, since all samples have equally many outputs.
    """

    def score(self, outputs: Array, targets: Array, weights: Array, losses: Array, d_outputs: Array | None) -> None:
        """Losses and gradient of a shard; temporaries of the outputs' shape are made.

        An output that is not finite makes its sample's loss and gradient NaN, even where a saturated function would
        hide it.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            poison = (outputs * 0).sum(axis=1)  # 0 of what is finite, else NaN
            values, slopes = self.values_and_slopes(outputs, one_hot(targets, outputs))
            np.mean(values, axis=1, out=losses)
            losses += poison
            if d_outputs is not None:
                np.multiply(slopes, (weights / outputs.shape[1] + poison)[:, None], out=d_outputs)

    def values_and_slopes(self, y: Array, t: Array) -> tuple[Array, Array]:
        """The function of outputs y and targets t, both (n, units), and its derivative in y; new arrays."""
        raise NotImplementedError


OWN, LOGITS = "own", "logits"  # the fields of targets with a teacher's logits beside them


def teacher_of(loss: Part) -> str | None:
    """The teacher that a loss, or one of the terms of a sum, learns from."""
    found: str | None = getattr(loss, "teacher", None)
    return found


def beside(targets: Array, logits: Array) -> Array:
    """Targets (n, ...) with a teacher's logits (n, units) beside them: records of OWN and LOGITS."""
    fields = [(OWN, targets.dtype, targets.shape[1:]), (LOGITS, logits.dtype, logits.shape[1:])]
    records = np.empty(len(targets), fields)
    records[OWN], records[LOGITS] = targets, logits
    return records


def logits_of(targets: Array) -> Array | None:
    """The teacher's logits that lie beside the targets; None where there are none, as in validation."""
    return targets[LOGITS] if LOGITS in (targets.dtype.names or ()) else None


def own(targets: Array) -> Array:
    """Targets without the teacher's logits that lie beside them."""
    return targets if logits_of(targets) is None else targets[OWN]


def is_map(targets: Array) -> bool:
    """Whether targets are masks (n, h, w), with a class for every pixel, rather than labels or rows of numbers."""
    return targets.ndim == 3 and targets.dtype.kind == "u"


def one_hot(targets: Array, like: Array) -> Array:
    """Targets as rows of the outputs' shape and dtype; integer labels become one-hot rows."""
    if targets.ndim == like.ndim:
        return targets.astype(like.dtype, copy=False)
    rows = np.zeros_like(like)
    rows[np.arange(len(targets)), targets] = 1
    return rows
