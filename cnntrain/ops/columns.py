"""Columns turn convolution into matrix products: one row for each window, one column for each value it reads.

The matrix is `kernel height * kernel width` times as large as the image, so it is never made whole. It is made for a
chunk of windows at a time, small enough to stay in a core's second-level cache while it is multiplied, and made again
in backward instead of being kept (cuDNN does the same: Chetlur et al. 2014).

A row is made of runs of values that lie side by side in the image too: one for each row of the window. NumPy copies
arrays of few large items faster than of many small ones, so a run is one item (of type void). For images with a single
channel the transposed matrix is made instead, whose runs are as long as a row of windows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cnntrain.core.arrays import Array, Shape
from cnntrain.ops.calls import Calls, add, clear, copy
from cnntrain.ops.margins import framed, middle
from cnntrain.ops.windows import Windows

CHUNK_VALUES = 512 * 1024  # of the columns: 2 MB of float32
LEAST_ROWS = 192  # below this a product spends its time loading the weights
LEAST_CHANNELS = 16  # below this products for single taps are too narrow
FIELD_VALUES = 256 * 1024  # of images that are padded together


class Chunk(NamedTuple):
    """Windows that are handled together: whole images, or a band of the rows of one."""

    images: slice
    rows: slice  # of windows
    size: int  # windows in all
    first: bool  # the first chunk of its images
    last: bool  # the last chunk of its images


@dataclass(frozen=True)
class Columns:
    """The column matrix of a convolution on images with `channels`, split into `groups`."""

    windows: Windows
    channels: int
    groups: int

    @property
    def depth(self) -> int:
        """Values one window reads in one group: the length of a product's sums."""
        return self.windows.taps * (self.channels // self.groups)

    @property
    def transposed(self) -> bool:
        """Whether the matrix is made with a row for each value instead of a column."""
        return self.channels == self.groups

    @property
    def scattered_by_tap(self) -> bool:
        """Whether `scatter` has a matrix for each tap: what a tap adds to a row of the image lies side by side then."""
        return self.groups == 1 and self.windows.columns.stride == 1 and self.channels >= LEAST_CHANNELS

    def extent(self, n: int) -> tuple[int, int]:
        """The largest chunk of a shard of n images: (images, rows of windows). Depends on shapes alone."""
        rows, width = self.windows.rows.out, self.windows.columns.out
        if self.windows.pointwise:
            return n, rows
        fitting = max(CHUNK_VALUES // (width * self.depth * self.groups), -(-LEAST_ROWS // width), 1)
        if fitting < rows:
            bands = -(-rows // fitting)
            return 1, -(-rows // bands)
        chunks = -(-n // (fitting // rows))
        return -(-n // chunks), rows

    def chunks(self, n: int) -> Iterator[Chunk]:
        """The chunks of a shard of n images, in order."""
        images, rows = self.extent(n)
        height, width = self.windows.rows.out, self.windows.columns.out
        for i in range(0, n, images):
            count = min(images, n - i)
            for r in range(0, height, rows):
                band = min(rows, height - r)
                yield Chunk(slice(i, i + count), slice(r, r + band), count * band * width, r == 0, r + band == height)

    def matrix_size(self, n: int) -> int:
        """Values of the largest chunk's matrix, all groups together."""
        images, rows = self.extent(n)
        return images * rows * self.windows.columns.out * self.depth * self.groups

    def field(self, n: int) -> int:
        """How many images of a shard of n are padded together, chunks of them; 0 where one is too large for that."""
        images, _ = self.extent(n)
        chunks = FIELD_VALUES // (self.windows.rows.padded * self.windows.columns.padded * self.channels * images)
        return min(chunks * images, -(-n // images) * images)

    def border_shape(self, n: int) -> Shape:
        """Shape of the padded input of the largest field or chunk; empty where nothing is padded."""
        if not self.windows.padded:
            return (0, 0, 0, 0)
        vertical, across = self.windows.rows, self.windows.columns.padded
        if field := self.field(n):
            return field, vertical.padded, across, self.channels
        images, rows = self.extent(n)
        return images, (rows - 1) * vertical.stride + vertical.extent, across, self.channels

    def gradient_shape(self, n: int) -> Shape:
        """Shape of the padded input gradient of the largest chunk's images; empty where nothing is padded."""
        if not self.windows.padded:
            return (0, 0, 0, 0)
        return self.extent(n)[0], self.windows.rows.padded, self.windows.columns.padded, self.channels

    def views(self, image: Array) -> Array:
        """What the windows of padded images (n, h, w, c) read: (groups, n, rows, columns, kh, kw, c / groups)."""
        vertical, horizontal = self.windows.rows, self.windows.columns
        n, height, _, channels = image.shape
        sn, sh, sw, sc = image.strides
        per_group = channels // self.groups
        rows = (height - vertical.extent) // vertical.stride + 1
        shape = (self.groups, n, rows, horizontal.out, vertical.kernel, horizontal.kernel, per_group)
        strides = (
            per_group * sc,
            sn,
            sh * vertical.stride,
            sw * horizontal.stride,
            sh * vertical.dilation,
            sw * horizontal.dilation,
            sc,
        )
        return as_strided(image, shape, strides)

    def split(self, matrix: Array, chunk: Chunk) -> tuple[Array, Array]:
        """A flat buffer as a chunk's matrix (groups, windows, depth), and as `views` has it."""
        vertical, horizontal = self.windows.rows, self.windows.columns
        groups, per_group, width = self.groups, self.channels // self.groups, horizontal.out
        taps = (vertical.kernel, horizontal.kernel, per_group)
        spots = (chunk.images.stop - chunk.images.start, chunk.rows.stop - chunk.rows.start, width)
        used = matrix[: groups * chunk.size * self.depth]
        if self.transposed:
            flat = used.reshape(groups, self.depth, chunk.size).transpose(0, 2, 1)
            return flat, used.reshape(groups, *taps, *spots).transpose(0, 4, 5, 6, 1, 2, 3)
        return used.reshape(groups, chunk.size, self.depth), used.reshape(groups, *spots, *taps)

    def gather(self, x: Array, matrix: Array, border: Array) -> Iterator[tuple[Chunk, Array, Calls]]:
        """Each chunk of images x (n, h, w, c) with its matrix (groups, windows, depth) and the calls that fill it.

        The matrix lies in the buffer `matrix`, valid until the next chunk is filled; `border` holds the padded input.
        A pointwise convolution's matrix is the image itself, and nothing is copied.
        """
        if self.windows.pointwise:
            for chunk in self.chunks(len(x)):
                yield chunk, x.reshape(chunk.size, self.groups, -1).transpose(1, 0, 2), []
            return
        assert x.dtype == matrix.dtype, "items of bytes are copied without looking at what they hold"
        source = self._sources(border if self.windows.padded else x)
        for chunk, images, rows, calls in self.bands(x, border):
            into = self._targets(matrix, chunk)
            yield chunk, self.split(matrix, chunk)[0], [*calls, copy(into, source[:, images, rows])]

    def bands(self, x: Array, border: Array) -> Iterator[tuple[Chunk, slice, slice, Calls]]:
        """Each chunk with its own images and rows of windows, and the calls that put them there.

        The images are those of `border` once the calls have run; where nothing is padded, those of x.
        """
        field = self.field(len(x))
        for chunk in self.chunks(len(x)):
            images, rows, calls = chunk.images, chunk.rows, []
            count = images.stop - images.start
            if self.windows.padded and field:
                if images.start % field == 0 and chunk.first:
                    calls = self._pad(x[images.start :][:field], border, edges=images.start == 0)
                images = slice(images.start % field, images.start % field + count)
            elif self.windows.padded:
                calls = self._surround(x, chunk, border)
                images, rows = slice(count), slice(rows.stop - rows.start)
            yield chunk, images, rows, calls

    def _pad(self, x: Array, border: Array, edges: bool) -> Calls:
        """Copy whole images between the margins, and zero those where they may still hold anything."""
        used, margins = border[: len(x)], self.windows.margins
        return framed(x, used, margins) if edges else [copy(middle(used, margins), x)]

    def _surround(self, x: Array, chunk: Chunk, border: Array) -> Calls:
        """Copy the rows a chunk reads between the borders, and zero the rows beyond the image."""
        vertical, left = self.windows.rows, self.windows.columns.before
        images, right = chunk.images.stop - chunk.images.start, left + x.shape[2]
        top = chunk.rows.start * vertical.stride - vertical.before
        height = (chunk.rows.stop - chunk.rows.start - 1) * vertical.stride + vertical.extent
        first, stop = min(max(0, -top), height), max(0, min(height, vertical.size - top))
        sides = [border[:images, :first], border[:images, stop:height]]
        if chunk.first and chunk.images.start == 0:
            sides += [border[:, :, :left], border[:, :, right:]]
        calls = [clear(side) for side in sides if side.size]
        if first < stop:
            calls.append(copy(border[:images, first:stop, left:right], x[chunk.images, top + first : top + stop]))
        return calls

    @property
    def _run(self) -> int:
        """How many axes of `views`, from the last, lie side by side both in an image and in the matrix."""
        if self.transposed:
            return 0
        return 2 if self.groups == 1 and self.windows.columns.dilation == 1 else 1

    def _sources(self, image: Array) -> Array:
        """`views` with every run as one item."""
        return _by_runs(self.views(image), image, self._run)

    def _targets(self, matrix: Array, chunk: Chunk) -> Array:
        """A chunk of the matrix, as `_sources` has it."""
        return _by_runs(self.split(matrix, chunk)[1], matrix, self._run)

    def scatter(self, matrix: Array, dx: Array, border: Array) -> Iterator[tuple[Chunk, Array, Calls, Calls]]:
        """The adjoint of gather: each chunk with its matrix, to be filled between the first calls and the second.

        The matrix is (groups, windows, depth), or with `scattered_by_tap` (taps, windows, channels). Every position of
        dx becomes the sum of the matrix entries that were copied from it, in a fixed order.
        """
        for chunk in self.chunks(len(dx)):
            flat, taps = self.split(matrix, chunk)
            if self.scattered_by_tap:
                flat = matrix[: flat.size].reshape(self.windows.taps, chunk.size, self.channels)
                taps = flat.reshape(*taps.shape[4:6], *taps.shape[:4], -1).transpose(2, 3, 4, 5, 0, 1, 6)
            if not self.windows.padded:
                yield (
                    chunk,
                    flat,
                    [clear(dx[chunk.images])] if chunk.first else [],
                    self._add_taps(dx[chunk.images], chunk, taps),
                )
                continue
            padded = border[: taps.shape[1]]
            after = self._add_taps(padded, chunk, taps)
            if chunk.last:
                after.append(copy(dx[chunk.images], middle(padded, self.windows.margins)))
            yield chunk, flat, [clear(padded)] if chunk.first else [], after

    def _add_taps(self, padded: Array, chunk: Chunk, taps: Array) -> Calls:
        """Add one tap after the other; within a tap no two windows meet."""
        into = self.views(padded)[:, :, chunk.rows]
        places = [
            (into[:, :, :, :, i, j], taps[:, :, :, :, i, j])
            for i in range(self.windows.rows.kernel)
            for j in range(self.windows.columns.kernel)
        ]
        return [add(place, tap, place) for place, tap in places]


def _by_runs(view: Array, memory: Array, axes: int) -> Array:
    """A view that begins where `memory` does, contiguous, with its last axes, which lie side by side, as one item."""
    if not axes:
        return view
    item = np.dtype((np.void, math.prod(view.shape[-axes:]) * view.itemsize))
    return np.ndarray(view.shape[:-axes], item, memory, 0, view.strides[:-axes])
