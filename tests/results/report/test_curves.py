"""Curves go through a history a few times, however long it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cnntrain.results.report.curves import Points, _mean, charts, charts_of
from cnntrain.results.report.series import series_of
from cnntrain.results.report.svg import rendered
from cnntrain.rundir.history import Record

END = {"step": 3, "train/loss": 1.0, "val/loss": 2.0, "val/accuracy": 0.5, "dead_relu": 0.1}
TRAIN = {"step": 3, "train/loss": 1.0, "lr": 0.1, "grad_norm": 1.0, "update_ratio": 0.001}


class Rows(list[dict[str, Any]]):
    """Rows that count how often somebody begins to go through them."""

    begun = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.begun += 1
        return super().__iter__()


def test_rows_are_not_searched_anew_for_each_point():
    rows = Rows([{"event": "start", "steps_per_epoch": 3}])
    for epoch in range(1, 51):
        rows += [{"event": "train", "epoch": epoch} | TRAIN, {"event": "eval", "epoch": epoch} | END]
    record = Record(Path("run"), {}, {}, rows, [], {}, {}, {})
    rows.begun = 0
    assert len(charts(record)) == 6
    assert rows.begun <= 12


def test_a_mean_is_shown_where_at_least_half_of_the_runs_have_come():
    runs: list[Points] = [[(1.0, 0.5), (2.0, 0.25), (3.0, 0.125)], [(1.0, 1.5), (2.0, 0.75)], [(1.0, 1.0)]]
    mean, spread = _mean(runs)
    assert mean == [(1.0, 1.0), (2.0, 0.5)]
    assert spread[0] == (1.0, 0.5, 1.5)
    assert [x for x, *_ in spread] == [1.0, 2.0]
    assert _mean(runs[1:])[0] == [(1.0, 1.25), (2.0, 0.75)], "one of two is half"
    assert _mean(runs[:1]) == (runs[0], [])


@pytest.mark.parametrize(("every", "lines"), [(1, {"loss": 9, "accuracy": 3}), (5, {"loss": 3, "accuracy": 3})])
def test_of_few_epochs_training_is_shown_by_whatever_is_recorded_more_often(every, lines):
    """Rows within an epoch have the loss and no metric."""
    rows = [{"event": "start", "steps_per_epoch": 3, "schema": "metrics/2"}]
    for step in range(1, 10):
        if not step % every:
            rows.append({"event": "train", "epoch": (step + 2) // 3} | TRAIN | {"step": step})
        if not step % 3:
            rows.append({"event": "eval", "epoch": step // 3} | END | {"step": step, "train/accuracy": 0.4})
    found = {chart.name: chart for chart in charts(Record(Path("run"), {}, {}, rows, [], {}, {}, {}))}
    for name, count in lines.items():
        assert [len(line.x) for line in found[name].content if line.label == "train"] == [count]


def a_run(losses: list[float], name: str = "loss", seed: int = 0) -> Record:
    """A run with such values of validation, an epoch each."""
    rows = [
        {"event": "eval", "epoch": epoch, "step": 3 * epoch, "train/loss": 1.0, "val/loss": 1.0}
        | {f"val/{name}": value}
        for epoch, value in enumerate(losses, 1)
    ]
    start = {"event": "start", "steps_per_epoch": 3}
    return Record(Path(f"runs/{seed}"), {"name": "a", "seed": seed}, {}, [start, *rows], [], {}, {}, {})


@pytest.mark.parametrize(
    ("name", "values", "scale"),
    [
        ("loss", [2.7e9, 2.8e4, 785.0, 2.0, 1.5], "log"),
        ("loss", [2.3, 0.5, 0.02, 0.01, 0.01], "linear"),  # with the training loss: the median is 1
        ("loss", [2.5, 1.9, 1.5, 1.2, 1.1], "linear"),
        ("loss", [2.7e9, 2.0, 1.0, 0.0, 1.0], "linear"),  # a logarithmic axis has no 0
        ("loss", [2.7e9, 2.0, 1.0, -1.0, 1.0], "linear"),
        ("mae", [3e6, 40.0, 30.0, 20.0, 20.0], "log"),
        ("accuracy", [0.01, 0.01, 0.01, 0.01, 0.9], "linear"),
        ("ap", [0.01, 0.01, 0.01, 0.01, 0.9], "linear"),
    ],
)
def test_an_axis_is_logarithmic_where_a_value_would_press_all_others_into_a_line(name, values, scale):
    """Of one run, of two, and of two seeds with their mean and its band."""
    record = a_run(values, name)
    steady = dataclasses.replace(a_run([1.0] * 5, name, 1), config={"name": "a", "lr": 0.1})
    for found in (
        charts(record),
        charts_of(series_of([record, steady])),
        charts_of(series_of([record, a_run(values[::-1], name, seed=1)])),
    ):
        chart = next(chart for chart in found if chart.name == name)
        assert chart.y.scale == scale
        assert chart.note.endswith("The axis is logarithmic, for a few values are far above the others.") == (
            scale == "log"
        )
        assert "nan" not in rendered(chart)
