"""One picture is evaluated by several workers at once, each of which computes some rows of every layer's output.

A layer says what makes some rows of its output by itself (`Layer.band`): a convolution of the rows that its windows
read, say. Where these come from another worker, all wait for each other first. What takes the whole picture is computed
by one of them. Bands begin where tiles of Winograd's algorithm do; whether their bits are those of the whole picture is
seen before they are used (few.py).

Meetings take the time of five million operations each, so networks that have fewer between them are left alone.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cnntrain.core.arrays import Array, Shape, aligned
from cnntrain.core.random import stream
from cnntrain.engine.batch import Batch
from cnntrain.engine.frames import BufferWindows, frame
from cnntrain.engine.plan import Plan, bytes_of, carve_all, plan_of
from cnntrain.engine.program import Collect
from cnntrain.engine.team import Team
from cnntrain.network.graph import BATCH, Graph
from cnntrain.parts.layers.base import Frame, RowBand

ALIGN = 4  # rows: those of the outputs of a tile, of every form
LEAST_WORK = 20_000_000  # operations between two meetings, on average, from which several workers are faster
SAVED = 3  # about as many times as many operations are counted for a convolution as Winograd's algorithm takes

RowWatch = Callable[[int, slice, Array], None]  # (node, rows of its output, these): told by the workers


class RowShare(NamedTuple):
    """What one worker computes of one node: these rows of its output, or all that there is."""

    node: int
    rows: slice
    band: RowBand


class Bands:
    """Who computes which rows of every node of a graph, and when all wait for each other."""

    def __init__(self, graph: Graph, workers: int) -> None:
        self.shares = [_shares(graph, i, workers) for i in range(len(graph.nodes))]
        self.segments: list[list[list[RowShare]]] = []  # by worker
        self.waits: set[int] = set()  # the nodes that begin a segment, but for the first
        fresh: set[int] = set()  # the nodes whose outputs are made in the segment at hand
        for i, shares in enumerate(self.shares):
            sources = enumerate(graph.nodes[i].inputs)
            if not self.segments or any(self._is_foreign(source, at, shares, fresh) for at, source in sources):
                if self.segments:
                    self.waits.add(i)
                self.segments.append([[] for _ in range(workers)])
                fresh.clear()
            for own, share in zip(self.segments[-1], shares, strict=False):
                own.append(share)
            fresh.add(i)
        work = [count / _saved(graph, i) for i, count in enumerate(graph.flops())]
        shared = sum(work[i] for i, shares in enumerate(self.shares) if len(shares) > 1)
        self.worthwhile = shared >= LEAST_WORK * len(self.segments) and not any(node.moments for node in graph.nodes)

    def _is_foreign(self, source: int, position: int, shares: Sequence[RowShare], fresh: set[int]) -> bool:
        """Whether some worker reads at this input what another makes in the same segment."""
        if source not in fresh:
            return False
        made = self.shares[source]
        if len(made) == len(shares) == 1:
            return False
        pairs = zip(made, (share.band.reads[position] for share in shares), strict=False)
        foreign = (read.start < own.rows.start or own.rows.stop < read.stop for own, read in pairs)
        return len(made) == 1 or len(shares) == 1 or len(made) < len(shares) or any(foreign)


class Banded:
    """Bands at work: a picture's outputs, with the parameters as they are for good."""

    def __init__(self, bands: Bands, whole: Plan, held: Array, params: Sequence[Mapping[str, Array]]) -> None:
        """`whole` is the plan of evaluation, in whose place `held` has what is made of the parameters."""
        self.bands, graph = bands, whole.graph
        plan = plan_of(graph, 1, whole.dtype, False, frozenset(bands.waits))
        memories = {"worker": aligned(plan.worker_bytes, np.uint8), "shard": aligned(plan.shard_bytes, np.uint8)}
        outputs, lasting = BufferWindows(plan, 1, memories), BufferWindows(whole, 1, {"all": held})
        self._x, self._y = outputs.of_sample("y", BATCH), outputs.of_sample("y", len(graph.nodes) - 1)
        batch: list[dict[str, Any]] = [{} for _ in graph.nodes]

        def made(share: RowShare, scratch: Array) -> Frame:
            node, (layer, reads) = graph.nodes[share.node], share.band
            xs = [outputs.of_sample("y", source) for source in node.inputs]
            return frame(
                layer,
                tuple(x[:, read] for x, read in zip(xs, reads, strict=True)),
                outputs.of_sample("y", share.node)[:, share.rows],
                params[share.node],
                kept=lambda _name, shape, dtype: aligned(shape, dtype),
                scratch=functools.partial(carve_all, scratch),
                held=functools.partial(lasting.held, share.node),
                training=False,
                evaluating=True,
                rng=functools.partial(stream, 0, "layer", 0, 0, share.node),
                batch=batch[share.node],
                moments=node.moments,
            )

        size = max(_scratch(graph, share, plan) for shares in bands.shares for share in shares)
        room = [aligned(size, np.uint8) for _ in bands.segments[0]]
        self._segments = [
            [[(share, made(share, scratch)) for share in own] for own, scratch in zip(segment, room, strict=True)]
            for segment in bands.segments
        ]

    def run(self, batch: Batch, team: Team, collect: Collect, look: RowWatch | None = None) -> None:
        """Evaluate a batch of one picture, and give `collect` its outputs."""
        targets, _ = batch.fill(0, 1, self._x)
        for segment in self._segments:

            def work(worker: int, segment: list[list[tuple[RowShare, Frame]]] = segment) -> None:
                with np.errstate(all="ignore"):
                    for share, own in segment[worker]:
                        share.band.layer.forward(own)
                        if look is not None:
                            look(share.node, share.rows, own.y)

            if any(segment[1:]):
                team.each(work)
            else:
                work(0)
        collect(0, self._y, targets)


