"""Scaling: the range of the training images, stretched to a range the network likes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.config.fields import Finite
from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.transforms.base import Transform


@register("scale")
@dataclass(frozen=True)
class Scale(Transform):
    """Map the range of the training images linearly onto [low, high]; other images by the same line, unclipped.

    The range is measured over all pixels and channels of the training split, or given: `data_range: [0, 1]`.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"low": -1.0, "high": 1.0},
        {"data_range": (0.0, 0.5), "high": 2.0},
    )
    gives_pixels: ClassVar[bool] = False

    low: Finite = 0.0  # what the lowest value becomes
    high: Finite = 1.0  # what the highest value becomes
    # what becomes `low` and `high`; by default the range of the training images
    data_range: tuple[Finite, Finite] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low >= self.high:
            raise ValueError(f"low must be below high, got {self.low:g} and {self.high:g}")
        if self.data_range and self.data_range[0] >= self.data_range[1]:
            raise ValueError(f"data_range must rise, got {list(self.data_range)}")

    @property
    def brings_pixels(self) -> bool:  # type: ignore[override]
        """Where the range is that of pixels, or within it."""
        return self.low >= 0 and self.high <= 1

    def needs_fit(self) -> bool:
        """Unless the range was given."""
        return self.data_range is None

    def fit(self, chunks: Iterable[Array]) -> Scale:
        """Measure the range. Raises DataError where all pixels are equal."""
        if self.data_range:
            return self
        low, high = math.inf, -math.inf
        for images in chunks:
            low, high = min(low, float(images.min())), max(high, float(images.max()))
        if low >= high:
            raise DataError(
                f"scale cannot stretch the training images: every pixel is {low:g}. Check the data, or remove scale"
            )
        return dataclasses.replace(self, data_range=(low, high))

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """Stretch in place. Raises RuntimeError before `fit`."""
        if self.data_range is None:
            raise RuntimeError("scale was not fitted")
        first, last = self.data_range
        factor = (self.high - self.low) / (last - first)
        images *= factor
        images += self.low - first * factor
        return images

    def trace(self, t: Trace, x: Value) -> Value:
        """The line. Raises RuntimeError before `fit`."""
        if self.data_range is None:
            raise RuntimeError("scale was not fitted")
        first, last = self.data_range
        factor = (self.high - self.low) / (last - first)
        return t.op("add", t.op("mul", x, factor), self.low - first * factor)
