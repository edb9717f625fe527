"""Settings are the configuration of a run, so that it can be repeated: config, environment, command, time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnntrain.config.dump import value_text
from cnntrain.results.report.html import Markup, duration, element, folded, number, section, table
from cnntrain.rundir.history import Record

_MOST_EPOCHS = 1000  # rows of the table of epochs, which nobody reads to the end


def of(record: Record) -> Markup:
    """The settings, which do not depend on how the run went, and the time it took."""
    return section(
        "Settings",
        folded("Config, every default filled in", _config(record)),
        folded("Environment", _pairs(record.environment)),
        folded("Epochs and time", _epochs(record)),
    )


def _config(record: Record) -> Markup:
    def line(key: str, value: Any) -> list[Any]:
        origin = record.origins.get(key, "")
        said = origin and origin != "default"
        cells = [key, value_text(value), *([origin] if record.origins else [])]
        return [element("b" if said else "span", cell) for cell in cells]

    header = ["key", "value", *(["from"] if record.origins else [])]
    return table(header, [line(key, value) for key, value in record.settings.items()])


def _pairs(document: Mapping[str, Any]) -> Markup:
    return table(["", ""], [[key.replace("_", " "), value] for key, value in document.items()])


def _epochs(record: Record) -> Markup:
    """The numbers of every epoch, or of as many as a page should hold, with its time where that was kept."""
    names = [key for key, value in record.final.items() if isinstance(value, float)]
    times = {row["epoch"]: row for row in record.timing}  # of an epoch that was repeated after a kill, the last
    every = -(-len(record.epochs) // _MOST_EPOCHS)
    last = len(record.epochs) - 1
    shown = [row for n, row in enumerate(record.epochs) if n % every == 0 or n == last or row is record.best]
    rows = [
        [
            f"{row['epoch']}{' ★' if row.get('best') else ''}",
            f"{row['step']:,}",
            *(number(row.get(name)) for name in names),
            duration(times.get(row["epoch"], {}).get("seconds")),
            number(times.get(row["epoch"], {}).get("images_per_second"), ",.0f"),
        ]
        for row in shown
    ]
    header = ["epoch", "step", *names, "time", "images/s"]
    told = f"{len(shown):,} of {last + 1:,} epochs: one in {every}, the best and the last."
    note = element("p", f"{told} metrics.jsonl has all.", class_="note") if every > 1 else Markup()
    return Markup(note + table(header, rows, right=range(len(header))))
