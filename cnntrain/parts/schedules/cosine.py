"""A cosine schedule: the learning rate glides down half a cosine wave over the whole training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.config.fields import Duration, NonNegative
from cnntrain.core.registry import register
from cnntrain.parts.schedules.base import Horizon, Schedule, Warmup


@register("cosine")
@dataclass(frozen=True)
class Cosine(Schedule):
    """min + (lr - min) (1 + cos(pi step / T)) / 2 over T steps (Loshchilov and Hutter 2017, without restarts).

    lr at step 0; at the last step, T - 1, still just above `min`, by (lr - min) (1 - cos(pi / T)) / 2. `min` is a
    learning rate, not a factor; beyond T it stays. PyTorch's CosineAnnealingLR with T_max = T.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"min": 1e-3, "warmup": Warmup(Duration(2), start=0.1)},
    )

    min: NonNegative = 0.0  # learning rate at the end

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:
        """The learning rate of the step, the warm-up not counted."""
        done = min(step / horizon.total_steps, 1.0)
        return self.min + (lr - self.min) * (1 + math.cos(math.pi * done)) / 2