def _saved(graph: Graph, i: int) -> int:
    """How many times as many operations are counted for a node as it takes."""
    return SAVED if graph.nodes[i].layer.algorithm_for(*graph.input_shapes(i)) == "winograd" else 1


def _shares(graph: Graph, i: int, workers: int) -> list[RowShare]:
    """A node's share for each worker, as far as there are rows; a single one where it is computed as a whole."""
    node = graph.nodes[i]
    if len(node.shape) == 3 and not node.moments:
        parts = _parts(node.shape[0], workers)
        found = [RowShare(i, rows, band) for rows in parts if (band := _band(graph, i, rows))]
        if len(found) == len(parts):
            return found
    reads = tuple(slice(0, graph.shape(source)[0]) for source in node.inputs)
    return [RowShare(i, slice(0, node.shape[0]), RowBand(node.layer, reads))]


def _band(graph: Graph, i: int, rows: slice) -> RowBand | None:
    """What makes some rows of a node's output, and in place writes over no others, if its layer says so."""
    node, inputs = graph.nodes[i], graph.input_shapes(i)
    try:
        band = node.layer.band(rows, *inputs)
        if band is None:
            return None
        fits = band.layer.output_shape(*_read(band, inputs)) == (rows.stop - rows.start, *node.shape[1:])
    except Exception:  # a layer of a user's inherits what was not made for it
        return None
    return band if fits and (not node.layer.inplace or band.reads[0] == rows) else None


def _read(band: RowBand, inputs: Sequence[Shape]) -> list[Shape]:
    """The shapes of what a band reads of inputs of these shapes."""
    return [(read.stop - read.start, *shape[1:]) for read, shape in zip(band.reads, inputs, strict=True)]


def _parts(rows: int, workers: int) -> list[slice]:
    """Rows in even parts, each of which begins at a multiple of ALIGN, one for a worker or fewer."""
    tiles = -(-rows // ALIGN)
    count = min(workers, tiles)
    edges = [min(tiles * part // count * ALIGN, rows) for part in range(count + 1)]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def _scratch(graph: Graph, share: RowShare, plan: Plan) -> int:
    """Bytes of scratch that a share needs."""
    node, inputs = graph.nodes[share.node], graph.input_shapes(share.node)
    shapes = inputs if node.moments else _read(share.band, inputs)
    return bytes_of(share.band.layer.workspace(*shapes, n=node.rows, dtype=plan.dtype).scratch)
