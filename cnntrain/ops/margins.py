"""Margins are the zeros around images in a buffer, into the middle of which the images are copied.

They are zeroed anew whenever other layers may have used the buffer. In memory the right margin of a row meets the left
one of the next, so that one call zeroes both.
"""

from __future__ import annotations

from numpy.lib.stride_tricks import as_strided

from cnntrain.core.arrays import Array
from cnntrain.ops.calls import Calls, clear, copy

Margins = tuple[int, int, int, int]  # rows above and below, columns to the left and to the right


def framed(images: Array, buffer: Array, margins: Margins) -> Calls:
    """The calls that copy images into the middle of a contiguous buffer (n, h, w, channels) and zero its margins."""
    return [*cleared(buffer, margins), copy(middle(buffer, margins), images)]


def middle(buffer: Array, margins: Margins) -> Array:
    """What lies between the margins."""
    above, below, left, right = margins
    return buffer[:, above : buffer.shape[1] - below, left : buffer.shape[2] - right]


def cleared(buffer: Array, margins: Margins) -> Calls:
    """The calls that zero the margins of a contiguous buffer."""
    above, below, left, right = margins
    (n, height, width, channels), (image, row, _, item) = buffer.shape, buffer.strides
    rows = [buffer[:, :above], buffer[:, height - below :]]
    if above == below:
        across = above * width * channels
        rows = [as_strided(buffer, (n, 2, across), (image, (height - below) * row, item))]
    sides = [buffer[:, :, :left], buffer[:, :, width - right :]]
    if above and below:  # the first row and the last, which only one of two neighbours reaches, are zeroed in any case
        sides = [as_strided(buffer[0, 0, width - right :], (n * height - 1, (left + right) * channels), (row, item))]
    return [clear(zeros) for zeros in (*rows, *sides) if zeros.size]
