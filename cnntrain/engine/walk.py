"""A walk takes a few shards through a graph layer by layer, and everything on the way can be looked at.

The engine reuses its buffers and is made for speed; a walk keeps what is asked for and is made for inspection: dead
rectifiers, Grad-CAM, the examination of a step that went wrong.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from cnntrain.core.arrays import Array, aligned
from cnntrain.core.random import stream
from cnntrain.engine.passes import Passes
from cnntrain.engine.plan import bytes_of, carve_all
from cnntrain.network.graph import BATCH, Graph, Node
from cnntrain.parts.layers.base import Buffers, Coupled, Frame
from cnntrain.parts.layers.identity import Identity

NodeStreams = Callable[[int, int], np.random.Generator]  # (node, shard) -> its random generator


class Walk:
    """A graph with its flat vector of parameters, ready to be walked through any number of times.

    Unless it is for training, the network is in evaluation mode, and its gradient can be taken all the same: of
    outputs, and with `weights` of parameters too, except those of layers that need a batch in training.
    """

    def __init__(self, graph: Graph, params: Array, *, training: bool = False, weights: bool = False) -> None:
        self.graph, self.training, self._weights = graph, training, weights
        views = graph.layout.views(params)
        self._params = [{name: views[f"{node.name}.{name}"] for name in node.params} for node in graph.nodes]
        self._passes = [self._passes_of(i, node) for i, node in enumerate(graph.nodes)]
        self._last_use = {source: i for i, node in enumerate(graph.nodes) for source in node.inputs}
        self._scratch = aligned(0, np.uint8)

    def forward(self, shards: Sequence[Array], streams: NodeStreams | None = None) -> Iterator[list[Frame]]:
        """The frames of every node in order, one a shard, for shards x (n, *shape) as the network reads them.

        An output lives until its last reader has run, or as long as the caller holds the frame.
        """
        streams = streams or (lambda node, shard: stream(0, "walk", node, shard))
        outputs = {BATCH: list(shards)}
        for i, node in enumerate(self.graph.nodes):
            shapes = self.graph.input_shapes(i)
            inputs = [
                tuple(outputs[source][k].reshape(-1, *shape) for source, shape in zip(node.inputs, shapes, strict=True))
                for k in range(len(shards))
            ]
            with np.errstate(all="ignore"):
                frames = self._passes[i].forward(inputs, self._params[i], functools.partial(streams, i))
            outputs[i] = [f.y.reshape(-1, *node.shape) for f in frames]
            yield frames
            for source in set(node.inputs):
                if self._last_use[source] == i:
                    del outputs[source]

    def backward(
        self, nodes: list[list[Frame]], gradients: dict[int, list[Array]], wants: Callable[[int], bool]
    ) -> Iterator[tuple[int, list[Frame]]]:
        """Go back through the `nodes` of a whole forward, which are used up, the last first; yields each when it is
        done.

        `gradients` holds the gradient of the last node's output, shard by shard, and at the end those of the outputs
        before which nothing was wanted; `wants` says of a node, or BATCH, whether the gradient of its output is wanted.
        """
        for i in reversed(range(len(self.graph.nodes))):
            frames, sources = nodes.pop(), self.graph.nodes[i].inputs
            wanted = [wants(source) for source in sources]
            if not any(wanted) and not self._passes[i].trained:
                continue
            dys = [dy.reshape(f.y.shape) for dy, f in zip(gradients.pop(i), frames, strict=True)]
            with np.errstate(all="ignore"):
                self._passes[i].backward(frames, dys, wanted)
            yield i, frames
            for position, source in enumerate(sources):
                shape = self.graph.shape(source)
                more = [dx.reshape(-1, *shape) for f in frames if (dx := f.dxs[position]) is not None]
                if source in gradients:
                    gradients[source] = [so_far + dx for so_far, dx in zip(gradients[source], more, strict=True)]
                elif more:
                    gradients[source] = more

    def gradient(self, nodes: Sequence[list[Frame]], dys: Sequence[Array], at: int) -> list[Array]:
        """The gradient of sum(y * dy) with respect to the output of node `at`, y being the network's, shard by shard.

        `nodes` are those of a whole forward.
        """
        gradients = {len(nodes) - 1: list(dys)}
        for _ in self.backward(list(nodes), gradients, lambda source: source >= at):
            pass
        return gradients[at]

    def _passes_of(self, i: int, node: Node) -> Passes:
        """The passes of node i.

        In evaluation a layer is told that it trains, so that it keeps what backward needs: that changes no output of
        one that is neither coupled nor random. A coupled one does not need it, and a random one is left out.
        """
        layer = node.layer
        training = not node.options.freeze
        if not self.training:
            layer = Identity() if layer.random else layer
            training = not isinstance(layer, Coupled)
        whole = self._weights and not isinstance(layer, Coupled)
        trained = (self.training or whole) and not node.options.freeze
        shapes = self.graph.input_shapes(i)
        return Passes(layer, shapes, training=training, trained=trained, scratch=self._carved)

    def _carved(self, buffers: Buffers) -> dict[str, Array]:
        """Scratch, which is dead after a call, is the same memory for all layers."""
        if (size := bytes_of(buffers)) > self._scratch.size:
            self._scratch = aligned(size, np.uint8)
        return carve_all(self._scratch, buffers)
