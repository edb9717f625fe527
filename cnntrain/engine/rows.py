"""Rows hold the gradients of one shard until they are added up.

Parameters whose gradients are written in the same segment form a bucket with rows of its own. A worker takes the shards
of its share one after the other and adds up what can be added, so that it needs a row for each level of the tree and
not one for each shard. What is left of every share, a few blocks of the tree, is then added up: each worker does so for
a slice of the vector. The places of these blocks follow from the numbers of the shards alone, so that workers can read
each other's without any message.

A bucket whose rows are written in one segment is gathered while the next segment is under way, or before it where
several ranks train, and others at the end of the batch. So its rows are still in the cache, and the bucket after the
next can have the same memory.

Where several ranks train, each adds up one slice of the vector for all: what the shards of a rank add up to travels to
whichever rank has the slice, and the sums travel back to all of them. That is two vectors a rank, for any number.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnntrain.core.arrays import ALIGNMENT, Array, Param, TreeSum, round_up, shared, tree_blocks
from cnntrain.engine.plan import Plan
from cnntrain.engine.roster import Roster, ShardRange
from cnntrain.engine.team import Parcel


@dataclass
class GradientRow:
    """The gradients of one shard in one bucket: a vector, and per node the named windows on it."""

    vector: Array
    views: dict[int, dict[str, Array]] = field(default_factory=dict)


class Bucket:
    """The parameters of some nodes side by side, each worker's rows for them, and the sum of these."""

    def __init__(self, plan: Plan, nodes: list[int], segments: tuple[int, int], outer: Collection[int] = ()) -> None:
        """`segments` are the first that writes a row and the last, at whose end it is handed in.

        Of the nodes in `outer` the weight is left out.
        """
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
                if param.role != "statistic" and not (i in outer and name == node.layer.outer):
                    self._entries.append((i, name, param, offset))
                    self._pieces.append((offset, offset + param.size, layout.entries[f"{node.name}.{name}"].offset))
                    offset += round_up(param.size, ALIGNMENT // 4)
        self.size = offset  # values of a row
        self._workers: list[_Worker] = []
        self._peers: dict[int, _Peer] = {}

    def prepare(self, memory: Array, roster: Roster, shards: int) -> None:
        """Use memory (workers of this rank, rows, values) for batches of at most so many shards."""
        _, of_rank = roster.most(shards)
        bounds = _bounds(0, self.size, sum(roster.workers))
        first = roster.first(roster.rank)
        self._workers = [_Worker(memory[w, :, : self.size], bounds[first + w]) for w in range(roster.here)]
        self._roster = roster
        slices = self.slices(roster)
        start, stop = slices[roster.rank]
        self._peers = {
            peer: _Peer(
                slices[peer],
                shared((depth(of_rank), slices[peer][1] - slices[peer][0]), self._dtype),
                shared((depth(of_rank), stop - start), self._dtype),
            )
            for peer in roster.peers
        }
        self._sums = shared(self.size if self._peers else 0, self._dtype)

    def slices(self, roster: Roster) -> list[tuple[int, int]]:
        """The part of the vector, from and to, that each rank adds up for all."""
        bounds = _bounds(0, self.size, sum(roster.workers))
        return [(bounds[roster.first(rank)][0], bounds[roster.first(rank + 1) - 1][1]) for rank in roster.ranks]

    def rows(self, most: int) -> int:
        """How many rows a worker needs for a share of so many shards."""
        return most if self.all_at_once else depth(most)

    @property
    def all_at_once(self) -> bool:
        """Whether the rows of all shards of a share are being written at the same time, in several segments."""
        return self.first != self.last

    def take(self, worker: int, position: int) -> GradientRow:
        """The row to write for the shard at this position of the worker's share; its content is arbitrary."""
        own = self._workers[worker]
        number = position if self.all_at_once else len(own.share)
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

        `more`: another batch follows. It will overwrite the rows, as will the bucket after the next before the sums of
        other ranks arrive.
        """
        own = self._workers[worker]
        for level, index, part in self._handed_in(first, shares, own.slice):
            own.tree.add(index, own.copy(part) if more or own.copied or self._peers else part, level)
        for peer in self._peers.values():
            start, stop = _bounds(*peer.slice, len(self._workers))[worker]
            theirs = TreeSum()
            for level, index, part in self._handed_in(first, shares, (start, stop)):
                theirs.add(index, part, level)
            sums = theirs.blocks()
            for place, block in enumerate(tree_blocks(first + shares[0][0], first + shares[-1][1])):
                peer.outgoing[place, start - peer.slice[0] : stop - peer.slice[0]] = sums[block]
        own.share = TreeSum()

    def _handed_in(
        self, first: int, shares: Sequence[ShardRange], slice_: tuple[int, int]
    ) -> Iterator[tuple[int, int, Array]]:
        """Level, index and a slice of each block that the workers of this rank have left of a batch."""
        for other, (begin, end) in zip(self._workers, shares, strict=True):
            for place, (level, index) in enumerate(tree_blocks(first + begin, first + end)):
                number = (index << level) - first - begin if self.all_at_once else place
                yield level, index, other.memory[number, slice(*slice_)]

    def outgoing(self, first: int, count: int) -> Iterator[Parcel]:
        """To each other rank its slice of what was gathered here of a batch, and from each of them ours."""
        mine = len(self._roster.blocks(first, count, self._roster.rank))
        for rank, peer in self._peers.items():
            theirs = len(self._roster.blocks(first, count, rank))
            yield Parcel(rank, peer.outgoing[:mine], peer.incoming[:theirs])

    def add_arrived(self, worker: int, first: int, count: int) -> None:
        """Add up a slice of what has arrived of a batch from the other ranks."""
        own = self._workers[worker]
        offset = self._workers[0].slice[0]
        start, stop = own.slice
        for rank, peer in self._peers.items():
            for place, (level, index) in enumerate(self._roster.blocks(first, count, rank)):
                part = peer.incoming[place, start - offset : stop - offset]
                own.tree.add(index, own.copy(part), level)

    def settle(self, worker: int, grads: Array) -> None:
        """Write a slice of the sum, to which nothing will be added, into the flat gradient: its rows are free."""
        self._write_sum(worker, grads, 1.0)
        self._workers[worker].settled = True

    def collect(self, worker: int, grads: Array, factor: float) -> None:
        """Write factor times a slice of the sum, settled or not, into the flat gradient, and start afresh."""
        own = self._workers[worker]
        if own.settled:
            for _, into in self._pieces_of(own.slice, grads):
                np.multiply(into, factor, out=into)
            own.settled = False
        else:
            self._write_sum(worker, grads, factor)

    def _write_sum(self, worker: int, grads: Array, factor: float) -> None:
        """Write factor times a slice of the sum into the flat gradient; leaves the tree empty."""
        own = self._workers[worker]
        total = own.tree.total()
        if self._peers:
            self._sums[slice(*own.slice)] = total
        for part, into in self._pieces_of(own.slice, grads):
            np.multiply(total[part], factor, out=into)
        own.release(total)
        own.copied = False

    def sums(self) -> Iterator[Parcel]:
        """To each other rank the slice of the sum that was added up here, and from each of them theirs."""
        mine = self._sums[self._workers[0].slice[0] : self._workers[-1].slice[1]]
        for rank, peer in self._peers.items():
            yield Parcel(rank, mine, self._sums[slice(*peer.slice)])

    def collect_arrived(self, worker: int, grads: Array, factor: float) -> None:
        """Write factor times a slice of what the other ranks have added up into the flat gradient."""
        for peer in self._peers.values():
            start, stop = _bounds(*peer.slice, len(self._workers))[worker]
            for part, into in self._pieces_of((start, stop), grads):
                np.multiply(self._sums[start:stop][part], factor, out=into)

    def _pieces_of(self, slice_: tuple[int, int], grads: Array) -> Iterator[tuple[slice, Array]]:
        """The pieces of a slice that are parameters, each with its window on the flat gradient."""
        start, stop = slice_
        for begin, end, into in self._pieces:
            a, b = max(begin, start), min(end, stop)
            if a < b:
                yield slice(a - start, b - start), grads[into + a - begin : into + b - begin]

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
        self.copied = False  # whether the tree holds copies, because the rows are used again before its end
        self.settled = False  # whether the sum is in the flat gradient already

    def copy(self, part: Array) -> Array:
        self.copied = True
        copy = self._free.pop() if self._free else np.empty_like(part)
        np.copyto(copy, part)
        return copy

    def release(self, array: Array) -> None:
        if self.copied:
            self._free.append(array)


@dataclass(frozen=True)
class _Peer:
    """What a bucket has for another rank: its slice of the vector, and memory for blocks of it that go and come."""

    slice: tuple[int, int]
    outgoing: Array  # (blocks, length of the peer's slice)
    incoming: Array  # (blocks, length of this rank's slice)


def _bounds(start: int, stop: int, parts: int) -> list[tuple[int, int]]:
    """A stretch of a vector cut into `parts` slices, side by side, at cache lines."""
    unit = ALIGNMENT // 4
    edges = [start + min(round_up((stop - start) * part // parts, unit), stop - start) for part in range(parts)]
    return list(itertools.pairwise([*edges, stop]))


def depth(count: int) -> int:
    """How many rows it takes to add up so many shards in order, wherever they begin: waiting, and being written.

    Blocks of every size up to a level may wait on the way up, and down again: 1, 3, 5, ... for 1, 3, 7, ... shards, and
    one more from half as many again.
    """
    level = (count + 1).bit_length() - 1
    return 2 * level - 1 + (2 * (count + 1) >= 3 << level)


def prepare(buckets: Sequence[Bucket], roster: Roster, shards: int, dtype: np.dtype[Any]) -> None:
    """Allocate the rows of buckets for this rank's workers, for batches of at most so many shards."""
    most, _ = roster.most(shards)
    for sharing in _by_memory(buckets):
        memory = shared((roster.here, *_rows(sharing, most)), dtype)
        for bucket in sharing:
            bucket.prepare(memory, roster, shards)


def row_values(buckets: Sequence[Bucket], most: int) -> int:
    """The values of all rows that a worker needs for shares of so many shards."""
    return sum(rows * size for rows, size in (_rows(sharing, most) for sharing in _by_memory(buckets)))


def _rows(sharing: Sequence[Bucket], most: int) -> tuple[int, int]:
    """The rows that buckets share, and how long they are."""
    return max(bucket.rows(most) for bucket in sharing), max(bucket.size for bucket in sharing)


def _by_memory(buckets: Sequence[Bucket]) -> list[list[Bucket]]:
    """Buckets that can have the same memory: every other one of those that are gathered a segment after their own."""
    brief = [bucket for bucket in buckets if not bucket.all_at_once]
    lasting = [[bucket] for bucket in buckets if bucket.all_at_once]
    return [sharing for sharing in (brief[::2], brief[1::2], *lasting) if sharing]


def buckets_of(plan: Plan, outer: Collection[int] = ()) -> list[Bucket]:
    """The buckets of a plan: one for each segment with backward calls, and one for all coupled nodes.

    The weight of those in `outer` has its gradient elsewhere.

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
            buckets.append(Bucket(plan, plain, (number, number), outer))
    if coupled:
        buckets.append(Bucket(plan, coupled, (reached[0], reached[-1])))
    return buckets
