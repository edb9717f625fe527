"""The trainer is the loop: take a step, close the epoch, save, until it is time to stop.

Where training stands is the number of the step, two tallies and the monitor's standing; everything else, the order
of samples, the learning rate, every random draw, follows from them. So a checkpoint resumes exactly.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from cnntrain import build
from cnntrain.arrays import Array
from cnntrain.averages.base import Average
from cnntrain.build import Data, Network
from cnntrain.checkpoint import Checkpoint
from cnntrain.config.dump import plain
from cnntrain.config.load import Loaded
from cnntrain.console import Console, Epoch, clock
from cnntrain.engine.average import Averaged
from cnntrain.engine.engine import Batch, Engine
from cnntrain.engine.examination import Examination
from cnntrain.engine.pool import Pool
from cnntrain.engine.update import Updater
from cnntrain.engine.vitals import Vitals
from cnntrain.errors import CheckpointError, DataError, DivergedError, PausedError, StoppedError, StorageError
from cnntrain.interrupts import Interrupts
from cnntrain.journal import Journal
from cnntrain.loader import Samples, arrays_of
from cnntrain.manifest import Manifest
from cnntrain.monitor import Monitor, Values
from cnntrain.rates import Rates
from cnntrain.recorder import Moment, Recorder, When, described
from cnntrain.run import environment
from cnntrain.warmstart import WarmStart

REMEASURED = 100  # training steps over which statistics of averaged weights are taken
EXHAUSTED = "all steps taken"  # why most runs are finished


class _AbandonedError(Exception):
    """An evaluation was given up because a signal came in."""


class _Clock:
    """Wall-clock time since the last row of timing.jsonl, and the samples trained on."""

    def __init__(self) -> None:
        self.since = self._told = time.monotonic()
        self.samples = 0
        self._longest = (0.0, 0)  # seconds and samples of a step

    def step(self, samples: int) -> None:
        """One more step has been taken."""
        now = time.monotonic()
        self._longest, self._told = max(self._longest, (now - self._told, samples)), now
        self.samples += samples

    def rate(self) -> float:
        """Samples a second without the longest step, if there are others: perhaps the process was stopped in it."""
        seconds, samples = self._longest if self._longest[1] < self.samples else (0.0, 0)
        return (self.samples - samples) / max(self._told - self.since - seconds, 1e-9)


@dataclass(frozen=True)
class Job:
    """What training needs and can be made, and found wrong, before there is a run directory."""

    loaded: Loaded
    data: Data
    network: Network
    monitor: Monitor
    manifest: Manifest  # the files the data is read from


class Trainer:
    """One run: a job in its run directory, from step 0 or from a checkpoint."""

    def __init__(self, job: Job, run: Journal, pool: Pool, console: Console, interrupts: Interrupts) -> None:
        self.loaded, self.data, self.network, self.monitor = job.loaded, job.data, job.network, job.monitor
        self.run, self.console, self.interrupts = run, console, interrupts
        experiment, network, data = self.loaded.experiment, self.network, self.data
        self.tally = network.tally
        self.engine = Engine(network.graph, network.tally, pool, seed=experiment.seed)
        self.optimizer = build.optimizer(experiment)
        layout, rules = network.graph.layout, build.rules(experiment)
        self.updater = Updater(self.optimizer, layout, pool, self.engine.params, self.engine.grads, rules)
        self.rates = Rates(self.loaded, self.monitor.larger)
        self.average = (
            Averaged(cast(Average, experiment.train.average), self.engine) if experiment.train.average else None
        )
        self.vitals = Vitals(self.engine, Samples(data.train, data.train_indices, data.eval_transforms))
        self.loader = build.loader(experiment, data)
        self.horizon = build.horizon(experiment, self.loader.steps_per_epoch, len(self.loader.indices))
        self.engine.source = self.loader.step
        self.step = 0
        self.closed = 0  # epochs whose end has been dealt with
        self.finished: str | None = None  # why training is over
        self._late = False  # whether time is up, looked at after each step, so that every session takes one
        self.values: Values = {}  # of the last closed epoch
        self.epoch_tally = self.tally.zeros()
        self.interval_tally = self.tally.zeros()
        self.recorder = Recorder(self.engine, self.loaded.where("loss"))
        self._saved = 0  # the step of the last checkpoint
        self._clock = _Clock()
        self.waited: list[float] = []  # of each epoch's training in this session: the share of the workers' time
        self._fingerprint = fingerprint(data)

    # -- the loop ----------------------------------------------------------------------------------------------------

    def start(self, warm: WarmStart | None = None) -> None:
        """Begin at step 0: first parameters, the start row, and a checkpoint before the first batch."""
        experiment = self.loaded.experiment
        build.initialize(self.network.graph, experiment.init, experiment.seed, self.engine.params)
        if warm:
            warm.load(self.network.graph.layout, self.engine.params)
        self.run.metric(
            {
                "event": "start",
                "samples": len(self.loader.indices),
                "validation_samples": len(self.data.val_indices),
                "steps_per_epoch": self.loader.steps_per_epoch,
                "total_steps": self.horizon.total_steps,
                "parameters": self.network.graph.parameter_count(),
                "shard": self.engine.shard,
            }
        )
        self.save()

    def fit(self) -> None:
        """Train until it is finished. Raises StoppedError after a signal, PausedError, DivergedError on NaN."""
        with contextlib.closing(self.console):
            if self.finished is None:  # a run stopped while it validated has that still to do
                self._after_step(self._close_due_epoch())
            while self.finished is None:
                self._take_step()
                self._late = self.interrupts.time_is_up
                self._after_step(self._close_due_epoch())
        self.end()

    def _take_step(self) -> None:
        step, train = self.step, self.loaded.experiment.train
        lr, momentum = self.rates.at(step, self.horizon)
        logged = (step + 1) % train.log_every == 0
        try:
            vector = gradient(self.engine, self.updater, self.loader.step(step), step)
            if logged:
                self.vitals.remember()
            norm = self.updater.apply(lr, step, train.clip_norm, momentum)
        except DivergedError as error:
            raise self._diverged(str(error), "step") from error
        self.recorder.remember(step, self.tally.mean_loss(vector))
        self.step += 1
        if self.average:
            self.average.follow(self.step, self.horizon.total_steps, self.loader.steps_per_epoch)
        self.epoch_tally += vector
        self.interval_tally += vector
        self._clock.step(self.tally.samples(vector))
        epoch, done = divmod(step, self.loader.steps_per_epoch)
        self.console.step(epoch + 1, done + 1, self.loader.steps_per_epoch, lambda: self._shown(lr))
        if logged:
            values = {f"train/{name}": value for name, value in self.tally.values(self.interval_tally).items()}
            samples = self.loader.samples_before(self.step)
            rates = {"lr": lr} | ({} if momentum is None else {"momentum": momentum})
            row = {"event": "train", "step": self.step, "epoch": epoch, "samples": samples}
            rates |= {"grad_norm": norm, "update_ratio": self.vitals.update_ratio()}
            self.run.metric(row | rates | values | self._penalized(values))
            self.interval_tally = self.tally.zeros()

    def _penalized(self, values: Values) -> Values:
        """With regularizers, what they add to the loss for the weights as they are now, and the loss with it."""
        if not self.loaded.experiment.train.regularize:
            return {}
        penalty = self.updater.penalty()
        return {"train/penalty": penalty, "train/objective": values["train/loss"] + penalty}

    def _after_step(self, improved: bool) -> None:
        """Save where it is time to, and leave where a signal asked for it or time is up."""
        every = max(self.horizon.steps(self.loaded.experiment.checkpoint.every), 1)
        due = self.step > 0 and self.step % every == 0
        wish, self.interrupts.save = self.interrupts.save, False
        stop = self.interrupts.stop
        if improved or due or wish or stop or self._late or self.finished:
            self.save(best=improved, keep=due)
        how = (
            f"after step {self.step}, which is saved. "
            f"Go on with: cnntrain fit --run-dir {shlex.quote(str(self.run.path))} --resume"
        )
        if stop and not self.finished:
            raise StoppedError(f"stopped by {stop.name} {how}", stop)
        if self._late and not self.finished:
            raise PausedError(f"paused by --max-time {how}")

    def _diverged(self, what: str, when: When) -> DivergedError:
        """Look where it began, leave the record in the run directory, and make the error that tells."""
        lr, _ = self.rates.at(self.step, self.horizon)
        batches = self._seen_at(when)
        try:
            examination = self._examine(when, batches)
        except MemoryError:
            examination = None
        moment = Moment(when, self.step, self.closed, lr, self._saved)
        record = self.recorder.record(what, moment, batches, examination)
        try:
            more = f"{self.run.write_flight_record(record)} tells more"
        except StorageError as error:
            more = f"there is no record of it ({error})"
        kept = "the weights were not updated" if when == "step" else "nothing was saved"
        of_data = record["first"] is not None and record["first"]["what"] == "input"
        advice = "Mend the data" if of_data else "Lower optimizer.lr or set train.clip_norm"
        return DivergedError(
            f"{what} (learning rate {lr:g}): {described(record)}; {kept}. "
            f"{advice}; {self.run.path} holds the last good checkpoint, {more}",
            record,
        )

    def _seen_at(self, when: When) -> list[Samples]:
        """The samples that the step about to be taken, or the validation just done, looked at."""
        if when == "step":
            return self.loader.step(self.step)
        if when == "validation" and self.data.val is not None:
            return [Samples(self.data.val, self.data.val_indices, self.data.eval_transforms)]
        return []

    def _examine(self, when: When, batches: Sequence[Samples]) -> Examination:
        """Look for the first number that is not finite."""
        examination = Examination(self.engine)
        if when == "save":
            examination.parameters()
        elif when == "validation":
            examination.evaluation(batches[0])
            if examination.finding is None and self.average and self.average.count:
                with self.average.in_place():
                    examination.evaluation(batches[0])
        else:
            examination.step(batches, self.step)
            if examination.finding is None and self.optimizer.sam:
                self._examine_nearby(examination, batches)
            examination.gradients()
        return examination

    def _examine_nearby(self, examination: Examination, batches: Sequence[Samples]) -> None:
        """The same where sam takes its gradient."""
        self.engine.step(batches, self.step)
        self.updater.perturb(self.step)
        try:
            examination.step(batches, self.step)
        finally:
            self.updater.restore()

    def _shown(self, lr: float) -> dict[str, str]:
        values = self.tally.values(self.epoch_tally)
        rate = self._clock.rate()
        total, seen = (self.loader.samples_before(step) for step in (self.horizon.total_steps, self.step))
        names = {"loss": "loss", "acc": "accuracy"}
        shown = {short: f"{values[name]:.3f}" for short, name in names.items() if name in values}
        left = clock((total - seen) / max(rate, 1e-9))
        return shown | {"lr": f"{lr:.2g}", "img/s": f"{rate:.0f}", "left": left}

    # -- the end of an epoch -----------------------------------------------------------------------------------------

    def _close_due_epoch(self) -> bool:
        """Where the last step ended an epoch, or training, validate and judge; returns whether it is the best yet."""
        epoch, within = divmod(self.step, self.loader.steps_per_epoch)
        over = self.step >= self.horizon.total_steps
        if over and within:
            epoch += 1  # the last epoch is cut short by train.steps
        if self.closed >= epoch:
            if over:  # resumed with fewer epochs than have been closed
                self.finished = self.finished or EXHAUSTED
            return False
        values = {f"train/{name}": value for name, value in self.tally.values(self.epoch_tally).items()}
        seconds = time.monotonic() - self._clock.since
        self.waited.append(self.loader.waiting.take() / max(seconds * self.engine.workers_here, 1e-9))
        values |= self._penalized(values)
        try:
            values |= self._validate()
        except _AbandonedError:
            return False
        for name in ("val/loss", "val_average/loss"):
            if not math.isfinite(values.get(name, 0.0)):
                raise self._diverged(
                    f"{name} became {values[name]} after epoch {epoch}, step {self.step}", "validation"
                )
        improved, reason = self.monitor.judge(values, self.step, epoch)
        self.rates.judge(values)
        self.closed, self.finished = epoch, reason or (EXHAUSTED if over else None)
        self.values = {name: value for name, value in values.items() if isinstance(value, float)}
        dead = self.vitals.dead_relu()
        vitals = {} if dead is None else {"dead_relu": dead}
        self.run.metric({"event": "eval", "step": self.step, "epoch": epoch, **values, **vitals, "best": improved})
        self._report_epoch(improved, seconds)
        self.epoch_tally = self.tally.zeros()
        self._clock = _Clock()
        self.loader.waiting.take()  # what averaged weights were remeasured with is no part of the next epoch
        return improved

    def _validate(self) -> Values:
        if self.data.val is None:
            return {}
        samples = Samples(self.data.val, self.data.val_indices, self.data.eval_transforms)
        batch = _Interruptible(samples, self.interrupts)
        vector = self.engine.evaluate(batch)
        values = {f"val/{name}": value for name, value in self.tally.values(vector).items()}
        if self.average and self.average.count:
            with self.average.in_place():
                if self.average.part.remeasures:
                    self.average.remeasure(self._recent_steps())
                vector = self.engine.evaluate(batch)
            values |= {f"val_average/{name}": value for name, value in self.tally.values(vector).items()}
        return values

    def _recent_steps(self) -> list[tuple[int, list[Samples]]]:
        """The first steps of the epoch that has just ended."""
        first = (self.step - 1) // self.loader.steps_per_epoch * self.loader.steps_per_epoch
        return [(step, self.loader.step(step)) for step in range(first, min(self.step, first + REMEASURED))]

    def _report_epoch(self, improved: bool, seconds: float) -> None:
        epochs = -(-self.horizon.total_steps // self.loader.steps_per_epoch)
        self.console.epoch(Epoch(self.closed, epochs, self.values, seconds, improved))
        self.run.timing(
            {
                "step": self.step,
                "epoch": self.closed,
                "training_seconds": round(seconds, 3),
                "seconds": round(time.monotonic() - self._clock.since, 3),
                "waiting_for_data": round(self.waited[-1], 4),
                "images_per_second": round(self._clock.samples / max(seconds, 1e-9), 1),
            }
        )

    # -- saving and going on -----------------------------------------------------------------------------------------

    def end(self) -> None:
        """Write what a finished run ends with; doing it again after a resume changes nothing."""
        best = self.monitor.summary()
        self.run.metric(
            {"event": "end", "step": self.step, "epoch": self.closed, "reason": self.finished, "best": best}
        )
        for line in self.monitor.unseen():
            self.console.warn(line)
        self.run.sync()
        self.run.write_csv()
        if keep := self.loaded.experiment.checkpoint.keep:  # a kill after the last save may have come before
            self.run.prune(self._numbered(), keep)

    def save(self, best: bool = False, keep: bool = False) -> None:
        """Write last.npz, and best.npz and the numbered one where asked. Raises DivergedError rather than save NaN."""
        self.check_weights()
        checkpoint = self.loaded.experiment.checkpoint
        name = self._numbered() if keep and checkpoint.keep else None
        self.run.save_checkpoint(self.meta(), self.arrays(), best=best, keep_as=name, keep=checkpoint.keep)
        self._saved = self.step
        self.console.detail(f"saved step {self.step}" + (", the best so far" if best else ""))
        self.note()

    def note(self) -> None:
        """Say in status.json that training goes on, and from which checkpoint."""
        self.run.status(state="running", step=self.step, epoch=self.closed, best=self.monitor.summary())

    def _numbered(self) -> str:
        """What a checkpoint that is kept is called now."""
        every = self.loaded.experiment.checkpoint.every
        whole = every.unit == "ep" and every.value.is_integer()
        return f"epoch-{self.closed:04d}" if whole else f"step-{self.step:08d}"

    def check_weights(self) -> None:
        """Raise DivergedError where a weight or a running statistic is not finite."""
        if not np.isfinite(self.engine.params).all():
            raise self._diverged(f"a weight or a running statistic became infinite in step {self.step}", "save")

    def go_to(self, step: int, closed: int) -> None:
        """Train to where so many steps are taken and epochs closed, or to the end, without saving."""
        while self.finished is None and (self.step, self.closed) != (step, closed):
            before = self.closed
            self._close_due_epoch()
            if self.closed == before:
                if self.step >= step:
                    return
                self._take_step()

    def meta(self) -> dict[str, Any]:
        """What a checkpoint says beside its arrays."""
        return {
            "config": plain(self.loaded.experiment),
            "classes": list(self.network.classes),
            "image_shape": list(self.network.image_shape),
            "values": self.data.description.values,
            "eval_transforms": [plain(transform) for transform in self.data.eval_transforms],
            "position": {
                "step": self.step,
                "closed": self.closed,
                "finished": self.finished,
                "samples": self.loader.samples_before(self.step),
            },
            "monitor": self.monitor.state(),
            "schedules": self.rates.states,
            "optimizer": {"carried": self.updater.carried_after(self.step)},
            "average": {"count": self.average.count} if self.average else {},
            "loss": plain(self.network.loss),
            "values_of_epoch": self.values,
            "metrics_length": self.run.metrics_length,
            "data": self._fingerprint,
            "environment": environment(),
        }

    def arrays(self) -> dict[str, Array]:
        """Every array of a checkpoint, as windows on what is in use."""
        layout = self.network.graph.layout
        arrays = {f"param/{name}": view for name, view in layout.views(self.engine.params).items()}
        for slot, flat in self.updater.slots.items():
            for name, entry in layout.entries.items():
                if entry.offset < layout.trained:
                    arrays[f"slot/{slot}/{name}"] = layout.view(flat, entry)
        if self.average:
            arrays |= {f"average/{name}": view for name, view in layout.views(self.average.vector).items()}
        arrays |= arrays_of(self.data.eval_transforms)
        return arrays | {"metric/epoch": self.epoch_tally, "metric/interval": self.interval_tally}

    def restore(self, checkpoint: Checkpoint, allow_data_change: bool = False) -> None:
        """Go on from a checkpoint. Raises CheckpointError or DataError where it is of another network or other data."""
        mine = self.arrays()
        checkpoint.require(data=dict, monitor=dict, values_of_epoch=dict, metrics_length=int)
        checkpoint.require(position__step=int, position__closed=int)
        if "schedules" in checkpoint.meta:  # those written before any schedule had a state have none
            checkpoint.require(**{f"schedules__{name}": dict for name in self.rates.states})
        if self.average:
            checkpoint.require(average__count=int)
            self.average.count = checkpoint.meta["average"]["count"]
        if "optimizer" in checkpoint.meta:
            checkpoint.require(optimizer__carried=float)
        checkpoint.expect({name: (array.shape, array.dtype) for name, array in mine.items()})
        meta = checkpoint.meta
        step, closed, finished = (meta["position"].get(key) for key in ("step", "closed", "finished"))
        if min(step, closed, meta["metrics_length"]) < 0 or not isinstance(finished, str | None):
            raise CheckpointError(f"{checkpoint.path} is damaged: its position is impossible. Restore it from a copy")
        if meta["data"] != self._fingerprint and not allow_data_change:
            raise DataError(
                "the training data is not what this run was started with "
                f"({_difference(meta['data'], self._fingerprint)}). "
                "Restore it, or say --allow-data-change to go on with the new data"
            )
        for name, array in mine.items():
            array[...] = checkpoint.arrays[name]
        self.step, self.closed, self.finished = step, closed, finished
        self._saved = step
        self.values = meta["values_of_epoch"]
        if self.finished == EXHAUSTED and self.step < self.horizon.total_steps:
            self.finished = None  # resumed with more epochs
        try:
            self.monitor.restore(meta["monitor"])
        except ValueError as error:
            raise CheckpointError(f"{checkpoint.path} is damaged: {error}. Restore it from a copy") from error
        self.rates.states = meta.get("schedules", self.rates.states)
        if "optimizer" in meta:  # those written before an optimizer carried a number have none
            self.updater.carried = meta["optimizer"]["carried"]


def gradient(engine: Engine, updater: Updater, batches: Sequence[Batch], step: int) -> Array:
    """Compute the gradient of a step, under sam where the loss is worst nearby; returns the step's tally."""
    vector = engine.step(batches, step)
    if updater.optimizer.sam:
        updater.perturb(step)
        try:
            engine.step(batches, step)
        finally:
            updater.restore()
    return vector


