"""Gaussian blur: every image out of focus by an amount of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Positive, PositiveInt
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops.sampling import blur
from cnntrain.parts.transforms.base import Transform


@register("gaussian_blur")
@dataclass(frozen=True)
class GaussianBlur(Transform):
    """Average over a window, weighted by exp(-d^2 / (2 sigma^2)) (torchvision's GaussianBlur).

    Sigma is uniform in `sigma`, drawn for each image. The window is `kernel_size` pixels wide and high, an odd number;
    beyond the border the image is mirrored without its outermost pixels.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"kernel_size": 3, "sigma": (1.0, 1.5)})
    random: ClassVar[bool] = True

    kernel_size: PositiveInt = 5  # width and height of the window, an odd number of pixels
    sigma: tuple[Positive, Positive] = (0.1, 2.0)  # range of the standard deviation in pixels, drawn for each image

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {self.kernel_size}")
        if self.sigma[0] > self.sigma[1]:
            raise ValueError(f"sigma must not fall, got {list(self.sigma)}")

    def output_shape(self, shape: Shape) -> Shape:
        """The same. Raises ValueError where the image is too small to be mirrored."""
        if self.kernel_size // 2 >= min(shape[:2]):
            raise ValueError(f"a {shape[0]}x{shape[1]} image is too small for kernel_size {self.kernel_size}")
        return shape

    def apply(self, images: Array, draws: Draws) -> Array:
        """The blurred images, a new array."""
        half = self.kernel_size // 2
        distance = np.arange(-half, half + 1) / draws.uniform(*self.sigma)[:, None]
        weights = np.exp(-(distance**2) / 2)  # (n, kernel_size)
        weights = (weights / weights.sum(axis=1, keepdims=True)).astype(images.dtype)
        return blur(images, weights)
