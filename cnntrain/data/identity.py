"""An identity is what a run knows its samples by: a digest of each one's pixels, of its target, of its file's name.

A split is drawn from what lies there, so the same config may draw other samples tomorrow. With the identities of those
it was trained on, a run finds them again, or notices that they are gone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.core import strict_json
from cnntrain.core.arrays import Array
from cnntrain.core.errors import StorageError
from cnntrain.core.regular_file import read_own
from cnntrain.data.manifest import normal
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.tasks.base import recognized

FILE = "samples.json"  # in a run directory
_FORMAT = 1
_BYTES = 8  # of a digest: two of a million samples share one with a chance of 3e-8
_CHUNK = 256
_LARGEST = 2**30  # bytes of the file


@dataclass(frozen=True)
class SampleIdentity:
    """Of some samples, in order: uint64 (n,) each; `names` is None where samples are not files of their own."""

    pixels: Array
    targets: Array
    names: Array | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def digest(self) -> str:
        """SHA-256 in hex of contents and targets, in order."""
        return hashlib.sha256(self.pixels.tobytes() + self.targets.tobytes()).hexdigest()

    def document(self) -> dict[str, Any]:
        """As JSON holds it: 16 hex digits a sample."""
        columns = {"pixels": self.pixels, "targets": self.targets, "names": self.names}
        return {key: None if column is None else column.tobytes().hex() for key, column in columns.items()}

    def places_of(self, wanted: SampleIdentity) -> Array:
        """Where each wanted sample stands among these, by content and target, int64 (n,); -1 where it does not.

        One that is wanted twice has two places.
        """
        there: dict[tuple[int, int], list[int]] = {}
        for place, key in reversed([*enumerate(_keys(self))]):
            there.setdefault(key, []).append(place)
        found = [there[key].pop() if there.get(key) else -1 for key in _keys(wanted)]
        return np.array(found, np.int64)

    def among(self, others: SampleIdentity) -> Array:
        """Which of these, bool (n,), are among others: their pixels are, or their files."""
        same: Array = np.isin(self.pixels, others.pixels)
        if self.names is not None and others.names is not None:
            same |= np.isin(self.names, others.names)
        return same


def _keys(identity: SampleIdentity) -> Iterable[tuple[int, int]]:
    return zip(identity.pixels.tolist(), identity.targets.tolist(), strict=True)


def identify(images: Images, indices: Array) -> SampleIdentity:
    """The identity of the samples at these indices. Reads every pixel once."""
    pixels, targets = np.empty(len(indices), np.uint64), np.empty(len(indices), np.uint64)
    for start in range(0, len(indices), _CHUNK):
        chosen = indices[start : start + _CHUNK]
        pixels[start : start + len(chosen)] = [_short(np.ascontiguousarray(row)) for row in images.pixels[chosen]]
    named = recognized(images.targets, images.description).names(images.targets[indices], images.description)
    words = {name: _short(name.encode(errors="surrogateescape")) for name in set(named) if name is not None}
    targets[:] = [  # by name where it has one, since a class before it gives a class another number
        words[name] if name is not None else _short(np.ascontiguousarray(row))
        for name, row in zip(named, images.targets[indices], strict=True)
    ]
    if len(images.names) != len(images):
        return SampleIdentity(pixels, targets)
    files = normal(images.names[index] for index in indices.tolist())
    names = np.array([_short(os.fsencode(file)) for file in files], np.uint64)
    return SampleIdentity(pixels, targets, names)


def _short(data: bytes | Array) -> int:
    return int.from_bytes(
        hashlib.blake2b(data if isinstance(data, bytes) else data.data, digest_size=_BYTES).digest(), "little"
    )


def document(train: SampleIdentity, val: SampleIdentity) -> dict[str, Any]:
    """What samples.json of a run holds."""
    return {"format": _FORMAT, "train": train.document(), "val": val.document()}


def beside(checkpoint: Path) -> dict[str, SampleIdentity]:
    """The identities of a run's splits, "train" and "val", by one of its checkpoints; none where there is no file."""
    try:
        text = read_own(checkpoint.absolute().parent.parent / FILE, _LARGEST).decode()
        found = strict_json.decode(text)
        if found["format"] != _FORMAT:
            return {}
        return {split: _read(found[split]) for split in ("train", "val")}
    except (StorageError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _read(columns: Mapping[str, Any]) -> SampleIdentity:
    """Raises ValueError, TypeError or KeyError for what is no identity."""
    pixels, targets = (np.frombuffer(bytes.fromhex(columns[key]), np.uint64) for key in ("pixels", "targets"))
    named = columns.get("names")
    names = None if named is None else np.frombuffer(bytes.fromhex(named), np.uint64)
    if len(pixels) != len(targets) or (names is not None and len(names) != len(pixels)):
        raise ValueError("its columns differ in length")
    return SampleIdentity(pixels, targets, names)
