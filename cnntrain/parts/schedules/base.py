"""A schedule maps the step to a learning rate. It is a pure function of the step and its state.

Only a schedule that watches a metric has a state: a few numbers, which are in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from cnntrain.config.fields import Duration, Range, check_fields
from cnntrain.core.registry import Part


@dataclass(frozen=True)
class Horizon:
    """How long training is: what durations such as 10% and 5ep are measured against."""

    total_steps: int
    steps_per_epoch: int

    def steps(self, duration: Duration) -> int:
        """A duration in steps."""
        return duration.steps(self.steps_per_epoch, self.total_steps)


@dataclass(frozen=True)
class Warmup:
    """A rise at the beginning: linear from `start` times the learning rate at step 0 to all of it after `duration`."""

    duration: Duration  # how long the rate rises
    start: Annotated[float, Range(0, 1)] = 0.0  # where it starts, as a share of the learning rate

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Schedule(Part):
    """Base of every schedule; `warmup` is a duration, or a mapping of `duration` and `start`.

    With a warm-up of w steps, step s < w has start + (1 - start) * s / w of the learning rate, and the schedule
    itself runs over the steps that remain, its own step 0 being step w (PyTorch: SequentialLR of LinearLR and it).
    """

    kind: ClassVar[str] = "schedules"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({},)

    # how long the rate rises linearly at the start: a duration, or a mapping of `duration` and `start`
    warmup: Duration | Warmup | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    def begin(self) -> dict[str, Any]:
        """The state before the first epoch: what JSON can hold."""
        return {}

    def judge(self, state: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """The state after an epoch with these values ("val/loss" -> number)."""
        return dict(state)

    def directed(self, larger_is_better: bool) -> Self:
        """This schedule, knowing which way its metric improves, if it was left to find out."""
        return self

    def watched(self) -> str | None:
        """The metric it judges by, if any."""
        return None

    def __call__(self, step: int, horizon: Horizon, lr: float, state: Mapping[str, Any] | None = None) -> float:
        """The learning rate of `step` (from 0), where the optimizer's own is `lr`."""
        rise, rest = self.after_warmup(horizon)
        if step < rise:
            start = self.warmup.start if isinstance(self.warmup, Warmup) else 0.0
            return lr * (start + (1 - start) * step / rise)
        return self.rate(step - rise, rest, lr)

    def after_warmup(self, horizon: Horizon) -> tuple[int, Horizon]:
        """The steps of the warm-up, and what is left after them, from where all other times of the schedule count."""
        duration = self.warmup.duration if isinstance(self.warmup, Warmup) else self.warmup
        rise = horizon.steps(duration) if duration else 0
        return rise, Horizon(max(horizon.total_steps - rise, 1), horizon.steps_per_epoch)

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:
        """The learning rate without warm-up."""
        raise NotImplementedError


def longer_than_nothing(name: str, duration: Duration) -> None:
    """Raise ValueError for a duration of nothing."""
    if duration.value <= 0:
        raise ValueError(f"{name} must be greater than zero, got {duration}")
