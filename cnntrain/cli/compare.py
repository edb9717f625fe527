"""`cnntrain compare` sets runs side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cnntrain.cli.options import PATH, Command, as_json, debug, print_json
from cnntrain.cli.text import show, table, width
from cnntrain.core import terminal
from cnntrain.core.counts import counted
from cnntrain.core.figures import figure
from cnntrain.core.letters import columns

_MOST_KEYS = 6  # config keys that get a column
_NONE = "no run meets the conditions"


@click.command(
    cls=Command,
    examples=[
        "cnntrain compare runs/a runs/b",
        "cnntrain compare runs --sort -val/accuracy",
        "cnntrain compare runs --filter optimizer.type=adam --filter 'best>=0.9' --csv",
    ],
)
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="CONDITION",
    help="Show only runs that meet it: NAME=VALUE, or with !=, <, >, <=, >=. Repeatable.",
)
@click.option(
    "--sort",
    metavar="NAME",
    help="Sort by it, the largest first with -NAME; by default the best run comes first, if all share a measure.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print one line per run, for spreadsheets.")
@as_json
@debug
def command(runs: tuple[Path, ...], filters: tuple[str, ...], sort: str | None, as_csv: bool, as_json: bool) -> None:
    """Compare runs: where their configs differ, best and final metrics, time; mean and deviation over seeds and folds.

    A folder stands for all runs below it. A NAME is a key of the config such as optimizer.lr, a metric such as
    val/loss, or one of: run, state, epochs, step, best, best_epoch, seconds, images_per_second.
    """
    from cnntrain.api.finished import compare
    from cnntrain.core.console import Console
    from cnntrain.core.errors import UsageError
    from cnntrain.results.compare import to_csv

    if as_csv and as_json:
        raise UsageError("--csv and --json are two forms of one answer. Choose one")
    document = compare(runs, filters, sort, warn=None)
    if as_json:
        print_json(document)
    elif as_csv:
        terminal.out(to_csv(document), end="")
        if not document["runs"]:
            Console("none").say(_NONE)
    else:
        _show(document, sort)


def _show(document: dict[str, Any], sort: str | None) -> None:
    """Print the runs as a table, the number of keys it had no room for, and the groups as another table."""
    from cnntrain.results.compare import short_names

    runs = document["runs"]
    if not runs:
        show(_NONE)
        return
    short = short_names(document["differs"])
    metrics = _metrics(document, sort)
    text, left = _fitting(document, document["columns"][:_MOST_KEYS], short, metrics)
    show(text)
    if left:
        show(f"{counted(left, 'more key')} differ{'s' * (left == 1)}; --json and --csv have all of them")
    if sort is None and document["metric"] is None and len(runs) > 1:
        show(f"not ranked, for there is no measure by which all of them judge themselves: try --sort {_measure(runs)}")
    show_groups(document, sort)


def _measure(runs: Sequence[dict[str, Any]]) -> str:
    """The runs' usual measure, as `--sort` takes it."""
    from cnntrain.parts.metrics.base import larger_is_better
    from cnntrain.results.ranking import usual_measure

    name = usual_measure([run["final"] for run in runs])
    if name is None:
        return "NAME"
    return f"-{name}" if larger_is_better(name) else name


def show_groups(document: dict[str, Any], sort: str | None = None) -> None:
    """Print groups of runs that differ only in seed or fold, if any, as a table of means and deviations.

    Of the metrics it shows the two that tell most, first the one by which `compare` was asked to `sort`.
    """
    if not document["groups"]:
        return
    metrics = _metrics(document, sort)[:2]
    header = ["group", "runs", _best(document), *metrics, "time"]
    rows = [_group(group, metrics) for group in document["groups"]]
    show()
    show(table([header, *rows], right=range(1, len(header)), fold=0))


def _metrics(document: dict[str, Any], sort: str | None) -> list[str]:
    """The final values to show, as far as there is room, the most telling first."""
    from cnntrain.results.ranking import telling_metrics

    return telling_metrics([run["final"] for run in document["runs"]], document["metric"], sort)


def _fitting(
    document: dict[str, Any], keys: Sequence[str], short: dict[str, str], metrics: Sequence[str]
) -> tuple[str, int]:
    """The table of runs as wide as the terminal allows, and how many differing keys it leaves out.

    Metrics are dropped first, down to the most telling one, then keys.
    """
    bound = width() or math.inf
    sizes = [(len(keys), count) for count in range(len(metrics), 1, -1)]
    sizes += [(count, min(len(metrics), 1)) for count in range(len(keys), -1, -1)]
    for of_keys, of_metrics in sizes:
        shown = metrics[:of_metrics]
        header = ["run", *(short[key] for key in keys[:of_keys]), _best(document), "epoch", *shown, "time"]
        rows = [_run(run, keys[:of_keys], shown, document["metric"]) for run in document["runs"]]
        text = table([header, *rows], right=range(1, len(header)), fold=0)
        if max(map(columns, text.splitlines())) <= bound:
            break
    return text, len(document["differs"]) - of_keys


def _best(document: dict[str, Any]) -> str:
    return f"best {document['metric']}" if document["metric"] else "best"


def _run(run: dict[str, Any], keys: Sequence[str], metrics: Sequence[str], shared: str | None) -> list[str]:
    state = "" if run["state"] == "finished" else f" ({run['state']})"
    value = _number(run["best"]["value"])
    best = value if shared or run["best"]["metric"] is None else f"{run['best']['metric']} {value}"
    epoch = f"{run['best']['epoch'] or '-'}/{run['epochs']}"
    finals = [_number(run["final"].get(name)) for name in metrics]
    return [
        run["run"] + state,
        *(_value(run["config"][key]) for key in keys),
        best,
        epoch,
        *finals,
        _time(run["seconds"]),
    ]


def _group(group: dict[str, Any], metrics: Sequence[str]) -> list[str]:
    finals = [_spread(group["final"].get(name)) for name in metrics]
    seconds = _time(group["seconds"]["mean"])
    return [group["name"], str(len(group["runs"])), _spread(group["best"]), *finals, seconds]


def _value(value: Any) -> str:
    from cnntrain.config.dump import value_text

    return "-" if value is None else value_text(value)


def _number(value: float | None) -> str:
    return "-" if value is None else figure(value)


def _spread(spread: dict[str, Any] | None) -> str:
    if spread is None or spread["mean"] is None:
        return "-"
    return _number(spread["mean"]) + (f" ±{figure(spread['std'])}" if spread["std"] is not None else "")


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    whole = round(seconds)
    return f"{seconds:.1f}s" if whole < 60 else f"{whole // 60}m{whole % 60:02}s"
