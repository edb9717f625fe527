"""A passage is one sample's way through a network and back: every layer's output, and its gradient."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.errors import UsageError
from cnntrain.core.letters import isolated
from cnntrain.engine.walk import Walk
from cnntrain.network.graph import Graph, Node
from cnntrain.ops.trace import Operation, Trace, Value
from cnntrain.parts.layers.base import Frame
from cnntrain.parts.tasks.base import Supposed
from cnntrain.trained.inference import Trained


@dataclass(frozen=True)
class Passage:
    """The frames of every node, in the order of the graph, after forward and backward of one sample.

    x         (1, h, w, c): the sample as the network reads it, of several views the middle one
    outputs   (1, units), or whatever shape the network gives
    answered  the same shape: what `predict` answers from, the mean over views
    of        what is differentiated, in words
    truth     what its targets are, as a sentence; empty where it has none
    back      the nodes that the gradient reached
    """

    graph: Graph
    x: Array
    outputs: Array
    answered: Array
    frames: Sequence[Frame]
    back: frozenset[int]
    of: str
    truth: str = ""

    def output(self, number: int) -> Array:
        """A node's output, of the node's shape: in the frames of layers of images, a clip's moments are rows."""
        output: Array = self.frames[number].y.reshape(self.nodes[number].shape)
        return output

    def gradient(self, number: int) -> Array | None:
        """The gradient with respect to a node's output, of the same shape; None where none arrived."""
        return self.frames[number].dy.reshape(self.nodes[number].shape) if number in self.back else None

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes of the graph."""
        return self.graph.nodes

    @functools.cached_property
    def beginnings(self) -> list[tuple[Node, Frame, Operation]]:
        """The nodes that can be traced, as for an export, each with its first operation."""
        found = []
        for number, (node, frame) in enumerate(zip(self.nodes, self.frames, strict=True)):
            trace = Trace()
            trace.begin(node.name)
            inputs = [Value(f"x{i}", shape) for i, shape in enumerate(self.graph.input_shapes(number))]
            with contextlib.suppress(NotImplementedError):
                node.layer.trace(trace, frame.p, *inputs)
                found += [(node, frame, operation) for operation in trace.operations[:1]]
        return found


def passage(trained: Trained, stored: Array, truth: str | None = None) -> Passage:
    """Take a sample (1, h, w, c), as training samples are stored, through the network and back.

    Backward begins with the gradient of the loss, against the class named by `truth` or else what the task supposes,
    such as the network's own answer; where an answer cannot serve as a target, with that of the largest output. Raises
    UsageError for an unknown class, DataError for pixels in another range than in training.
    """
    network = trained.network
    walk = Walk(network.graph, trained.engine.params, weights=True)
    x = trained.prepared(stored)
    nodes = list(walk.forward([x]))
    outputs = nodes[-1][0].y
    answered = trained.outputs(stored) if trained.views > 1 else outputs
    try:
        supposed = network.task.supposed(answered, trained.description, truth)
    except ValueError as error:
        raise UsageError(f"--truth: {error}") from error
    if supposed is None:
        d_outputs = np.zeros_like(outputs)
        d_outputs.flat[int(np.argmax(outputs))] = 1
        of, truth_told = "the largest output", ""
    else:
        d_outputs = _of_loss(trained, outputs, supposed.targets)
        of, truth_told = f"the loss {network.loss.name_in_config}", _told(trained, supposed)
    back = frozenset(i for i, _ in walk.backward(list(nodes), {len(nodes) - 1: [d_outputs]}, lambda _source: True))
    return Passage(network.graph, x, outputs, answered, [frames[0] for frames in nodes], back, of, truth_told)


def _of_loss(trained: Trained, outputs: Array, target: Array) -> Array:
    loss, ones = trained.network.loss, np.ones(1, outputs.dtype)
    d_outputs = np.empty_like(outputs)
    loss(outputs, target, ones, np.empty(1, outputs.dtype), d_outputs)
    d_outputs /= loss.normalizer(target, ones)
    return d_outputs


def _told(trained: Trained, supposed: Supposed) -> str:
    told = isolated(trained.network.task.told(supposed.targets[0], trained.description))
    return f"The truth is taken to be {told}, {supposed.why}." if supposed.why else f"The truth is {told}."
