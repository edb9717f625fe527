"""The steps that are worked on paper end where the optimizers do."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cnntrain.core.registry import make
from cnntrain.parts.optimizers.base import Block
from cnntrain.results.explain.updates import LR, worked

OPTIMIZERS = {
    "sgd": ("sgd", {}),
    "sgd with momentum 0.9": ("sgd", {"momentum": 0.9}),
    "adagrad": ("adagrad", {}),
    "adam": ("adam", {}),
}


def _after_two_steps(name, p, g, **keys):
    optimizer = make("optimizers", name, lr=LR, **keys)
    weight, slots = np.array([p]), {slot: np.zeros(1) for slot in optimizer.slot_names()}
    for step in (1, 2):
        optimizer.update(Block(weight, np.array([g]), slots, LR, step, (np.zeros(1), np.zeros(1))))
    return float(weight[0])


@pytest.mark.parametrize(("p", "g"), [(0.5, -0.25), (-1.5, 1e-4), (0.0, 3.0)])
def test_ends_where_the_optimizer_does(p, g):
    for one in worked(p, g):
        name, keys = OPTIMIZERS[one.name]
        assert one.weight == pytest.approx(_after_two_steps(name, p, g, **keys), rel=1e-9)


@pytest.mark.parametrize(("p", "g"), [(0.5, -0.25), (0.39635, -4.64038e-06), (-1.5, 2e-9)])
def test_the_numbers_that_are_written_give_the_result_that_is_written(p, g):
    """Those of small gradients, too, beside which epsilon counts."""
    for one in worked(p, g):
        for step in one.steps:
            left, right = step.split("; ")[-1].split(" = ") if ";" in step else step.split(": ")[1].split(" = ")
            assert re.fullmatch(r"[-+*/ .()\de]+", left)
            assert eval(left) == pytest.approx(float(right), rel=1e-5)
