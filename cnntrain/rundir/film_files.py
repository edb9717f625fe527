"""The files of a film: one for each moment, named after its step, and one with the samples that it looks at."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from cnntrain.core.errors import CheckpointError
from cnntrain.rundir import checkpoint
from cnntrain.rundir.checkpoint import Checkpoint

FOLDER = "film"  # in a run directory
SAMPLES = "samples.npz"
_NAME = re.compile(r"step-(\d{8,18})\.npz")
_MOST = 1000  # moments that are read


@dataclass(frozen=True)
class FilmFiles:
    """A film as it was kept: its samples, and its moments in their order."""

    samples: Checkpoint
    moments: list[Checkpoint]


def name(step: int) -> str:
    """The file of the moment after `step` steps."""
    return f"step-{step:08d}.npz"


def step_of(name: str) -> int | None:
    """The step of a moment's file; None for any other."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def belongs(name: str) -> bool:
    """Whether a file of that name is a film's."""
    return name == SAMPLES or step_of(name) is not None


def read(run: Path) -> FilmFiles:
    """The film of a run directory, every byte verified. Raises CheckpointError where there is none."""
    folder = run / FOLDER
    names = [each for each in os.listdir(folder) if step_of(each) is not None] if os.path.isdir(folder) else []
    if not names:
        raise CheckpointError(
            f"{run} has no film. Train with --set checkpoint.film=20 to keep one; an unfinished run films what is "
            "left of it with --resume --set checkpoint.film=20"
        )
    moments = [checkpoint.read(folder / each) for each in sorted(names, key=lambda each: step_of(each) or 0)[:_MOST]]
    for moment in moments:
        moment.require(step=int, epoch=float, judged=int, values=dict, layers=list)
    samples = checkpoint.read(folder / SAMPLES)
    samples.require(split=str, numbers=list, told=list)
    return FilmFiles(samples, moments)
