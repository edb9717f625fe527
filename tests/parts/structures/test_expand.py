"""Structures on a weave that only writes down what is asked of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnntrain.config.fields import Declared
from cnntrain.config.schema import Init
from cnntrain.core import registry
from cnntrain.core.errors import Mark
from cnntrain.network import build
from cnntrain.network.graph import weave

HERE = Mark("test.yaml", 1, 1)


def layer(name: str, **fields: Any) -> Declared:
    """A layer or structure as the config reader declares it."""
    kind = "structures" if name in registry.parts("structures") else "layers"
    part = registry.make(kind, name, **fields)
    return Declared(part, part.options(), HERE)


def conv(filters: int, **fields: Any) -> Declared:
    return layer("conv2d", filters=filters, kernel_size=3, padding="same", **fields)


class Recorder:
    """A weave whose nodes are (name, layer, inputs); shapes come from the layers themselves."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.nodes: list[tuple[str, Any, tuple[int, ...]]] = []
        self.shapes = [shape]
        self.scope = ""

    def _node(self, made: Any, inputs: tuple[int, ...], name: str = "") -> int:
        self.nodes.append((self.scope + (name or made.name_in_config), made, inputs))
        self.shapes.insert(-1, made.output_shape(*[self.shape(x) for x in inputs]))
        return len(self.nodes) - 1

    def body(self, layers, x, scope=""):
        outer, self.scope = self.scope, self.scope + (scope + "." if scope else "")
        for declared in layers:
            x = self.apply(declared.part, x)
        self.scope = outer
        return x

    def add(self, layer, *inputs, name="", **fields):
        return self._node(registry.make("layers", layer, **fields), inputs, name)

    def apply(self, part, x):
        return part.expand(self, x) if part.kind == "structures" else self._node(part, (x,))

    def shape(self, x):
        return self.shapes[x]  # node -1, the batch, stays last


def expand(declared: Declared, shape=(8, 8, 4)) -> tuple[Recorder, int]:
    weave = Recorder(shape)
    return weave, declared.part.expand(weave, -1)


def links(weave: Recorder) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, inputs) for name, _, inputs in weave.nodes]


def test_residual_with_one_shape_adds_the_input_itself():
    weave, end = expand(
        layer("residual", body=(conv(4), layer("batch_norm")), activation=registry.make("layers", "relu"))
    )
    assert links(weave) == [("conv2d", (-1,)), ("batch_norm", (0,)), ("add", (1, -1)), ("relu", (2,))]
    assert end == 3


def test_residual_auto_projects_where_shapes_differ():
    weave, end = expand(layer("residual", body=(conv(6, stride=2), layer("batch_norm"))))
    assert links(weave) == [
        ("conv2d", (-1,)),
        ("batch_norm", (0,)),
        ("shortcut", (-1,)),
        ("shortcut_norm", (2,)),
        ("add", (1, 3)),
    ]
    side = weave.nodes[2][1]
    assert (side.filters, side.kernel_size, side.stride, side.bias) == (6, 1, (2, 2), False)
    assert weave.shape(end) == (4, 4, 6)


def test_a_projection_is_normalized_only_where_the_body_is():
    plain, _ = expand(layer("residual", body=(conv(6),)))
    assert [name for name, _ in links(plain)] == ["conv2d", "shortcut", "add"]
    inside = layer("repeat", n=2, body=(layer("parallel", branches=((conv(6), layer("batch_norm")), ())),))
    nested, _ = expand(layer("residual", body=(inside,)))
    assert "shortcut_norm" in [name for name, _ in links(nested)]


def test_residual_conv_projects_even_where_shapes_agree():
    weave, _ = expand(layer("residual", body=(conv(4),), shortcut="conv"))
    assert links(weave)[1:] == [("shortcut", (-1,)), ("add", (0, 1))]
    assert weave.nodes[1][1].stride == (1, 1)


def test_residual_pad_has_no_parameters():
    weave, end = expand(layer("residual", body=(conv(6, stride=2),), shortcut="pad"))
    name, part, inputs = weave.nodes[1]
    assert (name, part.name_in_config, part.filters, part.stride, inputs) == (
        "shortcut",
        "pad_shortcut",
        6,
        (2, 2),
        (-1,),
    )
    assert weave.shape(end) == (4, 4, 6)
    same, _ = expand(layer("residual", body=(conv(4),), shortcut="pad"))
    assert links(same) == [("conv2d", (-1,)), ("add", (0, -1))]


@pytest.mark.parametrize("size", [(7, 8), (5, 5), (9, 1), (1, 1)])
@pytest.mark.parametrize("stride", [1, 2, 3, (1, 2)])
@pytest.mark.parametrize("shortcut", ["conv", "pad"])
def test_the_stride_fits_every_body_padded_same(size, stride, shortcut):
    weave, end = expand(layer("residual", body=(conv(5, stride=stride),), shortcut=shortcut), (*size, 3))
    assert weave.shape(end) == weave.shape(0)


