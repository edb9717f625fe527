"""A team takes a step together: threads, forked processes, or ranks that each have some of these.

What the workers of one rank write for each other lies in shared memory. What the ranks have for each other travels, as
parcels: blocks of the tree along which results are added up, so that no bit depends on who computed what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from cnntrain.core.arrays import Array, TreeSum

WorkerTask = Callable[[int], None]  # what each worker of a rank does, given its number there


@dataclass(frozen=True)
class Parcel:
    """What this rank and a peer have for each other: C-contiguous arrays; None, or an empty one, where there is
    nothing.
    """

    peer: int
    sent: Array | None
    received: Array | None  # where to put what the peer sends, of the size that it sends


Parcels = Callable[[], Iterable[Parcel]]  # in the order in which the peers have them, too
Leg = tuple[WorkerTask, Parcels | None]  # what each worker does, and what then has to arrive everywhere


class Team(Protocol):
    """Workers that each do their own share of a step, and wait for each other where it says so."""

    threads: int  # how many workers there are in this rank
    far: bool  # whether there are other ranks, so that what is complete should set out at once

    @property
    def crew(self) -> Any:
        """Those of its workers that are in this rank: a pool's threads or processes."""
        ...

    def each(self, task: WorkerTask) -> None:
        """Call task(worker), from 0, once for every worker of this rank; on return all of them are done, and all see
        what was written.
        """

    def alone(self, task: Callable[[], None]) -> None:
        """Call task() once in this rank; on return it is done, and all its workers see what was written."""

    def agree(self, flags: tuple[int, ...]) -> tuple[int, ...]:
        """The largest of each flag over all ranks, each of which knows its own."""
        ...

    def send(self, parcels: Parcels) -> None:
        """Let parcels set out; what is sent must stay as it is until they are `received`."""

    def relay(self, *legs: Leg) -> None:
        """Go through the legs in order: in each, a worker does a task, and then its parcels, and all that have set out
        before, arrive everywhere.
        """

    def add(self, tree: TreeSum, rows: Array, first: int, count: int) -> None:
        """Add the rows (shards, n), that each rank has of its own shards, of a batch of so many shards that begins with
        the step's shard `first`, to everybody's tree. The rows may be overwritten.
        """

    def complete(self, tree: TreeSum, count: int, size: int) -> None:
        """Add what the other ranks have, of `count` shards from 0 on, to a tree of arrays (size,) of float64 that has
        what this rank took.
        """


class Together:
    """What a team of one rank makes of the protocol: there is nobody to send anything to."""

    far = False

    def each(self, task: WorkerTask) -> None:
        """See Team."""
        raise NotImplementedError

    def send(self, parcels: Parcels) -> None:
        """See Team."""

    def relay(self, *legs: Leg) -> None:
        """See Team: with nothing to wait for, a worker can do one after the other."""

        def all_of_them(worker: int) -> None:
            for task, _ in legs:
                task(worker)

        self.each(all_of_them)

    def add(self, tree: TreeSum, rows: Array, first: int, count: int) -> None:
        """See Team."""
        tree.add_rows(first, rows[:count])

    def complete(self, tree: TreeSum, count: int, size: int) -> None:
        """See Team."""
