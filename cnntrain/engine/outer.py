"""The gradient of a large dense weight, x.T @ dy, is computed once a batch, slice by slice, not shard by shard.

A shard's own gradient is as large as the weight. Writing one for every shard and adding them up goes through memory
several times, and takes longer than the multiplications where a shard is small. So shards keep x and dy, and when all
are there each worker computes some slices of the weight's rows: for every shard in turn the product, added up along the
same tree, while the slice is still in the cache. The slices depend on the shape alone, and `ops.outer.outer` makes a
whole gradient of the same ones; so the bits are those of the sum of whole gradients.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np

from cnntrain.core.arrays import Array, Shape, TreeSum, aligned, shared
from cnntrain.engine.plan import Plan
from cnntrain.engine.roster import Roster, shares_of
from cnntrain.network.graph import Node
from cnntrain.ops.calls import Calls, copy, run
from cnntrain.ops.outer import slice_rows
from cnntrain.ops.panels import Panels
from cnntrain.parts.layers.base import Frame


class OuterGradient:
    """The gradient of one node's weight (features, units), whose shards leave x and dy."""

    def __init__(self, plan: Plan, index: int) -> None:
        node = plan.graph.nodes[index]
        self.node, self._dtype = index, plan.dtype
        entry = plan.graph.layout.entries[f"{node.name}.{node.layer.outer}"]
        self._place = slice(entry.offset, entry.offset + entry.param.size)
        self._shape = entry.param.shape
        self._most = plan.shard * node.rows  # rows of x and dy that a shard leaves
        rows, step = self._shape[0], slice_rows(*self._shape)
        self._slices = [slice(start, min(start + step, rows)) for start in range(0, rows, step)]

    def prepare(self, roster: Roster, shards: int) -> None:
        """Allocate memory for batches of at most so many shards."""
        features, units = self._shape
        self._x = shared((shards, self._most, features), self._dtype)
        self._dy = shared((shards, self._most * units), self._dtype)
        self._rows = shared(shards, np.int64)
        shares = shares_of(len(self._slices), roster.here)
        self._workers = [_Worker(range(start, stop)) for start, stop in shares]

    def keep(self, slot: int, frame: Frame) -> None:
        """Take x and dy of the shard at this place of the batch."""
        run(frame.once(f"kept at {slot}", functools.partial(self._keeping, slot)))
        self._rows[slot] = len(frame.dy)

    def _keeping(self, slot: int, frame: Frame) -> Calls:
        """The calls that take both, dy in panels."""
        n, units = frame.dy.shape
        return [copy(self._x[slot, :n], frame.x), *Panels(n, units).pour(frame.dy, self._dy[slot, : n * units])]

    def add(self, worker: int, first: int, count: int) -> None:
        """Compute the worker's slices for a batch of so many shards, from the step's shard `first` on, and keep them:
        another batch follows.
        """
        own = self._workers[worker]
        for number in own.slices:
            self._add(own, number, first, count)

    def collect(self, worker: int, first: int, count: int, grads: Array, factor: float) -> None:
        """The same for the last batch of a step; then write factor times the sum into the flat gradient."""
        own, into = self._workers[worker], grads[self._place].reshape(self._shape)
        for number in own.slices:
            self._add(own, number, first, count)
            total = own.trees.pop(number).total()
            np.multiply(total, factor, out=into[self._slices[number]])
            own.free.append(total)

    def reset(self) -> None:
        """Discard the sums of a step that failed."""
        for worker in self._workers:
            worker.trees.clear()

    def _add(self, own: _Worker, number: int, first: int, count: int) -> None:
        """Add a slice of every shard's gradient to the tree."""
        tree = own.trees.setdefault(number, TreeSum(own.free.append))
        features = self._slices[number]
        shape = (features.stop - features.start, self._shape[1])
        for slot, n in enumerate(self._rows[:count].tolist()):
            into = own.room(shape, self._dtype)
            key = (number, slot, n, id(into))
            if key not in own.calls:
                panels, dy = Panels(n, shape[1]), self._dy[slot, : n * shape[1]]
                own.calls[key] = into, panels.product(self._x[slot, :n, features].T, dy, into)
            run(own.calls[key][1])
            tree.add(first + slot, into)


class _Worker:
    """The slices of one worker, the sum of each so far, and the arrays used for them, over and over."""

    def __init__(self, slices: Iterable[int]) -> None:
        self.slices = slices
        self.trees: dict[int, TreeSum] = {}
        self.free: list[Array] = []
        # By slice, place of the shard, its rows and the array, which is held on to, so that no other gets its id.
        self.calls: dict[tuple[int, int, int, int], tuple[Array, Calls]] = {}

    def room(self, shape: Shape, dtype: np.dtype) -> Array:
        """An array of this shape; its content is arbitrary."""
        for place, array in enumerate(self.free):
            if array.shape == shape:
                return self.free.pop(place)
        return aligned(shape, dtype)


def is_outer(node: Node) -> bool:
    """Whether a gradient is computed for a node by slices."""
    return node.trained and node.sliced is not None


def outer_gradients(plan: Plan) -> list[OuterGradient]:
    """One for each node of a plan whose gradient is computed by slices."""
    return [OuterGradient(plan, i) for i, node in enumerate(plan.graph.nodes) if is_outer(node)]
