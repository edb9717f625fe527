"""Curves tell how training went: loss, metrics, learning rate and what the gradient did, several runs in one chart."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cnntrain.results.report.charts import SERIES, Chart
from cnntrain.rundir.history import Record
from cnntrain.rundir.json_files import Row

_FEW = 5  # with fewer epochs than this, training is shown by its steps
_MOST_METRICS = 3  # beside the loss
_NOT_SHOWN = ("loss", "error", "penalty", "objective")  # the loss has its chart, and error is 1 - accuracy
_COLORS = {"train": 1, "val": 0, "val_average": 2}  # of the splits of a single run
_SIDE_BY_SIDE = 3  # entries of a legend; more stand below each other

AxisScale = Literal["linear", "log", "share"]
_INSIDE: tuple[tuple[str, str, AxisScale], ...] = (
    ("lr", "learning rate", "linear"),
    ("grad_norm", "norm of the gradient", "log"),
    ("update_ratio", "update / weight", "log"),
    ("dead_relu", "share of dead rectifiers", "share"),
)


@dataclass(frozen=True)
class Curve:
    """One line of a chart."""

    label: str
    color: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False
    best: tuple[float, float] | None = None  # a point to mark


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
    return Curve(label, color, [x for x, _ in points], [y for _, y in points], dashed) if points else None


def _chart(name: str, title: str, curves: Sequence[Curve | None], scale: AxisScale = "linear") -> Chart | None:
    there = [curve for curve in curves if curve is not None]
    return Chart(name, title, _renderer(there, scale)) if there else None


def _renderer(curves: Sequence[Curve], scale: AxisScale) -> Callable[[Any], None]:
    def render(axes: Any) -> None:
        for curve in curves:
            axes.plot(
                curve.x,
                curve.y,
                color=curve.color,
                label=curve.label or None,
                linestyle=(0, (4, 2)) if curve.dashed else "-",
                linewidth=1.3 if curve.dashed else 1.9,
                marker="o" if len(curve.x) < 3 else None,
                markersize=3.5,
            )
            if curve.best:
                axes.plot(*curve.best, marker="o", color=curve.color, markersize=6, markeredgewidth=0)
        largest, smallest = (pick(pick(curve.y) for curve in curves) for pick in (max, min))
        if scale == "log" and smallest > 0:
            _logarithmic(axes)
        elif scale == "share":
            axes.set_ylim(0, max(0.1, 1.1 * largest))
        axes.set_xlabel("epoch")
        axes.set_xlim(left=0)
        axes.grid(axis="x", visible=False)
        axes.minorticks_off()
        _name_curves(axes, [curve.label for curve in curves if curve.label])

    return render


def _name_curves(axes: Any, labels: Sequence[str]) -> None:
    """The legend, between title and curves, where it hides none."""
    if not labels:
        return
    columns = len(labels) if len(labels) <= _SIDE_BY_SIDE else 1
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "borderaxespad": 0}
    axes.legend(ncols=columns, handlelength=1.4, columnspacing=1.2, **place)
    axes.set_title(axes.get_title("left"), pad=10 + 14 * len(labels) / columns)


def _logarithmic(axes: Any) -> None:
    """A logarithmic axis that is labelled however few decades it spans."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 100 else (1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
