"""The checks of layers are checked: a layer with a slip in it must fail them.

The slips are the usual ones: a sign, a missing term, a wrong axis or side, an accumulation forgotten, a buffer taken
to be zero. Each is an operator on the syntax tree of one function of the layer, or of a kernel under it; how they are
written stands in `tests/support/seeded.py`. A new layer may go without: its checks are those of all the others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.ops import erf, pooling
from cnntrain.ops.convolution import Convolution, sum_over_windows
from cnntrain.ops.winograd import Tiles, Winograd, _add_strips
from cnntrain.parts.layers.conv3d import Stacking
from tests.parts.layers import test_contracts as contracts
from tests.parts.layers import test_golden as golden
from tests.support.campaign import Campaign
from tests.support.golden import cases
from tests.support.seeded import Bug, PlaceError, plain, seeded, survives

NEGATED = Bug("np.copyto(A, B)", "np.negative(B, out=A)")
NOT_SCALED = Bug("np.multiply(A, _, out=B)", "np.copyto(B, A)")
NOT_ADDED_UP = Bug("np.add(A, B, out=A)", "np.copyto(A, B)")
NOT_ADDED = Bug("add(A, B, A)", "copy(A, B)")
NOT_ZEROED = Bug("_.fill(0)", "pass")
FIRST_OF_TIES = Bug("partial(np.greater, ...)", "partial(np.greater_equal, ...)")


class Slip(NamedTuple):
    """A bug in a method of a layer, its own or inherited, in a function beside the layer, or in a kernel."""

    layer: str
    where: str | Callable[..., Any]
    bug: Bug

    @property
    def function(self) -> Callable[..., Any]:
        """Where the bug goes."""
        if callable(self.where):
            return self.where
        cls = registry.lookup("layers", self.layer)
        for place in (cls, *(sys.modules[parent.__module__] for parent in cls.__mro__)):
            if found := getattr(place, self.where, None):
                return found
        raise PlaceError(
            f"a seeded bug looks for a function {self.where} of the layer {self.layer}, and there is none in "
            f"{cls.__qualname__} or beside it. Name the one that does its work now"
        )


SLIPS = [
    Slip("relu", "_let_through", Bug("np.greater", "np.less")),
    Slip("relu", "_rectify", Bug("np.maximum", "np.minimum")),
    Slip("leaky_relu", "backward", Bug("np.greater(...)", "np.less(...)")),
    Slip("tanh", "backward", Bug("np.subtract(...)", "np.add(...)")),
    Slip("sigmoid", "backward", Bug("np.multiply(A, _, out=A)", "pass")),
    Slip("relu6", "bounds", Bug("6.0", "5.0")),
    Slip("hard_tanh", "backward", NOT_SCALED),
    Slip("hard_tanh", "bounds", Bug("A.low, A.high", "A.low, -A.low")),
    Slip("hard_sigmoid", "backward", Bug("np.multiply(_, 1 / 6, ...)", "pass")),
    Slip("elu", "backward", Bug("np.logical_not(A, out=A)", "A")),
    Slip("selu", "forward", Bug("np.multiply(A, _, out=A)", "pass", nth=2, of=2)),
    Slip("softplus", "backward", Bug("-A.beta", "A.beta")),
    Slip("silu", "gate_slope", Bug("np.subtract(...)", "np.add(...)")),
    Slip("silu", "forward", Bug("np.add(...)", "np.subtract(...)")),
    Slip("mish", "gate_slope", Bug("np.multiply(A, 4, out=A)", "pass")),
    Slip("gelu", "gate_slope", Bug("-0.5", "0.5")),
    Slip("gelu", "gate_slope", Bug("3 * A * B", "A * B")),
    Slip("gelu", erf.erf, Bug("np.copysign(...)", "pass")),
    Slip("hard_swish", "gate_slope", Bug("1 / 6", "1 / 3")),
    Slip("prelu", "backward", Bug("np.logical_not(A, out=A)", "A")),
    Slip("prelu", "_add_share", Bug("A += B", "A[...] = B")),
    Slip("softmax", "backward", Bug("np.subtract(A, _, out=B)", "np.copyto(B, A)")),
    Slip("log_softmax", "backward", Bug("np.multiply(...)", "pass")),
    Slip("dropout", "backward", Bug('np.multiply(A, _.kept["survived"], out=B)', "np.copyto(B, A)")),
    Slip("spatial_dropout2d", "backward", NOT_SCALED),
    Slip("drop_path", "forward", Bug("np.multiply(F.x, _, out=F.y)", "np.copyto(F.y, F.x)")),
    Slip("alpha_dropout", "backward", Bug("np.multiply(A, _, out=A)", "pass")),
    Slip("gaussian_noise", "backward", NEGATED),
    Slip("layer_norm", "_input_gradient", Bug("np.add(...)", "pass")),
    Slip("rms_norm", "_input_gradient", Bug("np.subtract(...)", "np.add(...)")),
    Slip("instance_norm", "_input_gradient", Bug("np.multiply(A, 1 / _, out=A)", "pass", nth=1, of=2)),
    Slip("group_norm", "backward", Bug('A["shift"] += _', "pass")),
    Slip("group_norm", "backward", Bug('A["scale"] += B', 'A["scale"] = B')),
    Slip("batch_norm", "backward", Bug("np.add(A, B, out=A)", "pass", nth=2, of=2)),
    Slip("batch_norm", "update_statistics", Bug("A / (A - 1)", "1.0")),
    Slip("batch_norm", "partial_back", Bug("A - _.rest * _", "A")),
    Slip("lrn", "backward", Bug("_window_sums(A, B.shape, C, D, E)", "_window_sums(A, B.shape, C, E, D)")),
    Slip("lrn", "backward", Bug("np.subtract(...)", "np.add(...)")),
    Slip("scale", "backward", Bug('np.multiply(A, _.p["scale"], out=B)', "np.copyto(B, A)")),
    Slip("scale", "backward", Bug('A["scale"] += B', 'A["scale"] = B')),
    Slip("identity", "backward", NEGATED),
    Slip("add", "forward", NOT_ADDED_UP),
    Slip("multiply", "backward", Bug("A != B", "A >= 0")),
    Slip("multiply", "backward", Bug("over_pixels(A.reshape(...), B)", "np.maximum.reduce(A, axis=(1, 2), out=B)")),
    Slip("concat", "backward", NEGATED),
    Slip("flatten", "backward", NEGATED),
    Slip("reshape", "backward", NEGATED),
    Slip("dense", "backward", Bug("outer(A, ...)", "outer(-A, ...)")),
    Slip("dense", "backward", Bug("_.fill(1)", "pass")),
    Slip("conv2d", Convolution._taps, Bug("A[::-1, ::-1]", "A[::-1]")),
    Slip("conv2d", Convolution._add_product, NOT_ADDED),
    Slip("conv2d", sum_over_windows, Bug("np.add.reduce", "np.maximum.reduce")),
    Slip("conv2d", Tiles.paste, Bug("A[B:, ..., -1, :]", "A[B:, ..., 0, :]")),
    Slip("conv2d", Winograd._input_gradient, Bug("A.append(add(B, C, B))", "pass")),
    Slip("conv2d", Winograd._gradient_by_blocks, Bug("A[..., B:C].swapaxes(1, 2)", "-A[..., B:C].swapaxes(1, 2)")),
    Slip("conv2d", _add_strips, Bug("A[:, B - 1 : C - 1, D:]", "A[:, B:C, D:]")),
    Slip("conv2d", _add_strips, Bug("A.reach(B)", "A.reach(B + 1)")),
    Slip("conv2d", _add_strips, Bug("add(A, B, C) if D else copy(C, A)", "copy(C, A)")),
    Slip("depthwise_conv2d", "_add_bias", Bug("np.add(A, ...)", "np.subtract(A, ...)")),
    Slip("depthwise_conv2d", Convolution._add_product, Bug("A is B", "A is not B")),
    Slip("conv_transpose2d", "backward_calls", Bug("sum_over_windows(A, ...)", "sum_over_windows(-A, ...)")),
    Slip("conv_transpose2d", "backward_calls", Bug("P.forward(A, ...)", "P.forward(-A, ...)")),
    Slip("max_pool2d", pooling.max_forward, FIRST_OF_TIES),
    Slip("global_max_pool", "forward", Bug("np.argmax(...)", "np.argmin(...)")),
    Slip("avg_pool2d", "backward_calls", Bug("A.count_include_pad", "not A.count_include_pad")),
    Slip("global_avg_pool", "backward", Bug("1 / A", "2 / A")),
    Slip("conv3d", Stacking.unstack, Bug("clear(A)", "copy(A, 1)")),
    Slip("conv3d", Winograd._sum_of_products, NOT_ADDED),
    Slip("conv3d", Winograd._add_gradient, NOT_ADDED),
    Slip("max_pool3d", pooling.max_forward, FIRST_OF_TIES),
    Slip("temporal_shift", "backward", Bug("_shifted(A, B, 1)", "_shifted(A, B, -1)")),
    Slip("adaptive_avg_pool2d", "backward", NOT_ADDED_UP),
    Slip("pad_shortcut", "backward", NOT_ZEROED),
    Slip("upsample", "_weights", Bug("A / B - 0.5", "A / B")),
    Slip("upsample", "backward", Bug("np.add.reduce", "np.maximum.reduce")),
    Slip("zero_pad2d", "forward", NOT_ZEROED),
    Slip("crop2d", "backward", NOT_ZEROED),
    Slip("pixel_shuffle", "_packed", Bug("A.transpose(0, 1, 2, 4, 5, 3)", "A.transpose(0, 1, 2, 5, 4, 3)")),
]


def checks(name: str) -> Iterator[Callable[[], None]]:
    """Everything the contract tests and the golden vectors ask of the layer registered under a name."""
    for case in cases("layers"):
        path = case.values[0]
        if path.stem.split("-")[0] == name:
            yield lambda path=path: golden.test_equals_pytorch(path, np.float64)
    cls = registry.lookup("layers", name)
    for example in cls.examples:
        layer, inputs = cls(**example.fields), example.inputs
        yield lambda layer=layer, inputs=inputs: contracts.test_gradients_are_central_differences(layer, inputs)
        if not layer.random:
            yield lambda layer=layer, inputs=inputs: contracts.test_many_rows_give_what_few_at_a_time_do(layer, inputs)


def caught(name: str) -> bool:
    """Whether one of the checks fails."""
    for check in checks(name):
        try:
            check()
        except AssertionError:
            return True
    return False


def names(slips: list[Slip]) -> list[str]:
    """Each by its layer, its function and what stands there instead."""
    return [f"{slip.layer}-{getattr(slip.where, '__name__', slip.where)}-{slip.bug.wrong}" for slip in slips]


@pytest.mark.parametrize("slip", SLIPS, ids=names(SLIPS))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of what a slip makes of the numbers
def test_a_slip_is_caught(slip: Slip) -> None:
    with seeded(slip.function, slip.bug):
        assert caught(slip.layer)


@pytest.mark.parametrize("slip", SLIPS, ids=names(SLIPS))
def test_a_slip_knows_neither_layout_nor_local_names(slip: Slip) -> None:
    assert survives(slip.function, slip.bug)


@pytest.mark.faults  # where what a campaign counted is shown
def test_layers_without_a_slip_are_named(campaign: Campaign) -> None:
    """None is asked to have one."""
    with_slips, known = {slip.layer for slip in SLIPS}, set(registry.parts("layers"))
    assert with_slips <= known
    campaign.tell(f"{len(SLIPS)} slips in {len(with_slips)} of {len(known)} layers")
    campaign.tell(f"layers without: {', '.join(sorted(known - with_slips)) or 'none'}")


@pytest.mark.parametrize(
    ("name", "function", "call"),
    [
        ("gelu", erf.erf, "np.copysign(...)"),
        ("max_pool2d", pooling.max_forward, "partial(np.greater, ...)"),
        ("upsample", "_weights", "np.clip(...)"),
    ],
)
def test_a_layer_whose_code_is_exchanged_for_the_same_passes(name: str, function: Any, call: str) -> None:
    slip = Slip(name, function, Bug(call, call))
    with seeded(slip.function, slip.bug):
        assert not caught(name)


FEW = [slip for slip in SLIPS if slip.layer in ("relu", "upsample")]


@pytest.mark.parametrize("slip", FEW, ids=names(FEW))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_slip_leaves_nothing_behind(slip: Slip) -> None:
    """Neither the function's code nor what a cache holds of it."""
    code = plain(slip.function).__code__
    with seeded(slip.function, slip.bug):
        assert caught(slip.layer)
    assert plain(slip.function).__code__ is code
    assert not caught(slip.layer)
