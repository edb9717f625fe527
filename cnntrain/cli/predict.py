"""`cnntrain predict` classifies images with a trained network."""

from __future__ import annotations

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
        "cnntrain predict runs/quickstart/latest photos/*.jpg --json",
    ],
)
@click.argument("checkpoint", metavar="CHECKPOINT|RUN", type=PATH)
@click.argument("images", nargs=-1, required=True, type=PATH, metavar="IMAGE...")
@click.option(
    "--top", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="How many classes to show."
)
@threads
@as_json
@debug
def command(checkpoint: Path, images: tuple[Path, ...], top: int, threads: int | None, as_json: bool) -> None:
    """Classify image files, each with the probability the network gives it.

    An image of another size than the network was trained on is resized, its proportions not kept; colour becomes
    grey or grey colour as the network needs. Light and dark must be as in training: MNIST is white on black.
    """
    from cnntrain.engine.pool import Pool
    from cnntrain.inference import Trained
    from cnntrain.resources import threads as usable

    with Pool(usable(threads)) as pool:
        trained = Trained(checkpoint, pool)
        results = trained.predict(images, top)
    if as_json:
        print_json({"checkpoint": str(trained.path), "predictions": results})
    else:
        show(pairs([(printable(result["path"]), _shown(result)) for result in results]))


def _shown(result: dict[str, Any]) -> str:
    if "values" in result:
        return "  ".join(f"{value:.6g}" for value in result["values"])
    return "  ".join(f"{guess['class']} {guess['probability']:.4f}" for guess in result["top"])
