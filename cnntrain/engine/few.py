"""A few samples are evaluated in shards of their own size, or by rows, once that is known to give a whole shard's bits.

A row's bits may depend on the row count of its product, so evaluation fills every shard to the same size: what is made
of samples does not depend on how many follow, but one sample takes as long as a shard, and has one worker. The order in
which BLAS adds up depends on shapes, not on values. So when a few samples come a second time, they are computed both
ways, and every value of every layer is compared: where all bits agree, as with most kernels for AVX-512, a few samples
take a smaller shard from then on, or several where that employs more workers, or all workers share one of them
(bands.py). Where any bit differs, they take a whole one as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from cnntrain.core.arrays import Array
from cnntrain.engine.bands import LEAST_WORK, Banded
from cnntrain.engine.batch import Batch
from cnntrain.engine.plan import Call
from cnntrain.engine.program import Collect, Program
from cnntrain.engine.team import Team

BANDS = 0  # the way that has no shards, beside the sizes of these


class FewSamples:
    """What evaluates batches that are too small to fill the workers' shards."""

    def __init__(
        self,
        whole: Program,
        smaller: Callable[[int, int], Program],
        banded: Callable[[], Banded | None],
        workers: int,
    ) -> None:
        """`whole` evaluates shards of the usual size, `smaller` makes a program for shards of another and so many
        workers, `banded` what evaluates one picture by all of them, where that pays.
        """
        self._whole, self._make, self._make_banded = whole, smaller, banded
        self._much = sum(whole.plan.graph.flops()) >= LEAST_WORK
        self._workers = workers if self._much else 1  # for less, calling them takes too long
        self._programs: dict[int, Program] = {}
        self._banded: Banded | None = None
        self._asked: set[int] = set()  # the ways asked for before
        self._equal: dict[int, bool] = {}  # way -> whether its bits are those of a whole shard

    def serves(self, batch: Batch) -> bool:
        """Whether there may be a faster way than whole shards."""
        return next(self._ways(batch), None) is not None

    def run(self, batch: Batch, team: Team, collect: Collect) -> None:
        """Evaluate a batch, and give `collect` its outputs."""
        way = next(self._ways(batch), None)
        if way is None or way not in self._asked:
            self._asked.update(() if way is None else (way,))
            self._whole.run([batch], 0, team, collect, scored=False)
        elif not self._equal.get(way):
            self._compare(batch, way, team, collect)
        elif self._banded is not None and way == BANDS:
            self._banded.run(batch, team, collect)
        else:
            self._programs[way].run([batch], 0, team, collect, scored=False)

    def _ways(self, batch: Batch) -> Iterator[int]:
        """BANDS, and sizes of shards, the fastest first, without those known to have other bits."""
        views, shard = batch.views, self._whole.plan.shard
        if len(batch) * views == 1 and self._much and self._equal.get(BANDS, True):
            yield BANDS
        size, least = views, -(-len(batch) // self._workers) * views
        while 2 * size <= shard:
            if size >= least and self._equal.get(size, True):
                yield size
            size *= 2

    def _compare(self, batch: Batch, way: int, team: Team, collect: Collect) -> None:
        """Evaluate a batch, or as much of it as takes a shard, both ways, and note whether all bits agree."""
        if way == BANDS:
            self._banded = self._make_banded()
            if self._banded is not None:
                self._equal[way] = self._agrees(self._banded, batch, team, collect)
                return
            self._equal[way] = False
            self.run(batch, team, collect)
            return
        program = self._programs[way] = self._make(way, self._workers)
        count = min(way // batch.views, len(batch))
        first = _First(batch, count)
        alone = _digests(program, first, way, team)
        self._equal[way] = alone == _digests(self._whole, first, way, team, collect)
        if count < len(batch):
            self._whole.run([batch], 0, team, collect, scored=False)

    def _agrees(self, banded: Banded, batch: Batch, team: Team, collect: Collect) -> bool:
        """Whether the rows of every layer have the bits that they have in the whole picture."""
        shares, alone, among_others = banded.bands.shares, dict[tuple[int, int], int](), dict[tuple[int, int], int]()

        def look(node: int, rows: slice, y: Array) -> None:
            alone[node, rows.start] = crc32(y.tobytes())

        def look_at_all(node: int, y: Array) -> None:
            for share in shares[node]:
                among_others[node, share.rows.start] = crc32(y[0, share.rows].tobytes())

        banded.run(batch, team, _nowhere, look)
        _watched(self._whole, batch, 1, team, look_at_all, collect)
        return alone == among_others


def _nowhere(_start: int, _outputs: Array, _targets: Array) -> None:
    """Outputs that nobody asked for."""


@dataclass(frozen=True)
class _First:
    """The first samples of a batch."""

    batch: Batch
    count: int

    @property
    def views(self) -> int:
        return self.batch.views

    def __len__(self) -> int:
        return self.count

    def fill(self, start: int, stop: int, x: Array) -> tuple[Array, Array]:
        return self.batch.fill(start, stop, x)


def _digests(program: Program, batch: Batch, rows: int, team: Team, collect: Collect = _nowhere) -> list[int]:
    """Evaluate a batch; a checksum of each layer's first `rows` rows, those that fill up a shard included."""
    found: list[int] = []
    _watched(program, batch, rows, team, lambda _node, y: found.append(crc32(y.tobytes())), collect)
    return found


def _watched(
    program: Program, batch: Batch, rows: int, team: Team, look: Callable[[int, Array], Any], collect: Collect
) -> None:
    """Evaluate a batch of one shard; `look` is given each node and the first `rows` rows of its output."""

    def watch(call: Call, _seconds: float) -> None:
        if call.do == "forward":
            node = program.plan.graph.nodes[call.node]
            frames = program.frames(0, 0, program.plan.shard)
            look(call.node, frames.of[call.node].y[: rows * node.rows])

    program.run([batch], 0, team, collect, watch, scored=False)
