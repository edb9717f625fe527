"""Box levels gather what the maps of a detector say of each location into one list of boxes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.locations import BOX, FIXED, PLACE, QUALITY, STRIDE
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, Workspace, example, image

_FARTHEST = float(np.log(1000.0))  # a side of a box is at most 1,000 strides from its location
_SIGNS = np.array([-1.0, -1.0, 1.0, 1.0])


@register("box_levels")
@dataclass(frozen=True)
class BoxLevels(Layer):
    """The boxes of one or several maps, one after the other: (locations, 8 + classes) (FCOS; Tian et al. 2019).

    The first input is the picture, of which only the size is read: `from: [input, p3, p4]`. Every other is a map of
    5 + classes channels whose stride s is the picture's side divided by its own. Its location (i, j) lies at the middle
    (x, y) = ((j + 1/2) s, (i + 1/2) s) of the square that it stands for. From the first four channels follow the
    distances to the sides of the box, d = s exp(min(z, log 1000)), and so

        x1 = x - d_left,   y1 = y - d_top,   x2 = x + d_right,   y2 = y + d_bottom,

    with dz = -+ dy d, or 0 where z was larger. The fifth channel is the logit of the box's quality, the rest are those
    of the classes; both are passed on. A row is x1 y1 x2 y2, x y s, quality, scores (ops/locations.py).
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((16, 24, 3), (2, 3, 7)),
        example((8, 8, 1), (4, 4, 6), (2, 2, 6), (1, 1, 6)),
    )
    inputs: ClassVar[tuple[int, int | None]] = (2, None)
    keeps: ClassVar[tuple[str, ...]] = ()

    def output_shape(self, *inputs: Shape) -> Shape:
        """(locations of all maps, 8 + classes). Raises ValueError for maps that do not tile the picture."""
        height, width, _ = image(inputs[0], "box_levels")
        locations = 0
        for shape in inputs[1:]:
            rows, columns, channels = image(shape, "box_levels")
            if height % rows or height // rows * columns != width:
                raise ValueError(
                    f"box_levels: a map of {rows}x{columns} does not tile the picture of {height}x{width}, which is "
                    "the first of 'from': make the picture's sides multiples of the stride"
                )
            if channels != inputs[1][2] or channels < 6:
                raise ValueError(
                    f"box_levels needs maps of 4 distances, a quality and the classes, all alike; got {channels} "
                    f"channels and {inputs[1][2]}"
                )
            locations += rows * columns
        return locations, FIXED + inputs[1][2] - 5

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """The distances, with the sign of their gradient; 0 where they are cut off, which `near` says."""
        sides = (n, self.output_shape(*inputs)[0], 4)
        return Workspace(kept={"slopes": (sides, dtype)}, scratch={"near": (sides, np.bool_)})

    def flops(self, *inputs: Shape) -> int:
        """An exponential, a product and a sum for each side of a box."""
        return 12 * self.output_shape(*inputs)[0]

    def forward(self, f: Frame) -> None:
        """Write the rows."""
        places = f.once("places", _places)
        f.y[..., PLACE.start : STRIDE + 1] = places
        slopes = f.kept["slopes"]
        for x, rows in _levels(f.xs):
            z = x.reshape(len(x), -1, x.shape[-1])
            d = slopes[:, rows]
            np.minimum(z[..., :4], _FARTHEST, out=d)
            np.exp(d, out=d)
            np.multiply(d, places[rows, 2:3] * _SIGNS.astype(d.dtype), out=d)
            np.add(d, places[rows][:, [0, 1, 0, 1]], out=f.y[:, rows, BOX])
            np.copyto(f.y[:, rows, QUALITY:], z[..., 4:])
            np.multiply(d, np.less_equal(z[..., :4], _FARTHEST, out=f.scratch["near"][:, rows]), out=d)

    def backward(self, f: Frame) -> None:
        """Write the gradients in the maps; none reaches the picture."""
        if f.dxs[0] is not None:
            f.dxs[0].fill(0)
        for dx, (_, rows) in zip(f.dxs[1:], _levels(f.xs), strict=True):
            if dx is not None:
                dz = dx.reshape(len(dx), -1, dx.shape[-1])
                np.multiply(f.dy[:, rows, BOX], f.kept["slopes"][:, rows], out=dz[..., :4])
                np.copyto(dz[..., 4:], f.dy[:, rows, QUALITY:])

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """Each map by itself, then one behind the other; boxes come out decoded."""
        levels = []
        height = xs[0].shape[0]
        for number, x in enumerate(xs[1:], 1):
            rows, columns, channels = x.shape
            places = places_of((rows, columns), height // rows)
            parts = [((0, rows, 1), (0, columns, 1), part) for part in ((0, 4, 1), (0, 3, 1), (4, channels, 1))]
            sides, three, rest = (
                t.op("slice", x, shape=(rows, columns, part[2][1] - part[2][0]), parts=part) for part in parts
            )
            reach = t.constant(f"reach_{number}", _SIGNS * (height // rows))
            middle = t.constant(f"middle_{number}", places[:, [0, 1, 0, 1]].reshape(rows, columns, 4))
            boxes = t.op("add", t.op("mul", t.op("exp", t.op("min", sides, _FARTHEST)), reach), middle)
            fixed = t.constant(f"place_{number}", places.reshape(rows, columns, 3))
            place = t.op("add", t.op("mul", three, 0.0), fixed)
            shape = (rows, columns, channels + FIXED - 5)
            level = t.op("concat", boxes, place, rest, shape=shape, axis=2)
            levels.append(t.reshape(level, (rows * columns, shape[2])))
        if len(levels) == 1:
            return levels[0]
        return t.op("concat", *levels, shape=self.output_shape(*(x.shape for x in xs)), axis=0)


def places_of(size: tuple[int, int], stride: int) -> Array:
    """The middles and the stride of a map's locations, float64 (rows * columns, 3): x, y, s."""
    y, x = np.mgrid[: size[0], : size[1]]
    rows = np.stack([(x + 0.5) * stride, (y + 0.5) * stride, np.full(size, float(stride))], axis=-1)
    return rows.reshape(-1, 3)


def _places(f: Frame) -> Array:
    """The same for all maps, in the type of the outputs."""
    height = f.x.shape[1]
    levels = [places_of((x.shape[1], x.shape[2]), height // x.shape[1]) for x in f.xs[1:]]
    return np.concatenate(levels).astype(f.y.dtype)


def _levels(xs: tuple[Array, ...]) -> Iterator[tuple[Array, slice]]:
    """Each map, and the rows of the output that are its own."""
    start = 0
    for x in xs[1:]:
        stop = start + x.shape[1] * x.shape[2]
        yield x, slice(start, stop)
        start = stop
