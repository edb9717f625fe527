"""Arguments as Python code gives them: paths, texts, and values that override a config's."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnntrain.config.mapping import Config, yaml_of
from cnntrain.core.errors import UsageError

Paths = str | os.PathLike[str]
Configs = Paths | Config | Sequence[Paths | Config]  # one, or several that are laid over each other
Texts = str | Sequence[str]  # one, or several
Set = Mapping[str, Any] | Sequence[str] | None  # {"optimizer.lr": 0.1}, or ["optimizer.lr=0.1"]


def is_path(place: Any) -> bool:
    """Whether something can be a path."""
    return isinstance(place, str | os.PathLike)


def path_of(place: Any) -> Path:
    """A path. A string is one path, never a sequence of letters. Raises UsageError for anything that is not a path."""
    if not is_path(place) or not isinstance(os.fspath(place), str) or not os.fspath(place):
        raise UsageError(f"expected a path, got {' '.join(reprlib.repr(place).split())}")
    return Path(place)


def data_of(place: Any) -> Path:
    """The path of data to measure on. Raises UsageError for arrays themselves, which are measured from a file."""
    if is_path(place):
        return path_of(place)
    raise UsageError(
        f"evaluate: expected data to be a path, got {type(place).__name__}. Save arrays with np.savez('held.npz', "
        "x_test=x, y_test=y), and give 'held.npz'"
    )


def paths_of(places: Paths | Iterable[Paths]) -> list[Path]:
    """One path, or several. Raises UsageError where there is none, and for what is no path."""
    paths = [path_of(place) for place in _several(places)]
    if not paths:
        raise UsageError("expected a path or several, got none")
    return paths


def configs_of(configs: Configs) -> list[Path | Config]:
    """Configs, each a path or the mapping that a YAML file holds. Raises UsageError for anything else."""
    several = [configs] if isinstance(configs, Mapping) else _several(configs)
    return [one if isinstance(one, Mapping) else path_of(one) for one in several]


def _several(values: Any) -> list[Any]:
    """The values of any collection, or the one value that something else is."""
    one = is_path(values) or isinstance(values, bytes) or not isinstance(values, Iterable)
    return [values] if one else [*values]


def texts_of(name: str, values: Texts) -> tuple[str, ...]:
    """One text, or several, of the argument of this name. Raises UsageError for anything else."""
    texts = tuple(_several(values))
    for text in texts:
        if not isinstance(text, str):
            raise UsageError(f"{name}: expected a text or several, got {values!r}")
    return texts


def overrides(values: Set) -> list[str]:
    """Overrides as the command line has them: {"optimizer.lr": 0.1} is optimizer.lr=0.1."""
    if values is None:
        return []
    if isinstance(values, Mapping):
        return [f"{key}={yaml_of(value, str(key), flow=True)}" for key, value in values.items()]
    texts = _several(values)
    if isinstance(values, str) or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"set: expected a mapping such as {{'optimizer.lr': 0.1}}, got {values!r}")
    return texts
