"""`cnntrain inspect` shows what is in a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cnntrain.cli.options import PATH, Command, as_json, debug, print_json
from cnntrain.cli.text import pairs, show, table
from cnntrain.core.counts import counted


@click.command(
    cls=Command,
    examples=[
        "cnntrain inspect runs/quickstart/latest",
        "cnntrain inspect runs/quickstart/latest/checkpoints/last.npz --verify",
    ],
)
@click.argument("checkpoint", metavar="CHECKPOINT|RUN", type=PATH)
@click.option(
    "--verify", is_flag=True, help="Also check that the arrays are those its config declares, and the weights finite."
)
@as_json
@debug
def command(checkpoint: Path, verify: bool, as_json: bool) -> None:
    """Show what is in a checkpoint: what wrote it, where training stood, and every array with its range.

    Every byte is checked against its SHA-256; a damaged file exits with 4. Nothing is computed and no data is read. A
    run directory stands for its best checkpoint, or its last if there is no best.
    """
    from cnntrain.api.finished import inspect

    document = inspect(checkpoint, verify)
    if as_json:
        print_json(document)
        return
    show(pairs([(name, text) for name, text in _rows(document) if text]))
    show()
    head = ["array", "type", "shape", "smallest", "largest", "sha256"]
    show(table([head, *map(_array, document["arrays"])], right={3, 4}))
    if verify:
        show()
        show(f"sound: {counted(len(document['arrays']), 'array')}, as its config declares them, every weight finite")


def _rows(document: dict[str, Any]) -> list[tuple[str, str]]:
    position, best, environment = (document[name] for name in ("position", "monitor", "environment"))
    finished, value = position.get("finished"), best.get("best")
    shape = "x".join(map(str, document["image_shape"]))
    values, epochs = document["values"], counted(position["closed"], "epoch")
    amount = counted(values, "value") if values else counted(len(document["classes"]), "class")
    names = ("python", "numpy", "blas", "kernel", "machine", "cpu")
    return [
        ("checkpoint", f"{document['checkpoint']} ({document['bytes']:,} bytes)"),
        ("written by", f"cnntrain {document['cnntrain']}, format {document['format']}"),
        ("experiment", f"{document['name']}: {shape}, {amount}"),
        (
            "position",
            f"step {position['step']}, {epochs}{f', {finished}' * bool(finished)}",
        ),
        ("best", f"{value:.6g} after epoch {best.get('best_epoch')}" if isinstance(value, float) else ""),
        ("weights", "the averaged ones are used" if document["weights"] == "averaged" else ""),
        ("environment", ", ".join(f"{name} {environment[name]}" for name in names if environment.get(name))),
    ]


def _array(array: dict[str, Any]) -> list[str]:
    low, high = (f"{array[end]:.4g}" if array[end] is not None else "" for end in ("min", "max"))
    shape = "x".join(map(str, array["shape"])) or "single"
    broken = f" ({array['nonfinite']} not finite)" if array["nonfinite"] else ""
    return [array["name"], array["dtype"], shape, low, high + broken, array["sha256"][:12]]
