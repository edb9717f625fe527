"""`cnntrain predict` applies a trained network to files it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cnntrain import terminal
from cnntrain.cli.options import PATH, Command, as_json, debug, print_json, threads
from cnntrain.cli.text import pairs, show
from cnntrain.errors import printable
from cnntrain.terminal import csv_text


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
    from cnntrain.engine.pool import Pool
    from cnntrain.errors import UsageError
    from cnntrain.inference import Trained
    from cnntrain.resources import threads as usable

    if as_csv and as_json:
        raise UsageError("--csv and --json are two forms of the same. Choose one")
    with Pool(usable(threads)) as pool:
        trained = Trained(checkpoint, pool)
        results = trained.predict(paths, top)
    if as_json:
        print_json({"checkpoint": str(trained.path), "predictions": results})
    elif as_csv:
        terminal.out(_table(results), end="")
    else:
        show(pairs([(printable(result["path"]), _shown(result)) for result in results]))


def _shown(result: dict[str, Any]) -> str:
    if "values" in result:
        return "  ".join(f"{value:.6g}" for value in result["values"])
    return "  ".join(f"{guess['class']} {guess['probability']:.4f}" for guess in result["top"])


def _table(results: list[dict[str, Any]]) -> str:
    """A row for each sample: its path; then its values, or its likeliest classes and the probability of every class."""
    first = results[0]
    if "values" in first:
        head = ["path", *(f"value_{number}" for number in range(1, len(first["values"]) + 1))]
        return csv_text([head, *([result["path"], *result["values"]] for result in results)])
    ranks = ["", *(f"_{number}" for number in range(2, len(first["top"]) + 1))]
    head = [f"{key}{rank}" for rank in ranks for key in ("class", "probability")]
    rows = [["path", *head, *(f"p:{name}" for name in first["probabilities"])]]
    for result in results:
        likeliest = [cell for guess in result["top"] for cell in (guess["class"], guess["probability"])]
        rows.append([result["path"], *likeliest, *result["probabilities"].values()])
    return csv_text(rows)
