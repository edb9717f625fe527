"""Frames consist of views: of planned memory, for the engine, or of arrays of their own (passes.py).

A layer sees a shard in the same way in training, in a gradient check and in an examination, since
`frame` alone makes it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cnntrain.core.arrays import Array, Shape
from cnntrain.engine.plan import Plan, carve, carve_all
from cnntrain.network.graph import BATCH
from cnntrain.parts.layers.base import Buffers, Frame, Layer

Make = Callable[[str, Shape, npt.DTypeLike], Array]  # (name, shape, dtype) -> a buffer
Streams = Callable[[int], np.random.Generator]  # node -> the random generator of the shard at hand


def frame(
    layer: Layer,
    xs: tuple[Array, ...],
    y: Array,
    p: Mapping[str, Array],
    *,
    kept: Make,
    scratch: Callable[[Buffers], dict[str, Array]],
    held: Make,
    training: bool,
    evaluating: bool,
    rng: Callable[[], np.random.Generator],
    dy: Array | None = None,
    dxs: tuple[Array | None, ...] = (),
    batch: dict[str, Any] | None = None,
    moments: int = 0,
) -> Frame:
    """A layer's frame for the shard xs, its workspace taken from `kept`, `scratch` and `held`.

    `training` says how the layer works, which may be frozen, `evaluating` whether the whole network is in evaluation.
    It gets each of the `moments` of a clip as a sample of its own; the memory is the same.
    """
    if moments:
        xs, (y,) = _by_moment(xs), _by_moment((y,))
        dy, dxs = dy if dy is None else dy.reshape(y.shape), _by_moment(dxs)
    space = layer.workspace(*(x.shape[1:] for x in xs), n=len(y), dtype=y.dtype)
    buffers = {name: kept(name, *buffer) for name, buffer in space.kept.items()}
    lasting = {name: held(name, *buffer) for name, buffer in space.held_in(evaluating).items()}
    lasting = {name: buffer for name, buffer in lasting.items() if buffer.size}
    return Frame(xs, y, p, buffers, scratch(space.scratch), training, rng, dy, dxs, batch=batch, held=lasting)


def _by_moment(clips: Sequence[Any]) -> tuple[Any, ...]:
    """Arrays (n, moments, ...) as (n * moments, ...)."""
    return tuple(clip if clip is None else clip.reshape(-1, *clip.shape[2:]) for clip in clips)


class BufferWindows:
    """Where each array of a shard of n samples lies in the planned memory."""

    def __init__(self, plan: Plan, n: int, memories: Mapping[str, Array]) -> None:
        """`memories` are by owner."""
        self._plan, self._n, self._memories = plan, n, memories

    def of_sample(self, what: str, i: int) -> Array:
        """The outputs "y" of a node, or the gradient "dy" in them."""
        return self._window((what, i, ""), (self._n, *self._plan.graph.shape(i)))

    def kept(self, i: int, name: str, shape: Shape, dtype: npt.DTypeLike) -> Array:
        """A buffer that a node keeps."""
        return self._window(("kept", i, name), shape, dtype)

    def held(self, i: int, name: str, shape: Shape, dtype: npt.DTypeLike) -> Array:
        """A buffer that a node holds; empty for a pass that the plan does not have."""
        if ("held", i, name) not in self._plan.places:
            return np.empty(0, dtype)
        return self._window(("held", i, name), shape, dtype)

    def input_gradients(self, i: int) -> tuple[tuple[Array | None, ...], list[tuple[Array, Array]]]:
        """Where a node writes the gradients in its inputs, and which of these are then to be added: (to, from)."""
        plan = self._plan
        dxs: list[Array | None] = []
        additions: list[tuple[Array, Array]] = []
        for position, source in enumerate(plan.graph.nodes[i].inputs):
            wanted = plan.training and plan.wants[i] and plan.wants_gradient(source)
            if not wanted:
                dxs.append(None)
            elif plan.needs_adding(i, position):
                more = self._window(("more", i, str(position)), (self._n, *plan.graph.shape(source)))
                additions.append((self.of_sample("dy", source), more))
                dxs.append(more)
            else:
                dxs.append(self.of_sample("dy", source))
        return tuple(dxs), additions

    def _window(self, key: tuple[str, int, str], shape: Shape, dtype: Any = None) -> Array:
        place = self._plan.places[key]
        return carve(self._memories[place.owner], place.offset, shape, dtype or self._plan.dtype)


class PlannedFrames:
    """The frames of all nodes for shards of n samples, on the memory of a plan. Made once, used in every step."""

    def __init__(
        self,
        plan: Plan,
        n: int,
        memory: tuple[Array, Array],
        shard: Array | None,
        held: Array,
        params: Sequence[Mapping[str, Array]],
        batch: Sequence[dict[str, Any]],
        streams: Streams,
    ) -> None:
        """`memory` is the worker's own and its scratch, `params` and `batch` are by node.

        `shard` is the shard's memory, for buffers that cross barriers; None where none does. `held` is what all workers
        share.
        """
        graph = plan.graph
        own, scratch = memory
        windows = BufferWindows(plan, n, {"worker": own, "shard": own if shard is None else shard, "all": held})
        self.x = windows.of_sample("y", BATCH)
        self.losses = np.zeros(n, plan.dtype)
        self.of: list[Frame] = []
        self.additions: list[list[tuple[Array, Array]]] = []  # by node: (gradient so far, what to add to it)
        for i, node in enumerate(graph.nodes):
            dxs, additions = windows.input_gradients(i)
            self.additions.append(additions)
            self.of.append(
                frame(
                    node.layer,
                    tuple(windows.of_sample("y", source) for source in node.inputs),
                    windows.of_sample("y", i),
                    params[i],
                    kept=functools.partial(windows.kept, i),
                    scratch=functools.partial(carve_all, scratch),
                    held=functools.partial(windows.held, i),
                    training=plan.training and not node.options.freeze,
                    evaluating=not plan.training,
                    rng=functools.partial(streams, i),
                    dy=windows.of_sample("dy", i) if plan.training and plan.wants[i] else None,
                    dxs=dxs,
                    batch=batch[i],
                    moments=node.moments,
                )
            )
        last = len(graph.nodes) - 1
        self.outputs = windows.of_sample("y", last)
        self.d_outputs = windows.of_sample("dy", last) if plan.training and plan.wants[last] else None
        self._trained = [
            [c.node for c in segment if c.do in ("partial_back", "backward") and graph.nodes[c.node].trained]
            for segment in plan.segments
        ]

    def trained_in(self, number: int) -> list[int]:
        """The nodes that may write parameter gradients in a segment."""
        return self._trained[number]
