"""An overview has what the task measures, whichever metric tells the best epoch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cnntrain.results.report import overview
from cnntrain.results.report.series import series_of
from cnntrain.rundir.history import Record

MEASURES = {
    "classification": ("accuracy", ("accuracy", "error")),
    "detection": ("ap", ("ap", "ap50", "ap75")),
    "segmentation": ("mean_iou", ("pixel_accuracy", "mean_iou")),
    "regression": ("mae", ("mae",)),
}


def a_run(seed: int, measured: tuple[str, ...], monitored: str = "train/loss") -> Record:
    """A finished run of one epoch."""
    row: dict[str, Any] = {"event": "eval", "epoch": 1, "step": 3, "best": True, "train/loss": 1.5, "val/loss": 2.5}
    row |= {f"val/{name}": 0.25 + place for place, name in enumerate(measured)}
    status = {"state": "finished", "best": {"metric": monitored}}
    return Record(Path(f"runs/{seed}"), {"name": "a", "seed": seed}, {}, [row], [], {}, {}, status)


def header(markup: str) -> list[str]:
    """The names of the columns of a table."""
    return [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<th[^>]*>(.*?)</th>", markup.partition("<tbody")[0])]


@pytest.mark.parametrize(("name", "measured"), MEASURES.values(), ids=MEASURES)
def test_what_the_task_measures_comes_before_the_losses(name, measured):
    records = [a_run(seed, measured) for seed in (0, 1)]
    columns = [f"val/{name}", "val/loss", "train/loss"]
    last = [f"last {column}" for column in columns]
    value = f"{0.25 + measured.index(name):.4f}"
    several = overview.of_several(records)
    assert header(several) == ["run", "seed", "best train/loss", "at epoch", *last, "time"]
    assert several.count(value) == 2
    seeds = overview.of_seeds(series_of(records))
    assert header(seeds) == ["runs", "best train/loss", *last]
    assert f"{value} ±0.0000" in seeds
    shown = overview.figures(records[0])
    assert [key for key in shown if key.startswith("final")] == [f"final {column}" for column in columns]
    assert shown[f"final val/{name}"] == value
