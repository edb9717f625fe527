"""Every schedule: PyTorch's learning rate at every step, and the values it promises at both ends."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from cnntrain import registry
from cnntrain.config.fields import Duration
from cnntrain.schedules.base import Horizon, Schedule, Warmup
from tests.support import golden

# isort: split
import numpy as np
import pytest

SETTINGS = [
    pytest.param(registry.make("schedules", name, **fields), id=f"{name}-{index}")
    for name, cls in registry.parts("schedules").items()
    for index, fields in enumerate(cls.examples)
]
HORIZON = Horizon(total_steps=200, steps_per_epoch=20)


def read_warmup(setting: dict[str, Any]) -> Warmup:
    return Warmup(Duration.parse(setting["duration"]), setting["start"])


@pytest.mark.parametrize("path", golden.cases("schedules"))
def test_equals_pytorch_at_every_step(path: Path) -> None:
    schedule, case = golden.load(path, every=Duration.parse, warmup=read_warmup)
    horizon = Horizon(int(case["steps"]), int(case["per_epoch"]))
    ours = [schedule(step, horizon, float(case["lr"])) for step in range(horizon.total_steps)]
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
    assert "step 0" in doc
    assert "last" in doc


@pytest.mark.parametrize(
    ("name", "fields", "first", "last"),
    [
        ("constant", {}, 0.5, 0.5),
        ("step", {"every": Duration(60, "st")}, 0.5, 0.5 * 0.1**3),
        ("cosine", {}, 0.5, 0.5 * (1 - math.cos(math.pi / 200)) / 2),
        ("cosine", {"min": 0.1}, 0.5, 0.1 + 0.4 * (1 - math.cos(math.pi / 200)) / 2),
        ("cosine", {"warmup": Duration(10, "st")}, 0.0, 0.5 * (1 - math.cos(math.pi / 190)) / 2),
        ("constant", {"warmup": Warmup(Duration(10, "st"), start=0.2)}, 0.1, 0.5),
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
        ("step", {"every": Duration(0)}, "every must be longer than nothing, got 0ep"),
        ("step", {"every": Duration(1), "gamma": 0.0}, "gamma must be"),
        ("cosine", {"min": -1.0}, "min must be"),
    ],
)
def test_settings_out_of_range(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        registry.make("schedules", name, **fields)
