"""Every layer and every small model, exported, gives the outputs it gives here, or is refused by name and place."""

from __future__ import annotations

import functools
import io
import re
import types
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from cnntrain.config.schema import TrainedOptions
from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.errors import Mark, UsageError
from cnntrain.engine.pool import Pool
from cnntrain.network import torch_layout
from cnntrain.network.graph import BATCH, Graph, Node
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.layers.base import Layer
from cnntrain.results.export import numpy_file, onnx_file, page_file
from cnntrain.results.export.network import Exported, trace_graph
from tests.parts.models.test_models import SMALL, ids
from tests.parts.test_catalogue import CATALOGUE
from tests.support.interpreter import interpreter
from tests.support.layers import run, start
from tests.support.networks import declared, engine_of, everything, random_batch

CASES = [
    pytest.param(cls(**example.fields), example.inputs, id=f"{name}-{number}")
    for name, cls in registry.parts("layers").items()
    for number, example in enumerate(cls.examples)
]
Run = Callable[[Exported, Array], Array]
REFUSED = r"layer_1 \(its type, test\.yaml:1:1\) cannot be exported as {}: .* has no operation '\w+'.*\. Choose another"


def by_numpy(exported: Exported, *images: Array) -> Array:
    """What the NumPy file computes."""
    text = numpy_file.source(exported, Path("exported.py"))
    module = types.ModuleType("exported")
    module.__file__ = "/nowhere/exported.py"
    npz = io.BytesIO(numpy_file.weights(exported))
    load, np.load = np.load, lambda path, allow_pickle: load(npz, allow_pickle=allow_pickle)
    try:
        exec(compile(text, "exported.py", "exec"), module.__dict__)
    finally:
        np.load = load
    return module.forward(*images)


def by_onnx(exported: Exported, *images: Array) -> Array:
    """What ONNX Runtime computes."""
    result = onnx_file.run(onnx_file.model(exported), *images)
    assert result is not None
    return result


def by_page(exported: Exported, images: Array) -> Array:
    """What the page's interpreter computes."""
    asked = {"trace": page_file.program(exported), "inputs": images.reshape(len(images), -1).tolist()}
    found = interpreter().run(asked, page_file.constants(exported.trace))
    return np.array(found, np.float32).reshape(len(images), *exported.output.shape)


def unless_refused(computed: Run, exported: Exported, images: Array) -> Array | None:
    """What a format computes; None where it refuses the network, naming the layer, its place and the format."""
    refusals = []
    try:
        return computed(exported, images)
    except UsageError as error:
        refusals.append(str(error))
    assert re.match(REFUSED.format(computed.__name__.removeprefix("by_")), refusals[0])
    return None


def onnx_or_skip() -> None:
    pytest.importorskip("onnx", reason="comes with the extra `onnx`")
    pytest.importorskip("onnxruntime", reason="comes with the extra `onnx`")


def in_order(computed: Run, found: Array) -> Array:
    """Maps of a format with the channels last."""
    return found.transpose(0, 2, 3, 1) if computed is by_onnx and found.ndim == 4 else found


FORMATS = [
    pytest.param(by_numpy, 1e-6, id="numpy"),
    pytest.param(by_page, 1e-6, id="page"),
    pytest.param(by_onnx, 1e-5, id="onnx"),
]


def exported_of(trace: Trace, start: Value, output: Value) -> Exported:
    return Exported("test", Path("best.npz"), 7, trace, start, output, ("a", "b"), ())


@pytest.mark.parametrize(("computed", "tolerance"), FORMATS)
@pytest.mark.parametrize(("layer", "shapes"), CASES)
def test_every_layer(layer: Layer, shapes, computed, tolerance):
    """Its inputs are the first one, so cut and turned that a layer of several inputs has them all of one image."""
    if computed is by_onnx:
        onnx_or_skip()
    if layer.algorithm_for(*shapes) == "winograd":  # whose own rounding is larger
        tolerance = max(tolerance, 1e-5)
    rng = np.random.default_rng(1)
    xs = [rng.standard_normal((3, *shape)).astype(np.float32) for shape in shapes]
    params = start(layer, *shapes, dtype=np.float32)
    expected = run(layer, xs, params, training=False).y
    trace, whole = Trace(), Value("images", (sum(int(np.prod(shape)) for shape in shapes),))
    trace.begin("split")
    values, at = [], 0
    for shape in shapes:
        size = int(np.prod(shape))
        pick = trace.constant(f"pick{at}", np.eye(whole.shape[0], size, -at))
        values.append(trace.reshape(trace.op("matmul", whole, pick, shape=(size,)), shape))
        at += size
    trace.begin("layer", "layer_1 (its type, test.yaml:1:1)")
    output = trace.end(layer.trace(trace, params, *values))
    assert output.shape == expected.shape[1:]
    flat = np.concatenate([x.reshape(3, -1) for x in xs], axis=1)
    exported = exported_of(trace, whole, output)
    found = unless_refused(computed, exported, flat)
    if found is None:
        assert layer.name_in_config not in CATALOGUE["layers"].split(), "it could be exported before"
        return
    found = in_order(computed, found)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(np.abs(expected).max(), 1))


