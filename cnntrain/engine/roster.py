"""A roster says how many workers each rank has, and so which shards of a batch each rank and each worker takes.

Every rank cuts a batch alike, from the roster alone: none is told what the others do.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from cnntrain.core.arrays import tree_blocks

ShardRange = tuple[int, int]  # the shards of a batch, from and to, that one worker or one rank takes
TreeBlock = tuple[int, int]  # (level, index) of a block of the tree that sums go along


def shares_of(count: int, workers: int) -> list[ShardRange]:
    """The shards that each worker takes of `count`: side by side, as even as possible, none more than the first."""
    stops = [-(-count * worker // workers) for worker in range(workers + 1)]
    return list(itertools.pairwise(stops))


@dataclass(frozen=True)
class Roster:
    """How many workers each of the ranks has, and which of these ranks this process is."""

    workers: tuple[int, ...]
    rank: int = 0

    @property
    def here(self) -> int:
        """How many workers this rank has."""
        return self.workers[self.rank]

    @property
    def ranks(self) -> range:
        """All ranks."""
        return range(len(self.workers))

    @property
    def peers(self) -> list[int]:
        """The other ranks; none where one trains alone."""
        return [rank for rank in self.ranks if rank != self.rank]

    def first(self, rank: int) -> int:
        """The number of the first worker of a rank, among those of all."""
        return sum(self.workers[:rank])

    def shares(self, count: int) -> list[ShardRange]:
        """The shards that each worker of this rank takes of `count`."""
        first = self.first(self.rank)
        return shares_of(count, sum(self.workers))[first : first + self.here]

    def range(self, count: int, rank: int) -> ShardRange:
        """The shards that a rank takes of `count`."""
        shares = shares_of(count, sum(self.workers))
        return shares[self.first(rank)][0], shares[self.first(rank + 1) - 1][1]

    def blocks(self, first: int, count: int, rank: int) -> list[TreeBlock]:
        """What a rank's shards add up to, in a batch of `count` that begins with the step's shard `first`."""
        start, stop = self.range(count, rank)
        return tree_blocks(first + start, first + stop)

    def most(self, count: int) -> tuple[int, int]:
        """The most shards that a worker of this rank, and that any rank, takes of `count` or fewer."""
        total = sum(self.workers)
        return -(-count // total), -(-count * max(self.workers) // total)
