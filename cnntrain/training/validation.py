"""Validation measures loss and metrics on the validation split, with the weights as they are and with averaged ones."""

from __future__ import annotations

from collections.abc import Callable

from cnntrain.core.arrays import Array
from cnntrain.data.loader import Samples
from cnntrain.engine.batch import AbandonedError, Batch
from cnntrain.trained.gathered import Gathered
from cnntrain.training.interrupts import Interrupts
from cnntrain.training.job import Job
from cnntrain.training.monitor import Values
from cnntrain.training.stepper import Stepper


class Validation:
    """The validation of one training, if its data has a split for it."""

    def __init__(self, job: Job, stepper: Stepper, interrupts: Interrupts) -> None:
        self._job, self._stepper, self._interrupts = job, stepper, interrupts
        self.operating_point: dict[str, float] = {}  # what the last `values` found, with the weights that are kept
        self.follow: Callable[[Array], None] | None = None  # called with what the task keeps (`Task.judged`)

    def values(self) -> Values:
        """The values after the last step, "val/loss" and more; none without a split. Raises AbandonedError."""
        data, average = self._job.data, self._stepper.average
        if data.val is None:
            return {}
        samples = Samples(data.val, data.val_indices, data.eval_transforms)
        batch = _Interruptible(samples, self._interrupts)
        values = {f"val/{name}": value for name, value in self._measured(batch).items()}
        if average and average.count:
            self._stepper.remeasure()
            with average.in_place():
                measured = self._measured(batch)
            values |= {f"val_average/{name}": value for name, value in measured.items()}
        return values

    def _measured(self, batch: Batch) -> Values:
        """Loss, metrics, and the task's values over all samples together, by name."""
        engine, asked = self._stepper.engine, self._job.data.task
        if not asked.measures and self.follow is None:
            return engine.tally.values(engine.evaluate(batch))
        judged = Gathered(asked.judged, len(batch))
        vector = engine.evaluate(batch, judged.add)
        rows = engine.share(judged.rows, batch.views)
        if self.follow is not None:
            self.follow(rows)
        self.operating_point = asked.operating_point(rows, self._job.data.description)
        return engine.tally.values(vector) | asked.measured(rows, self._job.data.description)


class _Interruptible:
    """Samples that stop being handed out once a signal has come in, so that a long validation does not delay it."""

    def __init__(self, samples: Batch, interrupts: Interrupts) -> None:
        self._samples, self._interrupts = samples, interrupts

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def views(self) -> int:
        return self._samples.views

    def fill(self, start: int, stop: int, x: Array) -> tuple[Array, Array]:
        if self._interrupts.stop is not None:
            raise AbandonedError
        return self._samples.fill(start, stop, x)
