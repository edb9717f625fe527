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
        "cnntrain predict runs/cells/latest photos/ --draw answers/",
        "cnntrain predict runs/quickstart/latest photos/ -s data.source.max_pixels=50000000",
    ],
)
@click.argument("checkpoint", metavar="CHECKPOINT|RUN", type=PATH)
@click.argument("paths", nargs=-1, required=True, type=PATH, metavar="PATH...")
@click.option(
    "--top", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="How many classes to show."
)
@click.option(
    "-s",
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="Read files otherwise than in training: data.source.max_pixels=N. Repeatable.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print a table: path, class, every probability.")
@click.option(
    "--draw",
    "folder",
    type=PATH,
    metavar="DIR",
    help="Write what the network says of each picture as PNG files of its size, shown on the picture and by itself.",
)
@threads
@as_json
@debug
def command(
    checkpoint: Path,
    paths: tuple[Path, ...],
    top: int,
    sets: tuple[str, ...],
    threads: int | None,
    as_csv: bool,
    as_json: bool,
    folder: Path | None,
) -> None:
    """Classify files, those in folders, and the samples of .npz files, each with the probability the network gives it.

    Files are read and preprocessed as in training. A picture of another size than the network was trained on is
    resized, its proportions not kept; colour becomes grey or grey colour as the network needs. Light and dark must be
    as in training: MNIST is white on black. Answers that are places in the picture can be shown on it: --draw. What
    cannot be read is named at the end, and the others are answered.
    """
    from cnntrain.api.model import Model
    from cnntrain.core.console import Console
    from cnntrain.core.errors import DataError, UsageError
    from cnntrain.reading.input_files import without_name
    from cnntrain.results.renderings import Folder

    if as_csv and as_json:
        raise UsageError("--csv and --json are two forms of the same. Choose one")
    failures: list[tuple[str, str]] = []
    with Model(checkpoint, threads=threads, set=sets) as model:
        written = None if folder is None else Folder(folder, model.trained.network.task)
        render = None if written is None else written.write
        answers, unseen = model.trained.answers(paths, top, failures, render), model.trained.unseen
    asked = len(answers) + len(failures)
    if not answers:
        raise DataError(unseen.refusal(failures, asked))
    if as_json:
        bad = [{"path": path, "reason": without_name(reason, path)} for path, reason in failures]
        predictions = [{"path": name} | answer.document for name, answer in answers]
        document = {"checkpoint": str(model.path), "weights": model.trained.weights, "predictions": predictions}
        print_json(document | ({"unreadable": bad} if bad else {}))
    elif as_csv:
        terminal.out(_table(answers), end="")
    else:
        show(pairs([(printable(name), answer.text) for name, answer in answers]))
    if failures and not unseen.skips:
        raise DataError(unseen.refusal(failures, asked))
    if failures:
        Console("none").warn(unseen.refusal(failures, asked, "Skipped, as the config says"))


def _table(answers: Sequence[tuple[str, Answer]]) -> str:
    """Each sample's path beside the rows of its answer."""
    rows = [[name, *row] for name, answer in answers for row in answer.rows]
    return csv_text.table([["path", *answers[0][1].columns], *rows])
