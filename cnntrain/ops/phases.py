"""Phases cut the gradient of a strided convolution's input into images that are made without gaps.

Position P of the padded input is read by output o at tap i where P = o * stride + i * dilation. So the positions of one
residue modulo the stride form an image of their own. It is a convolution of dy, of stride 1, with those taps that have
the residue, turned by half a circle.
"""

from __future__ import annotations

from typing import NamedTuple

from cnntrain.ops.windows import Axis


class Phase(NamedTuple):
    """The input positions of one residue modulo the stride, along one axis."""

    positions: slice  # of the input
    size: int  # how many
    taps: slice  # that reach them, from the last to the first
    start: int  # the output the last tap reads for the first position; below 0 in the padding
    step: int  # from one tap of `taps` to the next, in outputs

    def margins(self, axis: Axis) -> tuple[int, int]:
        """Zeros that dy needs before it and after it; below 0 where this phase does not read all of it."""
        reach = (len(range(axis.kernel)[self.taps]) - 1) * self.step + self.size
        return -self.start, self.start + reach - axis.out


def phases(axis: Axis) -> list[Phase]:
    """The phases along one axis; those without a position are left out."""
    found = []
    for residue in range(axis.stride):
        taps = [i for i in range(axis.kernel) if i * axis.dilation % axis.stride == residue]
        first = -(-(axis.before - residue) // axis.stride)  # in steps of the stride
        count = (axis.before + axis.size - 1 - residue) // axis.stride - first + 1
        start = residue + axis.stride * first - axis.before
        if count < 1:
            continue
        every = taps[1] - taps[0] if len(taps) > 1 else 1
        last = taps[-1] if taps else 0
        backwards = slice(last, taps[0] - 1 if taps and taps[0] else None, -every) if taps else slice(0, 0)
        reads = first - (last * axis.dilation - residue) // axis.stride
        step = every * axis.dilation // axis.stride
        found.append(Phase(slice(start, start + axis.stride * count, axis.stride), count, backwards, reads, step))
    return found
