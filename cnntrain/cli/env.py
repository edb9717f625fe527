"""`cnntrain env` shows what the bits of a result depend on besides config, data and seed, and what is installed."""

from __future__ import annotations

from typing import Any

import click

from cnntrain.cli.options import Command, as_json, debug, print_json
from cnntrain.cli.text import pairs, show

_MACHINE = {
    "platform": "system",
    "cpu": "processor",
    "cpu_count": "processors",
    "usable_cpus": "usable by us",
    "memory": "memory",
}


@click.command(cls=Command, examples=["cnntrain env", "cnntrain env --json"])
@as_json
@debug
def command(as_json: bool) -> None:
    """Show versions, processor, memory, and which optional extras are installed: what a bug report should contain.

    Two machines on which the first nine lines are the same train to the same bits, with dense_sift if OpenCV is, too.
    """
    from cnntrain.core import blas, machine
    from cnntrain.rundir.environment import DECIDES_BITS, environment

    blas.pin()
    document: dict[str, Any] = environment() | {
        "usable_cpus": machine.threads(),
        "memory": machine.available(),
        "extras": _extras(),
    }
    if as_json:
        print_json(document)
        return
    shown = document | {"memory": machine.human(document["memory"])}
    show(pairs([(label, str(shown[key])) for key, label in (DECIDES_BITS | _MACHINE).items()]))
    extras = [(f"  {name}", _installed(name, packages)) for name, packages in document["extras"].items()]
    show("\nextras")
    show(pairs(extras) if extras else "  unknown: cnntrain runs from a folder and is not installed")


def _extras() -> dict[str, dict[str, str | None]]:
    """The packages of each optional extra, with the installed version; None where one is missing."""
    from importlib import metadata

    try:
        declared = metadata.requires("cnntrain") or ()
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return {}
    extras: dict[str, dict[str, str | None]] = {}
    for text in declared:
        requirement, _, condition = text.partition(";")
        if "extra ==" in condition:
            package = requirement.replace("(", " ").split(">")[0].split()[0].strip()
            extra = condition.split("extra ==")[1].strip(" \"')")
            extras.setdefault(extra, {})[package] = _version(package)
    return extras


def _version(package: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _installed(extra: str, packages: dict[str, str | None]) -> str:
    from cnntrain.core.extras import install

    if None in packages.values():
        missing = [name for name, version in packages.items() if version is None]
        return f"lacks {', '.join(missing)}: {install(extra)}"
    return ", ".join(f"{name} {version}" for name, version in packages.items())
