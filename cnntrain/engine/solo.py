"""A solo runs one layer by itself, as the engine would run its node, on arrays the caller can look at.

Gradient checks and the self-test use it. Every buffer a layer is handed begins as NaN, so that what it forgets to
write, or reads too early, shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntrain.arrays import Array, Shape, aligned, tree_sum
from cnntrain.layers.base import Buffers, Coupled, Frame, Layer
from cnntrain.random import stream

Streams = Callable[[int], np.random.Generator]  # shard -> the random generator its frame hands out


@dataclass(frozen=True)
class Outcome:
    """What one pass gave: the whole batch's output and gradients, and the parameters with their new statistics."""

    y: Array
    dxs: tuple[Array, ...]
    dp: dict[str, Array]
    p: dict[str, Array]


class Solo:
    """A layer with the shapes of its inputs, the cuts between the shards of a batch, and its random streams."""

    def __init__(
        self,
        layer: Layer,
        inputs: Sequence[Shape],
        cuts: Sequence[int] = (),
        *,
        training: bool = True,
        frozen: bool = False,
        streams: Streams | None = None,
    ) -> None:
        """A shard begins at sample 0 and at every cut. A frozen layer runs as the engine runs one."""
        self.layer, self.inputs, self.cuts = layer, tuple(inputs), list(cuts)
        self.training, self.frozen = training and not frozen, frozen
        self._coupled = isinstance(layer, Coupled) and self.training
        self._streams = streams or (lambda shard: stream(0, "solo", shard))

    def forward(self, xs: Sequence[Array], p: Mapping[str, Array]) -> Array:
        """The output of a batch (n, *shape)."""
        frames, _ = self._forward(xs, p)
        return np.concatenate([f.y for f in frames])

    def run(self, xs: Sequence[Array], p: Mapping[str, Array], dy: Array) -> Outcome:
        """Forward, backward and, of a coupled layer, the running statistics. Nothing given is written."""
        layer = self.layer
        p = {name: value.copy() for name, value in p.items()}
        frames, total = self._forward(xs, p)
        y = np.concatenate([f.y for f in frames])
        for f, part in zip(frames, np.split(dy, self.cuts), strict=True):
            self._prepare_backward(f, part)
        if self._coupled:
            assert isinstance(layer, Coupled)
            back = tree_sum([layer.partial_back(f) for f in frames])
            for f in frames:
                f.total = back
        with np.errstate(all="ignore"):
            for f in frames:
                layer.backward(f)
        dxs = tuple(np.concatenate([np.asarray(f.dxs[i]) for f in frames]) for i in range(len(xs)))
        gradients = [f.dp for f in frames if f.dp is not None]
        dp = {name: tree_sum([g[name].copy() for g in gradients]) for name in (gradients[0] if gradients else ())}
        if self._coupled:
            assert isinstance(layer, Coupled)
            layer.update_statistics(total, p)
        return Outcome(y, dxs, dp, p)

    def _forward(self, xs: Sequence[Array], p: Mapping[str, Array]) -> tuple[list[Frame], Any]:
        shards = zip(*(np.split(x, self.cuts) for x in xs), strict=True)
        frames = [self._frame(shard, number, p) for number, shard in enumerate(shards)]
        layer, total = self.layer, None
        with np.errstate(all="ignore"):
            if self._coupled:
                assert isinstance(layer, Coupled)
                total = tree_sum([layer.partial(f) for f in frames])
            for f in frames:
                f.total = total
                layer.forward(f)
        return frames, total

    def _frame(self, xs: tuple[Array, ...], shard: int, p: Mapping[str, Array]) -> Frame:
        n, dtype = len(xs[0]), xs[0].dtype
        space = self.layer.workspace(*self.inputs, n=n, dtype=dtype)
        return Frame(
            tuple(_copy(x) for x in xs),
            _spoiled((n, *self.layer.output_shape(*self.inputs)), dtype),
            p,
            _buffers(space.kept),
            _buffers(space.scratch),
            self.training,
            lambda: self._streams(shard),
        )

    def _prepare_backward(self, f: Frame, dy: Array) -> None:
        """Give a frame its gradients; what the layer does not keep is gone, as the engine may have reused it."""
        for name, arrays in (("x", f.xs), ("y", (f.y,))):
            for array in arrays if name not in self.layer.keeps else ():
                _spoil(array)
        for array in f.scratch.values():
            _spoil(array)
        f.dy = _copy(dy)
        f.dxs = tuple(_spoiled(x.shape, x.dtype) for x in f.xs)
        f.dx = f.dxs[0]
        trained = {k: v for k, v in self.layer.params(*self.inputs).items() if v.role != "statistic"}
        f.dp = None if self.frozen else {name: _spoiled(v.shape, f.y.dtype) for name, v in trained.items()}


def parameters(
    layer: Layer, inputs: Sequence[Shape], rng: np.random.Generator, dtype: Any = np.float64
) -> dict[str, Array]:
    """Random parameters, moved off a declared start, so that no factor is 1 and no term 0 by chance."""
    values = {}
    for name, param in layer.params(*inputs).items():
        draw = rng.standard_normal(param.shape) * 0.5
        draw = np.abs(draw) if param.role == "statistic" else draw
        values[name] = _copy(np.asarray(draw + (param.start or 0), dtype))
    return values


def _copy(array: Array) -> Array:
    copy = aligned(array.shape, array.dtype)
    copy[...] = array
    return copy


def _spoil(array: Array) -> None:
    """Fill an array with what no layer could mistake for a result."""
    array.fill(np.nan if array.dtype.kind == "f" else np.iinfo(array.dtype).max if array.dtype.kind != "b" else True)


def _spoiled(shape: Shape, dtype: Any) -> Array:
    array = aligned(shape, dtype)
    _spoil(array)
    return array


def _buffers(declared: Buffers) -> dict[str, Array]:
    return {name: _spoiled(shape, dtype) for name, (shape, dtype) in declared.items()}
