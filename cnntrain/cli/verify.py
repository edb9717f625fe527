"""`cnntrain verify` trains the last stretch of a run again and compares every bit with what is saved."""

from __future__ import annotations

from pathlib import Path

import click

from cnntrain.cli.options import PATH, Command, WholeNumber, as_json, data_sets, debug, print_json, threads
from cnntrain.cli.text import pairs, show
from cnntrain.core import bounds
from cnntrain.core.counts import counted


@click.command(
    cls=Command,
    examples=["cnntrain verify runs/quickstart/latest", "cnntrain verify runs/quickstart/latest --steps 500"],
)
@click.argument("run", metavar="RUN", type=PATH)
@data_sets
@click.option(
    "--steps",
    type=WholeNumber(bounds.SOME),
    metavar="N",
    default=1,
    show_default=True,
    help="Go back at least this many steps.",
)
@threads
@as_json
@debug
def command(run: Path, sets: tuple[str, ...], steps: int, threads: int | None, as_json: bool) -> None:
    """Train RUN again from its newest earlier checkpoint to its last one, and compare the two bit by bit.

    Weights, optimizer, position, best so far and the rows of metrics.jsonl are compared; nothing is written. Exits with
    9 if anything differs. The earlier checkpoint is best.npz, or one that checkpoint.keep, at 2 or more, has kept.
    """
    from cnntrain.api.finished import verify

    document = verify(run, steps=steps, set=sets, threads=threads, warn=None)
    if as_json:
        print_json(document)
        return
    taken = counted(document["steps"], "step")
    arrays, rows = counted(document["arrays"], "array"), counted(document["metric_rows"], "row")
    show(
        pairs(
            [
                ("from", document["from"]),
                ("to", document["to"]),
                ("same", f"{taken} taken again: {arrays} and {rows} of metrics"),
            ]
        )
    )
