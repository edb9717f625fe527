"""The forms of Winograd's convolution: which tiles, and the matrices that transform them.

A tile of m + r - 1 values and a filter of r taps are polynomials; their values at m + r - 2 points and at infinity are
multiplied one by one, and interpolation gives the m outputs (Winograd 1980; Blahut 2010, section 5.2; Lavin and Gray
2015). More points save more multiplications and cost digits, since powers of the points grow: 0, 1, -1, 2, -2 and a
half of either sign keep the largest error in float32 at about 1e-5 of the largest value for both forms.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from cnntrain.core.arrays import Array


@dataclass(frozen=True, eq=False)
class Form:
    """F(m x m, r x r): tiles of m x m outputs of an r x r kernel.

    The points are powers of two, of either sign, and 0, so that all but the quotients of G is exact.
    """

    out: int  # m
    kernel: int  # r
    points: tuple[float, ...]
    least_width: int  # channels and filters from which it pays
    least_used: float  # of the outputs of all tiles, some of which reach beyond the edge

    @cached_property
    def tile(self) -> int:
        """Values of a tile along a side."""
        return self.out + self.kernel - 1

    @cached_property
    def square(self) -> int:
        """Values of a tile."""
        return self.tile * self.tile

    @cached_property
    def inputs(self) -> Array:
        """B', (tile, tile): the polynomials that vanish at all points but one, then at all, lowest power first."""
        others = [_with_roots(q for q in self.points if q != p) for p in self.points]
        return np.array([*([*row, 0] for row in others), _with_roots(self.points)], float)

    @cached_property
    def weights(self) -> Array:
        """G, (tile, r): powers of each point over the value there of the polynomial that vanishes at the others."""
        scales = [math.prod(p - q for q in self.points if q != p) for p in self.points]
        rows = [[p**k / scale for k in range(self.kernel)] for p, scale in zip(self.points, scales, strict=True)]
        return np.array([*rows, [int(k == self.kernel - 1) for k in range(self.kernel)]], float) + 0.0  # no -0

    @cached_property
    def outputs(self) -> Array:
        """A', (m, tile): powers of the points."""
        return np.array([[*(p**i for p in self.points), int(i == self.out - 1)] for i in range(self.out)], float)

    @cached_property
    def kernels(self) -> Array:
        """Both sides of a kernel at once, which is small: U = kernels @ g, (tile * tile, r * r).

        The entries are in the order of all transformed tiles, column by column.
        """
        both = np.kron(self.weights, self.weights).reshape(self.tile, self.tile, -1)
        return both.swapaxes(0, 1).reshape(self.square, -1)

    @cached_property
    def _typed(self) -> dict[tuple[str, npt.DTypeLike], Array]:
        matrices = {
            "input": self.inputs,
            "input adjoint": self.inputs.T,
            "output": self.outputs,
            "output adjoint": self.outputs.T,
            "kernels": self.kernels,
            "kernels adjoint": self.kernels.T,
        }
        kinds = np.dtype(np.float32), np.dtype(np.float64)
        return {(name, kind): np.ascontiguousarray(m, kind) for name, m in matrices.items() for kind in kinds}

    def matrix(self, name: str, like: Array) -> Array:
        """One of the matrices, contiguous and in the type of an array."""
        return self._typed[name, like.dtype]


def _with_roots(roots: Iterable[float]) -> list[float]:
    """The coefficients of the polynomial with these roots, lowest power first; the highest is 1."""
    found = [1.0]
    for root in roots:
        found = [low - root * high for low, high in zip([0.0, *found], [*found, 0.0], strict=True)]
    return found


# By the size of the kernel. Widths and shares from timings on AVX-512 machines, fixed for every machine.
FORMS = {
    form.kernel: form
    for form in (
        Form(4, 3, (0, 1, -1, 2, -2), least_width=16, least_used=0.7),
        Form(4, 5, (0, 1, -1, 2, -2, 0.5, -0.5), least_width=8, least_used=0.69),
    )
}
