"""The plan says in which order the calls of a step happen and where every buffer lies meanwhile.

A step is a timeline of calls: forward through the nodes, the loss, backward through them in reverse. At a coupled
node the shards have to wait for each other; between two such barriers lies a segment. From the timeline each
buffer's lifetime is known, from the first call that writes it to the last that reads it, and buffers whose lifetimes do
not overlap share memory. An output that is quickly computed again has two of them, in forward and where backward reads
it. A buffer that lives within segments is the worker's; one that crosses a barrier is the shard's. What is made of the
parameters alone belongs to all workers, which make it together, and lasts for a whole segment. Where it is small it is
made at the end of the segment before, otherwise at the beginning, for one more barrier.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cnntrain.core.arrays import Array, Shape, round_up
from cnntrain.network.graph import BATCH, Graph
from cnntrain.ops.calls import PASSES, PassName
from cnntrain.parts.layers.base import Buffers, Coupled, Workspace

# what, node, name: ("y", 3, ""), ("dy", 3, ""), ("kept", 3, "mask"), ("more", 3, "1"), ("held", 3, "forward")
Key = tuple[str, int, str]
AHEAD = 4 * 2**20  # bytes made of the parameters up to which a segment's are made beside those of the one before
MUCH_WORK = 200  # operations a value, of the layers around an output, beside which computing that again is little
Owner = Literal["worker", "shard", "all"]


@dataclass(frozen=True)
class Call:
    """One entry of the timeline; or, to tell what took how long, what a pass makes of the parameters beforehand."""

    do: Literal["fill", "partial", "forward", "loss", "recompute", "fill_back", "partial_back", "backward"]
    node: int


@dataclass(frozen=True)
class Address:
    """Where a buffer lies: in the memory of the worker, of the shard or of all, from this byte on."""

    owner: Owner
    offset: int


@dataclass
class _Life:
    """A buffer while it is being planned: its size in bytes, and from which call to which its content counts."""

    key: Key
    size: int
    spans: list[tuple[int, int]]

    def meets(self, other: _Life) -> bool:
        """Whether there is a call for which both count."""
        for start, stop in self.spans:  # asked for every two buffers of a network, for which a generator is slow
            for begin, end in other.spans:
                if start <= end and begin <= stop:
                    return True
        return False


class Plan:
    """Timeline and memory map for one graph, shard size, float type and mode."""

    def __init__(
        self, graph: Graph, shard: int, dtype: np.dtype[Any], training: bool, waits: frozenset[int] = frozenset()
    ) -> None:
        """`waits` are nodes before which, in evaluation, workers that share a sample wait for each other: what one
        computes between two such, the others may have read or be about to read, whatever the order of calls.
        """
        self.graph, self.shard, self.dtype, self.training, self._waits = graph, shard, dtype, training, waits
        self.wants = graph.wanted()
        self.consumers: dict[int, list[int]] = {i: [] for i in range(BATCH, len(graph.nodes))}
        for i, node in enumerate(graph.nodes):
            for source in node.inputs:
                self.consumers[source].append(i)
        self._chains = self._recomputed()
        self.segments = self._timeline()
        self._calls = [call for segment in self.segments for call in segment]
        self._segment_of = [number for number, segment in enumerate(self.segments) for _ in segment]
        self._when = {(call.do, call.node): time for time, call in enumerate(self._calls)}
        self.to_fill = self._to_fill()
        sizes = [sum(_bytes(self._held(i)[do]) for i, do in held) for held in self.to_fill]
        # Whether it is done in the segment before; as if there were one more segment, for which nothing is.
        self.ahead = [0 < number < len(sizes) and sizes[number] <= AHEAD for number in range(len(sizes) + 1)]
        self._shared: dict[Key, Key] = {}  # in-place: buffer -> the one it lies in
        lives = self._lives()
        self.places, totals = self._place(lives)
        self.worker_bytes, self.shard_bytes, self.held_bytes = totals["worker"], totals["shard"], totals["all"]
        sizes = [
            node.layer.partial_size(*graph.input_shapes(i))
            for i, node in enumerate(graph.nodes)
            if isinstance(node.layer, Coupled)
        ]
        self.partial_size = 1 + max(sizes, default=0)  # values that the partial results of a shard take, and how many
        self.scratch_bytes = max(  # the most of any shard, since a shorter one may be cut into larger chunks
            bytes_of(self.workspace(i, n).scratch) for i in range(len(graph.nodes)) for n in range(1, shard + 1)
        )

    def workspace(self, index: int, n: int | None = None) -> Workspace:
        """The buffers of a node's layer besides x and y for n samples, by default a whole shard."""
        node = self.graph.nodes[index]
        rows = (n or self.shard) * node.rows
        return node.layer.workspace(*self.graph.input_shapes(index), n=rows, dtype=self.dtype)

    def _held(self, index: int) -> Buffers:
        """What a node's layer makes of the parameters."""
        return self.workspace(index).held_in(not self.training)

    def wants_gradient(self, source: int) -> bool:
        """Whether the gradient of a node's output, or of the batch, is wanted."""
        return source != BATCH and self.wants[source]

    def _timeline(self) -> list[list[Call]]:
        """The segments of a step; a single one in evaluation, unless workers share a sample."""
        nodes = self.graph.nodes
        segments: list[list[Call]] = [[]]
        for i, node in enumerate(nodes):
            if self.training and node.coupled:
                segments[-1].append(Call("partial", i))
                segments.append([])
            elif i in self._waits:
                segments.append([])
            segments[-1].append(Call("forward", i))
        segments[-1].append(Call("loss", len(nodes) - 1))
        if self.training:
            for i in reversed(range(len(nodes))):
                if not self.wants[i]:
                    continue
                segments[-1] += [Call("recompute", j) for j in self._chains.get(i, ())]
                if nodes[i].coupled:
                    segments[-1].append(Call("partial_back", i))
                    segments.append([])
                segments[-1].append(Call("backward", i))
        return segments

    def _recomputed(self) -> dict[int, list[int]]:
        """Chains of nodes that compute their output again before backward reads it, by the node that is first to do so.

        Each works in place of the one before, and the first keeps its inputs in any case. So a convolution's output is
        kept, but not what batch norm and ReLU make of it (Pleiss et al. 2017), where the layers around take far longer.
        """
        if not self.training:
            return {}
        nodes, flops = self.graph.nodes, self.graph.flops()
        barrier = max((i for i, node in enumerate(nodes) if node.coupled), default=0)  # the last in forward
        found: dict[int, list[int]] = {}
        taken: set[int] = set()
        for i, node in enumerate(nodes):
            if not self._may_recompute(i) or "x" not in node.layer.keeps or taken.intersection((i, *node.inputs)):
                continue
            chain = [i]
            while len(after := self.consumers[chain[-1]]) == 1 and self._may_recompute(*after):
                if not nodes[after[0]].layer.inplace:
                    break
                chain += after
            last = chain[-1]
            readers = [c for c in self.consumers[last] if self.wants[c] and "x" in nodes[c].layer.keeps]
            readers += [last] if "y" in nodes[last].layer.keeps else []
            around = sum(flops[j] for j in (*node.inputs, *self.consumers[last]) if j != BATCH)
            waits = last < barrier  # else it lies in the worker's memory all the time
            if readers and waits and around >= MUCH_WORK * math.prod(node.shape):
                found.setdefault(max(readers), []).extend(chain)
                taken.update(chain)
        return found

    def _may_recompute(self, i: int) -> bool:
        return self.wants[i] and self.graph.nodes[i].layer.recomputable

    def first_writer(self, source: int) -> int:
        """The node whose backward is the first to write the gradient of `source`'s output."""
        return max(self.consumers[source])

    def _lives(self) -> list[_Life]:
        lives: dict[Key, _Life] = {}
        item = self.dtype.itemsize

        def live(key: Key, size: int, times: Iterable[int]) -> None:
            lives[key] = _Life(key, round_up(size), self._spans(key, sorted(times)))

        for i in range(BATCH, len(self.graph.nodes)):
            size = self.shard * math.prod(self.graph.shape(i)) * item
            live(("y", i, ""), size, self._uses_of_output(i))
            if self.training and self.wants_gradient(i):
                live(("dy", i, ""), size, self._uses_of_gradient(i))
        calls = self._calls_of_nodes()
        for i, node in enumerate(self.graph.nodes):
            for name, buffer in self.workspace(i).kept.items():
                live(("kept", i, name), _bytes(buffer), calls[i])
            for position, source in enumerate(node.inputs):
                if self.needs_adding(i, position):
                    size = self.shard * math.prod(self.graph.shape(source)) * item
                    live(("more", i, str(position)), size, [self._when["backward", i]])
        ends = [*itertools.accumulate(map(len, self.segments), initial=0)]  # where each segment begins, and all end
        for number, to_fill in enumerate(self.to_fill):
            times = (ends[number - self.ahead[number]], ends[number + 1] - 1)
            for i, do in to_fill:
                live(("held", i, do), _bytes(self._held(i)[do]), times)
        for i, node in enumerate(self.graph.nodes):
            if node.layer.inplace:
                self._merge_in_place(i, lives)
        return list(lives.values())

    def _calls_of_nodes(self) -> dict[int, list[int]]:
        """When each node is called, in order; the loss is no call of the last one."""
        times: dict[int, list[int]] = {i: [] for i in range(len(self.graph.nodes))}
        for time, call in enumerate(self._calls):
            if call.do != "loss":
                times[call.node].append(time)
        return times

    def _spans(self, key: Key, times: list[int]) -> list[tuple[int, int]]:
        """From the first of these calls to the last; where an output is computed again, not between the two times."""
        again = self._when.get(("recompute", key[1])) if key[0] == "y" else None
        if again is None:
            return [self._whole_segments(times[0], times[-1]) if self._waits else (times[0], times[-1])]
        return [(times[0], max(time for time in times if time < again)), (again, times[-1])]

    def _whole_segments(self, start: int, stop: int) -> tuple[int, int]:
        """From the beginning of one call's segment to the end of another's."""
        first, last = self._segment_of[start], self._segment_of[stop]
        return self._segment_of.index(first), len(self._segment_of) - 1 - self._segment_of[::-1].index(last)

    def _to_fill(self) -> list[list[tuple[int, PassName]]]:
        """For each segment the nodes that need something made of the parameters, each with the pass that does."""
        found: list[list[tuple[int, PassName]]] = [[] for _ in self.segments]
        for i, node in enumerate(self.graph.nodes):
            for do in PASSES if (held := self._held(i)) else ():
                wanted = do == "forward" or any(self.wants_gradient(source) for source in node.inputs)
                if do in held and (do, i) in self._when and wanted:
                    found[self._segment_of[self._when[do, i]]].append((i, do))
        return found

    def _uses_of_output(self, i: int) -> list[int]:
        """Calls that write or read y of node i (of the batch for BATCH)."""
        when = self._when
        uses = [0] if i == BATCH else [when[do, i] for do in ("forward", "recompute") if (do, i) in when]
        for c in self.consumers[i]:
            uses += [when[do, c] for do in ("partial", "forward", "recompute") if (do, c) in when]
            if "x" in self.graph.nodes[c].layer.keeps:
                uses += [when[do, c] for do in ("partial_back", "backward") if (do, c) in when]
        if i != BATCH and "y" in self.graph.nodes[i].layer.keeps:
            uses += [when[do, i] for do in ("partial_back", "backward") if (do, i) in when]
        if i == len(self.graph.nodes) - 1:
            uses.append(when["loss", i])
        return uses

    def _uses_of_gradient(self, i: int) -> list[int]:
        """Calls that write or read dy of node i."""
        uses = [self._when[do, i] for do in ("partial_back", "backward") if (do, i) in self._when]
        uses += [self._when["backward", c] for c in self.consumers[i]]
        if i == len(self.graph.nodes) - 1:
            uses.append(self._when["loss", i])
        return uses

    def needs_adding(self, i: int, position: int) -> bool:
        """Whether input `position` of node i already holds another consumer's gradient when i's backward runs."""
        if not self.training or not self.wants[i]:
            return False
        inputs = self.graph.nodes[i].inputs
        source = inputs[position]
        if not self.wants_gradient(source):
            return False
        return self.first_writer(source) != i or source in inputs[:position]

    def _merge_in_place(self, i: int, lives: dict[Key, _Life]) -> None:
        """Let y lie in x, and dx in dy, where the layer allows it and nothing else reads what is overwritten."""
        node = self.graph.nodes[i]
        source = node.inputs[0]
        alone = self.consumers[source] == [i]
        if not alone:
            return
        backward = self.training and self.wants[i]
        kept_by_producer = (
            backward and source != BATCH and self.wants[source] and "y" in self.graph.nodes[source].layer.keeps
        )
        kept_by_layer = backward and "x" in node.layer.keeps
        x, y = self._root(("y", source, "")), ("y", i, "")
        if not kept_by_producer and not kept_by_layer and lives[x].size == lives[y].size:
            self._join(x, y, lives)
        if backward and self.wants_gradient(source):
            dy, dx = self._root(("dy", i, "")), ("dy", source, "")
            if lives[dx].size == lives[dy].size:
                self._join(dy, dx, lives)

    def _root(self, key: Key) -> Key:
        while key in self._shared:
            key = self._shared[key]
        return key

    def _join(self, root: Key, member: Key, lives: dict[Key, _Life]) -> None:
        life = lives.pop(member)
        lives[root].spans = _united(lives[root].spans + life.spans)
        self._shared[member] = root

    def _place(self, lives: list[_Life]) -> tuple[dict[Key, Address], dict[Owner, int]]:
        """Lay buffers out so that those alive at the same time do not overlap: largest first, lowest gap that fits."""
        places: dict[Key, Address] = {}
        totals: dict[Owner, int] = {"worker": 0, "shard": 0, "all": 0}
        for owner in totals:
            mine = [life for life in lives if self._owner(life) == owner]
            placed: list[tuple[int, _Life]] = []
            for life in sorted(mine, key=lambda life: (-life.size, life.spans, life.key)):
                offset = 0
                for other_offset, other in placed:  # in order of offset
                    if other_offset + other.size <= offset or not life.meets(other):
                        continue
                    if offset + life.size <= other_offset:
                        break
                    offset = other_offset + other.size
                bisect.insort(placed, (offset, life), key=lambda item: item[0])
                places[life.key] = Address(owner, offset)
                totals[owner] = max(totals[owner], offset + life.size)
        for key in self._shared:
            places[key] = places[self._root(key)]
        return places, totals

    def _owner(self, life: _Life) -> Owner:
        if life.key[0] == "held":
            return "all"
        crosses = any(self._segment_of[start] != self._segment_of[stop] for start, stop in life.spans)
        return "shard" if crosses else "worker"

    def bytes(self, threads: int, shards: int) -> int:
        """Memory of all activations, gradients and workspaces, for a batch of this many shards."""
        return threads * (self.worker_bytes + self.scratch_bytes) + shards * self.shard_bytes + self.held_bytes


plan_of = functools.lru_cache(maxsize=8)(Plan)  # a network's plans are also asked for before it runs, and never change


def _united(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that overlap as one."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def _bytes(buffer: tuple[Shape, Any]) -> int:
    shape, dtype = buffer
    return math.prod(shape) * int(np.dtype(dtype).itemsize)


def bytes_of(buffers: Buffers) -> int:
    """The memory that `carve_all` needs for several buffers."""
    return sum(round_up(_bytes(buffer)) for buffer in buffers.values())


def carve(memory: Array, offset: int, shape: Shape, dtype: Any) -> Array:
    """A shaped window on a vector of bytes."""
    window: Array = memory[offset : offset + _bytes((shape, dtype))].view(dtype)
    return window.reshape(shape)


def carve_all(memory: Array, buffers: Buffers) -> dict[str, Array]:
    """Windows for several buffers, one after the other from byte 0."""
    windows, offset = {}, 0
    for name, (shape, dtype) in buffers.items():
        windows[name] = carve(memory, offset, shape, dtype)
        offset += round_up(_bytes((shape, dtype)))
    return windows
