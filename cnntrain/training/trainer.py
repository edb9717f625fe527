"""The trainer is the loop: take a step, close the epoch, save, until it is time to stop.

The number of the step, two tallies and the monitor's standing say where training stands; everything else, the order
of samples, the learning rate, every random draw, follows from them. So a checkpoint resumes exactly.
"""

from __future__ import annotations

import contextlib
import math

import numpy as np

from cnntrain.config.fields import Duration
from cnntrain.core.console import Console
from cnntrain.core.errors import DivergedError, PausedError
from cnntrain.data.loader import Samples
from cnntrain.engine.batch import AbandonedError
from cnntrain.engine.pool import Pool
from cnntrain.engine.vitals import Vitals
from cnntrain.parts.tasks.base import following
from cnntrain.rundir import numbering
from cnntrain.rundir.directory import RunDirectory
from cnntrain.rundir.follower import Follower
from cnntrain.rundir.journal import Journal
from cnntrain.training import advice
from cnntrain.training.film import Film
from cnntrain.training.flight_recorder import Recorder
from cnntrain.training.interrupts import Interrupts, Wishes, saved_after
from cnntrain.training.job import Job
from cnntrain.training.live import Live
from cnntrain.training.monitor import Values
from cnntrain.training.postmortem import PostMortem
from cnntrain.training.state import EXHAUSTED, State
from cnntrain.training.stepper import Taken
from cnntrain.training.timekeeper import Timekeeper
from cnntrain.training.validation import Validation
from cnntrain.training.warm_start import WarmStart

_LARGE = 1e15  # a norm of the gradient whose square, summed up over many steps, may be more than float32 holds


