"""`cnntrain eval` measures a trained network on a split of its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cnntrain.cli import mistakes
from cnntrain.cli.options import PATH, Command, as_json, data_sets, debug, print_json, threads
from cnntrain.cli.require import check, require
from cnntrain.cli.text import pairs, show
from cnntrain.core import terminal
from cnntrain.core.counts import counted
from cnntrain.core.figures import figure


@click.command(
    cls=Command,
    examples=[
        "cnntrain eval runs/quickstart/latest",
        "cnntrain eval runs/quickstart/latest/checkpoints/last.npz --split val --json",
        "cnntrain eval runs/quickstart/latest --data other-digits",
        "cnntrain eval runs/quickstart/latest --csv > classes.csv",
        "cnntrain eval runs/quickstart/latest --require 'accuracy>=0.97'",
        "cnntrain eval runs/quickstart/latest -s data.source.root=/new/place/of/the/data",
    ],
)
@click.argument("checkpoint", metavar="CHECKPOINT|RUN", type=PATH)
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test"]),
    help="What to measure on: by default test, or for --data the first of test, val and train that it has. A run's own "
    "train is what it was trained on, without what validated.",
)
@click.option(
    "--data",
    type=PATH,
    metavar="DIR|FILE",
    help="Measure on other data, such as a folder of pictures for each class; classes are matched by name.",
)
@data_sets
@click.option("--csv", "as_csv", is_flag=True, help="Print a row for each class: how it fares, what it is taken for.")
@require("accuracy>=0.98")
@threads
@as_json
@debug
def command(
    checkpoint: Path,
    split: str | None,
    data: Path | None,
    sets: tuple[str, ...],
    requirements: tuple[str, ...],
    threads: int | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Measure a trained network on a split of its data, or on other data: loss, accuracy, and how each class fares.

    A run directory stands for its best checkpoint, or its last if there is no best. Preprocessing and class names are
    the checkpoint's.
    """
    from cnntrain.api.model import Model
    from cnntrain.core.errors import UsageError

    if data is not None and any(map(_is_of_training, sets)):
        raise UsageError("--data names other data and --set says where the training data is. Choose one")
    if as_csv and as_json:
        raise UsageError("--csv and --json are two forms of one answer. Choose one")
    with Model(checkpoint, threads=threads, set=sets, warn=None) as model:
        result = model.evaluate(split, data)
    if as_json:
        print_json(result)
    elif as_csv:
        terminal.out(mistakes.as_csv(result), end="")
    else:
        _show(result, model.step)
    check(requirements, result)


def _is_of_training(override: str) -> bool:
    """Whether an override says where the training data lies; `images` says so of other data, too."""
    from cnntrain.parts.datasets.base import PLACES

    key = override.partition("=")[0]
    name = key.rpartition(".")[2]
    return key == "data.source" or key.startswith("data.val") or (name in PLACES and name != "images")


def _show(result: dict[str, Any], step: int) -> None:
    """Print for people what was measured."""
    rows = [
        (
            "checkpoint",
            f"{result['checkpoint']} (step {step}{', averaged weights' * (result['weights'] == 'averaged')})",
        ),
        *([("data", result["data"])] if "data" in result else []),
        ("split", f"{result['split']}, {counted(result['samples'], 'sample')}"),
        *((name, figure(value)) for name, value in result.items() if isinstance(value, float)),
    ]
    show(pairs(rows))
    if tables := mistakes.text(result):
        show()
        show(tables)
