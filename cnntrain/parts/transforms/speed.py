"""Speed plays a sound faster or slower, which changes its pitch too."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, ClassVar

import numpy as np

from cnntrain.config.fields import Range
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.parts.transforms.base import Transform, check_sound
from cnntrain.reading.resampling import Resampling, resampled

_FINEST = 100  # a factor is the nearest fraction of at most this denominator


@register("speed")
@dataclass(frozen=True)
class Speed(Transform):
    """Play each sound at one of `factors` of its speed, each as likely as the other (Ko et al. 2015).

    Resampled without aliases (see reading/resampling.py) about its middle; its length stays, what is missing at the
    ends is silence, what is too much is cut off.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"factors": (0.8, 1.25)})
    of_sounds: ClassVar[bool] = True
    random: ClassVar[bool] = True
    gives_pixels: ClassVar[bool] = False

    # how many times faster, to two digits; each is as likely as the others
    factors: tuple[Annotated[float, Range(0.25, 4)], ...] = (0.9, 1.0, 1.1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.factors:
            raise ValueError("factors must have an entry")

    def output_shape(self, shape: Shape) -> Shape:
        """The same. Raises ValueError for what is not a sound."""
        check_sound(shape)
        return shape

    def apply(self, images: Array, draws: Draws) -> Array:
        """The sounds, a new array."""
        played = np.empty_like(images)
        for new, old, choice in zip(played, images, draws.integers(len(self.factors)).tolist(), strict=True):
            factor = Fraction(self.factors[choice]).limit_denominator(_FINEST)
            resampling = Resampling(factor.denominator, factor.numerator)
            length, samples = resampling.length(old.shape[1]), old.shape[1]
            for channel in range(old.shape[2]):
                sound = old[0, :, channel]

                def stretch(first: int, count: int, sound: Array = sound) -> Array:
                    return sound[first : first + count]

                new[0, :, channel] = resampled(stretch, samples, resampling, (length - samples) // 2, samples)
        return played
