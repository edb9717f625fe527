"""In evaluation a batch norm behind a convolution is a factor and a shift for each filter, which that can take over.

    (x * w + b - mean) * factor + shift = x * (w * factor) + (b - mean) * factor + shift

That is so for every layer that absorbs a scale, as long as nobody else reads its output. The engine evaluates networks
without such batch norms, and `export --fold` writes them so.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.network.graph import BATCH, Graph, Node


@functools.lru_cache(maxsize=8)
def absorbed(graph: Graph) -> Mapping[int, int]:
    """The nodes that another can take over in evaluation, each with that other."""
    readers = Counter(source for node in graph.nodes for source in node.inputs)
    found: dict[int, int] = {}
    for index, node in enumerate(graph.nodes):
        source = node.inputs[0]
        alone = source != BATCH and readers[source] == 1
        if node.layer.by_channel and alone and graph.nodes[source].layer.absorbs_scale:
            found[index] = source
    return found


def taken_over(own: Mapping[str, Array], by_channel: tuple[Array, Array, Array]) -> dict[str, Array]:
    """Weight and bias, in float64, of a layer with the parameters `own` that takes over y = (x - center) * factor +
    shift.
    """
    center, factor, shift = by_channel
    moved = own.get("bias", np.float64(0)) - center
    return {"weight": own["weight"] * factor, "bias": moved * factor + shift}


class Folded:
    """A graph without the nodes that others take over, and the parameters with which it evaluates."""

    def __init__(self, graph: Graph, params: list[Mapping[str, Array]]) -> None:
        """`params` are those of all nodes, where training writes them."""
        self.graph = without(graph)
        self._nodes, self._params, self._pairs = graph.nodes, params, absorbed(graph)
        dtype = next((array.dtype for own in params for array in own.values()), np.dtype(np.float32))
        left = [index for index in range(len(graph.nodes)) if index not in self._pairs]
        taking = {*self._pairs.values()}
        self._new = {
            index: {name: np.empty(param.shape, dtype) for name, param in node.params.items()}
            for index, node in zip(left, self.graph.nodes, strict=True)
            if index in taking
        }
        self.params = [self._new.get(index, params[index]) for index in left]

    def renew(self) -> None:
        """Make the parameters anew: those of the whole graph may have changed."""
        for index, source in self._pairs.items():
            by_channel = self._nodes[index].layer.evaluated(self._params[index])
            for name, array in taken_over(self._params[source], by_channel).items():
                np.copyto(self._new[source][name], array, casting="same_kind")


@functools.lru_cache(maxsize=8)
def without(graph: Graph) -> Graph:
    """The graph without the nodes that others take over; it is itself where there are none."""
    pairs = absorbed(graph)
    if not pairs:
        return graph
    taking, places = {*pairs.values()}, {BATCH: BATCH}
    nodes: list[Node] = []
    for index, node in enumerate(graph.nodes):
        if index in pairs:
            places[index] = places[pairs[index]]
            continue
        if index in taking:
            layer = dataclasses.replace(node.layer, bias=True)  # type: ignore[call-arg]  # all that absorb a scale have one
            node = dataclasses.replace(node, layer=layer, params=layer.params(*graph.input_shapes(index)))
        places[index] = len(nodes)
        nodes.append(dataclasses.replace(node, inputs=tuple(places[source] for source in node.inputs)))
    found = Graph(nodes, graph.input_shape, graph.layout)
    found.shard = graph.shard
    return found
