"""Settings: every epoch has a row while that can be read, and the page says which ones are left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cnntrain.results.report import settings
from cnntrain.rundir.history import Record


def record(epochs: int, best: int) -> Record:
    rows = [
        {"event": "eval", "epoch": n, "step": 5 * n, "val/loss": 1.0, "best": n == best} for n in range(1, epochs + 1)
    ]
    timing = [
        {"epoch": n, "seconds": 1.0, "training_seconds": 1.0, "images_per_second": 9.0} for n in range(1, epochs + 1)
    ]
    return Record(Path("run"), {"seed": 0}, {}, rows, timing, {}, {}, {})


def rows_of(page: str) -> list[str]:
    return re.findall(r"<tr><td[^>]*>(\d+(?: ★)?)</td>", page.partition("Epochs and time")[2])


@pytest.mark.parametrize("epochs", [0, 1, 7, 1000])
def test_every_epoch_has_a_row(epochs):
    page = settings.of(record(epochs, best=3))
    assert rows_of(page) == [f"{n}{' ★' * (n == 3)}" for n in range(1, epochs + 1)]
    assert "metrics.jsonl" not in page


@pytest.mark.parametrize(("epochs", "every"), [(1001, 2), (2999, 3), (10_000, 10)])
def test_of_very_many_some_have_one_and_the_page_says_which(epochs, every):
    page = settings.of(record(epochs, best=24))
    wanted = sorted({*range(1, epochs + 1, every), 24, epochs})
    assert rows_of(page) == [f"{n}{' ★' * (n == 24)}" for n in wanted]
    told = f"{len(wanted):,} of {epochs:,} epochs: one in {every}, the best and the last."
    assert f"{told} metrics.jsonl has all." in page
    assert len(wanted) <= 1002
