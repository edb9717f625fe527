"""Mosaic: four pictures in one, so that a batch shows more things, smaller and in other company."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Positive, Probability
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.moves import Move
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops.sampling import resample, resampling
from cnntrain.parts.transforms.base import Joining
from cnntrain.reading.pictures import FRAME

MIDDLE = (0.25, 0.75)  # where the four meet, as shares of the sides


@register("mosaic")
@dataclass(frozen=True)
class Mosaic(Joining):
    """Every sample together with the three before it in the batch, one in each quarter (Bochkovskiy et al. 2020).

    The four meet at a point uniform in the middle half of either side. Each is made smaller by a factor uniform in
    `scale` and lies with a corner at that point: the sample itself at its upper left, those before it at the upper
    right, lower left and lower right. What sticks out is cut off, what is left uncovered is grey (114 of 255). Only for
    targets that are boxes.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"probability": 0.5, "scale": (0.7, 0.9)})
    earlier: ClassVar[int] = 3

    probability: Probability = 1.0  # probability that a sample becomes a mosaic
    scale: tuple[Positive, Positive] = (0.5, 1.0)  # range of the size of each picture in it, as a share of its own

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale[0] > self.scale[1] or self.scale[1] > 1:
            raise ValueError(f"scale must be two shares from 0 to 1 that do not fall, got {list(self.scale)}")

    def tiles(self, shape: Shape, draws: Draws) -> list[Move]:
        """For an image that stays as it is, the first tile is all of it, and the others are empty."""
        chosen, extents, windows = self._drawn(shape, draws)
        moves = []
        for k in range(4):
            (x1, y1, x2, y2), window = extents[k].T, windows[k]
            maps = np.zeros((len(draws), 2, 3))
            maps[:, 0, 0], maps[:, 1, 1] = (x2 - x1) / shape[1], (y2 - y1) / shape[0]
            maps[:, 0, 2], maps[:, 1, 2] = x1, y1
            if k == 0:
                maps[~chosen] = [[1, 0, 0], [0, 1, 0]]
                window = np.where(chosen[:, None], window, [0, 0, shape[1], shape[0]])
            else:
                window = np.where(chosen[:, None], window, 0)
            size = shape[0], shape[1]
            moves.append(Move(maps, size, size, random=True, window=window.astype(np.float64)))
        return moves

    def join(self, images: Array, draws: Draws) -> Array:
        """A picture at a time, each quarter resampled by itself."""
        n, (height, width) = len(draws), images.shape[1:3]
        chosen, extents, windows = self._drawn(images.shape[1:], draws)
        joined = images[self.earlier :].copy()
        for i in np.flatnonzero(chosen).tolist():
            joined[i] = FRAME / 255
            for k in range(4):
                (x1, y1, x2, y2), (left, top, right, bottom) = extents[k, i], windows[k, i]
                down, across = height / (y2 - y1), width / (x2 - x1)  # pixels of the picture for one of the mosaic
                rows = _weights((top - y1) * down, (bottom - top) * down, height, bottom - top)
                columns = _weights((left - x1) * across, (right - left) * across, width, right - left)
                source = images[self.earlier + i - k][None]
                joined[i, top:bottom, left:right] = resample(source, rows, columns)[0]
        assert len(joined) == n
        return joined

    def _drawn(self, shape: Shape, draws: Draws) -> tuple[Array, Array, Array]:
        """Which images become mosaics (n,); where each of four pictures would lie as a whole, and what of it is seen.

        Both are (4, n, 4) whole numbers: x1, y1, x2, y2.
        """
        height, width = shape[:2]
        chosen = draws.uniform() < self.probability
        x, y = (np.rint(draws.uniform(*MIDDLE) * side).astype(np.int64) for side in (width, height))
        extents = []
        for k in range(4):
            scale = draws.uniform(*self.scale)
            wide, tall = (np.maximum(np.rint(scale * side), 1).astype(np.int64) for side in (width, height))
            x1, y1 = x if k % 2 else x - wide, y if k > 1 else y - tall
            extents.append(np.stack([x1, y1, x1 + wide, y1 + tall], axis=-1))
        whole = np.stack(extents)
        return chosen, whole, np.clip(whole, 0, [width, height, width, height])


def _weights(start: float, length: float, size: int, out: int) -> Array:
    return resampling(np.array([start]), np.array([length]), size, int(out), "bilinear")
