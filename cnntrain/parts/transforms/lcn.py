"""Local contrast normalization: every pixel as how far it stands out from its surroundings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import PositiveInt
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops.sampling import blur
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.transforms.base import Transform


@register("lcn")
@dataclass(frozen=True)
class LCN(Transform):
    """Subtract the local mean, then divide by the local standard deviation (Pinto et al. 2008; Jarrett et al. 2009).

    Local is a window `size` pixels wide and high, an odd number, with Gaussian weights w of standard deviation
    size / 4 that sum to 1 over it and over all channels. v = x - sum w x, s = sqrt(sum w v^2), and the result is
    v / max(s, mean of s over the image). Beyond the border the image is mirrored; a flat image becomes zero.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"size": 3})
    gives_pixels: ClassVar[bool] = False

    size: PositiveInt = 9  # width and height of the window, an odd number of pixels

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size % 2 == 0:
            raise ValueError(f"size must be odd, got {self.size}")

    def output_shape(self, shape: Shape) -> Shape:
        """The same. Raises ValueError where the image is too small to be mirrored."""
        if self.size // 2 >= min(shape[:2]):
            raise ValueError(f"a {shape[0]}x{shape[1]} image is too small for size {self.size}")
        return shape

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """The normalized images, a new array."""
        weights = self._weights().astype(images.dtype)[None]
        apart = images - blur(_over_channels(images), weights)
        deviation = np.sqrt(blur(_over_channels(apart * apart), weights))
        usual = np.array([image.mean() for image in deviation], images.dtype)[:, None, None, None]
        below = np.maximum(deviation, usual)
        apart /= np.where(below > FLAT, below, np.inf)
        return apart

    def trace(self, t: Trace, x: Value) -> Value:
        """The same, with 1 for what stands out and 0 for what does not in place of a division by infinity."""
        smooth = [t.constant(name, self._smoothing(x.shape[axis])) for axis, name in enumerate(("down", "across"))]

        def local(values: Value) -> Value:
            mean = t.reduce("mean", values, (2,))
            return t.along(t.along(mean, smooth[0], 0), smooth[1], 1)

        apart = t.op("sub", x, local(x))
        deviation = t.op("sqrt", local(t.op("mul", apart, apart)))
        below = t.op("max", deviation, t.reduce("mean", deviation, (0, 1)))
        stands_out = t.op("max", t.op("sign", t.op("sub", below, FLAT)), 0.0)
        return t.op("mul", t.op("div", apart, t.op("max", below, FLAT)), stands_out)

    def _weights(self) -> Array:
        half = self.size // 2
        bell = np.exp(-((np.arange(-half, half + 1) / (self.size / 4)) ** 2) / 2)
        weights: Array = bell / bell.sum()
        return weights

    def _smoothing(self, size: int) -> Array:
        """The matrix (size, size) of local means along an axis, the border mirrored."""
        half = self.size // 2
        mirrored = np.pad(np.eye(size), ((half, half), (0, 0)), "reflect")
        found: Array = sum(weight * mirrored[k : k + size] for k, weight in enumerate(self._weights()))
        return found


FLAT = 1e-5  # a smaller deviation is only float32's rounding of pixels in [0, 1]


def _over_channels(images: Array) -> Array:
    """The mean of the channels, (n, h, w, 1), added one after the other."""
    total = images[..., :1].copy()
    for channel in range(1, images.shape[-1]):
        total += images[..., channel : channel + 1]
    total /= images.shape[-1]
    return total
