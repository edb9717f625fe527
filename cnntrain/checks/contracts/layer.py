"""The contract of layers: gradients are those of the output, and a layer touches nothing but its own buffers."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cnntrain.checks.contracts import declared
from cnntrain.checks.contracts.alone import run, start
from cnntrain.checks.contracts.base import close, equal, hold
from cnntrain.core.arrays import Array, Shape
from cnntrain.engine.solo import Pass, spoiled
from cnntrain.ops.blocks import BLOCK
from cnntrain.ops.calls import PASSES
from cnntrain.parts.layers.base import Coupled, Layer

ROWS = 3
BUFFERED = 8192  # values in a buffer of NumPy's

Inputs = Sequence[Shape]
Given = tuple[list[Array], dict[str, Array], Array]


def batch(layer: Layer, inputs: Inputs, dtype: Any = np.float64, n: int = ROWS) -> Given:
    """Inputs whose values are all different and away from 0, where the kinks are; parameters; a gradient for y."""
    rng = np.random.default_rng(1)
    xs = []
    for shape in inputs:
        size = n * int(np.prod(shape))
        values = (np.arange(size) + 0.5) / size * 4 - 2
        xs.append((rng.permutation(values) + 0.0003).reshape(n, *shape).astype(dtype))
    dy = rng.standard_normal((n, *layer.output_shape(*inputs))).astype(dtype)
    return xs, start(layer, *inputs, dtype=dtype), dy


def same(one: Pass, other: Pass) -> bool:
    """Equal bits in all that was computed."""
    pairs = [(one.y, other.y), *zip(one.dxs, other.dxs, strict=True)]
    pairs += [(one.dp[k], other.dp[k]) for k in one.dp] + [(one.p[k], other.p[k]) for k in one.p]
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs)


def has_gradients_that_are_central_differences(layer: Layer, inputs: Inputs) -> None:
    """In float64, in every input and every trained parameter."""
    xs, p, dy = batch(layer, inputs)
    result = run(layer, xs, p, dy)
    checks = [(f"the gradient of input {i}", x, dx) for i, (x, dx) in enumerate(zip(xs, result.dxs, strict=True))]
    checks += [(f"the gradient of {name}", p[name], gradient) for name, gradient in result.dp.items()]
    h = 1e-5
    for what, values, gradient in checks:
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
        close(gradient.reshape(-1), numeric, f"{what} is not the central difference", rtol=1e-6, atol=2e-8)


def computes_in_the_type_it_is_given(layer: Layer, inputs: Inputs, dtype: Any = None) -> None:
    """And in float32 nearly what it computes in float64; float64 scratch only where it sums. By default in both."""
    if dtype is None:
        for one in (np.float32, np.float64):
            computes_in_the_type_it_is_given(layer, inputs, one)
        return
    name = np.dtype(dtype).name
    xs, p, dy = batch(layer, inputs, dtype)
    space = layer.workspace(*inputs, n=ROWS, dtype=np.dtype(dtype))
    result = run(layer, xs, p, dy)
    for array in (result.y, *result.dxs, *result.dp.values()):
        hold(array.dtype == dtype, f"given {name} it returns {array.dtype}")
        hold(np.all(np.isfinite(array)), f"given {name} it returns NaN or infinity: is every value written?")
    if dtype == np.float32:
        exact = run(layer, [x.astype(np.float64) for x in xs], {k: v.astype(np.float64) for k, v in p.items()}, dy)
        for a, b in zip((result.y, *result.dxs), (exact.y, *exact.dxs), strict=True):
            close(a, b, "float32 is far from float64", rtol=1e-4, atol=1e-5 * max(1, np.abs(b).max()))
    if not isinstance(layer, Coupled):
        wide = [key for key, (_, kind) in space.scratch.items() if np.dtype(kind) == np.float64 != dtype]
        hold(not wide, f"its scratch {', '.join(wide)} is float64 where it computes in {name}: use `dtype`")


def declares_its_shapes(layer: Layer, inputs: Inputs) -> None:
    """Of its output and parameters; and it counts its operations."""
    xs, p, _ = batch(layer, inputs)
    declared = layer.params(*inputs)
    shape = layer.output_shape(*inputs)
    hold(run(layer, xs, p).y.shape == (ROWS, *shape), f"its output is not of the shape {shape} that it declares")
    hold(
        all(p[name].shape == param.shape for name, param in declared.items()),
        "its parameters differ from the shapes it declares",
    )
    whole = all(isinstance(side, int) and side > 0 for side in shape)
    hold(whole, f"its output's shape is {shape}, expected integers above 0")
    spaces = (layer.workspace(*inputs, n=n, dtype=np.dtype(np.float32)) for n in (1, ROWS))
    one, several = (space.held_in(evaluation=True) for space in spaces)
    hold(one == several, "its held buffers depend on n: what is made of the parameters does not")
    hold({*one} <= {*PASSES}, f"it holds {', '.join(one)}, expected a buffer for {' or '.join(PASSES)}")
    least = 1 if declared else 0
    hold(layer.flops(*inputs) >= least, f"flops says {layer.flops(*inputs)}, expected at least {least}")


def leaves_what_it_reads_alone(layer: Layer, inputs: Inputs, dtype: Any = np.float32) -> None:
    """Inputs, the gradient given, what it keeps, and parameters, which only the optimizer writes."""
    xs, p, dy = batch(layer, inputs, dtype)
    result = run(layer, xs, p, dy)
    (f,) = result.frames
    if "x" in layer.keeps:  # the others were spoiled before backward
        for x, before in zip(f.xs, xs, strict=True):
            equal(x, before, "backward writes its input")
    equal(f.dy, dy, "backward writes dy")
    equal(f.y, result.y if "y" in layer.keeps else np.full_like(f.y, np.nan), "backward writes y")
    for x, before in zip(run(layer, xs, p).frames[0].xs, xs, strict=True):
        equal(x, before, "forward writes its input")
    for name, param in layer.params(*inputs).items():
        if param.role != "statistic":
            equal(result.p[name], p[name], f"it writes its parameter {name}")


def gives_the_same_bits_whatever_lay_in_the_buffers(layer: Layer, inputs: Inputs, dtype: Any = np.float32) -> None:
    """The same bits twice; and with zeros where NaN lay, since nothing may have read it."""
    xs, p, dy = batch(layer, inputs, dtype)
    spoilt = run(layer, xs, p, dy)
    hold(same(spoilt, run(layer, xs, p, dy)), "two equal runs differ")
    for do, result in (("forward", run(layer, xs, p)), ("backward", spoilt)):
        held = [f.held[do] for f in result.frames if do in f.held]
        hold(all(np.isfinite(array).all() for array in held), f"`fill_calls` does not fill what it holds for {do}")
    unspoilt = run(layer, xs, p, dy, clean=True)
    hold(same(spoilt, unspoilt), "it reads a buffer before it has written it, or one it does not keep")


def gives_the_same_bits_in_place(layer: Layer, inputs: Inputs) -> None:
    """Where it declares that it may work in place."""
    if layer.inplace:
        xs, p, dy = batch(layer, inputs, np.float32)
        hold(same(run(layer, xs, p, dy), run(layer, xs, p, dy, inplace=True)), "in place it computes something else")


def gives_the_same_bits_when_computed_again(layer: Layer, inputs: Inputs) -> None:
    """Where it declares that forward may be called once more, which is after f.total became that of backward."""
    if layer.recomputable:
        xs, p, dy = batch(layer, inputs, np.float32)
        result = run(layer, xs, p, dy)
        (f,) = result.frames
        for x, given in zip(f.xs, xs, strict=True):  # what it does not keep was spoiled
            np.copyto(x, given)
        layer.forward(f)
        equal(f.y, result.y, "computed again, its output is another")


def leaves_out_gradients_that_nobody_wants(layer: Layer, inputs: Inputs) -> None:
    """Entries of dxs that are None, and dp of a frozen layer; the others are as before."""
    xs, p, dy = batch(layer, inputs, np.float32)
    whole = run(layer, xs, p, dy)
    for i in range(len(xs)):
        wanted = [k != i for k in range(len(xs))]
        partial = run(layer, xs, p, dy, wanted=wanted)
        hold(partial.dxs[i] is None, f"it gives the gradient of input {i}, which is not wanted")
        for k in range(len(xs)):
            untouched = k == i or np.array_equal(partial.dxs[k], whole.dxs[k])
            hold(untouched, f"without input {i}, the gradient of input {k} changes")
        for name, dp in whole.dp.items():  # a layer may get them another way when it need not go on to dx
            what = f"without input {i}, the gradient of {name} changes"
            close(partial.dp[name], dp, what, rtol=1e-5, atol=1e-5)
    if layer.outer:
        name = layer.outer
        close(whole.dp[name], xs[0].T @ dy, f"the gradient of {name} is not x.T @ dy", rtol=1e-4, atol=1e-5)
    if not p or isinstance(layer, Coupled):  # which keeps to its running statistics then
        return
    frozen = run(layer, xs, p, dy, frozen=True)
    hold(frozen.dp == {}, "frozen, it is asked for gradients of its parameters")
    agree = all(np.array_equal(a, b) for a, b in zip(frozen.dxs, whole.dxs, strict=True))
    hold(agree, "frozen, it gives other gradients of its inputs")


def gives_for_unequal_shards_what_the_whole_batch_gives(layer: Layer, inputs: Inputs) -> None:
    """Except where it draws anew for each shard."""
    if layer.random:
        return
    xs, p, dy = batch(layer, inputs)
    _agree(run(layer, xs, p, dy), run(layer, xs, p, dy, cuts=[2]), 1e-11, 1e-12, statistics=True)


def gives_for_many_rows_what_few_at_a_time_do(layer: Layer, inputs: Inputs) -> None:
    """Kernels go through a shard block by block and add up the results; there are rows enough for several blocks."""
    if layer.random:
        return
    largest = max(int(np.prod(shape)) for shape in (*inputs, layer.output_shape(*inputs)))
    n = 3 * BLOCK // 2 // largest
    xs, p, dy = batch(layer, inputs, n=n)
    _agree(run(layer, xs, p, dy), run(layer, xs, p, dy, cuts=range(n // 4, n, n // 4)), 1e-10, 1e-11)


def _agree(whole: Pass, cut: Pass, rtol: float, atol: float, statistics: bool = False) -> None:
    pairs = [("the output", whole.y, cut.y)]
    pairs += [(f"the gradient of input {i}", *pair) for i, pair in enumerate(zip(whole.dxs, cut.dxs, strict=True))]
    pairs += [(f"the gradient of {k}", whole.dp[k], cut.dp[k]) for k in whole.dp]
    pairs += [(k, whole.p[k], cut.p[k]) for k in whole.p if statistics]
    for what, a, b in pairs:
        scale = 1 if statistics else max(1, np.abs(b).max())
        close(a, b, f"cut into shards, {what} changes", rtol, atol * scale)


def evaluates_the_same_in_any_shard(layer: Layer, inputs: Inputs) -> None:
    """And changes no statistic."""
    xs, p, _ = batch(layer, inputs)
    whole = run(layer, xs, p, training=False)
    hold(np.all(np.isfinite(whole.y)), "in evaluation its output is not finite")
    close(run(layer, xs, p, training=False, cuts=[1]).y, whole.y, "in evaluation shards differ", 1e-12, 1e-13)
    hold(all(np.array_equal(whole.p[k], p[k]) for k in p), "evaluation changes a parameter")


def gives_some_rows_alone_as_among_all(layer: Layer, inputs: Inputs) -> None:
    """In evaluation, where it says what makes them."""
    xs, p, _ = batch(layer, inputs)
    height = layer.output_shape(*inputs)[0]
    for edge in range(1, height):
        for rows in (slice(0, edge), slice(edge, height)):
            band = layer.band(rows, *inputs)
            if band is None:
                continue
            read = [x[:, part] for x, part in zip(xs, band.reads, strict=True)]
            whole, alone = (run(*given, p, training=False).y for given in ((layer, xs), (band.layer, read)))
            which = f"rows {rows.start} to {rows.stop}"
            close(alone, whole[:, rows], f"{which} are others alone than among all", 1e-9, 1e-9)


def allocates_nothing_that_grows_with_the_batch(layer: Layer, inputs: Inputs) -> None:
    """A pass over twice the rows needs no more memory but NumPy's buffer; with so many rows any array would show."""
    smallest = min(int(np.prod(shape)) for shape in (*inputs, layer.output_shape(*inputs)))
    n = -(-4 * BUFFERED // smallest)
    first, second = (_peak(layer, inputs, rows) for rows in (n, 2 * n))
    advice = "declare its buffers in `workspace`"
    hold(second < first + 4 * BUFFERED, f"twice the rows take {second - first} bytes more: {advice}")
    most = 4 * 8 * BUFFERED  # the operands of one operation, in float64 where it sums
    hold(second < most, f"a pass allocates {second} bytes: {advice}")


def _peak(layer: Layer, inputs: Inputs, n: int) -> int:
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
    return min(peaks)  # the layer allocates every time; other threads, such as a test runner's, now and then


def draws_from_the_generator_it_is_given(layer: Layer, inputs: Inputs) -> None:
    """In training, where it declares to be random; in evaluation it then hands on what it is given.

    One that is neither random nor coupled is the same in training and evaluation.
    """
    xs, p, _ = batch(layer, inputs, np.float32, n=10 * ROWS)  # enough for a draw to come out otherwise
    first, other = (run(layer, xs, p, seed=seed).y for seed in (7, 8))
    differ = not np.array_equal(first, other)
    hold(
        differ == layer.random,
        f"with another f.rng its output is {'another' if differ else 'the same'}, and `random` is {layer.random}",
    )
    still = run(layer, xs, p, training=False).y
    if layer.random:
        equal(still, xs[0], "it is random, and in evaluation its output is not its input")
    elif not isinstance(layer, Coupled):
        equal(still, first, "neither random nor coupled, it gives something else in evaluation than in training")


def lets_nan_through(layer: Layer, inputs: Inputs) -> None:
    """The guard against divergence looks at the loss alone, so no layer of one input may swallow a NaN."""
    if len(inputs) == 1 and layer.inputs[1] == 1:
        xs, p, _ = batch(layer, inputs)
        everywhere = spoiled(xs[0].shape, np.float64)
        hold(np.isnan(run(layer, [everywhere], p).y).any(), "given nothing but NaN it returns numbers")


CHECKS = (
    declares_its_shapes,
    has_gradients_that_are_central_differences,
    computes_in_the_type_it_is_given,
    leaves_what_it_reads_alone,
    gives_the_same_bits_whatever_lay_in_the_buffers,
    gives_the_same_bits_in_place,
    gives_the_same_bits_when_computed_again,
    leaves_out_gradients_that_nobody_wants,
    gives_for_unequal_shards_what_the_whole_batch_gives,
    gives_for_many_rows_what_few_at_a_time_do,
    evaluates_the_same_in_any_shard,
    gives_some_rows_alone_as_among_all,
    allocates_nothing_that_grows_with_the_batch,
    draws_from_the_generator_it_is_given,
    lets_nan_through,
)


OF_CLASS = declared.OF_CLASS


def subjects(cls: type[Layer]) -> Iterator[tuple[Layer, Inputs]]:
    """What a layer's checks are given: each example's layer, and the shapes of its inputs."""
    for example in cls.examples:
        yield cls(**example.fields), example.inputs
