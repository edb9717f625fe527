"""Ranks are processes, on one machine or several, that train one network together and each have the whole of it.

Every rank runs the same program on the same numbers: each takes its share of the shards of a step, what the shards add
up to travels, and all update their own copy of the weights in the same way. So parameters never travel, and everything
that follows from them, the order of samples, the learning rate, whether to stop, is the same everywhere. What only one
of them can know, such as a signal, they tell each other (`agree`). Rank 0 leads: it alone writes and speaks.

How bytes get from one to another is the business of a `Wire`: over MPI (mpi.py), or none at all.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import numpy as np

from cnntrain.core.arrays import Array, TreeSum
from cnntrain.engine.roster import Roster, ShardRange
from cnntrain.engine.team import Leg, Parcel, Parcels, Team, WorkerTask

SPINS = 300  # looks at what is to arrive before sleeping between them
NAP = 5e-5  # seconds of sleep

T = TypeVar("T")


class Pending(Protocol):
    """A transfer under way."""

    def done(self) -> bool:
        """Whether it is complete; raises LostWorkerError where the peer is gone."""
        ...


class Wire(Protocol):
    """What connects the ranks. Between two of them, arrays arrive in the order in which they were sent."""

    rank: int
    size: int

    def send(self, array: Array, peer: int, /) -> Pending:
        """Begin to send the bytes of a C-contiguous array, which must stay as it is until that is done."""
        ...

    def receive(self, array: Array, peer: int, /) -> Pending:
        """Begin to fill a C-contiguous array with what a peer sends, which has the same size."""
        ...

    def look(self) -> None:
        """Raise the error that another rank has failed with, or LostWorkerError where one is gone or hangs."""

    def attend(self, at_work: bool) -> None:
        """Say whether this rank is at work: while it is, standing still counts as hanging."""

    def fail(self, error: BaseException) -> None:
        """Tell the other ranks that this one has failed, unless they have told it."""


class NoWire:
    """There is one rank."""

    rank, size = 0, 1

    def send(self, _array: Array, peer: int) -> Pending:
        """Nobody is there."""
        raise AssertionError(f"there is no rank {peer}")

    receive = send

    def look(self) -> None:
        """All is well."""

    def attend(self, at_work: bool) -> None:
        """Nobody waits."""

    def fail(self, error: BaseException) -> None:
        """Nobody listens."""


class Ranks:
    """The ranks of one training, as one of them sees them. Entered, it tells the others of an error that leaves it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.rank, self.size = wire.rank, wire.size
        self._under_way: list[Pending] = []

    @property
    def leads(self) -> bool:
        """Whether this one writes and speaks."""
        return self.rank == 0

    def send(self, parcels: Iterable[Parcel]) -> None:
        """Let parcels set out."""
        self._under_way += self._begun(parcels)

    def receive(self) -> None:
        """Wait until all that has set out has arrived, here and there."""
        self._wait_for(self._under_way)
        self._under_way = []

    def exchange(self, parcels: Iterable[Parcel]) -> None:
        """Let parcels set out, and wait for these alone: what else is under way may go on travelling."""
        self._wait_for(self._begun(parcels))

    def _begun(self, parcels: Iterable[Parcel]) -> list[Pending]:
        parcels = list(parcels)
        coming = [(one.received, one.peer) for one in parcels if one.received is not None and one.received.size]
        going = [(one.sent, one.peer) for one in parcels if one.sent is not None and one.sent.size]
        return [self._wire.receive(*one) for one in coming] + [self._wire.send(*one) for one in going]

    def _wait_for(self, transfers: Iterable[Pending]) -> None:
        left, spins = list(transfers), 0
        while left:
            left = [transfer for transfer in left if not transfer.done()]
            spins += 1
            if left and spins > SPINS:
                self._wire.look()
                time.sleep(NAP)

    def attend(self, at_work: bool) -> None:
        """Say whether this rank is at work: while it is, standing still counts as hanging."""
        self._wire.attend(at_work)

    def gather(self, row: Array) -> Array:
        """The arrays of all ranks, which have the same shape and type: (ranks, *shape)."""
        rows = np.empty((self.size, *row.shape), row.dtype)
        rows[self.rank] = row
        self.exchange(Parcel(peer, rows[self.rank], rows[peer]) for peer in range(self.size) if peer != self.rank)
        return rows

    def meet(self) -> None:
        """Wait for all ranks."""
        self.gather(np.zeros(1, np.uint8))

    def agree(self, flags: Sequence[int]) -> tuple[int, ...]:
        """The largest of each flag over all ranks."""
        if self.size == 1:
            return tuple(flags)
        return tuple(self.gather(np.array(flags, np.int64)).max(axis=0).tolist())

    def tell(self, value: Any) -> list[Any]:
        """What every rank says, each a value that JSON has."""
        said = np.frombuffer(json.dumps(value).encode(), np.uint8)
        lengths = self.gather(np.array([len(said)])).ravel()
        row = np.zeros(int(lengths.max()), np.uint8)
        row[: len(said)] = said
        rows = self.gather(row)
        return [json.loads(row[:length].tobytes()) for row, length in zip(rows, lengths.tolist(), strict=True)]

    def leader_first(self, work: Callable[[], T]) -> T:
        """Do what leaves something behind for the others, such as a cache: the leader first, then the others."""
        if self.leads:
            result = work()
            self.meet()
        else:
            self.meet()
            result = work()
        self.meet()
        return result

    def share(self, rows: Array, ranges: Sequence[ShardRange]) -> Array:
        """Rows (n, ...) of which each rank has its own range, whole everywhere; the leader's range is never empty."""
        shape, described = self.tell([rows.shape[1:], np.lib.format.dtype_to_descr(rows.dtype)])[0]
        kind = np.lib.format.descr_to_dtype(_with_tuples(described))
        if (list(rows.shape[1:]), rows.dtype) != (shape, kind):  # one that had none could not know
            rows = np.zeros((len(rows), *shape), kind)
        start, stop = ranges[self.rank]
        self.exchange(
            Parcel(peer, rows[start:stop], rows[begin:end])
            for peer, (begin, end) in enumerate(ranges)
            if peer != self.rank
        )
        return rows

    @contextmanager
    def failing_together(self) -> Iterator[None]:
        """An error that leaves the block makes the other ranks fail with it, too, as soon as they wait for this one."""
        try:
            yield
        except BaseException as error:
            self._wire.fail(error)
            raise


