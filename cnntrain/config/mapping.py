"""A mapping is a config that Python code gives in place of a file: turned into YAML text, and read like any other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import yaml

from cnntrain.core.errors import UsageError

Config = Mapping[str, Any]
NAME = "config"  # the name used in messages, and of a run without a name


def text_of(config: Config) -> str:
    """The YAML text of a config. Raises UsageError for a value that no YAML file could hold."""
    return yaml_of(config, "")


def yaml_of(value: Any, key: str, flow: bool = False) -> str:
    """A value in YAML, on one line where `flow`; `key` is what messages call it.

    NumPy's numbers and paths are written as what they stand for, tuples as lists. Raises UsageError for the rest.
    """
    plain = _plain(value, key)
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, default_flow_style=flow or None, width=2**20)
    return text.removesuffix("\n").removesuffix("\n...")


def _plain(value: Any, key: str) -> Any:
    if hasattr(value, "tolist"):  # NumPy's numbers, some of which are also Python floats, and arrays
        return _plain(value.tolist(), key)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item, f"{key}.{name}".lstrip(".")) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{key}.{index}".lstrip(".")) for index, item in enumerate(value)]
    raise UsageError(
        f"{key or 'the config'}: a config holds numbers, texts, lists and mappings, got {type(value).__name__}"
    )
