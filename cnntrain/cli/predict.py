"""`cnntrain predict` applies a trained network to files it has not seen."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import click

from cnntrain.cli.options import PATH, Command, as_json, debug, print_json, threads
from cnntrain.cli.text import pairs, show
from cnntrain.errors import printable


@click.command(
    cls=Command,
    examples=[
        "cnntrain predict runs/quickstart/latest digit.png --top 3",
        "cnntrain predict runs/quickstart/latest photos/ more/*.jpg --csv > answers.csv",
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
) -> None:
    """Classify files, those in folders, and the samples of .npz files, each with the probability the network gives it.

    Files are read and preprocessed as in training. A picture of another size than the network was trained on is
    resized, its proportions not kept; colour becomes grey or grey colour as the network needs. Light and dark must be
    as in training: MNIST is white on black. What cannot be read is named at the end, and the others are answered.
    """
    from cnntrain.console import Console
    from cnntrain.engine.pool import Pool
    from cnntrain.errors import DataError, UsageError
    from cnntrain.inference import Trained
    from cnntrain.reading import without_name
    from cnntrain.resources import threads as usable

    if as_csv and as_json:
        raise UsageError("--csv and --json are two forms of the same. Choose one")
    failures: list[tuple[str, str]] = []
    with Pool(usable(threads)) as pool:
        trained = Trained(checkpoint, pool, sets)
        results = trained.predict(paths, top, failures)
    asked = len(results) + len(failures)
    if not results:
        raise DataError(trained.unseen.refusal(failures, asked))
    if as_json:
        bad = [{"path": path, "reason": without_name(reason, path)} for path, reason in failures]
        document = {"checkpoint": str(trained.path), "predictions": results}
        print_json(document | ({"unreadable": bad} if bad else {}))
    elif as_csv:
        click.echo(_table(results), nl=False)
    else:
        show(pairs([(printable(result["path"]), _shown(result)) for result in results]))
    if failures and not trained.unseen.skips:
        raise DataError(trained.unseen.refusal(failures, asked))
    if failures:
        Console("none").warn(trained.unseen.refusal(failures, asked, "Skipped, as the config says"))


def _shown(result: dict[str, Any]) -> str:
    if "by_name" in result:
        return "  ".join(f"{printable(name)} {value:.6g}" for name, value in result["by_name"].items())
    if "values" in result:
        return "  ".join(f"{value:.6g}" for value in result["values"])
    return "  ".join(f"{guess['class']} {guess['probability']:.4f}" for guess in result["top"])


def _table(results: list[dict[str, Any]]) -> str:
    """A row for each sample: its path; then its values, or its likeliest classes and the probability of every class."""
    from cnntrain.per_value import numbered_values

    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    first = results[0]
    if "values" in first:
        table.writerow(["path", *(first.get("by_name") or numbered_values(len(first["values"])))])
        table.writerows([result["path"], *result["values"]] for result in results)
    else:
        ranks = ["", *(f"_{number}" for number in range(2, len(first["top"]) + 1))]
        head = [f"{key}{rank}" for rank in ranks for key in ("class", "probability")]
        table.writerow(["path", *head, *(f"p:{name}" for name in first["probabilities"])])
        for result in results:
            likeliest = [cell for guess in result["top"] for cell in (guess["class"], guess["probability"])]
            table.writerow([result["path"], *likeliest, *result["probabilities"].values()])
    return text.getvalue()
