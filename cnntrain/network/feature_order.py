"""A feature order says where each feature of ours is in PyTorch, whose images are flattened channel by channel.

Where a flattened image goes on to a dense layer, the rows of that layer's weight are permuted; where it is added to
the features of another dense layer, that layer's units are. What no permutation of parameters makes equal is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.errors import UsageError
from cnntrain.network.graph import BATCH, Graph, Node

_JOINING = ("add", "multiply")  # value by value

Axes = tuple[Array | None, ...]  # for each axis of a parameter, which of our places is each of theirs; None: the same


@dataclass(frozen=True)
class _Order:
    """The order of a node's output: `places[j]` is our place for PyTorch's j-th value, each in its own memory order.

    units   dense layers whose units may be reordered to suit it
    """

    places: Array
    units: tuple[int, ...] = ()

    def same_as(self, other: _Order) -> bool:
        return np.array_equal(self.places, other.places)

    @property
    def moved(self) -> Array | None:
        return None if np.array_equal(self.places, np.arange(len(self.places))) else self.places


class _AnewError(Exception):
    """The units of a dense layer have been reordered: follow the graph again."""


def feature_orders(graph: Graph) -> dict[str, Axes]:
    """For each parameter that PyTorch has in another order of features, the order of its axes.

    Raises UsageError that names the first node which PyTorch's order of features does not allow.
    """
    chosen: dict[int, Array] = {}  # dense layer -> the order of its units
    while True:
        try:
            return _follow(graph, chosen)
        except _AnewError:
            continue


def _follow(graph: Graph, chosen: dict[int, Array]) -> dict[str, Axes]:
    """The orders with units as chosen. Raises _AnewError after a further choice."""
    found: dict[str, Axes] = {}
    orders = {BATCH: _of_image(graph.input_shape)}
    for index, node in enumerate(graph.nodes):
        inputs = [orders[source] for source in node.inputs]
        shapes = tuple(graph.shape(source) for source in node.inputs)
        kind = node.layer.name_in_config
        if kind == "dense":
            orders[index] = _Order(chosen.get(index, np.arange(node.shape[0])), () if index in chosen else (index,))
            found |= {
                f"{node.name}.{name}": (inputs[0].moved, orders[index].moved)[-len(param.shape) :]
                for name, param in node.params.items()
            }
            continue
        if kind in _JOINING:
            orders[index] = _joined(node, inputs, shapes, chosen)
        elif node.layer.flattens or kind == "reshape":
            orders[index] = _reshaped(node, inputs[0], shapes[0])
        elif len(node.shape) == 1 and all(len(shape) == 1 for shape in shapes):
            orders[index] = _features(node, inputs)
            found |= {f"{node.name}.{name}": (inputs[0].moved,) for name in node.params}
        else:
            orders[index] = _of_image(node.shape)
    if orders[len(graph.nodes) - 1].moved is not None and len(graph.output_shape) == 1:
        raise _refusal(
            graph.nodes[-1], "the outputs would be in another order than the classes: end with a dense layer"
        )
    return {name: axes for name, axes in found.items() if any(axis is not None for axis in axes)}


def _of_image(shape: Shape) -> _Order:
    """The order of an image (height, width, channels), which PyTorch keeps channel by channel; features are alike."""
    places = np.arange(int(np.prod(shape))).reshape(shape)
    return _Order(np.moveaxis(places, -1, 0).reshape(-1))


def _joined(node: Node, inputs: Sequence[_Order], shapes: Sequence[Shape], chosen: dict[int, Array]) -> _Order:
    """Inputs joined value by value: they must be in one order, or come from dense layers that can be reordered so."""
    whole = max(shapes, key=len)
    if len(whole) > 1:  # features beside an image are its channels, which are in order
        wanted, apart = _Order(np.arange(whole[-1])), [i for i, s in zip(inputs, shapes, strict=True) if len(s) == 1]
    else:
        wanted, apart = next((i for i in inputs if not i.units), inputs[0]), list(inputs)
    for order in apart:
        if order.same_as(wanted):
            continue
        if not order.units:
            raise _refusal(node, "its inputs have their features in different orders there: put a dense layer between")
        chosen.update(dict.fromkeys(order.units, wanted.places))
        raise _AnewError
    if len(whole) > 1:
        return _of_image(whole)
    free = {unit for order in inputs for unit in order.units}
    return _Order(wanted.places, tuple(sorted(free)) if all(order.units for order in inputs) else ())


def _reshaped(node: Node, order: _Order, shape: Shape) -> _Order:
    """The same values in memory: since PyTorch's order differs, an image must come out as PyTorch keeps images."""
    if len(node.shape) == 1:
        return _Order(order.places, order.units if len(shape) == 1 else ())
    if not order.same_as(_of_image(node.shape)):
        raise _refusal(node, "it lays values out row by row, PyTorch channel by channel")
    return _of_image(node.shape)


def _features(node: Node, inputs: Sequence[_Order]) -> _Order:
    """Features from features: side by side in concat; else from one input, as many, each from its own or its group."""
    if node.layer.name_in_config == "concat":
        starts = np.cumsum([0, *(len(order.places) for order in inputs)])
        return _Order(np.concatenate([order.places + start for order, start in zip(inputs, starts[:-1], strict=True)]))
    if len(inputs) > 1 and all(order.moved is None for order in inputs):
        return _of_image(node.shape)
    order = inputs[0]
    if order.moved is None and not order.units:
        return _of_image(node.shape)
    if len(inputs) > 1 or node.shape != (len(order.places),):
        raise _refusal(node, "its features come from a flattened image, in another order")
    groups = getattr(node.layer, "groups", 1)
    if groups == 1:
        return order
    size = len(order.places) // groups
    if (np.ptp(order.places.reshape(groups, size) // size, axis=1) > 0).any():
        raise _refusal(
            node, "in PyTorch's order its groups would be of other features: put it before the image is flattened"
        )
    return _Order(order.places)


def _refusal(node: Node, why: str) -> UsageError:
    return UsageError(
        f"{node.name} ({node.layer.name_in_config}, {node.where}) cannot be expressed in PyTorch's order of features, "
        f"where images are flattened channel by channel: {why}. The formats numpy and onnx keep our order"
    )
