"""An identity is what a run knows its samples by: a digest of each one's pixels, of its target, of its file's name.

A split is drawn from the data there is, so the same config may draw other samples tomorrow. With the identities of
those it was trained on, a run finds them again, or notices that they are gone.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from cnntrain.core import strict_json
from cnntrain.core.arrays import Array, to_file
from cnntrain.core.errors import StorageError
from cnntrain.core.regular_file import read_own
from cnntrain.data.manifest import normal
from cnntrain.parts.datasets.images import Images
from cnntrain.parts.tasks.base import recognized

FILE = "samples.json"  # in a run directory
_FORMAT = 1
_BYTES = 8  # of a digest: two of a million samples share one with a chance of 3e-8
_NUMBER = np.dtype("<u8")  # a digest as a number, the same on every processor
_CHUNK = 1024
_LARGEST = 2**30  # bytes of the file


@dataclass(frozen=True)
class SampleIdentity:
    """Digests of some samples, in order: uint64 (n,) each; `names` is None where samples are not files of their own."""

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

    def take(self, places: Array) -> SampleIdentity:
        """The identity of the samples at these places."""
        names = None if self.names is None else self.names[places]
        return SampleIdentity(self.pixels[places], self.targets[places], names)

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
        """Which of these, bool (n,), are among others, by their pixels or their files."""
        same = _among(self.pixels, others.pixels)
        if self.names is not None and others.names is not None:
            same |= _among(self.names, others.names)
        return same


def _keys(identity: SampleIdentity) -> Iterable[tuple[int, int]]:
    return zip(identity.pixels.tolist(), identity.targets.tolist(), strict=True)


def _among(these: Array, others: Array) -> Array:
    """Which of these numbers, bool (n,), are among others. NumPy's `isin` takes ten times as long of uint64."""
    if not len(others):
        return np.zeros(len(these), bool)
    ascending = np.sort(others)
    found: Array = ascending[np.searchsorted(ascending, these).clip(max=len(others) - 1)] == these
    return found


def identify(images: Images, indices: Array) -> SampleIdentity:
    """The identity of the samples at these indices. Reads every pixel once."""
    pixels = np.empty(len(indices), _NUMBER)
    for start in range(0, len(indices), _CHUNK):
        chosen = indices[start : start + _CHUNK]
        pixels[start : start + len(chosen)] = _short(_bytes_of(images.pixels[chosen]))
    targets = _of_targets(images, indices)
    if len(images.names) != len(images):
        return SampleIdentity(pixels, targets)
    files = normal(images.names[index] for index in indices.tolist())
    encoding, errors = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()  # as os.fsencode has them
    return SampleIdentity(pixels, targets, _short(file.encode(encoding, errors) for file in files))


def _of_targets(images: Images, indices: Array) -> Array:
    """By name where a target has one, since another class before it changes the number of a class: uint64 (n,)."""
    rows = images.targets[indices]
    named = recognized(images.targets, images.description).names(rows, images.description)
    words = sorted({name for name in named if name is not None})
    values = dict(zip(words, _short(name.encode(errors="surrogateescape") for name in words).tolist(), strict=True))
    if len(values) and None not in named:
        return np.array([values[cast(str, name)] for name in named], _NUMBER)
    of_rows = _short(_bytes_of(rows)).tolist()
    found = [row if name is None else values[name] for name, row in zip(named, of_rows, strict=True)]
    return np.array(found, _NUMBER)


def _bytes_of(rows: Array) -> list[memoryview]:
    """The bytes of each row (n, ...), the same on every processor."""
    if not len(rows):
        return []
    flat = to_file(rows).reshape(len(rows), -1).view(np.uint8)
    return [row.data for row in flat]


def _short(pieces: Iterable[bytes | memoryview]) -> Array:
    """The BLAKE2b digest of each piece, of 8 bytes, as a number: uint64 (n,)."""
    digest = functools.partial(hashlib.blake2b, digest_size=_BYTES)
    return np.frombuffer(b"".join([digest(piece).digest() for piece in pieces]), _NUMBER)


def listed(train: SampleIdentity, val: SampleIdentity) -> bytes:
    """What samples.json of a run holds: the same bytes for the same samples."""
    document = {"format": _FORMAT, "train": train.document(), "val": val.document()}
    return (strict_json.encode(document, indent=2) + "\n").encode()


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
    """Raises ValueError, TypeError or KeyError for what is not an identity."""
    pixels, targets = (np.frombuffer(bytes.fromhex(columns[key]), _NUMBER) for key in ("pixels", "targets"))
    named = columns.get("names")
    names = None if named is None else np.frombuffer(bytes.fromhex(named), _NUMBER)
    if len(pixels) != len(targets) or (names is not None and len(names) != len(pixels)):
        raise ValueError("its columns differ in length")
    return SampleIdentity(pixels, targets, names)
