"""What the metrics of masks share: each pixel is counted as a sample, but for those that are ignored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.masks import IGNORED, MASKS
from cnntrain.ops.argmax import taken_for
from cnntrain.parts.metrics.base import Counted


@dataclass(frozen=True)
class OfPixels(Counted):
    """Base of the metrics that follow from how many pixels of each class were found, taken for it, and are of it.

    A pixel is taken for the class of its largest output, and counts by the weight of its sample.
    """

    scores: ClassVar[tuple[str, ...]] = (MASKS,)
    bounds: ClassVar[tuple[float, float]] = (0, 1)

    def add(self, state: Array, outputs: Array, targets: Array, weights: Array) -> None:
        """Count a shard: outputs (n, h, w, classes), masks (n, h, w)."""
        rows = state.reshape(3, -1)
        for z, mask, weight in zip(outputs, targets, weights.tolist(), strict=True):
            labels, guesses = answers(z, mask)
            for row, classes in zip(rows, (labels[labels == guesses], guesses, labels), strict=True):
                row += weight * np.bincount(classes, minlength=len(row))


def answers(outputs: Array, mask: Array) -> tuple[Array, Array]:
    """True classes and answers (pixels,), without ignored pixels, for outputs (h, w, classes) and a mask (h, w)."""
    labels = mask.reshape(-1)
    counts = labels != IGNORED
    found, labels = outputs.reshape(-1, outputs.shape[-1])[counts], labels[counts]
    return labels, taken_for(found, labels)
