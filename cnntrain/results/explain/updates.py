"""One update of one weight by four optimizers, twice in a row with the same gradient, worked in numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cnntrain.results.explain.passage import Passage
from cnntrain.results.report.html import Markup, element, section, unbroken

LR = 0.1  # of all four, so that their steps can be compared


@dataclass(frozen=True)
class Worked:
    """What an optimizer makes of a weight: the formula, two steps of it in numbers, and the weight after them."""

    name: str
    formula: str
    steps: tuple[str, str]
    weight: float


def of(passed: Passage) -> Markup:
    """The weight with the largest gradient of the last layer that has weights."""
    for node, frame in zip(reversed(passed.nodes), reversed(passed.frames), strict=True):
        if frame.dp and "weight" in frame.dp:
            gradients = frame.dp["weight"]
            place = tuple(int(i) for i in np.unravel_index(np.argmax(np.abs(gradients)), gradients.shape))
            return _section(node.name, place, float(frame.p["weight"][place]), float(gradients[place]))
    return Markup()


def _section(name: str, place: tuple[int, ...], p: float, g: float) -> Markup:
    parts = [
        element(
            "div",
            element("h3", one.name),
            element("p", one.formula),
            *(element("div", unbroken(step), class_="step") for step in one.steps),
            class_="layer",
        )
        for one in worked(p, g)
    ]
    note = unbroken(
        f"The weight of {name} at {place} is p = {p:.6g}, its gradient for this sample g = {g:.6g}. Two steps in a row "
        f"with this gradient, each with the learning rate {LR:g}. In training, a gradient is the mean over a batch."
    )
    return section("One update", *parts, note=note)


def worked(p: float, g: float) -> list[Worked]:
    """Two steps of each optimizer from the weight p with the gradient g, at the learning rate LR."""
    return [
        Worked("sgd", "p - lr g", *_twice(_descent, p, g)),
        Worked("sgd with momentum 0.9", "v = g, then v = 0.9 v + g; p - lr v", *_twice(_momentum, p, g)),
        Worked("adagrad", "s = s + g^2; p - lr g / (sqrt(s) + 1e-10)", *_twice(_adagrad, p, g)),
        Worked(
            "adam",
            "m = 0.9 m + 0.1 g, v = 0.999 v + 0.001 g^2; p - lr (m / (1 - 0.9^t)) / (sqrt(v / (1 - 0.999^t)) + 1e-8)",
            *_twice(_adam, p, g),
        ),
    ]


def _twice(step: Callable[[dict[str, float], float, int], str], p: float, g: float) -> tuple[tuple[str, str], float]:
    state: dict[str, float] = {"p": p}
    first, second = step(state, g, 1), step(state, g, 2)
    return (first, second), state["p"]


def _descent(state: dict[str, float], g: float, step: int) -> str:
    p = state["p"]
    state["p"] = p - LR * g
    return f"step {step}: {p:.6g} - {LR:g} * {g:.6g} = {state['p']:.6g}"


def _momentum(state: dict[str, float], g: float, step: int) -> str:
    p, v = state["p"], state.get("v")
    state["v"] = g if v is None else 0.9 * v + g
    state["p"] = p - LR * state["v"]
    told = f"v = {g:.6g}" if v is None else f"v = 0.9 * {v:.6g} + {g:.6g} = {state['v']:.6g}"
    return f"step {step}: {told}; {p:.6g} - {LR:g} * {state['v']:.6g} = {state['p']:.6g}"


def _adagrad(state: dict[str, float], g: float, step: int) -> str:
    p, s = state["p"], state.get("s", 0.0)
    state["s"] = s + g * g
    state["p"] = p - LR * g / (math.sqrt(state["s"]) + 1e-10)
    return (
        f"step {step}: s = {s:.6g} + ({g:.6g})^2 = {state['s']:.6g}; {p:.6g} - {LR:g} * {g:.6g} / "
        f"({math.sqrt(state['s']):.6g} + 1e-10) = {state['p']:.6g}"
    )


def _adam(state: dict[str, float], g: float, step: int) -> str:
    p = state["p"]
    m = state["m"] = 0.9 * state.get("m", 0.0) + 0.1 * g
    v = state["v"] = 0.999 * state.get("v", 0.0) + 0.001 * g * g
    mean, size = m / (1 - 0.9**step), math.sqrt(v / (1 - 0.999**step))
    state["p"] = p - LR * mean / (size + 1e-8)
    return (
        f"step {step}: m = {m:.6g}, v = {v:.6g}; m / (1 - 0.9^{step}) = {mean:.6g}, "
        f"sqrt(v / (1 - 0.999^{step})) = {size:.6g}; "
        f"{p:.6g} - {LR:g} * {mean:.6g} / ({size:.6g} + 1e-08) = {state['p']:.6g}"
    )
