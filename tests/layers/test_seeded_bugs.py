"""The checks of layers are checked: a copy of each layer with a slip in it must fail them.

The slips are the usual ones: a sign, a missing term, a wrong axis or side, an accumulation forgotten, a buffer taken
to be zero. A copy is the layer's own file, or a kernel under it, with one expression exchanged.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from cnntrain import registry
from tests.layers import test_contracts as contracts
from tests.layers import test_golden as golden
from tests.support.golden import cases
from tests.support.seeded import copied


class Slip(NamedTuple):
    """`right` is exchanged for `wrong` at its first place after `after`, in the layer's file or in that kernel's."""

    layer: str
    right: str
    wrong: str
    after: str = ""  # by default where the layer's class begins
    kernel: str = ""


SLIPS = [
    Slip("relu", "np.greater(f.y", "np.less(f.y"),
    Slip("relu", "np.maximum(x, zeros", "np.minimum(x, zeros"),
    Slip("leaky_relu", "np.maximum(positive, self.slope", "np.minimum(positive, self.slope"),
    Slip("tanh", "np.subtract(1, slope, out=slope)", "np.add(1, slope, out=slope)"),
    Slip("sigmoid", "np.multiply(slope, y, out=slope)", "pass"),
    Slip("relu6", "return 0.0, 6.0", "return 0.0, 5.0"),
    Slip("hard_tanh", "np.multiply(dy, _between(f, y, low, high), out=dx)", "np.copyto(dx, dy)", "class Clip("),
    Slip("hard_tanh", "return self.low, self.high", "return self.low, -self.low"),
    Slip("hard_sigmoid", "np.multiply(dx, 1 / 6, out=dx)", "pass"),
    Slip("elu", "np.add(y, factor * alpha", "np.subtract(y, factor * alpha", "class Exponential("),
    Slip("selu", "np.multiply(y, factor, out=y)", "pass", "class Exponential("),
    Slip("softplus", "np.multiply(y, -self.beta", "np.multiply(y, self.beta"),
    Slip("silu", "np.subtract(1, gate, out=out)", "np.add(1, gate, out=out)"),
    Slip("silu", "np.add(dx, gate, out=dx)", "np.subtract(dx, gate, out=dx)", "class Gated("),
    Slip("mish", "np.multiply(out, inner, out=out)", "pass"),
    Slip("gelu", "np.multiply(out, -0.5, out=out)", "np.multiply(out, 0.5, out=out)"),
    Slip("gelu", "np.multiply(out, 3 * _ROOT * _CUBIC, out=out)", "np.multiply(out, _ROOT * _CUBIC, out=out)"),
    Slip("gelu", "np.copysign(out, x, out=out)", "pass", "def erf(", "erf"),
    Slip("hard_swish", "np.multiply(above, 1 / 6", "np.multiply(above, 1 / 3"),
    Slip("prelu", 'np.multiply(dy, f.p["slope"], out=dx)', "np.copyto(dx, dy)"),
    Slip("prelu", "total += np.add.reduce(share) if self.shared else share",
         "total[...] = np.add.reduce(share) if self.shared else share"),
    Slip("softmax", "np.subtract(dy, of_row, out=dx)", "np.copyto(dx, dy)"),
    Slip("log_softmax", "np.multiply(share, of_row, out=share)", "pass"),
    Slip("dropout", 'np.multiply(f.dy, f.kept["survived"], out=f.dx)', "np.copyto(f.dx, f.dy)"),
    Slip("spatial_dropout2d", 'np.multiply(f.dy, f.kept["factor"], out=f.dx)', "np.copyto(f.dx, f.dy)", "class Drop("),
    Slip("drop_path", "np.multiply(f.x, factor, out=f.y)", "np.copyto(f.y, f.x)", "class Drop("),
    Slip("alpha_dropout", "np.multiply(f.dx, self._affine()[0], out=f.dx)", "pass"),
    Slip("gaussian_noise", "np.copyto(f.dx, f.dy)", "np.negative(f.dy, out=f.dx)"),
    Slip("layer_norm", "np.add(product, first, out=product)", "pass", "class SampleNorm("),
    Slip("rms_norm", "np.subtract(g, product, out=dx)", "np.add(g, product, out=dx)", "class SampleNorm("),
    Slip("instance_norm", "np.multiply(second, 1 / count, out=second)", "pass", "class SampleNorm("),
    Slip("group_norm", 'totals["shift"] += _by_channel(dy)', "pass", "class SampleNorm("),
    Slip("group_norm", 'totals["scale"] += _by_channel', 'totals["scale"] = _by_channel',
         "class SampleNorm("),
    Slip("batch_norm", 'np.add(f.dx.reshape(-1), f.scratch["room"], out=f.dx.reshape(-1))', "pass"),
    Slip("batch_norm", "count / (count - 1)", "1.0"),
    Slip("batch_norm", "d_scale - affine.rest * d_shift", "d_scale"),
    Slip("lrn", "_window_sums(work, after, before, crossed)", "_window_sums(work, before, after, crossed)"),
    Slip("lrn", "np.subtract(dx, crossed, out=dx)", "np.add(dx, crossed, out=dx)"),
    Slip("scale", 'np.multiply(f.dy, f.p["scale"], out=f.dx)', "np.copyto(f.dx, f.dy)"),
    Slip("scale", 'totals["scale"] += over_rows', 'totals["scale"] = over_rows'),
    Slip("identity", "np.copyto(f.dx, f.dy)", "np.negative(f.dy, out=f.dx)"),
    Slip("add", "np.add(f.y, x, out=f.y)", "np.copyto(f.y, x)"),
    Slip("multiply", "if k != i", "if k >= 0"),
    Slip("multiply", "over_pixels(out.reshape(n, height * width, channels), dx)",
         "np.maximum.reduce(out, axis=(1, 2), out=dx)"),
    Slip("concat", "np.copyto(dx, part)", "np.negative(part, out=dx)"),
    Slip("flatten", "np.copyto(f.dx, f.dy.reshape(f.dx.shape))", "np.negative(f.dy.reshape(f.dx.shape), out=f.dx)"),
    Slip("reshape", "np.copyto(f.dx, f.dy.reshape(f.dx.shape))", "np.negative(f.dy.reshape(f.dx.shape), out=f.dx)"),
    Slip("dense", 'multiply(f.x.T, f.dy, f.dp["weight"])', 'multiply(-f.x.T, f.dy, f.dp["weight"])'),
    Slip("dense", 'f.scratch["ones"].fill(1)', "pass"),
    Slip("conv2d", "weight[::-1, ::-1]", "weight[::-1]", "class Convolution", "convolution"),
    Slip("conv2d", "[*calls, add(total, into, total)]", "[*calls, copy(total, into)]", "class Convolution",
         "convolution"),
    Slip("conv2d", "partial(np.add.reduce, sums, 0", "partial(np.maximum.reduce, sums, 0", "def sum_over_windows",
         "convolution"),
    Slip("depthwise_conv2d", 'bias = f.p["bias"] if self.bias else None', "bias = None"),
    Slip("depthwise_conv2d", "if into is total", "if into is not total", "class Convolution", "convolution"),
    Slip("conv_transpose2d", 'sum_over_windows(f.dy, f.scratch', 'sum_over_windows(-f.dy, f.scratch'),
    Slip("conv_transpose2d", "plan.forward(f.dy,", "plan.forward(-f.dy,"),
    Slip("max_pool2d", "np.greater(value, top", "np.greater_equal(value, top", "def max_forward", "pooling"),
    Slip("global_max_pool", "np.greater(value, top", "np.greater_equal(value, top", "def max_forward", "pooling"),
    Slip("avg_pool2d", "f.dx, self.count_include_pad", "f.dx, not self.count_include_pad"),
    Slip("global_avg_pool", "np.multiply(f.dy[:, None, None, :], 1 / (height * width)",
         "np.multiply(f.dy[:, None, None, :], 1 / height"),
    Slip("adaptive_avg_pool2d", "np.add(window, share, out=window)", "np.copyto(window, share)"),
    Slip("pad_shortcut", "f.dx.fill(0)", "pass"),
    Slip("upsample", "+ 0.5) / factor - 0.5", "+ 0.5) / factor", "def _weights"),
    Slip("upsample", "np.add.reduce(f.dy.reshape", "np.maximum.reduce(f.dy.reshape"),
    Slip("zero_pad2d", "f.y.fill(0)", "pass"),
    Slip("crop2d", "f.dx.fill(0)", "pass"),
    Slip("pixel_shuffle", ".transpose(0, 1, 2, 4, 5, 3)", ".transpose(0, 1, 2, 5, 4, 3)"),
]  # fmt: skip


@pytest.fixture
def seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Slip], None]:
    """Registers a copy of a slip's layer in place of the layer, until the end of the test."""

    def seed(slip: Slip) -> None:
        cls = registry.lookup("layers", slip.layer)
        known = {name: dict(parts) for name, parts in registry._parts.items()}
        monkeypatch.setattr(registry, "_parts", known)
        after = slip.after or f"class {cls.__name__}("
        if not slip.kernel:
            copied(cls.__module__, tmp_path, slip.right, slip.wrong, after)
            return
        kernel = f"cnntrain.ops.{slip.kernel}"
        module = copied(kernel, tmp_path, slip.right, slip.wrong, after)
        monkeypatch.setitem(sys.modules, kernel, module)
        monkeypatch.setattr(importlib.import_module("cnntrain.ops"), slip.kernel, module)
        copied(cls.__module__, tmp_path)

    return seed


