"""A move: where points went, and which pixel a pixel of the result comes from."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core.arrays import Array
from cnntrain.core.moves import Move


def slowly(move: Move, grid: Array, sample: int, outside: int) -> Array:
    """One grid moved pixel by pixel: the center of each led back."""
    whole = np.vstack([move.maps[sample], [0, 0, 1]])
    result = np.full(move.after, outside, grid.dtype)
    for row, column in np.ndindex(*move.after):
        x, y, _ = np.linalg.solve(whole, [column + 0.5, row + 0.5, 1]).round(9)
        if 0 <= x < move.before[1] and 0 <= y < move.before[0]:
            result[row, column] = grid[int(y), int(x)]
    return result


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_pixels_are_those_under_the_centers(dtype: type) -> None:
    rng = np.random.default_rng(3)
    maps = np.concatenate([rng.uniform(-1.5, 1.5, (6, 2, 2)), rng.uniform(-2, 9, (6, 2, 1))], axis=2)
    maps[0] = [[-1, 0, 7], [0, 1, 0]]  # a mirror
    maps[1] = [[2, 0, 0], [0, 2, 0]]
    maps[2] = [[0.5, 0, 0], [0, 0.5, 0]]  # centers on the edges of pixels
    maps[3] = [[1, 0, -3], [0, 1, 2]]
    move = Move(maps, (5, 7), (6, 9))
    grids = rng.integers(0, 200, (6, 5, 7)).astype(dtype)
    moved = move.pixels(grids, 255)
    assert moved.dtype == dtype
    for sample, grid in enumerate(grids):
        np.testing.assert_array_equal(moved[sample], slowly(move, grid, sample, 255))
    np.testing.assert_array_equal(moved[0, :5, :7], grids[0, :, ::-1])
    assert (moved[0, :, 7:] == 255).all()


def test_points_of_each_picture_go_by_its_own_map() -> None:
    maps = np.array([[[1.0, 0, 2], [0, 1, 3]], [[0.0, -1, 8], [1, 0, 0]]])
    moved = Move(maps, (4, 8), (8, 8)).points(np.array([[[1.0, 2]], [[1.0, 2]]]))
    assert moved.tolist() == [[[3, 5]], [[6, 1]]]
