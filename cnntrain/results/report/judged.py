"""A judged split is what a trained network says about every sample of it, beside what is true."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.machine import threads as usable
from cnntrain.core.registry import make
from cnntrain.data.loader import Samples
from cnntrain.engine.pool import Pool
from cnntrain.parts.datasets.base import Dataset, Images
from cnntrain.parts.tasks.base import Evaluation
from cnntrain.rundir.history import Record
from cnntrain.trained.inference import Trained

BLOCK = 2**22  # outputs that a metric is given at a time


@dataclass(frozen=True)
class Judged:
    """A network and its outputs (n, units) for the samples of a split, which are `images` at `indices`."""

    trained: Trained
    split: str
    images: Images
    indices: Array
    outputs: Array

    @functools.cached_property
    def evaluation(self) -> Evaluation:
        """The same as the task wants it."""
        targets = self.images.targets[self.indices]
        return Evaluation(self.trained.description, self.split, self.indices, targets, self.outputs)

    @functools.cached_property
    def heard(self) -> Any:
        """The source whose samples are sounds, which has `heard`; None where they are none."""
        origins = cast(Dataset, self.trained.loaded.experiment.data.source).origins()
        return origins[0] if len(origins) == 1 and hasattr(origins[0], "heard") else None

    def metrics(self) -> dict[str, float]:
        """Every metric of the whole split that is one number, by its label: the usual ones, then the run's own."""
        network = self.trained.network
        usual = [make("metrics", name) for name in network.task.reported(network.data)]
        wanted = {metric.label(): metric for metric in (*usual, *self.trained.tally.metrics)}
        found = {}
        for label, metric in wanted.items():
            state = metric.zeros(network.task.counted(network.data))
            block = max(1, BLOCK // max(1, self.outputs[:1].size))
            for start in range(0, len(self.outputs), block):
                outputs = self.outputs[start : start + block]
                metric.add(state, outputs, self.evaluation.targets[start : start + block], np.ones(len(outputs)))
            found[label] = metric.value(state)
        return {label: value for label, value in found.items() if isinstance(value, float)}

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
