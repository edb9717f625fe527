"""A mapping is a config that Python code gives in place of a file: turned into YAML text, and read like any other."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from cnntrain.config.tree import MAX_DEPTH
from cnntrain.core.errors import UsageError

Config = Mapping[str, Any]
NAME = "config"  # the name used in messages, and of a run without a name
_OWN: tuple[tuple[type, Callable[[Any], Any]], ...] = (  # whatever a subclass makes of itself
    (int, int.__int__),
    (float, float.__float__),
    (str, str.__str__),
)


def text_of(config: Config) -> str:
    """The YAML text of a config. Raises UsageError for a value that no YAML file could hold."""
    return yaml_of(config, "")


def yaml_of(value: Any, key: str, flow: bool = False) -> str:
    """A value in YAML, on one line where `flow`; `key` is what messages call it.

    NumPy's numbers, members of enumerations and paths are written as what they stand for, tuples as lists. Raises
    UsageError for the rest.
    """
    plain = _plain(value, key)
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, default_flow_style=flow or None, width=2**20)
    return text.removesuffix("\n").removesuffix("\n...")


def _plain(value: Any, key: str, depth: int = 0) -> Any:
    """A value as PyYAML's safe dumper takes it, which refuses subclasses of Python's own types."""
    if depth > 2 * MAX_DEPTH:  # a little too deep is told with its place, by who reads the text
        raise UsageError(f"{key[:60]}: nested too deeply, at most {MAX_DEPTH} levels: does it contain itself?")
    if isinstance(value, enum.Enum):
        return _plain(value.value, key, depth + 1)
    if hasattr(value, "tolist"):  # NumPy's numbers, some of which are also Python floats, and arrays
        return _plain(value.tolist(), key, depth + 1)
    if value is None or isinstance(value, bool):
        return value
    for kind, own in _OWN:
        if isinstance(value, kind):
            return own(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        named = ((str(_plain(name, key, depth + 1)), item) for name, item in value.items())
        return {name: _plain(item, f"{key}.{name}".lstrip("."), depth + 1) for name, item in named}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{key}.{index}".lstrip("."), depth + 1) for index, item in enumerate(value)]
    raise UsageError(
        f"{key or 'the config'}: a config holds numbers, texts, lists and mappings, got {type(value).__name__}"
    )
