"""Parts from installed packages: what their entry points in the group `cnntrain.parts` declare.

A package that brings parts of its own says so in its metadata, `KIND.NAME = MODULE` or `MODULE:CLASS`:

    [options.entry_points]
    cnntrain.parts =
        layers.snake = waves.snake
        optimizers.signsgd = waves.signsgd:SignSGD

A config then names them like any other part; it can name nothing that no installed package declares, so it still
cannot make the program import anything. Looking at the metadata imports no package.
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

GROUP = "cnntrain.parts"


@dataclass(frozen=True)
class Origin:
    """One declaration: which part, which package declares it, and where in the package it is."""

    kind: str
    name: str
    value: str  # MODULE or MODULE:CLASS
    package: str  # with its version, "waves 0.1"
    entry: importlib.metadata.EntryPoint

    def load(self) -> Any:
        """The module or class. Raises whatever importing it raises."""
        return self.entry.load()


@functools.cache
def declared() -> tuple[Origin, ...]:
    """Everything that the installed packages declare, in the order of names."""
    found = []
    for entry in importlib.metadata.entry_points(group=GROUP):
        kind, _, name = entry.name.partition(".")
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a package without a name"
        found.append(Origin(kind, name, entry.value, package, entry))
    return tuple(sorted(found, key=lambda origin: (origin.kind, origin.name, origin.package)))


def of_kind(kind: str, own: Mapping[str, type]) -> tuple[dict[str, Origin], dict[str, str]]:
    """The declarations of a kind by name, and what is wrong with those that cannot be used; `own`: cnntrain's parts."""
    by_name: dict[str, list[Origin]] = {}
    for origin in declared():
        if origin.kind == kind:
            by_name.setdefault(origin.name, []).append(origin)
    refused = {}
    for name, origins in by_name.items():
        who = " and by ".join(f"{origin.package} ({origin.value})" for origin in origins)
        if name in own:
            refused[name] = f"is declared by {who} but is cnntrain's own, which stays ({own[name].__module__})"
        elif len(origins) > 1:
            refused[name] = f"is declared by {who}. Uninstall all but one of them"
    return {name: origins[0] for name, origins in by_name.items() if name not in refused}, refused


def unknown_kinds(kinds: Collection[str]) -> list[str]:
    """The declarations that name no kind of part, as lines."""
    return [
        f"{origin.package} declares {origin.kind}.{origin.name} in {GROUP}, but {origin.kind!r} is no kind of part"
        for origin in declared()
        if origin.kind not in kinds
    ]
