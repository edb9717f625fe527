"""The state of a run is kept in its checkpoints: where it stands, and every array that training changes."""

from __future__ import annotations

from typing import Any

from cnntrain.config.dump import libraries, packages, plain
from cnntrain.core import scale
from cnntrain.core.arrays import Array
from cnntrain.core.errors import CheckpointError, DataError
from cnntrain.data.fingerprint import changes, difference, fingerprint
from cnntrain.data.loader import arrays_of
from cnntrain.engine.average import Averaged
from cnntrain.network.tally import TALLIES
from cnntrain.rundir.checkpoint import Checkpoint
from cnntrain.rundir.environment import environment
from cnntrain.trained import saved
from cnntrain.training.changes import differing
from cnntrain.training.job import Job
from cnntrain.training.monitor import Values
from cnntrain.training.stepper import Stepper

EXHAUSTED = "all steps taken"  # why most runs are finished


class State:
    """Where training stands, and the way into a checkpoint and back."""

    def __init__(self, job: Job, stepper: Stepper) -> None:
        self._job, self._stepper = job, stepper
        self.step = 0  # steps that have been taken
        self.closed = 0  # epochs that have been completed
        self.finished: str | None = None  # why training is over
        self.values: Values = {}  # of the last closed epoch
        self.operating_point: dict[str, float] = {}  # what its validation found
        self.epoch_tally = job.network.tally.zeros()
        self.interval_tally = job.network.tally.zeros()  # since the last row of training in metrics.jsonl
        self.saved = 0  # the step of the last checkpoint
        self._scale = scale.document(scale.of(job.data.train.pixels, job.data.train_indices))
        self._fingerprint = fingerprint(job.data, *job.identities)

    def close(self, epoch: int, values: Values, finished: str | None, operating_point: dict[str, float]) -> None:
        """Complete an epoch with these values, and go on or finish.

        The tally of one that was cut short stays, in case a resume with more steps goes on with it.
        """
        self.closed, self.finished, self.operating_point = epoch, finished, operating_point
        self.values = {name: value for name, value in values.items() if isinstance(value, float)}
        if epoch == self.whole_epochs:
            self.epoch_tally = self._job.network.tally.zeros()

    @property
    def whole_epochs(self) -> int:
        """Epochs whose last step has been taken; one that is cut short is closed without being whole."""
        return self.step // self._job.loader.steps_per_epoch

    def numbered(self) -> str:
        """The name of a numbered checkpoint kept now."""
        every = self._job.loaded.experiment.checkpoint.every
        whole = every.unit == "ep" and every.value.is_integer()
        return f"epoch-{self.closed:04d}" if whole else f"step-{self.step:08d}"

    def meta(self, metrics_length: int) -> dict[str, Any]:
        """The meta of a checkpoint; `metrics_length` is the current size of metrics.jsonl in bytes."""
        job, average = self._job, self._stepper.average
        carried = self._stepper.updater.carried_after(self.step)
        return {
            "config": plain(job.loaded.experiment),
            "classes": list(job.network.classes),
            "image_shape": list(job.network.image_shape),
            "values": job.data.description.values,
            "target": job.data.description.target,
            "pixels": self._scale,
            "eval_transforms": [plain(transform) for transform in job.data.eval_transforms],
            "position": {
                "step": self.step,
                "closed": self.closed,
                "finished": self.finished,
                "samples": job.loader.samples_before(self.step),
            },
            "monitor": job.monitor.state(),
            "schedules": self._stepper.rates.states,
            "optimizer": {"carried": carried[0], "since": {str(first): one for first, one in carried.items() if first}},
            "average": _standing(average) if average else {},
            "loss": plain(job.network.loss),
            "values_of_epoch": self.values,
            "operating_point": self.operating_point,
            "metrics_length": metrics_length,
            "data": self._fingerprint,
            "environment": environment(libraries(job.loaded.experiment)),
            "packages": packages(job.loaded.experiment),
        }

    def arrays(self) -> dict[str, Array]:
        """Every array of a checkpoint, as views of those in use."""
        stepper, layout = self._stepper, self._job.network.graph.layout
        arrays = {f"param/{name}": view for name, view in layout.views(stepper.engine.params).items()}
        for slot, flat in stepper.updater.slots.items():
            for name, entry in layout.entries.items():
                if entry.offset < layout.trained:
                    arrays[f"slot/{slot}/{name}"] = layout.view(flat, entry)
        if stepper.average:
            arrays |= {f"average/{name}": view for name, view in layout.views(stepper.average.vector).items()}
        arrays |= arrays_of(self._job.data.eval_transforms)
        return arrays | dict(zip(TALLIES, (self.epoch_tally, self.interval_tally), strict=True))

    def restore(self, checkpoint: Checkpoint, allow_data_change: bool = False) -> None:
        """Go on from a checkpoint. Raises CheckpointError or DataError if it is for another network or other data."""
        mine, rates, average = self.arrays(), self._stepper.rates, self._stepper.average
        checkpoint.require(data=dict, monitor=dict, values_of_epoch=dict, metrics_length=int)
        checkpoint.require(position__step=int, position__closed=int)
        if "schedules" in checkpoint.meta:  # those written before any schedule had a state have none
            checkpoint.require(**{f"schedules__{name}": dict for name in rates.states})
        if average:
            checkpoint.require(average__count=int)
            average.count, average.stale = checkpoint.meta["average"]["count"], saved.stale(checkpoint)
            if average.part.remeasures and average.count and saved.never_measured(checkpoint):
                average.stale = checkpoint.meta["position"]["step"]  # no later than the next save
        if "optimizer" in checkpoint.meta:
            checkpoint.require(optimizer__carried=float)
            if "since" in checkpoint.meta["optimizer"]:  # as written since layers have numbers of their own
                checkpoint.require(optimizer__since=dict)
        checkpoint = saved.renewed(checkpoint, self._job.network.tally)
        checkpoint.expect({name: (array.shape, array.dtype) for name, array in mine.items()})
        meta = checkpoint.meta
        step, closed, finished = (meta["position"].get(key) for key in ("step", "closed", "finished"))
        if min(step, closed, meta["metrics_length"]) < 0 or not isinstance(finished, str | None):
            raise CheckpointError(f"{checkpoint.path} is damaged: its position is impossible. Restore it from a copy")
        if changes(meta["data"], self._fingerprint) and not allow_data_change:
            raise DataError(
                "the training data is not what this run was started with "
                f"({difference(meta['data'], self._fingerprint)}). "
                "Restore it, or use --allow-data-change to go on with the new data"
            )
        saved.operating(checkpoint, self._job.data.task)
        for name, array in mine.items():
            array[...] = checkpoint.arrays[name]
        self.operating_point = meta.get("operating_point", {})  # those written before there was one have none
        self.step, self.closed, self.finished = step, closed, finished
        self.saved = step
        self.values = meta["values_of_epoch"]
        try:
            self._judge_anew(meta["monitor"], meta["config"])
        except ValueError as error:
            raise CheckpointError(f"{checkpoint.path} is damaged: {error}. Restore it from a copy") from error
        rates.states = meta.get("schedules", rates.states)
        if "optimizer" in meta:  # those written before an optimizer carried a number have none
            self._stepper.updater.carry_on(step, meta["optimizer"]["carried"], meta["optimizer"].get("since", {}))

    def _judge_anew(self, standing: dict[str, Any], config: Any) -> None:
        """Restore the monitor, and finish or go on by the rules of now, where those in a checkpoint's config differ."""
        changed = differing(config, plain(self._job.loaded.experiment)).keys()
        best, early = (
            bool(changed & {f"{rule}.monitor", f"{rule}.mode"}) for rule in ("checkpoint.best", "train.early_stopping")
        )
        monitor, ended = self._job.monitor, self.finished is not None
        monitor.restore(standing)
        if self.finished is not None:
            if any(key.startswith(("train.until", "train.early_stopping")) for key in changed):
                self.finished = monitor.verdict(self.values, early=not early)
            elif self.finished == EXHAUSTED:  # perhaps there are more epochs now
                self.finished = None
            if self.finished is None and self.step >= self._stepper.horizon.total_steps:
                self.finished = EXHAUSTED
        if self.finished is None:
            monitor.forget(best, early)
            if ended and self.closed == self.whole_epochs + 1 and self.epoch_tally.any():
                self.closed -= 1  # train.steps had cut its last epoch short, which goes on


def _standing(average: Averaged) -> dict[str, int]:
    """What a checkpoint's meta says of an average."""
    return {"count": average.count} | ({"stale": average.stale} if average.stale else {})
