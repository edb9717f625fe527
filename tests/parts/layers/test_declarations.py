"""What a layer says of itself is so: the class variables and properties that advice, vitals and export go by."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.parts.layers.base import Coupled, Layer
from tests.support.layers import run, start

LAYERS = registry.parts("layers")
CLASSES = pytest.mark.parametrize("cls", LAYERS.values(), ids=list(LAYERS))
CASES = pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        pytest.param(cls(**example.fields), example.inputs, id=f"{name}-{i}")
        for name, cls in LAYERS.items()
        for i, example in enumerate(cls.examples)
    ],
)
ROWS = 6


def values(inputs, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    return [scale * rng.standard_normal((ROWS, *shape)) for shape in inputs]


def evaluated(layer: Layer, xs, seed=0):
    """The output in evaluation, of parameters that are drawn."""
    return run(layer, xs, start(layer, *[x.shape[1:] for x in xs], seed=seed), training=False).y


def is_affine(layer: Layer, inputs) -> bool:
    one, other = values(inputs, 1, 3), values(inputs, 2, 3)
    between = [0.3 * a + 0.7 * b for a, b in zip(one, other, strict=True)]
    expected = 0.3 * evaluated(layer, one) + 0.7 * evaluated(layer, other)
    return np.allclose(evaluated(layer, between), expected, rtol=1e-9, atol=1e-9)


def is_rectifier(layer: Layer, inputs) -> bool:
    (x, *others) = values(inputs, 1, 5)
    y = evaluated(layer, [x, *others])
    return y.shape == x.shape and np.array_equal(y, np.clip(x, 0, max(y.max(), 0))) and (y == 0).any()


def gives_probabilities(layer: Layer, inputs) -> bool:
    y = evaluated(layer, values(inputs, 1, 30))
    return bool(((y >= 0) & (y <= 1)).all() or np.allclose(np.exp(np.minimum(y, 1)).sum(axis=-1), 1))


def flattens(layer: Layer, inputs) -> bool:
    xs = values(inputs, 1)
    return np.array_equal(evaluated(layer, xs), xs[0].reshape(ROWS, -1))


@CLASSES
@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("affine_map", is_affine),
        ("rectifies", is_rectifier),
        ("emits_probabilities", gives_probabilities),
        ("flattens", flattens),
    ],
)
def test_it_is_what_it_declares_and_declares_what_it_is(cls, name, holds):
    found = [holds(cls(**example.fields), example.inputs) for example in cls.examples]
    if getattr(cls, name):
        assert all(found), f"{cls.__name__} declares {name} and is not so in example {found.index(False)}"
    else:
        assert not all(found), f"write `{name}: ClassVar[bool] = True` in {cls.__name__}: it is so in every example"


@CASES
def test_a_random_layer_draws_in_training_and_hands_its_input_on_in_evaluation(layer, inputs):
    xs, p = values(inputs, 1), start(layer, *inputs)
    one, other = (run(layer, xs, p, seed=seed).y for seed in (7, 8))
    still = run(layer, xs, p, training=False).y
    if layer.random:
        assert not np.array_equal(one, other)
        assert np.array_equal(still, xs[0])
        return
    assert np.array_equal(one, other), "it draws: give it the property `random`"
    if not isinstance(layer, Coupled):
        assert np.array_equal(one, still), "what is neither random nor coupled is the same in training and evaluation"


@pytest.mark.parametrize("cls", [cls for cls in LAYERS.values() if cls.absorbs_scale])
def test_a_layer_that_absorbs_a_scale_gives_the_scaled_output(cls):
    absorbed = 0
    for example in cls.examples:
        layer, xs = cls(**example.fields), values(example.inputs, 1)
        p = start(layer, *example.inputs)
        if "bias" not in p:
            continue
        factor, shift = np.random.default_rng(3).standard_normal((2, p["weight"].shape[-1]))
        scaled = {"weight": p["weight"] * factor, "bias": p["bias"] * factor + shift}
        expected = run(layer, xs, p).y * factor + shift
        np.testing.assert_allclose(run(layer, xs, scaled).y, expected, rtol=1e-9, atol=1e-10)
        absorbed += 1
    assert absorbed


def test_every_declaration_is_made_by_some_layer():
    for name in ("affine_map", "rectifies", "emits_probabilities", "flattens", "absorbs_scale"):
        assert any(getattr(cls, name) for cls in LAYERS.values()), name
    assert any(cls(**example.fields).random for cls in LAYERS.values() for example in cls.examples)
