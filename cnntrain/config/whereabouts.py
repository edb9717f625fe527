"""Whereabouts tell in which section a key belongs, for one that is written in another, or as an option."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from cnntrain.config import foreign
from cnntrain.config.describe import bare, options
from cnntrain.config.fields import Kind, annotations_of, key_of
from cnntrain.config.schema import Experiment
from cnntrain.core.registry import parts

_PARTS = ("optimizers", "losses", "schedules")  # in this order, where several kinds have a key
_NOT_ALONE = ("model", "init", "warnings")  # sections whose keys mean nothing without them


def home(key: str) -> str | None:
    """The dotted path of the one place where a key belongs, ours or that of others: "lr" -> "optimizer.lr"."""
    known = _homes()
    return known.get(key) or known.get(foreign.key_name(key, known) or "")


@functools.cache
def _homes() -> dict[str, str]:
    """Every key that has one place: those of the sections, then those of the parts that stand in one."""
    found: dict[str, list[str]] = {key: [key] for key in _keys(Experiment)}
    of_parts: dict[str, str] = {}
    for section, annotation in _keys(Experiment).items():
        for member in options(annotation) if section not in _NOT_ALONE else ():
            base, marks = bare(member)
            kind = next((mark for mark in marks if isinstance(mark, Kind)), None)
            if kind is None:
                for key in _keys(base) if dataclasses.is_dataclass(base) else ():
                    found.setdefault(key, []).append(f"{section}.{key}")
            elif kind.names[0] in _PARTS and section != "momentum_schedule":
                for part in parts(kind.names[0]).values():
                    of_parts |= {key: f"{section}.{key}" for key in _keys(part) if key not in of_parts}
    of_parts.pop("patience", None)  # of early stopping, and of a schedule
    return of_parts | {key: places[0] for key, places in found.items() if len(places) == 1}


def _keys(cls: Any) -> dict[str, Any]:
    """The keys of a dataclass, with their annotations."""
    annotations = annotations_of(cls)
    return {key_of(field): annotations[field.name] for field in dataclasses.fields(cls)}
