"""A comparison sets runs side by side: where their configs differ, how good they became, how long they took.

Runs that differ in nothing but the seed form a group, told as mean and standard deviation.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cnntrain.core import strict_json
from cnntrain.core.errors import UsageError
from cnntrain.core.registry import did_you_mean, parts
from cnntrain.core.terminal import csv_text
from cnntrain.rundir.history import Record, find_runs, read

SEED, NAME = "seed", "name"  # what may differ within a group

_CONDITION = re.compile(r"\s*([^<>=!\s]+)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*")
_HOLDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


@dataclass(frozen=True)
class Line:
    """A run as a line of the comparison: everything it can be sorted and filtered by, under its name."""

    record: Record
    facts: Mapping[str, Any]  # run, state, epochs, step, best, best_epoch, seconds, images_per_second
    final: Mapping[str, float]  # metrics of the last epoch: "val/loss" -> number
    settings: Mapping[str, Any]  # the config by dotted key

    def __getitem__(self, key: str) -> Any:
        for values in (self.facts, self.final, self.settings):
            if key in values:
                return values[key]
        return None

    def names(self) -> list[str]:
        """Everything it knows a value of."""
        return [*self.facts, *self.final, *self.settings]


def line_of(record: Record) -> Line:
    """What a comparison needs of a record."""
    facts = {
        "run": str(record.path),
        "state": record.status.get("state"),
        "epochs": record.final.get("epoch", 0),
        "step": record.final.get("step", 0),
        "best": record.best_value,
        "best_epoch": record.best.get("epoch"),
        "seconds": record.seconds,
        "images_per_second": record.images_per_second,
    }
    final = {key: value for key, value in record.final.items() if isinstance(value, float) and "/" in key}
    return Line(record, facts, final, record.settings)


def compare(paths: Sequence[Path], filters: Sequence[str] = (), sort: str | None = None) -> dict[str, Any]:
    """What `compare --json` prints: the keys in which configs differ, the runs, and the groups over seeds.

    `filters` are conditions such as "val/accuracy>=0.9" that all must hold; `sort` is a name, with a "-" before it
    for the largest first. By default the best comes first, where all runs judge themselves by the same metric. Raises
    UsageError for a path that is no run, a name that no run knows, or a condition that is none.
    """
    lines = [line_of(read(path)) for path in find_runs(paths)]
    known = {name for line in lines for name in line.names()}
    for text in filters:
        lines = [line for line in lines if _holds(line, *_condition(text, known))]
    lines = _sorted(lines, sort, known)
    differing = differing_keys(lines)
    return {
        "metric": _shared_metric(lines),
        "differs": differing,
        "runs": [_document(line, differing) for line in lines],
        "groups": _groups(lines, differing),
    }


def differing_keys(lines: Sequence[Line]) -> list[str]:
    """The config keys, dotted, that do not have the same value in all runs; one that is absent has none."""
    keys = dict.fromkeys(key for line in lines for key in line.settings)
    return [key for key in keys if len({strict_json.encode(line.settings.get(key, _Absent)) for line in lines}) > 1]


_Absent = "\0absent"  # no value of a config


def to_csv(document: Mapping[str, Any]) -> str:
    """The runs as a table with a header: facts, differing keys, final metrics."""
    rows = [_flat(run) for run in document["runs"]]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return csv_text([columns, *([_cell(row.get(column)) for column in columns] for row in rows)])


def _flat(run: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {key: value for key, value in run.items() if not isinstance(value, dict)}
    best = {"best_metric": run["best"]["metric"], "best": run["best"]["value"], "best_epoch": run["best"]["epoch"]}
    flat: dict[str, Any] = facts | best | run["config"] | run["final"]
    return flat


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else strict_json.encode(value)


# -- filtering and sorting ---------------------------------------------------------------------------------------------


def _condition(text: str, known: set[str]) -> tuple[str, str, Any]:
    """Name, sign and value of "optimizer.lr=0.1"; the value is read as YAML is."""
    found = _CONDITION.fullmatch(text)
    if not found:
        raise UsageError(f"--filter {text!r} is no condition. Write a name, one of = != < > <= >=, and a value")
    name, sign, value = found.groups()
    _require(name, known, f"--filter {text!r}")
    try:
        return name, sign, float(value)
    except ValueError:
        return name, sign, yaml.safe_load(value) if value in ("true", "false", "null") else value


def _require(name: str, known: set[str], what: str) -> None:
    if name not in known:
        raise UsageError(f"{what}: no run has a {name!r}{did_you_mean(name, known) if len(known) < 1000 else ''}")


def _holds(line: Line, name: str, sign: str, wanted: Any) -> bool:
    """Whether a run meets a condition; one that lacks the value meets only `!=`."""
    value = line[name]
    if value is None and wanted is not None:
        return sign == "!="
    try:
        return _HOLDS[sign](value, wanted)
    except TypeError:  # a number against a text
        return sign == "!="


def _sorted(lines: list[Line], sort: str | None, known: set[str]) -> list[Line]:
    """In the wanted order; runs without the value come last."""
    if sort is None:
        metric = _shared_metric(lines)
        return _by(lines, "best", descending=larger_is_better(metric)) if metric else lines
    name = sort.removeprefix("-")
    _require(name, known, f"--sort {sort}")
    return _by(lines, name, descending=sort.startswith("-"))


def _by(lines: list[Line], name: str, descending: bool) -> list[Line]:
    there = [line for line in lines if line[name] is not None]
    numbers = all(isinstance(line[name], int | float) for line in there)
    there.sort(key=lambda line: line[name] if numbers else str(line[name]), reverse=descending)
    return there + [line for line in lines if line[name] is None]


def _shared_metric(lines: Sequence[Line]) -> str | None:
    """The metric by which all runs judge themselves; None where they differ."""
    metrics = {line.record.monitored for line in lines}
    return metrics.pop() if len(metrics) == 1 else None


def larger_is_better(metric: str) -> bool:
    """Which way a metric such as "val/top5" or "val/f1_micro" is better; losses are better the smaller."""
    label = metric.partition("/")[2]
    for name, part in parts("metrics").items():
        if label == name or label.startswith(f"{name}_") or (name == "top_k" and re.fullmatch(r"top\d+", label)):
            return bool(part.larger_is_better)  # type: ignore[attr-defined]
    return False


# -- documents ---------------------------------------------------------------------------------------------------------


def _document(line: Line, differing: Sequence[str]) -> dict[str, Any]:
    facts = {key: value for key, value in line.facts.items() if key not in ("best", "best_epoch")}
    return facts | {
        "config": {key: line.settings.get(key) for key in differing},
        "best": {"metric": line.record.monitored, "value": line["best"], "epoch": line["best_epoch"]},
        "final": dict(line.final),
    }


def _groups(lines: Sequence[Line], differing: Sequence[str]) -> list[dict[str, Any]]:
    """Runs alike but for the seed, where there are two or more; in the order of their first."""
    keys = [key for key in differing if key not in (SEED, NAME)]
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(strict_json.encode([line.settings.get(key, _Absent) for key in keys]), []).append(line)
    return [_group(members, keys) for members in found.values() if len(members) > 1]


def _group(members: Sequence[Line], keys: Sequence[str]) -> dict[str, Any]:
    metrics = dict.fromkeys(name for line in members for name in line.final)
    return {
        "runs": [line["run"] for line in members],
        "config": {key: members[0].settings.get(key) for key in keys},
        "best": {"metric": _shared_metric(members)} | _spread([line["best"] for line in members]),
        "final": {name: _spread([line.final.get(name) for line in members]) for name in metrics},
        "seconds": _spread([line["seconds"] for line in members]),
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | int | None]:
    """Mean and sample standard deviation (n - 1) of the finite ones among some numbers."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return {
        "n": len(finite),
        "mean": statistics.fmean(finite) if finite else None,
        "std": statistics.stdev(finite) if len(finite) > 1 else None,
    }
