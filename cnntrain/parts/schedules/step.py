"""A step schedule: the learning rate drops by a factor at regular intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.config.fields import Duration, Positive
from cnntrain.core.registry import register
from cnntrain.parts.schedules.base import Horizon, Schedule, longer_than_nothing


@register("step")
@dataclass(frozen=True, kw_only=True)
class Step(Schedule):
    """lr * gamma^floor(step / every): lr at step 0, lr * gamma^floor((T - 1) / every) at the last of T steps.

    PyTorch's StepLR. `every` in percent is measured against the steps after the warm-up, and is at least one step.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"every": Duration(3)},
        {"every": Duration(25, "%"), "gamma": 0.5, "warmup": Duration(1)},
    )

    every: Duration  # how long the rate stays before it falls
    gamma: Positive = 0.1  # factor on the rate each time it falls

    def __post_init__(self) -> None:
        super().__post_init__()
        longer_than_nothing("every", self.every)

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:
        """The learning rate after as many drops as intervals have passed."""
        drops: int = step // max(horizon.steps(self.every), 1)
        return lr * float(self.gamma**drops)
