"""The fingerprint of a run's data tells whether a resume has the samples that the run was started with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from cnntrain.core.arrays import Array, to_file
from cnntrain.data.build_data import Data
from cnntrain.data.identity import SampleIdentity

_LATER = {  # keys that older checkpoints have none of, and what a message calls them
    "train": "training samples",
    "val": "validation samples",
    "transform_files": "the files that transforms read",
}


def fingerprint(data: Data, train: SampleIdentity | None = None, val: SampleIdentity | None = None) -> dict[str, Any]:
    """What tells whether the data of a resumed run is the same: counts, shape, classes, labels, some of the pixels.

    With the identities of both splits, every sample. And what transforms read from files besides, once they are fitted.
    """
    known = {"train": train.digest, "val": val.digest} if train is not None and val is not None else {}
    read = [transform.files_digest() for transform in (*data.train_transforms, *data.eval_transforms)]
    return {
        "samples": len(data.train),
        "validation_samples": len(data.val_indices),
        "shape": list(data.train.shape),
        "classes": list(data.train.classes),
        "targets": _digest([data.train.targets, data.val_indices]),
        "pixels": _digest([data.train.pixels[:: max(len(data.train) // 64, 1)]]),
        **known,
        **({"transform_files": hashlib.sha256("\n".join(read).encode()).hexdigest()} if any(read) else {}),
        **({"teacher": data.lesson.digest} if data.lesson is not None else {}),
    }


def changes(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The keys in which two fingerprints differ, without those that the older one cannot have."""
    return [key for key in now if saved.get(key) != now[key] and (key in saved or key not in _LATER)]


def difference(saved: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """How two fingerprints differ, as a message lists it."""
    words = {key: key for key in ("targets", "pixels", "classes", "teacher")} | _LATER
    changed = changes(saved, now)
    changed = [key for key in changed if key not in _LATER] or changed
    return ", ".join(words.get(key) or f"{key}: {saved.get(key)} then, {now[key]} now" for key in changed)


def _digest(arrays: Sequence[Array]) -> str:
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(to_file(array).data)
    return sha.hexdigest()
