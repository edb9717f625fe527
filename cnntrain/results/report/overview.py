"""The overview says in a few numbers how a run went, or several side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cnntrain.results.compare import differing_keys, line_of
from cnntrain.results.report.html import Markup, duration, number, section, table
from cnntrain.results.report.page import cards
from cnntrain.rundir.history import Record

_MOST_KEYS = 6  # of the config that get a column


def of_one(record: Record) -> Markup:
    """The numbers that count, large."""
    return cards([*figures(record).items()])


def figures(record: Record) -> dict[str, str]:
    """The numbers that count, by what they are."""
    best, final = record.best, record.final
    found = [("state", str(record.status.get("state", "unknown")))]
    if record.best_value is not None:
        found.append((f"best {record.monitored}, epoch {best['epoch']}", number(record.best_value)))
    found += [(f"final {name}", number(final[name])) for name in ("train/loss", "val/loss") if name in final]
    found.append(("epochs", f"{final.get('epoch', 0)}"))
    found.append(("time", duration(record.seconds)))
    if record.images_per_second:
        found.append(("images a second", f"{record.images_per_second:,.0f}"))
    if "parameters" in record.start:
        found.append(("parameters", f"{record.start['parameters']:,}"))
    return dict(found)


def of_several(records: Sequence[Record]) -> Markup:
    """A row for each run: the settings that differ from the others', and its result."""
    lines = [line_of(record) for record in records]
    keys = [key for key in differing_keys(lines) if all(key in line.settings for line in lines)][:_MOST_KEYS]
    rows = [
        [
            record.name,
            *(_value(line.settings[key]) for key in keys),
            record.status.get("state", "unknown"),
            f"{record.monitored or ''} {number(record.best_value)}",
            record.best.get("epoch", "–"),
            number(record.final.get("train/loss")),
            number(record.final.get("val/loss")),
            duration(record.seconds),
        ]
        for record, line in zip(records, lines, strict=True)
    ]
    header = ["run", *keys, "state", "best", "epoch", "final train/loss", "final val/loss", "time"]
    return section("Runs", table(header, rows, right=range(len(header) - 4, len(header))))


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
