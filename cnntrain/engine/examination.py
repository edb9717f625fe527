"""An examination takes a step once more, layer by layer, and finds the first number in it that is not finite.

It computes what the engine computes, with the same shards and random draws, but keeps everything and looks at it.
That is slow and takes memory, so it is done once, after a step went wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cnntrain.arrays import Array, aligned, tree_sum
from cnntrain.engine.batch import Batch
from cnntrain.engine.engine import Engine
from cnntrain.engine.plan import carve_all
from cnntrain.graph import BATCH
from cnntrain.layers.base import Buffers, Coupled, Frame
from cnntrain.random import stream

MOST_SAMPLES = 8  # that a finding names

What = Literal["input", "weights", "statistics", "output", "loss", "gradient"]


@dataclass(frozen=True)
class Finding:
    """The first number that is not finite: in what of which node, and in which samples, by their place in the step."""

    what: What
    node: int  # BATCH for the input, the number of nodes for the loss
    samples: tuple[int, ...] = ()


class Range:
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
    """What was seen at one state of an engine's parameters. It changes nothing of the engine's but its memory."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.graph = engine, engine.graph
        self.finding: Finding | None = None
        self.ranges: dict[tuple[int, str], Range] = {}  # (node, "output", "gradient" or a parameter's name)
        self._scratch = aligned(max(plan.scratch_bytes for plan in engine.plans.values()), np.uint8)
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

    def gradients(self) -> None:
        """Find the first node, from the end, with a gradient that is not finite in the engine's own sum over shards."""
        views = self.graph.layout.views(self.engine.grads)
        for i, node in reversed([*enumerate(self.graph.nodes)]):
            if not all(np.isfinite(views[f"{node.name}.{name}"]).all() for name in node.params):
                self._find("gradient", i)

    def step(self, batches: Sequence[Batch], step: int) -> None:
        """Take the gradient of a training step, as far as all is finite."""
        first = 0
        for batch in batches:
            count = -(-len(batch) // self.engine.shard)
            coupled = any(node.coupled for node in self.graph.nodes)
            slots = range(count)
            for group in [slots] if coupled else [[slot] for slot in slots]:
                if self.finding is None:
                    self._gradient(batch, group, step, first)
            first += count
            self._seen += len(batch)

    def evaluation(self, batch: Batch) -> None:
        """Take the outputs of samples in evaluation mode, as far as all is finite."""
        for slot in range(-(-len(batch) // self.engine.shard)):
            if self.finding is None:
                nodes, targets = self._forward(batch, [slot], None)
                if self.finding is None:
                    self._losses(nodes[-1], targets)

    def _gradient(self, batch: Batch, slots: Sequence[int], step: int, first: int) -> None:
        nodes, targets = self._forward(batch, slots, (step, first))
        if self.finding is not None:
            return
        gradients = {len(self.graph.nodes) - 1: self._losses(nodes[-1], targets)}
        plan = self.engine.plans[True]
        for i in reversed(range(len(self.graph.nodes))):
            if self.finding is not None or not plan.wants[i]:
                return
            frames, dys = nodes.pop(), gradients.pop(i)
            self._backward(i, frames, dys)
            for position, source in enumerate(self.graph.nodes[i].inputs):
                if not plan.wants_gradient(source):
                    continue
                more = [dx for f in frames if (dx := f.dxs[position]) is not None]
                if source in gradients:
                    more = [so_far + dx for so_far, dx in zip(gradients[source], more, strict=True)]
                gradients[source] = more

    def _forward(
        self, batch: Batch, slots: Sequence[int], address: tuple[int, int] | None
    ) -> tuple[list[list[Frame]], list[tuple[Array, Array]]]:
        """The frames of every node, for each of these shards, and the shards' targets and weights."""
        size, dtype = self.engine.shard, self.engine.dtype
        inputs, targets, places = [], [], []
        for slot in slots:
            start, stop = slot * size, min((slot + 1) * size, len(batch))
            x = aligned((stop - start, *self.graph.input_shape), dtype)
            with np.errstate(all="ignore"):
                targets.append(batch.fill(start, stop, x))
            inputs.append(x)
            places.append(self._seen + start)
        outputs = {BATCH: inputs}
        self._see(BATCH, "output", inputs, "input", places)
        nodes: list[list[Frame]] = []
        for i, node in enumerate(self.graph.nodes):
            if self.finding is not None:
                break
            frames = [
                self._frame(i, tuple(outputs[source][k] for source in node.inputs), slot, address)
                for k, slot in enumerate(slots)
            ]
            with np.errstate(all="ignore"):
                if address is not None and node.coupled:
                    assert isinstance(node.layer, Coupled)
                    self._couple(frames, [node.layer.partial(f) for f in frames])
                for f in frames:
                    node.layer.forward(f)
            outputs[i] = [f.y for f in frames]
            self._see(i, "output", outputs[i], self._bad_parameter(i) or "output", places)
            nodes.append(frames)
        return nodes, targets

    def _losses(self, frames: list[Frame], targets: list[tuple[Array, Array]]) -> list[Array]:
        """The gradients of the loss in the network's outputs, shard by shard."""
        gradients, losses = [], []
        for f, (wanted, weights) in zip(frames, targets, strict=True):
            gradients.append(aligned(f.y.shape, f.y.dtype))
            losses.append(np.zeros(len(f.y), f.y.dtype))
            with np.errstate(all="ignore"):
                self.engine.tally.loss(f.y, wanted, weights, losses[-1], gradients[-1])
        end = len(self.graph.nodes)
        self._see(end, "output", losses, "loss", [self._seen + sum(map(len, losses[:k])) for k in range(len(losses))])
        self._see(end, "gradient", gradients, "loss")
        return gradients

    def _backward(self, i: int, frames: list[Frame], dys: list[Array]) -> None:
        node, plan = self.graph.nodes[i], self.engine.plans[True]
        self._see(i, "gradient", dys, "gradient")
        for f, dy in zip(frames, dys, strict=True):
            f.dy = dy
            dxs = [
                aligned(x.shape, x.dtype) if plan.wants_gradient(source) else None
                for x, source in zip(f.xs, node.inputs, strict=True)
            ]
            f.dxs, f.dx = tuple(dxs), dxs[0]
            if node.trained:
                trained = {name: param for name, param in node.params.items() if param.role != "statistic"}
                f.dp = {name: aligned(param.shape, f.y.dtype) for name, param in trained.items()}
        with np.errstate(all="ignore"):
            if node.coupled:
                assert isinstance(node.layer, Coupled)
                self._couple(frames, [node.layer.partial_back(f) for f in frames])
            for f in frames:
                node.layer.backward(f)
        for name in frames[0].dp or ():
            self._see(i, f"gradient of {name}", [f.dp[name] for f in frames if f.dp], "gradient")
        for position in range(len(node.inputs)):
            found = [dx for f in frames if (dx := f.dxs[position]) is not None]
            self._see(i, "gradient of its input", found, "gradient")

    @staticmethod
    def _couple(frames: list[Frame], partials: list[Array]) -> None:
        total = tree_sum(partials)
        for f in frames:
            f.total = total

    def _frame(self, i: int, xs: tuple[Array, ...], slot: int, address: tuple[int, int] | None) -> Frame:
        """Of node i for one shard; `address` is the step and the number of the batch's first shard, in training."""
        node, n, dtype = self.graph.nodes[i], len(xs[0]), self.engine.dtype
        space = node.layer.workspace(*self.graph.input_shapes(i), n=n, dtype=dtype)
        step, first = address or (0, 0)
        return Frame(
            xs,
            aligned((n, *node.shape), dtype),
            self.engine.node_params(i),
            _buffers(space.kept),
            carve_all(self._scratch, space.scratch),
            training=address is not None and not node.options.freeze,
            rng=lambda: stream(self.engine.seed, "layer", step, first + slot, i),
        )

    def _bad_parameter(self, i: int) -> What | None:
        for name, array in self.engine.node_params(i).items():
            if not np.isfinite(array).all():
                return "statistics" if self.graph.nodes[i].params[name].role == "statistic" else "weights"
        return None

    def _see(
        self, node: int, which: str, shards: Sequence[Array], what: What, places: Sequence[int] | None = None
    ) -> None:
        """Take in an array, shard by shard; `places` are where in the step the shards begin."""
        bad: list[int] = []
        finite = True
        for k, array in enumerate(shards):
            if not self._range(node, which).see(array):
                finite = False
                if places is not None:
                    rows = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
                    bad += (places[k] + np.flatnonzero(rows)).tolist()
        if not finite:
            self._find(what, node, bad[:MOST_SAMPLES])

    def _find(self, what: What, node: int, samples: Sequence[int] = ()) -> None:
        if self.finding is None:
            self.finding = Finding(what, node, tuple(samples))

    def _range(self, node: int, which: str) -> Range:
        return self.ranges.setdefault((node, which), Range())


def _buffers(declared: Buffers) -> dict[str, Array]:
    return {name: aligned(shape, dtype) for name, (shape, dtype) in declared.items()}
