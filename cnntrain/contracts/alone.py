"""A layer alone: what the engine does for its node, on arrays that a check can look at.

Every buffer a layer is handed is filled with NaN (or the integer's largest value) first, so that whatever it
forgets to write, or reads before writing, shows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnntrain.arrays import Array, Param, aligned, tree_sum
from cnntrain.layers.base import Buffers, Coupled, Frame, Layer

_clean = False  # whether buffers are left as they come


@contextlib.contextmanager
def clean() -> Iterator[None]:
    """Within it buffers begin as zeros and stay as they were left."""
    global _clean
    _clean = True
    try:
        yield
    finally:
        _clean = False


def spoil(array: Array) -> None:
    """Fill an array with what no layer could mistake for a result."""
    if not _clean:
        array.fill(
            np.nan if array.dtype.kind == "f" else np.iinfo(array.dtype).max if array.dtype.kind != "b" else True
        )


def spoiled(shape: Sequence[int], dtype: Any) -> Array:
    """A new array full of it."""
    array = aligned(tuple(shape), dtype)
    spoil(array)
    return array


def _buffers(declared: Buffers) -> dict[str, Array]:
    return {name: spoiled(shape, dtype) for name, (shape, dtype) in declared.items()}


def start(layer: Layer, *inputs: tuple[int, ...], dtype: Any = np.float64, seed: int = 0) -> dict[str, Array]:
    """Random parameters; a declared start is moved off its value, so that no factor is 1 and no term 0."""
    rng = np.random.default_rng(seed)

    def value(param: Param) -> Array:
        draw = rng.standard_normal(param.shape) * 0.5
        if param.role == "statistic":
            draw = np.abs(draw)
        return (draw + (param.start or 0)).astype(dtype)

    return {name: value(param) for name, param in layer.params(*inputs).items()}


@dataclass
class Result:
    """What one pass left behind: outputs, gradients and running statistics of the whole batch."""

    y: Array
    dxs: list[Any]  # None where nobody wanted one
    dp: dict[str, Array]
    p: dict[str, Array]
    frames: list[Frame] = field(default_factory=list)


def frame(
    layer: Layer, xs: Sequence[Array], p: Mapping[str, Array], training: bool, shard: int = 0, inplace: bool = False
) -> Frame:
    """One shard's frame for forward, its buffers spoiled."""
    shapes = [x.shape[1:] for x in xs]
    n, dtype = len(xs[0]), xs[0].dtype
    space = layer.workspace(*shapes, n=n, dtype=dtype)
    xs = [aligned_copy(x) for x in xs]
    shape = (n, *layer.output_shape(*shapes))
    y = xs[0].reshape(shape) if inplace else spoiled(shape, dtype)
    return Frame(
        tuple(xs),
        y,
        p,
        _buffers(space.kept),
        _buffers(space.scratch),
        training,
        lambda: np.random.default_rng([7, shard]),
    )


def aligned_copy(array: Array) -> Array:
    """An aligned array with the same values."""
    copy = aligned(array.shape, array.dtype)
    copy[...] = array
    return copy


def prepare_backward(
    layer: Layer, f: Frame, dy: Array, wanted: Sequence[bool], inplace: bool = False, frozen: bool = False
) -> None:
    """Give a frame its gradients, and spoil all that backward may not read."""
    if not inplace:
        for name, arrays in (("x", f.xs), ("y", (f.y,))):
            if name not in layer.keeps:
                for array in arrays:
                    spoil(array)
    for array in f.scratch.values():
        spoil(array)
    f.dy = aligned_copy(dy.astype(f.y.dtype))
    f.dxs = tuple(spoiled(x.shape, x.dtype) if want else None for x, want in zip(f.xs, wanted, strict=True))
    if inplace and wanted[0]:
        f.dxs = (f.dy.reshape(f.xs[0].shape), *f.dxs[1:])
    f.dx = f.dxs[0]
    trained = layer.params(*[x.shape[1:] for x in f.xs])
    f.dp = None
    if not frozen:
        f.dp = {k: spoiled(v.shape, f.y.dtype) for k, v in trained.items() if v.role != "statistic"}


def run(
    layer: Layer,
    xs: Sequence[Array],
    p: Mapping[str, Array],
    dy: Array | None = None,
    *,
    training: bool = True,
    cuts: Sequence[int] = (),
    wanted: Sequence[bool] | None = None,
    inplace: bool = False,
    frozen: bool = False,
) -> Result:
    """Forward, and with dy also backward and the statistics, over the shards that lie between `cuts`."""
    wanted = [True] * len(xs) if wanted is None else wanted
    p = {name: value.copy() for name, value in p.items()}
    shards = [[part[i] for part in (np.split(x, cuts) for x in xs)] for i in range(len(cuts) + 1)]
    frames = [frame(layer, shard, p, training, i, inplace) for i, shard in enumerate(shards)]
    coupled = isinstance(layer, Coupled) and training
    total: Any = None
    if coupled:
        assert isinstance(layer, Coupled)
        total = tree_sum([layer.partial(f) for f in frames])
    for f in frames:
        f.total = total
        layer.forward(f)
    result = Result(np.concatenate([f.y.copy() for f in frames]), [], {}, p, frames)
    if dy is None:
        return result
    for f, part in zip(frames, np.split(dy, cuts), strict=True):
        prepare_backward(layer, f, part, wanted, inplace, frozen)
    if coupled:
        assert isinstance(layer, Coupled)
        back = tree_sum([layer.partial_back(f) for f in frames])
        for f in frames:
            f.total = back
    for f in frames:
        layer.backward(f)
    for i, want in enumerate(wanted):
        result.dxs.append(np.concatenate([np.asarray(f.dxs[i]) for f in frames]) if want else None)
    if not frozen:
        given = [f.dp for f in frames if f.dp is not None]
        result.dp = {name: sum((dp[name] for dp in given[1:]), given[0][name]) for name in given[0]}
    if coupled:
        assert isinstance(layer, Coupled)
        layer.update_statistics(total, p)
    return result
