"""A worked example is one number of a layer's output with everything that goes into it, to be checked by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.counts import counted
from cnntrain.network.graph import BATCH, CLIP, Node
from cnntrain.ops.trace import Operation
from cnntrain.parts.layers.base import Frame
from cnntrain.results.explain.passage import Passage
from cnntrain.results.report.html import Markup, element, section, table

_CHANNELS = 3  # of a window that are shown in full: those that contribute most
_TERMS = 8  # of a dense unit's sum that are shown
_SIDE = 7  # the largest kernel that is shown


@dataclass(frozen=True)
class Spot:
    """One value of a convolution or a pooling, with the window it is computed from.

    place    (row, column, channel) of the value in the layer's output
    corner   (row, column) of the window's upper left in the input, negative in the padding
    values   (rows, columns, channels): what the window holds, 0 where it lies in the padding
    weights  the same shape; None for a pooling
    bias     what is added
    y        the layer's output there
    """

    place: tuple[int, int, int]
    corner: tuple[int, int]
    values: Array
    weights: Array | None
    bias: float
    y: float

    @property
    def sums(self) -> Array:
        """What each channel adds: (channels,), in float64."""
        assert self.weights is not None
        total: Array = (self.values.astype(np.float64) * self.weights).sum(axis=(0, 1))
        return total


def convolution(passed: Passage) -> Markup:
    """The largest value of the first convolution, computed from its window and its filter."""
    found = _first(passed, ("conv",))
    if found is None:
        return Markup()
    node, frame, operation = found
    one = convolved(frame, operation)
    assert one.weights is not None
    if max(one.values.shape[:2]) > _SIDE:
        return Markup()
    order = np.argsort(-np.abs(one.sums), kind="stable")
    shown = sorted(order[:_CHANNELS].tolist())
    parts = [_channel(one, channel) for channel in shown]
    rest = [channel for channel in range(len(one.sums)) if channel not in shown]
    sums = [f"{one.sums[channel]:.5g}" for channel in shown]
    if rest:
        sums.append(f"{one.sums[rest].sum():.5g} ({counted(len(rest), 'other channel')})")
    if one.bias:
        sums.append(f"{one.bias:.5g} (the bias)")
    total = f"{_added(sums)} = {one.sums.sum() + one.bias:.5g}. The layer gives {one.y:.5g}."
    note = (
        f"The largest value of {node.name} is that of filter {one.place[2]} at row {one.place[0]}, column "
        f"{one.place[1]}. Its window begins at row {one.corner[0]}, column {one.corner[1]} of the input; each value is "
        "multiplied by the weight at its place, and the products are added up. Counting starts from 0."
    )
    if node.inputs == (BATCH,):
        note += (
            " The input is the picture after data.eval_transforms: the values are normalized, if the config says so."
        )
    return section("One convolution", *parts, element("p", total, class_="sum"), note=note)


def pooling(passed: Passage) -> Markup:
    """The largest value of the first pooling, computed from its window, and where its gradient goes."""
    found = _first(passed, ("max_pool", "sum_pool"))
    if found is None:
        return Markup()
    node, frame, operation = found
    one = pooled(frame, operation)
    if max(one.values.shape[:2]) > _SIDE:
        return Markup()
    largest = operation.kind == "max_pool"
    does = "the largest of the window" if largest else "the mean of the window"
    text = f"{does[0].upper()}{does[1:]} is {one.y:.5g}."
    if frame.dy is not None:
        gradient = float(frame.dy[0][one.place])
        goes = "all of it goes to the place of that value" if largest else "each place gets its share of it"
        text += f" The gradient there is {gradient:.5g}; {goes}."
    note = (
        f"{node.name} gives {does}. Its largest value is that of channel {one.place[2]} at row {one.place[0]}, column "
        f"{one.place[1]}; the window begins at row {one.corner[0]}, column {one.corner[1]}."
    )
    return section("One pooling window", _grid(one.values[..., 0]), element("p", text, class_="sum"), note=note)


def dense(passed: Passage) -> Markup:
    """The largest output of the last dense layer, computed from its inputs, those that contribute most first."""
    found = _first(passed, ("matmul",), last=True)
    if found is None:
        return Markup()
    node, frame, _ = found
    weight, x = frame.p["weight"].astype(np.float64), frame.x[0].astype(np.float64)
    unit = int(np.argmax(frame.y[0]))
    terms = x * weight[:, unit]
    order = np.argsort(-np.abs(terms), kind="stable")[:_TERMS]
    rows = [[f"{i}", f"{x[i]:.5g}", f"{weight[i, unit]:.5g}", f"{terms[i]:.5g}"] for i in order.tolist()]
    others = float(terms.sum() - terms[order].sum())
    if len(terms) > len(order):
        rows.append([f"the other {len(terms) - len(order)}", "", "", f"{others:.5g}"])
    bias = float(frame.p["bias"][unit]) if "bias" in frame.p else 0.0
    rows.append(["bias", "", "", f"{bias:.5g}"])
    rows.append(["sum", "", "", f"{terms.sum() + bias:.5g}"])
    note = (
        f"The largest output of {node.name} is that of unit {unit}: every input times its weight, added up. The layer "
        f"gives {float(frame.y[0][unit]):.5g}."
    )
    return section("One dense unit", table(("input", "value", "weight", "product"), rows, {1, 2, 3}), note=note)


def convolved(frame: Frame, operation: Operation) -> Spot:
    """The largest value that a convolution gives, with its window and weights."""
    numbers, weight = operation.numbers, frame.p["weight"]
    row, column, filter_ = _largest(frame.y[0])
    groups, depth = numbers["groups"], weight.shape[2]
    first = filter_ // (weight.shape[3] // groups) * depth
    image = frame.x[0][..., first : first + depth]
    corner, values = _window(image, (row, column), weight.shape[:2], numbers)
    bias = float(frame.p["bias"][filter_]) if "bias" in frame.p else 0.0
    y = float(frame.y[0][row, column, filter_])
    return Spot((row, column, filter_), corner, values, weight[..., filter_], bias, y)


def pooled(frame: Frame, operation: Operation) -> Spot:
    """The largest value that a pooling gives, with its window."""
    row, column, channel = _largest(frame.y[0])
    image = frame.x[0][..., channel : channel + 1]
    corner, values = _window(image, (row, column), operation.numbers["kernel"], operation.numbers)
    return Spot((row, column, channel), corner, values, None, 0.0, float(frame.y[0][row, column, channel]))


def _first(passed: Passage, kinds: Sequence[str], last: bool = False) -> tuple[Node, Frame, Operation] | None:
    """The first or last node whose trace begins with such an operation; what is computed of clips is not shown."""
    found = [one for one in passed.beginnings if one[2].kind in kinds and len(one[0].shape) < CLIP]
    return found[-1 if last else 0] if found else None


def _largest(y: Array) -> tuple[int, int, int]:
    """The place of the largest value, the first of equals."""
    row, column, channel = (int(i) for i in np.unravel_index(np.argmax(y), y.shape))
    return row, column, channel


def _window(
    image: Array, at: tuple[int, int], kernel: Sequence[int], numbers: Mapping[str, Any]
) -> tuple[tuple[int, int], Array]:
    """The upper left corner and the values of the window of one output, with 0 in the padding."""
    stride, padding, dilation = numbers["stride"], numbers["padding"], numbers.get("dilation", (1, 1))
    corner = (at[0] * stride[0] - padding[0][0], at[1] * stride[1] - padding[1][0])
    values = np.zeros((kernel[0], kernel[1], image.shape[2]), image.dtype)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            row, column = corner[0] + i * dilation[0], corner[1] + j * dilation[1]
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                values[i, j] = image[row, column]
    return corner, values


def _channel(one: Spot, channel: int) -> Markup:
    assert one.weights is not None
    return element(
        "div",
        element("p", f"channel {channel}: the window times the weights adds {one.sums[channel]:.5g}"),
        element(
            "div", _grid(one.values[..., channel], "window"), _grid(one.weights[..., channel], "weights"), class_="two"
        ),
        class_="layer",
    )


def _grid(values: Array, name: str = "") -> Markup:
    rows = [[f"{value:.4g}" for value in row] for row in values.tolist()]
    shown = table([""] * values.shape[1], rows, set(range(values.shape[1])))
    return element("div", element("p", name), shown) if name else shown


def _added(terms: Sequence[str]) -> str:
    return " + ".join(terms).replace("+ -", "- ")
