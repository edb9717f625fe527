"""Repeat puts a list of layers several times in a row, each time with parameters of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.config.fields import Layers, PositiveInt
from cnntrain.core.arrays import Shape
from cnntrain.core.registry import register
from cnntrain.parts.structures.base import Structure, Weave


@register("repeat")
@dataclass(frozen=True)
class Repeat(Structure):
    """The body n times in a row. Names in the first begin with "1.", and so on."""

    examples: ClassVar[tuple[tuple[Shape, dict[str, Any]], ...]] = (
        ((5, 4, 3), {"n": 3, "body": [{"type": "conv2d", "filters": 2, "kernel_size": 3, "padding": "same"}, "relu"]}),
    )

    n: PositiveInt  # how many times
    body: Layers  # the layers to repeat

    def expand(self, weave: Weave, x: int) -> int:
        """Add the body n times."""
        for number in range(1, self.n + 1):
            x = weave.body(self.body, x, scope=str(number))
        return x
