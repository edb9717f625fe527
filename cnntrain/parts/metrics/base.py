"""A metric is a number about predictions that adds up: states of shards, steps and epochs are summed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import check_fields
from cnntrain.core.arrays import Array
from cnntrain.core.description import CLASSES, VALUES
from cnntrain.core.masks import IGNORED, MASKS
from cnntrain.core.registry import Part, parts
from cnntrain.ops.argmax import taken_for
from cnntrain.ops.pixels import answers
from cnntrain.ops.softmax import softmax

_FORMS = {"labels": CLASSES, "values": VALUES, "masks": MASKS}  # of the targets that the contract makes up
_SURE = np.float32(20)  # the logit of an answer that is as good as certain


@dataclass(frozen=True)
class Metric(Part):
    """Base of every metric. A state is a float64 vector; adding two states merges what they saw."""

    kind: ClassVar[str] = "metrics"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    larger_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)  # what its value lies between, both included
    scores: ClassVar[tuple[str, ...]] = (CLASSES,)  # the targets it can compare outputs with
    of_logits: ClassVar[bool] = True  # whether right outputs are large ones, as logits are; else they equal the targets

    def __post_init__(self) -> None:
        check_fields(self)

    def label(self) -> str:
        """The name it has in metrics.jsonl and in `until`, such as "top5"; unique among settings."""
        return self.name_in_config

    @classmethod
    def has_label(cls, label: str) -> bool:
        """Whether one with some settings has this label; to be written where `label` does not begin with its name."""
        return label == cls.name_in_config or label.startswith(f"{cls.name_in_config}_")

    def tells(self, classes: int) -> bool:
        """Whether its value can differ between networks, with so many classes."""
        return True

    def zeros(self, classes: int) -> Array:
        """The state that has seen nothing: zeros, float64, 1-D."""
        raise NotImplementedError

    def length(self, classes: int) -> int:
        """How long a state is, without allocating one where that may be large."""
        return len(self.zeros(classes))

    def add(self, state: Array, outputs: Array, targets: Array, weights: Array) -> None:
        """Add a shard to the state: outputs (n, classes), targets (n,) labels or (n, k), weights (n,)."""
        raise NotImplementedError

    def value(self, state: Array) -> Any:
        """The metric over all that was added: a float, or nested lists of floats; NaN without samples."""
        raise NotImplementedError

    def forms(self) -> tuple[str, ...]:
        """The forms of targets that the contract tries it with."""
        return tuple(form for form, target in _FORMS.items() if target in self.scores)

    def trial(self, form: str, n: int, units: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Outputs and targets of n samples of that form, and the outputs that would be right; outputs are float32."""
        if form == "masks":
            masks = rng.integers(0, units, (n, 3, 2)).astype(np.uint8)
            masks[rng.random(masks.shape) < 0.2] = IGNORED
            right = np.eye(IGNORED + 1, units, dtype=np.float32)[masks]
            return rng.standard_normal(right.shape).astype(np.float32), masks, _SURE * right
        outputs = rng.standard_normal((n, units)).astype(np.float32)
        if form == "labels":
            targets = rng.integers(0, units, n)
        else:
            rows = rng.integers(0, 2, (n, units)) if self.of_logits else rng.standard_normal((n, units))
            targets = rows.astype(np.float32)
        right = rows_of(targets, outputs).astype(np.float32)
        return outputs, targets, _SURE * right if self.of_logits else right


@dataclass(frozen=True)
class Share(Metric):
    """Base of the metrics that are the share of samples for which something holds. State: [their weight, all weight].

    Targets that are rows count as the label of their largest value.
    """

    bounds: ClassVar[tuple[float, float]] = (0, 1)

    def hits(self, outputs: Array, labels: Array) -> Array:
        """Which samples it holds for: bool, shape (n,). A NaN among the outputs is never right."""
        raise NotImplementedError

    def zeros(self, classes: int) -> Array:
        """Two zeros."""
        return np.zeros(2)

    def add(self, state: Array, outputs: Array, targets: Array, weights: Array) -> None:
        """Add a shard to the state."""
        state += (weights[self.hits(outputs, labels_of(targets))].sum(dtype=np.float64), weights.sum(dtype=np.float64))

    def value(self, state: Array) -> float:
        """The share, in [0, 1]; NaN without samples."""
        hit, seen = state.tolist()
        return hit / seen if seen else math.nan


@dataclass(frozen=True)
class Mean(Metric):
    """Base of the metrics that are the mean of a number for each sample. State: [its weighted sum, all weight]."""

    larger_is_better: ClassVar[bool] = False

    def each(self, outputs: Array, targets: Array) -> Array:
        """The number of each sample: float64, shape (n,)."""
        raise NotImplementedError

    def zeros(self, classes: int) -> Array:
        """Two zeros."""
        return np.zeros(2)

    def add(self, state: Array, outputs: Array, targets: Array, weights: Array) -> None:
        """Add a shard to the state."""
        w = weights.astype(np.float64)
        state += ((self.each(outputs, targets) * w).sum(), w.sum())

    def value(self, state: Array) -> float:
        """The mean; NaN without samples."""
        total, seen = state.tolist()
        return total / seen if seen else math.nan


