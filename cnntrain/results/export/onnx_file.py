"""The ONNX format (opset 18), for ONNX Runtime and others. Images are (n, channels, height, width) there.

Clips stay (n, moments, height, width, channels), so that their moments are images after a reshape.

A value of three axes is held with the channels first; every other as in the trace. So only what depends on the order in
memory, flatten and the like, needs a transposition.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from cnntrain import __version__
from cnntrain.core.arrays import Array
from cnntrain.core.errors import CheckFailedError, MissingExtraError
from cnntrain.core.extras import install
from cnntrain.ops.trace import ArrayConstant, Operand, Operation, Value, lacks
from cnntrain.results.export.network import Exported

_T = TypeVar("_T")

OPSET = 18
_SAME = ("add", "sub", "mul", "div", "max", "min", "pow", "exp", "log", "tanh", "sigmoid", "erf", "sqrt", "neg", "abs")
_FUNCTIONS = {  # NumPy's functions of one value that ONNX has too, beside the above: all there are
    **{
        name: name.capitalize() for name in ("sin", "cos", "tan", "sinh", "cosh", "ceil", "floor", "sign", "reciprocal")
    },
    **{f"{a}{name}": f"A{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh") for a in ("a", "arc")},
    "rint": "Round",
    "negative": "Neg",
    "absolute": "Abs",
}
_PLAIN = {name: name.capitalize() for name in _SAME} | _FUNCTIONS | {"matmul": "MatMul"}  # one operation of ONNX's
_WRITTEN = (  # operations for which _Writer has a method
    *("conv", "conv_transpose", "max_pool", "sum_pool", "along", "pad", "slice", "concat", "reshape", "transpose"),
)
_REDUCES = {"mean": "ReduceMean", "sum": "ReduceSum", "amax": "ReduceMax"}
_FIRST, _LAST = (0, 3, 1, 2), (0, 2, 3, 1)  # transpositions that bring the channels there
_CLIP_FIRST, _CLIP_LAST = (0, 4, 1, 2, 3), (0, 2, 3, 4, 1)


def model(exported: Exported) -> bytes:
    """The bytes of the .onnx, checked.

    Raises UsageError for a layer with an operation that ONNX lacks, MissingExtraError without the package onnx.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError(f"--format onnx needs the package onnx. Run: {install('onnx')}") from error
    writer = _Writer(onnx)
    for op in exported.trace.operations:
        writer.write(op, exported)
    names = {"input": exported.input.name, "output": exported.output.name}
    helper = onnx.helper
    batch = ["n"]
    inputs = helper.make_tensor_value_info(names["input"], onnx.TensorProto.FLOAT, batch + _shape(exported.input.shape))
    result = helper.make_tensor_value_info(
        names["output"], onnx.TensorProto.FLOAT, batch + _shape(exported.output.shape)
    )
    graph = helper.make_graph(writer.nodes, exported.name, [inputs], [result], writer.initializers)
    made = helper.make_model(
        graph,
        producer_name="cnntrain",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=10,
    )
    helper.set_model_props(made, {key: json.dumps(value) for key, value in exported.facts(channels_first=True).items()})
    try:
        onnx.checker.check_model(made, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        text = " ".join(str(error).split())
        raise CheckFailedError(f"ONNX's own checker refuses the export: {text}. Please report this") from error
    data: bytes = made.SerializeToString()
    return data


def run(data: bytes, images: Array) -> Array | None:
    """ONNX Runtime's outputs for images (n, h, w, c) or features, in float32; None where it is not installed.

    Maps come as the model has them, (n, c, h, w).
    """
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    given = {
        session.get_inputs()[0].name: np.ascontiguousarray(images.transpose(_FIRST) if images.ndim == 4 else images)
    }
    (outputs,) = session.run(None, given)
    result: Array = outputs
    return result


def _shape(shape: tuple[int, ...]) -> list[Any]:
    """A sample's shape, as ONNX has it."""
    return [shape[2], shape[0], shape[1]] if len(shape) == 3 else list(shape)


class _Writer:
    """Turns operations into nodes."""

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._known: dict[str, Array] = {}  # constants of the trace, as they are read
        self._count = 0

    def write(self, op: Operation, exported: Exported) -> None:
        """Add one operation."""
        self._constants = exported.trace.constants
        if op.kind in _PLAIN:
            self._node(_PLAIN[op.kind], [self._operand(operand, op) for operand in op.operands], op.out.name)
        elif op.kind in _REDUCES:
            axes = self._fixed("axes", np.array([_axis(op.out, axis) for axis in op.numbers["axes"]]))
            self._node(_REDUCES[op.kind], [self._name(op), axes], op.out.name, keepdims=1)
        elif op.kind in _WRITTEN:
            own: Callable[[Operation], None] = getattr(self, f"_{op.kind}")
            own(op)
        else:
            raise lacks(op, "onnx")

    # Pieces

    def _node(self, kind: str, inputs: list[str], out: str, **attributes: Any) -> str:
        self.nodes.append(self._onnx.helper.make_node(kind, inputs, [out], name=out, **attributes))
        return out

    def _array(self, name: str, array: Array) -> str:
        """A constant of the trace as it is read here; a name of its own where it was read in another shape before."""
        while name in self._known and not np.array_equal(self._known[name], array):
            name += "/again"
        if name not in self._known:
            self._known[name] = array
            self._initialize(name, array)
        return name

    def _fixed(self, name: str, array: Array) -> str:
        """Numbers that are no constant of the trace, under a name that nothing in it has: "/axes_1"."""
        self._count += 1
        name = f"/{name}_{self._count}"
        self._initialize(name, array)
        return name

    def _initialize(self, name: str, array: Array) -> None:
        dtype = np.float32 if array.dtype.kind == "f" else np.int64
        self.initializers.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array, dtype), name))

    def _name(self, op: Operation, number: int = 0) -> str:
        value = op.operands[number]
        assert isinstance(value, Value)
        return value.name

    def _operand(self, operand: Operand, op: Operation) -> str:
        """An operand of an element-wise operation, shaped to be broadcast with the others."""
        if isinstance(operand, Value):
            return operand.name
        if not isinstance(operand, ArrayConstant):
            return self._fixed("number", np.array(operand, np.float32))
        array = self._constants[operand.name]
        if len(op.out.shape) == 3:
            array = array.reshape(-1, 1, 1) if array.ndim == 1 else array.transpose(2, 0, 1)
        return self._array(operand.name, array)

    def _constant(self, op: Operation) -> Array:
        operand = op.operands[1]
        assert isinstance(operand, ArrayConstant)
        return self._constants[operand.name]

    def _to(self, order: tuple[int, ...], name: str, out: str) -> str:
        return self._node("Transpose", [name], out, perm=order)

    # Operations with numbers

    def _conv(self, op: Operation, kind: str = "Conv", **attributes: Any) -> None:
        weight, bias = op.operands[1], op.operands[2]
        assert isinstance(weight, ArrayConstant)
        kernels = np.moveaxis(self._constants[weight.name], (-1, -2), (0, 1))
        clips = kernels.ndim == len(_CLIP_FIRST)
        name = self._to(_CLIP_FIRST, self._name(op), f"{op.out.name}/first") if clips else self._name(op)
        inputs = [name, self._array(weight.name, kernels)]
        if isinstance(bias, ArrayConstant):
            inputs.append(self._array(bias.name, self._constants[bias.name]))
        numbers = op.numbers
        shared = {"strides": numbers["stride"], "dilations": numbers["dilation"], "group": numbers["groups"]}
        out = f"{op.out.name}/clip" if clips else op.out.name
        self._node(kind, inputs, out, pads=_pads(numbers["padding"]), **shared, **attributes)
        if clips:
            self._to(_CLIP_LAST, out, op.out.name)

    def _conv_transpose(self, op: Operation) -> None:
        numbers, value = op.numbers, op.operands[0]
        assert isinstance(value, Value)
        kernel = self._constant(op).shape[:2]
        extra = [
            op.out.shape[axis]
            - (value.shape[axis] - 1) * numbers["stride"][axis]
            - numbers["dilation"][axis] * (kernel[axis] - 1)
            - 1
            + sum(numbers["padding"][axis])
            for axis in range(2)
        ]
        self._conv(op, "ConvTranspose", output_padding=extra)

    def _max_pool(self, op: Operation) -> None:
        self._pool(op, "MaxPool", op.out.name)

    def _sum_pool(self, op: Operation) -> None:
        mean = self._pool(op, "AveragePool", f"{op.out.name}/mean", count_include_pad=1)
        count = self._fixed("count", np.array(float(np.prod(op.numbers["kernel"])), np.float32))
        self._node("Mul", [mean, count], op.out.name)

    def _pool(self, op: Operation, kind: str, out: str, **attributes: Any) -> str:
        numbers = op.numbers
        shared = {"kernel_shape": numbers["kernel"], "strides": numbers["stride"], "pads": _pads(numbers["padding"])}
        return self._node(kind, [self._name(op)], out, **shared, **attributes)

    def _along(self, op: Operation) -> None:
        matrix, axis = self._constant(op), op.numbers["axis"]
        constant = op.operands[1]
        assert isinstance(constant, ArrayConstant)
        if axis == 2:
            kernel = self._array(constant.name, matrix[:, :, None, None])
            self._node("Conv", [self._name(op), kernel], op.out.name)
        elif axis == 1:
            self._node("MatMul", [self._name(op), self._array(constant.name, matrix.T)], op.out.name)
        else:
            self._node("MatMul", [self._array(constant.name, matrix), self._name(op)], op.out.name)

    def _pad(self, op: Operation) -> None:
        sides = [(0, 0), *_held(op.out, op.numbers["sides"])]
        pads = [*(before for before, _ in sides), *(after for _, after in sides)]
        self._node("Pad", [self._name(op), self._fixed("pads", np.array(pads))], op.out.name)

    def _slice(self, op: Operation) -> None:
        starts, stops, steps = np.array(_held(op.out, op.numbers["parts"])).T
        bounds = [self._fixed(name, array) for name, array in (("starts", starts), ("ends", stops))]
        axes = self._fixed("axes", np.arange(1, 1 + len(starts)))
        self._node("Slice", [self._name(op), *bounds, axes, self._fixed("steps", steps)], op.out.name)

    def _concat(self, op: Operation) -> None:
        names = [self._name(op, number) for number in range(len(op.operands))]
        self._node("Concat", names, op.out.name, axis=_axis(op.out, op.numbers["axis"]))

    def _reshape(self, op: Operation) -> None:
        value = op.operands[0]
        assert isinstance(value, Value)
        name = value.name
        if len(value.shape) == 3 and value.shape[:2] != (1, 1) and value.shape[2] != 1:
            name = self._to(_LAST, name, f"{op.out.name}/last")
        image = len(op.out.shape) == 3 and op.out.shape[:2] != (1, 1) and op.out.shape[2] != 1
        held = op.out.shape if image else tuple(_shape(op.out.shape))
        shape = self._fixed("shape", np.array([-1, *held]))
        out = self._node("Reshape", [name, shape], f"{op.out.name}/plain" if image else op.out.name)
        if image:
            self._to(_FIRST, out, op.out.name)

    def _transpose(self, op: Operation) -> None:
        self._to((0, *(axis + 1 for axis in op.numbers["order"])), self._name(op), op.out.name)


def _axis(value: Value, axis: int) -> int:
    """The axis of a sample, as ONNX counts it."""
    return (2, 3, 1)[axis] if len(value.shape) == 3 else axis + 1


def _held(value: Value, of_axes: Sequence[_T]) -> list[_T]:
    """One value for each axis of a sample, in ONNX's order of the axes."""
    *rest, channels = of_axes
    return [channels, *rest] if len(value.shape) == 3 else list(of_axes)


def _pads(padding: Sequence[tuple[int, int]]) -> list[int]:
    return [*(before for before, _ in padding), *(after for _, after in padding)]
