"""Convolutions of random shapes: the same bits on any number of threads; Winograd's agree with the direct ones.

Layer by layer, through a whole first step, against central differences, and in the accuracy they lead to.
"""

from __future__ import annotations

import hashlib
import statistics

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnntrain.checks import gradcheck
from cnntrain.config.load import load_text
from cnntrain.engine.engine import Engine
from cnntrain.engine.pool import Pool
from tests.benchmarks import own
from tests.support.experiments import run, write
from tests.support.networks import declared, engine_of, random_batch

THREADS = (1, 2, 3, 4)
AGREEMENT = 2e-5  # of the largest value of the direct algorithm


@pytest.fixture(scope="module")
def pools():
    made = [Pool(threads) for threads in THREADS]
    yield made
    for pool in made:
        pool.close()


@st.composite
def convolutions(draw):
    """A convolution that fits its image, as (keys, image shape)."""
    size = st.integers(1, 13)
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    channels, filters = groups * draw(st.integers(1, 5)), groups * draw(st.integers(1, 5))
    if draw(st.booleans()):  # what Winograd's algorithm can compute
        kernel = draw(st.sampled_from([3, 5]))
        keys = {"kernel_size": kernel, "padding": draw(st.sampled_from([0, 1, 2, "same"])), "groups": 1}
        keys["algorithm"] = draw(st.sampled_from(["auto", "direct", "winograd"]))
        shape = (draw(st.integers(kernel, 13)), draw(st.integers(kernel, 13)), channels)
    else:
        kernel, dilation = draw(st.tuples(st.integers(1, 7), st.integers(1, 7))), draw(st.integers(1, 3))
        padding = draw(st.sampled_from([0, 1, 3, "same"]))
        more = 2 * padding if isinstance(padding, int) else 99
        height, width = (max(draw(size), dilation * (k - 1) + 1 - more) for k in kernel)
        keys = {"kernel_size": kernel, "padding": padding, "dilation": dilation, "groups": groups}
        keys["stride"] = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        shape = (height, width, channels)
    return {"filters": filters, "bias": draw(st.booleans()), **keys}, shape


def digest(engine: Engine, batch: object) -> str:
    """Of a step's gradient, tally and statistics, and of the outputs in evaluation."""
    sha = hashlib.sha256()
    for array in (engine.step([batch], 0), engine.grads, engine.params, engine.outputs(batch)):
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def check_threads(pools, convolution, n, shard, norm):
    keys, shape = convolution
    middle = [declared("batch_norm")] if norm else []
    first = declared("conv2d", filters=2 * keys["groups"], kernel_size=1)  # so that the gradient in x is wanted
    layers = [first, declared("conv2d", **keys), *middle, declared("flatten"), declared("dense", units=3)]
    batch = random_batch(n, shape)
    assert len({digest(engine_of(layers, pool, shape=shape, shard=shard), batch) for pool in pools}) == 1


SHAPES = {
    "convolution": convolutions(),
    "n": st.integers(2, 23),
    "shard": st.integers(1, 8),
    "norm": st.booleans(),
}


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(**SHAPES)
def test_the_same_bits_on_any_number_of_threads(pools, convolution, n, shard, norm):
    check_threads(pools, convolution, n, shard, norm)


@pytest.mark.soak
@settings(deadline=None, max_examples=3000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(**SHAPES)
def test_the_same_bits_on_any_number_of_threads_at_length(pools, convolution, n, shard, norm):
    check_threads(pools, convolution, n, shard, norm)


def first_step(network: str, algorithm: str, batch: int) -> Engine:
    """The engine after the gradient of a first step of a smooth cousin of a reference network.

    At the kink of a relu, and where two values of a pooling window are as good as equal, rounding alone turns a
    gradient on or off: float32 and float64 differ there, too, by far more than the algorithms do.
    """
    text = own.config(network, batch).replace("relu", "silu").replace("max_pool2d", "avg_pool2d")
    stride_1 = "kernel_size: 3, padding: 1, stride: 1"
    with Pool(2) as pool:
        stepper = own.stepper_of(network, batch, pool, text.replace(stride_1, f"{stride_1}, algorithm: {algorithm}"))
        engine, graph = stepper.engine, stepper.engine.graph
        engine.step(stepper.source(0), 0)
    used = {node.layer.algorithm_for(*graph.input_shapes(i)) for i, node in enumerate(graph.nodes)}
    assert ("winograd" in used) == (algorithm != "direct")
    return engine


@pytest.mark.parametrize(
    ("network", "algorithm"),
    [("vgg_small", "winograd"), ("vgg_small", "auto"), ("vgg_wide", "auto"), ("resnet20", "auto")],
)
def test_the_gradient_of_a_whole_first_step_agrees(network, algorithm):
    direct, winograd = (first_step(network, name, batch=8) for name in ("direct", algorithm))
    layout = direct.graph.layout
    for name, entry in layout.entries.items():
        if entry.offset < layout.trained:
            expected, found = (layout.view(engine.grads, entry) for engine in (direct, winograd))
            assert np.abs(found - expected).max() <= AGREEMENT * np.abs(expected).max(), name


SMALL = """\
name: small
data: {{source: {source}, val: 0.2}}
model:
  layers:
    - {{type: conv2d, filters: 8, kernel_size: 3, padding: same, algorithm: {algorithm}}}
    - relu
    - {{type: max_pool2d, kernel_size: 2}}
    - {{type: conv2d, filters: 16, kernel_size: 3, padding: same, algorithm: {algorithm}}}
    - relu
    - {{type: max_pool2d, kernel_size: 2}}
    - flatten
    - {{type: dense, units: auto}}
optimizer: {{type: sgd, lr: 0.05, momentum: 0.9}}
train: {{epochs: 3, batch_size: 32}}
"""


@pytest.mark.parametrize("algorithm", ["direct", "winograd"])
def test_both_pass_central_differences_in_float64(algorithm):
    source = "{type: synthetic, size: 10, channels: 3, samples: 40}"
    report = gradcheck.check(load_text(SMALL.format(source=source, algorithm=algorithm), "small.yaml"), coordinates=6)
    assert not report.failed
    assert {finding.scope for finding in report.findings} == {"node", "network"}


@pytest.mark.soak
def test_both_end_at_the_same_accuracy_within_the_spread_of_three_seeds(tmp_path):
    source = "{type: idx, root: data/mnist-mini, shape: [28, 28], classes: 10}"
    accuracies = {}
    for algorithm in ("direct", "winograd"):
        config = write(tmp_path, SMALL.format(source=source, algorithm=algorithm), f"{algorithm}.yaml")
        accuracies[algorithm] = [
            run(config, tmp_path / f"{algorithm}{seed}", (f"seed={seed}",))["final"]["val/accuracy"]
            for seed in range(3)
        ]
    means = {algorithm: statistics.mean(found) for algorithm, found in accuracies.items()}
    spread = max(max(found) - min(found) for found in accuracies.values())
    assert min(means.values()) > 0.9
    assert abs(means["direct"] - means["winograd"]) <= spread
