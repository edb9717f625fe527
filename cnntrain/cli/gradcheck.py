"""`cnntrain gradcheck` compares a network's gradients with finite differences of its outputs and its loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cnntrain.cli.options import PATH, Command, WholeNumber, as_json, debug, print_json, sets
from cnntrain.cli.text import show, table
from cnntrain.core import bounds


@click.command(cls=Command, examples=["cnntrain gradcheck configs/quickstart.yaml"])
@click.argument("configs", nargs=-1, required=True, metavar="CONFIG...", type=PATH)
@sets
@click.option(
    "--coordinates",
    type=WholeNumber(bounds.SOME),
    metavar="N",
    default=8,
    show_default=True,
    help="How many values of each array to check in each node alone; half as many within the network.",
)
@as_json
@debug
def command(configs: tuple[Path, ...], sets: tuple[str, ...], coordinates: int, as_json: bool) -> None:
    """Check every gradient of CONFIG in float64, node by node and as a whole; exit code 9 if one is wrong."""
    from cnntrain.api.beforehand import gradcheck

    tell = print_json if as_json else _show
    tell(gradcheck(configs, coordinates=coordinates, set=sets, announce=tell))


def _show(document: dict[str, Any]) -> None:
    """The table of all findings, and the worst."""
    header = ["checked", "node", "layer", "gradient", "values", "kinks", "worst", "", "where"]
    show(table([header, *map(_row, document["findings"])], right={4, 5, 6}))
    worst = document["worst"]
    show(f"\n{document['checked']} values checked, {document['skipped']} of them at kinks and skipped")
    show(
        f"worst: {worst['node']}, {worst['gradient']}: {worst['worst']:.1e} of its largest gradient, "
        f"at most {worst['tolerance']:g} is allowed ({worst['where']})"
    )


def _row(finding: dict[str, Any]) -> list[str]:
    return [
        "alone" if finding["scope"] == "node" else "network",
        finding["node"],
        finding["layer"],
        finding["gradient"],
        str(finding["checked"]),
        str(finding["skipped"]),
        f"{finding['worst']:.1e}",
        "WRONG" if finding["failed"] else "ok",
        finding["where"],
    ]
