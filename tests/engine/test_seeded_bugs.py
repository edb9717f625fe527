"""The engine's own accumulation is checked: where a node feeds two, a forgotten sum must fail the gradient test."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnntrain.engine import engine
from tests.engine import test_engine
from tests.support.seeded import copied


@pytest.mark.parametrize("wrong", ["np.copyto(into, extra)", "pass", "np.subtract(into, extra, out=into)"])
def test_a_forgotten_sum_is_caught(wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = copied("cnntrain.engine.program", tmp_path, "np.add(into, extra, out=into)", wrong)
    monkeypatch.setattr(engine, "Program", module.Program)
    with pytest.raises(AssertionError):
        test_engine.test_gradient_is_the_central_difference_of_the_loss("everything")


def test_a_copy_as_it_is_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "Program", copied("cnntrain.engine.program", tmp_path).Program)
    test_engine.test_gradient_is_the_central_difference_of_the_loss("everything")