class _Interruptible:
    """Samples that stop being handed out when a signal came in, so that a long validation does not delay it."""

    def __init__(self, samples: Batch, interrupts: Interrupts) -> None:
        self._samples, self._interrupts = samples, interrupts

    def __len__(self) -> int:
        return len(self._samples)

    def fill(self, start: int, stop: int, x: Array) -> tuple[Array, Array]:
        if self._interrupts.stop is not None:
            raise _AbandonedError
        return self._samples.fill(start, stop, x)


def fingerprint(data: Data) -> dict[str, Any]:
    """What tells whether the data of a resumed run is the same: counts, shape, classes, labels, some of the pixels."""

    def digest(arrays: Sequence[Array]) -> str:
        sha = hashlib.sha256()
        for array in arrays:
            sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()

    every = max(len(data.train) // 64, 1)
    return {
        "samples": len(data.train),
        "validation_samples": len(data.val_indices),
        "shape": list(data.train.shape),
        "classes": list(data.train.classes),
        "targets": digest([data.train.targets, data.val_indices]),
        "pixels": digest([data.train.pixels[::every]]),
        **({"teacher": data.lesson.digest} if data.lesson is not None else {}),
    }


def _difference(saved: dict[str, Any], now: dict[str, Any]) -> str:
    changed = [key for key in now if saved.get(key) != now[key]]
    return ", ".join(
        key if key in ("targets", "pixels", "classes", "teacher") else f"{key}: {saved.get(key)} then, {now[key]} now"
        for key in changed
    )
