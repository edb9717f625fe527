"""A comparison sets runs side by side: where their configs differ, how good they are, how long they took.

Runs that differ in nothing but the seed, or the fold of a k-fold split, form a group, reported as mean and standard
deviation. Layers that have a name are called by it, as in `--set`.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnntrain.config.dump import value_text
from cnntrain.core import csv_text, strict_json
from cnntrain.core.conditions import Condition, require_name
from cnntrain.core.console import Console
from cnntrain.results.ranking import larger_first, shared_metric
from cnntrain.rundir.history import Record, read_all

SEED, NAME = "seed", "name"  # what may differ within a group
_MOST_KEYS = 4  # in the name of a run or a group
_LONGEST = 60  # letters of a name made of keys
_FOLD = re.compile(r"data\.(source\.)+fold")  # so may this: which part validates


@dataclass(frozen=True)
class ComparedRun:
    """A run as a line of the comparison: everything it can be sorted and filtered by, under its name."""

    record: Record
    facts: Mapping[str, Any]  # run, state, epochs, step, best, best_epoch, seconds, images_per_second
    final: Mapping[str, float]  # metrics of the last epoch: "val/loss" -> number
    settings: Mapping[str, Any]  # the config by dotted key
    defaults: frozenset[str] = frozenset()  # those of its keys that nobody has set

    def __getitem__(self, key: str) -> Any:
        for values in (self.facts, self.final, self.settings, self.record.settings):
            if key in values:
                return values[key]
        return None

    def names(self) -> list[str]:
        """The names of all its values; layers go by name and by number."""
        return [*self.facts, *self.final, *self.settings, *self.record.settings]


def line_of(record: Record) -> ComparedRun:
    """A record as a line of the comparison."""
    facts = {
        "run": str(record.path),
        "state": record.state,
        "epochs": record.final.get("epoch", 0),
        "step": record.final.get("step", 0),
        "best": record.best_value,
        "best_epoch": record.best.get("epoch"),
        "seconds": record.seconds,
        "images_per_second": record.images_per_second,
    }
    final = {key: value for key, value in record.final.items() if isinstance(value, float) and "/" in key}
    names = {key: named(record.config, key) for key in record.settings}
    settings = {names[key]: value for key, value in record.settings.items()}
    defaults = frozenset(name for key, name in names.items() if record.origins.get(key) == "default")
    return ComparedRun(record, facts, final, settings, defaults)


def named(config: Mapping[str, Any], key: str) -> str:
    """A dotted key with layers' names, where they have one, in place of their numbers."""
    place: Any = config
    steps = []
    for step in key.split("."):
        place = place[int(step)] if isinstance(place, list) else place[step]
        name = place.get("name") if isinstance(place, dict) and step.isdecimal() else None
        steps.append(name if isinstance(name, str) else step)
    return ".".join(steps)


