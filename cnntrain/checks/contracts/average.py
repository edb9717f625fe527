"""The contract of averages: the first move goes all the way, and each goes a share of it that the step decides."""

from __future__ import annotations

from cnntrain.checks.contracts.base import hold
from cnntrain.parts.averages.base import Average

LENGTHS = ((40, 10), (7, 7), (1, 1))  # trainings: steps, and those of an epoch


def shares(average: Average, total_steps: int, steps_per_epoch: int) -> list[float]:
    """How far it moves after each step of a training."""
    told: list[float] = []
    for step in range(1, total_steps + 1):
        told.append(average.share(step, sum(share != 0 for share in told), total_steps, steps_per_epoch))
    return told


def moves_by_a_share(average: Average) -> None:
    """A float in [0, 1], which is 1 the first time that it is not 0."""
    for length in LENGTHS:
        told = shares(average, *length)
        for share in told:
            hold(type(share) is float, f"a share is {type(share).__name__}, expected float")
            hold(0 <= share <= 1, f"a share is {share:g}, expected one in [0, 1]")
        first = next((share for share in told if share), 1.0)
        hold(first == 1, f"the first move is {first:g} of the way, expected 1: until then there is nothing to average")


def moves_at_all(average: Average) -> None:
    """In a training of several epochs."""
    hold(any(shares(average, *LENGTHS[0])), "in four epochs of ten steps it never moves")


def is_a_function_of_the_step(average: Average) -> None:
    """Asked again, as after a resume, it gives the same share: it keeps nothing."""
    for length in LENGTHS:
        hold(shares(average, *length) == shares(average, *length), "asked again, it gives other shares")


CHECKS = (
    moves_by_a_share,
    moves_at_all,
    is_a_function_of_the_step,
)
