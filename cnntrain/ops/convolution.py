"""Convolution and its two adjoints as matrix products over chunks of columns.

With columns X (windows, depth) of the input, weights W (depth, filters) and bias b, which the layer adds,

    y = X @ W + b        dW = X.T @ dy        db = sum of dy over windows        dX = dy @ W.T

and dx is dX scattered back to where the columns were copied from. Where the stride is 1, dx is also a convolution
of dy with the weights turned by half a circle and with inputs and outputs swapped, and where it is larger dx consists
of such ones (ops/phases.py); `by_correlation` and `by_phases` say where that costs less. A 1x1 kernel of many weights
is multiplied as it is (`by_matrix`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from cnntrain.core.arrays import Array, Shape
from cnntrain.ops.calls import Calls, PassName, add, clear, copy, copy_pixels, transposing, transposing_portions
from cnntrain.ops.columns import Columns
from cnntrain.ops.panels import Panels
from cnntrain.ops.phases import Phase, phases
from cnntrain.ops.products import across, product
from cnntrain.ops.windows import Axis, Windows

Scratch = Mapping[str, Array]

# The cost of moving one value of the column matrix, in the multiply-adds that take as long. Ratios of
# single-thread timings on AVX-512 machines, float32; fixed, so that every machine takes the same path.
GATHER_COST = 6.0
SCATTER_COST = 30.0
SCATTER_RUN_COST = 500.0  # for each run of `channels` values

MANY = 128 * 128  # weights of a tap from which turning them, or their gradient, costs more than other ways
BIAS_BLOCK = 32 * 1024  # values of dy that are added up at a time


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

    @property
    def panels(self) -> Panels:
        """How the weights, of a single group, lie in memory for forward in evaluation."""
        return Panels(self.columns.depth, self.filters)

    @cached_property
    def turned(self) -> Convolution | None:
        """The convolution that takes dy to dx; None where the stride or the padding does not allow it."""
        axes = turned(self.windows.rows), turned(self.windows.columns)
        if axes[0] is None or axes[1] is None:
            return None
        return Convolution(Windows(axes[0], axes[1]), self.filters, self.channels, self.groups)

    @cached_property
    def by_correlation(self) -> bool:
        """Whether dx is computed by the turned convolution rather than by scattering; a function of shapes alone."""
        if self.turned is None:
            return False
        pixels = self.windows.rows.size * self.windows.columns.size
        return self._beats_scattering(self.windows.taps * pixels)

    @property
    def by_matrix(self) -> bool:
        """Whether it is the product with a matrix so large that its transpose, for dx, takes longer to make than it
        saves.
        """
        return self.windows.pointwise and self.groups == 1 and self.channels * self.filters >= MANY

    @property
    def tap_by_tap(self) -> bool:
        """Whether dW is made for each tap by itself where dx is computed by the turned convolution."""
        return self.windows.pointwise or self.channels * self.filters >= MANY * self.groups**2

    @cached_property
    def phases(self) -> list[tuple[Phase, Phase, Convolution | None]]:
        """Those of dx along the height and the width, each with the convolution that makes it, or None where it is 0.

        There are none where dx is a convolution as a whole, is made group by group, or leaves some of dy unread.
        """
        rows, columns = self.windows.rows, self.windows.columns
        if self.turned or self.groups > 1:
            return []
        found: list[tuple[Phase, Phase, Convolution | None]] = []
        for vertical, horizontal in itertools.product(phases(rows), phases(columns)):
            axes = _over_outputs(rows, vertical), _over_outputs(columns, horizontal)
            if min(axes[0].kernel, axes[1].kernel) == 0:
                found.append((vertical, horizontal, None))
            elif min(axes[0].before, axes[0].after, axes[1].before, axes[1].after) < 0:
                return []
            else:
                found.append((vertical, horizontal, Convolution(Windows(*axes), self.filters, self.channels, 1)))
        return found

    @cached_property
    def by_phases(self) -> bool:
        """Whether dx is computed phase by phase rather than by scattering; a function of shapes alone."""
        made = [back.windows for _, _, back in self.phases if back]
        products = sum(windows.taps * windows.rows.out * windows.columns.out for windows in made)
        return bool(made) and self._beats_scattering(products)

    def _beats_scattering(self, products: int) -> bool:
        """Whether convolutions of dy cost less than scattering; `products` sums up their outputs times taps."""
        per_group, filters = self.channels // self.groups, self.filters // self.groups
        gather = 0.0 if self.windows.pointwise else GATHER_COST
        spots = self.windows.taps * self.windows.rows.out * self.windows.columns.out
        scattering = spots * per_group * (filters + SCATTER_COST) + spots * SCATTER_RUN_COST
        return products * filters * (per_group + gather) <= scattering

    def forward_scratch(self, n: int, dtype: npt.DTypeLike) -> dict[str, tuple[Shape, npt.DTypeLike]]:
        """The buffers `forward` needs for a shard of n images."""
        columns = self.columns
        count = columns.matrix_size(n) // (columns.depth * self.groups)
        return {
            "columns": ((0 if self.windows.pointwise else columns.matrix_size(n),), dtype),
            "border": (columns.border_shape(n), dtype),
            "product": ((count * self.filters if self.groups > 1 else 0,), dtype),
        }

    def scratch(self, n: int, dtype: npt.DTypeLike) -> dict[str, tuple[Shape, npt.DTypeLike]]:
        """The buffers forward and backward need for a shard of n images; the larger of the two where they share one."""
        kernels = ((self.columns.depth * self.filters,), dtype)
        if self.by_matrix:
            return self.forward_scratch(n, dtype)
        need: dict[str, tuple[Shape, npt.DTypeLike]] = {
            **self.forward_scratch(n, dtype),
            "share": kernels,
            "backward": kernels,  # the weights as the product for dx has them
        }
        if self.by_correlation and self.turned:
            need |= {"turned_" + name: buffer for name, buffer in self.turned.forward_scratch(n, dtype).items()}
            need["d_turned"] = ((0 if self.tap_by_tap else kernels[0][0],), dtype)
        elif self.by_phases:
            phased = [back.forward_scratch(n, dtype) for _, _, back in self.phases if back]
            for name in ("columns", "border"):
                need["phase_" + name] = ((max(math.prod(buffers[name][0]) for buffers in phased),), dtype)
            largest = max(vertical.size * horizontal.size for vertical, horizontal, _ in self.phases)
            need["phase"] = ((n * largest * self.channels,), dtype)
        else:
            need["d_columns"] = ((self.columns.matrix_size(n),), dtype)
            need["d_border"] = (self.columns.gradient_shape(n), dtype)
        return need

    def evaluated(self, dtype: npt.DTypeLike) -> dict[str, tuple[Shape, npt.DTypeLike]]:
        """The buffer of forward, for the weights in panels, where forward has one in evaluation."""
        cut = self.groups == 1 and self.panels.cut
        return {"forward": ((self.columns.depth * self.filters,), dtype)} if cut else {}

    def fill(self, do: PassName, weight: Array, scratch: Scratch) -> list[Calls]:
        """The calls that fill the buffer of a pass with the weights as its product has them, in portions: for backward
        as dx needs them, for forward in panels if there is a buffer.
        """
        if do == "forward" and do in scratch:
            return self.panels.fill(self._matrices(weight)[0], scratch[do])
        if do == "forward" or self.by_matrix:
            return []  # they are used as they are
        if self.by_correlation:
            turned = self._turned_kernels(scratch["backward"])
            return transposing_portions(self._turned_taps(turned), self._taps(weight).swapaxes(2, 3))
        if not self.by_phases:
            transposed = self._matrices_across(weight)
            return transposing_portions(scratch["backward"].reshape(transposed.shape), transposed)
        filled: list[Calls] = []
        for vertical, horizontal, _, kernels in self._phases_in(scratch["backward"]):
            if kernels.size:
                taken = weight[vertical.taps, horizontal.taps].swapaxes(2, 3)
                filled += transposing_portions(kernels, taken)
        return filled

    def forward(self, x: Array, weight: Array, y: Array, scratch: Scratch) -> Calls:
        """The calls that write y = x * weight."""
        matrices = self._matrices(weight)
        calls: Calls = []
        for chunk, columns, filling in self.columns.gather(x, scratch["columns"], scratch["border"]):
            out = y[chunk.images, chunk.rows]
            if "forward" in scratch:
                multiplying = self.panels.product(columns[0], scratch["forward"], out.reshape(-1, self.filters))
            else:
                multiplying = self._multiply(columns, matrices, out, scratch["product"])
            calls += filling + multiplying
        return calls

    def backward(
        self,
        x: Array,
        weight: Array,
        dy: Array,
        d_weight: Array | None,
        d_bias: Array | None,
        dx: Array | None,
        scratch: Scratch,
    ) -> Calls:
        """The calls that overwrite the gradients that are not None; for dx the buffer "backward" is filled."""
        calls = [] if d_bias is None else sum_over_windows(dy, d_bias)
        if self.by_matrix:
            inputs, outputs, matrix = (array.reshape(-1, array.shape[-1]) for array in (x, dy, weight))
            if d_weight is not None:
                calls += product(inputs.T, outputs, d_weight.reshape(matrix.shape))
            return calls if dx is None else calls + across(outputs, matrix, dx.reshape(inputs.shape))
        if dx is not None and self.by_correlation and self.turned:
            return calls + self._correlate(x, dy, d_weight, dx, scratch)
        if d_weight is not None:
            d_matrices = into = self._matrices(d_weight)
            for chunk, columns, filling in self.columns.gather(x, scratch["columns"], scratch["border"]):
                outputs = self._by_group(dy[chunk.images, chunk.rows])
                calls += filling + self._add_product(columns, outputs, into, d_matrices)
                into = scratch["share"].reshape(d_matrices.shape)
        if dx is None:
            return calls
        if self.by_phases:
            return calls + self._by_phases(dy, dx, scratch)
        return calls + self._scatter(weight, dy, dx, scratch)

    def _correlate(self, x: Array, dy: Array, d_weight: Array | None, dx: Array, scratch: Scratch) -> Calls:
        """Both gradients from the columns of dy, gathered once: dx = dY @ turned, and d_turned = dY.T @ x.

        Where a tap has many weights, dW = x.T @ dY is made for each tap instead, and need not be turned.
        """
        back = self.turned
        assert back is not None
        matrices, calls = back._matrices(self._turned_kernels(scratch["backward"])), []
        gradient = scratch["d_turned"]
        if d_weight is not None:
            total = self._taps(d_weight) if self.tap_by_tap else back._matrices(self._turned_kernels(gradient))
            share, into = scratch["share"].reshape(total.shape), total
        own = {name.removeprefix("turned_"): buffer for name, buffer in scratch.items() if name.startswith("turned_")}
        for chunk, columns, filling in back.columns.gather(dy, own["columns"], own["border"]):
            calls += filling + back._multiply(columns, matrices, dx[chunk.images, chunk.rows], own["product"])
            if d_weight is not None:
                inputs = back._by_group(x[chunk.images, chunk.rows])
                sides = self._sides(inputs, columns) if self.tap_by_tap else (columns, inputs)
                calls += self._add_product(*sides, into, total)
                into = share
        if d_weight is None or self.tap_by_tap:
            return calls
        turned = self._turned_taps(self._turned_kernels(gradient))
        return calls + transposing(self._taps(d_weight), turned.swapaxes(2, 3))

    def _by_phases(self, dy: Array, dx: Array, scratch: Scratch) -> Calls:
        """The calls that write dx phase by phase, each a convolution of dy with its taps of the weights."""
        calls: Calls = []
        for vertical, horizontal, back, kernels in self._phases_in(scratch["backward"]):
            place = dx[:, vertical.positions, horizontal.positions]
            if back is None:
                calls.append(clear(place))
                continue
            border = back.columns.border_shape(len(dy))
            own = {
                "columns": scratch["phase_columns"],
                "border": scratch["phase_border"][: math.prod(border)].reshape(border),
                "product": dx[:0],
            }
            out = scratch["phase"][: place.size].reshape(place.shape)
            calls += [*back.forward(dy, kernels, out, own), copy_pixels(place, out)]
        return calls

    def _scatter(self, weight: Array, dy: Array, dx: Array, scratch: Scratch) -> Calls:
        """The columns dX = dy @ W.T, added back to where they were copied from."""
        calls, matrices = [], self._matrices_across(weight)
        transposed = scratch["backward"].reshape(matrices.shape)
        for chunk, d_columns, before, after in self.columns.scatter(scratch["d_columns"], dx, scratch["d_border"]):
            out = self._by_group(dy[chunk.images, chunk.rows])
            if self.columns.scattered_by_tap:
                multiplying = product(np.broadcast_to(out, (len(transposed), *out.shape[1:])), transposed, d_columns)
            elif self.columns.transposed:  # the same product, written the way the buffer lies
                multiplying = product(matrices.swapaxes(1, 2), out.swapaxes(1, 2), d_columns.swapaxes(1, 2))
            else:
                multiplying = product(out, transposed, d_columns)
            calls += before + multiplying + after
        return calls

    def _matrices_across(self, weight: Array) -> Array:
        """A view of the weights as `_scatter` multiplies them: a matrix W.T for each group, or for each tap."""
        if self.columns.scattered_by_tap:
            return weight.reshape(-1, self.channels, self.filters).swapaxes(1, 2)
        return self._matrices(weight).swapaxes(1, 2)

    def _turned_kernels(self, buffer: Array) -> Array:
        """A buffer as the kernels of the turned convolution: (kh, kw, filters / groups, channels)."""
        return buffer.reshape(self.windows.rows.kernel, self.windows.columns.kernel, -1, self.channels)

    def _phases_in(self, buffer: Array) -> Iterator[tuple[Phase, Phase, Convolution | None, Array]]:
        """The phases, each with where its kernels (kh, kw, filters, channels) lie in a buffer."""
        stop = 0
        for vertical, horizontal, back in self.phases:
            sides = (0, 0) if back is None else (back.windows.rows.kernel, back.windows.columns.kernel)
            start, stop = stop, stop + math.prod(sides) * self.filters * self.channels
            yield vertical, horizontal, back, buffer[start:stop].reshape(*sides, self.filters, self.channels)

    def _multiply(self, columns: Array, matrices: Array, out: Array, room: Array) -> Calls:
        """Write a chunk of outputs (images, rows, columns, filters): its columns times the weights, group by group."""
        if self.groups == 1:
            return product(columns[0], matrices[0], out.reshape(-1, self.filters))
        result = room[: out.size].reshape(self.groups, -1, self.filters // self.groups)
        return [*product(columns, matrices, result), copy(self._by_group(out), result)]

    def _add_product(self, columns: Array, outputs: Array, into: Array, total: Array) -> Calls:
        """A chunk's share of the weights' gradient, its columns, transposed, times dy, written `into` and added up."""
        calls = product(columns.swapaxes(-2, -1), outputs, into)
        return calls if into is total else [*calls, add(total, into, total)]

    def _sides(self, inputs: Array, columns: Array) -> tuple[Array, Array]:
        """Inputs (groups, windows, channels / groups) and columns of dy as (taps, groups, windows, ...)."""
        groups, count, _ = columns.shape
        by_tap = columns.reshape(groups, count, self.windows.taps, -1).transpose(2, 0, 1, 3)
        return np.broadcast_to(inputs, (self.windows.taps, *inputs.shape)), by_tap

    def _taps(self, weight: Array) -> Array:
        """The weights as (taps, groups, channels / groups, filters / groups), with the turned convolution's taps."""
        split = weight[::-1, ::-1].reshape(self.windows.taps, -1, self.groups, self.filters // self.groups)
        return split.swapaxes(1, 2)

    def _turned_taps(self, kernels: Array) -> Array:
        """Turned weights, (kh, kw, filters / groups, channels), as (taps, groups, ..., channels / groups)."""
        return kernels.reshape(self.windows.taps, -1, self.groups, self.channels // self.groups).swapaxes(1, 2)

    def _matrices(self, weight: Array) -> Array:
        """The weights as a matrix for each group: (groups, depth, filters / groups)."""
        return weight.reshape(self.columns.depth, self.groups, -1).transpose(1, 0, 2)

    def _by_group(self, images: Array) -> Array:
        """Output images (n, rows, columns, filters), contiguous, as (groups, windows, filters / groups)."""
        return images.reshape(-1, self.groups, self.filters // self.groups).transpose(1, 0, 2)


def sum_over_windows(dy: Array, d_bias: Array) -> Calls:
    """The calls that overwrite d_bias (filters,) by the sum of dy (n, h, w, filters), added up block by block."""
    lines = dy.reshape(-1, len(d_bias))
    step = min(max(BIAS_BLOCK // len(d_bias), 1), len(lines))
    whole = len(lines) // step
    ones, sums = np.ones(step, dy.dtype), np.empty((whole + 1, len(d_bias)), dy.dtype)
    blocks, rest = lines[: whole * step].reshape(whole, step, -1), lines[whole * step :]
    return [
        partial(np.matmul, ones, blocks, sums[:-1]),
        partial(np.matmul, ones[: len(rest)], rest, sums[-1]),
        partial(np.add.reduce, sums, 0, np.float64, d_bias),
    ]


def _over_outputs(axis: Axis, phase: Phase) -> Axis:
    """The windows of the convolution from dy to one phase of dx."""
    before, after = phase.margins(axis)
    return Axis(axis.out, len(range(axis.kernel)[phase.taps]), 1, phase.step, before, after, phase.size)


def turned(axis: Axis) -> Axis | None:
    """The windows of the convolution from dy to dx: tap t reads where tap kernel - 1 - t of the other wrote."""
    before, after = axis.extent - 1 - axis.before, axis.extent - 1 - axis.after
    if axis.stride != 1 or before < 0 or after < 0:
        return None
    return Axis(axis.out, axis.kernel, 1, axis.dilation, before, after, axis.size)
