"""A plateau schedule: the learning rate drops when a metric has stopped getting better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from cnntrain.config.fields import Duration, NonNegative, NonNegativeInt, Rate
from cnntrain.core.registry import register
from cnntrain.parts.schedules.base import Horizon, Schedule


@register("plateau")
@dataclass(frozen=True)
class Plateau(Schedule):
    """lr times `factor` whenever `monitor` has not improved for more than `patience` epochs.

    PyTorch's ReduceLROnPlateau, judged at the end of every epoch (as in He et al. 2015): better means below
    best * (1 - threshold), above best * (1 + threshold) where `mode` is max; after a drop `cooldown` epochs do not
    count. lr at step 0, whatever is left of it at the last step; never below `min`. A value that is not a number is
    never better.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"factor": 0.5, "patience": 2, "cooldown": 1, "min": 1e-3, "warmup": Duration(1)},
    )

    monitor: str = "val/loss"  # the metric that should improve
    mode: Literal["min", "max"] = "min"  # whether smaller or larger is better
    factor: Rate = 0.1  # factor on the rate each time
    patience: NonNegativeInt = 10  # epochs without an improvement that are tolerated
    threshold: Rate = 1e-4  # a relative change of no more than this is no improvement
    cooldown: NonNegativeInt = 0  # epochs that do not count after the rate has fallen
    min: NonNegative = 0.0  # smallest learning rate

    def begin(self) -> dict[str, Any]:
        """Nothing seen, nothing dropped."""
        return {"best": None, "stale": 0, "resting": 0, "factor": 1.0}

    def watched(self) -> str | None:
        """The metric that must go on improving."""
        return self.monitor

    def judge(self, state: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """Take in an epoch; the order of the counts is PyTorch's."""
        new = dict(state)
        value = values.get(self.monitor)
        if isinstance(value, float) and math.isfinite(value) and self._better(value, new["best"]):
            new["best"], new["stale"] = value, 0
        else:
            new["stale"] += 1
        if new["resting"] > 0:
            new["resting"] -= 1
            new["stale"] = 0
        if new["stale"] > self.patience:
            new |= {"factor": new["factor"] * self.factor, "resting": self.cooldown, "stale": 0}
        return new

    def _better(self, value: float, best: float | None) -> bool:
        if best is None:
            return True
        sign = 1 if self.mode == "max" else -1
        limit: float = sign * best * (1 + sign * self.threshold)
        return sign * value > limit

    def __call__(self, step: int, horizon: Horizon, lr: float, state: Mapping[str, Any] | None = None) -> float:
        """The learning rate of the step, after the drops so far."""
        rate = super().__call__(step, horizon, lr)
        factor: float = (state or self.begin())["factor"]
        return max(rate * factor, min(rate, self.min))

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:  # noqa: ARG002  (the drops are applied outside)
        """The learning rate before any drop."""
        return lr
