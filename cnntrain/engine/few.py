"""A few samples are evaluated in shards of their own size, or by rows, once that is known to give a whole shard's bits.

A row's bits may depend on the row count of its product, so evaluation fills every shard to the same size: what is made
of samples does not depend on how many follow, but one sample takes as long as a shard, and has one worker. The order in
which BLAS adds up depends on shapes, not on values. So when a few samples come a second time, noise is computed both
ways, and every value of every layer is compared: where all bits agree, as with most kernels for AVX-512, a few samples
take a smaller shard from then on, or several where that employs more workers, or all workers share one of them
(bands.py). Where any bit differs, they take a whole one as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from zlib import crc32

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.engine.bands import LEAST_WORK, Banded
from cnntrain.engine.batch import Batch
from cnntrain.engine.fixed import Fixed
from cnntrain.engine.plan import Call
from cnntrain.engine.program import Collect, Program
from cnntrain.engine.team import Team

BANDS = 0  # the way that has no shards, beside the sizes of these


class FewSamples:
    """What evaluates batches that are too small to fill the workers' shards."""

    def __init__(
        self,
        whole: Program,
        smaller: Callable[[int, int], Program | None],
        banded: Callable[[], Banded] | None,
        workers: int,
    ) -> None:
        """`whole` evaluates shards of the usual size; `smaller` makes a program for shards of another and so many
        workers, or None where memory is too little for it; `banded`, if that pays, what evaluates one picture by all.
        """
        self._whole, self._make, self._make_banded = whole, smaller, banded
        much = sum(whole.plan.graph.flops()) >= LEAST_WORK
        self._workers = workers if much else 1  # for less, calling them takes too long
        self._asked: set[int] = set()  # the ways asked for before
        self._found: dict[int, Program | Banded] = {}  # by way
        self._refused: set[int] = set()  # the ways that do not have the bits of whole shards

    def serves(self, batch: Batch) -> bool:
        """Whether there may be a faster way than whole shards."""
        return next(self._ways(batch), None) is not None

    def run(self, batch: Batch, team: Team, collect: Collect) -> None:
        """Evaluate a batch that it serves, and give `collect` its outputs."""
        way = next(self._ways(batch))
        found = self._found.get(way)
        if isinstance(found, Banded):
            found.run(batch, team, collect)
            return
        (found or self._whole).run([batch], 0, team, collect, scored=False)
        if found is None and way in self._asked:
            shared = self._make_banded if way == BANDS else None
            made = self._shared(shared, team) if shared else self._smaller(way, team)
            if made is None:
                self._refused.add(way)
            else:
                self._found[way] = made
        self._asked.add(way)

    def _ways(self, batch: Batch) -> Iterator[int]:
        """BANDS, and sizes of shards, the fastest first, without those known to have other bits."""
        count, views, shard = len(batch), batch.views, self._whole.plan.shard
        if count * views == 1 and self._make_banded and BANDS not in self._refused:
            yield BANDS
        size, least = views, -(-count // self._workers) * views
        while count and 2 * size <= shard:
            if size >= least and size not in self._refused:
                yield size
            size *= 2

    def _smaller(self, size: int, team: Team) -> Program | None:
        """A program for shards of a size, if it gives noise the bits that it has in a whole shard."""
        program, noise = self._make(size, self._workers), self._noise(size)
        return program if program and _digests(program, noise, team) == _digests(self._whole, noise, team) else None

    def _shared(self, make: Callable[[], Banded], team: Team) -> Banded | None:
        """What shares a picture, if the rows of every layer have the bits that they have in a whole picture of noise.

        Layers of users that nothing was said of may fail there.
        """
        noise, alone, among_others = self._noise(1), dict[tuple[int, int], int](), dict[tuple[int, int], int]()

        def look(node: int, rows: slice, y: Array) -> None:
            alone[node, rows.start] = crc32(y.tobytes())

        try:
            banded = make()
            banded.run(noise, team, _nowhere, look)
        except Exception:
            return None
        shares = banded.bands.shares

        def look_at_all(node: int, y: Array) -> None:
            for share in shares[node]:
                among_others[node, share.rows.start] = crc32(y[0, share.rows].tobytes())

        _watched(self._whole, noise, team, look_at_all)
        return banded if alone == among_others else None

    def _noise(self, count: int) -> Fixed:
        """So many samples of which every value differs from the others, unlike those of a black picture."""
        shape = (count, *self._whole.plan.graph.input_shape)
        return Fixed(np.random.default_rng(0).standard_normal(shape), np.zeros(count))


def _digests(program: Program, batch: Fixed, team: Team) -> list[int]:
    """Evaluate a batch of one shard; a checksum of each layer's outputs for its samples."""
    found: list[int] = []
    _watched(program, batch, team, lambda _node, y: found.append(crc32(y.tobytes())))
    return found


def _watched(program: Program, batch: Fixed, team: Team, look: Callable[[int, Array], object]) -> None:
    """Evaluate a batch of one shard; `look` is given each node and its outputs for the batch's samples."""

    def watch(call: Call, _seconds: float) -> None:
        if call.do == "forward":
            node = program.plan.graph.nodes[call.node]
            frames = program.frames(0, 0, program.plan.shard)
            look(call.node, frames.of[call.node].y[: len(batch) * node.rows])

    program.run([batch], 0, team, _nowhere, watch, scored=False)


def _nowhere(_start: int, _outputs: Array, _targets: Array) -> None:
    """Outputs that nobody asked for."""
