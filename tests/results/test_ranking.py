"""Runs are in the order in which they judge themselves: by their metric, in the direction that the config gives it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from cnntrain.results.ranking import larger_first, shared_metric, telling_metrics, usual_measure
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


@pytest.mark.parametrize(
    ("measured", "measure"),
    [
        (("error", "accuracy"), "val/accuracy"),
        (("top5", "accuracy"), "val/accuracy"),
        (("ap", "ap50", "ap75"), "val/ap"),
        (("pixel_accuracy", "mean_iou"), "val/mean_iou"),
        (("binary_accuracy", "mean_ap", "mean_auc"), "val/mean_ap"),
        (("r2", "mae"), "val/mae"),
        (("metric_of_mine",), "val/metric_of_mine"),
    ],
    ids=["classification", "more metrics", "detection", "segmentation", "tagging", "regression", "unknown"],
)
def test_runs_are_told_by_what_their_task_measures_before_their_losses(measured, measure):
    final: dict[str, Any] = {"epoch": 1, "train/loss": 1.0, "val/loss": 2.0, "dead_relu": 0.0}
    final |= {f"{split}/{name}": 0.5 for split in ("train", "val") for name in measured}
    finals = [final, final]
    assert usual_measure(finals) == measure
    assert telling_metrics(finals, "train/loss") == [measure, "val/loss", "train/loss"]
    assert telling_metrics(finals, "val/loss") == [measure, "val/loss", "train/loss"]
    assert telling_metrics(finals, measure) == ["val/loss", measure, "train/loss"], "the best of it is shown anyway"
    assert telling_metrics(finals, None, "-train/loss") == ["train/loss", measure, "val/loss"]
    assert telling_metrics(finals, measure, f"-{measure}") == [measure, "val/loss", "train/loss"]
    for other in ("optimizer.lr", "best", "-seconds", "epoch"):
        assert telling_metrics(finals, "train/loss", other) == [measure, "val/loss", "train/loss"]


def test_of_runs_of_several_tasks_most_decide_and_what_none_has_is_not_told():
    boxes, classes = ({"train/loss": 1.0, "val/ap": 0.1}, {"train/loss": 1.0, "val/accuracy": 0.5})
    assert telling_metrics([boxes, classes, boxes], None) == ["val/ap", "train/loss"]
    assert telling_metrics([{"train/loss": 1.0, "val/f1_per_class": [0.5, 0.6]}], None) == ["train/loss"]
    assert telling_metrics([{}], None) == []
    assert usual_measure([]) is None
