"""The engine's own accumulation is checked: where a node feeds two, a forgotten sum must fail the gradient test."""

from __future__ import annotations

import pytest

import cnntrain.engine
from tests.engine import test_engine
from tests.support.seeded import Bug, holding, seeded, survives

SUM = "np.add(A, B, out=A)"
WRONG = ["np.copyto(A, B)", "pass", "np.subtract(A, B, out=A)"]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_forgotten_sum_is_caught(wrong: str) -> None:
    with seeded(holding(cnntrain.engine, SUM), Bug(SUM, wrong)), pytest.raises(AssertionError):
        test_engine.test_gradient_is_the_central_difference_of_the_loss("everything")


def test_code_exchanged_for_the_same_passes() -> None:
    with seeded(holding(cnntrain.engine, SUM), Bug(SUM, SUM)):
        test_engine.test_gradient_is_the_central_difference_of_the_loss("everything")


@pytest.mark.parametrize("wrong", WRONG)
def test_a_forgotten_sum_knows_neither_layout_nor_local_names(wrong: str) -> None:
    assert survives(holding(cnntrain.engine, SUM), Bug(SUM, wrong))
