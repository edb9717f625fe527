"""The monitor judges epochs: which was the best so far, and whether training should end.

Its state is a few numbers; they are in the checkpoint, so a resumed run judges as the straight one would have.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from cnntrain.config.load import Loaded, problem
from cnntrain.core.registry import did_you_mean
from cnntrain.network.tally import Tally
from cnntrain.parts.schedules.base import Schedule

Values = dict[str, Any]  # "val/loss" -> number, of one epoch


@dataclass
class Standing:
    """What has been judged so far."""

    best: float | None = None  # the best value of the monitored metric
    best_step: int | None = None
    best_epoch: int | None = None
    record: float | None = None  # early stopping's own best, which min_delta may hold back
    stale: int = 0  # epochs since the record


class Monitor:
    """The rules of one experiment: best checkpoint, early stopping, threshold."""

    def __init__(self, loaded: Loaded, tally: Tally, validates: bool) -> None:
        """Raises ConfigError where a rule names a metric that is not computed."""
        experiment = loaded.experiment
        self._larger = {f"{split}/loss": False for split in _splits(validates)}
        for metric in tally.metrics:
            if isinstance(metric.value(metric.zeros(min(max(tally.outputs, 1), 2))), float):
                self._larger |= {f"{split}/{metric.label()}": metric.larger_is_better for split in _splits(validates)}
        if experiment.train.average and validates:
            names = [name for name in self._larger if name.startswith("val/")]
            self._larger |= {name.replace("val/", "val_average/"): self._larger[name] for name in names}
        if experiment.train.regularize:
            self._larger |= {"train/penalty": False, "train/objective": False}
        self._loaded = loaded
        self.best = experiment.checkpoint.best.monitor or ("val/loss" if validates else "train/loss")
        self._best_larger = self._mode("checkpoint.best", self.best, experiment.checkpoint.best.mode)
        self._early = experiment.train.early_stopping
        self._early_larger = False
        if self._early:
            self._early_larger = self._mode("train.early_stopping", self._early.monitor, self._early.mode)
        self._until = experiment.train.until
        if self._until:
            self._known("train.until.metric", self._until.metric)
        for key, schedule in (("schedule", experiment.schedule), ("momentum_schedule", experiment.momentum_schedule)):
            watched = cast(Schedule, schedule).watched() if schedule else None
            if watched:
                self._known(f"{key}.monitor", watched)
        self.standing = Standing()

    def _known(self, path: str, name: str) -> None:
        if name not in self._larger:
            raise problem(self._loaded, path, f"{name!r} is not computed in this run{did_you_mean(name, self._larger)}")

    def _mode(self, path: str, name: str, mode: Literal["min", "max", "auto"]) -> bool:
        self._known(f"{path}.monitor", name)
        return self._larger[name] if mode == "auto" else mode == "max"

    def judge(self, values: Values, step: int, epoch: int) -> tuple[bool, str | None]:
        """Take in an epoch's values. Returns whether it is the best so far, and why training should end, if it should.

        A value that is not a number is never the best and never reaches a threshold.
        """
        standing = self.standing
        value = _number(values.get(self.best))
        improved = value is not None and _better(value, standing.best, self._best_larger)
        if improved:
            standing.best, standing.best_step, standing.best_epoch = value, step, epoch
        return improved, self._threshold(values) or self._patience(values)

    def _threshold(self, values: Values) -> str | None:
        rule = self._until
        value = _number(values.get(rule.metric)) if rule else None
        if rule is None or value is None:
            return None
        if rule.at_most is not None and value <= rule.at_most:
            return f"{rule.metric} {value:.6g} reached the threshold of at most {rule.at_most:g}"
        if rule.at_least is not None and value >= rule.at_least:
            return f"{rule.metric} {value:.6g} reached the threshold of at least {rule.at_least:g}"
        return None

    def _patience(self, values: Values) -> str | None:
        rule, standing = self._early, self.standing
        if rule is None:
            return None
        value = _number(values.get(rule.monitor))
        if value is not None and _better(value, standing.record, self._early_larger, rule.min_delta):
            standing.record, standing.stale = value, 0
            return None
        standing.stale += 1
        if standing.stale < rule.patience:
            return None
        return f"{rule.monitor} has not improved for {standing.stale} epoch{'s' * (standing.stale > 1)}"

    def summary(self) -> dict[str, Any]:
        """The best so far, for people and scripts."""
        standing = self.standing
        return {"metric": self.best, "value": standing.best, "step": standing.best_step, "epoch": standing.best_epoch}

    def state(self) -> dict[str, Any]:
        """The standing, for the checkpoint."""
        return asdict(self.standing)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from the standing of a checkpoint. Raises ValueError where it is none."""
        numbers = {"best": (int, float), "best_step": (int,), "best_epoch": (int,), "record": (int, float)}
        absent = [name for name in numbers if name in state and state[name] is None]
        wrong = [name for name, types in numbers.items() if name not in absent and type(state.get(name)) not in types]
        if wrong or type(state.get("stale")) is not int or len(state) != len(numbers) + 1:
            raise ValueError("its monitor is no standing")
        self.standing = Standing(**state)


def _splits(validates: bool) -> tuple[str, ...]:
    return ("train", "val") if validates else ("train",)


def _number(value: Any) -> float | None:
    return value if isinstance(value, float) and math.isfinite(value) else None


def _better(value: float, than: float | None, larger: bool, by: float = 0.0) -> bool:
    return than is None or (value > than + by if larger else value < than - by)
