"""A fixed batch hands the engine existing arrays: for checks, comparisons and tests."""

from __future__ import annotations

import numpy as np

from cnntrain.core.arrays import Array


class Fixed:
    """Given samples x (n, *shape), targets (n,) or (n, k) and weights (n,), by default all 1."""

    views = 1

    def __init__(self, x: Array, targets: Array, weights: Array | None = None) -> None:
        self.x, self.targets = x, targets
        self.weights = np.ones(len(x)) if weights is None else weights

    def __len__(self) -> int:
        return len(self.x)

    def fill(self, start: int, stop: int, x: Array) -> tuple[Array, Array]:
        """Write samples start to stop into x; return their targets and weights, the latter in x's float type."""
        x[...] = self.x[start:stop]
        return self.targets[start:stop], self.weights[start:stop].astype(x.dtype)
