"""The catalogue describes the parts: name, meaning, keys with types and defaults, source, file.

`cnntrain list` prints it, and parts/README.md is made from it, so neither can say what the code does not.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

from cnntrain.config.describe import describe_bounded, required
from cnntrain.config.dump import plain
from cnntrain.config.fields import annotations_of, key_of
from cnntrain.config.sentences import sentence
from cnntrain.core.registry import Part, package_of

_YEAR = r"(?:17|18|19|20)\d\d[a-z]?"
_PAPER = re.compile(rf"[A-Z][\w'-]+(?:(?:,| and| et al\.|, and) ?(?:[A-Z][\w'-]+)?)*,? \(?{_YEAR}\b")
_PROGRAM = re.compile(r"\b(?:PyTorch|torchvision|Keras|TensorFlow|Caffe|timm)\b")


def entry(part: type[Part]) -> dict[str, Any]:
    """One part as `cnntrain list --json` has it: name, meaning, text, source, file, package, fields."""
    text = inspect.getdoc(part) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return {
        "name": part.name_in_config,
        "meaning": first,
        "text": text,
        "source": sources(text),
        "file": part.__module__.replace(".", "/") + ".py",
        "package": package_of(part),
        "fields": list(_own_fields(part)),
    }


def sources(text: str) -> list[str]:
    """The papers a docstring names, as "He et al. 2015"; without any, the programs whose convention it follows."""
    joined = " ".join(text.split())
    papers = [match[0].replace("(", "") for match in _PAPER.finditer(joined)]
    return list(dict.fromkeys(papers or _PROGRAM.findall(joined)))


def keys(entry: dict[str, Any], of: str = "part") -> list[str]:
    """The part's own keys, short: `filters`, `stride=1`; or those that all parts of its kind, or its place, take."""
    return [
        field["name"] if field["required"] else f"{field['name']}={shown(field['default'])}"
        for field in entry["fields"]
        if field["of"] == of
    ]


def shown(value: Any) -> str:
    """A default as a config would write it: `null`, `true`, `[1, 2]`, `relu`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        inner = [f"{key}: {shown(item)}" for key, item in value.items()]
        return shown(value["type"]) if list(value) == ["type"] else f"{{{', '.join(inner)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _own_fields(part: type[Part]) -> Iterator[dict[str, Any]]:
    """All keys; `of` says whose they are: the part's, its whole kind's, or those of its place in the config."""
    base = next(cls for cls in part.__mro__ if "kind" in cls.__dict__)
    common = {field["name"]: field for field in fields_of(base)}
    mine = [field | {"of": "kind" if common.get(field["name"]) == field else "part"} for field in fields_of(part)]
    yield from sorted(mine, key=lambda field: field["of"] != "part")
    yield from (field | {"of": "place"} for field in (fields_of(part.options) if part.options else ()))


def fields_of(cls: type) -> Iterator[dict[str, Any]]:
    """The keys that a dataclass stands for: name, meaning, type, whether it is required, default."""
    annotations = annotations_of(cls)
    for field in dataclasses.fields(cls):
        if field.init:
            yield {
                "name": key_of(field),
                "meaning": sentence(cls, field.name),
                "type": describe_bounded(annotations[field.name]),
                "required": required(field),
                "default": _default(field),
            }


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return plain(field.default_factory())
    return None if field.default is dataclasses.MISSING else plain(field.default)
