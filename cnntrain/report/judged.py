"""A judged split is what a trained network says of every sample of it, beside what is true."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntrain.arrays import Array
from cnntrain.datasets.base import Images
from cnntrain.engine.pool import Pool
from cnntrain.inference import Trained
from cnntrain.loader import Samples
from cnntrain.metrics.base import labels_of, log_probabilities, taken_for
from cnntrain.record import Record
from cnntrain.registry import make
from cnntrain.resources import threads as usable

_METRICS = (
    *("accuracy", "top_k", "balanced_accuracy", "f1", "cohen_kappa", "mcc"),
    *("log_loss", "brier", "calibration_error"),
)
_METRICS_OF_VALUES = ("mse", "mae")


@dataclass(frozen=True)
class Judged:
    """A network and its outputs (n, units) for the samples of a split, which are `images` at `indices`."""

    trained: Trained
    split: str
    images: Images
    indices: Array
    outputs: Array

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty for target values."""
        return self.trained.network.classes

    @functools.cached_property
    def targets(self) -> Array:
        """What is true of each sample: labels (n,), or values (n, k)."""
        targets = self.images.targets[self.indices]
        return labels_of(targets) if self.classes else targets

    @functools.cached_property
    def probabilities(self) -> Array:
        """The softmax of the outputs, (n, classes)."""
        shares: Array = np.exp(log_probabilities(self.outputs))
        return shares

    @functools.cached_property
    def predicted(self) -> Array:
        """The likeliest class of each sample, (n,); a wrong one where an output is NaN."""
        return taken_for(self.outputs, self.targets)

    @functools.cached_property
    def confusion(self) -> Array:
        """How many samples of each class (row) were taken for each class (column)."""
        k = len(self.classes)
        return np.bincount(self.targets * k + self.predicted, minlength=k * k).reshape(k, k)

    def metrics(self) -> dict[str, float]:
        """Every metric of the whole split that is one number, by its label: the usual ones, then the run's own."""
        usual = [make("metrics", name) for name in (_METRICS if self.classes else _METRICS_OF_VALUES)]
        wanted = {metric.label(): metric for metric in (*usual, *self.trained.tally.metrics)}
        if len(self.classes) <= 5:
            wanted.pop("top5", None)
        found = {}
        for label, metric in wanted.items():
            state = metric.zeros(self.outputs.shape[-1])
            metric.add(state, self.outputs, self.targets, np.ones(len(self.outputs)))
            found[label] = metric.value(state)
        return {label: value for label, value in found.items() if isinstance(value, float)}

    def losses(self) -> Array:
        """How wrong each sample is, (n,): -log p(true class), or the mean squared error of its values."""
        if not self.classes:
            errors: Array = np.square(self.outputs.reshape(len(self.targets), -1) - self.targets).mean(axis=1)
            return errors
        missed: Array = -log_probabilities(self.outputs)[np.arange(len(self.targets)), self.targets]
        return missed

    def pixels(self, chosen: Array) -> Array:
        """The stored images of the samples at these positions of the split."""
        return self.images.pixels[self.indices[chosen]]

    def inputs(self, chosen: Array) -> Array:
        """Those images as the network reads them."""
        samples = Samples(self.images, self.indices[chosen], self.trained.transforms)
        x = np.empty((len(chosen), *self.trained.network.graph.input_shape), np.float32)
        samples.fill(0, len(chosen), x)
        return x


@contextmanager
def judging(record: Record, split: str | None, sets: tuple[str, ...], threads: int | None) -> Iterator[Judged]:
    """The best network of a run, or its last, judged on a split: by default val, else test, else train.

    Raises CheckpointError, ConfigError or DataError where it cannot be.
    """
    with Pool(usable(threads)) as pool:
        trained = Trained(record.path, pool, sets)
        split = split or _first_split(record, trained)
        images, indices = trained.samples(split)
        outputs = trained.engine.outputs(Samples(images, indices, trained.transforms))
        yield Judged(trained, split, images, indices, outputs)


def _first_split(record: Record, trained: Trained) -> str:
    if record.start.get("validation_samples"):
        return "val"
    source: Any = trained.loaded.experiment.data.source
    return "test" if "test" in source.splits() else "train"


def percent(share: float) -> str:
    """A share of samples for people."""
    return f"{100 * share:.1f} %" if math.isfinite(share) else "–"
