"""Curves tell how training went: loss, metrics, learning rate and what the gradient did, several runs in one chart."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Literal

from cnntrain.config import catalogue
from cnntrain.parts.metrics.base import of_label
from cnntrain.parts.tasks.base import measures
from cnntrain.results.ranking import larger_first
from cnntrain.results.report.charts import SERIES, Band, Chart, ChartAxis, Curve
from cnntrain.results.report.series import Series
from cnntrain.rundir.history import Record
from cnntrain.rundir.json_files import Row

_FEW = 5  # with fewer epochs than this, training is shown by its steps, if more of these are recorded
_MOST_METRICS = 3  # besides the loss
_NOT_SHOWN = ("loss", "error", "penalty", "objective")  # the loss has its chart, and error is 1 - accuracy
_COLORS = {"train": 1, "val": 0, "val_average": 2}  # of the splits of a single run
_CLEAR = 3  # series at most for which a chart has training curves, too
_FAR = 20  # medians: the axis of what has no upper bound is logarithmic where a value is beyond
_GREY = 0.45  # opacity of a series without a colour of its own

Shown = Literal["linear", "log", "share", "free"]  # free: logarithmic where `_is_far`, else linear
_INSIDE: tuple[tuple[str, str, Shown, str], ...] = (
    ("lr", "learning rate", "linear", "How far a step goes along the gradient, as the schedule sets it."),
    ("grad_norm", "norm of the gradient", "log", "How steep the loss is. Peaks are unstable steps."),
    ("update_ratio", "update / weight", "log", "How much a step changes the weights; near 0.001 is usual."),
    ("dead_relu", "share of dead rectifiers", "share", "Those that give 0 for all samples of a step learn nothing."),
)
_LOSS = "What training minimizes. Validation loss that rises while training loss falls means overfitting."
_LEARNED = "The loss of the samples that are learned from, each as it was before its step."
_LOGARITHMIC = "The axis is logarithmic, for a few values are far above the others."

_ANY, _SHARE = (-math.inf, math.inf), (0.0, 1.0)  # bounds of a number, and of a share
_TOP = 1.02  # of an axis of shares, where one is near to 1

Points = list[tuple[float, float]]


def charts(record: Record) -> list[Chart]:
    """Every chart for which a run has values."""
    solid = _solid([record])
    found: list[Chart] = []
    for name in ("loss", *_metrics([record])):
        curves = []
        for split, color in _COLORS.items():
            key, dashed = f"{split}/{name}", split != solid
            points = _points(record, record.epochs, key)
            if split == "train" and len(points) < _FEW:
                points = max(points, _points(record, record.steps, key), key=len)
            if points:
                curve = _curve(points, SERIES[color], split.replace("_", " "), dashed)
                curves.append(dataclasses.replace(curve, best=_best(record, key)))
        found += _chart(name, name.replace("_", " "), curves, _end([record]), _scale(name), _meaning(name))
    for key, title, scale, note in _INSIDE:
        points = _points(record, record.rows, key)
        found += _chart(key, title, [_curve(points, SERIES[0])] if len(points) > 1 else [], _end([record]), scale, note)
    return found


def charts_of(several: Sequence[Series]) -> list[Chart]:
    """Every chart for which some runs have values; lines have the colours of their series, which are named outside.

    A series of several runs is their mean, with a band of one standard deviation.
    """
    records = [record for one in several for record in one.records]
    solid, end = _solid(records), _end(records)
    found: list[Chart] = []
    for name in ("loss", *_metrics(records)):
        splits = [solid, *(["train"] if solid != "train" and len(several) <= _CLEAR else [])]
        lines = [line for split in splits for line in _lines(several, f"{split}/{name}", _bounds(name), split != solid)]
        title = name if len(splits) > 1 else f"{_NAMES[solid]} {name}"
        found += _chart(name, title.replace("_", " "), lines, end, _scale(name), _meaning(name))
    if solid != "train" and len(several) > _CLEAR:
        found += _chart("train-loss", "training loss", _lines(several, "train/loss", _ANY), end, "free", _LEARNED)
    for key, title, scale, note in _INSIDE:
        lines = _lines(several, key, _SHARE if scale == "share" else _ANY, inside=True)
        if any(isinstance(line, Curve) and len(line.x) > 1 for line in lines):
            found += _chart(key, title, lines, end, scale, note)
    return [dataclasses.replace(chart, legend=False) for chart in found]


_NAMES = {"val": "validation", "train": "training"}


def note_of(several: Sequence[Series]) -> str:
    """How these charts are to be read."""
    told, records = [], [record for one in several for record in one.records]
    if len(several) <= _CLEAR and _solid(records) != "train":
        told.append("Solid lines are validation, dashed ones training.")
    if any(len(one.records) > 1 for one in several):
        told.append("A line is the mean over runs that differ in the seed alone, its band one standard deviation.")
    if any(len(one.records) == 1 for one in several):
        told.append("A dot marks a run's best epoch.")
    if any(not one.coloured for one in several):
        which = "first" if larger_first(records) is None else "best"  # runs of different metrics are in no order
        told.append(f"The {len(SERIES)} {which} have colours; point at another to see its name.")
    return " ".join(told)


def _lines(
    several: Sequence[Series], key: str, bounds: tuple[float, float], dashed: bool = False, inside: bool = False
) -> list[Curve | Band]:
    """The lines of all series, the best on top, their bands below all and within the bounds of what is shown."""
    lines: list[Curve | Band] = []
    bands: list[Curve | Band] = []
    for one in reversed(several):
        runs = [_points(record, record.rows if inside else record.epochs, key) for record in one.records]
        runs = [points for points in runs if points]
        if not runs:
            continue
        mean, spread = _mean(runs)
        curve = _curve(mean, one.color, one.label if one.coloured and not dashed else "", dashed, one.label)
        if not one.coloured:
            curve = dataclasses.replace(curve, width=1.0, opacity=_GREY)
        if len(one.records) == 1:
            curve = dataclasses.replace(curve, best=_best(one.records[0], key))
        if one.coloured and not dashed and len(spread) > 1:
            x = [row[0] for row in spread]
            low, high = ([min(max(row[i], bounds[0]), bounds[1]) for row in spread] for i in (1, 2))
            bands.append(Band(x, low, high, one.color))
        lines.append(curve)
    return bands + lines


def _mean(runs: Sequence[Points]) -> tuple[Points, list[tuple[float, float, float]]]:
    """The mean at each place where at least half of the runs have a value, and mean minus and plus their deviation."""
    if len(runs) == 1:
        return runs[0], []
    values: dict[float, list[float]] = {}
    for points in runs:
        for x, y in points:
            values.setdefault(x, []).append(y)
    there = [(x, ys) for x, ys in sorted(values.items()) if 2 * len(ys) >= len(runs)]
    mean = [(x, statistics.fmean(ys)) for x, ys in there]
    spread = []
    for (x, ys), (_, middle) in zip(there, mean, strict=True):
        if len(ys) > 1:
            wide = statistics.stdev(ys)
            low = max(middle - wide, min(ys)) if min(ys) > 0 else middle - wide  # a logarithmic axis has no 0
            spread.append((x, low, middle + wide))
    return mean, spread


def _solid(records: Sequence[Record]) -> str:
    """The split whose lines are solid: validation where there is any."""
    return "val" if any("val/loss" in row for record in records for row in record.epochs) else "train"


def _end(records: Sequence[Record]) -> float | None:
    """Where the axis of all charts ends: the last epoch of any run, or as far as it has come."""
    rows = [(record, row) for record in records for row in (record.steps[-1:] + record.epochs[-1:])]
    return max((record.epoch_of(row["step"]) for record, row in rows), default=None)


def _metrics(records: Sequence[Record]) -> list[str]:
    """Names of the metrics to plot: numbers in any run, in the order of their first appearance."""
    values = [item for record in records for item in record.final.items()]
    names = dict.fromkeys(key.partition("/")[2] for key, value in values if "/" in key and isinstance(value, float))
    return [name for name in names if name not in _NOT_SHOWN][:_MOST_METRICS]


def _meaning(name: str) -> str:
    """What a metric is, or what a task measures: the first sentence of its documentation."""
    if name == "loss":
        return _LOSS
    metric = of_label(name)
    if metric is not None:
        meaning: str = catalogue.entry(metric)["meaning"]
        return meaning
    return measures().get(name, "")


def _bounds(name: str) -> tuple[float, float]:
    """What the loss, a metric or a measure lies between."""
    metric = of_label(name)
    if metric is not None:
        return metric.bounds
    return _SHARE if name in measures() else _ANY


def _scale(name: str) -> Shown:
    """How the loss, a metric or a measure is shown: what has no upper bound may have values far above all others."""
    return "free" if math.isinf(_bounds(name)[1]) else "linear"


def _is_far(curves: Sequence[Curve]) -> bool:
    """Whether some values are so far above the others that on a linear axis these would be one flat line."""
    values = [value for curve in curves for value in curve.y]
    return max(values) > _FAR * statistics.median(values)


def _best(record: Record, key: str) -> tuple[float, float] | None:
    """The best epoch as a point of the curve it is judged by."""
    if record.monitored != key or record.best_value is None:
        return None
    return record.epoch_of(record.best["step"]), record.best_value


def _points(record: Record, rows: Sequence[Row], key: str) -> Points:
    points = [(record.epoch_of(row["step"]), row[key]) for row in rows if isinstance(row.get(key), float | int)]
    return [(x, y) for x, y in points if math.isfinite(y)]


def _curve(points: Points, color: str, label: str = "", dashed: bool = False, tip: str = "") -> Curve:
    return Curve(
        [x for x, _ in points], [y for _, y in points], color, label, dashed, 1.3 if dashed else 1.9, tip=tip or label
    )


def _chart(
    name: str, title: str, lines: Sequence[Curve | Band], end: float | None, scale: Shown = "linear", note: str = ""
) -> list[Chart]:
    """The chart, if there is anything on it."""
    curves = [line for line in lines if isinstance(line, Curve)]
    if not curves:
        return []
    smallest = min(min(curve.y) for curve in curves)
    far = scale == "free" and smallest > 0 and _is_far(curves)
    y = ChartAxis(scale="log") if far or (scale == "log" and smallest > 0) else ChartAxis()
    if far:
        note = f"{note} {_LOGARITHMIC}".strip()
    if scale == "share":
        largest = max(max(line.y if isinstance(line, Curve) else line.high) for line in lines)
        y = ChartAxis(low=0.0, high=min(max(0.1, 1.1 * largest), _TOP))
    return [Chart(name, title, lines, ChartAxis("epoch", low=0.0, high=end, lines=False, whole=True), y, note=note)]
