"""The fingerprint of a run's data tells whether a resume has the samples that the run was started with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.data.build_data import Data


def fingerprint(data: Data) -> dict[str, Any]:
    """What tells whether the data of a resumed run is the same: counts, shape, classes, labels, some of the pixels."""

    def digest(arrays: Sequence[Array]) -> str:
        sha = hashlib.sha256()
        for array in arrays:
            sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()

    every = max(len(data.train) // 64, 1)
    return {
        "samples": len(data.train),
        "validation_samples": len(data.val_indices),
        "shape": list(data.train.shape),
        "classes": list(data.train.classes),
        "targets": digest([data.train.targets, data.val_indices]),
        "pixels": digest([data.train.pixels[::every]]),
        **({"teacher": data.lesson.digest} if data.lesson is not None else {}),
    }


def difference(saved: dict[str, Any], now: dict[str, Any]) -> str:
    """How two fingerprints differ, as a message lists it."""
    changed = [key for key in now if saved.get(key) != now[key]]
    return ", ".join(
        key if key in ("targets", "pixels", "classes", "teacher") else f"{key}: {saved.get(key)} then, {now[key]} now"
        for key in changed
    )
