"""A tally is the sum of loss and metric states over samples; tallies of shards, steps and epochs add up."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.parts.losses.base import Loss
from cnntrain.parts.metrics.base import Counted, Metric

TALLIES = ("metric/epoch", "metric/interval")  # the arrays of a checkpoint that are tallies
_LOSS, _NORMALIZER, _SAMPLES, _STATES = 0, 1, 2, 3  # what lies where in the vector


class Tally:
    """How loss and metrics are laid out in one float64 vector, so that adding two vectors merges what they saw."""

    def __init__(self, loss: Loss, metrics: Sequence[Metric], outputs: int) -> None:
        """`outputs` is how many things a metric counts separately: classes, or a sample's values (Task.counted)."""
        self.loss, self.metrics, self.outputs = loss, tuple(metrics), outputs
        stops = np.cumsum([_STATES, *(metric.length(outputs) for metric in metrics)])
        self._slices = [slice(int(a), int(b)) for a, b in itertools.pairwise(stops)]
        self.size = int(stops[-1])

    def zeros(self) -> Array:
        """The tally of no samples."""
        return np.zeros(self.size)

    def of(self, outputs: Array, targets: Array, weights: Array, losses: Array) -> Array:
        """The tally of one shard, given its outputs (n, units) and per-sample losses (n,)."""
        vector = self.zeros()
        vector[_LOSS] = np.dot(losses.astype(np.float64), weights.astype(np.float64))
        vector[_NORMALIZER] = self.loss.divisor(outputs, targets, weights)
        vector[_SAMPLES] = len(outputs)
        own = self.loss.own_targets(targets)
        for metric, part in zip(self.metrics, self._slices, strict=True):
            metric.add(vector[part], outputs, own, weights)
        return vector

    def renewed(self, vector: Array) -> Array:
        """A vector of version 0.1.0 as it is laid out now: it has whole matrices where `Counted` has their sums.

        Only its age tells, since of three classes both are nine numbers. One of another length is returned as it is.
        """
        k = self.outputs
        lengths = [k * k if isinstance(metric, Counted) else metric.length(k) for metric in self.metrics]
        if vector.shape != (_STATES + sum(lengths),):
            return vector
        parts = [vector[:_STATES]]
        stops = np.cumsum([_STATES, *lengths])
        for metric, (start, stop) in zip(self.metrics, itertools.pairwise(stops), strict=True):
            state = vector[start:stop]
            if isinstance(metric, Counted):
                matrix = state.reshape(k, k)
                state = np.concatenate([matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)])
            parts.append(state)
        return np.concatenate(parts)

    def normalizer(self, vector: Array) -> float:
        """What the summed loss and gradient are divided by; 1 where nothing counts, so that both are 0.

        That is so where every pixel is ignored, or every class has the weight 0: nothing is asked, nothing is learned.
        """
        return max(float(vector[_NORMALIZER]), self.loss.least_normalizer) or 1.0

    @staticmethod
    def samples(vector: Array) -> int:
        """How many samples were seen."""
        return int(vector[_SAMPLES])

    def mean_loss(self, vector: Array) -> float:
        """The loss over everything seen; NaN if nothing was."""
        return float(vector[_LOSS] / self.normalizer(vector)) if self.samples(vector) else float("nan")

    def values(self, vector: Array) -> dict[str, Any]:
        """Loss and every metric by label."""
        values: dict[str, Any] = {"loss": self.mean_loss(vector)}
        for metric, part in zip(self.metrics, self._slices, strict=True):
            values[metric.label()] = metric.value(vector[part])
        return values
