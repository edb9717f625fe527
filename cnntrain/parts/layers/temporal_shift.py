"""A temporal shift lets layers of images see motion: some channels come from the moment before, some from the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from cnntrain.config.fields import Range
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Example, Frame, Layer, clip, example


@register("temporal_shift")
@dataclass(frozen=True)
class TemporalShift(Layer):
    """With k = channels // parts: y[t, ..., :k] = x[t + 1, ..., :k], y[t, ..., k:2k] = x[t - 1, ..., k:2k], else x.

    Zero beyond the ends; no parameters and no operations (Lin et al. 2019, TSM, whose fold_div is `parts`). It belongs
    at the start of a residual body, whose shortcut still sees every channel of the present. So dx is dy shifted back.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 2, 2, 8)),
        example((2, 3, 1, 5), parts=2),
        example((1, 2, 2, 6), parts=3),
    )
    keeps: ClassVar[tuple[str, ...]] = ()
    whole_clips: ClassVar[bool] = True
    affine_map: ClassVar[bool] = True

    parts: Annotated[int, Range(2, 1024)] = 8  # equal parts of the channels, of which one is shifted each way

    def output_shape(self, *inputs: Shape) -> Shape:
        """Unchanged. Raises ValueError where the channels are fewer than the parts, so that none would be shifted."""
        channels = clip(inputs[0], "temporal_shift")[3]
        if channels < self.parts:
            raise ValueError(f"temporal_shift: parts {self.parts} shifts nothing of {channels} channels: lower parts")
        return inputs[0]

    def flops(self, *inputs: Shape) -> int:  # noqa: ARG002
        """None: it only moves."""
        return 0

    def forward(self, f: Frame) -> None:
        """Write y, the channels moved."""
        k = f.x.shape[-1] // self.parts
        _shifted(f.x[..., :k], f.y[..., :k], -1)
        _shifted(f.x[..., k : 2 * k], f.y[..., k : 2 * k], 1)
        np.copyto(f.y[..., 2 * k :], f.x[..., 2 * k :])

    def backward(self, f: Frame) -> None:
        """Write dx, the channels moved back."""
        if f.dx is not None:
            k = f.dx.shape[-1] // self.parts
            _shifted(f.dy[..., :k], f.dx[..., :k], 1)
            _shifted(f.dy[..., k : 2 * k], f.dx[..., k : 2 * k], -1)
            np.copyto(f.dx[..., 2 * k :], f.dy[..., 2 * k :])

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:  # noqa: ARG002
        """Three slices of the channels, two of them cut at an end and padded at the other, side by side again."""
        moments, height, across, channels = xs[0].shape
        k = channels // self.parts
        parts = [
            self._part(t, xs[0], (min(1, moments), moments), (0, k), (0, 1)),
            self._part(t, xs[0], (0, moments - 1), (k, 2 * k), (1, 0)),
            self._part(t, xs[0], (0, moments), (2 * k, channels), (0, 0)),
        ]
        parts = [part for part in parts if part.shape[3]]
        return t.op("concat", *parts, shape=(moments, height, across, channels), axis=3)

    def _part(
        self, t: Trace, x: Value, moments: tuple[int, int], channels: tuple[int, int], ends: tuple[int, int]
    ) -> Value:
        """These ranges of moments and channels, with moments of zeros before and after as `ends` says."""
        height, across = x.shape[1:3]
        cut = (moments[1] - moments[0], height, across, channels[1] - channels[0])
        parts = ((*moments, 1), (0, height, 1), (0, across, 1), (*channels, 1))
        found = t.op("slice", x, shape=cut, parts=parts)
        whole = (cut[0] + sum(ends), *cut[1:])
        return t.op("pad", found, shape=whole, sides=(ends, (0, 0), (0, 0), (0, 0))) if any(ends) else found


def _shifted(x: Array, y: Array, by: int) -> None:
    """Write clips x (n, t, h, w, c) into y, `by` moments later, with zeros coming in."""
    late, early = (slice(by, None), slice(None, -by)) if by > 0 else (slice(None, by), slice(-by, None))
    np.copyto(y[:, late], x[:, early])
    y[:, : by if by > 0 else 0] = 0
    y[:, by if by < 0 else y.shape[1] :] = 0
