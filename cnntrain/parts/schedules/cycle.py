"""Cycling schedules: the learning rate goes up and down, once or again and again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from cnntrain.config.fields import Duration, NonNegative, Positive, PositiveInt, Probability, Range
from cnntrain.core.registry import register
from cnntrain.parts.schedules.base import Horizon, Schedule, longer_than_nothing


@register("cosine_restarts")
@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """Half a cosine from lr to `min` within each period, then lr again (SGDR: Loshchilov and Hutter 2017).

    The first period lasts `period`, each further one `growth` times as long as that before it: PyTorch's
    CosineAnnealingWarmRestarts with T_0, T_mult and eta_min. lr at step 0; the last step lies anywhere in its period.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"period": Duration(30, "st"), "growth": 2, "min": 1e-3})

    period: Duration = Duration(10)  # length of the first period
    growth: PositiveInt = 1  # each period is this many times as long as the one before
    min: NonNegative = 0.0  # learning rate at the end of a period

    def __post_init__(self) -> None:
        super().__post_init__()
        longer_than_nothing("period", self.period)

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:
        """The learning rate of the step."""
        length = max(horizon.steps(self.period), 1)
        if self.growth == 1:
            step %= length
        while step >= length:
            step -= length
            length *= self.growth
        return self.min + (lr - self.min) * (1 + math.cos(math.pi * step / length)) / 2


@register("one_cycle")
@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from max_lr / div to max_lr, then down to max_lr / (div * final_div) (Smith and Topin 2018).

    PyTorch's OneCycleLR over T steps: the top is at step pct_start * T - 1, the bottom at the last step, T - 1; step 0
    has max_lr / div. `max_lr` is by default the optimizer's lr. Each way is half a cosine, or a line with
    `anneal: linear`. PyTorch cycles the momentum too; here a `momentum_schedule` does.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"max_lr": 0.4, "pct_start": 0.25, "div": 10.0, "final_div": 100.0, "anneal": "linear"},
    )

    max_lr: Positive | None = None  # largest learning rate; by default the optimizer's
    # share of the training in which the rate rises
    pct_start: Annotated[float, Range(0, 1, open_low=True, open_high=True)] = 0.3
    div: Positive = 25.0  # the first rate is the largest one divided by this
    final_div: Positive = 1e4  # the last rate is the first one divided by this
    anneal: Literal["cosine", "linear"] = "cosine"  # shape of both ways

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:
        """The learning rate of the step."""
        high = lr if self.max_lr is None else self.max_lr
        low = high / self.div
        top, last = self.pct_start * horizon.total_steps - 1, horizon.total_steps - 1
        if step <= top:
            return self._between(low, high, step / top if top > 0 else 1.0)
        return self._between(high, low / self.final_div, min((step - top) / (last - top), 1.0) if last > top else 1.0)

    def _between(self, first: float, last: float, done: float) -> float:
        if self.anneal == "linear":
            return first + (last - first) * done
        return last + (first - last) * (1 + math.cos(math.pi * done)) / 2


@register("cyclic")
@dataclass(frozen=True)
class Cyclic(Schedule):
    """Up from `low` to lr within `up` and down again within `down`, over and over (Smith 2017): PyTorch's CyclicLR.

    `low` is a learning rate, `down` by default as long as `up`. The height above `low` of cycle c, from 1, is
    lr - low, times 1 / 2^(c - 1) for triangular2 and gamma^step for exp_range. `low` at step 0; the last step may
    lie anywhere in its cycle.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"low": 0.1, "up": Duration(15, "st"), "down": Duration(25, "st"), "mode": "triangular2"},
        {"up": Duration(1), "mode": "exp_range", "gamma": 0.99},
    )

    low: NonNegative = 0.0  # smallest learning rate
    up: Duration = Duration(2)  # how long the rate rises
    down: Duration | None = None  # how long it falls; by default as long as it rises
    # how the peaks develop: they stay, are halved each cycle, or fall by `gamma` each step
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    gamma: Probability = 1.0  # factor per step on the height of the peaks in mode `exp_range`

    def __post_init__(self) -> None:
        super().__post_init__()
        longer_than_nothing("up", self.up)
        if self.gamma != 1 and self.mode != "exp_range":
            raise ValueError(f"gamma {self.gamma:g} does nothing in the mode {self.mode}: set mode to exp_range")

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:
        """The learning rate of the step."""
        up = max(horizon.steps(self.up), 1)
        down = up if self.down is None else max(horizon.steps(self.down), 1)
        cycle, within = divmod(step, up + down)
        share = within / up if within <= up else (up + down - within) / down
        factor = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": self.gamma**step}[self.mode]
        return self.low + (lr - self.low) * share * factor


@register("wsd")
@dataclass(frozen=True)
class WSD(Schedule):
    """Warm-up, stable, decay (Hu et al. 2024, MiniCPM): lr until `decay` before the end, then down to `end` of it.

    With T steps of which the last D decay, step s >= T - D has d = (s - T + D) / D of the way down behind it:
    lr * (end + (1 - end) f), f being 1 - d (linear), 1 - sqrt(d) (sqrt) or (1 + cos(pi d)) / 2 (cosine). lr at step 0
    unless a `warmup` is given; the last step is one short of `end`.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"warmup": Duration(1)},
        {"decay": Duration(3), "shape": "sqrt", "end": 0.1},
        {"shape": "cosine"},
    )

    decay: Duration = Duration(20, "%")  # how long before the end the rate begins to fall
    shape: Literal["linear", "sqrt", "cosine"] = "linear"  # shape of the fall
    end: Probability = 0.0  # where the rate ends, as a share of the learning rate

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:
        """The learning rate of the step."""
        falling = max(horizon.steps(self.decay), 1)
        done = min(max((step - horizon.total_steps + falling) / falling, 0.0), 1.0)
        left = {"linear": 1 - done, "sqrt": 1 - math.sqrt(done), "cosine": (1 + math.cos(math.pi * done)) / 2}
        return lr * (self.end + (1 - self.end) * left[self.shape])
