"""Curves tell how training went: loss, metrics, learning rate and what the gradient did, several runs in one chart."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

from cnntrain.results.report.charts import SERIES, Chart, ChartAxis, Curve
from cnntrain.rundir.history import Record
from cnntrain.rundir.json_files import Row

_FEW = 5  # with fewer epochs than this, training is shown by its steps
_MOST_METRICS = 3  # beside the loss
_NOT_SHOWN = ("loss", "error", "penalty", "objective")  # the loss has its chart, and error is 1 - accuracy
_COLORS = {"train": 1, "val": 0, "val_average": 2}  # of the splits of a single run

Shown = Literal["linear", "log", "share"]
_INSIDE: tuple[tuple[str, str, Shown], ...] = (
    ("lr", "learning rate", "linear"),
    ("grad_norm", "norm of the gradient", "log"),
    ("update_ratio", "update / weight", "log"),
    ("dead_relu", "share of dead rectifiers", "share"),
)


def charts(records: Sequence[Record]) -> list[Chart]:
    """Every chart for which some run has values."""
    found = [_of_metric(name, records) for name in ("loss", *_metrics(records))]
    for key, title, scale in _INSIDE:
        names = [record.name if len(records) > 1 else "" for record in records]
        curves = [_curve(r, r.rows, key, names[i], SERIES[i % len(SERIES)]) for i, r in enumerate(records)]
        found.append(_chart(key, title, curves, scale))
    return [chart for chart in found if chart is not None]


def _metrics(records: Sequence[Record]) -> list[str]:
    """Names of the metrics to plot: numbers of all runs, by their first appearance."""
    values = [item for record in records for item in record.final.items()]
    names = dict.fromkeys(key.partition("/")[2] for key, value in values if "/" in key and isinstance(value, float))
    return [name for name in names if name not in _NOT_SHOWN][:_MOST_METRICS]


def _of_metric(name: str, records: Sequence[Record]) -> Chart | None:
    curves = []
    few = max(len(record.epochs) for record in records) < _FEW
    for i, record in enumerate(records):
        solid = "val" if any("val/loss" in row for row in record.epochs) else "train"
        for split, color in _COLORS.items():
            key, dashed = f"{split}/{name}", split != solid
            rows = record.steps if split == "train" and few and record.steps else record.epochs
            if len(records) == 1:
                curve = _curve(record, rows, key, split.replace("_", " "), SERIES[color], dashed)
            else:
                curve = _curve(record, rows, key, "" if dashed else record.name, SERIES[i % len(SERIES)], dashed)
            if curve and record.monitored == key and record.best_value is not None:
                point = record.epoch_of(record.best["step"]), record.best_value
                curve = dataclasses.replace(curve, best=point)
            curves.append(curve)
    return _chart(name, name.replace("_", " "), curves)


def _curve(record: Record, rows: Sequence[Row], key: str, label: str, color: str, dashed: bool = False) -> Curve | None:
    points = [(record.epoch_of(row["step"]), row[key]) for row in rows if isinstance(row.get(key), float | int)]
    points = [(x, y) for x, y in points if math.isfinite(y)]
    if not points:
        return None
    return Curve([x for x, _ in points], [y for _, y in points], color, label, dashed, 1.3 if dashed else 1.9)


def _chart(name: str, title: str, curves: Sequence[Curve | None], scale: Shown = "linear") -> Chart | None:
    there = [curve for curve in curves if curve is not None]
    if not there:
        return None
    largest, smallest = (pick(pick(curve.y) for curve in there) for pick in (max, min))
    y = ChartAxis(scale="log") if scale == "log" and smallest > 0 else ChartAxis()
    if scale == "share":
        y = ChartAxis(low=0.0, high=max(0.1, 1.1 * largest))
    return Chart(name, title, there, ChartAxis("epoch", low=0.0, lines=False), y)
