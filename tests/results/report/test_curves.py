"""Curves go through a history a few times, however long it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnntrain.results.report.curves import Points, _mean, charts
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
