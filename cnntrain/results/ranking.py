"""A ranking puts runs in order: by the metric by which they judge themselves, if all share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cnntrain.parts.metrics.base import larger_is_better
from cnntrain.parts.tasks.base import places
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


def usual_measure(finals: Sequence[Mapping[str, Any]]) -> str | None:
    """What most runs have measured in validation, losses aside, such as val/accuracy, by the metrics they ended with.

    Of several it is the one that tells most about their task, else the first; None where there is none.
    """
    measured = Counter(
        name
        for final in finals
        for name, value in final.items()
        if name.startswith("val/") and isinstance(value, float) and name.rpartition("/")[2] not in _OF_LOSS
    )
    known = places()
    later = len(known)
    return min(measured, key=lambda name: (-measured[name], known.get(name.partition("/")[2], later)), default=None)


def telling_metrics(finals: Sequence[Mapping[str, Any]], best: str | None, sort: str | None = None) -> list[str]:
    """The metrics that tell most about runs that ended with these, the most telling first.

    `sort`, a name as `compare --sort` takes it, comes first if it is a metric; then the usual measure and the loss of
    validation, of which the one that runs are ranked by, `best`, comes second, as it is shown anyway.
    """
    validated = sorted((usual_measure(finals), "val/loss"), key=lambda name: name == best)
    names = dict.fromkeys([(sort or "").removeprefix("-"), *validated, "train/loss"])
    return [name for name in names if name and "/" in name and any(name in final for final in finals)]
