"""Stochastic weight averaging: the plain mean of the weights at regular moments of late training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.config.fields import Duration
from cnntrain.core.registry import register
from cnntrain.parts.averages.base import Average


@register("swa")
@dataclass(frozen=True)
class SWA(Average):
    """The mean of the weights at `start` and each `every` after it (Izmailov et al. 2018).

    Since the averaged network has other activations than the networks it averages, running statistics of batch norm are
    measured anew before it is evaluated or saved: the mean over the last training batches, of up to 100 steps and at
    most an epoch, before weights last entered. A checkpoint of a run that is stopped in a hurry, by a signal or
    --max-time, may come before that: its plain weights are used until the run is resumed.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"start": Duration(50, "%"), "every": Duration(5, "st")})
    remeasures: ClassVar[bool] = True

    start: Duration = Duration(75, "%")  # when the first weights enter the average
    every: Duration = Duration(1)  # how often weights enter the average

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.every.value <= 0:
            raise ValueError(f"every must be greater than zero, got {self.every}")

    def share(self, step: int, count: int, total_steps: int, steps_per_epoch: int) -> float:
        """1 / (count + 1) at its moments, 0 between them."""
        begun = step - self.start.steps(steps_per_epoch, total_steps)
        every = max(self.every.steps(steps_per_epoch, total_steps), 1)
        return 1 / (count + 1) if begun >= 0 and begun % every == 0 else 0.0
