"""Composed schedules: any points, or one schedule after another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, cast

from cnntrain.config.fields import Duration, Kind, NonNegative, check_fields
from cnntrain.core.registry import Part, make, register
from cnntrain.parts.schedules.base import Horizon, Schedule


@dataclass(frozen=True)
class Point:
    """A place of a piecewise schedule: how long after the start, and which multiple of the learning rate."""

    at: Duration  # when the factor holds
    factor: NonNegative  # the learning rate, as a multiple of the optimizer's

    def __post_init__(self) -> None:
        check_fields(self)


@register("piecewise")
@dataclass(frozen=True, kw_only=True)
class Piecewise(Schedule):
    """The learning rate times a factor that runs through any points, in straight lines or in steps.

    The first point's factor holds before it, from step 0, and the last one's after it, to the last step. With `between:
    steps` a factor holds until the next point. Of points at the same step the later one counts from there.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"points": (Point(Duration(0), 0.1), Point(Duration(2), 1.0), Point(Duration(100, "%"), 0.0))},
        {"points": (Point(Duration(1), 1.0), Point(Duration(50, "%"), 0.3)), "between": "steps"},
    )

    points: tuple[Point, ...]  # the points, in any order
    between: Literal["lines", "steps"] = "lines"  # straight lines between points, or the factor of the point before

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.points:
            raise ValueError("points is empty: give at least one, such as {at: 0ep, factor: 1}")

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:
        """The learning rate of the step."""
        points = sorted(((horizon.steps(point.at), point.factor) for point in self.points), key=lambda point: point[0])
        if step < points[0][0]:
            return lr * points[0][1]
        for (start, first), (stop, last) in pairwise(points):
            if start <= step < stop:
                return lr * (
                    first if self.between == "steps" else first + (last - first) * (step - start) / (stop - start)
                )
        return lr * points[-1][1]


@dataclass(frozen=True)
class Stage:
    """One schedule of a sequence, and for how long; the last one may leave that out."""

    schedule: Annotated[Part, Kind("schedules")]  # the schedule of the stage
    duration: Duration | None = None  # how long it lasts; the last stage takes what is left


@register("sequence")
@dataclass(frozen=True, kw_only=True)
class Sequence(Schedule):
    """One schedule after another, each with its own step 0 and its own length (PyTorch's SequentialLR).

    A stage's horizon is its duration, the last one's what is left; so percentages in it are of the stage. The first
    stage decides step 0, the last one the last step. A schedule that watches a metric cannot be a stage.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"stages": (Stage(make("schedules", "linear", start=0.1, end=1.0), Duration(2)),
                    Stage(make("schedules", "cosine")))},
        {"stages": (Stage(make("schedules", "constant"), Duration(50, "%")),
                    Stage(make("schedules", "exponential", gamma=0.5), Duration(2)),
                    Stage(make("schedules", "constant")))},
    )  # fmt: skip

    stages: tuple[Stage, ...]  # the schedules, one after the other

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.stages or any(stage.duration is None for stage in self.stages[:-1]):
            raise ValueError("stages need a duration each; only the last may do without")
        if any(cast(Schedule, stage.schedule).watched() is not None for stage in self.stages):
            raise ValueError("stages cannot watch a metric: use plateau alone")

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:
        """The learning rate that the step's stage gives."""
        left = horizon.total_steps
        for index, stage in enumerate(self.stages):
            length = left if stage.duration is None else horizon.steps(stage.duration)
            if step < length or index == len(self.stages) - 1:
                break
            step, left = step - length, left - length
        within = Horizon(max(length, 1), horizon.steps_per_epoch)
        return cast(Schedule, stage.schedule)(step, within, lr)
