"""Sequential puts a list of layers where one is expected, under a name of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.config.fields import Layers
from cnntrain.core.arrays import Shape
from cnntrain.core.registry import register
from cnntrain.parts.structures.base import Structure, Weave


@register("sequential")
@dataclass(frozen=True)
class Sequential(Structure):
    """The layers of the body in order; a `name` given to it stands before theirs, and `from` can read it.

    Every use of a named block of the config (`model.blocks`) becomes one.
    """

    examples: ClassVar[tuple[tuple[Shape, dict[str, Any]], ...]] = (
        ((6,), {"body": [{"type": "dense", "units": 4}, "relu"]}),
    )

    body: Layers  # the layers, in order

    def expand(self, weave: Weave, x: int) -> int:
        """Add the body."""
        return weave.body(self.body, x)
