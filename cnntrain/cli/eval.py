"""`cnntrain eval` measures a trained network on a split of its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cnntrain.cli.options import as_json, debug, print_json, sets, table, threads


@click.command(epilog="Example: cnntrain eval runs/quickstart/latest --json")
@click.argument("checkpoint", metavar="CHECKPOINT|RUN", type=click.Path(path_type=Path))
@click.option("--split", type=click.Choice(["train", "val", "test"]), default="test", show_default=True)
@sets
@threads
@as_json
@debug
def command(checkpoint: Path, split: str, sets: tuple[str, ...], threads: int | None, as_json: bool) -> None:
    """Measure a checkpoint, or a run's best one, on a split of its data; --set data.source.* says where that lies."""
    from cnntrain.engine.pool import Pool
    from cnntrain.inference import Trained
    from cnntrain.resources import threads as usable

    with Pool(usable(threads)) as pool:
        trained = Trained(checkpoint, pool, sets)
        result = trained.evaluate(split)
    if as_json:
        print_json(result)
        return
    click.echo(f"checkpoint  {result['checkpoint']} (step {trained.step})")
    click.echo(f"split       {split}, {result['samples']} samples")
    for name, value in result.items():
        if isinstance(value, float):
            click.echo(f"{name:<10}  {value:.4f}")
    if "per_class" in result:
        click.echo()
        click.echo(
            table([["class", "samples", "recall", "precision"], *map(_row, result["per_class"])], right={1, 2, 3})
        )


def _row(row: dict[str, Any]) -> list[str]:
    shares = [row["recall"], row["precision"]]
    return [row["class"], str(row["samples"]), *("-" if share is None else f"{share:.4f}" for share in shares)]
