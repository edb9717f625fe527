"""`cnntrain predict` classifies images with a trained network."""

from __future__ import annotations

from pathlib import Path

import click

from cnntrain.cli.options import as_json, debug, print_json, threads


@click.command(epilog="Example: cnntrain predict runs/quickstart/latest digit.png --top 3")
@click.argument("checkpoint", metavar="CHECKPOINT|RUN", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(1), default=1, show_default=True, help="How many classes to show.")
@threads
@as_json
@debug
def command(checkpoint: Path, images: tuple[Path, ...], top: int, threads: int | None, as_json: bool) -> None:
    """Classify image files; each is brought to the size and channels the network was trained on."""
    from cnntrain.engine.pool import Pool
    from cnntrain.inference import Trained
    from cnntrain.resources import threads as usable

    with Pool(usable(threads)) as pool:
        trained = Trained(checkpoint, pool)
        results = trained.predict(images, top)
    if as_json:
        print_json({"checkpoint": str(trained.path), "predictions": results})
        return
    for result in results:
        guesses = "  ".join(f"{guess['class']} {guess['probability']:.4f}" for guess in result["top"])
        click.echo(f"{result['path']}  {guesses}")
