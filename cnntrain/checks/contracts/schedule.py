"""The contract of schedules: a learning rate for every step, which depends on the step and the state alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from cnntrain.checks.contracts.base import hold
from cnntrain.parts.schedules.base import Horizon, Schedule

LR = 0.5
HORIZONS = (Horizon(200, 20), Horizon(7, 7), Horizon(1, 1))  # of usual trainings, and of the shortest


def rates(schedule: Schedule, horizon: Horizon, state: Mapping[str, Any]) -> list[float]:
    """The learning rate of every step, and of some beyond the end: a resumed run may be longer than it was."""
    return [schedule(step, horizon, LR, state) for step in range(horizon.total_steps + 20)]


def gives_a_learning_rate_for_every_step(schedule: Schedule) -> None:
    """A finite float, at least 0, beyond the end as well."""
    for horizon in HORIZONS:
        for step, rate in enumerate(rates(schedule, horizon, schedule.begin())):
            where = f"at step {step} of {horizon.total_steps}"
            hold(type(rate) is float, f"{where} it gives {type(rate).__name__}, expected float")
            hold(math.isfinite(rate) and rate >= 0, f"{where} it gives {rate:g}, expected a number of at least 0")


def is_a_function_of_the_step_and_the_state(schedule: Schedule) -> None:
    """Asked again, as after a resume, it gives the same rates: it keeps nothing itself."""
    for horizon in HORIZONS:
        first, again = (rates(schedule, horizon, schedule.begin()) for _ in range(2))
        hold(first == again, "asked again, it gives other learning rates")


def has_a_state_that_a_checkpoint_can_hold(schedule: Schedule) -> None:
    """What JSON gives back as it was; an epoch makes a new one, and leaves the old one alone."""
    monitor = schedule.watched()
    state = schedule.begin()
    for value in (0.5, 0.4, 0.6, 0.6, 0.6, 0.6):
        values = {monitor: value} if monitor else {}
        written = json.dumps(state)
        new = schedule.judge(state, values)
        hold(json.dumps(state) == written, "judging an epoch changes the state before it: return a new one")
        hold(schedule.judge(json.loads(written), values) == new, "resumed from JSON, an epoch leads to another state")
        state = new


CHECKS = (
    gives_a_learning_rate_for_every_step,
    is_a_function_of_the_step_and_the_state,
    has_a_state_that_a_checkpoint_can_hold,
)
