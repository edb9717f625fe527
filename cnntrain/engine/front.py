"""A front is what stands before the first trained layer and gives the same for a sample in every step.

Where all of it is frozen and samples are not augmented, its outputs are computed once and kept. They are the outputs to
the bit: a shard that is shorter than the others goes through the front anew, since the bits of a row depend on how many
there are.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from cnntrain.core.arrays import Array, aligned, shared
from cnntrain.engine.batch import Batch
from cnntrain.engine.pool import Pool
from cnntrain.engine.walk import Walk
from cnntrain.network.graph import Graph

MOST = 2**30  # bytes of outputs that are kept


class KnownBatch(Batch, Protocol):
    """Samples that are also known by number, without their pixels."""

    @property
    def numbers(self) -> Array:
        """The numbers of the samples in their split."""
        ...

    def answers(self, start: int, stop: int) -> tuple[Array, Array]:
        """Targets and weights of samples start to stop."""
        ...


def length(graph: Graph) -> int:
    """How many nodes the front of a graph has; 0 where there is none, or nothing in it has parameters."""
    longest = 0
    for i, node in enumerate(graph.nodes[:-1]):
        if node.layer.random or (node.params and not node.options.freeze):
            break
        apart = all(source >= i for later in graph.nodes[i + 1 :] for source in later.inputs)
        if apart and any(before.params for before in graph.nodes[: i + 1]):
            longest = i + 1
    return longest


class Front:
    """The outputs of the first nodes for every sample of a split that is trained on."""

    def __init__(self, graph: Graph, params: Array, samples: KnownBatch, shard: int, pool: Pool) -> None:
        """`graph` is those nodes alone, `samples` every sample once. All workers take part."""
        self.graph, self.shard, self._params = graph, shard, params
        self._values = shared((len(samples), *graph.output_shape), params.dtype)
        numbers = samples.numbers
        self._places = np.zeros(int(numbers.max()) + 1, np.int64)
        self._places[numbers] = np.arange(len(numbers))
        walks = [Walk(graph, params, training=True) for _ in range(pool.threads)]

        def fill(worker: int, index: int) -> None:
            start = index * shard
            stop = min(start + shard, len(samples))
            x = aligned((shard, *graph.input_shape), params.dtype)
            samples.fill(start, stop, x[: stop - start])
            x[stop - start :] = x[stop - start - 1]
            self._values[start:stop] = _last(walks[worker], x)[: stop - start]

        pool.run(-(-len(samples) // shard), fill)

    def known(self, numbers: Array) -> Array:
        """The outputs for samples by their numbers in the split."""
        found: Array = self._values[self._places[numbers]]
        return found

    def compute(self, x: Array) -> Array:
        """The outputs for pictures as the network reads them."""
        return _last(Walk(self.graph, self._params, training=True), x)


class BehindFront:
    """A batch as the nodes behind a front see it."""

    views = 1  # in training a sample is seen once

    def __init__(self, batch: KnownBatch, front: Front) -> None:
        self._batch, self._front = batch, front

    def __len__(self) -> int:
        return len(self._batch)

    def fill(self, start: int, stop: int, x: Array) -> tuple[Array, Array]:
        """Write the front's outputs for samples start to stop into x; return their targets and weights."""
        if stop - start == self._front.shard:
            x[...] = self._front.known(self._batch.numbers[start:stop])
            return self._batch.answers(start, stop)
        pictures = aligned((stop - start, *self._front.graph.input_shape), x.dtype)
        targets, weights = self._batch.fill(start, stop, pictures)
        x[...] = self._front.compute(pictures)
        return targets, weights


def size_of(graph: Graph, front: int, samples: int, dtype: np.dtype[np.generic]) -> int:
    """Bytes that the outputs of a front of `front` nodes take."""
    return samples * math.prod(graph.shape(front - 1)) * dtype.itemsize


def _last(walk: Walk, x: Array) -> Array:
    """The output of a walk of one shard; in the frame of a layer of images, the moments of a clip are rows."""
    for frames in walk.forward([x]):
        y = frames[0].y
    output: Array = y.reshape(-1, *walk.graph.output_shape)
    return output
