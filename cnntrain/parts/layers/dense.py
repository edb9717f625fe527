"""A dense layer connects every input feature with every unit: one matrix product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Classes
from cnntrain.core.arrays import Array, Param, Shape
from cnntrain.core.registry import register
from cnntrain.ops.calls import Calls, PassName, copy, run
from cnntrain.ops.outer import outer
from cnntrain.ops.panels import Panels
from cnntrain.ops.products import across, product
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Buffers, Example, Frame, Layer, Workspace, example, width


@register("dense")
@dataclass(frozen=True)
class Dense(Layer):
    """y = x @ weight + bias (PyTorch's Linear, whose weight is the transpose).

    So dweight = x.T @ dy, dbias = sum of dy over samples, dx = dy @ weight.T.
    """

    examples: ClassVar[tuple[Example, ...]] = (
        example((5,), units=3),
        example((4,), units=1),
        example((1,), units=2, bias=False),
    )
    affine_map: ClassVar[bool] = True
    absorbs_scale: ClassVar[bool] = True
    outer: ClassVar[str] = "weight"

    units: Classes  # outputs; `auto` is the number of classes
    bias: bool = True  # add a trained bias to each output

    def output_shape(self, *inputs: Shape) -> Shape:
        """(features,) -> (units,)."""
        if len(inputs[0]) != 1:
            raise ValueError(f"dense needs features, got an image {inputs[0]}: put flatten or global_avg_pool before")
        return (width(self.units),)

    def params(self, *inputs: Shape) -> dict[str, Param]:
        """Declare weight (features, units) and, unless switched off, bias (units,)."""
        (features,), units = inputs[0], width(self.units)
        declared = {"weight": Param((features, units), "weight", features, units)}
        if self.bias:
            declared["bias"] = Param((units,), "bias", features, units)
        return declared

    def workspace(self, *inputs: Shape, n: int, dtype: np.dtype[Any]) -> Workspace:
        """Ones, whose product with dy is the gradient of the bias; in evaluation a wide weight in panels."""
        ones: Buffers = {"ones": ((n,), dtype)} if self.bias else {}
        weight = self.params(*inputs).get("weight")  # which a subclass may call otherwise
        cut = weight is not None and len(weight.shape) == 2 and Panels(*weight.shape).cut
        evaluated: Buffers = {"forward": ((weight.size,), dtype)} if weight and cut else {}
        return Workspace(scratch=ones, evaluated=evaluated)

    def flops(self, *inputs: Shape) -> int:
        """Two for each weight, one for each bias."""
        return width(self.units) * (2 * inputs[0][0] + self.bias)

    def fill_calls(self, f: Frame, do: PassName) -> list[Calls]:
        """The weight in panels."""
        if do != "forward" or do not in f.held:
            return []
        return Panels(*f.p["weight"].shape).fill(f.p["weight"], f.held["forward"])

    def forward(self, f: Frame) -> None:
        """Write y = x @ weight + bias."""
        run(f.once("forward", _forward_calls))
        if self.bias:
            np.add(f.y, f.p["bias"], out=f.y)

    def backward(self, f: Frame) -> None:
        """Write dweight = x.T @ dy, dbias = 1.T @ dy, dx = dy @ weight.T."""
        if f.dp is not None:
            if "weight" in f.dp:
                run(outer(f.x, f.dy, f.dp["weight"]))
            if self.bias:
                f.scratch["ones"].fill(1)
                np.matmul(f.scratch["ones"], f.dy, out=f.dp["bias"])
        if (dx := f.dx) is not None:
            run(f.once("backward", lambda f: across(f.dy, f.p["weight"], dx)))

    def trace(self, t: Trace, p: Mapping[str, Array], *xs: Value) -> Value:
        """Record x @ weight + bias."""
        y = t.op("matmul", xs[0], t.constant("weight", p["weight"]), shape=p["weight"].shape[1:])
        return t.op("add", y, t.constant("bias", p["bias"])) if "bias" in p else y


def _forward_calls(f: Frame) -> Calls:
    """The calls that write x @ weight into y."""
    if len(f.x) > 1:
        return _product(f, f.x, f.y)
    # A single row, which BLAS multiplies by a routine of its own, would have other bits than beside a second one.
    twice, beside = (np.empty((2, *array.shape[1:]), array.dtype) for array in (f.x, f.y))
    return [copy(twice, f.x), *_product(f, twice, beside), copy(f.y, beside[:1])]


def _product(f: Frame, x: Array, y: Array) -> Calls:
    """The calls that write x @ weight into y."""
    weight = f.p["weight"]
    if "forward" in f.held:
        return Panels(*weight.shape).product(x, f.held["forward"], y)
    return product(x, weight, y)