def checks(name: str) -> Iterator[Callable[[], None]]:
    """Everything the contract tests and the golden vectors ask of the layer now registered under a name."""
    for case in cases("layers"):
        path = case.values[0]
        if path.stem.split("-")[0] == name:
            yield lambda path=path: golden.test_equals_pytorch(path, np.float64)
    cls = registry.lookup("layers", name)
    for example in cls.examples:
        layer, inputs = cls(**example.fields), example.inputs
        yield lambda layer=layer, inputs=inputs: contracts.test_gradients_are_central_differences(layer, inputs)
        if not contracts.draws(layer):
            yield lambda layer=layer, inputs=inputs: contracts.test_many_rows_give_what_few_at_a_time_do(layer, inputs)


def caught(name: str) -> bool:
    """Whether one of the checks fails."""
    for check in checks(name):
        try:
            check()
        except AssertionError:
            return True
    return False


def test_every_layer_has_a_slip():
    assert {slip.layer for slip in SLIPS} == set(registry.parts("layers"))


@pytest.mark.parametrize("slip", SLIPS, ids=[f"{slip.layer}-{slip.wrong}" for slip in SLIPS])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of what a slip makes of the numbers
def test_a_slip_is_caught(slip, seed):
    seed(slip)
    assert caught(slip.layer)


@pytest.mark.parametrize("name", ["gelu", "max_pool2d"])
def test_a_copy_without_a_slip_passes(name, seed):
    kernel = {"gelu": "erf", "max_pool2d": "pooling"}[name]
    seed(Slip(name, "import", "import", "from", kernel))
    assert not caught(name)
