"""A teacher is a trained network whose outputs for the training samples arrive with the targets: loss distillation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from cnntrain.config.dump import plain
from cnntrain.config.load import Loaded, leaves, problem
from cnntrain.core import presence
from cnntrain.core.arrays import Array, to_file
from cnntrain.core.errors import CheckpointError
from cnntrain.data.build_data import Data
from cnntrain.data.loader import Samples
from cnntrain.engine.pool import Pool
from cnntrain.parts.losses.base import Loss, teacher_of
from cnntrain.parts.tasks.base import told
from cnntrain.trained.inference import Trained


@dataclass(frozen=True)
class Lesson:
    """A teacher's logits (n, classes) for all samples of the training source, and which network it was."""

    logits: Array
    path: Path
    digest: str  # SHA-256, in hex, of the teacher's parameters
    data: Mapping[str, Any] = field(default_factory=dict)  # what its checkpoint recorded of its samples


def learn(loaded: Loaded, data: Data, threads: int) -> Data:
    """The data with the teacher's logits, where the loss names a teacher.

    Raises ConfigError where it was trained on other classes or other images, CheckpointError where it cannot be read.
    """
    name = teacher_of(cast(Loss, loaded.experiment.loss))
    if name is None:
        return data
    _require(loaded, Path(name))
    with Pool(threads) as pool:
        trained = Trained(Path(name), pool)
        train = data.train
        if trained.description != data.description:
            raise problem(
                loaded,
                "loss.teacher",
                f"the teacher {trained.path} was trained on {told(trained.description)}, but the data is "
                f"{told(data.description)}, or their names differ",
            )
        trained.check_scale(train.pixels, "the training split")
        logits = trained.engine.outputs(Samples(train, np.arange(len(train)), trained.transforms))
        digest = hashlib.sha256(to_file(trained.engine.params).data).hexdigest()
    return replace(data, lesson=Lesson(logits, trained.path, digest, trained.own.recorded))


def _require(loaded: Loaded, path: Path) -> None:
    """Raise CheckpointError where no teacher is to be seen there; whoever resumes has no config at hand to mend."""
    if presence.exists(path, denied=CheckpointError):
        return
    document = {"loss": plain(loaded.experiment)["loss"]}
    key = next(key for key, value in leaves(document) if key.endswith(".teacher") and value is not None)
    raise CheckpointError(
        f"there is no checkpoint or run directory {path} (that is {path.absolute()}), which {key} names. Say where the "
        f"teacher lies with --set {key}=PATH"
    )
