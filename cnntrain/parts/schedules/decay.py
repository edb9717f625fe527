"""Decaying schedules: the learning rate falls by one formula over the training, or over a part of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.config.fields import Duration, NonNegative, Positive, Probability
from cnntrain.core.registry import register
from cnntrain.parts.schedules.base import Horizon, Schedule, Warmup, longer_than_nothing


@register("multistep")
@dataclass(frozen=True, kw_only=True)
class MultiStep(Schedule):
    """lr * gamma^(milestones passed), a milestone counting as passed at its own step: PyTorch's MultiStepLR.

    lr at step 0 unless a milestone lies there; at the last step, lr * gamma^(milestones before the end). Percentages
    are of the steps after the warm-up.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"milestones": (Duration(2), Duration(150, "st"))},
        {"milestones": (Duration(50, "%"), Duration(75, "%")), "gamma": 0.5, "warmup": Duration(1)},
    )

    milestones: tuple[Duration, ...]  # when the rate falls
    gamma: Positive = 0.1  # factor on the rate at each milestone

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:
        """The learning rate after the drops so far."""
        passed = sum(step >= horizon.steps(milestone) for milestone in self.milestones)
        return lr * float(self.gamma**passed)


@register("exponential")
@dataclass(frozen=True, kw_only=True)
class Exponential(Schedule):
    """lr * gamma^(step / every), smoothly: a factor of gamma each `every` (PyTorch's ExponentialLR with `every: 1st`).

    lr at step 0, lr * gamma^((T - 1) / every) at the last of T steps.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"gamma": 0.9}, {"gamma": 0.98, "every": Duration(1, "st")})

    gamma: Probability  # factor on the rate each `every`
    every: Duration = Duration(1)  # how long the rate takes to fall by `gamma`

    def __post_init__(self) -> None:
        super().__post_init__()
        longer_than_nothing("every", self.every)

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:
        """The learning rate of the step."""
        return lr * float(self.gamma ** (step / max(horizon.steps(self.every), 1)))


@register("linear")
@dataclass(frozen=True)
class Linear(Schedule):
    """From lr * start to lr * end in a straight line over `duration`, then constant: PyTorch's LinearLR.

    lr * start at step 0; with a duration of 100% the last of T steps is one short of the end,
    lr * (start + (end - start) (T - 1) / T).
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"start": 0.25, "end": 0.75, "duration": Duration(3)})

    start: Probability = 1.0  # where the rate starts, as a share of the learning rate
    end: Probability = 0.0  # where it ends, as a share of the learning rate
    duration: Duration = Duration(100, "%")  # how long it takes from start to end

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:
        """The learning rate of the step."""
        done = min(step / max(horizon.steps(self.duration), 1), 1.0)
        return lr * (self.start + (self.end - self.start) * done)


@register("polynomial")
@dataclass(frozen=True)
class Polynomial(Schedule):
    """lr * (1 - step / T)^power over T steps, 0 beyond them: PyTorch's PolynomialLR.

    lr at step 0, lr * (1 / T)^power at the last step.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"power": 2.0, "warmup": Duration(1)})

    power: Positive = 1.0  # exponent: 1 is a straight line

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:
        """The learning rate of the step."""
        return lr * float((1 - min(step / horizon.total_steps, 1.0)) ** self.power)


@register("inverse_time")
@dataclass(frozen=True)
class InverseTime(Schedule):
    """lr / (1 + decay * step / every)^power: with power 1 that of stochastic approximation (Robbins and Monro 1951).

    lr at step 0, lr / (1 + decay (T - 1) / every)^power at the last of T steps. Caffe's `inv`.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"decay": 0.01, "every": Duration(1, "st")},
        {"decay": 1e-4, "every": Duration(1, "st"), "power": 0.75},
    )

    decay: NonNegative = 1.0  # how much the divisor grows each `every`
    every: Duration = Duration(1)  # how long the divisor takes to grow by `decay`
    power: Positive = 1.0  # what the divisor is raised to

    def __post_init__(self) -> None:
        super().__post_init__()
        longer_than_nothing("every", self.every)

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:
        """The learning rate of the step."""
        return lr / (1 + self.decay * step / max(horizon.steps(self.every), 1)) ** self.power


@register("inverse_sqrt")
@dataclass(frozen=True)
class InverseSqrt(Schedule):
    """lr * sqrt(timescale / (timescale + step)); with a warm-up as long as the timescale, that of Vaswani et al. 2017.

    lr at step 0 (after the warm-up), lr * sqrt(timescale / (timescale + T - 1)) at the last of T steps.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"timescale": Duration(30, "st"), "warmup": Warmup(Duration(30, "st"))},
    )

    timescale: Duration = Duration(1)  # how long it takes until the rate has fallen by the square root of 2

    def __post_init__(self) -> None:
        super().__post_init__()
        longer_than_nothing("timescale", self.timescale)

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:
        """The learning rate of the step."""
        scale = max(horizon.steps(self.timescale), 1)
        return lr * math.sqrt(scale / (scale + step))
