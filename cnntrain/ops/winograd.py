"""Winograd's convolution: 4x4 outputs of a 3x3 kernel with 36 multiplications a channel instead of 144.

Winograd (1980) computes m outputs of an r-tap filter with m + r - 1 multiplications; Lavin and Gray (2015) nest it in
two dimensions and turn the sum over channels into matrix products. For F(4x4, 3x3), with d a 6x6 tile of the input
that begins 4 pixels after its neighbour, g the 3x3 kernel and matrices A, B, G from polynomial interpolation at
0, 1, -1, 2, -2 and infinity (ops/forms.py),

    y = A' [ (G g G') * (B' d B) ] A            * is the product of 6x6 matrices entry by entry,

and summed over channels each of the 36 entries is a product of matrices: M[t] = V[t] @ U[t] with V[t] (tiles,
channels), U[t] (channels, filters). F(4x4, 5x5) has tiles of 8x8: 64 multiplications instead of 400. A transform such
as B' d B is taken one side at a time, of all tiles and channels at once: that along the columns is a product with the
rows of the image as they lie, so that only its result has to be cut into tiles for the other. The gradient of the
weights, and that of the input, are the adjoints:

    Z = A dY A'        dU[t] = V[t]' @ Z[t]        dg = G' dU G        dV[t] = Z[t] @ U[t]'        dd = B dV B',

where overlapping tiles of dd are added up. The largest error in float32 is about 1e-5 of the largest value, against
1e-6 for direct sums; float64 loses as few digits.

A kernel that spans several moments of a clip has a U for each, and M, dU and dV are sums over the moments it sees, of
which each is transformed once: M[t, moment] = sum over k of V[t, moment + k] @ U[k, t].
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from cnntrain.core.arrays import Array, Shape
from cnntrain.ops.calls import PASSES, Calls, PassName, Thunk, add, clear, copy, copy_pixels, transposing
from cnntrain.ops.columns import Chunk, Columns
from cnntrain.ops.convolution import Scratch, sum_over_windows
from cnntrain.ops.forms import FORMS, Form
from cnntrain.ops.panels import Panels, Portion
from cnntrain.ops.products import product
from cnntrain.ops.windows import Axis, Windows

BufferShapes = dict[str, tuple[Shape, npt.DTypeLike]]

TILE_VALUES = 96 * 1024  # of one transformed chunk: 384 KB in float32; two of them and an image are in the L2 cache
CLIP_VALUES = 288 * 1024  # of a clip, whose moments stay together: fewer bands overlap less
LEAST_TILES = 96  # below this a product spends its time loading the weights
BLOCK = 64  # input channels of dU made at a time where all tiles of a shard are at hand: with 256 filters 2.3 MB

STILL = Axis(size=1, kernel=1, stride=1, dilation=1, before=0, after=0, out=1)  # the moments of an image


@dataclass(frozen=True)
class Tiles(Columns):
    """Tiles of an image as a matrix with a row for each position in a tile: (taps, tiles, channels)."""

    moments: int | None  # images that stay together, those of a clip; None where each is by itself

    def extent(self, n: int) -> tuple[int, int]:
        """The largest chunk of a shard of n images: (images, rows of tiles)."""
        rows, width = self.windows.rows.out, self.windows.columns.out
        across, most = (width, TILE_VALUES) if self.moments is None else (width * self.moments, CLIP_VALUES)
        fitting = max(most // (across * self.windows.taps * self.channels), -(-LEAST_TILES // across))
        if fitting < rows:
            bands = -(-rows // fitting)
            return self.moments or 1, -(-rows // bands)
        if self.moments is not None:
            return self.moments, rows
        chunks = -(-n // (fitting // rows))
        return -(-n // chunks), rows

    def strips(self, image: Array) -> Array:
        """The rows of tiles of padded images (n, h, w, c), contiguous: (n, rows of tiles, tile, w * c), overlapping."""
        n, height, width, channels = image.shape
        line = width * channels * image.itemsize
        tile, stride = self.windows.rows.kernel, self.windows.rows.stride
        shape = (n, (height - tile) // stride + 1, tile, width * channels)
        return as_strided(image, shape, (height * line, stride * line, line, image.itemsize))

    def cut(self, strips: Array, into: Array) -> Thunk:
        """The call that cuts contiguous strips (n, rows of tiles, tile, w * c) into (tile, tile, tiles * c), turned.

        A pixel's channels are one item.
        """
        n, rows = strips.shape[:2]
        width, tile, stride = self.windows.columns.out, self.windows.columns.kernel, self.windows.columns.stride
        item = np.dtype((np.void, self.channels * strips.itemsize))
        pixels = strips.view(item)
        step = pixels.itemsize
        across = pixels.strides[:3]
        tiles = as_strided(pixels, (n, rows, width, tile, tile), (*across[:2], stride * step, step, across[2]))
        places = into.reshape(tile, tile, -1).view(item).reshape(tile, tile, n, rows, width)
        return copy(places.transpose(2, 3, 4, 0, 1), tiles)

    def paste(self, tiles: Array, into: Array) -> Calls:
        """The adjoint of `cut`, of tiles (tile, tile, n, rows, width, c) that do not overlap any more."""
        out, tile, (n, rows, width, channels) = self.windows.columns.stride, len(tiles), tiles.shape[2:]
        pixels = into.reshape(n, rows, tile, -1, channels)
        within = pixels[:, :, :, : width * out].reshape(n, rows, tile, width, out, channels)
        return [
            copy_pixels(within.transpose(0, 1, 3, 4, 2, 5), tiles[:out].transpose(2, 3, 4, 0, 1, 5)),
            copy_pixels(pixels[:, :, :, width * out :], tiles[out:, ..., -1, :].transpose(2, 3, 1, 0, 4)),
        ]


class Term(NamedTuple):
    """What one moment of a kernel adds to a sum: to which moments, of which others, and times what."""

    into: slice
    read: slice
    u: Array  # in panels


@dataclass(frozen=True)
class Winograd:
    """A 3x3 or 5x5 convolution of stride 1, without dilation or groups, on images of one shape.

    Images are (n, h, w, channels), weights (r, r, channels, filters), both contiguous. Where `time` has a kernel, the
    images are the moments of clips, `time.size` of each before and `time.out` after, and weights (time.kernel, r, r,
    channels, filters); its stride is 1.
    """

    windows: Windows
    channels: int
    filters: int
    time: Axis = STILL

    @staticmethod
    def possible(windows: Windows, groups: int) -> bool:
        """Whether a convolution is of the kind this computes."""
        kernel = windows.rows.kernel
        axes = windows.rows, windows.columns
        plain = all((axis.kernel, axis.stride, axis.dilation) == (kernel, 1, 1) for axis in axes)
        return groups == 1 and kernel in FORMS and plain

    @staticmethod
    def worthwhile(windows: Windows, channels: int, filters: int) -> bool:
        """Whether it is faster than direct products, by shapes alone.

        A tile of 16 outputs of a 3x3 kernel costs 36 * channels * filters multiply-adds instead of 144, and for its
        transforms 360 * channels and 240 * filters. Counting what copying costs, it breaks even at the form's
        `least_width`; below its `least_used`, too much is computed beyond the edge of the image.
        """
        form = FORMS[windows.rows.kernel]
        tiles = math.prod(-(-axis.out // form.out) for axis in (windows.rows, windows.columns))
        used = windows.rows.out * windows.columns.out / (tiles * form.out * form.out)
        return min(channels, filters) >= form.least_width and used >= form.least_used

    @property
    def form(self) -> Form:
        """The form for its kernel."""
        return FORMS[self.windows.rows.kernel]

    def count_tiles(self, rows: slice) -> int:
        """The tiles of these rows of an output image, which begin with one."""
        high: int = rows.stop - rows.start
        return -(-high // self.form.out) * -(-self.windows.columns.out // self.form.out)

    @cached_property
    def tiles(self) -> Tiles:
        """The overlapping tiles of the input."""
        rows, columns = (_over_input(axis, self.form) for axis in (self.windows.rows, self.windows.columns))
        return Tiles(Windows(rows, columns), self.channels, 1, self.time.size if self.time.kernel > 1 else None)

    @cached_property
    def _reaches(self) -> list[tuple[slice, slice]]:
        """For each moment of the kernel, the outputs for which it lies in the clip, and the inputs they read there."""
        return [self.time.reach(k) for k in range(self.time.kernel)]

    def scratch(self, n: int, dtype: npt.DTypeLike) -> BufferShapes:
        """The buffers forward and backward need for a shard of n images; the two share all but their weights."""
        form, time, (images, rows) = self.form, self.time, self.tiles.extent(n)
        tiles = images // time.size * max(time.size, time.out) * rows * self.tiles.windows.columns.out
        longest = max(math.prod(part.shape) for do in PASSES for part in self._portions(do))
        u = form.square * self.channels * self.filters * time.kernel
        du = min(BLOCK, self.channels) if self._one_chunk(n) else (time.kernel + 1) * self.channels
        values = form.square * tiles * max(self.channels, self.filters)
        sizes = {
            "du": form.square * self.filters * du,
            "first": values,
            "second": values,
            "share": values if time.kernel > 1 else 0,
            "between": form.tile * form.out * tiles * self.filters,
            "outputs": form.out * form.out * tiles * self.filters,
            "border": math.prod(self.tiles.border_shape(n)),
            "kernels": form.kernel**2 * longest,
            "forward": u,
            "backward": u,  # of the transposed weights
        }
        return {name: ((size,), dtype) for name, size in sizes.items()}

    def fill(self, do: PassName, weight: Array, scratch: Scratch) -> list[Calls]:
        """The calls that fill the buffer of a pass with U, or with all U[t]' for backward, in portions: in panels."""
        form, filled = self.form, list[Calls]()
        weights = weight.reshape(self.time.kernel, form.kernel, form.kernel, self.channels, self.filters)
        for kernels, u in zip(weights, scratch[do].reshape(self.time.kernel, form.square, -1), strict=True):
            for part in self._portions(do):
                flat, calls = kernels.reshape(form.kernel**2, -1)[:, part.place], Calls()
                if do == "backward" or self._panels(do).cut:
                    room = _as(scratch["kernels"], form.kernel, form.kernel, *part.shape)
                    matrices = kernels if do == "forward" else kernels.swapaxes(2, 3)
                    calls, flat = transposing(room, matrices[..., part.rows, part.columns]), room.reshape(len(flat), -1)
                filled.append([*calls, *product(form.matrix("kernels", u), flat, u[:, part.place])])
        return filled

    def _panels(self, do: PassName) -> Panels:
        """How each matrix of U, or of all U[t]' for backward, lies in memory."""
        return Panels(self.channels, self.filters) if do == "forward" else Panels(self.filters, self.channels)

    def _portions(self, do: PassName) -> list[Portion]:
        """Each of these matrices in portions for several workers."""
        return self._panels(do).portions(self.windows.taps)

    def forward(self, x: Array, weight: Array, y: Array, scratch: Scratch) -> Calls:  # noqa: ARG002
        """The calls that write y = x * weight; the buffer "forward" is filled."""
        form, calls, time = self.form, Calls(), self.time
        u = scratch["forward"].reshape(time.kernel, form.square, -1)
        a, terms = form.matrix("output", x), [Term(at, read, u[k]) for k, (at, read) in enumerate(self._reaches)]
        for chunk, v, filling in self._inputs(x, scratch):
            seen = self._seen(chunk)
            m = _as(scratch["first"], form.square, seen.size, self.filters)
            between = _as(scratch["between"], form.out, form.tile, seen.size * self.filters)
            out = _as(scratch["outputs"], form.out, form.out, seen.size * self.filters)
            calls += filling + self._sum_of_products("forward", v, terms, m, seen.size // time.out, scratch)
            calls += [_first_axis(a, m.reshape(form.tile, form.tile, -1), between), _second_axis(a, between, out)]
            calls += [copy(place, tile) for place, tile in self._taps(y, out, seen)]
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
        whole = self._one_chunk(len(x))
        for number, (chunk, v, filling) in enumerate(self._inputs(x, scratch)):
            seen = self._seen(chunk)
            tiles, (transforming, z) = seen.size // self.time.out, self._gradients(dy, seen, scratch)
            if d_weight is None:
                calls += transforming
            elif whole:
                calls += filling + transforming + self._gradient_by_blocks(v, z, d_weight, scratch)
            else:
                calls += filling + transforming + self._add_gradient(v, z, tiles, number == 0, scratch)
            if dx is not None:
                calls += self._input_gradient(z, chunk, dx, scratch)
        if d_weight is not None and not whole:
            du = _as(scratch["du"], self.time.kernel, self.form.square, self.channels * self.filters)
            into = d_weight.reshape(self.time.kernel, self.windows.taps, -1)
            for of_tap, kernels in zip(du, into, strict=True):
                calls += product(self.form.matrix("kernels adjoint", x), of_tap, kernels)
        return calls

    def _seen(self, chunk: Chunk) -> Chunk:
        """The outputs of a chunk of inputs: as many images where these are no clips."""
        time, images = self.time, chunk.images
        start, stop = (place * time.out // time.size for place in (images.start, images.stop))
        return chunk._replace(images=slice(start, stop), size=chunk.size * time.out // time.size)

    def _one_chunk(self, n: int) -> bool:
        """Whether all tiles of a shard of n images are at hand at once."""
        return self.time.kernel == 1 and self.tiles.extent(n) == (n, self.tiles.windows.rows.out)

    def _sum_of_products(
        self, do: PassName, a: Array, terms: Sequence[Term], out: Array, tiles: int, scratch: Scratch
    ) -> Calls:
        """The calls that write the sum of a pass's terms, products of moments of `a`, into `out`."""
        panels = self._panels(do)
        whole = next((term for term in terms if (term.into.stop - term.into.start) * tiles == out.shape[1]), None)
        calls = [clear(out)] if whole is None else panels.product(_moments(a, whole.read, tiles), whole.u, out)
        for term in terms:
            place = _moments(out, term.into, tiles)
            if term is not whole and place.size:
                share = _as(scratch["share"], *place.shape)
                calls += panels.product(_moments(a, term.read, tiles), term.u, share)
                calls.append(add(place, share, place))
        return calls

    def _add_gradient(self, v: Array, z: Array, tiles: int, first: bool, scratch: Scratch) -> Calls:
        """The calls that add a chunk's share to dU of each tap, or begin with it."""
        *du, share = _as(scratch["du"], self.time.kernel + 1, self.form.square, self.channels, self.filters)
        calls = Calls()
        for of_tap, (at, read) in zip(du, self._reaches, strict=True):
            seen = _moments(v, read, tiles)
            if not seen.size:
                calls += [clear(of_tap)] if first else []
                continue
            calls += product(seen.transpose(0, 2, 1), _moments(z, at, tiles), of_tap if first else share)
            calls += [] if first else [add(of_tap, share, of_tap)]
        return calls

    def _gradient_by_blocks(self, v: Array, z: Array, d_weight: Array, scratch: Scratch) -> Calls:
        """From V of a whole shard, some input channels at a time, so that their dU is in the cache when it is read."""
        form, calls = self.form, []
        kernels = d_weight.reshape(form.kernel**2, -1)
        for start in range(0, self.channels, BLOCK):
            stop = min(start + BLOCK, self.channels)
            du = _as(scratch["du"], form.square, stop - start, self.filters)
            calls += product(v[..., start:stop].swapaxes(1, 2), z, du)
            block = kernels[:, start * self.filters : stop * self.filters]
            calls += product(form.matrix("kernels adjoint", v), du.reshape(form.square, -1), block)
        return calls

    def _input_gradient(self, z: Array, chunk: Chunk, dx: Array, scratch: Scratch) -> Calls:
        """The calls that write dx of a chunk from its Z, in the first buffer, which is overwritten.

        What a tile has beyond its first pixels, `out` along each side, lies on the next tile and is added to that:
        first to the right, while a row of tiles lies side by side, then down, from strip to strip.
        """
        form, b = self.form, self.form.matrix("input adjoint", dx)
        rows, columns = self.tiles.windows.rows, self.tiles.windows.columns
        n, high, wide = chunk.images.stop - chunk.images.start, chunk.rows.stop - chunk.rows.start, columns.out
        beyond, shape = form.tile - form.out, (form.tile, form.tile, chunk.size * self.channels)
        v, d = _as(scratch["second"], form.square, chunk.size, self.channels), _as(scratch["first"], *shape)
        u = scratch["backward"].reshape(self.time.kernel, form.square, -1)
        terms = [Term(read, at, u[k]) for k, (at, read) in enumerate(self._reaches)]
        calls = self._sum_of_products("backward", z, terms, v, chunk.size // self.time.size, scratch)
        calls.append(_first_axis(b, v.reshape(shape), d))
        tiles = d.reshape(form.tile, form.tile, n, high, wide, self.channels)
        if wide > 1:
            right, over = tiles[:beyond, ..., 1:, :], tiles[form.out :, ..., :-1, :]
            calls.append(add(right, over, right))
        strips = _as(scratch["second"], n, high, form.tile, columns.padded * self.channels)
        calls += self.tiles.paste(tiles, strips)
        turned = _as(scratch["first"], *strips.shape)
        calls.append(partial(np.matmul, b, strips, turned))
        read = turned.reshape(n, high, form.tile, columns.padded, self.channels)
        read = read[:, :, :, columns.before : columns.before + columns.size]
        return calls + _add_strips(read, dx[chunk.images], chunk, form, rows)

    def _inputs(self, x: Array, scratch: Scratch) -> Iterator[tuple[Chunk, Array, Calls]]:
        """Each chunk with its V (entries, tiles, channels), in the second buffer, and its calls; the first is free."""
        form = self.form
        border, b = _as(scratch["border"], *self.tiles.border_shape(len(x))), form.matrix("input", x)
        strips = self.tiles.strips(border if self.tiles.windows.padded else x)
        for chunk, images, rows, calls in self.tiles.bands(x, border):
            strip = strips[images, rows]
            turned = _as(scratch["second"], *strip.shape)
            d = _as(scratch["first"], form.tile, form.tile, chunk.size * self.channels)
            v = _as(scratch["second"], form.square, chunk.size, self.channels)
            calls += [partial(np.matmul, b, strip, turned), self.tiles.cut(turned, d)]
            yield chunk, v, [*calls, _first_axis(b, d, v.reshape(d.shape))]

    def _gradients(self, dy: Array, chunk: Chunk, scratch: Scratch) -> tuple[Calls, Array]:
        """The calls that make Z of a chunk, (entries, tiles, filters), in the first buffer."""
        form = self.form
        out = _as(scratch["outputs"], form.out, form.out, chunk.size * self.filters)
        between = _as(scratch["between"], form.out, form.tile, chunk.size * self.filters)
        z = _as(scratch["first"], form.square, chunk.size, self.filters)
        calls = []
        if any(axis.out % form.out for axis in (self.windows.rows, self.windows.columns)):
            calls.append(clear(out))  # what lies beyond the edge has no gradient
        calls += [copy(tile, place) for place, tile in self._taps(dy, out, chunk)]
        a = form.matrix("output adjoint", dy)
        return [*calls, _second_axis(a, out, between), _first_axis(a, between, z.reshape(form.tile, form.tile, -1))], z

    def _taps(self, image: Array, out: Array, chunk: Chunk) -> Iterator[tuple[Array, Array]]:
        """Pixels of an output image and where they lie in (m, m, tiles * filters), column by column: all at once, if
        the tiles fit it.

        Otherwise position by position of a tile, since at the edge some tiles stick out. A pixel's filters are one
        item.
        """
        form = self.form
        item = np.dtype((np.void, self.filters * image.itemsize))
        band = image[chunk.images, chunk.rows.start * form.out : chunk.rows.stop * form.out].view(item)[..., 0]
        width = self.tiles.windows.columns.out
        tiles = out.view(item).reshape(form.out, form.out, len(band), -1, width).swapaxes(0, 1)
        if band.shape[1:] == (tiles.shape[3] * form.out, width * form.out):
            yield band.reshape(len(band), -1, form.out, width, form.out), tiles.transpose(2, 3, 0, 4, 1)
            return
        for i in range(form.out):
            for j in range(form.out):
                place = band[:, i :: form.out, j :: form.out]
                yield place, tiles[i, j, :, : place.shape[1], : place.shape[2]]


def _add_strips(strips: Array, dx: Array, chunk: Chunk, form: Form, axis: Axis) -> Calls:
    """The calls that write strips (n, rows of tiles, tile, w, c) of a band of tiles into images, overlaps added."""
    high, out, beyond = strips.shape[1], form.out, form.tile - form.out
    top = chunk.rows.start * out - axis.before  # the row of the image where the band begins
    bottom = top + high * out
    band, calls = replace(axis, before=-top, out=high), Calls()

    def tiles(row: int) -> tuple[bool, int, int]:
        """Whether a row of a tile overlaps, and from which tile to which it lies in the image, with one above."""
        overlaps, (inside, _) = row < beyond, band.reach(row)
        return overlaps, max(inside.start, int(overlaps)), inside.stop

    for (overlaps, first, stop), group in itertools.groupby(range(out), tiles):
        rows = [*group]
        within = slice(rows[0], rows[-1] + 1)
        if first < stop:
            begins = dx[:, top + first * out + within.start :]
            strides = (dx.strides[0], out * dx.strides[1], *dx.strides[1:])
            place = as_strided(begins, (len(dx), stop - first, len(rows), *dx.shape[2:]), strides)
            strip, above = strips[:, first:stop, within], strips[:, first - 1 : stop - 1, out:][:, :, within]
            calls.append(add(strip, above, place) if overlaps else copy(place, strip))
    start, stop = max(0, top), min(top + beyond, axis.size)
    if start < stop:
        place, strip = dx[:, start:stop], strips[:, 0, start - top : stop - top]
        calls.append(copy(place, strip) if chunk.first else add(place, strip, place))
    start, stop = max(0, bottom), min(bottom + beyond, axis.size)
    if start < stop:
        calls.append(copy(dx[:, start:stop], strips[:, -1, out + start - bottom : out + stop - bottom]))
    return calls


def _first_axis(matrix: Array, values: Array, out: Array) -> Thunk:
    """The call that writes the product of a matrix with the first axis of values (a, b, c) into out (d, b, c)."""
    return partial(np.matmul, matrix, values.swapaxes(0, 1), out.swapaxes(0, 1))


def _second_axis(matrix: Array, values: Array, out: Array) -> Thunk:
    """The call that writes the product of a matrix with the second axis of values (a, b, c) into out (a, d, c)."""
    return partial(np.matmul, matrix, values, out)


def _moments(values: Array, which: slice, tiles: int) -> Array:
    """Some moments of values (entries, moments * tiles, width)."""
    return values[:, which.start * tiles : which.stop * tiles]


def _as(buffer: Array, *shape: int) -> Array:
    """The beginning of a flat buffer in a shape."""
    return buffer[: math.prod(shape)].reshape(shape)


def _over_input(axis: Axis, form: Form) -> Axis:
    """The tiles along one axis of the input; the last may reach further than the padding does."""
    tiles = -(-axis.out // form.out)
    padded = (tiles - 1) * form.out + form.tile
    return Axis(axis.size, form.tile, form.out, 1, axis.before, padded - axis.before - axis.size, tiles)
