"""Windows against a walk over every position."""

from __future__ import annotations

import itertools

import pytest

from cnntrain.ops.windows import Axis, axis, windows


def fits(size, kernel, stride, dilation, padding, ceil_mode):
    """Whether a window fits; and pooling, which alone rounds up, pads at most half the kernel."""
    return dilation * (kernel - 1) < size + sum(padding) and not (ceil_mode and max(padding) > kernel // 2)


AXES = itertools.product(
    [1, 4, 5, 9], [1, 2, 3], [1, 2, 3], [1, 2], [(0, 0), (1, 1), (0, 3), (2, 0), (1, 0)], [False, True]
)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "padding", "ceil_mode"), [case for case in AXES if fits(*case)]
)
def test_axis_and_reach_are_what_a_walk_finds(size, kernel, stride, dilation, padding, ceil_mode):
    extent = dilation * (kernel - 1) + 1
    before, after = padding
    made = axis("height", size, kernel, stride, dilation, padding, ceil_mode)
    starts, position = [], -before
    while position + extent <= size + after:
        starts.append(position)
        position += stride
    sticks_out = starts[-1] + extent < size + after and position < size
    assert made.out == len(starts) + (ceil_mode and sticks_out)
    for tap in range(kernel):
        reads = {r: r * stride + tap * dilation - before for r in range(made.out)}
        inside = {r: place for r, place in reads.items() if 0 <= place < size}
        at, read = made.reach(tap)
        assert list(range(made.out))[at] == list(inside)
        assert list(range(size))[read] == list(inside.values())


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "sides"),
    [(5, 3, 1, (1, 1)), (6, 3, 2, (0, 1)), (6, 4, 1, (1, 2)), (4, 1, 2, (0, 0)), (7, 3, 2, (1, 1))],
)
def test_same_gives_ceil_of_size_over_stride_and_the_odd_one_after(size, kernel, stride, sides):
    made = axis("width", size, kernel, stride, 1, "same")
    assert made == Axis(size, kernel, stride, 1, *sides, -(-size // stride))


def test_four_paddings_are_top_bottom_left_right():
    made = windows(5, 5, 3, 1, 1, (1, 2, 3, 4))
    assert (made.rows.before, made.rows.after, made.columns.before, made.columns.after) == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("arguments", "spans", "found", "most"),
    [
        ((2, 5, 3, 1), 3, "height is 2", 2),
        ((5, 3, (1, 3), 1, 2), 5, "width is 3", 2),
        ((2, 9, 6, 1, 1, 1), 6, "height is 2 (4 with padding)", 4),
    ],
)
def test_a_kernel_that_does_not_fit_says_what_would(arguments, spans, found, most):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        windows(*arguments)
    advice = f"use a kernel of at most {most}, or more padding"
    assert str(caught.value) == f"the kernel spans {spans} positions, the input's {found}: {advice}"
