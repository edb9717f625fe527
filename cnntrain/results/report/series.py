"""A series is one line of a chart: of runs that differ only in their seed or fold, or of a single run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from cnntrain.core.counts import counted
from cnntrain.results.compare import (
    NAME,
    ComparedRun,
    Measurement,
    differing_keys,
    families,
    group_names,
    line_of,
    name_of,
    telling_keys,
)
from cnntrain.results.ranking import larger_first
from cnntrain.results.report.charts import QUIET, SERIES, css
from cnntrain.results.report.html import Markup
from cnntrain.results.report.page import named_colours
from cnntrain.rundir.history import Record


@dataclass(frozen=True)
class Series:
    """Runs under one label and, if they are among the best, in a colour of their own; the others are grey."""

    label: str
    records: tuple[Record, ...]
    color: str = QUIET

    @property
    def coloured(self) -> bool:
        """Whether it stands in the legend by its own label."""
        return self.color != QUIET

    @property
    def best(self) -> float | None:
        """The mean of the best values of its runs."""
        values = [record.best_value for record in self.records if record.best_value is not None]
        return statistics.fmean(values) if values else None


def series_of(records: Sequence[Record]) -> list[Series]:
    """All series, the best first where all runs judge themselves by the same metric."""
    lines = [line_of(record) for record in records]
    differing = differing_keys(lines)
    members = families(lines, differing)
    groups = [[one.line for one in family] for family in members if len(family) > 1]
    names = iter(group_names(groups, telling_keys(lines, differing)))
    labels = [next(names) if len(family) > 1 else _label(family[0].line, lines, differing) for family in members]
    found = [
        Series(_told_apart(label, family, labels.count(label)), tuple(one.line.record for one in family))
        for label, family in zip(labels, members, strict=True)
    ]
    ordered = _sorted(found, records)
    chosen = [one for one in found if one in ordered[: len(SERIES)]]  # colours stay when the best change places
    colors = {id(one): color for one, color in zip(chosen, SERIES, strict=False)}
    return [Series(one.label, one.records, colors.get(id(one), QUIET)) for one in ordered]


def best_first(records: Sequence[Record]) -> list[Record]:
    """Runs with the best first where all judge themselves by the same metric."""
    return [one.records[0] for one in _sorted([Series("", (record,)) for record in records], records)]


def _sorted(found: Sequence[Series], records: Sequence[Record]) -> list[Series]:
    larger = larger_first(records)
    if larger is None:
        return [*found]
    sign = -1 if larger else 1
    return sorted(found, key=lambda one: (one.best is None, sign * (one.best or 0.0)))


def _label(line: ComparedRun, lines: Sequence[ComparedRun], differing: Sequence[str]) -> str:
    """The values of the keys that differ; the run's name where there are none, or too many to be told apart by."""
    keys = [key for key in differing if key != NAME]
    alike = all(key in one.settings for one in lines for key in keys)
    return (alike and name_of(line, keys)) or line.record.name


def _told_apart(label: str, family: Sequence[Measurement], bearers: int) -> str:
    """A label with how many runs it stands for, and with a run's name where single runs share the label."""
    equal = sum(len(one.equal) for one in family)
    if len(family) > 1:
        return f"{label} ({len(family)} runs{f' and {equal} equal to one of them' if equal else ''})"
    name = family[0].line.record.name
    if bearers > 1 and label != name:
        label = f"{label}: {name}"
    return f"{label} ({equal + 1} equal runs)" if equal else label


def legend(found: Sequence[Series]) -> Markup:
    """The names of the coloured series, which all charts share, and how many others there are."""
    shown = [one for one in found if one.coloured]
    rest = len(found) - len(shown)
    entries = [(one.color, one.label) for one in shown] + [(QUIET, counted(rest, "other"))] * (rest > 0)
    return named_colours([(label, css(color)) for color, label in entries])
