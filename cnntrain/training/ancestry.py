"""The ancestry of a run: the networks that it starts from or learns from, and the samples that those were trained on.

What is measured on a validation sample is too good where an ancestor has seen it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cnntrain.core import scale, strict_json
from cnntrain.core.errors import StorageError
from cnntrain.core.regular_file import read_own
from cnntrain.data.identity import SampleIdentity, beside
from cnntrain.training import advice
from cnntrain.training.job import Job
from cnntrain.training.warm_start import WarmStart

_MOST = 20  # ancestors that are looked at: runs start from each other
_LARGEST = 64 * 2**20  # bytes of a data.json
_ADVICE = "what is measured on them is too good. Give both runs one seed and share, or data.val a source of its own"


def recorded(job: Job, warm: WarmStart | None) -> dict[str, Any]:
    """The record of the parents in data.json."""
    lesson = job.data.lesson
    of_warm = {"init_from": warm.document()} if warm else {}
    of_lesson = {"teacher": {"checkpoint": str(lesson.path.absolute()), "sha256": lesson.digest}} if lesson else {}
    return of_warm | of_lesson


def warnings(job: Job, warm: WarmStart | None) -> list[str]:
    """Warnings where an ancestor was trained on samples that validate here, or on pixels of another range."""
    lesson, found = job.data.lesson, []
    if warm:
        found += [("seen-before", _seen(warm.path, warm.data, job, "")), ("other-range", _scaled(warm, job))]
    if lesson:
        found.append(("seen-before", _seen(lesson.path, lesson.data, job, "the teacher ")))
    return list(dict.fromkeys(line for code, doubt in found for line in advice.told(job.loaded, code, doubt)))


def _seen(path: Path, data: Mapping[str, Any], job: Job, what: str) -> str | None:
    """Where validation samples were trained on by the run of a checkpoint, or by one of its ancestors."""
    if job.data.val is None:
        return None
    val = job.identities[1]
    known = False
    for run, train in _trained_on(path):
        known = True
        if seen := int(val.among(train).sum()):
            were = "was a training sample" if seen == 1 else "were training samples"
            return f"{seen:,} of {len(val):,} validation samples {were} of {what}{run}: {_ADVICE}"
    shared = job.data.val is job.data.train  # the source that both come from
    another = data.get("merged") or ("val" in data and data["val"] != val.digest)
    if known or not shared or not another:
        return None
    return (
        f"{what}{path} was trained on another split, and has no list of it: validation samples may be in it; {_ADVICE}"
    )


def _trained_on(path: Path) -> Iterator[tuple[Path, SampleIdentity]]:
    """The run of a checkpoint and its ancestors, by their lists of training samples, the nearest first."""
    paths = [path]
    for number in range(_MOST):
        if number == len(paths):
            return
        known, run = beside(paths[number]), paths[number].absolute().parent.parent
        if known:
            yield paths[number].parent.parent, known["train"]
            paths += [parent for parent in _parents(run) if parent not in paths]


def _parents(run: Path) -> Iterator[Path]:
    """The checkpoints that a run started from and learned from, by its data.json; none where that does not say."""
    try:
        data = strict_json.decode(read_own(run / "data.json", _LARGEST).decode())
    except (StorageError, ValueError):
        return
    for key in ("init_from", "teacher"):
        parent = data.get(key) if isinstance(data, dict) else None
        checkpoint = parent.get("checkpoint") if isinstance(parent, dict) else None
        if isinstance(checkpoint, str):
            yield Path(checkpoint)


def _scaled(warm: WarmStart, job: Job) -> str | None:
    wanted, pixels = scale.read(warm.pixels), scale.of(job.data.train.pixels, job.data.train_indices)
    if wanted is None or wanted.takes(pixels, 0):
        return None
    return f"{scale.mismatch('the training split', pixels, str(warm.path), wanted)}, or train from scratch"
