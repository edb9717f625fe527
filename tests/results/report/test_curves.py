"""Curves go through a history a few times, however long it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnntrain.results.report.curves import charts
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
