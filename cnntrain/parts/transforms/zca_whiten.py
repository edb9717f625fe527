"""ZCA whitening: decorrelated pixels that stay as close to the image as they can."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Positive
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.transforms.base import Measured

MOST = 4096  # values of an image: their matrix takes 64 MB then, and some minutes to find
ROWS = (16, 8, 24, 48, 4, 1)  # images at a time, in order of preference: the first for which all rows come out equal


@register("zca_whiten")
@dataclass(frozen=True)
class ZCAWhiten(Measured):
    """(x - mean) W with W = U diag(1 / sqrt(s + epsilon)) U^T (Bell and Sejnowski 1997; Krizhevsky 2009; Keras).

    x is an image as one row of values, U and s are the eigenvectors and eigenvalues of the covariance (divided by the
    number of images) of the training images. Directions of less variance than `epsilon`, in the units of the pixels
    squared, are taken for noise and not amplified. Mean and W are measured on the training split and kept as arrays in
    the checkpoint; images have at most 4,096 values, such as 36x36x3.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"epsilon": 1e-4})
    gives_pixels: ClassVar[bool] = False

    epsilon: Positive = 0.01  # variance below which a direction counts as noise and is not amplified

    def output_shape(self, shape: Shape) -> Shape:
        """The same. Raises ValueError where the matrix would be too large."""
        size = math.prod(shape)
        if size > MOST:
            raise ValueError(
                f"an image of {size:,} values has a matrix of {size**2:,}; at most {MOST:,} values will do: "
                "resize first"
            )
        return shape

    def array_shapes(self, shape: Shape) -> dict[str, Shape]:
        """The mean and the matrix of images of this shape."""
        return {"mean": (math.prod(shape),), "matrix": (math.prod(shape),) * 2}

    def fit(self, chunks: Iterable[Array]) -> ZCAWhiten:
        """Measure mean and covariance in float64 and one pass, less the first chunk's mean, and decompose it."""
        if self.measured:
            return self
        count, pivot, total, products = 0, np.zeros(0), np.zeros(0), np.zeros((0, 0))
        for images in chunks:
            rows = images.reshape(len(images), -1).astype(np.float64)
            if not count:
                pivot = rows.mean(axis=0)
                total, products = np.zeros_like(pivot), np.zeros((len(pivot), len(pivot)))
            rows -= pivot
            count += len(rows)
            total += rows.sum(axis=0)
            products += rows.T @ rows
        shift = total / count
        variances, directions = np.linalg.eigh(products / count - np.outer(shift, shift))
        factors = 1 / np.sqrt(np.maximum(variances, 0) + self.epsilon)
        matrix = (directions * factors) @ directions.T
        return self.with_arrays({"mean": (pivot + shift).astype(np.float32), "matrix": matrix.astype(np.float32)})

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """The whitened images, a new array. Raises RuntimeError before `fit`."""
        if not self.measured:
            raise RuntimeError("zca_whiten was not fitted")
        mean, matrix = (self.measured[name].astype(images.dtype, copy=False) for name in ("mean", "matrix"))
        step = rows_alike(len(mean), images.dtype)
        rows = np.zeros((-(-len(images) // step) * step, len(mean)), images.dtype)
        np.subtract(images.reshape(len(images), -1), mean, out=rows[: len(images)])
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            block[...] = block @ matrix
        return rows[: len(images)].reshape(images.shape)

    def trace(self, t: Trace, x: Value) -> Value:
        """(x - mean) W of the image as one row. Raises RuntimeError before `fit`."""
        if not self.measured:
            raise RuntimeError("zca_whiten was not fitted")
        row = t.op("sub", t.reshape(x, (math.prod(x.shape),)), t.constant("mean", self.measured["mean"]))
        return t.reshape(t.op("matmul", row, t.constant("matrix", self.measured["matrix"]), shape=row.shape), x.shape)


@functools.cache
def rows_alike(size: int, dtype: np.dtype[Any]) -> int:
    """How many rows a product with a (size, size) matrix may have for the bits of a row not to depend on its place.

    They depend on how many rows there are, and with kernels that take twelve rows and then the four that are left
    (OpenBLAS for AVX2) on which of them it is: the two add up in different orders. So it is tried, once a process.
    """
    draws = np.random.Generator(np.random.PCG64(0))
    row, matrix = draws.standard_normal(size).astype(dtype), draws.standard_normal((size, size)).astype(dtype)
    for count in ROWS[:-1]:
        product = np.tile(row, (count, 1)) @ matrix
        if all(line.tobytes() == product[0].tobytes() for line in product):
            return count
    return ROWS[-1]
