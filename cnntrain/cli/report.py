"""`cnntrain report` writes an HTML page about one run or several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cnntrain.cli.options import PATH, Command, as_json, data_sets, debug, print_json, threads
from cnntrain.core import terminal
from cnntrain.core.errors import printable


@click.command(
    cls=Command,
    examples=[
        "cnntrain report runs/quickstart/latest",
        "cnntrain report runs/a runs/b --output comparison.html",
        "cnntrain report runs/quickstart/latest --split test --png",
        "cnntrain report runs/filmed --film",
    ],
)
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
@click.option(
    "-o",
    "--output",
    type=PATH,
    help="The file to write; by default report.html in the run directory, or here for several runs.",
)
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    help="The split to judge the network on; by default val, or test where there is no val; train is without what "
    "validated.",
)
@click.option("--png", is_flag=True, help="Also write every chart as a PNG file at 300 dpi, beside the page.")
@click.option(
    "--film",
    is_flag=True,
    help="Write film.html instead, for a run trained with checkpoint.film: a slider over filters, layers, answers and "
    "confusion matrix from the first step to the last.",
)
@data_sets
@threads
@as_json
@debug
def command(
    runs: tuple[Path, ...],
    output: Path | None,
    split: Any,
    png: bool,
    film: bool,
    sets: tuple[str, ...],
    threads: int | None,
    as_json: bool,
) -> None:
    """Write one HTML file about RUN: curves, confusion, mistakes, filters, config. Several runs share their charts.

    The page needs no network and, unless it is a film, no script. PNG files of its charts need the extra `report`
    (Matplotlib).
    """
    from cnntrain.api.finished import report

    told: list[str] = []
    document = report(runs, output, split=split, set=sets, png=png, film=film, threads=threads, warn=told.append)
    if as_json:
        print_json(document)
        return
    for text in told:
        terminal.err(f"cnntrain: warning: {printable(text)}")
    for path in (document["report"], *document["png"]):
        terminal.out(printable(path))
