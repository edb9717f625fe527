"""Winograd's convolution: a 3x3 kernel on tiles of 4x4 outputs with 36 multiplications a channel instead of 144.

Winograd (1980) computes m outputs of an r-tap filter with m + r - 1 multiplications; Lavin and Gray (2015) nest it in
two dimensions and turn the sum over channels into matrix products. For F(4x4, 3x3), with d a 6x6 tile of the input
that begins 4 pixels after its neighbour, g the 3x3 kernel and matrices A, B, G from polynomial interpolation at
0, 1, -1, 2, -2 and infinity,

    y = A' [ (G g G') * (B' d B) ] A            * is the product of 6x6 matrices entry by entry,

and summed over channels each of the 36 entries is a product of matrices: M[t] = V[t] @ U[t] with V[t] (tiles,
channels), U[t] (channels, filters). A transform such as B' d B is taken one side at a time, of all tiles and channels
at once: that along the columns is a product with six rows of the image as they lie, so that only its result has to
be cut into tiles for the other. The gradient of the weights is the adjoint,

    Z = A dY A'        dU[t] = V[t]' @ Z[t]        dg = G' dU G,

and that of the input is the same kind of convolution again, of dy with the kernels turned by half a circle. The
largest error in float32 is about 1e-5 of the largest value, against 1e-6 for direct sums; float64 loses as few digits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from cnntrain.core.arrays import Array, Shape
from cnntrain.ops.calls import Calls, PassName, Thunk, add, clear, copy, portions, transposing
from cnntrain.ops.columns import Chunk, Columns
from cnntrain.ops.convolution import Scratch, sum_over_windows, turned
from cnntrain.ops.products import product
from cnntrain.ops.windows import Axis, Windows

BufferShapes = dict[str, tuple[Shape, npt.DTypeLike]]

OUT, KERNEL = 4, 3  # F(4x4, 3x3)
TILE = OUT + KERNEL - 1
SQUARE = TILE * TILE
TILE_VALUES = 96 * 1024  # of one transformed chunk: 384 KB in float32; two of them and an image are in the L2 cache
LEAST_TILES = 96  # below this a product spends its time loading the weights
LEAST_WIDTH = 16  # channels and filters from which it pays
LEAST_USED = 0.7  # of the outputs of the tiles
BLOCK = 64  # input channels of dU made at a time where all tiles of a shard are at hand: with 256 filters 2.3 MB

INPUT = np.array(  # B'
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
WEIGHT = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24  # G
OUTPUT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])  # A'
# Both sides of a kernel at once, which is small: U = KERNELS @ g. The 36 entries are in the order of all transformed
# tiles here, column by column.
KERNELS = np.kron(WEIGHT, WEIGHT).reshape(TILE, TILE, -1).swapaxes(0, 1).reshape(SQUARE, -1)
_MATRICES = {
    (name, dtype): np.ascontiguousarray(matrix, dtype)
    for name, matrix in (
        ("input", INPUT),
        ("output", OUTPUT),
        ("output adjoint", OUTPUT.T),
        ("kernels", KERNELS),
        ("kernels adjoint", KERNELS.T),
    )
    for dtype in (np.dtype(np.float32), np.dtype(np.float64))
}


@dataclass(frozen=True)
class Tiles(Columns):
    """Tiles of an image as a matrix with a row for each position in a tile: (taps, tiles, channels)."""

    def extent(self, n: int) -> tuple[int, int]:
        """The largest chunk of a shard of n images: (images, rows of tiles)."""
        rows, width = self.windows.rows.out, self.windows.columns.out
        fitting = max(TILE_VALUES // (width * SQUARE * self.channels), -(-LEAST_TILES // width))
        if fitting < rows:
            bands = -(-rows // fitting)
            return 1, -(-rows // bands)
        chunks = -(-n // (fitting // rows))
        return -(-n // chunks), rows

    def strips(self, image: Array) -> Array:
        """The rows of tiles of padded images (n, h, w, c), contiguous: (n, rows of tiles, 6, w * c), overlapping."""
        n, height, width, channels = image.shape
        line = width * channels * image.itemsize
        shape = (n, (height - TILE) // OUT + 1, TILE, width * channels)
        return as_strided(image, shape, (height * line, OUT * line, line, image.itemsize))

    def cut(self, strips: Array, into: Array) -> Thunk:
        """The call that cuts contiguous strips (n, rows of tiles, 6, w * c) into tiles (6, 6, tiles * c), turned.

        A pixel's channels are one item.
        """
        n, rows = strips.shape[:2]
        width = self.windows.columns.out
        item = np.dtype((np.void, self.channels * strips.itemsize))
        pixels = strips.view(item)
        step = pixels.itemsize
        across = pixels.strides[:3]
        tiles = as_strided(pixels, (n, rows, width, TILE, TILE), (*across[:2], OUT * step, step, across[2]))
        places = into.reshape(TILE, TILE, -1).view(item).reshape(TILE, TILE, n, rows, width)
        return copy(places.transpose(2, 3, 4, 0, 1), tiles)


@dataclass(frozen=True)
class Winograd:
    """A 3x3 convolution of stride 1, without dilation or groups, on images of one shape.

    Images are (n, h, w, channels), weights (3, 3, channels, filters), both contiguous.
    """

    windows: Windows
    channels: int
    filters: int

    @staticmethod
    def possible(windows: Windows, groups: int) -> bool:
        """Whether a convolution is of the kind this computes, and its turned one too."""
        axes = windows.rows, windows.columns
        return groups == 1 and all(
            (axis.kernel, axis.stride, axis.dilation) == (KERNEL, 1, 1) and max(axis.before, axis.after) < KERNEL
            for axis in axes
        )

    @staticmethod
    def worthwhile(windows: Windows, channels: int, filters: int) -> bool:
        """Whether it is faster than direct products, by shapes alone.

        A tile of 16 outputs costs 36 * channels * filters multiply-adds instead of 144, and for its transforms
        360 * channels and 240 * filters. Counting what copying costs, it breaks even at about 16 channels and
        filters (timings on AVX-512 machines); below LEAST_USED, too much is computed beyond the edge of the image.
        """
        tiles = math.prod(-(-axis.out // OUT) for axis in (windows.rows, windows.columns))
        used = windows.rows.out * windows.columns.out / (tiles * OUT * OUT)
        return min(channels, filters) >= LEAST_WIDTH and used >= LEAST_USED

    @cached_property
    def turned(self) -> Winograd:
        """The convolution that takes dy to dx."""
        rows, columns = turned(self.windows.rows), turned(self.windows.columns)
        assert rows is not None
        assert columns is not None
        return Winograd(Windows(rows, columns), self.filters, self.channels)

    @cached_property
    def tiles(self) -> Tiles:
        """The overlapping 6x6 tiles of the input."""
        return Tiles(Windows(_over_input(self.windows.rows), _over_input(self.windows.columns)), self.channels, 1)

    def scratch(self, n: int, dtype: npt.DTypeLike) -> BufferShapes:
        """The buffers forward and backward need for a shard of n images; the two share all but their weights."""
        there, back = self._one_way(n), self.turned._one_way(n)
        sizes = {name: max(there[name], back[name]) for name in there}
        longest = max(part.stop - part.start for part in self._portions(self.filters))
        sizes |= {"kernels": KERNEL * KERNEL * self.channels * longest}
        sizes |= dict.fromkeys(("forward", "backward"), SQUARE * self.channels * self.filters)  # U, that of dy's way
        return {name: ((size,), dtype) for name, size in sizes.items()}

    def _one_way(self, n: int) -> dict[str, int]:
        images, rows = self.tiles.extent(n)
        tiles = images * rows * self.tiles.windows.columns.out
        whole = images == n and rows == self.tiles.windows.rows.out
        gradient = SQUARE * self.filters * (min(BLOCK, self.channels) if whole else 2 * self.channels)
        return {
            "du": gradient,
            "first": SQUARE * tiles * max(self.channels, self.filters),
            "second": SQUARE * tiles * max(self.channels, self.filters),
            "between": TILE * OUT * tiles * self.filters,
            "outputs": OUT * OUT * tiles * self.filters,
            "border": math.prod(self.tiles.border_shape(n)),
        }

    def fill(self, do: PassName, weight: Array, scratch: Scratch) -> list[Calls]:
        """The calls that fill the buffer of a pass with U, of the weights or of the turned ones, in portions."""
        u = scratch[do].reshape(SQUARE, -1)
        if do == "forward":
            flat = weight.reshape(KERNEL * KERNEL, -1)
            cuts = [_times(part, self.filters) for part in self._portions(self.channels)]
            return [product(_matrix("kernels", u), flat[:, cut], u[:, cut]) for cut in cuts]
        filled: list[Calls] = []
        for part in self._portions(self.filters):
            kernels = _as(scratch["kernels"], KERNEL, KERNEL, part.stop - part.start, self.channels)
            calls = transposing(kernels, weight[::-1, ::-1, :, part].swapaxes(2, 3))
            flat, cut = kernels.reshape(KERNEL * KERNEL, -1), _times(part, self.channels)
            filled.append([*calls, *product(_matrix("kernels", u), flat, u[:, cut])])
        return filled

    def _portions(self, length: int) -> list[slice]:
        """The channels or the filters, so many, in portions for several workers."""
        return portions(length, KERNEL * KERNEL * self.channels * self.filters)

    def forward(self, x: Array, weight: Array, y: Array, scratch: Scratch) -> Calls:  # noqa: ARG002
        """The calls that write y = x * weight; the buffer "forward" is filled."""
        return self._convolve(x, scratch["forward"], y, scratch)

    def _convolve(self, x: Array, u: Array, y: Array, scratch: Scratch) -> Calls:
        """The calls that write the convolution of x with the weights of which U was made."""
        u, calls = _as(u, SQUARE, self.channels, self.filters), []
        for chunk, v, filling in self._inputs(x, scratch):
            m = _as(scratch["first"], SQUARE, chunk.size, self.filters)
            between = _as(scratch["between"], OUT, TILE, chunk.size * self.filters)
            out = _as(scratch["outputs"], OUT, OUT, chunk.size * self.filters)
            a = _matrix("output", x)
            calls += filling + product(v, u, m)
            calls += [_first_axis(a, m.reshape(TILE, TILE, -1), between), _second_axis(a, between, out)]
            calls += [copy(place, tile) for place, tile in self._taps(y, out, chunk)]
        return calls

    def backward(
        self,
        x: Array,
        weight: Array,  # noqa: ARG002  (U is made of it)
        dy: Array,
        d_weight: Array | None,
        d_bias: Array | None,
        dx: Array | None,
        scratch: Scratch,
    ) -> Calls:
        """The calls that overwrite the gradients that are not None; for dx the buffer "backward" is filled."""
        calls = [] if d_bias is None else sum_over_windows(dy, d_bias)
        if d_weight is not None:
            calls += self._weight_gradient(x, dy, d_weight, scratch)
        return calls if dx is None else calls + self.turned._convolve(dy, scratch["backward"], dx, scratch)

    def _weight_gradient(self, x: Array, dy: Array, d_weight: Array, scratch: Scratch) -> Calls:
        chunks = list(self._inputs(x, scratch))
        if len(chunks) == 1:
            return self._gradient_by_blocks(*chunks[0], dy, d_weight, scratch)
        du, share = _as(scratch["du"], 2, SQUARE, self.channels, self.filters)
        calls, into = [], du
        for chunk, v, filling in chunks:
            transforming, z = self._gradients(dy, chunk, scratch)
            calls += filling + transforming + product(v.transpose(0, 2, 1), z, into)
            if into is share:
                calls.append(add(du, share, du))
            into = share
        return calls + product(_matrix("kernels adjoint", x), du.reshape(SQUARE, -1), d_weight.reshape(KERNEL**2, -1))

    def _gradient_by_blocks(
        self, chunk: Chunk, v: Array, filling: Calls, dy: Array, d_weight: Array, scratch: Scratch
    ) -> Calls:
        """From V of a whole shard, some input channels at a time, so that their dU is in the cache when it is read."""
        transforming, z = self._gradients(dy, chunk, scratch)
        calls, kernels = filling + transforming, d_weight.reshape(KERNEL * KERNEL, -1)
        for start in range(0, self.channels, BLOCK):
            stop = min(start + BLOCK, self.channels)
            du = _as(scratch["du"], SQUARE, stop - start, self.filters)
            calls += product(v[..., start:stop].swapaxes(1, 2), z, du)
            block = kernels[:, start * self.filters : stop * self.filters]
            calls += product(_matrix("kernels adjoint", v), du.reshape(SQUARE, -1), block)
        return calls

    def _inputs(self, x: Array, scratch: Scratch) -> Iterator[tuple[Chunk, Array, Calls]]:
        """Each chunk with its V (36, tiles, channels), in the second buffer, and its calls; the first is free again."""
        border, b = _as(scratch["border"], *self.tiles.border_shape(len(x))), _matrix("input", x)
        strips = self.tiles.strips(border if self.tiles.windows.padded else x)
        for chunk, images, rows, calls in self.tiles.bands(x, border):
            strip = strips[images, rows]
            turned = _as(scratch["second"], *strip.shape)
            d = _as(scratch["first"], TILE, TILE, chunk.size * self.channels)
            v = _as(scratch["second"], SQUARE, chunk.size, self.channels)
            calls += [partial(np.matmul, b, strip, turned), self.tiles.cut(turned, d)]
            yield chunk, v, [*calls, _first_axis(b, d, v.reshape(d.shape))]

    def _gradients(self, dy: Array, chunk: Chunk, scratch: Scratch) -> tuple[Calls, Array]:
        """The calls that make Z of a chunk, (36, tiles, filters), in the first buffer."""
        out = _as(scratch["outputs"], OUT, OUT, chunk.size * self.filters)
        between = _as(scratch["between"], OUT, TILE, chunk.size * self.filters)
        z = _as(scratch["first"], SQUARE, chunk.size, self.filters)
        calls = []
        if any(axis.out % OUT for axis in (self.windows.rows, self.windows.columns)):
            calls.append(clear(out))  # what lies beyond the edge has no gradient
        calls += [copy(tile, place) for place, tile in self._taps(dy, out, chunk)]
        a = _matrix("output adjoint", dy)
        return [*calls, _second_axis(a, out, between), _first_axis(a, between, z.reshape(TILE, TILE, -1))], z

    def _taps(self, image: Array, out: Array, chunk: Chunk) -> Iterator[tuple[Array, Array]]:
        """Pixels of an output image and where they lie in (4, 4, tiles * filters), column by column: all at once, if
        the tiles fit it.

        Otherwise position by position of a tile, since at the edge some tiles stick out. A pixel's filters are one
        item.
        """
        item = np.dtype((np.void, self.filters * image.itemsize))
        band = image[chunk.images, chunk.rows.start * OUT : chunk.rows.stop * OUT].view(item)[..., 0]
        width = self.tiles.windows.columns.out
        tiles = out.view(item).reshape(OUT, OUT, len(band), -1, width).swapaxes(0, 1)
        if band.shape[1:] == (tiles.shape[3] * OUT, width * OUT):
            yield band.reshape(len(band), -1, OUT, width, OUT), tiles.transpose(2, 3, 0, 4, 1)
            return
        for i in range(OUT):
            for j in range(OUT):
                place = band[:, i::OUT, j::OUT]
                yield place, tiles[i, j, :, : place.shape[1], : place.shape[2]]


def _first_axis(matrix: Array, values: Array, out: Array) -> Thunk:
    """The call that writes the product of a matrix with the first axis of values (a, b, c) into out (d, b, c)."""
    return partial(np.matmul, matrix, values.swapaxes(0, 1), out.swapaxes(0, 1))


def _second_axis(matrix: Array, values: Array, out: Array) -> Thunk:
    """The call that writes the product of a matrix with the second axis of values (a, b, c) into out (a, d, c)."""
    return partial(np.matmul, matrix, values, out)


def _times(part: slice, values: int) -> slice:
    """The values of a part of an axis, each place of which has so many."""
    return slice(part.start * values, part.stop * values)


def _as(buffer: Array, *shape: int) -> Array:
    """The beginning of a flat buffer in a shape."""
    return buffer[: math.prod(shape)].reshape(shape)


def _matrix(name: str, like: Array) -> Array:
    return _MATRICES[name, like.dtype]


def _over_input(axis: Axis) -> Axis:
    """The tiles along one axis of the input; the last may reach further than the padding does."""
    tiles = -(-axis.out // OUT)
    padded = (tiles - 1) * OUT + TILE
    return Axis(axis.size, TILE, OUT, 1, axis.before, padded - axis.before - axis.size, tiles)
