"""A dump is an experiment written out again, every default filled in; reading it gives an equal experiment."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import yaml

from cnntrain.config.fields import Declared, Duration, key_of
from cnntrain.config.scalars import is_ordinary_text
from cnntrain.config.schema import Experiment
from cnntrain.core.registry import Part, package_of


def plain(value: Any) -> Any:
    """An experiment, or any value of one, as what JSON and YAML hold: dict, list, text, number, boolean, None.

    A part is {"type": its name, ...its keys}; in a list of layers, the keys of its place stand beside them.
    """
    if isinstance(value, Declared):
        return plain(value.part) | ({} if value.options is None else plain(value.options))
    if isinstance(value, Duration):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        named = {"type": value.name_in_config} if isinstance(value, Part) else {}
        fields = [field for field in dataclasses.fields(value) if field.init]
        return named | {key_of(field): plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value


def packages(experiment: Experiment) -> dict[str, str]:
    """The parts within an experiment that come from installed packages: {"layers.snake": "waves 0.1"}."""
    found = ((part, package_of(type(part))) for part in _parts_within(experiment))
    return {f"{part.kind}.{part.name_in_config}": package for part, package in found if package}


def libraries(experiment: Experiment) -> list[str]:
    """The modules that parts within an experiment compute with, besides those that every run does."""
    return sorted({name for part in _parts_within(experiment) for name in part.libraries})


def _parts_within(value: Any) -> Iterator[Part]:
    if isinstance(value, Declared):
        yield from _parts_within(value.part)
    elif isinstance(value, tuple):
        for item in value:
            yield from _parts_within(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        if isinstance(value, Part):
            yield value
        yield from _parts_within(tuple(getattr(value, field.name) for field in dataclasses.fields(value) if field.init))


def to_yaml(plain_value: Any) -> str:
    """The YAML text of what `plain` gives."""
    text: str = yaml.dump(
        plain_value, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120
    )
    return text


def to_line(plain_value: Any) -> str:
    """The same on one line, as people write a part: {type: conv2d, filters: 32}."""
    text: str = yaml.dump(
        plain_value, Dumper=_Dumper, sort_keys=False, default_flow_style=True, allow_unicode=True, width=2**20
    )
    return text.removesuffix("\n").removesuffix("\n...")


def value_text(value: Any) -> str:
    """A value of what `plain` gives, for people: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def fingerprint(experiment: Experiment) -> str:
    """SHA-256, in hex, of everything the experiment says; equal experiments have equal ones."""
    text = json.dumps(plain(experiment), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class _Dumper(yaml.SafeDumper):
    """Writes no aliases, and quotes every text that could be taken for something else."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  (PyYAML's signature)
        return True

    def text(self, data: str) -> yaml.ScalarNode:
        # PyYAML writes every line break as itself within single quotes, and reads all of them back as \n.
        style = None if is_ordinary_text(data) else "'" if data.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.text)
