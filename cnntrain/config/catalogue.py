"""The catalogue describes the parts: name, meaning, keys with types and defaults, file. `cnntrain list` prints it."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from cnntrain.config.describe import describe_bounded, required
from cnntrain.config.dump import plain
from cnntrain.config.fields import annotations_of, key_of
from cnntrain.registry import Part


def entry(part: type[Part]) -> dict[str, Any]:
    """One part as `cnntrain list --json` has it: name, meaning, text, file, fields."""
    text = inspect.getdoc(part) or ""
    return {
        "name": part.name_in_config,
        "meaning": " ".join(text.split("\n\n")[0].split()),
        "text": text,
        "file": part.__module__.replace(".", "/") + ".py",
        "fields": _fields(part) + (_fields(part.options) if part.options else []),
    }


def _fields(cls: type) -> list[dict[str, Any]]:
    annotations = annotations_of(cls)
    return [
        {
            "name": key_of(field),
            "type": describe_bounded(annotations[field.name]),
            "required": required(field),
            "default": _default(field),
        }
        for field in dataclasses.fields(cls)
        if field.init
    ]


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return plain(field.default_factory())
    return None if field.default is dataclasses.MISSING else plain(field.default)
