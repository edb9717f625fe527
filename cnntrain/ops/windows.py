"""Windows are the places a kernel visits: one axis at a time, with stride, dilation and padding.

Convolution and pooling share them. Tap t of window r reads position `r * stride + t * dilation - before` of the
input; positions outside it are padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from cnntrain.config.fields import NonNegativeInt, Pair
from cnntrain.ops.margins import Margins

Padding = (
    NonNegativeInt
    | Literal["same", "valid"]
    | tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt, NonNegativeInt]  # top, bottom, left, right
)

Padding3d = (
    NonNegativeInt
    | Literal["same", "valid"]
    | tuple[  # before, after, top, bottom, left, right
        NonNegativeInt, NonNegativeInt, NonNegativeInt, NonNegativeInt, NonNegativeInt, NonNegativeInt
    ]
)
AxisPadding = tuple[int, int] | Literal["same", "valid"]  # the padding along one axis


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """One number for both axes, or [height, width], as (height, width)."""
    return (value, value) if isinstance(value, int) else value


def triple(value: int | tuple[int, int, int]) -> tuple[int, int, int]:
    """One number for all axes, or [time, height, width], as (time, height, width)."""
    return (value, value, value) if isinstance(value, int) else value


def sides(
    padding: int | str | tuple[int, int, int, int, int, int],
) -> tuple[AxisPadding, AxisPadding, AxisPadding]:
    """The padding of clips, axis by axis."""
    if isinstance(padding, str):
        return cast(tuple[AxisPadding, AxisPadding, AxisPadding], (padding,) * 3)
    before, after, top, bottom, left, right = (padding,) * 6 if isinstance(padding, int) else padding
    return (before, after), (top, bottom), (left, right)


@dataclass(frozen=True)
class Axis:
    """The windows along the height or the width of an image, or along the moments of a clip."""

    size: int  # of the input
    kernel: int
    stride: int
    dilation: int
    before: int  # padding above or to the left
    after: int  # padding below or to the right
    out: int  # number of windows

    @property
    def extent(self) -> int:
        """Positions from a window's first tap to its last, both included."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def padded(self) -> int:
        """Size of the input with its padding."""
        return self.before + self.size + self.after

    def reads(self, windows: slice) -> tuple[slice, tuple[int, int]]:
        """What some of the windows read of the input, and how much padding before and after it."""
        start = windows.start * self.stride - self.before
        stop = (windows.stop - 1) * self.stride - self.before + self.extent
        return slice(max(start, 0), min(stop, self.size)), (max(-start, 0), max(stop - self.size, 0))

    def reach(self, tap: int) -> tuple[slice, slice]:
        """Where tap number `tap` lies inside the input: the windows for which it does, and what they read there."""
        offset = tap * self.dilation - self.before
        first = max(0, -(offset // self.stride))  # the least r with r * stride + offset >= 0
        stop = max(first, min(self.out, (self.size - 1 - offset) // self.stride + 1))
        start = first * self.stride + offset
        return slice(first, stop), slice(start, start + (stop - first) * self.stride, self.stride)


def axis(
    name: str,
    size: int,
    kernel: int,
    stride: int,
    dilation: int,
    padding: AxisPadding,
    ceil_mode: bool = False,
) -> Axis:
    """The windows along one axis, called `name` in messages.

    floor((padded - extent) / stride) + 1 windows. With `ceil_mode` the division rounds up, so that a kernel less than a
    stride larger than the padded input has one window, and one that would start in the padding after the input is
    dropped (PyTorch). "same" gives ceil(size / stride) windows and puts the odd padding position after the input
    (TensorFlow). Raises ValueError where not one window fits.
    """
    extent = dilation * (kernel - 1) + 1
    if padding == "same":
        total = max(0, (-(-size // stride) - 1) * stride + extent - size)
        before, after = total // 2, total - total // 2
    elif padding == "valid":
        before, after = 0, 0
    else:
        before, after = padding
    room = before + size + after - extent
    out = (-(-room // stride) if ceil_mode else room // stride) + 1
    if out < 1:
        padded = f" ({before + size + after} with padding)" if before + after else ""
        raise ValueError(
            f"the kernel spans {extent} positions, the input's {name} is {size}{padded}: "
            f"use a kernel of at most {(before + size + after - 1) // dilation + 1}, or more padding"
        )
    if ceil_mode and (out - 1) * stride >= before + size:
        out -= 1
    return Axis(size, kernel, stride, dilation, before, after, out)


@dataclass(frozen=True)
class Windows:
    """The windows on an image: those along its height times those along its width."""

    rows: Axis
    columns: Axis

    @property
    def taps(self) -> int:
        """Positions in one window."""
        return self.rows.kernel * self.columns.kernel

    @property
    def margins(self) -> Margins:
        """How far windows may reach outside the image on each side."""
        return self.rows.before, self.rows.after, self.columns.before, self.columns.after

    @property
    def padded(self) -> bool:
        """Whether any window may reach outside the image."""
        return any(self.margins)

    @property
    def pointwise(self) -> bool:
        """Whether every window is one pixel, and every pixel one window."""
        return self.taps == 1 and self.rows.stride == self.columns.stride == 1 and not self.padded


def windows(
    height: int,
    width: int,
    kernel_size: Pair,
    stride: Pair,
    dilation: Pair = 1,
    padding: Padding = 0,
    ceil_mode: bool = False,
) -> Windows:
    """The windows of a kernel on an image. Raises ValueError where it is larger than the padded image."""
    if isinstance(padding, int):
        padding = (padding,) * 4
    vertical, horizontal = (padding, padding) if isinstance(padding, str) else (padding[:2], padding[2:])
    kernel, step, spread = pair(kernel_size), pair(stride), pair(dilation)
    return Windows(
        axis("height", height, kernel[0], step[0], spread[0], vertical, ceil_mode),
        axis("width", width, kernel[1], step[1], spread[1], horizontal, ceil_mode),
    )
