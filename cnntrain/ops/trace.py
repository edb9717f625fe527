"""A trace is what a network computes in evaluation, as a list of elementary operations, for export to write down.

Each layer says in `trace` which operations it consists of; a format says how it writes each operation. So a new layer
needs no line in any format, and a new format none in any layer; neither imports the other. Shapes are those of one
sample; how a format lays them out is up to the format. A format that lacks an
operation refuses the layer by name and place (`lacks`).

| operations | what they do |
|---|---|
| add sub mul div max min pow | two values, or a value and a number; features go with each pixel of an image |
| exp log tanh sigmoid erf sqrt neg abs | one value, element by element |
| sin, arctan, floor ... | any other of NumPy's element-wise functions, by NumPy's name |
| mean sum amax | over some axes, which stay with size 1 |
| conv, conv_transpose | weight as conv2d's or conv_transpose2d's, bias or None; stride, padding, dilation, groups |
| max_pool, sum_pool | windows; kernel, stride, padding |
| matmul | features times a matrix |
| along | a matrix times the values along an axis |
| pad | zeros around it: for each axis a pair (before, after) in sides= |
| slice | some of it: for each axis (start, stop, step) in parts= |
| concat, transpose | values, no constants, one after the other along axis=; its axes in another order= |
| reshape | the same values in memory order |

Samples are images (height, width, channels), clips (moments, height, width, channels) or features. A reshape to fewer
or more values makes several samples of one, or one of several: the moments of clips, for layers of images.

Formats find values and constants by their names, of which a trace has each but once. A node's result has the node's
name, in which there is no slash; a step on the way to it is called "conv2d_1/1", and a constant "conv2d_1.weight".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.core.errors import UsageError
from cnntrain.ops.windows import Axis


@dataclass(frozen=True)
class Value:
    """What an operation gives: a name, and the shape of one sample."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class ArrayConstant:
    """An array that is the same for all samples, such as a weight; by its name in `Trace.constants`."""

    name: str
    shape: Shape


Operand = Value | ArrayConstant | float | None


@dataclass(frozen=True)
class Operation:
    """One step: `out` is `kind` of the operands, with numbers that are not operands in `numbers`."""

    kind: str
    operands: tuple[Operand, ...]
    out: Value
    numbers: Mapping[str, Any] = field(default_factory=dict)
    of: str = ""  # the layer that it belongs to and its place, for messages


_NEEDED = {  # what an operation does not make sense without
    "concat": "axis",
    "pad": "sides",
    "slice": "parts",
    "transpose": "order",
    **dict.fromkeys(("mean", "sum", "amax"), "axes"),
}


