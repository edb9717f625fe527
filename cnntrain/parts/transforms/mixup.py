"""Mixup: blends of two images, with blended labels, so that the network is less sure between classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Positive
from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.transforms.base import Mixing


@register("mixup")
@dataclass(frozen=True)
class Mixup(Mixing):
    """s x + (1 - s) x' for a sample x and the one before it in the batch, x' (Zhang et al. 2018; torchvision's MixUp).

    Targets are mixed the same way. s is drawn from Beta(alpha, alpha), once a batch: near 0 or 1 for a small alpha.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"alpha": 1.0, "probability": 0.5})

    alpha: Positive = 0.2  # the share of each of the two samples follows Beta(alpha, alpha)

    def blend(self, images: Array, others: Array, share: float, rng: np.random.Generator) -> tuple[Array, float]:  # noqa: ARG002
        """The weighted mean of both."""
        mixed = images * share
        mixed += others * (1 - share)
        return mixed, share
