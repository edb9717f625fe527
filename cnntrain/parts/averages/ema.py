"""An exponential moving average: recent weights count most, old ones ever less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from cnntrain.config.fields import Duration, Range
from cnntrain.core.registry import register
from cnntrain.parts.averages.base import Average


@register("ema")
@dataclass(frozen=True)
class EMA(Average):
    """average = decay * average + (1 - decay) * weights after every step (Polyak and Juditsky 1992; Tarvainen 2017).

    It begins as the weights after the first step (PyTorch's AveragedModel). In place of `decay` a `half_life` says
    after how long a weight counts half: decay = 2^(-1 / steps), whatever the batch size. Running statistics are
    averaged with the weights.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"half_life": Duration(2)})

    # share of the average that is kept at each step; by default 0.999
    decay: Annotated[float, Range(0, 1, open_high=True)] | None = None
    half_life: Duration | None = None  # how long until a weight counts half, in place of `decay`

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.decay is not None and self.half_life is not None:
            raise ValueError("decay and half_life say the same: give one of them")
        if self.half_life is not None and self.half_life.value <= 0:
            raise ValueError(f"half_life must be greater than zero, got {self.half_life}")

    def share(self, step: int, count: int, total_steps: int, steps_per_epoch: int) -> float:  # noqa: ARG002
        """1 - decay, and 1 the first time."""
        if count == 0:
            return 1.0
        if self.half_life is None:
            return 1 - (0.999 if self.decay is None else self.decay)
        return float(1 - 0.5 ** (1 / max(self.half_life.steps(steps_per_epoch, total_steps), 1)))
