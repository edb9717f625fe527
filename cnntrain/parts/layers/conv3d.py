"""Convolution of clips slides learned filters over moments, rows and columns: it sees motion."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, cast

import numpy as np

from cnntrain.config.fields import Classes, PositiveInt, Triple
from cnntrain.core.arrays import Array, Param, Shape
from cnntrain.core.registry import make, register
from cnntrain.ops.calls import Calls, PassName, add, clear, copy
from cnntrain.ops.trace import Trace, Value
from cnntrain.ops.windows import Axis, Padding3d, Windows, axis, sides, triple
from cnntrain.ops.winograd import Winograd
from cnntrain.parts.layers.base import Example, Frame, Prepared, Workspace, clip, example, width
from cnntrain.parts.layers.filtering import ByKernel

CHUNK_VALUES = 2 * 1024 * 1024  # of stacked moments: those of several clips together, or of one where that is larger


@register("conv3d")
@dataclass(frozen=True)
class Conv3d(Prepared):
    """Three-dimensional convolution (Tran et al. 2015, C3D), in the sense of every framework: a cross-correlation.

    y[t, h, w, f] = bias[f] + sum over k, i, j, c of x[t * stride + k * dilation - before, ..., c] * weight[k, i, j, c,
    f], rows and columns as in conv2d, and zero outside the clip. kernel_size, stride and dilation are one number or
    [time, height, width]; padding is a number, [before, after, top, bottom, left, right], "valid" (none), or "same":
    ceil(size / stride) outputs, the odd one at the end (TensorFlow). Groups are conv2d's.

    `algorithm` is conv2d's. By Winograd's each moment is transformed once; otherwise the moments that one output sees
    are stacked along the channels: a convolution of clips is one of images with kernel time * channels channels, and is
    computed by conv2d's kernels. So is its gradient, which is added back to the moments that were stacked.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((3, 4, 5, 2), filters=3, kernel_size=3, padding=1),
        example((4, 4, 4, 2), filters=2, kernel_size=(3, 2, 2), stride=(2, 1, 2), padding=(1, 0, 1, 0, 0, 1)),
        example((5, 3, 3, 4), filters=4, kernel_size=(3, 1, 1), dilation=(2, 1, 1), padding="same", groups=2),
        example((3, 4, 4, 2), filters=3, kernel_size=(1, 3, 3), padding=(0, 0, 1, 1, 1, 1), bias=False),
        example((2, 3, 3, 3), filters=2, kernel_size=1, stride=2),
        example((3, 3, 3, 2), filters=2, kernel_size=3, stride=2, padding="same"),
        example((3, 2, 3, 3), filters=3, kernel_size=(3, 1, 2), groups=3),
        example((3, 5, 4, 2), filters=2, kernel_size=3, padding=1, algorithm="winograd"),
        example((4, 3, 6, 1), filters=2, kernel_size=(2, 3, 3), dilation=(2, 1, 1), bias=False, algorithm="winograd"),
    )
    whole_clips: ClassVar[bool] = True
    affine_map: ClassVar[bool] = True
    absorbs_scale: ClassVar[bool] = True

    filters: Classes  # channels of the output; `auto` is the number of classes
    kernel_size: Triple  # size of the kernel: one number, or [time, height, width]
    stride: Triple = 1  # distance between outputs: one number, or [time, height, width]
    # zeros around the input: one number, [before, after, top, bottom, left, right], `valid` (none) or `same`
    padding: Padding3d = 0
    dilation: Triple = 1  # distance between the positions under the kernel: one number, or [time, height, width]
    groups: PositiveInt = 1  # equal parts into which channels and filters are divided, each filter seeing one of them
    bias: bool = True  # add a trained bias to each channel of the output
    algorithm: Literal["auto", "direct", "winograd"] = "auto"  # how it is computed; `auto` chooses by the shapes alone

    def output_shape(self, *inputs: Shape) -> Shape:
        """(t, height, width, channels) -> (windows along t, along height, along width, filters)."""
        stacking = _stacking(self, inputs[0])
        return (stacking.time.out, *stacking.layer.output_shape(stacking.image))

    def params(self, *inputs: Shape) -> dict[str, Param]:
        """Declare weight (kt, kh, kw, channels / groups, filters) and, unless switched off, bias (filters,)."""
        stacking = _stacking(self, inputs[0])
        declared = stacking.layer.params(stacking.image)
        (kh, kw, deep, filters), taps = declared["weight"].shape, stacking.time.kernel
        fans = declared["weight"].fan_in, declared["weight"].fan_out * taps
        found = {"weight": Param((taps, kh, kw, deep // taps, filters), "weight", *fans)}
        return found | ({"bias": Param((filters,), "bias", *fans)} if self.bias else {})

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """What the way of computing it needs; nothing is kept."""
        return _way(self, inputs[0]).workspace(n, dtype)

    def flops(self, *inputs: Shape) -> int:
        """Two for each weight a window is multiplied with, one for each bias added."""
        stacking = _stacking(self, inputs[0])
        return stacking.time.out * stacking.layer.flops(stacking.image)

    def algorithm_for(self, *inputs: Shape) -> str:
        """One of "winograd", "depthwise" and "direct"."""
        return _way(self, inputs[0]).algorithm

    def fill_calls(self, f: Frame, do: PassName) -> list[Calls]:
        """What is made of the weights."""
        return _way(self, f.x.shape[1:]).fill_calls(f, do)

    def forward_calls(self, f: Frame) -> Calls:
        """Write y = x * weight."""
        return _way(self, f.x.shape[1:]).forward_calls(f)

    def backward_calls(self, f: Frame) -> Calls:
        """The adjoints of forward in weight, bias and x."""
        return _way(self, f.x.shape[1:]).backward_calls(f)

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:
        """The windows' products with weight, and bias."""
        shape = xs[0].shape
        return t.convolution(xs[0], p, _axes(self, shape), self.groups, self.output_shape(shape))


@dataclass(frozen=True)
class Transforming(ByKernel):
    """Winograd's convolution of the moments of clips."""

    kernel: Winograd
    algorithm: ClassVar[str] = "winograd"

    def workspace(self, n: int, dtype: np.dtype[Any]) -> Workspace:
        """What the kernel needs for n clips; what it makes of the weights is held."""
        return Workspace.of_kernel(self.kernel.scratch(n * self.kernel.time.size, dtype))


@dataclass(frozen=True)
class Stacking:
    """The moments that an output sees, side by side along the channels; and the convolution of such images."""

    time: Axis
    clip: Shape
    groups: int
    layer: Prepared

    @property
    def algorithm(self) -> str:
        """That of conv2d for the stacked moments."""
        return self.layer.algorithm_for(self.image)

    def workspace(self, n: int, dtype: np.dtype[Any]) -> Workspace:
        """Nothing kept: backward stacks the moments again. scratch: those of some clips, and what conv2d needs."""
        images = self.clips_at_a_time(n) * self.time.out
        flat = self.layer.workspace(self.image, n=images, dtype=dtype)
        stack = ((0, 0, 0, 0) if self.alone else (images, *self.image), dtype)
        params = {name: (param.shape, dtype) for name, param in self.layer.params(self.image).items()}
        return Workspace(
            scratch={
                "stack": stack,
                "d_stack": stack,
                "flat_weight": params["weight"],
                **{"d_" + name: buffer for name, buffer in params.items()},
                **{"flat_" + name: buffer for name, buffer in (*flat.scratch.items(), *flat.held.items())},
            }
        )

    def fill_calls(self, f: Frame, do: PassName) -> list[Calls]:  # noqa: ARG002
        """None: the weights come into the order of the stack within each pass."""
        return []

    def forward_calls(self, f: Frame) -> Calls:
        """Those of conv2d, of some clips at a time."""
        calls = [self.flatten(f)]
        for number, (flat, clips) in enumerate(self.frames(f)):
            calls += self.fill(flat, "forward") if not number else []
            calls += self.stack(f.x[clips], flat.x) + self.layer.forward_calls(flat)
        return calls

    def backward_calls(self, f: Frame) -> Calls:
        """Those of conv2d, whose gradients are added up."""
        calls = [self.flatten(f)]
        for number, (flat, clips) in enumerate(self.frames(f)):
            calls += self.fill(flat, "backward") if f.dx is not None and not number else []
            if f.dp is not None:
                calls += self.stack(f.x[clips], flat.x)
            calls += self.layer.backward_calls(flat)
            for name, total in (f.dp or {}).items():
                share = f.scratch["d_" + name]
                share = self.by_tap(share) if name == "weight" else share
                calls.append(add(total, share, total) if number else copy(total, share))
            if f.dx is not None:
                assert flat.dx is not None
                calls += self.unstack(flat.dx, f.dx[clips])
        return calls

    @cached_property
    def image(self) -> Shape:
        """The shape of one stack: (height, width, groups * kernel time * channels / groups)."""
        return (*self.clip[1:3], self.time.kernel * self.clip[3])

    @cached_property
    def alone(self) -> bool:
        """Whether every output sees one moment, and every moment has one output: then nothing is copied."""
        return self.time.kernel == self.time.stride == 1 and not self.time.before + self.time.after

    def clips_at_a_time(self, n: int) -> int:
        """How many of n clips are stacked together: a divisor of n, so that all chunks are of one size."""
        most = max(CHUNK_VALUES // (self.time.out * math.prod(self.image)), 1)
        return n if self.alone else next(count for count in range(min(most, n), 0, -1) if n % count == 0)

    def frames(self, f: Frame) -> Iterator[tuple[Frame, slice]]:
        """Frames of the convolution of images, for so many clips at a time, and which clips they are."""
        step, out = self.clips_at_a_time(len(f.x)), self.time.out
        own = {name.removeprefix("flat_"): array for name, array in f.scratch.items() if name.startswith("flat_")}
        shape = self.layer.params(self.image)["weight"].shape
        weight, dp = f.scratch["flat_weight"].reshape(shape), None
        if f.dp is not None:
            dp = {name: f.scratch["d_" + name] for name in f.dp}
            dp["weight"] = dp["weight"].reshape(shape)
        for start in range(0, len(f.x), step):
            clips = slice(start, start + step)
            x = f.x[clips].reshape(-1, *self.image) if self.alone else f.scratch["stack"]
            dx = None
            if f.dx is not None:
                dx = f.dx[clips].reshape(x.shape) if self.alone else f.scratch["d_stack"]
            y = f.y[clips].reshape(step * out, *f.y.shape[2:])
            dy = None if f.dy is None else f.dy[clips].reshape(y.shape)
            yield Frame((x,), y, {**f.p, "weight": weight}, {}, own, f.training, f.rng, dy, (dx,), dp), clips

    def flatten(self, f: Frame) -> Any:
        """The call that brings the weights into the order of the stack."""
        return copy(self.by_tap(f.scratch["flat_weight"]), f.p["weight"])

    def fill(self, flat: Frame, do: PassName) -> Calls:
        """The calls that make of these weights what a pass needs, for all clips."""
        return [call for portion in self.layer.fill_calls(flat, do) for call in portion]

    def by_tap(self, flat: Array) -> Array:
        """A view of weights in the order of the stack as (kt, kh, kw, channels / groups, filters)."""
        kh, kw, _, filters = self.layer.params(self.image)["weight"].shape
        return flat.reshape(kh, kw, self.time.kernel, -1, filters).transpose(2, 0, 1, 3, 4)

    def stack(self, x: Array, stack: Array) -> Calls:
        """The calls that fill the stack of clips x (n, t, h, w, c), zero where an output sees beyond the ends."""
        if self.alone:
            return []
        calls: Calls = []
        for tap, (at, read) in enumerate(self._reaches()):
            moment = self._moments(stack, tap)
            outside = [moment[:, : at.start], moment[:, at.stop :]]
            calls += [clear(part) for part in outside if part.size]
            calls.append(copy(moment[:, at], self._grouped(x[:, read])))
        return calls

    def unstack(self, d_stack: Array, dx: Array) -> Calls:
        """The calls that add up in dx what the stacks hold for each moment."""
        if self.alone:
            return []
        calls: Calls = [clear(dx)]
        for tap, (at, read) in enumerate(self._reaches()):
            into = self._grouped(dx[:, read])
            calls.append(add(into, self._moments(d_stack, tap)[:, at], into))
        return calls

    def _reaches(self) -> list[tuple[slice, slice]]:
        return [self.time.reach(tap) for tap in range(self.time.kernel)]

    def _moments(self, stack: Array, tap: int) -> Array:
        """What stacks hold of one tap: (n, outputs, h, w, groups, channels / groups)."""
        height, across, _ = self.image
        split = (self.groups, self.time.kernel, self._per_group)
        return stack.reshape(-1, self.time.out, height, across, *split)[..., tap, :]

    def _grouped(self, x: Array) -> Array:
        """A view of clips with the groups as an axis."""
        return x.reshape(*x.shape[:-1], self.groups, self._per_group)

    @property
    def _per_group(self) -> int:
        return self.clip[3] // self.groups


def _axes(layer: Conv3d, shape: Shape) -> tuple[Axis, Axis, Axis]:
    """The windows along time, height and width. Raises ValueError where they do not fit."""
    moments, height, across, _ = clip(shape, "conv3d")
    settings = zip(
        ("time", "height", "width"),
        (moments, height, across),
        triple(layer.kernel_size),
        triple(layer.stride),
        triple(layer.dilation),
        sides(layer.padding),
        strict=True,
    )
    first, second, third = (axis(*one) for one in settings)
    return first, second, third


@functools.lru_cache(maxsize=1024)
def _way(layer: Conv3d, shape: Shape) -> Transforming | Stacking:
    """How clips of this shape are computed. Raises ValueError where they do not fit the layer."""
    stacking = _stacking(layer, shape)
    time, *image = _axes(layer, shape)
    where, channels, filters = Windows(*image), shape[3], width(layer.filters)
    spans = time.kernel > 1 and time.stride == 1 and Winograd.possible(where, layer.groups)
    if layer.algorithm == "direct" or not spans:
        return stacking
    if layer.algorithm == "auto" and not Winograd.worthwhile(where, time.kernel * channels, filters):
        return stacking
    return Transforming(Winograd(where, channels, filters, time))


@functools.lru_cache(maxsize=1024)
def _stacking(layer: Conv3d, shape: Shape) -> Stacking:
    """How clips of this shape are stacked. Raises ValueError where they do not fit the layer."""
    time, *image = _axes(layer, shape)
    if shape[3] % layer.groups:
        raise ValueError(f"groups {layer.groups} does not divide the {shape[3]} channels of the input")
    flat = make(
        "layers",
        "conv2d",
        filters=width(layer.filters),
        kernel_size=tuple(along.kernel for along in image),
        stride=tuple(along.stride for along in image),
        padding=tuple(side for along in image for side in (along.before, along.after)),
        dilation=tuple(along.dilation for along in image),
        groups=layer.groups,
        bias=layer.bias,
        algorithm=layer.algorithm,
    )
    return Stacking(time, shape, layer.groups, cast(Prepared, flat))
