"""A merge is the mean of several checkpoints of one network (Utans 1996; Vaswani et al. 2017 average theirs)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.core import strict_json
from cnntrain.core.console import Console
from cnntrain.core.errors import CheckpointError, StorageError, UsageError
from cnntrain.core.output import ANY, Output
from cnntrain.rundir.checkpoint import Checkpoint, find, read, save
from cnntrain.trained import saved


def merge(paths: Sequence[Path], output: Path, overwrite: bool = False) -> dict[str, Any]:
    """Write the mean of several checkpoints' parameters, and return what `average --json` prints.

    Each counts with the weights that `eval` would use: averaged ones where it has some. Sums are in float64, one
    checkpoint in memory at a time. Everything else comes from the last one. Raises CheckpointError where they are of
    different networks, StorageError where `output` is one of them, or exists and `overwrite` is off.
    """
    if len(paths) < 2:
        raise UsageError(f"average needs two checkpoints or more, got {len(paths)}")
    found = [find(path) for path in paths]
    if Output(output, ANY, reads=found).is_there and not overwrite:
        raise StorageError(f"{output} exists. Say --overwrite to replace it, or choose another --output")
    first = read(found[0])
    arrays = saved.used(first)
    shapes = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    sums = {name: array.astype(np.float64) for name, array in arrays.items()}
    weights = [saved.weights(first)]
    steps = [first.meta["position"]["step"]]
    samples = [_samples(first)]
    unmeasured = saved.unmeasured(first)
    last = first
    for path in found[1:]:
        last = read(path)
        arrays = saved.used(last)
        _check_same(first, last)
        Checkpoint(path, last.meta, arrays).expect(shapes)
        for name, array in arrays.items():
            sums[name] += array
        steps.append(last.meta["position"]["step"])
        weights.append(saved.weights(last))
        samples.append(_samples(last))
        unmeasured += saved.unmeasured(last)
    for line in unmeasured:
        Console("none").warn(line)
    means = {name: (total / len(found)).astype(shapes[name][1]) for name, total in sums.items()}
    merged: dict[str, Any] = {
        "merged": [
            {"step": step, "path": strict_json.escaped(str(path))} for path, step in zip(found, steps, strict=True)
        ]
    }
    if any(each != samples[0] for each in samples):  # one's validation may be another's training
        merged["data"] = {"merged": True}
    save(output, last.meta | {"average": {}, "operating_point": {}} | merged, means | _measured(last))
    return {"output": str(output), "checkpoints": [str(path) for path in found], "steps": steps, "weights": weights}


def _samples(checkpoint: Checkpoint) -> list[Any]:
    """What tells the training and validation samples of one checkpoint from those of another."""
    data = checkpoint.meta.get("data")
    return [data.get(key) for key in ("targets", "train", "val")] if isinstance(data, dict) else []


def _measured(checkpoint: Checkpoint) -> dict[str, Any]:
    """The statistics that the evaluation transforms measured."""
    return {name: array for name, array in checkpoint.arrays.items() if name.startswith("transform/")}


def _check_same(first: Checkpoint, other: Checkpoint) -> None:
    for key in ("classes", "image_shape", "eval_transforms"):
        if first.meta.get(key) != other.meta.get(key):
            raise CheckpointError(
                f"{first.path} and {other.path} differ in {key.replace('_', ' ')}: average checkpoints of one network"
            )
    mine, theirs = (Checkpoint(one.path, one.meta, _measured(one)).digests() for one in (first, other))
    if mine != theirs:
        raise CheckpointError(
            f"{first.path} and {other.path} were trained with different image statistics: average checkpoints of one "
            "network"
        )
