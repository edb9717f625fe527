"""A timekeeper reports on the console and in timing.jsonl how fast training goes; no result depends on it."""

from __future__ import annotations

import time

from cnntrain.core import machine
from cnntrain.core.console import Console, Epoch, clock
from cnntrain.rundir.journal import Journal
from cnntrain.training.job import Job
from cnntrain.training.state import State
from cnntrain.training.stepper import Stepper, Taken


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

    def seconds(self) -> float:
        """Seconds since the clock was started."""
        return time.monotonic() - self.since

    def rate(self) -> float:
        """Samples a second without the longest step, if there are others: the process may have been stopped in it."""
        seconds, samples = self._longest if self._longest[1] < self.samples else (0.0, 0)
        return (self.samples - samples) / max(self._told - self.since - seconds, 1e-9)


class Timekeeper:
    """The timekeeper of one training in this session."""

    def __init__(self, job: Job, stepper: Stepper, state: State, run: Journal, console: Console) -> None:
        self._stepper, self._state, self._run, self._console = stepper, state, run, console
        self._loader, self._tally = job.loader, job.network.tally
        self._clock = _Clock()
        self._seconds = 0.0  # of training in the epoch that is being closed
        self.waited: list[float] = []  # for data, in each epoch's training: a share of the workers' time

    def step(self, taken: Taken) -> None:
        """Report the step that has just been taken."""
        self._clock.step(self._tally.samples(taken.tally))
        per_epoch = self._loader.steps_per_epoch
        epoch, done = divmod(self._state.step - 1, per_epoch)
        self._console.step(epoch + 1, done + 1, per_epoch, lambda: self._shown(taken.lr))

    def trained(self) -> None:
        """Note that the training of an epoch is over, and its validation begins."""
        self._seconds = self._clock.seconds()
        workers = self._stepper.engine.workers_here
        self.waited.append(self._loader.waiting.take() / max(self._seconds * workers, 1e-9))

    def epoch(self, improved: bool) -> None:
        """Report the epoch that has just been closed, and begin the next."""
        state, seconds = self._state, self._seconds
        epochs = -(-self._stepper.horizon.total_steps // self._loader.steps_per_epoch)
        self._console.epoch(Epoch(state.closed, epochs, state.values, seconds, improved))
        self._run.timing(
            {
                "step": state.step,
                "epoch": state.closed,
                "training_seconds": round(seconds, 3),
                "seconds": round(self._clock.seconds(), 3),
                "waiting_for_data": round(self.waited[-1], 4),
                "images_per_second": round(self._clock.samples / max(seconds, 1e-9), 1),
                "peak_bytes": machine.peak(),
            }
        )
        self._clock = _Clock()
        self._loader.waiting.take()  # remeasuring the averaged weights is not part of the next epoch

    def pace(self) -> tuple[float, float]:
        """Samples a second in this epoch, and the seconds of training that are left at that pace."""
        rate = self._clock.rate()
        steps = (self._stepper.horizon.total_steps, self._state.step)
        total, seen = (self._loader.samples_before(step) for step in steps)
        return rate, (total - seen) / max(rate, 1e-9)

    def _shown(self, lr: float) -> dict[str, str]:
        values = self._tally.values(self._state.epoch_tally)
        rate, seconds = self.pace()
        names = {"loss": "loss", "acc": "accuracy"}
        shown = {short: f"{values[name]:.3f}" for short, name in names.items() if name in values}
        return shown | {"lr": f"{lr:.2g}", "img/s": f"{rate:.0f}", "left": clock(seconds)}
