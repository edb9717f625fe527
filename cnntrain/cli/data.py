"""`cnntrain data` fetches well-known data sets."""

from __future__ import annotations

from pathlib import Path

import click

from cnntrain.cli.options import PATH, Command, as_json, debug, print_json
from cnntrain.cli.text import show
from cnntrain.core import shell

NAMES = ("mnist", "fashion-mnist", "kmnist", "cifar10", "cifar100")


@click.command(
    cls=Command, examples=["cnntrain data fetch fashion-mnist", "cnntrain data fetch cifar10 --root /big/disk"]
)
@click.argument("action", type=click.Choice(["fetch"]), metavar="fetch")
@click.argument("name", type=click.Choice(NAMES), metavar="NAME")
@click.option(
    "--root",
    type=PATH,
    default=Path("data"),
    show_default=True,
    metavar="DIR",
    help="Where the data set's folder goes.",
)
@as_json
@debug
def command(action: str, name: str, root: Path, as_json: bool) -> None:  # noqa: ARG001  (there is one action)
    """Fetch a data set over HTTPS: mnist, fashion-mnist, kmnist, cifar10 or cifar100.

    Every file is checked against its published size and SHA-256. An interrupted fetch continues where it stopped; what
    is there already is not fetched again.
    """
    from cnntrain.api.beforehand import fetch

    fetched = fetch(name, root)
    if as_json:
        print_json(fetched)
        return
    folder = fetched["folder"]
    show(f"{name}: {'fetched and verified' if fetched['fetched'] else 'was there already'}, in {folder}")
    further = f" -o {name}.yaml" if Path("config.yaml").exists() else ""
    show(f"next: cnntrain init --data {shell.word(folder)}{further}")
