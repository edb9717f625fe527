"""Every schedule: PyTorch's learning rate at every step, and the values it promises at both ends."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.config.fields import Duration
from cnntrain.core import registry
from cnntrain.parts.schedules.base import Horizon, Schedule, Warmup
from cnntrain.parts.schedules.piecewise import Point, Stage
from tests.support import golden

SETTINGS = [
    pytest.param(registry.make("schedules", name, **fields), id=f"{name}-{index}")
    for name, cls in registry.parts("schedules").items()
    for index, fields in enumerate(cls.examples)
]
CONSTANT = registry.make("schedules", "constant")
HORIZON = Horizon(total_steps=200, steps_per_epoch=20)


def read_warmup(setting: dict[str, Any]) -> Warmup:
    return Warmup(Duration.parse(setting["duration"]), setting["start"])


def duration(setting: Any) -> Any:
    return Duration.parse(setting) if isinstance(setting, str) else setting


READERS = {
    "warmup": read_warmup,
    "milestones": lambda settings: tuple(map(Duration.parse, settings)),
    "points": lambda settings: tuple(Point(Duration.parse(at), factor) for at, factor in settings),
    "stages": lambda settings: tuple(
        Stage(registry.make("schedules", name, **fields), duration(length)) for length, name, fields in settings
    ),
} | dict.fromkeys(["every", "duration", "timescale", "period", "up", "down", "decay"], duration)


@pytest.mark.parametrize("path", golden.cases("schedules"))
def test_equals_pytorch_at_every_step(path: Path) -> None:
    schedule, case = golden.load(path, **READERS)
    horizon = Horizon(int(case["steps"]), int(case["per_epoch"]))
    ours, state = [], schedule.begin()
    for step in range(horizon.total_steps):
        if step and step % horizon.steps_per_epoch == 0 and "losses" in case:
            state = schedule.judge(state, {"val/loss": float(case["losses"][step // horizon.steps_per_epoch - 1])})
        ours.append(schedule(step, horizon, float(case["lr"]), state))
    np.testing.assert_allclose(ours, case["rates"], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("schedule", SETTINGS)
def test_is_a_finite_float_that_scales_with_the_learning_rate(schedule: Schedule) -> None:
    for step in range(0, 260, 7):  # beyond the end too: a resumed run may be longer than it was
        rate = schedule(step, HORIZON, 0.5)
        assert type(rate) is float
        assert 0 <= rate <= 0.5


@pytest.mark.parametrize("name", list(registry.parts("schedules")))
def test_documents_both_ends(name: str) -> None:
    doc = registry.lookup("schedules", name).__doc__ or ""
    assert "step 0" in doc, "say in the docstring what the rate is at step 0: the first step of training"
    assert "last" in doc, "say in the docstring what the rate is at the last step, or that it depends"


@pytest.mark.parametrize(
    ("name", "fields", "first", "last"),
    [
        ("constant", {}, 0.5, 0.5),
        ("step", {"every": Duration(60, "st")}, 0.5, 0.5 * 0.1**3),
        ("cosine", {}, 0.5, 0.5 * (1 - math.cos(math.pi / 200)) / 2),
        ("cosine", {"min": 0.1}, 0.5, 0.1 + 0.4 * (1 - math.cos(math.pi / 200)) / 2),
        ("cosine", {"warmup": Duration(10, "st")}, 0.0, 0.5 * (1 - math.cos(math.pi / 190)) / 2),
        ("constant", {"warmup": Warmup(Duration(10, "st"), start=0.2)}, 0.1, 0.5),
        ("multistep", {"milestones": (Duration(100, "%"), Duration(1))}, 0.5, 0.05),
        ("exponential", {"gamma": 0.5}, 0.5, 0.5 * 0.5 ** (199 / 20)),
        ("linear", {}, 0.5, 0.5 / 200),
        ("polynomial", {"power": 2.0}, 0.5, 0.5 / 200**2),
        ("inverse_time", {}, 0.5, 0.5 / (1 + 199 / 20)),
        ("inverse_time", {"power": 0.75}, 0.5, 0.5 / (1 + 199 / 20) ** 0.75),
        ("inverse_sqrt", {"timescale": Duration(1, "st")}, 0.5, 0.5 / math.sqrt(200)),
        ("cosine_restarts", {"period": Duration(100, "st")}, 0.5, 0.25 * (1 + math.cos(math.pi * 0.99))),
        ("one_cycle", {}, 0.5 / 25, 0.5 / 25 / 1e4),
        ("cyclic", {"low": 0.1, "up": Duration(50, "st")}, 0.1, 0.1 + 0.4 / 50),
        ("wsd", {"end": 0.5}, 0.5, 0.25 + 0.25 / 40),
        ("piecewise", {"points": (Point(Duration(0), 0.5), Point(Duration(100, "%"), 0.1))}, 0.25, 0.05 + 0.2 / 200),
        ("sequence", {"stages": (Stage(CONSTANT, Duration(1)), Stage(CONSTANT))}, 0.5, 0.5),
        ("plateau", {}, 0.5, 0.5),
    ],
)
def test_values_at_both_ends(name: str, fields: dict[str, Any], first: float, last: float) -> None:
    schedule = registry.make("schedules", name, **fields)
    assert schedule(0, HORIZON, 0.5) == pytest.approx(first, rel=1e-12)
    assert schedule(199, HORIZON, 0.5) == pytest.approx(last, rel=1e-12)


def test_warmup_from_zero_is_a_straight_line() -> None:
    schedule = registry.make("schedules", "constant", warmup=Duration(2))
    assert [schedule(step, HORIZON, 0.4) for step in (0, 10, 20, 30, 40, 41)] == pytest.approx(
        [0, 0.1, 0.2, 0.3, 0.4, 0.4]
    )


def test_cosine_stays_at_its_minimum_beyond_the_end() -> None:
    schedule = registry.make("schedules", "cosine", min=0.1)
    assert [schedule(step, HORIZON, 0.5) for step in (200, 300, 400)] == pytest.approx([0.1] * 3)


def test_step_drops_at_least_every_step() -> None:
    schedule = registry.make("schedules", "step", every=Duration(0.001), gamma=0.5)
    assert schedule(3, HORIZON, 0.8) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("cyclic", {"gamma": 0.9}, "gamma 0.9 does nothing in the mode triangular"),
        ("cosine_restarts", {"period": Duration(0)}, "period must be greater than zero"),
        ("piecewise", {"points": ()}, "give at least one"),
        ("sequence", {"stages": (Stage(CONSTANT), Stage(CONSTANT))}, "stages need a duration each"),
        ("sequence", {"stages": (Stage(registry.make("schedules", "plateau")),)}, "cannot watch a metric"),
        ("step", {"every": Duration(0)}, "every must be greater than zero, got 0ep"),
        ("step", {"every": Duration(1), "gamma": 0.0}, "gamma must be"),
        ("cosine", {"min": -1.0}, "min must be"),
    ],
)
def test_settings_out_of_range(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        registry.make("schedules", name, **fields)


def test_plateau_ignores_what_is_no_number_and_can_want_more() -> None:
    schedule = registry.make("schedules", "plateau", patience=1, mode="max", factor=0.5, monitor="val/accuracy")
    state = schedule.begin()
    for value in (0.5, math.nan, 0.6, None, 0.4, None, 0.3):
        state = schedule.judge(state, {"val/accuracy": value})
    assert (state["best"], state["factor"]) == (0.6, 0.5)
    assert schedule(0, HORIZON, 0.4, state) == 0.2
