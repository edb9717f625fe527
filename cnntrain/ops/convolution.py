"""Convolution and its two adjoints as matrix products over chunks of columns.

With columns X (windows, depth) of the input, weights W (depth, filters) and bias b

    y = X @ W + b        dW = X.T @ dy        db = sum of dy over windows        dX = dy @ W.T

and dx is dX scattered back to where the columns were copied from. Where the stride is 1, dx is also a convolution
of dy with the weights turned by half a circle and with inputs and outputs swapped; `by_correlation` says which costs
less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from cnntrain.arrays import Array, Shape
from cnntrain.ops.columns import Columns
from cnntrain.ops.windows import Axis, Windows

# isort: split
import numpy as np
import numpy.typing as npt

Scratch = Mapping[str, Array]

# The cost of moving one value of the column matrix, in multiply-adds of a product that take as long. Ratios of
# single-thread timings on AVX-512 machines, float32; fixed, so that every machine takes the same path.
GATHER_COST = 6.0
SCATTER_COST = 30.0
SCATTER_RUN_COST = 500.0  # for each run of `channels` values


@dataclass(frozen=True)
class Convolution:
    """A convolution of images of one shape.

    Images are (n, h, w, channels), weights (kh, kw, channels / groups, filters), both contiguous.
    """

    windows: Windows
    channels: int
    filters: int
    groups: int

    @cached_property
    def columns(self) -> Columns:
        """The column matrix of the input."""
        return Columns(self.windows, self.channels, self.groups)

    @cached_property
    def turned(self) -> Convolution | None:
        """The convolution that takes dy to dx; None where the stride or the padding does not allow it."""
        axes = _turned(self.windows.rows), _turned(self.windows.columns)
        if axes[0] is None or axes[1] is None:
            return None
        return Convolution(Windows(axes[0], axes[1]), self.filters, self.channels, self.groups)

    @cached_property
    def by_correlation(self) -> bool:
        """Whether dx is computed by the turned convolution rather than by scattering; a function of shapes alone."""
        if self.turned is None:
            return False
        per_group, filters = self.channels // self.groups, self.filters // self.groups
        spots = self.windows.rows.out * self.windows.columns.out
        pixels = self.windows.rows.size * self.windows.columns.size
        gather = 0.0 if self.windows.pointwise else GATHER_COST
        correlation = pixels * filters * (per_group + gather)
        scattering = spots * per_group * (filters + SCATTER_COST) + spots * SCATTER_RUN_COST
        return correlation <= scattering

    def forward_scratch(self, n: int, dtype: npt.DTypeLike) -> dict[str, tuple[Shape, npt.DTypeLike]]:
        """The buffers `forward` needs for a shard of n images."""
        columns = self.columns
        count = columns.matrix_size(n) // (columns.depth * self.groups)
        return {
            "columns": ((0 if self.windows.pointwise else columns.matrix_size(n),), dtype),
            "border": (columns.border_shape(n), dtype),
            "product": ((count * self.filters if self.groups > 1 else 0,), dtype),
            "bias_row": ((self.windows.columns.out * self.filters,), dtype),
        }

    def scratch(self, n: int, dtype: npt.DTypeLike) -> dict[str, tuple[Shape, npt.DTypeLike]]:
        """The buffers forward and backward need for a shard of n images; the larger of the two where they share one."""
        depth, filters = self.columns.depth, self.filters
        count = self.columns.matrix_size(n) // (depth * self.groups)
        need: dict[str, tuple[Shape, npt.DTypeLike]] = {
            **self.forward_scratch(n, dtype),
            "ones": ((count,), dtype),
            "d_weight": ((depth * filters,), dtype),
            "d_bias": ((filters,), dtype),
        }
        if self.by_correlation and self.turned:
            turned = self.turned.forward_scratch(n, dtype)
            need["turned_weight"] = ((self.turned.columns.depth * self.channels,), dtype)
            need |= {"turned_" + name: buffer for name, buffer in turned.items()}
        else:
            need["d_columns"] = ((self.columns.matrix_size(n),), dtype)
            need["d_border"] = (self.columns.gradient_shape(n), dtype)
        return need

    def forward(self, x: Array, weight: Array, bias: Array | None, y: Array, scratch: Scratch) -> None:
        """Write y = x * weight + bias."""
        matrices = self._matrices(weight)
        row = scratch["bias_row"]
        if bias is not None:
            row.reshape(-1, self.filters)[...] = bias
        for chunk, columns in self.columns.gather(x, scratch["columns"], scratch["border"]):
            out = y[chunk.images, chunk.rows]
            if self.groups == 1:
                np.matmul(columns[0], matrices[0], out=out.reshape(chunk.size, self.filters))
            else:
                product = scratch["product"][: chunk.size * self.filters].reshape(self.groups, chunk.size, -1)
                np.matmul(columns, matrices, out=product)
                np.copyto(self._by_group(out), product)
            if bias is not None:
                lines = out.reshape(-1, len(row))
                np.add(lines, row, out=lines)

    def weight_gradient(self, x: Array, dy: Array, d_weight: Array, d_bias: Array | None, scratch: Scratch) -> None:
        """Overwrite the gradients of the weights and, unless it is None, of the bias."""
        d_matrices = self._matrices(d_weight)
        product = scratch["d_weight"].reshape(self.groups, self.columns.depth, -1)
        ones, row = scratch["ones"], scratch["d_bias"]
        ones.fill(1)
        d_weight.fill(0)
        if d_bias is not None:
            d_bias.fill(0)
        for chunk, columns in self.columns.gather(x, scratch["columns"], scratch["border"]):
            out = dy[chunk.images, chunk.rows]
            np.matmul(columns.swapaxes(1, 2), self._by_group(out), out=product)
            np.add(d_matrices, product, out=d_matrices)
            if d_bias is not None:
                np.matmul(ones[: chunk.size], out.reshape(chunk.size, self.filters), out=row)
                np.add(d_bias, row, out=d_bias)

    def input_gradient(self, weight: Array, dy: Array, dx: Array, scratch: Scratch) -> None:
        """Overwrite dx."""
        if self.by_correlation and self.turned:
            turned = self._turn(weight, scratch["turned_weight"])
            buffers = {name: scratch["turned_" + name] for name in ("columns", "border", "product", "bias_row")}
            self.turned.forward(dy, turned, None, dx, buffers)
            return
        matrices = self._matrices(weight).swapaxes(1, 2)
        for chunk, d_columns in self.columns.scatter(scratch["d_columns"], dx, scratch["d_border"]):
            out = self._by_group(dy[chunk.images, chunk.rows])
            if self.columns.transposed:  # the same product, written the way the buffer lies
                np.matmul(matrices.swapaxes(1, 2), out.swapaxes(1, 2), out=d_columns.swapaxes(1, 2))
            else:
                np.matmul(out, matrices, out=d_columns)

    def _matrices(self, weight: Array) -> Array:
        """The weights as a matrix for each group: (groups, depth, filters / groups)."""
        return weight.reshape(self.columns.depth, self.groups, -1).transpose(1, 0, 2)

    def _by_group(self, images: Array) -> Array:
        """Output images (n, rows, columns, filters), contiguous, as (groups, windows, filters / groups)."""
        return images.reshape(-1, self.groups, self.filters // self.groups).transpose(1, 0, 2)

    def _turn(self, weight: Array, buffer: Array) -> Array:
        """Weights of the turned convolution: (kh, kw, filters / groups, channels), both kernel axes reversed."""
        kh, kw, per_group, filters = weight.shape
        groups = self.groups
        turned = buffer.reshape(kh, kw, filters // groups, groups, per_group)
        source = weight[::-1, ::-1].reshape(kh, kw, per_group, groups, filters // groups)
        np.copyto(turned, source.transpose(0, 1, 4, 3, 2))
        return turned.reshape(kh, kw, filters // groups, self.channels)


def _turned(axis: Axis) -> Axis | None:
    """The windows of the convolution from dy to dx: tap t reads where tap kernel - 1 - t of the other wrote."""
    before, after = axis.extent - 1 - axis.before, axis.extent - 1 - axis.after
    if axis.stride != 1 or before < 0 or after < 0:
        return None
    return Axis(axis.out, axis.kernel, 1, axis.dilation, before, after, axis.size)
