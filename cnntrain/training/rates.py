"""Rates are the learning rate and the momentum of every step, by the schedules of an experiment."""

from __future__ import annotations

from typing import cast

from cnntrain.config.schema import Experiment
from cnntrain.network import build
from cnntrain.parts.schedules.base import Horizon, Schedule
from cnntrain.training.monitor import Values


class Rates:
    """The schedules of one training; `states`, what those have seen that watch a metric, is in the checkpoint."""

    def __init__(self, experiment: Experiment) -> None:
        optimizer = build.optimizer(experiment)
        self._schedules = {"lr": (schedule(experiment), optimizer.lr)}
        if experiment.momentum_schedule:
            self._schedules["momentum"] = (cast(Schedule, experiment.momentum_schedule), optimizer.base_momentum)
        self.states = {name: schedule.begin() for name, (schedule, _) in self._schedules.items()}

    def at(self, step: int, horizon: Horizon) -> tuple[float, float | None]:
        """The learning rate of a step, and its momentum where that has a schedule."""
        found = {name: rule(step, horizon, base, self.states[name]) for name, (rule, base) in self._schedules.items()}
        return found["lr"], found.get("momentum")

    def judge(self, values: Values) -> None:
        """Let those that watch a metric see the values of an epoch."""
        for name, (schedule, _) in self._schedules.items():
            self.states[name] = schedule.judge(self.states[name], values)


def horizon(experiment: Experiment, steps_per_epoch: int, samples: int | None = None) -> Horizon:
    """How long training is, in steps; `samples` are those of an epoch, by default as many as fill its steps."""
    train = experiment.train
    if train.samples is not None:
        batch = train.batch_size * train.accumulate
        epochs, rest = divmod(train.samples, samples or steps_per_epoch * batch)
        return Horizon(epochs * steps_per_epoch + -(-rest // batch), steps_per_epoch)
    total = train.steps if train.steps is not None else cast(int, train.epochs) * steps_per_epoch
    return Horizon(total, steps_per_epoch)


def schedule(experiment: Experiment) -> Schedule:
    """The schedule the config names."""
    return cast(Schedule, experiment.schedule)
