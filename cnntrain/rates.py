"""Rates are the learning rate and the momentum of every step, by the schedules of an experiment."""

from __future__ import annotations

from typing import cast

from cnntrain import build
from cnntrain.config.schema import Experiment
from cnntrain.monitor import Values
from cnntrain.schedules.base import Horizon, Schedule


class Rates:
    """The schedules of one training; `states`, what those have seen that watch a metric, is in the checkpoint."""

    def __init__(self, experiment: Experiment) -> None:
        optimizer = build.optimizer(experiment)
        self._schedules = {"lr": (build.schedule(experiment), optimizer.lr)}
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
