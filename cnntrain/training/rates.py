"""Rates are the learning rate and the momentum of every step, as scheduled.

Before the first step they are evaluated for the whole run, so that a value which the optimizer does not take is an
error at the schedule's line, and not in the step that meets it.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from cnntrain.config.load import Loaded, problem
from cnntrain.config.schema import Experiment
from cnntrain.core.errors import ConfigError
from cnntrain.network import build
from cnntrain.parts.schedules.base import Horizon, Schedule
from cnntrain.training.monitor import Values

MOST = 100_000  # a run of up to this many steps is checked at all of them; a longer one at as many, ends included
_PLACES = {"lr": "schedule", "momentum": "momentum_schedule"}

ScheduleState = dict[str, Any]


class Rates:
    """The schedules of one training; `states`, what those that watch a metric have seen, is in the checkpoint."""

    def __init__(self, loaded: Loaded, larger: Mapping[str, bool] | None = None) -> None:
        """`larger` says whether larger values are better, for each metric that may be watched."""
        experiment, larger = loaded.experiment, larger or {}
        self._loaded, self._optimizer = loaded, build.optimizer(experiment)
        self._schedules = {"lr": (schedule(experiment), self._optimizer.lr)}
        if experiment.momentum_schedule:
            momentum = self._optimizer.base_momentum
            self._schedules["momentum"] = (cast(Schedule, experiment.momentum_schedule), momentum)
        for name, (rule, base) in self._schedules.items():
            watched = rule.watched()
            if watched is not None and watched in larger:
                self._schedules[name] = (rule.directed(larger[watched]), base)
        self._taken: dict[str, tuple[float, float]] = {}  # known bounds, ends included, of what the optimizer takes
        self.states = {name: schedule.begin() for name, (schedule, _) in self._schedules.items()}

    def at(self, step: int, horizon: Horizon) -> tuple[float, float | None]:
        """The learning rate of a step, and its momentum where that has a schedule.

        Raises ConfigError at the schedule's line for one that the optimizer does not take.
        """
        found = {name: self._value(name, step, horizon, self.states[name]) for name in self._schedules}
        return found["lr"], found.get("momentum")

    def judge(self, values: Values) -> None:
        """Show the values of an epoch to the schedules that watch a metric."""
        for name, (schedule, _) in self._schedules.items():
            self.states[name] = schedule.judge(self.states[name], values)

    def check(self, horizon: Horizon) -> None:
        """Raise ConfigError at the schedule's line for the first step with a value that the optimizer does not take.

        A schedule that watches a metric is followed as it stands, and as it would fall if that never improved.
        """
        for name, (schedule, _) in self._schedules.items():
            begin = schedule.begin()
            moments = [(step, begin) for step in looked_at(horizon.total_steps)]
            if schedule.watched() is not None:
                moments += _stagnating(schedule, horizon)
            if not self._takes_all(name, moments, horizon):
                for step, state in moments:
                    self._value(name, step, horizon, state)

    def _takes_all(self, name: str, moments: Sequence[tuple[int, ScheduleState]], horizon: Horizon) -> bool:
        """Whether the optimizer takes every value: what it takes lies between two bounds, so the ends tell."""
        schedule, base = self._schedules[name]
        try:
            values = [schedule(step, horizon, base, state) for step, state in moments]
            if any(map(math.isnan, values)):
                return False
            for value in {min(values), max(values)} if values else ():
                self._try(name, value)
        except (ValueError, ArithmeticError):
            return False
        return True

    def _try(self, name: str, value: float) -> None:
        """Raise ValueError for a value that the optimizer does not take.

        Making an optimizer is slow, so results are kept.
        """
        low, high = self._taken.get(name, (math.inf, -math.inf))
        if low <= value <= high:
            return
        if name == "momentum":
            self._optimizer.with_momentum(value)
        else:
            dataclasses.replace(self._optimizer, lr=value)
        self._taken[name] = min(low, value), max(high, value)

    def _value(self, name: str, step: int, horizon: Horizon, state: ScheduleState) -> float:
        schedule, base = self._schedules[name]
        try:
            value = schedule(step, horizon, base, state)
            self._try(name, value)
        except (ValueError, ArithmeticError) as error:
            raise self._refusal(name, step, horizon, error) from error
        return value

    def _refusal(self, name: str, step: int, horizon: Horizon, error: Exception) -> ConfigError:
        what = f"the value overflows ({error})" if isinstance(error, ArithmeticError) else str(error)
        word = {"lr": "learning rate", "momentum": "momentum"}[name]
        message = (
            f"{self._schedules[name][0].name_in_config} gives the optimizer a {word} that it does not take, at step "
            f"{step} of {horizon.total_steps}: {what}. Change the schedule"
        )
        return problem(self._loaded, _PLACES[name], message)


def check(loaded: Loaded, horizon: Horizon) -> None:
    """Raise ConfigError where a schedule of the experiment gives, at any step, what its optimizer does not take."""
    Rates(loaded).check(horizon)


def horizon(experiment: Experiment, steps_per_epoch: int, samples: int) -> Horizon:
    """How long training is, in steps; `samples` are those of an epoch, whose last batch may be smaller."""
    train = experiment.train
    if train.samples is not None:
        batch = train.batch_size * train.accumulate
        epochs, rest = divmod(train.samples, samples)
        return Horizon(epochs * steps_per_epoch + -(-rest // batch), steps_per_epoch)
    total = train.steps if train.steps is not None else cast(int, train.epochs) * steps_per_epoch
    return Horizon(total, steps_per_epoch)


def schedule(experiment: Experiment) -> Schedule:
    """The schedule the config names."""
    return cast(Schedule, experiment.schedule)


def looked_at(total: int) -> list[int]:
    """The steps to look at: all, or evenly spread ones."""
    if total <= MOST:
        return list(range(total))
    return sorted({round(i * (total - 1) / (MOST - 1)) for i in range(MOST)})


def _stagnating(schedule: Schedule, horizon: Horizon) -> Iterator[tuple[int, ScheduleState]]:
    """The first step of each epoch, and the state of a schedule whose metric never improves, as long as it changes."""
    state, seen = schedule.begin(), {str(schedule.watched()): 1.0}
    for step in itertools.islice(range(0, horizon.total_steps, max(horizon.steps_per_epoch, 1)), MOST):
        yield step, state
        state = schedule.judge(state, seen)
