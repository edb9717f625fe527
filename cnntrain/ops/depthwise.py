"""Depthwise convolution filters every channel by itself, so there is no matrix product in it: it is a sum over taps.

With x padded, tap (i, j) of all windows is one strided view of it, and

    y = sum over i, j of x[i, j] * w[i, j]        dw[i, j] = sum over windows of x[i, j] * dy

are sums of products along rows of an image, which `np.einsum` walks row by row, taps innermost, so that a row of
output stays in the first-level cache while all taps are added to it. Rows should be long; so where the stride leaves
gaps between what a tap reads, the columns are first copied together, tap by tap. The gradient of the input is of the
same kind, phase by phase (ops/phases.py).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from cnntrain.core.arrays import Array, Shape
from cnntrain.ops.calls import Calls, PassName, clear, copy
from cnntrain.ops.convolution import Scratch, sum_over_windows
from cnntrain.ops.margins import Margins, framed
from cnntrain.ops.phases import Phase, phases
from cnntrain.ops.windows import Axis, Windows


@dataclass(frozen=True)
class Depthwise:
    """A convolution of images of one shape with as many groups and filters as channels.

    Images are (n, h, w, channels), weights (kh, kw, 1, channels), both contiguous.
    """

    windows: Windows
    channels: int

    @cached_property
    def phases(self) -> tuple[list[Phase], list[Phase]]:
        """Those along the height and along the width."""
        return phases(self.windows.rows), phases(self.windows.columns)

    @cached_property
    def margins(self) -> Margins:
        """Zeros that dy needs around it: above, below, left, right."""
        return (*_margins(self.windows.rows, self.phases[0]), *_margins(self.windows.columns, self.phases[1]))

    def scratch(self, n: int, dtype: npt.DTypeLike) -> dict[str, tuple[Shape, npt.DTypeLike]]:
        """The buffers forward and backward need for a shard of n images."""
        rows, columns, channels = self.windows.rows, self.windows.columns, self.channels
        above, below, left, right = self.margins
        row = max(columns.out, *(phase.size for phase in self.phases[1])) * channels
        largest = max(phase.size for phase in self.phases[0]) * row
        across = columns.padded if columns.stride == 1 else columns.kernel * columns.out
        return {
            "border": ((n, rows.padded, across, channels), dtype),
            "d_border": ((n, above + rows.out + below, left + columns.out + right, channels), dtype),
            "rows": ((self.windows.taps * row,), dtype),
            "forward": ((self.windows.taps * columns.out * channels,), dtype),  # the weights of a row of outputs
            "phase": ((n * largest if columns.stride > 1 else 0,), dtype),
        }

    def fill(self, do: PassName, weight: Array, scratch: Scratch) -> list[Calls]:
        """The calls that fill the buffer of a pass: that of forward with the weights of a row of outputs."""
        if do == "backward":
            return []  # a row of weights is used for one phase only
        return [[copy(scratch["forward"].reshape(*weight.shape[:2], -1, self.channels), weight)]]

    def forward(self, x: Array, weight: Array, y: Array, scratch: Scratch) -> Calls:
        """The calls that write y = x * weight; the buffer "forward" is filled."""
        calls, taps = self._taps(x, scratch["border"])
        rows = scratch["forward"].reshape(*weight.shape[:2], -1)
        calls.append(partial(np.einsum, "ijnhk,ijk->nhk", taps, rows, out=y.reshape(taps.shape[2:])))
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
        """The calls that overwrite the gradients that are not None."""
        calls = [] if d_bias is None else sum_over_windows(dy, d_bias)
        if d_weight is not None:
            padding, taps = self._taps(x, scratch["border"])
            rows = scratch["rows"][: self.windows.taps * dy.shape[2] * self.channels]
            into = rows.reshape(*weight.shape[:2], -1)
            calls += padding
            outputs = dy.reshape(taps.shape[2:])
            for tap in np.ndindex(weight.shape[:2]):  # one at a time, so that the row of sums stays in the cache, too
                calls.append(partial(np.einsum, "nhk,nhk->k", taps[tap], outputs, out=into[tap]))
            by_pixel = rows.reshape(self.windows.taps, -1, self.channels)
            calls.append(partial(np.add.reduce, by_pixel, 1, np.float64, d_weight.reshape(-1, self.channels)))
        return calls if dx is None else calls + self._input_gradient(weight, dy, dx, scratch)

    def _taps(self, x: Array, border: Array) -> tuple[Calls, Array]:
        """The calls that pad x, and what the taps read of it: (kh, kw, n, rows, columns * channels)."""
        vertical, horizontal = self.windows.rows, self.windows.columns
        calls: Calls = []
        along = horizontal.dilation * self.channels
        if horizontal.stride > 1:
            calls, x = self._gathered(x, border), border
            along = horizontal.out * self.channels
        elif self.windows.padded:
            calls, x = framed(x, border, self.windows.margins), border
        n, (sn, sh, _, sc) = len(x), x.strides
        shape = (vertical.kernel, horizontal.kernel, n, vertical.out, horizontal.out * self.channels)
        return calls, as_strided(x, shape, (sh * vertical.dilation, along * sc, sn, sh * vertical.stride, sc))

    def _gathered(self, x: Array, border: Array) -> Calls:
        """The calls that copy x into (n, padded rows, kw * columns, channels), what a tap reads of a row in one."""
        vertical, horizontal = self.windows.rows, self.windows.columns
        top, bottom = vertical.before, vertical.before + x.shape[1]
        calls = [clear(side) for side in (border[:, :top], border[:, bottom:]) if side.size]
        for tap in range(horizontal.kernel):
            at, read = horizontal.reach(tap)
            into = border[:, top:bottom, tap * horizontal.out : (tap + 1) * horizontal.out]
            calls += [clear(side) for side in (into[:, :, : at.start], into[:, :, at.stop :]) if side.size]
            if at.start < at.stop:
                calls.append(copy(into[:, :, at], x[:, :, read]))
        return calls

    def _input_gradient(self, weight: Array, dy: Array, dx: Array, scratch: Scratch) -> Calls:
        """The calls that write dx, phase by phase."""
        calls, padded = [], dy
        above, _, left, _ = self.margins
        if any(self.margins):
            padded = scratch["d_border"]
            calls += framed(dy, padded, self.margins)
        for vertical, horizontal in itertools.product(*self.phases):
            place, row = dx[:, vertical.positions, horizontal.positions], horizontal.size * self.channels
            kernel = weight[vertical.taps, horizontal.taps]
            if not kernel.size:
                calls.append(clear(place))
                continue
            sn, sh, sw, sc = padded.strides
            taps = as_strided(
                padded[:, vertical.start + above :, horizontal.start + left :],
                (*kernel.shape[:2], len(dy), vertical.size, row),
                (sh * vertical.step, sw * horizontal.step, sn, sh, sc),
            )
            rows = scratch["rows"][: kernel[..., 0, 0].size * row]
            calls.append(copy(rows.reshape(*kernel.shape[:2], -1, self.channels), kernel))
            rows = rows.reshape(*kernel.shape[:2], row)
            whole_rows = self.windows.columns.stride == 1
            if whole_rows:
                out = place.reshape(len(dy), vertical.size, row)
            else:
                out = scratch["phase"][: len(dy) * vertical.size * row].reshape(len(dy), vertical.size, row)
            calls.append(partial(np.einsum, "ijnhk,ijk->nhk", taps, rows, out=out))
            if not whole_rows:
                calls.append(copy(place, out.reshape(place.shape)))
        return calls


def _margins(axis: Axis, phases: list[Phase]) -> tuple[int, int]:
    """Zeros before and after dy along one axis."""
    margins = [phase.margins(axis) for phase in phases]
    return max(0, *(before for before, _ in margins)), max(0, *(after for _, after in margins))
