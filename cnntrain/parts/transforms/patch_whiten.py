"""Patch whitening: a first layer that is not trained, whose filters are the patterns of small patches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Positive, PositiveInt
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.ops.windows import windows
from cnntrain.parts.transforms.base import Measured

MOST = 1024  # values of a patch


@register("patch_whiten")
@dataclass(frozen=True)
class PatchWhiten(Measured):
    """Every patch of `size` x `size` pixels as its whitened coordinates (Coates and Ng 2012; Page 2018; Jordan 2024).

    With C the mean of p p^T over all patches p of the training images, U and s its eigenvectors and eigenvalues, the
    k-th channel is u_k . p / sqrt(s_k + epsilon), the largest s first; with `both_signs` the negatives of all follow.
    Directions that hardly occur are thus not amplified. An (h, w, c) image becomes (h - size + 1, w - size + 1, size^2
    c), or twice as many channels, uncorrelated and of like size: what a first convolution would have to learn, as the
    whitening layer of airbench94 has it. Its bias is the `shift` of a layer `scale` behind it. C is of the images as
    they come here, so put `normalize` before it. The filters are measured on the training split and kept as an array in
    the checkpoint.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"size": 3, "both_signs": False, "epsilon": 0.01})
    gives_pixels: ClassVar[bool] = False

    size: PositiveInt = 2  # pixels of a patch's side
    epsilon: Positive = 5e-4  # variance below which a direction counts as noise and is not amplified
    both_signs: bool = True  # give the negative of every channel, too, for activations that cut one side off

    def output_shape(self, shape: Shape) -> Shape:
        """Raises ValueError for an image smaller than a patch, and for patches of more than 1,024 values."""
        height, width, channels = shape
        if self.size > min(height, width):
            raise ValueError(f"patches of {self.size}x{self.size} do not fit a {height}x{width} image")
        values = self.size**2 * channels
        if values > MOST:
            raise ValueError(f"a patch has {values:,} values, at most {MOST:,} will do: make size smaller")
        return (height - self.size + 1, width - self.size + 1, values * (1 + self.both_signs))

    def array_shapes(self, shape: Shape) -> dict[str, Shape]:
        """The filters of images of this shape, (size, size, c, channels)."""
        return {"filters": (self.size, self.size, shape[2], self.output_shape(shape)[2])}

    def fit(self, chunks: Iterable[Array]) -> PatchWhiten:
        """Add up the products of all patches in float64, and decompose their mean."""
        if self.measured:
            return self
        count, products, channels = 0, np.zeros((0, 0)), 0
        for images in chunks:
            channels = images.shape[-1]
            products = np.zeros((self.size**2 * channels,) * 2) if not count else products
            for image in images.astype(np.float64):
                patches = self._patches(image[None])[0]
                products += patches.T @ patches
                count += len(patches)
        sizes, directions = np.linalg.eigh(products / count)
        directions *= np.where(directions.sum(axis=0) < 0, -1, 1)  # an eigenvector has no sign of its own
        filters = (directions / np.sqrt(np.maximum(sizes, 0) + self.epsilon))[:, ::-1]
        filters = np.concatenate([filters, -filters], axis=1) if self.both_signs else filters
        shaped = filters.reshape(self.size, self.size, channels, -1)
        return self.with_arrays({"filters": np.ascontiguousarray(shaped, np.float32)})

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """The coordinates, a new array. Raises RuntimeError before `fit`."""
        filters = self._filters().reshape(-1, self._filters().shape[-1]).astype(images.dtype, copy=False)
        results = np.empty((len(images), *self.output_shape(images.shape[1:])), images.dtype)
        for image, result in zip(images, results, strict=True):  # a product of one size, whatever else is there
            np.matmul(self._patches(image[None])[0], filters, out=result.reshape(-1, result.shape[-1]))
        return results

    def trace(self, t: Trace, x: Value) -> Value:
        """A convolution. Raises RuntimeError before `fit`."""
        patches = windows(x.shape[0], x.shape[1], self.size, stride=1)
        weight, axes = {"weight": self._filters()}, (patches.rows, patches.columns)
        return t.convolution(x, weight, axes, 1, self.output_shape(x.shape))

    def _filters(self) -> Array:
        if not self.measured:
            raise RuntimeError("patch_whiten was not fitted")
        return self.measured["filters"]

    def _patches(self, images: Array) -> Array:
        """The patches of images (n, h, w, c): (n, patches, size * size * c)."""
        n, height, width, channels = images.shape
        rows, columns = height - self.size + 1, width - self.size + 1
        patches = np.empty((n, rows, columns, self.size, self.size, channels), images.dtype)
        for y in range(self.size):
            for x in range(self.size):
                patches[:, :, :, y, x] = images[:, y : y + rows, x : x + columns]
        return patches.reshape(n, rows * columns, -1)
