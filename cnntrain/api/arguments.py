"""Arguments as Python code gives them: paths, and values that override a config's."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnntrain.config.mapping import Config, yaml_of
from cnntrain.core.errors import UsageError

Paths = str | os.PathLike[str]
Configs = Paths | Config | Sequence[Paths | Config]  # one, or several that are laid over each other
Set = Mapping[str, Any] | Sequence[str] | None  # {"optimizer.lr": 0.1}, or ["optimizer.lr=0.1"]


def path_of(place: Any) -> Path:
    """A path. A string is one path, never a sequence of letters. Raises UsageError for anything that is not a path."""
    if not isinstance(place, str | os.PathLike) or not os.fspath(place):
        raise UsageError(f"expected a path, got {place!r}")
    return Path(place)


def paths_of(places: Paths | Sequence[Paths]) -> list[Path]:
    """One path, or several."""
    return [path_of(place) for place in ([places] if isinstance(places, str | os.PathLike) else places)]


def configs_of(configs: Configs) -> list[Path | Config]:
    """Configs, each a path or the mapping that a YAML file holds."""
    several = [configs] if isinstance(configs, str | os.PathLike | Mapping) else configs
    return [one if isinstance(one, Mapping) else path_of(one) for one in several]


def overrides(values: Set) -> list[str]:
    """Overrides as the command line has them: {"optimizer.lr": 0.1} is optimizer.lr=0.1."""
    if values is None:
        return []
    if isinstance(values, str):
        raise UsageError(f"set: expected a mapping such as {{'optimizer.lr': 0.1}}, got the text {values!r}")
    if isinstance(values, Mapping):
        return [f"{key}={yaml_of(value, str(key), flow=True)}" for key, value in values.items()]
    return list(values)