@pytest.mark.parametrize(
    ("declared", "shape", "message"),
    [
        (
            layer("residual", body=(conv(6),), shortcut="identity"),
            (8, 8, 4),
            r"keeps the shape, got \(8, 8, 4\) -> \(8, 8, 6\): use shortcut conv or pad",
        ),
        (
            layer("residual", body=(layer("conv2d", filters=4, kernel_size=3),)),
            (8, 8, 4),
            r"no shortcut fits a body that takes \(8, 8, 4\) to \(6, 6, 4\)",
        ),
        (
            layer("residual", body=(layer("dense", units=3),)),
            (5,),
            r"no shortcut fits a body that takes \(5,\) to \(3,\)",
        ),
        (
            layer("residual", body=(conv(2),), shortcut="pad"),
            (8, 8, 4),
            "filters must be at least 4, got 2",
        ),
        (
            layer("parallel", branches=((conv(2),), (conv(2, stride=2),))),
            (8, 8, 4),
            r"concat needs inputs that agree in all but channels, got \(8, 8, 2\) and \(4, 4, 2\)",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_named(declared, shape, message):
    with pytest.raises(ValueError, match=message):
        expand(declared, shape)


def test_parallel_joins_its_branches_in_order():
    branches = ((conv(2), layer("relu")), (), (conv(3),))
    weave, end = expand(layer("parallel", branches=branches))
    assert links(weave) == [
        ("1.conv2d", (-1,)),
        ("1.relu", (0,)),
        ("3.conv2d", (-1,)),
        ("concat", (1, -1, 2)),
    ]
    assert weave.shape(end) == (8, 8, 9)
    added, end = expand(layer("parallel", branches=((conv(4),), ()), join="add"))
    assert links(added)[-1] == ("add", (0, -1))


def test_parallel_needs_two_branches():
    with pytest.raises(ValueError, match="at least two lists of layers, got 1"):
        registry.make("structures", "parallel", branches=((conv(2),),))


def test_repeat_chains_its_body_with_names_of_their_own():
    inner = layer("repeat", n=2, body=(layer("relu"),))
    weave, end = expand(layer("repeat", n=2, body=(conv(4), inner)))
    assert links(weave) == [
        ("1.conv2d", (-1,)),
        ("1.1.relu", (0,)),
        ("1.2.relu", (1,)),
        ("2.conv2d", (2,)),
        ("2.1.relu", (3,)),
        ("2.2.relu", (4,)),
    ]
    assert end == 5


def test_repeat_needs_a_positive_number():
    with pytest.raises(ValueError, match="n must be"):
        registry.make("structures", "repeat", n=0, body=(layer("relu"),))


def test_sequential_is_its_body_in_order():
    weave, end = expand(layer("sequential", body=(conv(3), layer("relu"))))
    assert links(weave) == [("conv2d", (-1,)), ("relu", (0,))]
    assert end == 1


@pytest.mark.parametrize(("fields", "inner"), [({}, 2), ({"reduction": 4}, 8), ({"reduction": 64}, 1)])
def test_squeeze_excite_multiplies_its_input_by_a_gate(fields, inner):
    weave, end = expand(layer("squeeze_excite", **fields), (4, 5, 32))
    assert links(weave) == [
        ("squeeze", (-1,)),
        ("reduce", (0,)),
        ("relu", (1,)),
        ("expand", (2,)),
        ("gate", (3,)),
        ("multiply", (-1, 4)),
    ]
    assert [weave.shape(x) for x in range(end + 1)] == [(32,), (inner,), (inner,), (32,), (32,), (4, 5, 32)]
    assert [weave.nodes[x][1].name_in_config for x in (0, 4)] == ["global_avg_pool", "sigmoid"]


def test_squeeze_excite_needs_an_image():
    with pytest.raises(ValueError, match="squeeze_excite needs an image"):
        expand(layer("squeeze_excite"), (5,))


def started(*body: Declared) -> dict[str, set[float]]:
    """What every scale and shift of a residual with zero_init starts with."""
    residual = layer("residual", body=body, zero_init=True)
    graph = weave([residual], (4, 4, 4), 2)
    params = np.full(graph.layout.size, np.nan)
    build.initialize(graph, Init(), 0, params)
    views = graph.layout.views(params)
    return {name: set(values) for name, values in views.items() if name.endswith(("scale", "shift"))}


def test_zero_init_silences_the_last_scale_alone():
    found = started(conv(4), layer("batch_norm"), layer("relu"), conv(4), layer("batch_norm"), layer("relu"))
    assert found == {
        "residual_1.batch_norm_1.scale": {1.0},
        "residual_1.batch_norm_1.shift": {0.0},
        "residual_1.batch_norm_2.scale": {0.0},
        "residual_1.batch_norm_2.shift": {0.0},
    }
    inside = started(layer("sequential", body=(conv(4), layer("group_norm", groups=2))))
    assert inside["residual_1.sequential_1.group_norm_1.scale"] == {0.0}


@pytest.mark.parametrize(
    "body",
    [(conv(4),), (layer("batch_norm", affine=False),), (layer("batch_norm"), layer("repeat", n=1, body=(conv(4),)))],
)
def test_zero_init_needs_a_scale(body):
    with pytest.raises(ValueError, match="zero_init needs a body that ends with a normalization"):
        expand(layer("residual", body=body, zero_init=True))
