"""Passes take one layer over the shards of a batch on arrays of their own, which stay and can be inspected.

The engine does the same on planned memory, on several workers, and is made for speed. Everything that inspects a
network layer by layer uses these: walks through a graph, examinations, gradient checks, the self-test.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cnntrain.core.arrays import Array, Shape, aligned, tree_sum
from cnntrain.engine.frames import frame
from cnntrain.ops.calls import PassName, run
from cnntrain.parts.layers.base import Buffers, Coupled, Frame, Layer

New = Callable[[Shape, npt.DTypeLike], Array]  # makes an array of this shape and type


class Passes:
    """A layer for inputs of given shapes, as the engine would run its node."""

    def __init__(
        self,
        layer: Layer,
        inputs: Sequence[Shape],
        *,
        training: bool,
        trained: bool,
        evaluating: bool = False,
        new: New = aligned,
        scratch: Callable[[Buffers], dict[str, Array]] | None = None,
        inplace: bool = False,
    ) -> None:
        """`trained` says whether gradients of its parameters are wanted, `evaluating` whether it works as in a network
        that is evaluated, of which no gradients are taken, `inplace` that y lies in x, and dx in dy.

        Arrays are made by `new`, and so are those of the scratch, unless `scratch` places them.
        """
        self.layer, self.training, self.inplace, self._evaluating = layer, training, inplace, evaluating
        self._shape = layer.output_shape(*inputs)
        self._trained = {
            name: param.shape for name, param in layer.params(*inputs).items() if trained and param.role != "statistic"
        }
        self._new = new
        self._scratch = scratch or self._new_scratch

    @property
    def trained(self) -> bool:
        """Whether there are parameters whose gradients are wanted."""
        return bool(self._trained)

    def forward(
        self,
        shards: Sequence[tuple[Array, ...]],
        p: Mapping[str, Array],
        streams: Callable[[int], np.random.Generator],
    ) -> list[Frame]:
        """The frames of shards, each given by its inputs (n, *shape), their outputs written.

        `streams` gives the random generator of a shard. For a coupled layer in training, `total` is the batch's.
        """
        batch: dict[str, Any] = {}
        held: dict[str, Array] = {}  # shared by all shards, as in the engine
        frames = [self._frame(xs, p, functools.partial(streams, k), batch, held) for k, xs in enumerate(shards)]
        if isinstance(self.layer, Coupled) and self.training:
            _share(frames, self.layer.partial)
        self._fill(frames, "forward")
        for f in frames:
            self.layer.forward(f)
        return frames

    def backward(self, frames: Sequence[Frame], dys: Sequence[Array], wanted: Sequence[bool]) -> None:
        """Write the gradients of the inputs that are `wanted`, and of the parameters, for shards that went forward."""
        for f, dy in zip(frames, dys, strict=True):
            dxs = [self._new(x.shape, x.dtype) if want else None for x, want in zip(f.xs, wanted, strict=True)]
            if self.inplace and wanted[0]:
                dxs[0] = dy.reshape(f.x.shape)
            f.dy, f.dxs, f.dx = dy, tuple(dxs), dxs[0]
            f.dp = {name: self._new(shape, f.y.dtype) for name, shape in self._trained.items()} or None
        if isinstance(self.layer, Coupled) and self.training:
            _share(frames, self.layer.partial_back)
        if any(wanted):
            self._fill(frames, "backward")
        for f in frames:
            self.layer.backward(f)

    def _fill(self, frames: Sequence[Frame], do: PassName) -> None:
        """Fill what the frames hold together for a pass; as in the engine, portions come in no particular order."""
        for portion in reversed(self.layer.fill_calls(frames[0], do)) if frames else ():
            run(portion)

    def _frame(
        self,
        xs: tuple[Array, ...],
        p: Mapping[str, Array],
        rng: Callable[[], np.random.Generator],
        batch: dict[str, Any],
        held: dict[str, Array],
    ) -> Frame:
        shape, dtype = (len(xs[0]), *self._shape), xs[0].dtype

        def lasting(name: str, *buffer: Any) -> Array:
            if name not in held:
                held[name] = self._new(*buffer)
            return held[name]

        return frame(
            self.layer,
            xs,
            xs[0].reshape(shape) if self.inplace else self._new(shape, dtype),
            p,
            kept=lambda _name, *buffer: self._new(*buffer),
            scratch=self._scratch,
            held=lasting,
            training=self.training,
            evaluating=self._evaluating,
            rng=rng,
            batch=batch,
        )

    def _new_scratch(self, buffers: Buffers) -> dict[str, Array]:
        return {name: self._new(*buffer) for name, buffer in buffers.items()}


def _share(frames: Sequence[Frame], partial: Callable[[Frame], Array]) -> None:
    """Give all shards the sum of their partial results."""
    total = tree_sum([partial(f) for f in frames])
    for f in frames:
        f.total = total
