"""The gradient check finds a bug in any layer's gradient: a copy of every registered one is broken in six ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

import numpy as np
import pytest

from cnntrain.checks import gradcheck
from cnntrain.checks.gradcheck import Finding, check_node
from cnntrain.config.schema import TrainedOptions
from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.errors import Mark
from cnntrain.engine.solo import Solo
from cnntrain.network.graph import BATCH, Node
from cnntrain.parts.layers.base import Coupled, Frame, Layer

EXAMPLES = [
    pytest.param(cls, example, id=f"{name}-{number}")
    for name, cls in registry.parts("layers").items()
    for number, example in enumerate(cls.examples)
]
FIRST = [param for param in EXAMPLES if param.id.endswith("-0")]


def wrong_sign(gradient: Array) -> None:
    gradient *= -1


def missing(gradient: Array) -> None:
    gradient[...] = 0


def slightly_off(gradient: Array) -> None:
    gradient *= 1 + 1e-4


def wrong_place(gradient: Array) -> None:
    gradient[...] = np.roll(gradient.reshape(-1), 1).reshape(gradient.shape)


def made_up(gradient: Array) -> None:
    gradient += 0.5


def left_over(gradient: Array) -> None:
    gradient += np.linspace(1, 2, gradient.size).reshape(gradient.shape)


BUGS = (wrong_sign, missing, slightly_off, wrong_place, made_up, left_over)


class Remembered(Solo):
    """Computes each output once, whatever the bug: all of them are in backward."""

    known: ClassVar[dict[tuple[object, ...], Array]] = {}

    def __init__(self, layer, inputs, cuts, *, frozen, streams):
        super().__init__(layer, inputs, cuts, frozen=frozen, streams=streams)
        self._first = streams(0).bytes(16)  # other random numbers, other outputs

    def forward(self, xs, p):
        key = (self._first, *(array.tobytes() for array in (*xs, *p.values())))
        if key not in self.known:
            self.known[key] = super().forward(xs, p)
        return self.known[key]


def checked(layer: Layer, shapes, coordinates: int = 6) -> Iterator[Finding]:
    options, where = TrainedOptions(), Mark("net.yaml", 1, 1)
    inputs = (BATCH,) * len(shapes)
    node = Node("n", layer, inputs, layer.output_shape(*shapes), layer.params(*shapes), options, where)
    return check_node(node, shapes, 0, coordinates)


def gradients(f: Frame) -> dict[str, Array]:
    """What a frame's backward has written, by what the check calls it."""
    inputs = {f"input {i}" if len(f.dxs) > 1 else "input": dx for i, dx in enumerate(f.dxs) if dx is not None}
    return inputs | dict(f.dp or {})


def broken(cls: type[Layer], what: str, bug: Callable[[Array], None], changed: list[bool]) -> type[Layer]:
    """A copy of the layer in which one gradient is wrong; whether that changed anything is noted."""

    def backward(self, f):
        cls.backward(self, f)
        gradient = gradients(f)[what]
        before = gradient.copy()
        bug(gradient)
        changed.append(not np.allclose(gradient, before, rtol=2e-5, atol=0))

    return type(cls.__name__, (cls,), {"backward": backward})


@pytest.mark.parametrize(("cls", "example"), EXAMPLES)
def test_the_layer_itself_passes(cls, example):
    found = [*checked(cls(**example.fields), example.inputs)]
    assert found
    assert [finding.what for finding in found if finding.failed] == []


@pytest.mark.parametrize(("cls", "example"), FIRST)
def test_every_bug_is_found_in_the_gradient_that_has_it(cls, example, monkeypatch):
    monkeypatch.setattr(gradcheck, "Solo", Remembered)
    monkeypatch.setattr(Remembered, "known", {})
    names = [finding.what for finding in checked(cls(**example.fields), example.inputs, 1)]
    for what in names:
        effective = 0
        for bug in BUGS:
            changed: list[bool] = []
            layer = broken(cls, what, bug, changed)(**example.fields)
            found = next(finding for finding in checked(layer, example.inputs, 12) if finding.what == what)
            if any(changed):
                assert found.failed, f"{bug.__name__} in {what} was not found"
                effective += 1
        assert effective >= 2


@pytest.mark.parametrize("cls", [cls for cls in registry.parts("layers").values() if issubclass(cls, Coupled)])
def test_a_coupled_layer_that_forgets_the_other_shards_is_found(cls):
    def partial_back(self, f):
        own = cls.partial_back(self, f)
        return own if len(f.dy) == 2 else np.zeros_like(own)  # the second shard's sums are lost

    example = cls.examples[0]
    layer = type(cls.__name__, (cls,), {"partial_back": partial_back})(**example.fields)
    assert "input" in [finding.what for finding in checked(layer, example.inputs) if finding.failed]
