"""Gain makes a sound louder or softer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.config.fields import Finite
from cnntrain.core.arrays import Array
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops.tones import each
from cnntrain.parts.transforms.base import Transform


@register("gain")
@dataclass(frozen=True)
class Gain(Transform):
    """Multiply each sound by 10^(g / 20), g uniform in `decibels`. Nothing is clipped: put it before a spectrogram."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"decibels": (-20.0, 0.0)})
    random: ClassVar[bool] = True
    gives_pixels: ClassVar[bool] = False

    decibels: tuple[Finite, Finite] = (-6.0, 6.0)  # the range that the change of loudness is drawn from

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.decibels
        if not -200 <= low <= high <= 200:
            raise ValueError(f"decibels must rise from -200 or more to 200 or less, got [{low:g}, {high:g}]")

    def apply(self, images: Array, draws: Draws) -> Array:
        """Multiply in place."""
        images *= each(10 ** (draws.uniform(*self.decibels) / 20), images)
        return images