def compare(
    paths: Sequence[Path],
    filters: Sequence[str] = (),
    sort: str | None = None,
    warn: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """What `compare --json` prints: the keys in which configs differ, the runs, and the groups over seeds.

    `columns` are the keys among them that a table shows: not the defaults of a part that some runs lack.

    `filters` are conditions (core/conditions.py) such as "val/accuracy>=0.9" that all must hold; `sort` is a name, with
    a "-" before it for the largest first. By default the best comes first, where all runs judge themselves by
    the same metric. `warn` is told of runs that cannot be read; by default it prints a warning.

    Raises UsageError for a path that is not a run, a name that no run has, or a malformed condition.
    """
    lines = [line_of(record) for record in read_all(paths, warn or Console("none").warn)]
    known = {name for line in lines for name in line.names()}
    for text in filters:
        condition = Condition.read("--filter", text)
        condition.require_name(known, "no run has")
        lines = [line for line in lines if condition.holds(line[condition.name])]
    lines = _sorted(lines, sort, known)
    differing = differing_keys(lines)
    return {
        "metric": shared_metric([line.record for line in lines]),
        "differs": differing,
        "columns": column_keys(lines, differing),
        "runs": [_document(line, differing) for line in lines],
        "groups": _groups(lines, differing),
    }


def differing_keys(lines: Sequence[ComparedRun]) -> list[str]:
    """The dotted config keys whose values are not the same in all runs; an absent key equals no value."""
    keys = dict.fromkeys(key for line in lines for key in line.settings)
    return [key for key in keys if len({strict_json.encode(line.settings.get(key, _Absent)) for line in lines}) > 1]


_Absent = "\0absent"  # equals no value of a config


def column_keys(lines: Sequence[ComparedRun], differing: Sequence[str]) -> list[str]:
    """The keys worth a column: all in which runs differ, except defaults of a part that some of them lack.

    Where optimizers are compared, these are their types and the settings that were written, not each one's default
    betas. Keys that all runs have come first, for there may be no room for all.
    """
    shared, partial = [], []
    for key in differing:
        if all(key in one.settings for one in lines):
            shared.append(key)
        elif any(_written(one, key) for one in lines):
            partial.append(key)
    return shared + partial


def telling_keys(lines: Sequence[ComparedRun], differing: Sequence[str]) -> list[str]:
    """The keys that name families: those worth a column, in their order, without what may differ within a family."""
    columns = {*column_keys(lines, differing)}
    return [key for key in differing if key in columns and key != NAME and not is_lot(key)]


def _written(line: ComparedRun, key: str) -> bool:
    return key in line.settings and key not in line.defaults


def is_lot(key: str) -> bool:
    """Whether a key is one by which runs of a group differ: the seed, or the fold."""
    return key == SEED or bool(_FOLD.fullmatch(key))


@dataclass(frozen=True)
class Measurement:
    """A run, and those equal to it as far as they got: the same config, seed, fold and metrics, measured again."""

    line: ComparedRun
    equal: tuple[ComparedRun, ...] = ()


def families(lines: Sequence[ComparedRun], differing: Sequence[str]) -> list[list[Measurement]]:
    """Runs grouped with those that differ only in name, seed and fold, in the order of each group's first run.

    Of runs with the same seed and fold, the one that has finished, or got furthest, stands for those whose metrics are
    equal to its own. Alone, after its group, is a run that has not finished; and so is each of several finished ones
    with the same seed and fold whose metrics are not equal, for something else than the config sets them apart.
    """
    keys = [key for key in differing if key != NAME and not is_lot(key)]
    found: dict[str, dict[str, list[ComparedRun]]] = {}
    for line in lines:
        lots = found.setdefault(strict_json.encode([line.settings.get(key, _Absent) for key in keys]), {})
        lots.setdefault(_lot(line), []).append(line)
    return [family for lots in found.values() for family in _together(map(_measurements, lots.values()))]


def _measurements(lot: Sequence[ComparedRun]) -> list[Measurement]:
    """The different ones among runs with the same seed and fold, the finished and the longest first."""
    found: list[list[ComparedRun]] = []
    for line in sorted(lot, key=lambda line: (not _is_finished(line), -len(line.record.epochs))):
        epochs = line.record.epochs
        same = next((runs for runs in found if runs[0].record.epochs[: len(epochs)] == epochs), None)
        if same is None:
            found.append([line])
        else:
            same.append(line)
    return [Measurement(first, tuple(equal)) for first, *equal in found]


def _together(lots: Iterable[Sequence[Measurement]]) -> Iterator[list[Measurement]]:
    """The measurements that are a group, if any, and then each that stands alone."""
    group: list[Measurement] = []
    alone: list[Measurement] = []
    for measurements in lots:
        finished = [one for one in measurements if _is_finished(one.line)]
        for one in measurements:
            (group if [one] == finished else alone).append(one)
    yield from [group] * bool(group)
    yield from ([one] for one in alone)


def _is_finished(line: ComparedRun) -> bool:
    return bool(line["state"] == "finished")


def group_names(groups: Sequence[Sequence[ComparedRun]], keys: Sequence[str]) -> list[str]:
    """What each group has of these keys or, where that is too much, of those in which the groups differ.

    Where that is too much, too, a group is called after its first run: "like runs/a". Without keys it is "all".
    """
    if not keys:
        return ["all"] * len(groups)
    varied = [key for key in keys if len({strict_json.encode(one[0].settings.get(key, _Absent)) for one in groups}) > 1]
    for chosen in (keys, varied):
        names = [name_of(one[0], chosen) for one in groups]
        if all(names):
            return names
    return [f"like {one[0].record.name}" for one in groups]


def name_of(line: ComparedRun, keys: Sequence[str]) -> str:
    """The values of those keys that a run has, as a name; nothing where it would be too long."""
    short, there = short_names(keys), [key for key in keys if key in line.settings]
    name = ", ".join(f"{short[key]} {value_text(line.settings[key])}" for key in there)
    return name if len(there) <= _MOST_KEYS and len(name) <= _LONGEST else ""


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Dotted keys by as few of their last words as tell them apart.

    A layer's name is always among these, and so is a list's before a number: "train_transforms.0.type".
    """
    split = {key: key.split(".") for key in keys}
    shared = Counter(".".join(words[at:]) for words in split.values() for at in range(len(words)))
    found = {}
    for key, words in split.items():
        last = len(words) - (2 if words[:2] == ["model", "layers"] and len(words) > 3 else 1)
        starts = [at for at in range(last, -1, -1) if not any(map(str.isdecimal, words[max(at - 1, 0) : at + 1]))]
        ends = [".".join(words[at:]) for at in starts]
        found[key] = next((end for end in ends if shared[end] == 1), key)
    return found


def to_csv(document: Mapping[str, Any]) -> str:
    """The runs as a table with a header: facts, differing keys, final metrics."""
    return csv_text.to_csv([_flat(run) for run in document["runs"]])


def _flat(run: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {key: value for key, value in run.items() if not isinstance(value, dict)}
    best = {"best_metric": run["best"]["metric"], "best": run["best"]["value"], "best_epoch": run["best"]["epoch"]}
    flat: dict[str, Any] = facts | best | run["config"] | run["final"]
    return flat


# -- sorting -----------------------------------------------------------------------------------------------------------


def _sorted(lines: list[ComparedRun], sort: str | None, known: set[str]) -> list[ComparedRun]:
    """In the order asked for; runs without the value come last."""
    if sort is None:
        descending = larger_first([line.record for line in lines])
        return lines if descending is None else _by(lines, "best", descending)
    name = sort.removeprefix("-")
    require_name(name, known, f"--sort {sort}: no run has")
    return _by(lines, name, descending=sort.startswith("-"))


def _by(lines: list[ComparedRun], name: str, descending: bool) -> list[ComparedRun]:
    there = [line for line in lines if line[name] is not None]
    numbers = all(isinstance(line[name], int | float) for line in there)
    there.sort(key=lambda line: line[name] if numbers else str(line[name]), reverse=descending)
    return there + [line for line in lines if line[name] is None]


# -- documents ---------------------------------------------------------------------------------------------------------


def _document(line: ComparedRun, differing: Sequence[str]) -> dict[str, Any]:
    facts = {key: value for key, value in line.facts.items() if key not in ("best", "best_epoch")}
    return facts | {
        "config": {key: line.settings.get(key) for key in differing},
        "best": {"metric": line.record.monitored, "value": line["best"], "epoch": line["best_epoch"]},
        "final": dict(line.final),
    }


def _groups(lines: Sequence[ComparedRun], differing: Sequence[str]) -> list[dict[str, Any]]:
    """Families of two or more."""
    keys = telling_keys(lines, differing)
    found = [[one.line for one in family] for family in families(lines, differing) if len(family) > 1]
    return [_group(members, name, keys) for members, name in zip(found, group_names(found, keys), strict=True)]


def _lot(line: ComparedRun) -> str:
    """The values that tell the members of a group apart: the seed, and the folds."""
    return strict_json.encode([value for key, value in line.settings.items() if is_lot(key)])


def _group(members: Sequence[ComparedRun], name: str, keys: Sequence[str]) -> dict[str, Any]:
    metrics = dict.fromkeys(name for line in members for name in line.final)
    metric = shared_metric([line.record for line in members])
    return {
        "name": name,
        "runs": [line["run"] for line in members],
        "config": {key: members[0].settings[key] for key in keys if key in members[0].settings},
        "best": {"metric": metric} | spread([line["best"] for line in members]),
        "final": {name: spread([line.final.get(name) for line in members]) for name in metrics},
        "seconds": spread([line["seconds"] for line in members]),
    }


def spread(values: Sequence[float | None]) -> dict[str, float | int | None]:
    """Mean and sample standard deviation (n - 1) of those values that are finite."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return {
        "n": len(finite),
        "mean": statistics.fmean(finite) if finite else None,
        "std": statistics.stdev(finite) if len(finite) > 1 else None,
    }