def _with_tuples(described: Any) -> Any:
    """The description of a type, with the tuples of which JSON has made lists."""
    if isinstance(described, str):
        return described
    return [(name, _with_tuples(kind), *map(tuple, shape)) for name, kind, *shape in described]


ALONE = Ranks(NoWire())


class Ranked:
    """A team of ranks: the crew of this one, whose leader also receives what the other ranks compute."""

    far = True

    def __init__(self, crew: Team, ranks: Ranks, roster: Roster) -> None:
        self.crew, self._ranks, self._roster = crew, ranks, roster
        self.threads = crew.threads

    def each(self, task: WorkerTask) -> None:
        """See Team."""
        self._ranks.attend(True)
        self.crew.each(task)
        self._ranks.attend(False)

    def alone(self, task: Callable[[], None]) -> None:
        """See Team."""
        self.crew.alone(task)

    def agree(self, flags: tuple[int, ...]) -> tuple[int, ...]:
        """See Team."""
        return self._ranks.agree(flags)

    def send(self, parcels: Parcels) -> None:
        """See Team."""
        self.crew.alone(lambda: self._ranks.send(parcels()))

    def relay(self, *legs: Leg) -> None:
        """See Team."""
        for task, parcels in legs:
            self.each(task)
            if parcels is not None:
                self.alone(functools.partial(self._arrive, parcels))

    def _arrive(self, parcels: Parcels) -> None:
        self._ranks.send(parcels())
        self._ranks.receive()

    def add(self, tree: TreeSum, rows: Array, first: int, count: int) -> None:
        """See Team. What a rank's rows add up to takes the place of the first of them, and so does what arrives."""
        roster = self._roster
        ranges = [roster.range(count, rank) for rank in roster.ranks]
        blocks = [roster.blocks(first, count, rank) for rank in roster.ranks]
        places = [rows[start : start + len(known)] for (start, _), known in zip(ranges, blocks, strict=True)]

        def arrive() -> None:
            own = TreeSum()
            for slot in range(*ranges[roster.rank]):
                own.add(first + slot, rows[slot])
            sums = own.blocks()
            for place, block in enumerate(blocks[roster.rank]):
                places[roster.rank][place] = sums[block]
            self._ranks.exchange(Parcel(peer, places[roster.rank], places[peer]) for peer in roster.peers)

        self.alone(arrive)
        for known, place in zip(blocks, places, strict=True):
            for (level, index), row in zip(known, place, strict=True):
                tree.add(index, row.copy(), level)

    def complete(self, tree: TreeSum, count: int, size: int) -> None:
        """See Team. One rank after the other, so that only its blocks are held besides the sums."""
        roster, own = self._roster, tree.blocks()
        for rank in roster.ranks:
            blocks = roster.blocks(0, count, rank)
            values = np.empty((len(blocks), size))
            if rank == roster.rank:
                for place, block in enumerate(blocks):
                    values[place] = own[block]
            mine = rank == roster.rank
            peers = roster.peers if mine else [rank]
            self._ranks.exchange(Parcel(peer, values if mine else None, None if mine else values) for peer in peers)
            for (level, index), value in zip(blocks, values, strict=True):
                tree.add(index, value, level)
