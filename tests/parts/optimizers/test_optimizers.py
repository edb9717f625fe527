"""Every optimizer: PyTorch's steps, resuming, independence of how the vector is cut, and getting to the bottom."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.checks.contracts import optimizer as contract
from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.parts.optimizers.base import Block, Lookahead, Optimizer
from tests.support import golden
from tests.support.optimizers import SHOWN, STEPS, Descent, gradient, start

SETTINGS = [
    pytest.param(optimizer, id=f"{name}-{index}")
    for name, cls in registry.parts("optimizers").items()
    for index, (optimizer,) in enumerate(contract.subjects(cls))
]
ELEMENTWISE = [setting for setting in SETTINGS if setting.values[0].unit == "element"]


def test_every_optimizer_has_examples_and_names_its_source() -> None:
    for name, cls in registry.parts("optimizers").items():
        assert cls.examples, name
        assert re.search(r"\b(19|20)\d\d\b", cls.__doc__ or ""), f"{name} names no source"


@pytest.mark.parametrize("path", golden.cases("optimizers"))
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 1e-5)])
def test_equals_pytorch_or_the_formula_for_100_steps(path: Path, dtype: Any, tolerance: float) -> None:
    optimizer, case = golden.load(path, lookahead=lambda fields: Lookahead(**fields))
    seen = []
    Descent(optimizer, start(dtype)).follow(STEPS, lambda step, p: seen.append(p.copy()) if step in SHOWN else None)
    assert np.abs(np.array(seen) - case["shown"]).max() <= tolerance * np.abs(case["shown"]).max()


@pytest.mark.parametrize("path", golden.cases("scheduled_optimizers"))
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 1e-5)])
def test_with_a_momentum_schedule_equals_pytorch_or_the_formula(path: Path, dtype: Any, tolerance: float) -> None:
    optimizer, case = golden.load(path, "optimizers")
    seen: list[Array] = []

    def watch(step: int, p: Array) -> None:
        if step in SHOWN:
            seen.append(p.copy())

    Descent(optimizer, start(dtype)).follow(STEPS, watch, scheduled=True)
    assert np.abs(np.array(seen) - case["shown"]).max() <= tolerance * np.abs(case["shown"]).max()


def test_every_optimizer_with_a_momentum_is_compared_under_a_schedule() -> None:
    with_momentum = {
        name
        for name, cls in registry.parts("optimizers").items()
        if any(registry.make("optimizers", name, **fields).base_momentum for fields in cls.examples)
    }
    assert golden.proven("scheduled_optimizers") == with_momentum & golden.proven("optimizers")  # none of a newcomer


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", SETTINGS)
def test_resumed_equals_straight_to_the_bit(optimizer: Optimizer, dtype: Any) -> None:
    contract.resumes_to_the_bit(optimizer, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", ELEMENTWISE)
def test_cutting_the_vector_changes_no_bit(optimizer: Optimizer, dtype: Any) -> None:
    contract.does_not_see_where_the_vector_is_cut(optimizer, dtype)


@pytest.mark.parametrize("optimizer", SETTINGS)
def test_slots_are_those_needed_and_keep_the_dtype(optimizer: Optimizer) -> None:
    contract.has_the_slots_that_it_needs(optimizer)


@pytest.mark.parametrize("optimizer", SETTINGS)
def test_gaps_between_tensors_stay_zero(optimizer: Optimizer) -> None:
    contract.leaves_zero_where_all_is_zero(optimizer)


@pytest.mark.parametrize("optimizer", SETTINGS)
def test_finds_the_bottom_of_a_parabola(optimizer: Optimizer) -> None:
    contract.finds_the_bottom_of_a_parabola(optimizer)


@pytest.mark.parametrize("optimizer", SETTINGS)
def test_decay_spares_all_but_weights(optimizer: Optimizer) -> None:
    contract.decays_nothing_but_weights(optimizer)


@pytest.mark.parametrize("optimizer", SETTINGS)
def test_decoupled_decay_shrinks_the_parameter_before_the_same_step(optimizer: Optimizer) -> None:
    contract.decays_decoupled_before_the_same_step(optimizer)


@pytest.mark.parametrize("optimizer", SETTINGS)
def test_takes_a_learning_rate_of_zero(optimizer: Optimizer) -> None:
    contract.takes_a_learning_rate_of_zero(optimizer)


@pytest.mark.parametrize("optimizer", SETTINGS)
def test_a_step_allocates_no_array(optimizer: Optimizer) -> None:
    contract.allocates_no_array(optimizer)


def test_first_velocity_is_the_gradient_whatever_the_dampening() -> None:
    run = Descent(registry.make("optimizers", "sgd", momentum=0.9, dampening=0.7), start())
    run.step(gradient(1), 0.1)
    np.testing.assert_array_equal(run.slots["velocity"], gradient(1))


def test_adamw_is_adam_with_decoupled_decay() -> None:
    adam = registry.make("optimizers", "adam", weight_decay=0.01, decoupled=True)
    assert (
        Descent(adam, start()).follow(20).tobytes()
        == Descent(registry.make("optimizers", "adamw"), start()).follow(20).tobytes()
    )


def test_centered_rmsprop_survives_a_gradient_that_never_changes() -> None:
    run = Descent(registry.make("optimizers", "rmsprop", centered=True, alpha=0.5), np.ones(3, np.float32))
    for _ in range(200):
        run.step(np.full(3, 0.1, np.float32), 1e-12)
    assert np.isfinite(run.p).all()


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("sgd", {"lr": -1.0}, "lr must be"),
        ("sgd", {"momentum": 1.0}, "momentum must be"),
        ("sgd", {"nesterov": True}, "nesterov needs a momentum above 0 and no dampening, got momentum 0"),
        ("sgd", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "and dampening 0.1"),
        ("sgd", {"dampening": 0.1}, "does nothing without momentum"),
        ("adam", {"betas": (0.9, 1.0)}, "betas must be"),
        ("adam", {"eps": 0.0}, "eps must be"),
        ("rmsprop", {"alpha": 1.0}, "alpha must be"),
    ],
)
def test_settings_out_of_range(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        registry.make("optimizers", name, **fields)


@pytest.mark.parametrize("optimizer", SETTINGS)
def test_descends_the_valley_of_rosenbrock(optimizer: Optimizer) -> None:
    contract.descends_the_valley_of_rosenbrock(optimizer)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "lars", "muon"])
def test_a_schedule_can_set_the_momentum(name: str) -> None:
    optimizer = registry.make("optimizers", name, momentum=0.9).with_momentum(0.7)
    assert optimizer == registry.make("optimizers", name, momentum=0.7)


def test_a_schedule_can_set_the_first_beta_and_nothing_where_there_is_no_momentum() -> None:
    adam = registry.make("optimizers", "adam", betas=(0.9, 0.95))
    assert adam.with_momentum(0.7).betas == (0.7, 0.95)
    with pytest.raises(ValueError, match="adagrad has no momentum that a schedule could set"):
        registry.make("optimizers", "adagrad").with_momentum(0.7)


def test_a_group_sets_its_own_decay() -> None:
    sgd = registry.make("optimizers", "sgd", weight_decay=0.1)
    for decay, expected in ((None, 0.9), (0.5, 0.5), (0.0, 1.0)):
        p = np.ones(3)
        sgd.step(Block(p, np.zeros(3), {}, 1.0, 1, (np.empty(3), np.empty(3)), decay=decay))
        np.testing.assert_allclose(p, expected)


def test_lars_has_ratio_1_where_there_is_no_gradient() -> None:
    """As its docstring says: the decay alone is left, unscaled."""
    lars, p = registry.make("optimizers", "lars", weight_decay=0.1), np.ones(3)
    slots = {"velocity": np.zeros(3)}
    lars.step(Block(p, np.zeros(3), slots, 1.0, 1, (np.empty(3), np.empty(3))))
    np.testing.assert_allclose(p, 0.9)
