"""A walk takes a few samples through a graph one layer after the other, where everything on the way can be looked at.

The engine reuses its buffers and is made for speed; a walk keeps what is asked for and is made for curiosity: dead
rectifiers, Grad-CAM. The network is as it is in evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cnntrain.arrays import Array, aligned
from cnntrain.graph import BATCH, Graph
from cnntrain.layers.base import Buffers, Coupled, Frame, Layer
from cnntrain.layers.identity import Identity
from cnntrain.random import stream


class Walk:
    """A graph with its flat vector of parameters, ready to be walked through any number of times."""

    def __init__(self, graph: Graph, params: Array) -> None:
        self.graph = graph
        self._layers = [_in_evaluation(node.layer) for node in graph.nodes]
        self._views = graph.layout.views(params)
        self._last_use = {source: i for i, node in enumerate(graph.nodes) for source in node.inputs}

    def forward(self, x: Array) -> Iterator[Frame]:
        """The frame of every node in order, its output written, for a batch x (n, *shape) as the network reads it.

        An output lives until its last reader has run, or as long as the caller holds the frame.
        """
        outputs = {BATCH: x}
        for i, node in enumerate(self.graph.nodes):
            frame = self._frame(i, tuple(outputs[source] for source in node.inputs))
            with np.errstate(all="ignore"):
                self._layers[i].forward(frame)
            outputs[i] = frame.y
            yield frame
            for source in set(node.inputs):
                if self._last_use[source] == i:
                    del outputs[source]

    def gradient(self, frames: Sequence[Frame], dy: Array, at: int) -> Array:
        """The gradient of sum(y * dy) in the output of node `at`, y being the network's; `frames` are all of them."""
        gradients = {len(frames) - 1: dy}
        for i in range(len(frames) - 1, at, -1):
            frame = frames[i]
            frame.dy = gradients.pop(i)
            dxs = [aligned(x.shape, x.dtype) for x in frame.xs]
            frame.dxs, frame.dx = tuple(dxs), dxs[0]
            with np.errstate(all="ignore"):
                self._layers[i].backward(frame)
            for source, dx in zip(self.graph.nodes[i].inputs, dxs, strict=True):
                gradients[source] = gradients[source] + dx if source in gradients else dx
        return gradients[at]

    def _frame(self, i: int, xs: tuple[Array, ...]) -> Frame:
        """Of node i. Layers that keep in training what backward needs are told they train, which changes no output."""
        node, layer = self.graph.nodes[i], self._layers[i]
        n, dtype = len(xs[0]), xs[0].dtype
        space = layer.workspace(*self.graph.input_shapes(i), n=n, dtype=dtype)
        return Frame(
            xs,
            aligned((n, *node.shape), dtype),
            {name: self._views[f"{node.name}.{name}"] for name in node.params},
            _buffers(space.kept),
            _buffers(space.scratch),
            training=not isinstance(layer, Coupled),
            rng=lambda: stream(0, "walk", i),
        )


def _in_evaluation(layer: Layer) -> Layer:
    """What a layer does in evaluation: those that only disturb what passes in training do nothing."""
    return Identity() if layer.random else layer


def _buffers(declared: Buffers) -> dict[str, Array]:
    return {name: aligned(shape, dtype) for name, (shape, dtype) in declared.items()}