@dataclass(frozen=True)
class Counted(Metric):
    """Base of the metrics that follow from the diagonal and the sums of a confusion matrix.

    State: of each class the weight of the samples that were found, of those taken for it, and of those that are of it.
    What a sample is `taken_for` is one rule for all. The matrix itself would grow with the square of the classes: 8 MB
    of each shard for 1,000.
    """

    def zeros(self, classes: int) -> Array:
        """Three rows of zeros, flat."""
        return np.zeros(3 * classes)

    def add(self, state: Array, outputs: Array, targets: Array, weights: Array) -> None:
        """Count a shard."""
        labels = labels_of(targets)
        guesses = taken_for(outputs, labels)
        right = labels == guesses
        rows = counts_of(state)
        for row, classes, w in zip(
            rows, (labels[right], guesses, labels), (weights[right], weights, weights), strict=True
        ):
            row += np.bincount(classes, w, minlength=len(row))


def counts_of(state: Array) -> tuple[Array, Array, Array]:
    """The state of `Counted` as windows (classes,) on it: found, taken for the class, of the class."""
    found, predicted, true = state.reshape(3, -1)
    return found, predicted, true


@dataclass(frozen=True)
class OfPixels(Counted):
    """Base of the metrics that follow from how many pixels of each class were found, taken for it, and are of it.

    A pixel is taken for the class of its largest output, and counts by the weight of its sample.
    """

    scores: ClassVar[tuple[str, ...]] = (MASKS,)
    bounds: ClassVar[tuple[float, float]] = (0, 1)

    def add(self, state: Array, outputs: Array, targets: Array, weights: Array) -> None:
        """Count a shard: outputs (n, h, w, classes), masks (n, h, w)."""
        rows = state.reshape(3, -1)
        for z, mask, weight in zip(outputs, targets, weights.tolist(), strict=True):
            labels, guesses = answers(z, mask)
            for row, classes in zip(rows, (labels[labels == guesses], guesses, labels), strict=True):
                row += weight * np.bincount(classes, minlength=len(row))


@dataclass(frozen=True)
class PerClass(Counted):
    """Base of precision, recall and F1: a ratio of counts for each class, averaged.

    `macro` is the plain mean over the classes that occur, as truth or as prediction; `weighted` is that mean weighted
    by how often a class is true; `micro` is the ratio of the counts summed over classes, which is accuracy for all
    three; `per_class` is a list with every class. A ratio of nothing to nothing counts as 0, as with scikit-learn's
    zero_division=0. All are NaN for no samples.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"average": "micro"},
        {"average": "weighted"},
        {"average": "per_class"},
    )
    bounds: ClassVar[tuple[float, float]] = (0, 1)

    # how the classes are averaged, or `per_class` for a value for each
    average: Literal["macro", "micro", "weighted", "per_class"] = "macro"

    def label(self) -> str:
        """`f1` for the macro average, `f1_micro` and so on for the others."""
        return self.name_in_config + f"_{self.average}" * (self.average != "macro")

    def ratio(self, hit: Array, predicted: Array, true: Array) -> tuple[Array, Array]:
        """Numerator and denominator from three counts: correct, predicted as the class, of the class; any shape."""
        raise NotImplementedError

    def value(self, state: Array) -> Any:
        """The average, a float in [0, 1]; per class, a list of them."""
        hit, predicted, true = counts_of(state)
        if self.average == "micro":
            above, below = self.ratio(hit.sum(), predicted.sum(), true.sum())
            return float(above / below) if below else math.nan
        ratios = divided(*self.ratio(hit, predicted, true))
        if self.average == "per_class":
            return ratios.tolist() if true.any() else [math.nan] * len(ratios)
        shares = true if self.average == "weighted" else ((true + predicted) > 0).astype(np.float64)
        return float(ratios @ shares / shares.sum()) if true.any() else math.nan


def divided(above: Array, below: Array) -> Array:
    """The quotient, entry by entry, and 0 where the denominator is."""
    quotient: Array = np.divide(above, below, out=np.zeros(np.shape(below)), where=below != 0)
    return quotient


def log_probabilities(outputs: Array) -> Array:
    """The log-softmax of logits (n, classes) in float64; a row with a NaN or an infinity is NaN where undefined."""
    return softmax(outputs.astype(np.float64))[1]


def rows_of(targets: Array, like: Array) -> Array:
    """Targets as float64 rows (n, k) of the outputs' shape; labels become one-hot rows."""
    if targets.ndim > 1:
        return targets.astype(np.float64)
    rows = np.zeros((len(targets), like.shape[1]))
    rows[np.arange(len(targets)), targets] = 1
    return rows


def labels_of(targets: Array) -> Array:
    """Targets as labels (n,); for rows (n, k), the place of the largest value."""
    return targets if targets.ndim == 1 else targets.argmax(axis=1)


def of_label(label: str) -> type[Metric] | None:
    """The metric that has this label with some settings, such as "top5"; None where none has."""
    found = [part for part in parts("metrics").values() if issubclass(part, Metric) and part.has_label(label)]
    return max(found, key=lambda part: len(part.name_in_config), default=None)  # "error_of_mine" before "error"


def larger_is_better(metric: str, mode: str = "auto") -> bool:
    """Whether larger is better for a metric such as "val/top5" or a task's measure such as "val/ap"; not for losses.

    A `mode` of "min" or "max", as a config may give, decides by itself.
    """
    if mode != "auto":
        return mode == "max"
    label = metric.partition("/")[2]
    if any(label in getattr(task, "measures", ()) for task in parts("tasks").values()):
        return True
    found = of_label(label)
    return found is not None and found.larger_is_better
