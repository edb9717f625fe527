"""A move is where a transform took what pictures show: for each picture an affine map, which its targets follow.

Points are (x, y) in pixels, continuous: 0 is the left or upper edge of the first pixel, the width of the picture the
right edge of its last one. So pixel i of a row covers [i, i + 1), and its centre is i + 1/2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cnntrain.core.arrays import Array

_DIGITS = 9  # to which a place is rounded before it chooses a pixel, so that ties do not depend on rounding noise


@dataclass(frozen=True)
class Move:
    """Where n pictures went.

    maps     float64 (n, 2, 3), from (x, y, 1) of a picture to (x, y) of the result
    before   (height, width) of the pictures
    after    (height, width) of the results
    window   float64 (n, 4): x1, y1, x2, y2 of the part of the result that shows the picture, where it is not all of it
    random   whether the move was random, so that what the network says about the result is not mapped back
    """

    maps: Array
    before: tuple[int, int]
    after: tuple[int, int]
    random: bool = False
    window: Array | None = None

    @property
    def bounds(self) -> Array:
        """What part of each result can show something of its picture: (n, 4), or (1, 4) where it is all of each."""
        return np.array([[0.0, 0, self.after[1], self.after[0]]]) if self.window is None else self.window

    def points(self, xy: Array) -> Array:
        """Where points (n, k, 2) came to lie, possibly outside the result."""
        (a, b, x), (c, d, y) = np.moveaxis(self.maps, 0, -1)[..., None]
        return np.stack([a * xy[..., 0] + b * xy[..., 1] + x, c * xy[..., 0] + d * xy[..., 1] + y], axis=-1)

    def then(self, other: Move) -> Move:
        """This move, and after it another one."""
        whole = np.concatenate([self.maps, np.tile([[[0.0, 0.0, 1.0]]], (len(self.maps), 1, 1))], axis=1)
        return Move(other.maps @ whole, self.before, other.after, self.random or other.random)

    def inverse(self) -> Move:
        """The move that leads back. Raises numpy.linalg.LinAlgError where everything was moved onto a line."""
        turned = np.linalg.inv(self.maps[:, :, :2])
        return Move(np.concatenate([turned, -turned @ self.maps[:, :, 2:]], axis=2), self.after, self.before)

    def pixels(self, grids: Array, outside: int) -> Array:
        """Grids of numbers (n, height, width), one for each pixel, moved along: (n, *after), of the type given.

        Each pixel of the result has the number of the pixel under its centre; `outside` where that lies in none, or
        the result does not show it.
        """
        n, (height, width), (rows, columns) = len(grids), self.before, self.after
        (a, b, right), (c, d, down) = np.moveaxis(self.maps, 0, -1)[..., None, None]
        x, y = np.arange(columns) + 0.5 - right, np.arange(rows)[:, None] + 0.5 - down
        scale = a * d - b * c
        # where nothing is turned, one row of columns and one column of rows say it all: a large picture needs no more
        column = np.floor(np.round((d * x - b * y if b.any() else d * x) / scale, _DIGITS))
        row = np.floor(np.round((a * y - c * x if c.any() else a * y) / scale, _DIGITS))
        x1, y1, x2, y2 = self.bounds.T[..., None, None]
        here_x, here_y = np.arange(columns) + 0.5, np.arange(rows)[:, None] + 0.5
        shown = (here_x > x1) & (here_x < x2) & (here_y > y1) & (here_y < y2)
        inside = shown & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        chosen = np.clip(row, 0, height - 1).astype(np.int64) * width + np.clip(column, 0, width - 1).astype(np.int64)
        found = np.take_along_axis(grids.reshape(n, -1), chosen.reshape(n, -1), axis=1).reshape(n, rows, columns)
        return np.where(inside, found, np.asarray(outside, grids.dtype))
