"""`cnntrain check` looks at a config, its shapes and its data, and trains nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cnntrain.cli.options import PATH, Command, as_json, debug, print_json, sets, threads
from cnntrain.cli.text import pairs, show, table

MOST_CLASSES = 20  # of more, only the smallest and largest count is shown


@click.command(
    cls=Command,
    examples=["cnntrain check configs/quickstart.yaml", "cnntrain check configs/cifar10-resnet20.yaml --no-data"],
)
@click.argument("configs", nargs=-1, required=True, type=PATH, metavar="CONFIG...")
@sets
@threads
@click.option("--no-data", is_flag=True, help="Do not read the data: shapes and classes come from the config.")
@as_json
@debug
def command(
    configs: tuple[Path, ...], sets: tuple[str, ...], threads: int | None, no_data: bool, as_json: bool
) -> None:
    """Check CONFIG: every key, every shape, and unless told otherwise every sample's label and size.

    Several configs are merged, later ones over earlier ones.
    """
    from cnntrain.session import Options, rehearse

    document = rehearse(configs, sets, Options(threads=threads), read_data=not no_data)
    if as_json:
        print_json(document)
    else:
        show_rehearsal(document)


def show_rehearsal(document: dict[str, Any]) -> None:
    """Print for people what a rehearsal found."""
    data = document.get("data", {})
    few = 0 < len(document["classes"]) <= MOST_CLASSES
    rows = [
        ("input", document["input"]),
        ("classes", str(len(document["classes"]))),
        ("layers", str(len(document["nodes"]))),
        ("parameters", f"{document['parameters']:,}"),
        *(_ahead(document) if "run_seconds" in document else [("memory", f"{document['memory']} beside the data")]),
        *((split, _amount(found, spread=not few)) for split, found in data.items()),
    ]
    show(pairs(rows))
    if data and few:
        show()
        show(
            table(
                [["class", *data], *([name, *_of_class(data, name)] for name in document["classes"])],
                right=range(1, len(data) + 1),
            )
        )
    show()
    show(f"{document['name']}: {'ready to train' if data else 'sound, as far as can be told without its data'}")


def _ahead(document: dict[str, Any]) -> list[tuple[str, str]]:
    """What a run will take."""
    from cnntrain.console import clock
    from cnntrain.resources import human

    threads, epochs = document["threads"], document["epochs"]
    return [
        ("memory", f"{human(document['peak_bytes'])} at most, data included; {human(document['free_bytes'])} free"),
        (
            "disk",
            f"{human(document['disk_bytes'])} at most, for {document['checkpoints']} checkpoints of "
            f"{human(document['checkpoint_bytes'])}"
            + (f"; {human(document['disk_free_bytes'])} free" if document["disk_free_bytes"] is not None else ""),
        ),
        (
            "step",
            f"{1000 * document['step_seconds']:.1f} ms on {threads} thread{'s' * (threads != 1)}, "
            f"{document['step_flops'] / 1e9:.3g} GFLOP, {document['images_per_second']:.0f} images/s",
        ),
        ("epoch", f"{document['epoch_seconds']:.1f} s with validation, {document['steps_per_epoch']:,} steps"),
        ("run", f"{clock(document['run_seconds'])} for {epochs:,} epoch{'s' * (epochs != 1)}"),
    ]


def _amount(found: dict[str, Any], spread: bool) -> str:
    counts = found.get("per_class", {}).values()
    tail = f", {min(counts):,} to {max(counts):,} a class" if spread and counts else ""
    return f"{found['samples']:,} samples{tail}"


def _of_class(data: dict[str, Any], name: str) -> list[str]:
    return [f"{found['per_class'][name]:,}" for found in data.values()]
