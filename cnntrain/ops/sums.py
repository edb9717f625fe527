"""A sum over the pixels of a picture: in steps, so that its rounding does not grow with their number.

NumPy adds along an axis that is not the last one value after the other, in the arrays' own type. In float32 a sum over
112x112 pixels thus loses two digits of seven. Here a few are added up at a time, and those sums again, the last ones in
float64 (pairwise summation with a wider base; Higham 1993, "The accuracy of floating point summation"). Pixels that are
far apart meet first, so that long lines are added, which is faster too.
"""

from __future__ import annotations

import numpy as np

from cnntrain.core.arrays import Array

FEW = 64  # pixels up to which they are added up at once
STEP = 16  # of more pixels, how many at a time


def over_pixels(x: Array, out: Array) -> None:
    """Write the sums of x (n, pixels, ...) over its second axis into out (n, ...)."""
    if x.shape[1] <= FEW:
        np.add.reduce(x, axis=1, out=out, dtype=x.dtype)
        return
    for image, total in zip(x, out, strict=True):
        total[...] = over_rows(image)


def over_rows(x: Array) -> Array:
    """The sums of x (rows, ...) over its first axis, (...) in float64; a STEP-th of x is allocated."""
    total = np.zeros(x.shape[1:])
    while len(x) > FEW:
        count = len(x) // STEP
        if len(x) % STEP:
            total += np.add.reduce(x[count * STEP :], axis=0)
        x = np.add.reduce(x[: count * STEP].reshape(STEP, count, *x.shape[1:]), axis=0)
    total += np.add.reduce(x, axis=0, dtype=np.float64)
    return total
