"""A ranking puts runs in order: by the metric by which they judge themselves, if all share it."""

from __future__ import annotations

from collections.abc import Sequence

from cnntrain.parts.metrics.base import larger_is_better
from cnntrain.rundir.history import Record

_OF_LOSS = ("loss", "objective")  # metrics that another type of loss measures on another scale


def shared_metric(records: Sequence[Record]) -> str | None:
    """The metric by which all runs tell their best epoch; None where they differ, or it is that of different losses."""
    metrics = {record.monitored for record in records}
    if len(metrics) != 1:
        return None
    metric = metrics.pop()
    of_loss = metric is not None and metric.rpartition("/")[2] in _OF_LOSS
    losses = {record.settings.get("loss.type") for record in records}
    return None if of_loss and len(losses) > 1 else metric


def larger_first(records: Sequence[Record]) -> bool | None:
    """Whether larger values of that metric are better, as `checkpoint.best.mode` says; None where they differ."""
    metric = shared_metric(records)
    modes = {record.settings.get("checkpoint.best.mode", "auto") for record in records}
    if metric is None:
        return None
    directions = {larger_is_better(metric, mode) for mode in modes}
    return directions.pop() if len(directions) == 1 else None
