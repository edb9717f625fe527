"""A few samples are evaluated in a shard of their own size, once it is known to give the same bits as a whole one.

A row's bits may depend on the row count of its product, so evaluation fills every shard to the same size: what is made
of samples does not depend on how many follow, but one sample takes as long as a shard. The order in which BLAS adds up
depends on shapes, not on values. So when a few samples come a second time, they are computed both ways, and every value
of every layer is compared: where all bits agree, as with most kernels for AVX-512, a few samples take a smaller shard
from then on, and where any differs, a whole one as before.
"""

from __future__ import annotations

from collections.abc import Callable
from zlib import crc32

from cnntrain.core.arrays import Array
from cnntrain.engine.batch import Batch
from cnntrain.engine.plan import Call
from cnntrain.engine.program import Collect, Program
from cnntrain.engine.team import Team


class FewSamples:
    """What evaluates batches smaller than half a shard."""

    def __init__(self, whole: Program, smaller: Callable[[int], Program]) -> None:
        """`whole` evaluates shards of the usual size, `smaller` makes a program for shards of another."""
        self._whole, self._make = whole, smaller
        self._programs: dict[int, Program] = {}
        self._asked: set[int] = set()  # the sizes asked for before
        self._equal: dict[int, bool] = {}  # size -> whether its bits are those of a whole shard

    def run(self, batch: Batch, team: Team, collect: Collect) -> None:
        """Evaluate a batch, and give `collect` its outputs."""
        rows = len(batch) * batch.views
        sizes = [size for size in self._sizes(rows, batch.views) if self._equal.get(size, True)]
        if not sizes or sizes[0] not in self._asked:
            self._asked.update(sizes[:1])
            self._whole.run([batch], 0, team, collect, scored=False)
        elif self._equal.get(sizes[0]):
            self._programs[sizes[0]].run([batch], 0, team, collect, scored=False)
        else:
            self._compare(batch, sizes[0], team, collect)

    def _sizes(self, rows: int, views: int) -> list[int]:
        """Sizes of shards that hold so many rows, ascending, up to half a whole shard."""
        size, sizes = views, []
        while 2 * size <= self._whole.plan.shard:
            sizes += [size] if size >= rows else []
            size *= 2
        return sizes

    def _compare(self, batch: Batch, size: int, team: Team, collect: Collect) -> None:
        """Evaluate a batch both ways, and note whether all bits agree; those of the whole shard are given."""
        small = self._programs[size] = self._make(size)
        alone, among_others = (
            _digests(program, batch, size, team, into) for program, into in ((small, _nowhere), (self._whole, collect))
        )
        self._equal[size] = alone == among_others


def _digests(program: Program, batch: Batch, rows: int, team: Team, collect: Collect) -> list[int]:
    """Evaluate a batch; a checksum of each layer's first `rows` rows, those that fill up a shard included."""
    found: list[int] = []

    def look(call: Call, _seconds: float) -> None:
        if call.do == "forward":
            node = program.plan.graph.nodes[call.node]
            frames = program.frames(0, 0, program.plan.shard)
            found.append(crc32(frames.of[call.node].y[: rows * node.rows].tobytes()))

    program.run([batch], 0, team, collect, look, scored=False)
    return found


def _nowhere(_start: int, _outputs: Array, _targets: Array) -> None:
    """Outputs that nobody asked for."""
