"""Small data files for the dataset tests, written byte by byte."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError

SHARED = Path(__file__).parent.parent.parent.parent / "shared" / "data"  # full data sets, where a machine has them


def pixels(n: int, *shape: int) -> Array:
    """Random bytes (n, *shape)."""
    return np.random.default_rng(n).integers(0, 256, (n, *shape), np.uint8)


def labels(n: int, classes: int = 10) -> Array:
    """0, 1, 2, ... over and over."""
    return (np.arange(n) % classes).astype(np.uint8)


def idx(values: Array, code: int = 8) -> bytes:
    """An IDX file."""
    return bytes((0, 0, code, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def write_idx(root: Path, split: str = "train", n: int = 20, zipped: bool = False, **files: bytes) -> Path:
    """A folder with one split; `images` and `labels` replace the files' content, before gzip."""
    root.mkdir(exist_ok=True)
    content = {"images": idx(pixels(n, 6, 5)), "labels": idx(labels(n))} | files
    for kind, rank in (("images", 3), ("labels", 1)):
        path = root / f"{split}-{kind}-idx{rank}-ubyte{'.gz' if zipped else ''}"
        path.write_bytes(gzip.compress(content[kind]) if zipped else content[kind])
    return root


def refusal(name: str, split: str = "train", **fields: Any) -> str:
    """The message with which a data set refuses to load a split: one line."""
    with pytest.raises(DataError) as caught:
        registry.make("datasets", name, **fields).load(split)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 3
    return message
