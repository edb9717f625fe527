"""A time shift lets a sound begin a little earlier or later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Probability
from cnntrain.core.arrays import Array
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.parts.transforms.base import Transform


@register("time_shift")
@dataclass(frozen=True)
class TimeShift(Transform):
    """Move the columns, which are moments, by a number uniform in -share to share of their width; zeros follow.

    For sounds (1, t, c) and for spectrograms alike; `wrap` brings back on the other side what leaves on one.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"share": 0.2}, {"share": 0.5, "wrap": True})
    moves_pixels_only: ClassVar[bool] = True
    random: ClassVar[bool] = True
    displaces: ClassVar[bool] = True

    share: Probability = 0.1  # the farthest it is moved, as a share of the whole length
    wrap: bool = False  # bring back at the other end what leaves at one

    def apply(self, images: Array, draws: Draws) -> Array:
        """The moved images, a new array."""
        width = images.shape[2]
        most = int(self.share * width)
        moved = np.zeros_like(images)
        for new, old, step in zip(moved, images, (draws.integers(2 * most + 1) - most).tolist(), strict=True):
            if self.wrap:
                new[...] = np.roll(old, step, axis=1)
            elif step >= 0:
                new[:, step:] = old[:, : width - step]
            else:
                new[:, :step] = old[:, -step:]
        return moved
