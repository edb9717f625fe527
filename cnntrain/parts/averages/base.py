"""An average of the weights follows them through training, and often predicts better than the last weights do.

It is one more flat vector: after a step, average += share * (weights - average), statistics included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.config.fields import check_fields
from cnntrain.core.registry import Part


@dataclass(frozen=True)
class Average(Part):
    """Base of every average.

    It is measured beside the weights themselves (`val_average/loss` and so on), is in the checkpoint under `average/`,
    and `eval` and `predict` use it wherever a checkpoint has one.
    """

    kind: ClassVar[str] = "averages"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    remeasures: ClassVar[bool] = False  # whether running statistics are measured anew, on training batches

    def __post_init__(self) -> None:
        check_fields(self)

    def share(self, step: int, count: int, total_steps: int, steps_per_epoch: int) -> float:
        """How far the average moves towards the weights after this many steps; 0 leaves it alone.

        `count` is how often it has moved before; the first move goes all the way.
        """
        raise NotImplementedError
