"""`cnntrain replay` goes back to where a run diverged, and says whether it diverges there again."""

from __future__ import annotations

from pathlib import Path

import click

from cnntrain.cli.options import PATH, Command, as_json, data_sets, debug, print_json, threads
from cnntrain.cli.text import pairs, show


@click.command(cls=Command, examples=["cnntrain replay runs/quickstart/latest"])
@click.argument("run", metavar="RUN", type=PATH)
@data_sets
@threads
@as_json
@debug
def command(run: Path, sets: tuple[str, ...], threads: int | None, as_json: bool) -> None:
    """Take the steps of RUN from its last checkpoint to where it diverged, and compare with its record.

    A run that meets NaN or infinity leaves nonfinite/record.json; this shows whether it can be reproduced. Nothing is
    written. Exits with 9 if the run does not diverge again, or does so in another layer.
    """
    from cnntrain.api.finished import replay
    from cnntrain.training.flight_recorder import described

    document = replay(run, set=sets, threads=threads, warn=None)
    if as_json:
        print_json(document)
        return
    show(
        pairs(
            [
                ("step", f"{document['step']}, {document['steps']} from {document['checkpoint']} on"),
                ("reason", document["reason"]),
                ("first", described(document)),
                ("record", "the same layer"),
            ]
        )
    )
