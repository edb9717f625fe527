"""Golden vectors: results of PyTorch, scikit-learn and PyWavelets, kept as small .npz files beside their makers.

A file is one case of one part: its settings as JSON, and arrays. `python -m tests.golden.make_losses` and its
siblings write them, by hand; the tests only read them and so need none of those libraries.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.arrays import Array

GOLDEN = Path(__file__).parent.parent / "golden"


def save(kind: str, case: str, part: str, settings: dict[str, Any], **arrays: Any) -> None:
    """Write one case; `settings` are the part's fields."""
    folder = GOLDEN / kind
    folder.mkdir(exist_ok=True)
    np.savez_compressed(folder / f"{case}.npz", part=part, settings=json.dumps(settings), **arrays)


def cases(kind: str) -> list[Any]:
    """Every case of a kind, as pytest parameters."""
    paths = sorted((GOLDEN / kind).glob("*.npz"))
    assert paths, f"no golden files for {kind}"
    return [pytest.param(path, id=path.stem) for path in paths]


def proven(kind: str) -> set[str]:
    """The names of the parts a kind's files are of."""
    names = set()
    for path in (GOLDEN / kind).glob("*.npz"):
        with np.load(path, allow_pickle=False) as file:
            names.add(str(file["part"]))
    return names


def load(path: Path, **readers: Callable[[Any], Any]) -> tuple[Any, dict[str, Array]]:
    """The part of a case and its arrays; `readers` turn settings JSON has no type for into what the part takes."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    settings = json.loads(str(arrays.pop("settings")))
    fields = {key: readers.get(key, _plain)(value) for key, value in settings.items()}
    return registry.make(path.parent.name, str(arrays.pop("part")), **fields), arrays


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
