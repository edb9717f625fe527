"""`cnntrain explain` shows what a network makes of one sample, layer by layer, forward and back."""

from __future__ import annotations

from pathlib import Path

import click

from cnntrain.cli.options import PATH, Command, as_json, debug, print_json, threads
from cnntrain.core import terminal
from cnntrain.core.errors import printable


@click.command(
    cls=Command,
    examples=[
        "cnntrain explain runs/quickstart/latest data/seven.png",
        "cnntrain explain runs/quickstart/latest digit.png --truth 7 --output digit.html",
    ],
)
@click.argument("checkpoint", metavar="CHECKPOINT|RUN", type=PATH)
@click.argument("path", metavar="FILE", type=PATH)
@click.option(
    "-o", "--output", type=PATH, default=Path("explanation.html"), show_default=True, help="The file to write."
)
@click.option(
    "--truth",
    metavar="CLASS",
    help="The true class, for loss and gradient; by default the network's answer, or where it is sure its second.",
)
@threads
@as_json
@debug
def command(checkpoint: Path, path: Path, output: Path, truth: str | None, threads: int | None, as_json: bool) -> None:
    """Write one HTML file about what a network makes of FILE: every layer's output and gradient as pictures.

    One convolution, one pooling window, one dense unit and one update by four optimizers are worked in numbers that can
    be checked by hand. The page needs no network and no script. A run directory stands for its best checkpoint, or its
    last if there is no best.
    """
    from cnntrain.api.finished import explain

    document = explain(checkpoint, path, output, truth=truth, threads=threads, warn=None)
    if as_json:
        print_json(document)
    else:
        terminal.out(printable(document["page"]))
