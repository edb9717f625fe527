"""`cnntrain predict` applies a trained network to files it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cnntrain.cli.options import PATH, Command, as_json, debug, print_json, threads
from cnntrain.cli.text import pairs, show
from cnntrain.core import csv_text, terminal
from cnntrain.core.errors import printable

if TYPE_CHECKING:
    from cnntrain.core.display import Answer


@click.command(
    cls=Command,
    examples=[
        "cnntrain predict runs/quickstart/latest digit.png --top 3",
        "cnntrain predict runs/quickstart/latest photos/ more/*.jpg --csv > answers.csv",
    ],
)
@click.argument("checkpoint", metavar="CHECKPOINT|RUN", type=PATH)
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="PATH...")
@click.option(
    "--top", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="How many classes to show."
)
@click.option("--csv", "as_csv", is_flag=True, help="Print a table: path, class, every probability.")
@threads
@as_json
@debug
def command(
    checkpoint: Path, paths: tuple[Path, ...], top: int, threads: int | None, as_csv: bool, as_json: bool
) -> None:
    """Classify files, those in folders, and the samples of .npz files, each with the probability the network gives it.

    Files are read and preprocessed as in training. A picture of another size than the network was trained on is
    resized, its proportions not kept; colour becomes grey or grey colour as the network needs. Light and dark must be
    as in training: MNIST is white on black.
    """
    from cnntrain.api.model import Model
    from cnntrain.core.errors import UsageError

    if as_csv and as_json:
        raise UsageError("--csv and --json are two forms of the same. Choose one")
    with Model(checkpoint, threads=threads) as model:
        answers = model.trained.answers(paths, top)
    if as_json:
        predictions = [{"path": name} | answer.document for name, answer in answers]
        print_json({"checkpoint": str(model.path), "predictions": predictions})
    elif as_csv:
        terminal.out(_table(answers), end="")
    else:
        show(pairs([(printable(name), answer.text) for name, answer in answers]))


def _table(answers: Sequence[tuple[str, Answer]]) -> str:
    """Each sample's path beside the rows of its answer."""
    rows = [[name, *row] for name, answer in answers for row in answer.rows]
    return csv_text.table([["path", *answers[0][1].columns], *rows])
