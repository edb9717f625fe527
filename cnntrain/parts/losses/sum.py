"""A sum of losses: several aims at once, each with its weight."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, cast

import numpy as np

from cnntrain.config.fields import Kind
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.description import Description
from cnntrain.core.registry import Part, make, register
from cnntrain.parts.losses.base import Loss, teacher_of


@register("sum")
@dataclass(frozen=True, kw_only=True)
class Sum(Loss):
    """The sum of its terms, each times its own `weight` (scalarization: Zadeh 1963).

    L = sum_i weight_i L_i, and so is its gradient. Class weights belong to the sum, not to a term, because all terms
    share one mean: they multiply a sample's whole loss; of masks, each term applies them as if they were its own. One
    term may be distillation, whose `alpha: 1` leaves its own cross-entropy out; the others then see the labels alone.
    """

    # Parts of its own kind, by name: discovery has imported them, or does now.
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"terms": (make("losses", "cross_entropy"), make("losses", "mse", weight=0.5)), "weight": 2.0},
        {"terms": (make("losses", "distillation", teacher="teacher.npz", alpha=1.0), make("losses", "hinge"))},
        {"terms": (make("losses", "mae"),), "class_weight": (1.0, 2.0, 3.0, 4.0)},
    )

    terms: tuple[Annotated[Part, Kind("losses")], ...]  # the losses to add, each with a `weight` of its own

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.terms:
            raise ValueError("terms of sum is empty: name at least one loss")
        if sum(teacher_of(term) is not None for term in self.terms) > 1:
            raise ValueError("terms of sum can learn from one teacher, not from several: keep one distillation")
        if any(term.class_weight is not None for term in self.summands()):
            raise ValueError("terms of sum share one mean: give class_weight to the sum, not to a term")

    def summands(self) -> tuple[Loss, ...]:
        """The terms."""
        return cast(tuple[Loss, ...], self.terms)

    @property
    def yes_or_no(self) -> bool:  # type: ignore[override]
        """Whether any of its terms takes outputs for answers to yes-or-no questions."""
        return any(term.yes_or_no for term in self.summands())

    @property
    def target_range(self) -> tuple[float, float]:  # type: ignore[override]
        """What all of its terms take."""
        lows, highs = zip(*(term.target_range for term in self.summands()), strict=True)
        return max(lows), min(highs)

    @property
    def teacher(self) -> str | None:
        """The teacher of the term that has one."""
        return next((teacher_of(term) for term in self.terms if teacher_of(term) is not None), None)

    def check(self, outputs: Shape, units: int, data: Description) -> None:
        """Raise ValueError where any of the terms, or the class weights, do not fit."""
        for term in self.summands():
            if type(term).divisor is not Loss.divisor:
                raise ValueError(
                    f"{term.name_in_config} is a mean over places that it finds itself, which no other term shares: "
                    "use it alone"
                )
        super().check(outputs, units, data)
        for term in self.summands():
            term.check(outputs, units, data)

    def score_map(self, outputs: Array, masks: Array, weights: Array, losses: Array, d_outputs: Array | None) -> None:
        """As `score`, of masks: a term may look at a picture as a whole, and is given the class weights of the sum."""
        terms = [dataclasses.replace(term, class_weight=self.class_weight) for term in self.summands()]
        self._add_up(terms, [masks] * len(terms), outputs, weights * self.weight, losses, d_outputs)
        losses *= self.weight

    def score(self, outputs: Array, targets: Array, weights: Array, losses: Array, d_outputs: Array | None) -> None:
        """Add up losses and gradients of the terms, in their order; only one with a teacher sees its logits."""
        own = self.own_targets(targets)
        seen = [own if teacher_of(term) is None else targets for term in self.terms]
        self._add_up(self.summands(), seen, outputs, weights, losses, d_outputs)

    @staticmethod
    def _add_up(
        terms: Sequence[Loss],
        targets: Sequence[Array],
        outputs: Array,
        weights: Array,
        losses: Array,
        d_outputs: Array | None,
    ) -> None:
        parts = np.empty_like(losses)
        slopes = None if d_outputs is None else np.empty_like(d_outputs)
        losses[...] = 0
        if d_outputs is not None:
            d_outputs[...] = 0
        for term, seen in zip(terms, targets, strict=True):
            term(outputs, seen, weights, parts, slopes)
            losses += parts
            if d_outputs is not None and slopes is not None:
                d_outputs += slopes