class Trace:
    """The operations so far, in order, and the constants they read, in float32."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.constants: dict[str, Array] = {}
        self.results: set[str] = set()  # names of values that are a node's result, not a step on the way to it
        self.node = ""  # whose operations are being recorded
        self._of = ""
        self._count = 0  # of its operations so far
        self._values: set[str] = set()  # names of values that were recorded or read

    def constant(self, name: str, array: Array) -> ArrayConstant:
        """An array of the node, under the node's name."""
        full, number = f"{self.node}.{name}", 1
        while full in self.constants and not np.array_equal(self.constants[full], array.astype(np.float32)):
            number += 1  # a layer that consists of others has several of one name
            full = f"{self.node}.{name}_{number}"
        assert full not in self._values, f"a value of the trace is called {full!r} already"
        self.constants[full] = np.ascontiguousarray(array, dtype=np.float32)
        return ArrayConstant(full, array.shape)

    def op(self, kind: str, *operands: Operand, shape: Shape | None = None, **numbers: Any) -> Value:
        """Add an operation; its shape is by default that of its largest operand.

        Raises UsageError, which names the layer, where the operation lacks what it needs.
        """
        if (needed := _NEEDED.get(kind)) and needed not in numbers:
            self._refuse(f"its 'trace' has an operation {kind!r} without {needed}=, see cnntrain/ops/trace.py")
        if kind == "concat" and not all(isinstance(operand, Value) for operand in operands):
            self._refuse("its 'trace' concatenates a constant. Pad the value, and add the constant to it")
        if shape is None:
            shapes = [operand.shape for operand in operands if isinstance(operand, Value | ArrayConstant)]
            shape = np.broadcast_shapes(*shapes)
        self._count += 1
        self._values |= {operand.name for operand in operands if isinstance(operand, Value)}
        out = self._new(f"{self.node}/{self._count}", shape)
        self.operations.append(Operation(kind, operands, out, numbers, self._of or self.node))
        return out

    def _new(self, name: str, shape: Shape) -> Value:
        """A value of a name that nothing in the trace has, its inputs included."""
        taken = name in self._values or name in self.constants
        assert not taken, f"the trace has two values called {name!r}"
        self._values.add(name)
        return Value(name, shape)

    def _refuse(self, why: str) -> NoReturn:
        raise UsageError(f"{self._of or self.node} cannot be exported: {why}")

    def begin(self, node: str, of: str = "") -> None:
        """From here on, what is recorded is this node's; `of` is what messages call it, by default its name."""
        self.node, self._count, self._of = node, 0, of

    def end(self, result: Value) -> Value:
        """The node's result, under the node's own name where its last operation gives it."""
        if not self._count or self.operations[-1].out != result:
            return result
        named = self._new(self.node, result.shape)
        self.operations[-1] = replace(self.operations[-1], out=named)
        self.results.add(named.name)
        return named

    def convolution(self, x: Value, p: Mapping[str, Array], axes: Sequence[Axis], groups: int, shape: Shape) -> Value:
        """The windows' products with weight, plus bias if there is one."""
        return self.op(
            "conv",
            x,
            self.constant("weight", p["weight"]),
            self.constant("bias", p["bias"]) if "bias" in p else None,
            shape=shape,
            stride=tuple(along.stride for along in axes),
            padding=tuple((along.before, along.after) for along in axes),
            dilation=tuple(along.dilation for along in axes),
            groups=groups,
        )

    def reduce(self, kind: str, x: Value, axes: Sequence[int]) -> Value:
        """The mean, sum or amax over axes of a sample, which stay with size 1."""
        axes = tuple(axis % len(x.shape) for axis in axes)
        shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        return self.op(kind, x, shape=shape, axes=axes)

    def reshape(self, x: Value, shape: Shape) -> Value:
        """The same values in memory order; x itself where it has the shape."""
        return x if x.shape == shape else self.op("reshape", x, shape=shape)

    def moments(self, clip: Value) -> Value:
        """A clip's moments as samples of their own, moment after moment, clip after clip: memory stays as it is."""
        return self.op("reshape", clip, shape=clip.shape[1:])

    def clip(self, moment: Value, moments: int) -> Value:
        """`moments` samples, one after the other, as the moments of one."""
        return self.op("reshape", moment, shape=(moments, *moment.shape))

    def along(self, x: Value, matrix: ArrayConstant, axis: int) -> Value:
        """A matrix (new size, size) times the values along an axis of an image."""
        shape = tuple(matrix.shape[0] if axis == i else size for i, size in enumerate(x.shape))
        return self.op("along", x, matrix, shape=shape, axis=axis)

    def beside(self, features: Value, whole: Shape) -> Value:
        """Features shaped to be broadcast over the pixels of an image or clip of the shape `whole`."""
        if len(features.shape) > 1 or len(whole) == 1:
            return features
        return self.reshape(features, (*(1 for _ in whole[:-1]), features.shape[-1]))


def lacks(operation: Operation, form: str, why: str = "") -> UsageError:
    """The error of a format that cannot write an operation: which layer, where, and what to do."""
    return UsageError(
        f"{operation.of} cannot be exported as {form}: the format has no operation {operation.kind!r}"
        f"{why}. Choose another --format, or let the layer's 'trace' make it from operations that every format has, "
        "which cnntrain/ops/trace.py lists"
    )
