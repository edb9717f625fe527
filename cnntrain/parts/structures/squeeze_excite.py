"""Squeeze-and-excitation lets an image or a clip weigh its own channels by what all its pixels say together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.config.fields import PositiveInt
from cnntrain.core.arrays import Shape
from cnntrain.core.registry import register
from cnntrain.parts.structures.base import Structure, Weave


@register("squeeze_excite")
@dataclass(frozen=True)
class SqueezeExcite(Structure):
    """x * sigmoid(dense(relu(dense(mean over pixels)))), a factor for each channel (Hu et al. 2018).

    The inner dense layer has channels / reduction units, rounded down, at least 1; both have a bias.
    """

    examples: ClassVar[tuple[tuple[Shape, dict[str, Any]], ...]] = (
        ((5, 4, 6), {"reduction": 2}),
        ((3, 4, 2, 5), {}),
    )

    reduction: PositiveInt = 16  # channels per unit of the inner dense layer

    def expand(self, weave: Weave, x: int) -> int:
        """Add the pooling, the two dense layers, and the product. Raises ValueError where x is not an image."""
        shape = weave.shape(x)
        if len(shape) not in (3, 4):
            raise ValueError(f"squeeze_excite needs an image (height, width, channels) or a clip, got {shape}")
        inner = weave.add("global_avg_pool", x, name="squeeze")
        inner = weave.add("dense", inner, name="reduce", units=max(1, shape[-1] // self.reduction))
        inner = weave.add("relu", inner, name="relu")
        inner = weave.add("dense", inner, name="expand", units=shape[-1])
        inner = weave.add("sigmoid", inner, name="gate")
        return weave.add("multiply", x, inner)
