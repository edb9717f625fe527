"""The Haar wavelet: an image as its coarse half and the detail that halving lost, all as channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from cnntrain.config.fields import Range
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.counts import counted
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.transforms.base import Transform


@register("haar")
@dataclass(frozen=True)
class Haar(Transform):
    """2-D Haar wavelet packets (Haar 1910; packets: Coifman and Wickerhauser 1992), orthonormal.

    Every 2 x 2 square [[a, b], [c, d]] of a channel becomes four channels of half the size,

        LL = (a + b + c + d) / 2    LH = (a + b - c - d) / 2    HL = (a - b + c - d) / 2    HH = (a - b - c + d) / 2,

    the first letter being the filter along the width and the second that along the height: PyWavelets' cA, cH, cV
    and cD. The next level does the same to all four, not to LL alone, which keeps one resolution in one array. An
    (h, w, c) image becomes (h / 2^levels, w / 2^levels, c 4^levels). The bands of a channel stand together: two
    levels of two channels give channel 0's LL.LL, LL.LH, LL.HL, LL.HH, LH.LL, ..., HH.HH, then channel 1's. On a
    square the map is its own transpose and its own inverse, so the sum of squares is that of the image.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"levels": 2})
    gives_pixels: ClassVar[bool] = False

    levels: Annotated[int, Range(1, 8)] = 1  # how many times every band is split into four

    def output_shape(self, shape: Shape) -> Shape:
        """Raises ValueError where height or width is not divisible by 2^levels."""
        height, width, channels = shape
        unit = 2**self.levels
        if height % unit or width % unit:
            raise ValueError(
                f"{counted(self.levels, 'level')} need height and width divisible by {unit}, got {height}x{width}"
            )
        return (height // unit, width // unit, channels * unit**2)

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """The coefficients, a new array."""
        for _ in range(self.levels):
            images = _analyze(images)
        return images

    def trace(self, t: Trace, x: Value) -> Value:
        """Each level is a convolution of every channel by itself, with a step of two."""
        square = [[[1, 1, 1, 1], [1, 1, -1, -1]], [[1, -1, 1, -1], [1, -1, -1, 1]]]  # rows, columns, bands
        for level in range(self.levels):
            height, width, channels = x.shape
            weight = t.constant(f"bands{level}", np.tile(np.array(square) / 2, channels)[:, :, None])
            none = ((0, 0), (0, 0))
            shape = (height // 2, width // 2, 4 * channels)
            x = t.op(
                "conv", x, weight, None, shape=shape, stride=(2, 2), padding=none, dilation=(1, 1), groups=channels
            )
        return x


def _analyze(images: Array) -> Array:
    """One level: (n, h, w, c) to (n, h/2, w/2, 4c).

    First along the height, where whole rows are added; then along the width a channel at a time, whose left pixels
    (and right ones) lie at one stride through the whole array, so that every operation is a single long loop.
    """
    n, height, width, channels = images.shape
    rows = images.reshape(n * height // 2, 2, width * channels)
    low, high = rows[:, 0] + rows[:, 1], rows[:, 0] - rows[:, 1]
    bands = np.empty((n * height * width // 4, channels, 4), images.dtype)
    for band, half in enumerate((low, high)):
        half *= 0.5
        pixels = half.reshape(-1)
        for channel in range(channels):
            left, right = pixels[channel :: 2 * channels], pixels[channel + channels :: 2 * channels]
            np.add(left, right, out=bands[:, channel, band])
            np.subtract(left, right, out=bands[:, channel, band + 2])
    return bands.reshape(n, height // 2, width // 2, 4 * channels)
