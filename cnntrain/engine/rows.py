"""Rows hold the gradients of one shard until they are added up.

Parameters whose gradients are written in the same segment form a bucket with rows of its own. A worker takes the shards
of its share one after the other and adds up what can be added, so that it needs a row for each level of the tree and
not one for each shard. What is left of every share, a few blocks of the tree, is added up at the end of the batch:
each worker does so for a slice of the vector. The places of these blocks follow from the numbers of the shards alone,
so that workers can read each other's without any message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnntrain.core.arrays import ALIGNMENT, Array, Param, TreeSum, round_up, shared, tree_blocks
from cnntrain.engine.plan import Plan

ShardRange = tuple[int, int]  # the shards of a batch, from and to, that one worker takes


@dataclass
class GradientRow:
    """The gradients of one shard in one bucket: a vector, and per node the named windows on it."""

    vector: Array
    views: dict[int, dict[str, Array]] = field(default_factory=dict)


class Bucket:
    """The parameters of some nodes side by side, each worker's rows for them, and the sum of these."""

    def __init__(self, plan: Plan, nodes: list[int], segments: tuple[int, int]) -> None:
        """`segments` are the first that writes a row and the last, at whose end it is handed in."""
        self.nodes = nodes
        self.first, self.last = segments
        self._dtype = plan.dtype
        self._entries: list[tuple[int, str, Param, int]] = []
        self._pieces: list[tuple[int, int, int]] = []  # (start, stop, start in the flat gradient) of each parameter
        layout = plan.graph.layout
        offset = 0
        for i in nodes:
            node = plan.graph.nodes[i]
            for name, param in node.params.items():
                if param.role != "statistic":
                    self._entries.append((i, name, param, offset))
                    self._pieces.append((offset, offset + param.size, layout.entries[f"{node.name}.{name}"].offset))
                    offset += round_up(param.size, ALIGNMENT // 4)
        self._size = offset
        self._workers: list[_Worker] = []

    def prepare(self, workers: int, most: int) -> None:
        """Allocate memory for so many workers, each with a share of at most `most` shards."""
        rows = most if self._all_at_once else depth(most)
        memory = shared((workers, rows, self._size), self._dtype)
        bounds = [round_up(self._size * w // workers, ALIGNMENT // 4) for w in range(workers + 1)]
        bounds[-1] = self._size
        self._workers = [_Worker(memory[w], (bounds[w], bounds[w + 1])) for w in range(workers)]

    @property
    def _all_at_once(self) -> bool:
        """Whether the rows of all shards of a share are being written at the same time."""
        return self.first != self.last

    def take(self, worker: int, position: int) -> GradientRow:
        """The row to write for the shard at this position of the worker's share; its content is arbitrary."""
        own = self._workers[worker]
        number = position if self._all_at_once else len(own.share)
        if number not in own.rows:
            own.rows[number] = self._row(own.memory[number])
        return own.rows[number]

    def hand_in(self, worker: int, shard: int, row: GradientRow) -> None:
        """Add the row of the step's shard number `shard` to its neighbours.

        A worker hands in rows in ascending order, so that the sum is left in the row of the first of two, and rows are
        taken and given back as from a stack.
        """
        self._workers[worker].share.add(shard, row.vector)

    def gather(self, worker: int, first: int, shares: Sequence[ShardRange], more: bool) -> None:
        """Add up a slice of what every worker handed in of the batch that begins with the step's shard `first`.

        `more`: another batch follows, which will overwrite the rows.
        """
        own = self._workers[worker]
        start, stop = own.slice
        for other, (begin, end) in zip(self._workers, shares, strict=True):
            for place, (level, index) in enumerate(tree_blocks(first + begin, first + end)):
                number = (index << level) - first - begin if self._all_at_once else place
                part = other.memory[number, start:stop]
                own.tree.add(index, own.copy(part) if more or own.copied else part, level)
        own.share = TreeSum()

    def collect(self, worker: int, grads: Array, factor: float) -> None:
        """Write factor times a slice of the sum into the flat gradient, and start afresh."""
        own = self._workers[worker]
        start, stop = own.slice
        total = own.tree.total()
        for begin, end, into in self._pieces:
            a, b = max(begin, start), min(end, stop)
            if a < b:
                np.multiply(total[a - start : b - start], factor, out=grads[into + a - begin : into + b - begin])
        own.release(total)
        own.copied = False

    def reset(self) -> None:
        """Forget the rows handed in, after a step that failed."""
        for worker in self._workers:
            worker.reset()

    def _row(self, vector: Array) -> GradientRow:
        row = GradientRow(vector)
        for i, name, param, offset in self._entries:
            row.views.setdefault(i, {})[name] = vector[offset : offset + param.size].reshape(param.shape)
        return row


class _Worker:
    """One worker's share of a bucket: its rows, the sums that wait in them, and its slice of the total."""

    def __init__(self, memory: Array, slice_: tuple[int, int]) -> None:
        self.memory, self.slice = memory, slice_
        self.rows: dict[int, GradientRow] = {}
        self._free: list[Array] = []
        self.reset()

    def reset(self) -> None:
        self.share = TreeSum()  # of the rows handed in of a batch
        self.tree = TreeSum(self.release)
        self.copied = False  # whether the tree holds copies, because the rows are used for more than one batch

    def copy(self, part: Array) -> Array:
        self.copied = True
        copy = self._free.pop() if self._free else np.empty_like(part)
        np.copyto(copy, part)
        return copy

    def release(self, array: Array) -> None:
        if self.copied:
            self._free.append(array)


def depth(count: int) -> int:
    """How many rows it takes to add up so many shards in order, wherever they begin: waiting, and being written.

    Blocks of every size up to a level may wait on the way up, and down again: 1, 3, 5, ... for 1, 3, 7, ... shards, and
    one more from half as many again.
    """
    level = (count + 1).bit_length() - 1
    return 2 * level - 1 + (2 * (count + 1) >= 3 << level)


def buckets_of(plan: Plan) -> list[Bucket]:
    """The buckets of a plan: one for each segment with backward calls, and one for all coupled nodes.

    A coupled node may write its gradients before a barrier or after it, so its rows live through the whole of
    backward; they are small.
    """
    nodes = plan.graph.nodes
    buckets: list[Bucket] = []
    coupled: list[int] = []
    reached: list[int] = []
    for number, segment in enumerate(plan.segments):
        calls: list[Any] = [call for call in segment if call.do in ("partial_back", "backward")]
        coupled += [call.node for call in calls if call.do == "partial_back" and nodes[call.node].trained]
        reached += [number] if calls else []
        plain = [call.node for call in calls if nodes[call.node].trained and not nodes[call.node].coupled]
        if plain:
            buckets.append(Bucket(plan, plain, (number, number)))
    if coupled:
        buckets.append(Bucket(plan, coupled, (reached[0], reached[-1])))
    return buckets
