"""What a layer declares of itself is so: advice, vitals, folding and export go by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cnntrain.checks.contracts.alone import run, start
from cnntrain.checks.contracts.base import close, hold
from cnntrain.core.arrays import Array, Shape
from cnntrain.parts.layers.base import Layer

ROWS = 6


def values(inputs: Sequence[Shape], seed: int, scale: float = 1.0) -> list[Array]:
    """Normal inputs of that deviation."""
    rng = np.random.default_rng(seed)
    return [scale * rng.standard_normal((ROWS, *shape)) for shape in inputs]


def evaluated(layer: Layer, xs: Sequence[Array]) -> Array:
    """The output in evaluation, of parameters that are drawn."""
    return run(layer, xs, start(layer, *[x.shape[1:] for x in xs]), training=False).y


def is_affine(layer: Layer, inputs: Sequence[Shape]) -> bool:
    """Whether the output of what lies between two inputs lies between their outputs."""
    one, other = values(inputs, 1, 3), values(inputs, 2, 3)
    between = [0.3 * a + 0.7 * b for a, b in zip(one, other, strict=True)]
    expected = 0.3 * evaluated(layer, one) + 0.7 * evaluated(layer, other)
    return np.allclose(evaluated(layer, between), expected, rtol=1e-9, atol=1e-9)


def is_rectifier(layer: Layer, inputs: Sequence[Shape]) -> bool:
    """Whether the output is the input, but 0 below 0, and cut off somewhere if at all."""
    (x, *others) = values(inputs, 1, 5)
    y = evaluated(layer, [x, *others])
    return y.shape == x.shape and np.array_equal(y, np.clip(x, 0, max(y.max(), 0))) and bool((y == 0).any())


def gives_probabilities(layer: Layer, inputs: Sequence[Shape]) -> bool:
    """Whether all outputs are in [0, 1], as probabilities are, or logarithms of some that add up to 1."""
    y = evaluated(layer, values(inputs, 1, 30))
    return bool(((y >= 0) & (y <= 1)).all() or np.allclose(np.exp(np.minimum(y, 1)).sum(axis=-1), 1))


def is_flattening(layer: Layer, inputs: Sequence[Shape]) -> bool:
    """Whether the output is the first input as a vector."""
    xs = values(inputs, 1)
    return np.array_equal(evaluated(layer, xs), xs[0].reshape(ROWS, -1))


DECLARATIONS: dict[str, tuple[Callable[[Layer, Sequence[Shape]], bool], str]] = {  # and what is then so
    "affine_map": (is_affine, "in evaluation its outputs are an affine map of the inputs"),
    "rectifies": (is_rectifier, "its outputs are the inputs, but 0 below 0"),
    "emits_probabilities": (
        gives_probabilities,
        "its outputs are in [0, 1], probabilities or not, and a loss that takes logits should not come next",
    ),
    "flattens": (is_flattening, "its outputs are the inputs as a vector"),
}


def is_what_it_declares(cls: type[Layer]) -> None:
    """And declares what it is, in every example."""
    for name, (holds, said) in DECLARATIONS.items():
        found = [holds(cls(**example.fields), example.inputs) for example in cls.examples]
        if getattr(cls, name):
            hold(all(found), f"{cls.__name__} declares {name}, and one of its examples is not so: {found}")
        else:
            advice = f"write `{name}: ClassVar[bool] = True` in {cls.__name__}: in every example {said}"
            hold(not found or not all(found), advice)


def absorbs_the_scale_that_it_says(cls: type[Layer]) -> None:
    """With weight and bias scaled and shifted, the output is: batch norm is folded into such a layer."""
    absorbed = not cls.absorbs_scale
    for example in cls.examples if cls.absorbs_scale else ():
        layer, xs, p = cls(**example.fields), values(example.inputs, 1), start(cls(**example.fields), *example.inputs)
        if "bias" not in p:
            continue
        factor, shift = np.random.default_rng(3).standard_normal((2, p["weight"].shape[-1]))
        scaled = {"weight": p["weight"] * factor, "bias": p["bias"] * factor + shift}
        expected = run(layer, xs, p).y * factor + shift
        close(run(layer, xs, scaled).y, expected, "it does not absorb a scale", rtol=1e-9, atol=1e-10)
        absorbed = True
    hold(absorbed, "it absorbs a scale, and no example has a bias to show it")


OF_CLASS = (is_what_it_declares, absorbs_the_scale_that_it_says)
