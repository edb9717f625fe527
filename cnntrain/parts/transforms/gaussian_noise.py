"""Gaussian noise: every pixel off by a little of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Finite, Positive
from cnntrain.core.arrays import Array
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.parts.transforms.base import Transform


@register("gaussian_noise")
@dataclass(frozen=True)
class GaussianNoise(Transform):
    """Add normal noise of this mean and standard deviation (torchvision's GaussianNoise); `clip` keeps to [0, 1]."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"sigma": 0.5, "mean": 0.1, "clip": False})
    random: ClassVar[bool] = True

    mean: Finite = 0.0  # mean of the noise
    sigma: Positive = 0.1  # standard deviation of the noise, where black is 0 and white 1
    clip: bool = True  # keep the result in [0, 1]

    @property
    def takes_pixels(self) -> bool:  # type: ignore[override]
        """Where it clips."""
        return self.clip

    def apply(self, images: Array, draws: Draws) -> Array:
        """Add the noise in place; each image's generator is seeded by its own draw."""
        for image, seed in zip(images, draws.bits().tolist(), strict=True):
            noise = np.random.Generator(np.random.SFC64(seed)).standard_normal(image.shape)
            image += (self.mean + self.sigma * noise).astype(images.dtype)
        return np.clip(images, 0, 1, out=images) if self.clip else images
