"""Runs are in the order in which they judge themselves: by their metric, in the direction that the config gives it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from cnntrain.results.ranking import larger_first, shared_metric
from cnntrain.results.report.series import best_first
from cnntrain.rundir.history import Record


def a_run(value: float, metric: str = "val/loss", mode: str | None = None) -> Record:
    config = {"checkpoint": {"best": {"mode": mode}}} if mode else {}
    row = {"event": "eval", "epoch": 1, "best": True, metric: value}
    return Record(Path(f"runs/{value}"), config, {}, [row], [], {}, {}, {"best": {"metric": metric}})


@pytest.mark.parametrize(
    ("metric", "mode", "larger"),
    [
        ("val/loss", None, False),
        ("val/loss", "auto", False),
        ("val/loss", "max", True),
        ("val/accuracy", "auto", True),
        ("val/accuracy", "min", False),
    ],
)
def test_the_direction_is_the_metric_s_own_unless_the_config_gives_another(metric, mode, larger):
    runs = [a_run(value, metric, mode) for value in (0.2, 0.3, 0.1)]
    assert larger_first(runs) is larger
    assert [run.best_value for run in best_first(runs)] == sorted((0.1, 0.2, 0.3), reverse=larger)


def test_runs_that_share_no_metric_or_no_direction_stay_in_their_order():
    for other in (a_run(0.1, "val/accuracy"), a_run(0.1, mode="max")):
        runs = [a_run(0.2), other]
        assert larger_first(runs) is None
        assert best_first(runs) == runs
    assert shared_metric([a_run(0.2), a_run(0.1, "val/accuracy")]) is None
    assert shared_metric([a_run(0.2), a_run(0.1)]) == "val/loss"


@pytest.mark.parametrize(("metric", "shared"), [("val/loss", None), ("val/accuracy", "val/accuracy")])
def test_losses_of_different_types_are_no_common_measure(metric, shared):
    runs = [a_run(0.2, metric), a_run(0.1, metric)]
    for run, loss in zip(runs, ("cross_entropy", "focal"), strict=True):
        cast(dict[str, Any], run.config)["loss"] = {"type": loss}
    assert shared_metric(runs) == shared
    assert best_first(runs) == runs
