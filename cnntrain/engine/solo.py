"""A solo runs one layer by itself, as the engine would run its node, on arrays the caller can look at.

Gradient checks, the self-test and the contract tests use it. Every buffer that a layer is handed begins as NaN, so that
a value it forgets to write, or reads too early, shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array, Shape, aligned, tree_sum
from cnntrain.core.random import stream
from cnntrain.engine.passes import Passes
from cnntrain.parts.layers.base import Coupled, Frame, Layer

ShardStreams = Callable[[int], np.random.Generator]  # shard -> the random generator its frame hands out


@dataclass(frozen=True)
class Pass:
    """The results of one pass: the whole batch's output and gradients, and the parameters with their new statistics."""

    y: Array
    dxs: tuple[Any, ...]  # an array for each input, None for one whose gradient is not wanted; empty without backward
    dp: dict[str, Array]
    p: dict[str, Array]
    frames: list[Frame]  # as the last pass left them, one a shard


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
        inplace: bool = False,
        clean: bool = False,
        streams: ShardStreams | None = None,
    ) -> None:
        """A shard begins at sample 0 and at every cut. A frozen layer runs as the engine runs one.

        `clean` buffers begin as zeros in place of NaN, and stay as they were left.
        """
        self.layer, self.cuts, self.inplace, self.clean = layer, list(cuts), inplace, clean
        new = aligned if clean else spoiled
        self._passes = Passes(
            layer,
            inputs,
            training=training and not frozen,
            trained=not frozen,
            evaluating=not training,
            new=new,
            inplace=inplace,
        )
        self._streams = streams or (lambda shard: stream(0, "solo", shard))

    def forward(self, xs: Sequence[Array], p: Mapping[str, Array]) -> Array:
        """The output of a batch (n, *shape)."""
        return np.concatenate([f.y for f in self._forward(xs, p)])

    def run(
        self,
        xs: Sequence[Array],
        p: Mapping[str, Array],
        dy: Array | None = None,
        wanted: Sequence[bool] | None = None,
    ) -> Pass:
        """Forward and, with dy, backward and a coupled layer's running statistics. Nothing given is written.

        `wanted` says of each input whether its gradient is; by default all are.
        """
        p = {name: value.copy() for name, value in p.items()}
        frames = self._forward(xs, p)
        y, total = np.concatenate([f.y for f in frames]), frames[0].total
        if dy is None:
            return Pass(y, (), {}, p, frames)
        for f in frames if not self.clean else ():
            self._spoil_what_is_not_kept(f)
        dys = [_copy(part.astype(y.dtype)) for part in np.split(dy, self.cuts)]
        wanted = [True] * len(xs) if wanted is None else wanted
        self._passes.backward(frames, dys, wanted)
        dxs = tuple(np.concatenate([np.asarray(f.dxs[i]) for f in frames]) if w else None for i, w in enumerate(wanted))
        gradients = [f.dp for f in frames if f.dp is not None]
        dp = {name: tree_sum([g[name].copy() for g in gradients]) for name in (gradients[0] if gradients else ())}
        if total is not None:
            assert isinstance(self.layer, Coupled)
            self.layer.update_statistics(total, p)
        return Pass(y, dxs, dp, p, frames)

    def _forward(self, xs: Sequence[Array], p: Mapping[str, Array]) -> list[Frame]:
        shards = zip(*([_copy(part) for part in np.split(x, self.cuts)] for x in xs), strict=True)
        return self._passes.forward(list(shards), p, self._streams)

    def _spoil_what_is_not_kept(self, f: Frame) -> None:
        """Spoil the buffers that the layer does not keep, as the engine may have reused them."""
        if not self.inplace:
            for name, arrays in (("x", f.xs), ("y", (f.y,))):
                for array in arrays if name not in self.layer.keeps else ():
                    spoil(array)
        for array in (*f.scratch.values(), *f.held.values()):
            spoil(array)


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


def spoil(array: Array) -> None:
    """Fill an array with values that no layer could mistake for a result."""
    array.fill(np.nan if array.dtype.kind == "f" else np.iinfo(array.dtype).max if array.dtype.kind != "b" else True)


def spoiled(shape: Shape, dtype: Any) -> Array:
    """A new array full of such values."""
    array = aligned(shape, dtype)
    spoil(array)
    return array
