"""The overview says in a few numbers how a run went, or several side by side."""

from __future__ import annotations

from collections.abc import Sequence

from cnntrain.config.dump import value_text
from cnntrain.results.compare import NAME, column_keys, differing_keys, line_of, short_names, spread
from cnntrain.results.ranking import shared_metric, telling_metrics
from cnntrain.results.report.charts import css
from cnntrain.results.report.html import Markup, breakable, duration, element, number, rate, section, table
from cnntrain.results.report.page import cards, swatch
from cnntrain.results.report.series import Series, best_first
from cnntrain.rundir.history import Record

_MOST_KEYS = 6  # of the config that get a column


def of_one(record: Record) -> Markup:
    """The numbers that count, large."""
    return cards([*figures(record).items()])


def figures(record: Record) -> dict[str, str]:
    """The numbers that count, by what they are."""
    best, final = record.best, record.final
    found = [("state", record.state)]
    if record.best_value is not None:
        found.append((f"best {record.monitored}, epoch {best['epoch']}", number(record.best_value)))
    found += [(f"final {name}", number(final[name])) for name in telling_metrics([final], record.monitored)]
    found.append(("epochs", f"{final.get('epoch', 0)}"))
    found.append(("time", duration(record.seconds)))
    if record.images_per_second:
        found.append(("images a second", rate(record.images_per_second)))
    if "parameters" in record.start:
        found.append(("parameters", f"{record.start['parameters']:,}"))
    return dict(found)


def of_several(records: Sequence[Record]) -> Markup:
    """A row for each run, the best first: the settings that differ from the others', and its result."""
    records = best_first(records)
    lines = [line_of(record) for record in records]
    differing = [key for key in differing_keys(lines) if key != NAME]
    keys = column_keys(lines, differing)[:_MOST_KEYS]
    shared = shared_metric(records)
    metrics = telling_metrics([record.final for record in records], shared)
    rows = [
        [
            _named(record),
            *(value_text(line.settings[key]) if key in line.settings else "–" for key in keys),
            number(record.best_value) if shared else f"{record.monitored or ''} {number(record.best_value)}",
            record.best.get("epoch", "–"),
            *(number(record.final.get(name)) for name in metrics),
            duration(record.seconds),
        ]
        for record, line in zip(records, lines, strict=True)
    ]
    short = short_names(keys)
    names = [element("span", breakable(short[key]), title=key) for key in keys]
    header = ["run", *names, f"best {shared}" if shared else "best", "at epoch"]
    header += [*(f"last {name}" for name in metrics), "time"]
    note = f"Best {shared} first." if shared else ""
    if left := len(differing) - len(keys):
        more = f"{left} more keys differ" if left > 1 else "One more key differs"
        note += f" {more}; cnntrain compare --csv has all of them."
    return section("Runs", table(header, rows, right=range(1 + len(names), len(header))), note=note.strip())


def _named(record: Record) -> Markup:
    """The name of a run, and its state unless it has finished."""
    state = record.state
    return element("span", element("bdi", record.name), "" if state == "finished" else f" ({state})")


def of_seeds(several: Sequence[Series]) -> Markup:
    """A row for each series of several runs: the mean over them, with the standard deviation."""
    shown = [one for one in several if len(one.records) > 1]
    records = [record for one in shown for record in one.records]
    metrics = telling_metrics([record.final for record in records], shared_metric(records))
    rows = [
        [
            element("span", swatch(css(one.color)), element("bdi", one.label)),
            _spread([record.best_value for record in one.records]),
            *(_spread([record.final.get(name) for record in one.records]) for name in metrics),
        ]
        for one in shown
    ]
    if not shown:
        return Markup()
    header = ["runs", f"best {records[0].monitored or ''}", *(f"last {name}" for name in metrics)]
    note = "Runs that differ in nothing but the seed or the fold: their mean, and one standard deviation."
    return section("Over seeds", table(header, rows, right=range(1, len(header)), wide=True), note=note)


def _spread(values: Sequence[float | None]) -> str:
    """Mean and sample standard deviation of those that are there."""
    found = spread(values)
    return number(found["mean"]) + (f" ±{number(found['std'])}" if found["std"] is not None else "")
