"""What every registered layer must keep, whatever it computes; a new layer is tested by being there."""

from __future__ import annotations

import tracemalloc
from itertools import combinations

import numpy as np
import pytest

from cnntrain import registry
from cnntrain.engine.solo import Outcome, spoiled
from cnntrain.layers.base import Coupled, Layer
from cnntrain.ops.blocks import BLOCK
from tests.support.layers import run, start

LAYERS = registry.parts("layers")
CASES = [
    pytest.param(cls(**example.fields), example.inputs, id=f"{name}-{i}")
    for name, cls in LAYERS.items()
    for i, example in enumerate(cls.examples)
]
ROWS = 3
BUFFERED = 8192  # values in a buffer of NumPy's


every_case = pytest.mark.parametrize(("layer", "inputs"), CASES)


def batch(layer: Layer, inputs, dtype=np.float64, n=ROWS):
    """Inputs whose values are all different and away from 0, where the kinks are; parameters; a gradient for y."""
    rng = np.random.default_rng(1)
    xs = []
    for shape in inputs:
        size = n * int(np.prod(shape))
        values = (np.arange(size) + 0.5) / size * 4 - 2
        xs.append((rng.permutation(values) + 0.0003).reshape(n, *shape).astype(dtype))
    dy = rng.standard_normal((n, *layer.output_shape(*inputs))).astype(dtype)
    return xs, start(layer, *inputs, dtype=dtype), dy


def same(one: Outcome, other: Outcome) -> bool:
    """Equal bits in all that was computed."""
    pairs = [(one.y, other.y), *zip(one.dxs, other.dxs, strict=True)]
    pairs += [(one.dp[k], other.dp[k]) for k in one.dp] + [(one.p[k], other.p[k]) for k in one.p]
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs)


@pytest.mark.parametrize("cls", LAYERS.values(), ids=list(LAYERS))
def test_has_examples_and_a_docstring_of_its_own(cls):
    assert cls.examples
    assert cls.__doc__
    assert not cls.__doc__.startswith(cls.__name__ + "("), "the docstring is the dataclass's signature"


@every_case
def test_gradients_are_central_differences(layer, inputs):
    xs, p, dy = batch(layer, inputs)
    result = run(layer, xs, p, dy)
    checks = [*zip(xs, result.dxs, strict=True), *((p[name], gradient) for name, gradient in result.dp.items())]
    h = 1e-5
    for values, gradient in checks:
        flat = values.reshape(-1)
        numeric = np.empty(flat.size)
        for i in range(flat.size):
            old = flat[i]
            flat[i] = old + h
            above = np.sum(run(layer, xs, p).y * dy)
            flat[i] = old - h
            below = np.sum(run(layer, xs, p).y * dy)
            flat[i] = old
            numeric[i] = (above - below) / (2 * h)
        np.testing.assert_allclose(gradient.reshape(-1), numeric, rtol=1e-6, atol=2e-8)


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_computes_in_the_type_it_is_given(layer, inputs, dtype):
    xs, p, dy = batch(layer, inputs, dtype)
    space = layer.workspace(*inputs, n=ROWS, dtype=np.dtype(dtype))
    result = run(layer, xs, p, dy)
    for array in (result.y, *result.dxs, *result.dp.values()):
        assert array.dtype == dtype
        assert np.all(np.isfinite(array))
    if dtype == np.float32:
        exact = run(layer, [x.astype(np.float64) for x in xs], {k: v.astype(np.float64) for k, v in p.items()}, dy)
        for a, b in zip((result.y, *result.dxs), (exact.y, *exact.dxs), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * max(1, np.abs(b).max()))
    if not isinstance(layer, Coupled):
        assert all(np.dtype(d) != np.float64 or dtype == np.float64 for _, d in space.scratch.values())


@every_case
def test_declares_its_shapes(layer, inputs):
    xs, p, _ = batch(layer, inputs)
    declared = layer.params(*inputs)
    assert run(layer, xs, p).y.shape == (ROWS, *layer.output_shape(*inputs))
    assert {k: v.shape for k, v in p.items()} == {k: v.shape for k, v in declared.items()}
    assert all(isinstance(side, int) and side > 0 for side in layer.output_shape(*inputs))
    assert layer.flops(*inputs) >= 0
    if declared:
        assert layer.flops(*inputs) > 0


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_leaves_what_it_reads_alone(layer, inputs, dtype):
    xs, p, dy = batch(layer, inputs, dtype)
    result = run(layer, xs, p, dy)
    (f,) = result.frames
    if "x" in layer.keeps:  # the others were spoiled before backward
        for x, before in zip(f.xs, xs, strict=True):
            np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(f.dy, dy)
    np.testing.assert_array_equal(f.y, result.y if "y" in layer.keeps else np.nan)
    forward_only = run(layer, xs, p)
    for x, before in zip(forward_only.frames[0].xs, xs, strict=True):
        np.testing.assert_array_equal(x, before)
    for name, declared in layer.params(*inputs).items():
        if declared.role != "statistic":
            np.testing.assert_array_equal(result.p[name], p[name])


@every_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits_whatever_lay_in_the_buffers(layer, inputs, dtype, monkeypatch):
    xs, p, dy = batch(layer, inputs, dtype)
    spoilt = run(layer, xs, p, dy)
    assert same(spoilt, run(layer, xs, p, dy))
    monkeypatch.setattr("cnntrain.engine.solo.spoil", lambda array: None)  # zeros, and nothing overwritten
    assert same(spoilt, run(layer, xs, p, dy))


