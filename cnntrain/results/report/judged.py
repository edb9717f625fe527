"""A judged split has a trained network's answer for every sample, beside the truth."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.display import coloured
from cnntrain.core.errors import DataError, OutOfMemoryError, first_line
from cnntrain.core.machine import threads as usable
from cnntrain.core.registry import make
from cnntrain.data.loader import Samples
from cnntrain.engine.pool import Pool
from cnntrain.network.tally import Tally
from cnntrain.parts.datasets.base import Dataset
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.tasks.base import Evaluation
from cnntrain.rundir.history import Record
from cnntrain.trained.gathered import Gathered
from cnntrain.trained.inference import Trained

_GAP = 2  # pixels between pictures side by side, at least


@dataclass(frozen=True)
class Judged:
    """A network and what is known of its outputs for the samples of a split, which are `images` at `indices`.

    outputs   (n, units), or what the task keeps of them (`Task.kept`)
    measured  loss and every metric of the whole split that is one number, by label: the usual ones, then the run's own
    beside    the same for the split test, where that is another one
    missing   why `beside` is empty, where it ought not to be
    """

    trained: Trained
    split: str
    images: Images
    indices: Array
    outputs: Array
    measured: dict[str, float]
    beside: dict[str, float] = field(default_factory=dict)
    missing: str = ""

    @functools.cached_property
    def evaluation(self) -> Evaluation:
        """The split's outputs and targets as the task takes them."""
        targets = self.images.targets[self.indices]
        return Evaluation(self.trained.description, self.split, self.indices, targets, self.outputs)

    @functools.cached_property
    def heard(self) -> Any:
        """The source of the samples where they are sounds (it has `heard`), else None."""
        origins = cast(Dataset, self.trained.loaded.experiment.data.source).origins()
        return origins[0] if len(origins) == 1 and hasattr(origins[0], "heard") else None

    def names(self, chosen: Array) -> list[str]:
        """The files of the samples at these positions of the split, or their numbers where they have none."""
        files, found = self.images.names, self.indices[chosen].tolist()
        return [files[index] if files else f"{self.split} {index:,}" for index in found]

    def pixels(self, chosen: Array) -> Array:
        """The stored images of the samples at these positions of the split."""
        return self.images.pixels[self.indices[chosen]]

    def pictures(self, chosen: Array, windows: Array | None = None) -> list[Array]:
        """What to show of these samples: the stored images, or those on which the task compares truth and answer.

        Where there are `windows` (n, 4), only that part of each of the latter.
        """
        stored, trained = self.pixels(chosen), self.trained
        if not trained.network.task.renders:
            return list(stored)
        outputs = trained.engine.outputs(Samples(self.images, self.indices[chosen], trained.transforms))
        targets, led = self.images.targets[self.indices[chosen]], trained.led(stored.shape[-3:-1])
        compare, data = trained.network.task.compared, trained.description
        rows = zip(stored, outputs, targets, [None] * len(chosen) if windows is None else windows, strict=True)
        return [_beside(compare(coloured(image), row, target, led, data, part)) for image, row, target, part in rows]

    def inputs(self, chosen: Array) -> Array:
        """The images of these samples as the network reads them."""
        samples = Samples(self.images, self.indices[chosen], self.trained.transforms)
        return samples.seen(len(chosen), self.trained.network.graph.input_shape)[0]


def _beside(pictures: Sequence[Array]) -> Array:
    """Pictures of one size side by side, with a gap between them, of a grey that stands out on no page."""
    gap = np.full((len(pictures[0]), max(_GAP, pictures[0].shape[1] // 100), 3), 128, np.uint8)
    return np.concatenate([pictures[0], *(piece for each in pictures[1:] for piece in (gap, each))], axis=1)


@contextmanager
def judging(
    record: Record,
    split: str | None,
    sets: tuple[str, ...],
    threads: int | None,
    warn: Callable[[str], None] | None = None,
) -> Iterator[Judged]:
    """The best network of a run, or its last, judged on a split: by default val, else test, else train.

    Raises CheckpointError, ConfigError or DataError where it cannot be judged.
    """
    with Pool(usable(threads)) as pool:
        trained = Trained(record.path, pool, sets, warn=warn)
        first = split or _first_split(record, trained)
        judged = _on(trained, first)
        if split is None and first == "val" and "test" in _splits(trained):
            try:
                judged = replace(judged, beside=_on(trained, "test").measured)
            except (DataError, OutOfMemoryError) as error:
                judged = replace(judged, missing=f"Not judged on test: {first_line(error)}")
        yield judged


def _on(trained: Trained, split: str) -> Judged:
    """A network judged on a split."""
    images, indices = trained.samples(split)
    samples = Samples(images, indices, trained.transforms)
    asked = trained.network.task
    kept = Gathered(asked.kept, len(indices))
    measured = _Measured(trained)

    def collect(start: int, outputs: Array, targets: Array) -> None:
        kept.add(start, outputs, targets)
        measured.add(start, outputs, targets)

    whole = trained.engine.evaluate(samples, collect)
    judged = Judged(trained, split, images, indices, kept.rows, {})
    together = asked.remeasured(judged.evaluation) if asked.measures else {}
    return replace(judged, measured={"loss": trained.tally.mean_loss(whole)} | measured.values() | together)


class _Measured:
    """The metrics of a report, summed shard by shard in the order of the samples, whichever worker was first.

    Those of a shard are kept only until all before it are summed: of many classes they take megabytes.
    """

    def __init__(self, trained: Trained) -> None:
        network = trained.network
        usual = [make("metrics", name) for name in network.task.reported(network.data)]
        wanted = {metric.label(): metric for metric in (*usual, *trained.tally.metrics)}
        counted = network.task.counted(network.data)
        numbers = [metric for metric in wanted.values() if isinstance(metric.value(metric.zeros(counted)), float)]
        self._tally = Tally(network.loss, numbers, counted)
        self._sum, self._summed = self._tally.zeros(), 0  # of so many samples
        self._lock, self._early = threading.Lock(), dict[int, tuple[int, Array]]()

    def add(self, start: int, outputs: Array, targets: Array) -> None:
        """Take in the samples from `start` on; any thread may call it."""
        nothing = np.zeros(len(outputs))
        vector = self._tally.of(outputs, targets, nothing + 1, nothing)
        with self._lock:
            self._early[start] = (len(outputs), vector)
            while self._summed in self._early:
                count, vector = self._early.pop(self._summed)
                self._sum, self._summed = self._sum + vector, self._summed + count

    def values(self) -> dict[str, float]:
        """By label."""
        return {name: value for name, value in self._tally.values(self._sum).items() if name != "loss"}


def _first_split(record: Record, trained: Trained) -> str:
    if record.start.get("validation_samples"):
        return "val"
    return "test" if "test" in _splits(trained) else "train"


def _splits(trained: Trained) -> Sequence[str]:
    source: Any = trained.loaded.experiment.data.source
    found: Sequence[str] = source.splits()
    return found
