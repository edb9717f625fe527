"""An examination repeats a step, layer by layer, and finds the first number in it that is not finite.

It computes what the engine computes, with the same shards and random draws, but keeps everything and checks it.
That is slow and takes memory, so it is done once, after a step has gone wrong.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cnntrain.core.arrays import Array, aligned
from cnntrain.core.random import stream
from cnntrain.engine.batch import Batch
from cnntrain.engine.engine import Engine
from cnntrain.engine.walk import NodeStreams, Walk
from cnntrain.network.graph import BATCH
from cnntrain.parts.layers.base import Frame

MOST_SAMPLES = 8  # that a finding names

What = Literal["input", "weights", "statistics", "output", "loss", "gradient", "slots"]


@dataclass(frozen=True)
class NonFinite:
    """The first number that is not finite: which value of which node, and which samples, by their place in the step."""

    what: What
    node: int  # BATCH for the input, the number of nodes for the loss
    samples: tuple[int, ...] = ()


class Extremes:
    """The smallest and largest finite value seen, and how many values were not finite."""

    def __init__(self) -> None:
        self.low, self.high, self.nonfinite = np.inf, -np.inf, 0

    def see(self, array: Array) -> bool:
        """Take in the values of an array; returns whether all are finite."""
        finite = np.isfinite(array)
        count = array.size - int(np.count_nonzero(finite))
        values = array if not count else array[finite]
        if values.size:
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        self.nonfinite += count
        return not count

    def document(self) -> dict[str, Any]:
        """The range for a record; min and max are None where no value was finite."""
        known = self.low <= self.high
        return {
            "min": self.low if known else None,
            "max": self.high if known else None,
            "nonfinite": self.nonfinite,
        }


class Examination:
    """The values seen at one state of an engine's parameters. It changes nothing of the engine but its memory."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.graph = engine, engine.graph
        self.finding: NonFinite | None = None
        self.ranges: dict[tuple[int, str], Extremes] = {}  # (node, "output", "gradient" or a parameter's name)
        self._seen = 0  # samples of the step before the batch at hand
        for i in range(len(self.graph.nodes)):
            for name, array in engine.node_params(i).items():
                self._range(i, f"parameter {name}").see(array)

    def parameters(self) -> None:
        """Find the first node with a parameter, or running statistic, that is not finite."""
        for i in range(len(self.graph.nodes)):
            bad = self._bad_parameter(i)
            if bad:
                self._find(bad, i)

    def slots(self, slots: Mapping[str, Array]) -> None:
        """Find the first node for which the optimizer keeps a number that is not finite."""
        views = [self.graph.layout.views(slot) for slot in slots.values()]
        for i, node in enumerate(self.graph.nodes):
            if not all(np.isfinite(view[f"{node.name}.{name}"]).all() for view in views for name in node.params):
                self._find("slots", i)

    def gradients(self) -> None:
        """Find the first node, from the end, with a gradient that is not finite in the engine's own sum over shards."""
        views = self.graph.layout.views(self.engine.grads)
        for i, node in reversed([*enumerate(self.graph.nodes)]):
            if not all(np.isfinite(views[f"{node.name}.{name}"]).all() for name in node.params):
                self._find("gradient", i)

    def step(self, batches: Sequence[Batch], step: int) -> None:
        """Take the gradient of a training step, up to the first value that is not finite."""
        graph = self.engine.graph_in(step)
        walk = Walk(graph, self.engine.params, training=True)
        coupled = any(node.coupled for node in graph.nodes)
        first = 0
        for batch in batches:
            slots = range(-(-len(batch) // self.engine.shard))
            for group in [slots] if coupled else [[slot] for slot in slots]:
                if self.finding is None:
                    self._gradient(walk, batch, group, functools.partial(self._stream, step, first, group))
            first += len(slots)
            self._seen += len(batch)

    def evaluation(self, batch: Batch) -> None:
        """Take the outputs of samples in evaluation mode, up to the first value that is not finite."""
        walk = Walk(self.graph, self.engine.params)
        for slot in range(-(-len(batch) // self.engine.shard)):
            if self.finding is None:
                nodes, targets = self._forward(walk, batch, [slot])
                if self.finding is None:
                    self._losses(nodes[-1], targets)

    def _gradient(self, walk: Walk, batch: Batch, slots: Sequence[int], streams: NodeStreams) -> None:
        nodes, targets = self._forward(walk, batch, slots, streams)
        if self.finding is not None:
            return
        gradients = {len(nodes) - 1: self._losses(nodes[-1], targets)}
        if self.finding is not None:
            return
        wanted = walk.graph.wanted()
        for i, frames in walk.backward(nodes, gradients, lambda source: source != BATCH and wanted[source]):
            self._look_back(i, frames)
            if self.finding is not None:
                return

    def _forward(
        self, walk: Walk, batch: Batch, slots: Sequence[int], streams: NodeStreams | None = None
    ) -> tuple[list[list[Frame]], list[tuple[Array, Array]]]:
        """The frames of every node, for each of these shards, and the shards' targets and weights."""
        size, dtype = self.engine.shard, self.engine.dtype
        inputs, targets, places = [], [], []
        for slot in slots:
            start, stop = slot * size, min((slot + 1) * size, len(batch))
            x = aligned(((stop - start) * batch.views, *self.graph.input_shape), dtype)
            with np.errstate(all="ignore"):
                targets.append(batch.fill(start, stop, x))
            inputs.append(x)
            places.append((self._seen + start, stop - start))
        self._see(BATCH, "output", inputs, "input", places)
        nodes: list[list[Frame]] = []
        if self.finding is None:
            for i, frames in enumerate(walk.forward(inputs, streams)):
                self._see(i, "output", [f.y for f in frames], self._bad_parameter(i) or "output", places)
                nodes.append(frames)
                if self.finding is not None:
                    break
        return nodes, targets

    def _stream(self, step: int, first: int, slots: Sequence[int], node: int, k: int) -> np.random.Generator:
        """A node's random stream for the k-th of these shards; `first` is the number of the batch's first."""
        return stream(self.engine.seed, "layer", step, first + slots[k], node)

    def _losses(self, frames: list[Frame], targets: list[tuple[Array, Array]]) -> list[Array]:
        """The gradients of the loss with respect to the network's outputs, shard by shard."""
        gradients, losses = [], []
        for f, (wanted, weights) in zip(frames, targets, strict=True):
            y = f.y
            if len(y) > len(wanted):  # several views of each sample
                y = y.reshape(len(wanted), -1, *y.shape[1:]).mean(axis=1)
            gradients.append(aligned(y.shape, y.dtype))
            losses.append(np.zeros(len(y), y.dtype))
            with np.errstate(all="ignore"):
                self.engine.tally.loss(y, wanted, weights, losses[-1], gradients[-1])
        end = len(self.graph.nodes)
        before = [self._seen + sum(map(len, losses[:k])) for k in range(len(losses))]
        self._see(end, "output", losses, "loss", [*zip(before, map(len, losses), strict=True)])
        self._see(end, "gradient", gradients, "loss")
        return gradients

    def _look_back(self, i: int, frames: list[Frame]) -> None:
        """Check the gradients of a node whose backward has run."""
        self._see(i, "gradient", [f.dy for f in frames], "gradient")
        for name in frames[0].dp or ():
            self._see(i, f"gradient of {name}", [f.dp[name] for f in frames if f.dp], "gradient")
        for position in range(len(frames[0].dxs)):
            found = [dx for f in frames if (dx := f.dxs[position]) is not None]
            self._see(i, "gradient of its input", found, "gradient")

    def _bad_parameter(self, i: int) -> What | None:
        for name, array in self.engine.node_params(i).items():
            if not np.isfinite(array).all():
                return "statistics" if self.graph.nodes[i].params[name].role == "statistic" else "weights"
        return None

    def _see(
        self,
        node: int,
        which: str,
        shards: Sequence[Array],
        what: What,
        places: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        """Take in an array, shard by shard; `places` says where in the step each begins, and how many samples it has.

        A sample may have several rows, such as the moments of a clip.
        """
        bad: list[int] = []
        finite = True
        for k, array in enumerate(shards):
            if not self._range(node, which).see(array):
                finite = False
                if places is not None:
                    first, count = places[k]
                    samples = ~np.isfinite(array.reshape(count, -1)).all(axis=1)
                    bad += (first + np.flatnonzero(samples)).tolist()
        if not finite:
            self._find(what, node, bad[:MOST_SAMPLES])

    def _find(self, what: What, node: int, samples: Sequence[int] = ()) -> None:
        if self.finding is None:
            self.finding = NonFinite(what, node, tuple(samples))

    def _range(self, node: int, which: str) -> Extremes:
        return self.ranges.setdefault((node, which), Extremes())
