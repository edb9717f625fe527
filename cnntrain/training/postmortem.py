"""A post-mortem finds where a training run diverged, keeps the flight record, and makes the error that reports it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnntrain.core.errors import DivergedError, StorageError
from cnntrain.data.loader import Samples
from cnntrain.engine.examination import Examination
from cnntrain.rundir.checkpoint import last_of
from cnntrain.rundir.journal import Journal
from cnntrain.training.flight_recorder import Moment, Recorder, When, described
from cnntrain.training.job import Job
from cnntrain.training.state import State
from cnntrain.training.stepper import Stepper

_LARGE = 1e17  # a target: the squares of a batch of these may add up to infinity in float32


class PostMortem:
    """The work to be done when training meets a number that is not finite."""

    def __init__(self, job: Job, stepper: Stepper, state: State, recorder: Recorder, run: Journal) -> None:
        self._job, self._stepper, self._state = job, stepper, state
        self._recorder, self._run = recorder, run

    def error(self, what: str, when: When) -> DivergedError:
        """Find where it began, leave the record in the run directory, and make the error that reports it."""
        stepper, state = self._stepper, self._state
        lr, _ = stepper.rates.at(state.step, stepper.horizon)
        batches = self._seen_at(when)
        try:
            examination = self._examine(when, batches)
        except MemoryError:
            examination = None
        moment = Moment(when, state.step, state.closed, lr, state.saved)
        record = self._recorder.record(what, moment, batches, examination)
        try:
            more = f"{self._run.write_flight_record(record)} tells more"
        except StorageError as error:
            more = f"there is no record of it ({error})"
        kept = "the weights were not updated" if when == "step" else "nothing was saved"
        of_data = record["first"] is not None and record["first"]["what"] == "input"
        last = last_of(self._run.path)
        good = f"{self._run.path} holds the last good checkpoint" if last.exists() else "there is no checkpoint yet"
        if of_data:
            advice = "Mend the data"
        elif when == "step" and not state.step and (largest := self._largest()) > _LARGE:  # at any learning rate
            advice = f"Bring the data's values, up to {largest:.3g}, to other units: float32 cannot hold their squares"
        elif when == "save" and not state.step:  # nothing but the first weights has been looked at
            advice = "Mend the initial weights"
        else:
            advice = "Lower optimizer.lr or set train.clip_norm"
        return DivergedError(
            f"{what} (learning rate {lr:g}): {described(record)}; {kept}. {advice}; {good}, {more}",
            record,
        )

    def _largest(self) -> float:
        """The largest absolute value among the targets in training; 0 where they are no numbers."""
        data = self._job.data
        numbers = data.task.numbers(data.train.targets)
        return 0.0 if numbers is None else float(np.abs(numbers).max(initial=0))

    def _seen_at(self, when: When) -> list[Samples]:
        """The samples of the step that was to be taken, or of the validation just done."""
        data = self._job.data
        if when == "step":
            return self._job.loader.step(self._state.step)
        if when == "validation" and data.val is not None:
            return [Samples(data.val, data.val_indices, data.eval_transforms)]
        return []

    def _examine(self, when: When, batches: Sequence[Samples]) -> Examination:
        """Look for the first number that is not finite."""
        stepper, step = self._stepper, self._state.step
        examination = Examination(stepper.engine)
        if when == "save":
            examination.parameters()
            examination.slots(stepper.updater.slots)
        elif when == "validation":
            examination.evaluation(batches[0])
            if examination.finding is None and stepper.average and stepper.average.count:
                with stepper.average.in_place():
                    examination.evaluation(batches[0])
        else:
            examination.step(batches, step)
            if examination.finding is None and stepper.optimizer.sam:
                self._examine_nearby(examination, batches)
            examination.gradients()
        return examination

    def _examine_nearby(self, examination: Examination, batches: Sequence[Samples]) -> None:
        """Look at the weights where sam takes its gradient, too."""
        step = self._state.step
        self._stepper.engine.step(batches, step)
        with self._stepper.nearby(step):
            examination.step(batches, step)