def network(layers, shape, classes: int = 3, steps: int = 3):
    """A trained network: its graph, its parameters, some images, and its outputs for them."""
    with Pool(1) as pool:
        engine = engine_of(layers, pool, shape=shape, classes=classes, shard=4)
        batch = random_batch(4, shape, classes)
        trained = engine.graph.layout.trained
        for step in range(steps):  # so that running statistics and scales are no longer what they began as
            engine.step([batch], step)
            engine.params[:trained] -= 0.001 * engine.grads[:trained]
        x = np.empty((4, *shape), np.float32)
        batch.fill(0, 4, x)
        params = [engine.node_params(index) for index in range(len(engine.graph.nodes))]
        return engine.graph, params, x, engine.outputs(batch)


def rounding(params) -> float:
    """What the longest sum of the network makes of float32's unit roundoff, by the square root of its terms.

    Higham and Mary, A New Approach to Probabilistic Rounding Error Analysis, 2019. Kernels without fused
    multiplication and addition come close to it.
    """
    terms = max(array.size // array.shape[-1] for arrays in params for array in arrays.values())
    return float(np.sqrt(terms) * np.finfo(np.float32).eps / 2)


def check(found, computed, tolerance, fold) -> int:
    graph, params, x, expected = found
    tolerance = max(tolerance, rounding(params))
    trace, images = Trace(), Value("images", graph.input_shape)
    output = trace_graph(trace, graph, params, images, fold)
    outputs = computed(exported_of(trace, images, output), x)
    largest = np.abs(expected).max()
    own = 0.0
    if computed is not by_onnx:  # in float64 it shows what of the difference is the engine's own rounding
        exact = by_numpy(exported_of(trace, images, output), x.astype(np.float64))
        assert exact.dtype == np.float64
        assert np.abs(outputs - exact).max() <= tolerance * largest
        own = np.abs(expected - exact).max()
    assert np.abs(outputs - expected).max() <= tolerance * largest + own
    return len(trace.operations)


@pytest.mark.parametrize(("computed", "tolerance"), FORMATS)
def test_batch_norm_folded_or_not(computed, tolerance):
    if computed is by_onnx:
        onnx_or_skip()
    found = network(everything(), (8, 8, 2))
    whole, folded = (check(found, computed, 2 * tolerance, fold) for fold in (False, True))
    assert folded == whole - 4 * 3, "four batch norms of three operations"


@functools.cache
def ready(name, fields, shape):
    return network(registry.make("models", name, **dict(fields)).layers(), shape, steps=1)


@pytest.mark.parametrize(("computed", "tolerance"), FORMATS)
@pytest.mark.parametrize(("name", "fields", "shape", "lr"), SMALL, ids=ids(SMALL))
def test_every_small_model(name, fields, shape, lr, computed, tolerance):
    if computed is by_onnx:
        onnx_or_skip()
    found = ready(name, tuple(fields.items()), shape)
    if computed is by_page and len(shape) > 3:
        with pytest.raises(UsageError, match=r"cannot be exported as page: .* of clips\. Choose another"):
            check(found, computed, tolerance, fold=False)
        return
    check(found, computed, tolerance, fold=False)
    check(found, computed, 10 * tolerance, fold=True)


@pytest.mark.parametrize(("computed", "tolerance"), FORMATS)
@pytest.mark.parametrize("through", ["identity", "dropout", "drop_path"])
def test_moments_that_a_layer_hands_through_are_read_by_others(through, computed, tolerance):
    if computed is by_page:
        return  # it has no clips
    if computed is by_onnx:
        onnx_or_skip()
    head = [declared("conv2d", filters=3, kernel_size=2), declared("global_avg_pool"), declared("dense", units=3)]
    found = network([declared("residual", body=(declared(through),)), *head], (3, 4, 5, 2), steps=1)
    check(found, computed, tolerance, fold=False)


def test_a_layer_without_a_trace_is_refused_by_name_and_place(monkeypatch):
    from cnntrain.parts.layers.dense import Dense

    monkeypatch.setattr(Dense, "trace", Layer.trace)
    graph, params, *_ = network([declared("flatten"), declared("dense", units=3)], (2, 2, 1))
    with pytest.raises(UsageError, match=r"dense_1 \(dense, test.yaml:1:1\) cannot be exported: .* a method 'trace'"):
        trace_graph(Trace(), graph, params, Value("images", graph.input_shape))


FUNCTIONS = sorted(
    name
    for name, function in vars(np).items()
    if isinstance(function, np.ufunc) and not function.signature and function.nout == 1 and "f->f" in function.types
)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_any_function_of_numpys_is_exported_and_agrees_or_is_refused(name):
    """A new activation says its formula in its own file; no format needs a line for it."""
    x = np.random.default_rng(1).uniform(0.1, 0.9, (3, 5)).astype(np.float32)
    x += name in ("acosh", "arccosh")  # which begins at 1
    trace, images = Trace(), Value("images", (5,))
    trace.begin("layer", "layer_1 (its type, test.yaml:1:1)")
    output = trace.end(trace.op(name, images))
    exported = exported_of(trace, images, output)
    expected = getattr(np, name)(x)
    np.testing.assert_array_equal(by_numpy(exported, x), expected)
    found = unless_refused(by_page, exported, x)
    assert (found is not None) == (name in page_file.ONE)
    if found is not None:
        np.testing.assert_allclose(found, expected, rtol=2e-6)
    onnx_or_skip()
    found = unless_refused(by_onnx, exported, x)
    assert (found is not None) == _has(name)
    if found is not None:
        np.testing.assert_allclose(found, expected, rtol=2e-6)


def _has(name: str) -> bool:
    """Whether ONNX has a function by NumPy's name, or what it makes of one."""
    import onnx

    ours = {
        name.capitalize(),
        name.replace("arc", "a").capitalize(),
        {"rint": "Round", "negative": "Neg", "absolute": "Abs"}.get(name, ""),
    }
    return any(onnx.defs.has(one, onnx_file.OPSET) for one in ours)


@pytest.mark.parametrize(
    ("kind", "operands"), [("no_such_thing", 1), ("sin", 2), ("matmul_t", 2), ("__class__", 1), ("array", 1)]
)
@pytest.mark.parametrize("computed", [by_numpy, by_page, by_onnx])
def test_an_operation_that_a_format_lacks_is_refused_by_layer_place_and_format(kind, operands, computed):
    if computed is by_onnx:
        onnx_or_skip()
        operands = 1 if kind == "sin" else operands
        kind = "log1p" if kind == "sin" else kind
    trace, images = Trace(), Value("images", (5,))
    trace.begin("layer", "layer_1 (its type, test.yaml:1:1)")
    output = trace.end(trace.op(kind, *[images] * operands))
    assert unless_refused(computed, exported_of(trace, images, output), np.ones((1, 5), np.float32)) is None


WITH_PARAMETERS = [case for case in CASES if len(case.values[1]) == 1 and case.values[0].params(*case.values[1])]


@pytest.mark.parametrize(("layer", "shapes"), WITH_PARAMETERS)
def test_every_layers_parameters_go_to_safetensors_and_come_back(layer: Layer, shapes):
    pytest.importorskip("safetensors", reason="comes with the extra `safetensors`")
    options, where = TrainedOptions(), Mark("test.yaml", 1, 1)
    node = Node("n", layer, (BATCH,), layer.output_shape(*shapes), layer.params(*shapes), options, where)
    graph = Graph([node], shapes[0])
    rng = np.random.default_rng(2)
    params = {name: rng.random(entry.param.shape, np.float32) for name, entry in graph.layout.entries.items()}
    back = torch_layout.parameters(Path("a"), torch_layout.write(graph, params, {}), graph)
    assert back.keys() == params.keys()
    for name, array in params.items():
        np.testing.assert_array_equal(back[name], array)


def test_two_parameters_that_would_have_one_name_are_refused(monkeypatch):
    pytest.importorskip("safetensors", reason="comes with the extra `safetensors`")
    monkeypatch.setitem(torch_layout._CALLED, "bias", "weight")
    graph = network([declared("flatten"), declared("dense", units=3)], (2, 2, 1))[0]
    params = {name: np.zeros(entry.param.shape, np.float32) for name, entry in graph.layout.entries.items()}
    with pytest.raises(UsageError, match=r"dense_1 \(dense, test.yaml:1:1\) cannot .* would both be called"):
        torch_layout.write(graph, params, {})


def test_names_that_python_has_already_are_changed():
    layers = [declared("flatten", name="lambda"), declared("dense", units=4, name="np"), declared("relu", name="1-a")]
    found = network([*layers, declared("dense", units=3, name="windows")], (2, 2, 1))
    check(found, by_numpy, 1e-6, False)
    assert isinstance(found[1], list)
    assert all(isinstance(params, Mapping) for params in found[1])
