"""A loss scores outputs against targets, sample by sample, and gives the derivative in the outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from cnntrain.arrays import Array, Shape
from cnntrain.config.fields import check_fields
from cnntrain.registry import Part

# isort: split
import numpy as np


@dataclass(frozen=True)
class Loss(Part):
    """Base of every loss.

    Labels are integers (n,), targets are floats of the outputs' shape (n, units); a loss takes either, labels being
    the same as their one-hot rows. The value of a step is sum(weights * losses) / normalizer over the whole step.
    """

    kind: ClassVar[str] = "losses"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    task: ClassVar[Literal["classification", "regression", "any"]] = "any"

    def __post_init__(self) -> None:
        check_fields(self)

    def check(self, outputs: Shape, targets: int, labels: bool) -> None:
        """Raise ValueError where outputs of this shape cannot be scored against that many classes or target values."""
        if self.task == "classification" and not labels:
            raise ValueError(f"{self.name_in_config} needs classes, the data has target values: use mse")
        if len(outputs) != 1:
            raise ValueError(
                f"{self.name_in_config} needs features, got {outputs}: put flatten or global_avg_pool before"
            )
        if outputs[0] != targets:
            raise ValueError(
                f"the network ends with {outputs[0]} outputs, the data has {targets} "
                f"{'classes' if labels else 'target values'}: give the last dense layer 'units: auto'"
            )

    def normalizer(self, targets: Array, weights: Array) -> float:
        """What the step's summed loss and gradient are divided by; adds up over shards. Mean by weight, as PyTorch."""
        return float(np.sum(weights, dtype=np.float64))

    def __call__(self, outputs: Array, targets: Array, weights: Array, losses: Array, d_outputs: Array | None) -> None:
        """Write the samples' losses (n,), unweighted, and unless it is None the gradient of sum(weights * losses).

        outputs (n, units) in the engine's dtype, never written; targets (n,) integers or (n, units) floats;
        weights (n,). Neither is divided by the normalizer.
        """
        raise NotImplementedError


def one_hot(targets: Array, like: Array) -> Array:
    """Targets as rows of the outputs' shape and dtype; integer labels become one-hot rows."""
    if targets.ndim == like.ndim:
        return targets.astype(like.dtype, copy=False)
    rows = np.zeros_like(like)
    rows[np.arange(len(targets)), targets] = 1
    return rows
