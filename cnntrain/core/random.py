"""Randomness is addressed, not stored: every draw is a function of the seed and of what it is for.

There is no state to save or to share between threads: step 1000 draws what it draws whether training ran straight
to it, was resumed, or was split among any number of workers.
"""

from __future__ import annotations

import hashlib

import numpy as np

from cnntrain.core.arrays import Array

_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: the increment of SplitMix64
_MASK = 2**64 - 1


def _key(seed: int, purpose: str, *ids: int) -> int:
    """128 bits that depend on every argument."""
    text = ":".join([str(seed), purpose, *map(str, ids)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")


def stream(seed: int, purpose: str, *ids: int) -> np.random.Generator:
    """The random generator for one purpose, such as `stream(seed, "dropout", step, shard, node)`."""
    key = _key(seed, purpose, *ids)
    return np.random.Generator(np.random.SFC64([key & _MASK, key >> 64]))


class Draws:
    """Random numbers for the samples of a shard, each a hash of (seed, purpose, ids, sample, how many before it).

    SplitMix64's finalizer (Steele, Lea, Flood 2014) over whole arrays: a sample draws the same numbers in whatever
    batch, shard or order it comes.
    """

    def __init__(self, seed: int, purpose: str, ids: tuple[int, ...], samples: Array) -> None:
        """`samples` are the integer identities of the shard's samples, shape (n,)."""
        self.ids, self._address = ids, (seed, purpose, samples)
        key = np.uint64(_key(seed, purpose, *ids) & _MASK)
        self._base = _mix(samples.astype(np.uint64) * np.uint64(_GOLDEN) + key)
        self._count = 0

    def __len__(self) -> int:
        return len(self._base)

    def at(self, *ids: int) -> Draws:
        """The numbers of the same samples at other ids, from the first on."""
        seed, purpose, samples = self._address
        return Draws(seed, purpose, ids, samples)

    def bits(self) -> Array:
        """The next 64 random bits of each sample: uint64, shape (n,)."""
        self._count += 1
        return _mix(self._base + np.uint64(self._count * _GOLDEN & _MASK))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Array:
        """The next number of each sample, uniform in [low, high): float64, shape (n,)."""
        return low + (high - low) * ((self.bits() >> np.uint64(11)) * 2.0**-53)

    def integers(self, count: int) -> Array:
        """The next integer of each sample, uniform in [0, count): int64, shape (n,)."""
        return (self.uniform() * count).astype(np.int64)


def _mix(x: Array) -> Array:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = x ^ (x >> np.uint64(31))
    return mixed
