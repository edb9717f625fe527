"""The monitor judges epochs: which was the best so far, and whether training should end.

Its state is a few numbers; they are in the checkpoint, so a resumed run judges as an uninterrupted one would have.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast

from cnntrain.config.load import Loaded, problem
from cnntrain.config.schema import EarlyStopping, Experiment, Until
from cnntrain.core.counts import counted
from cnntrain.core.registry import did_you_mean
from cnntrain.network.tally import Tally
from cnntrain.parts.schedules.base import Schedule

Values = dict[str, Any]  # "val/loss" -> number, of one epoch


@dataclass
class MonitorState:
    """What has been judged so far."""

    best: float | None = None  # the best value of the monitored metric
    best_step: int | None = None
    best_epoch: int | None = None
    record: float | None = None  # early stopping's own best, which min_delta may hold back
    stale: int = 0  # epochs since the record
    metric: str | None = None  # the metric of the best value, where there are averaged weights


def judged_by(experiment: Experiment, validates: bool) -> str:
    """The metric that decides which epoch is the best: of the weights that a checkpoint stands for, unless named."""
    average = bool(experiment.train.average)
    default = ("val_average/loss" if average else "val/loss") if validates else "train/loss"
    return experiment.checkpoint.best.monitor or default


class Monitor:
    """The rules of one experiment: best checkpoint, early stopping, threshold."""

    def __init__(self, loaded: Loaded, tally: Tally, validates: bool, measures: Collection[str] = ()) -> None:
        """`measures` are what the task measures in validation. Raises ConfigError where a rule names anything else."""
        experiment = loaded.experiment
        # what is computed -> whether larger values of it are better
        self.larger = {f"{split}/loss": False for split in _splits(validates)}
        self._bounds: dict[str, tuple[float, float]] = {}
        for metric in tally.metrics:
            if isinstance(metric.value(metric.zeros(min(max(tally.outputs, 1), 2))), float):
                names = [f"{split}/{metric.label()}" for split in _splits(validates)]
                self.larger |= dict.fromkeys(names, metric.larger_is_better)
                self._bounds |= dict.fromkeys(names, metric.bounds)
        if validates:
            names = [f"val/{name}" for name in measures]
            self.larger |= dict.fromkeys(names, True)
            self._bounds |= dict.fromkeys(names, (0.0, 1.0))
        if experiment.train.average and validates:
            names = [name for name in self.larger if name.startswith("val/")]
            averaged = {name: name.replace("val/", "val_average/") for name in names}
            self.larger |= {averaged[name]: self.larger[name] for name in names}
            self._bounds |= {averaged[name]: self._bounds[name] for name in names if name in self._bounds}
        if experiment.train.regularize:
            self.larger |= {"train/penalty": False, "train/objective": False}
        self._loaded = loaded
        self.best = judged_by(experiment, validates)
        self._averaged = None  # the same of averaged weights, which a checkpoint stands for once there are some
        if not experiment.checkpoint.best.monitor and self.best.startswith("val_average/"):
            self._averaged, self.best = self.best, self.best.replace("val_average/", "val/")
        self._best_larger = self._mode("checkpoint.best", self.best, experiment.checkpoint.best.mode)
        self._early = experiment.train.early_stopping
        self._early_larger = False
        if self._early:
            self._early_larger = self._mode("train.early_stopping", self._early.monitor, self._early.mode)
            self._attainable(self._early)
        self._until = experiment.train.until
        if self._until:
            self._known("train.until.metric", self._until.metric)
            self._reachable(self._until)
        for key, schedule in (("schedule", experiment.schedule), ("momentum_schedule", experiment.momentum_schedule)):
            watched = cast(Schedule, schedule).watched() if schedule else None
            if watched:
                self._known(f"{key}.monitor", watched)
        self.standing = MonitorState()

    @property
    def advice(self) -> str | None:
        """The advice where the config judges weights other than those that a checkpoint stands for."""
        averaged = self.best.replace("val/", "val_average/", 1)
        if self._averaged or averaged == self.best or averaged not in self.larger:
            return None
        return (
            f"checkpoint.best judges {self.best}, while eval, predict and export use the averaged weights: "
            f"{averaged} measures those"
        )

    def _known(self, path: str, name: str) -> None:
        if name not in self.larger:
            raise problem(self._loaded, path, f"{name!r} is not computed in this run{did_you_mean(name, self.larger)}")

    def _reachable(self, until: Until) -> None:
        """Raise ConfigError for a threshold that no value reaches, or every one: a share is not a percentage."""
        low, high = self._bounds.get(until.metric, (-math.inf, math.inf))
        key = "at_least" if until.at_least is not None else "at_most"
        bound = cast(float, getattr(until, key))
        within = low < bound <= high if key == "at_least" else low <= bound < high
        if not within:
            percent = f": for {bound:g} % write {bound / 100:g}" if (low, high) == (0, 1) and 1 < bound <= 100 else ""
            never = bound > high if key == "at_least" else bound < low
            raise problem(
                self._loaded,
                f"train.until.{key}",
                f"{until.metric} lies between {low:g} and {high:g}, so that {key} {bound:g} is "
                f"{'never reached' if never else 'reached at once'}{percent}",
            )

    def _attainable(self, rule: EarlyStopping) -> None:
        """Raise ConfigError for a `min_delta` that exceeds the whole range of a metric."""
        low, high = self._bounds.get(rule.monitor, (-math.inf, math.inf))
        if rule.min_delta >= high - low:
            raise problem(
                self._loaded,
                "train.early_stopping.min_delta",
                f"{rule.monitor} lies between {low:g} and {high:g}, so that it never improves by {rule.min_delta:g}",
            )

    def unseen(self, early: bool) -> list[str]:
        """Metrics that are monitored and had no value in any epoch, each with what was not decided for lack of it.

        `early` says whether early stopping had anything to decide.
        """
        standing = self.standing
        found = {self.best: ["which epoch is the best"]} if standing.best is None else {}
        if early and self._early and standing.record is None:
            found.setdefault(self._early.monitor, []).append("whether to stop early")
        return [f"{name} had no value in any epoch: it was not decided {' and '.join(w)}" for name, w in found.items()]

    def _mode(self, path: str, name: str, mode: Literal["min", "max", "auto"]) -> bool:
        self._known(f"{path}.monitor", name)
        return self.larger[name] if mode == "auto" else mode == "max"

    def judge(self, values: Values, step: int, epoch: int, whole: bool = True) -> tuple[bool, str | None]:
        """Take in an epoch's values. Return whether it is the best so far, and why training should end, if it should.

        A value that is not a number is never the best and never reaches a threshold; nor does an epoch without a value,
        as before an average begins, count as one without improvement. One that is not whole may be the best or reach
        a threshold; early stopping counts it at its true end, if more steps lead there.
        """
        standing = self.standing
        name = self._averaged if self._averaged in values else self.best
        value = _number(values.get(name))
        anew = standing.metric is None and name != self.best  # an older version judged the weights that were not kept
        improved = value is not None and (anew or _better(value, standing.best, self._best_larger))
        if improved:
            standing.best, standing.best_step, standing.best_epoch = value, step, epoch
            standing.metric = name
        return improved, self._threshold(values) or (self._patience(values) if whole else None)

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
        if value is None:
            return None
        if _better(value, standing.record, self._early_larger, rule.min_delta):
            standing.record, standing.stale = value, 0
            return None
        standing.stale += 1
        return self._stale()

    def _stale(self) -> str | None:
        rule, stale = self._early, self.standing.stale
        if rule is None or stale < rule.patience:
            return None
        return f"{rule.monitor} has not improved for {counted(stale, 'epoch')}"

    def verdict(self, values: Values, early: bool) -> str | None:
        """Why training should have ended with the epoch of these values, which was judged by other rules; None: not.

        `early` says whether the standing of early stopping is of the same metric.
        """
        return self._threshold(values) or (self._stale() if early else None)

    def summary(self) -> dict[str, Any]:
        """The best so far, for people and scripts."""
        standing = self.standing
        metric = standing.metric or self.best
        return {"metric": metric, "value": standing.best, "step": standing.best_step, "epoch": standing.best_epoch}

    def state(self) -> dict[str, Any]:
        """The standing, for the checkpoint."""
        state = asdict(self.standing)
        return state if self._averaged else {key: value for key, value in state.items() if key != "metric"}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from the standing in a checkpoint. Raises ValueError where it is not valid."""
        numbers = {"best": (int, float), "best_step": (int,), "best_epoch": (int,), "record": (int, float)}
        absent = [name for name in numbers if name in state and state[name] is None]
        wrong = [name for name, types in numbers.items() if name not in absent and type(state.get(name)) not in types]
        if wrong or type(state.get("stale")) is not int or state.keys() - {"metric"} != {*numbers, "stale"}:
            raise ValueError("its monitor is not valid")
        if not isinstance(state.get("metric"), str | None):
            raise ValueError("its monitor is not valid")
        self.standing = MonitorState(**state)

    def forget(self, best: bool, early: bool) -> None:
        """Begin anew with the best, or with early stopping, which was judged in another way so far."""
        if best:
            self.standing = replace(self.standing, best=None, best_step=None, best_epoch=None, metric=None)
        if early:
            self.standing = replace(self.standing, record=None, stale=0)


def _splits(validates: bool) -> tuple[str, ...]:
    return ("train", "val") if validates else ("train",)


def _number(value: Any) -> float | None:
    return value if isinstance(value, float) and math.isfinite(value) else None


def _better(value: float, than: float | None, larger: bool, by: float = 0.0) -> bool:
    return than is None or (value > than + by if larger else value < than - by)
