"""Shapes are figures in the plane, each given by the points inside it: what synthetic pictures show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cnntrain.core.arrays import Array

SHAPES: dict[
    str, Callable[[Array, Array], Array]
] = {  # whether (x, y) of the square from -1 to 1, y downwards, lies inside
    "disc": lambda x, y: x * x + y * y < 1,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) < 0.85,
    "triangle": lambda x, y: (y < 0.8) & (2 * abs(x) < y + 1),
    "cross": lambda x, y: (np.minimum(abs(x), abs(y)) < 0.3) & (np.maximum(abs(x), abs(y)) < 1),
    "ring": lambda x, y: abs(np.hypot(x, y) - 0.75) < 0.25,
    "bar": lambda x, y: (abs(x) < 0.3) & (abs(y) < 1),
}
