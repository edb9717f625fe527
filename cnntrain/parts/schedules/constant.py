"""A constant schedule: the learning rate stays what the optimizer says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.config.fields import Duration
from cnntrain.core.registry import register
from cnntrain.parts.schedules.base import Horizon, Schedule, Warmup


@register("constant")
@dataclass(frozen=True)
class Constant(Schedule):
    """The optimizer's learning rate throughout: lr at step 0 and at the last step."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"warmup": Duration(20, "st")},
        {"warmup": Warmup(Duration(10, "%"), start=0.25)},
    )

    def rate(self, step: int, horizon: Horizon, lr: float) -> float:  # noqa: ARG002  (a constant looks at neither)
        """The learning rate itself."""
        return lr