class Trainer:
    """One run: a job in its run directory, from step 0 or from a checkpoint, which `state` restores."""

    def __init__(
        self,
        job: Job,
        run: Journal,
        pool: Pool,
        console: Console,
        interrupts: Interrupts,
        pause_at: Duration | None = None,
    ) -> None:
        """`pause_at` is a place to pause at; it changes no schedule, since the whole training stays as long."""
        self.job, self.run, self.pool, self.console, self.interrupts = job, run, pool, console, interrupts
        self.train, self.loader, self.tally, data = job.loaded.experiment.train, job.loader, job.network.tally, job.data
        self.stepper = job.stepper(pool)
        self.horizon = self.stepper.horizon
        self.pause_step = None if pause_at is None else max(self.horizon.steps(pause_at), 1)
        self.state = State(job, self.stepper)
        self.recorder = Recorder(self.stepper.engine, job.loaded.where("loss"))
        self.postmortem = PostMortem(job, self.stepper, self.state, self.recorder, run)
        self.validation = Validation(job, self.stepper, interrupts)
        self.vitals = Vitals(self.stepper.engine, Samples(data.train, data.train_indices, data.eval_transforms))
        self.timekeeper = Timekeeper(job, self.stepper, self.state, run, console)
        self.live: Live | None = None
        self.film = Film(job, self.stepper, self.state, run) if job.loaded.experiment.checkpoint.film else None

    def watched(self, run: RunDirectory | Follower) -> None:
        """Write the live file from now on. In every rank or none: all send what a validation keeps for it."""
        self.live = Live(self.job, self.stepper, self.state, self.timekeeper, run)
        self.validation.follow = self.live.judged

    def start(self, warm: WarmStart | None = None) -> None:
        """Begin at step 0: initial parameters, the start row, and a checkpoint before the first batch."""
        engine, graph = self.stepper.engine, self.job.network.graph
        self.stepper.initialize()
        if warm:
            warm.load(graph.layout, engine.params)
        self.run.metric(
            {
                "event": "start",
                "schema": numbering.SCHEMA,
                "samples": len(self.loader.indices),
                "validation_samples": len(self.job.data.val_indices),
                "steps_per_epoch": self.loader.steps_per_epoch,
                "total_steps": self.horizon.total_steps,
                "parameters": graph.parameter_count(),
                "shard": engine.shard,
            }
        )
        if self.film:
            self.film.step()
        self.save()

    # -- the loop ----------------------------------------------------------------------------------------------------

    def fit(self) -> None:
        """Train until it is finished. Raises StoppedError after a signal, PausedError, DivergedError on NaN."""
        with contextlib.closing(self.console):
            if self.film:
                self.film.prepare()
            self._reuse_front()
            if self.state.finished is None:  # a run stopped during validation still has to validate
                self._after_step(self._close_due_epoch(), late=False)
            while self.state.finished is None:
                self._take_step()
                late = self.interrupts.time_is_up  # looked at after each step, so that every session takes one
                if self.film:  # before any checkpoint of this step, which is resumed without it
                    self.film.step()
                self._after_step(self._close_due_epoch(), late)
        if self.film:
            self.film.end()
        self.end()

    def _reuse_front(self) -> None:
        """Have the frozen layers before the first trained one computed only once, if nothing else changes a sample."""
        data, loader = self.job.data, self.loader
        steady = not any(transform.random for transform in loader.transforms)
        if steady and following(data.description) is None:
            whole = Samples(loader.images, np.sort(loader.indices), loader.transforms)
            self.stepper.engine.reuse(whole, self.console.say)

    def _take_step(self) -> None:
        state = self.state
        logged = (state.step + 1) % self.train.log_every == 0
        if logged:
            self.vitals.remember()
        try:
            taken = self.stepper.step(state.step)
        except DivergedError as error:
            raise self.postmortem.error(str(error), "step") from error
        self.recorder.remember(state.step, self.tally.mean_loss(taken.tally))
        state.step += 1
        if taken.norm > _LARGE:
            self._check_slots(taken.norm)
        state.epoch_tally += taken.tally
        state.interval_tally += taken.tally
        self.timekeeper.step(taken)
        if logged:
            self._log(taken)
        if self.live:
            self.live.step()

    def _close_due_epoch(self) -> bool:
        """If the last step ended an epoch, or training, validate and judge; return whether it is the best yet."""
        state = self.state
        epoch, over = self._epoch_to_close()
        if state.closed >= epoch:
            if over:  # resumed with fewer epochs than have been closed
                state.finished = state.finished or EXHAUSTED
            return False
        self.timekeeper.trained()
        values = self._with_penalty(self.tally.values(state.epoch_tally))
        try:
            values |= self.validation.values()
        except AbandonedError:
            return False
        self._check_losses(values, epoch)
        whole = epoch == state.whole_epochs
        improved, reason = self.job.monitor.judge(values, state.step, epoch, whole)
        if whole:
            self.stepper.rates.judge(values)
        state.close(epoch, values, reason or (EXHAUSTED if over else None), self.validation.operating_point)
        dead = self.vitals.dead_relu()
        vitals = {} if dead is None else {"dead_relu": dead}
        self.run.metric({"event": "eval", "step": state.step, "epoch": epoch, **values, **vitals, "best": improved})
        self.timekeeper.epoch(improved)
        return improved

    def _after_step(self, improved: bool, late: bool) -> None:
        """Save when it is time to, and leave after a signal or when time is up; all leading processes agree on it."""
        step, finished = self.state.step, self.state.finished
        wishes = Wishes(*self.pool.agree(self.interrupts.wishes(late)))
        every = max(self.horizon.steps(self.job.loaded.experiment.checkpoint.every), 1)
        judged = self.state.closed >= self._epoch_to_close()[0]  # not where a signal has cut its validation short
        due = step > 0 and step % every == 0 and judged  # else whoever resumes it closes the epoch, and keeps this step
        pause = self.pause_step is not None and step >= self.pause_step
        asked = bool(improved or due or wishes.save or finished or pause)
        if asked or any(wishes):
            self.save(best=improved, keep=due, hurried=not asked)
        if not finished:
            wishes.grant(step, self.run.path)
            if pause:
                raise PausedError(f"paused by --pause-at {saved_after(step, self.run.path)}")

    # -- its parts ---------------------------------------------------------------------------------------------------

    def _epoch_to_close(self) -> tuple[int, bool]:
        """How many epochs are over after the last step, and whether training is."""
        epoch, within = divmod(self.state.step, self.loader.steps_per_epoch)
        over = self.state.step >= self.horizon.total_steps
        return epoch + bool(over and within), over  # the last epoch may be cut short by train.steps

    def _check_losses(self, values: Values, epoch: int) -> None:
        """Raise DivergedError where a loss of the validation is not finite."""
        for name in ("val/loss", "val_average/loss"):
            if not math.isfinite(values.get(name, 0.0)):
                what = f"{name} became {values[name]} after epoch {epoch}, step {self.state.step}"
                raise self.postmortem.error(what, "validation")

    def _log(self, taken: Taken) -> None:
        """Write the row of training since the last one."""
        state = self.state
        row = {
            "event": "train",
            "step": state.step,
            "epoch": (state.step - 1) // self.loader.steps_per_epoch + 1,
            "samples": self.loader.samples_before(state.step),
        }
        rates = {"lr": taken.lr} | ({} if taken.momentum is None else {"momentum": taken.momentum})
        rates |= {"grad_norm": taken.norm, "update_ratio": self.vitals.update_ratio()}
        self.run.metric(row | rates | self._with_penalty(self.tally.values(state.interval_tally)))
        state.interval_tally = self.tally.zeros()

    def _with_penalty(self, measured: Values) -> Values:
        """The values of training; with regularizers, also their penalty for the current weights and the sum of both."""
        values = {f"train/{name}": value for name, value in measured.items()}
        if self.train.regularize:
            penalty = self.stepper.updater.penalty()
            values |= {"train/penalty": penalty, "train/objective": values["train/loss"] + penalty}
        return values

    # -- saving, ending, going on ------------------------------------------------------------------------------------

    def save(self, best: bool = False, keep: bool = False, hurried: bool = False) -> None:
        """Write last.npz, and best.npz and the numbered one where asked. Raises DivergedError rather than save NaN.

        `hurried`, statistics of averaged weights that are still to be measured are left to whoever resumes.
        """
        self.check_weights()
        if not hurried:
            self.stepper.remeasure()
        state, checkpoint = self.state, self.job.loaded.experiment.checkpoint
        name = state.numbered() if keep and checkpoint.keep else None
        meta = state.meta(self.run.metrics_length)
        self.run.save_checkpoint(meta, state.arrays(), best=best, keep_as=name, keep=checkpoint.keep)
        state.saved = state.step
        self.console.detail(f"saved step {state.step}" + (", the best so far" if best else ""))
        if self.stepper.average and self.stepper.average.stale:
            self.console.say(
                f"the checkpoint of step {state.step} is used with the trained weights, not the averaged ones, until "
                "training goes on and measures their statistics"
            )
        self.note()

    def note(self) -> None:
        """Say in status.json that training goes on, and from which checkpoint."""
        state = self.state
        self.run.status(state="running", step=state.step, epoch=state.closed, best=self.job.monitor.summary())

    def end(self) -> None:
        """Write the last row of a finished run; doing so again after a resume changes nothing."""
        state, best = self.state, self.job.monitor.summary()
        row = {"event": "end", "step": state.step, "epoch": state.closed, "reason": state.finished, "best": best}
        self.run.metric(row)
        for line in self.job.monitor.unseen(early=state.whole_epochs > 0):
            self.console.warn(line)
        if self.stepper.average and not self.stepper.average.count:
            never = f"train.average had not begun when training ended, after step {state.step}: nothing was averaged"
            for line in advice.told(self.job.loaded, "average-beyond-end", never):
                self.console.warn(line)
        if self.live:
            self.live.write()  # with the last validation, after which there is no step
        self.run.sync()
        self.run.write_csv()
        if keep := self.job.loaded.experiment.checkpoint.keep:  # a kill may have come right after the last save
            self.run.prune(state.numbered(), keep)

    def check_weights(self) -> None:
        """Raise DivergedError where a weight or a running statistic is not finite."""
        if not np.isfinite(self.stepper.engine.params).all():
            what = f"a weight or a running statistic is not finite after step {self.state.step}"
            raise self.postmortem.error(what, "save")

    def _check_slots(self, norm: float) -> None:
        """Raise DivergedError where a slot of the optimizer is not finite, which keeps weights from moving ever again.

        Only a large gradient makes it so; a look at each step would cost time, and one before each save would depend on
        when a run is paused.
        """
        for name, slot in self.stepper.updater.slots.items():
            if not np.isfinite(slot).all():
                when = f"at step {self.state.step - 1}, by a gradient of norm {norm:.3g}"
                raise self.postmortem.error(f"the optimizer's {name} became infinite {when}", "save")

    def go_to(self, step: int, closed: int) -> None:
        """Train until this many steps are taken and epochs closed, or to the end, without saving."""
        state = self.state
        while state.finished is None and (state.step, state.closed) != (step, closed):
            before = state.closed
            self._close_due_epoch()
            if state.closed == before:
                if state.step >= step:
                    return
                self._take_step()
