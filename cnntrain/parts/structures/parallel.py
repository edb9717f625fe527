"""Parallel branches read the same input, and their outputs are joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from cnntrain.config.fields import Layers
from cnntrain.core.arrays import Shape
from cnntrain.core.registry import register
from cnntrain.parts.structures.base import Structure, Weave


@register("parallel")
@dataclass(frozen=True)
class Parallel(Structure):
    """The branches' outputs side by side along the channels (Szegedy et al. 2015), or their sum.

    An empty branch passes its input on. Names in branch 1 begin with "1.", and so on.
    """

    examples: ClassVar[tuple[tuple[Shape, dict[str, Any]], ...]] = (
        ((5, 4, 3), {"branches": [[{"type": "conv2d", "filters": 2, "kernel_size": 1}, "relu"], []]}),
        ((6,), {"branches": [["tanh"], ["sigmoid"], []], "join": "add"}),
    )

    branches: tuple[Layers, ...]  # the branches, each a list of layers; an empty one passes its input on
    join: Literal["concat", "add"] = "concat"  # put the outputs side by side along the channels, or add them

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.branches) < 2:
            raise ValueError(f"branches must be at least two lists of layers, got {len(self.branches)}")

    def expand(self, weave: Weave, x: int) -> int:
        """Add each branch, then what joins them."""
        ends = [weave.body(branch, x, scope=str(number)) for number, branch in enumerate(self.branches, 1)]
        return weave.add(self.join, *ends)