@pytest.mark.parametrize(("layer", "inputs"), [case for case in CASES if case.values[0].inplace])
def test_in_place_gives_the_same_bits(layer, inputs):
    xs, p, dy = batch(layer, inputs, np.float32)
    assert same(run(layer, xs, p, dy), run(layer, xs, p, dy, inplace=True))


@every_case
def test_gradients_nobody_wants_are_left_out(layer, inputs):
    xs, p, dy = batch(layer, inputs, np.float32)
    whole = run(layer, xs, p, dy)
    for i in range(len(xs)):
        wanted = [k != i for k in range(len(xs))]
        partial = run(layer, xs, p, dy, wanted=wanted)
        assert partial.dxs[i] is None
        for k in range(len(xs)):
            assert k == i or np.array_equal(partial.dxs[k], whole.dxs[k])
        for k in whole.dp:  # a layer may get them another way when it need not go on to dx
            np.testing.assert_allclose(partial.dp[k], whole.dp[k], rtol=1e-5, atol=1e-5)
    if p and not isinstance(layer, Coupled):  # which keeps to its running statistics then
        frozen = run(layer, xs, p, dy, frozen=True)
        assert frozen.dp == {}
        assert all(np.array_equal(a, b) for a, b in zip(frozen.dxs, whole.dxs, strict=True))


@pytest.mark.parametrize(("layer", "inputs"), [case for case in CASES if not case.values[0].random])
def test_unequal_shards_give_what_the_whole_batch_gives(layer, inputs):
    """But for layers that draw anew for each shard."""
    xs, p, dy = batch(layer, inputs)
    whole, cut = run(layer, xs, p, dy), run(layer, xs, p, dy, cuts=[2])
    pairs = [(whole.y, cut.y), *zip(whole.dxs, cut.dxs, strict=True)]
    pairs += [(whole.dp[k], cut.dp[k]) for k in whole.dp] + [(whole.p[k], cut.p[k]) for k in whole.p]
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("layer", "inputs"), [case for case in CASES if not case.values[0].random])
def test_many_rows_give_what_few_at_a_time_do(layer, inputs):
    """Kernels go through a shard block by block and add up what each gives; so many rows that there are several."""
    largest = max(int(np.prod(shape)) for shape in (*inputs, layer.output_shape(*inputs)))
    n = 5 * BLOCK // 2 // largest
    xs, p, dy = batch(layer, inputs, n=n)
    whole, cut = run(layer, xs, p, dy), run(layer, xs, p, dy, cuts=range(n // 4, n, n // 4))
    pairs = [(whole.y, cut.y), *zip(whole.dxs, cut.dxs, strict=True)]
    pairs += [(whole.dp[k], cut.dp[k]) for k in whole.dp]
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-11 * max(1, np.abs(b).max()))


@every_case
def test_evaluation_is_the_same_for_any_shard(layer, inputs):
    xs, p, _ = batch(layer, inputs)
    whole = run(layer, xs, p, training=False)
    assert np.all(np.isfinite(whole.y))
    np.testing.assert_allclose(run(layer, xs, p, training=False, cuts=[1]).y, whole.y, rtol=1e-12, atol=1e-13)
    assert all(np.array_equal(whole.p[k], p[k]) for k in p)


@every_case
def test_allocates_nothing_that_grows_with_the_batch(layer, inputs):
    """A pass over twice the rows needs no more, but for a buffer of NumPy's; so many rows that any array shows."""
    smallest = min(int(np.prod(shape)) for shape in (*inputs, layer.output_shape(*inputs)))
    n = -(-4 * BUFFERED // smallest)
    peaks = [_peak(layer, inputs, rows) for rows in (n, 2 * n)]
    assert peaks[1] < peaks[0] + 4 * BUFFERED
    assert peaks[1] < 4 * 8 * BUFFERED  # the operands of one operation, in float64 where it sums


def _peak(layer, inputs, n):
    xs, p, dy = batch(layer, inputs, np.float32, n)
    (f,) = run(layer, xs, p, dy).frames  # warms the caches of shapes
    total = layer.partial(f) if isinstance(layer, Coupled) else None
    back = layer.partial_back(f) if isinstance(layer, Coupled) else None
    tracemalloc.start()
    peaks = []
    try:
        for _ in range(5):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            f.total = total
            if isinstance(layer, Coupled):
                layer.partial(f)
            layer.forward(f)
            f.total = back
            if isinstance(layer, Coupled):
                layer.partial_back(f)
            layer.backward(f)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return min(peaks)  # what the layer allocates it does every time; other threads, as of the test runner, now and then


@pytest.mark.parametrize("name", [name for name, cls in LAYERS.items() if cls.inputs[1] == 1])
def test_nan_reaches_the_output(name):
    """The guard against divergence looks at the loss alone, so no layer may swallow a NaN."""
    cls = LAYERS[name]
    for example in cls.examples:
        layer = cls(**example.fields)
        xs, p, _ = batch(layer, example.inputs)
        everywhere = spoiled(xs[0].shape, np.float64)
        assert np.isnan(run(layer, [everywhere], p).y).any()


def test_no_example_stands_twice():
    for cls in LAYERS.values():
        assert all(a != b for a, b in combinations(cls.examples, 2))
