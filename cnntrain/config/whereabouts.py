"""Whereabouts tell in which section a key belongs, when it is written in another, or as an option."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

from cnntrain.config import foreign
from cnntrain.config.describe import bare, options
from cnntrain.config.fields import Kind, annotations_of, key_of
from cnntrain.config.schema import Experiment
from cnntrain.core import installed, registry

_PARTS = ("optimizers", "losses", "schedules")  # in this order, where several kinds have a key
_NOT_ALONE = ("model", "init", "warnings")  # sections whose keys mean nothing without them


def home(key: str) -> str | None:
    """The dotted path of the one place where a key belongs, by our name or a foreign one: "lr" -> "optimizer.lr"."""
    known = _of_sections()
    written = {name for kind in _PARTS for name in registry.written(kind)}
    if key in written or foreign.key_name(key, written) or any(one.kind in _PARTS for one in installed.declared()):
        known = _of_parts() | known
    return known.get(key) or known.get(foreign.key_name(key, known) or "")


@functools.cache
def _of_sections() -> dict[str, str]:
    """Every key of a section that has one place; imports no part."""
    found: dict[str, list[str]] = {key: [key] for key in _keys(Experiment)}
    for section, base, kind in _members():
        for key in _keys(base) if kind is None and dataclasses.is_dataclass(base) else ():
            found.setdefault(key, []).append(f"{section}.{key}")
    return {key: places[0] for key, places in found.items() if len(places) == 1}


@functools.cache
def _of_parts() -> dict[str, str]:
    """Every key of a part that stands in a section; imports the parts, and NumPy with them."""
    found: dict[str, str] = {}
    for section, _, kind in _members():
        if kind in _PARTS and section != "momentum_schedule":
            for part in registry.parts(kind).values():
                found |= {key: f"{section}.{key}" for key in _keys(part) if key not in found}
    found.pop("patience", None)  # of early stopping, and of a schedule
    return found


def _members() -> Iterator[tuple[str, Any, str | None]]:
    """What each section may be: a class, and the kind of part where it is one."""
    for section, annotation in _keys(Experiment).items():
        for member in options(annotation) if section not in _NOT_ALONE else ():
            base, marks = bare(member)
            yield section, base, next((mark.names[0] for mark in marks if isinstance(mark, Kind)), None)


def _keys(cls: Any) -> dict[str, Any]:
    """The keys of a dataclass, with their annotations."""
    annotations = annotations_of(cls)
    return {key_of(field): annotations[field.name] for field in dataclasses.fields(cls)}
