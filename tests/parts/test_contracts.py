"""What every part of a kind must keep, whatever it computes, for the kinds whose contract is a handful of checks.

Layers, losses, metrics, optimizers and transforms have a file each that goes through theirs, check by check.
"""

from __future__ import annotations

import pytest

from cnntrain.checks.contracts.check import verdicts_on
from cnntrain.core import registry

KINDS = ("averages", "datasets", "initializers", "models", "orders", "regularizers", "schedules", "structures", "tasks")
SEVERAL = [  # transforms of several samples, or to several, whose contract is as short
    pytest.param(cls, id=f"transforms-{name}")
    for name, cls in registry.parts("transforms").items()
    if getattr(cls, "on", "image") != "image"
]
PARTS = [pytest.param(cls, id=f"{kind}-{name}") for kind in KINDS for name, cls in registry.parts(kind).items()]


@pytest.mark.parametrize("cls", [*PARTS, *SEVERAL])
def test_it_keeps_the_contract_of_its_kind(cls) -> None:
    problems = [
        f"{verdict.part}: {verdict.check}: {verdict.problem}" for verdict in verdicts_on(cls) if verdict.problem
    ]
    assert problems == []
