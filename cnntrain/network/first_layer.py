"""The first layer weighs pixels, so its weights can be viewed as images."""

from __future__ import annotations

from collections.abc import Mapping

from cnntrain.core.arrays import Array
from cnntrain.network.graph import BATCH, Graph


def first(graph: Graph, views: Mapping[str, Array]) -> tuple[str, Array] | None:
    """The first layer that weighs pixels, and its weights as images (h, w, channels, filters); None without one.

    The moments of a clip lie one below the other.
    """
    for node in graph.nodes:
        if "weight" not in node.params or any(source != BATCH and not _flat(graph, source) for source in node.inputs):
            continue
        weight = views[f"{node.name}.weight"]
        if weight.ndim == 2:  # features that are pixels
            weight = weight.reshape(*graph.input_shape, -1)
        elif weight.ndim < 4 or min(weight.shape[-4:-2]) == 1 or node.inputs[0] != BATCH:
            continue
        return node.name, weight.reshape(-1, *weight.shape[-3:])
    return None


def _flat(graph: Graph, index: int) -> bool:
    """Whether a node does no more than flatten the network's input."""
    node = graph.nodes[index]
    return node.layer.flattens and node.inputs == (BATCH,)
