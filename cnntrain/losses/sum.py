"""A sum of losses: several aims at once, each with its weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, cast

from cnntrain.arrays import Array, Shape
from cnntrain.config.fields import Kind
from cnntrain.losses.base import Loss
from cnntrain.registry import Part, make, register

# isort: split
import numpy as np


@register("sum")
@dataclass(frozen=True, kw_only=True)
class Sum(Loss):
    """The sum of its terms, each times its own `weight` (scalarization: Zadeh 1963).

    L = sum_i weight_i L_i, and so is its gradient. Class weights belong to the sum, not to a term, because all terms
    share one mean: they multiply a sample's whole loss.
    """

    # Parts of its own kind, by name: discovery has imported them, or does now.
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"terms": (make("losses", "cross_entropy"), make("losses", "mse", weight=0.5)), "weight": 2.0},
        {"terms": (make("losses", "mae"),), "class_weight": (1.0, 2.0, 3.0, 4.0)},
    )

    terms: tuple[Annotated[Part, Kind("losses")], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.terms:
            raise ValueError("terms of sum are none: name at least one loss")
        if any(hasattr(term, "teacher") for term in self.terms):
            raise ValueError("terms of sum cannot hold a teacher: distillation has its own cross-entropy")
        if any(term.class_weight is not None for term in self._losses()):
            raise ValueError("terms of sum share one mean: give class_weight to the sum, not to a term")

    def _losses(self) -> tuple[Loss, ...]:
        return cast(tuple[Loss, ...], self.terms)

    @property
    def yes_or_no(self) -> bool:  # type: ignore[override]
        """Whether that is what any of its terms takes outputs for."""
        return any(term.yes_or_no for term in self._losses())

    def check(self, outputs: Shape, targets: int, labels: bool) -> None:
        """Raise ValueError where any of the terms, or the class weights, do not fit."""
        super().check(outputs, targets, labels)
        for term in self._losses():
            term.check(outputs, targets, labels)

    def score(self, outputs: Array, targets: Array, weights: Array, losses: Array, d_outputs: Array | None) -> None:
        """Add up losses and gradients of the terms, in their order."""
        parts = np.empty_like(losses)
        slopes = None if d_outputs is None else np.empty_like(d_outputs)
        losses[...] = 0
        if d_outputs is not None:
            d_outputs[...] = 0
        for term in self._losses():
            term(outputs, targets, weights, parts, slopes)
            losses += parts
            if d_outputs is not None and slopes is not None:
                d_outputs += slopes
