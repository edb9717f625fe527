"""A saved experiment is the one that a checkpoint describes: config, shape of the images, classes.

A stranger may have written it. So it is checked as if typed by hand, and whatever does not hold is a CheckpointError:
the user of a checkpoint cannot mend the config inside.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from cnntrain.config.dump import plain
from cnntrain.config.load import Loaded, load_plain, load_resolved
from cnntrain.config.schema import Experiment
from cnntrain.config.tree import RESOLVED
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.description import Description
from cnntrain.core.errors import CheckpointError, ConfigError, DataError, StorageError
from cnntrain.core.registry import KINDS, Part
from cnntrain.data import build_data
from cnntrain.data.loader import array_shapes, with_arrays
from cnntrain.network import build
from cnntrain.network.tally import TALLIES, Tally
from cnntrain.parts.datasets.base import PLACES, Dataset
from cnntrain.parts.datasets.labels import MAX_CLASSES
from cnntrain.parts.tasks.base import Task
from cnntrain.parts.transforms.base import Transform
from cnntrain.rundir.checkpoint import FOLDER, LAST, Checkpoint, changed_packages, read_meta, require_parts

_TEACHER = "teacher"  # the field of a loss that says where one lies
_MEASURED = 12  # the numerics of the first version that measures statistics of averaged weights before every save


def experiment(checkpoint: Checkpoint, sets: Sequence[str] = (), fitted: bool = False) -> tuple[Loaded, Description]:
    """The experiment a checkpoint was trained by, with the user's `KEY=VALUE` overrides, and what it says of its data.

    With `fitted`, evaluation transforms and the loss have what they measured on the training data. Raises
    CheckpointError unless the config is sound and makes a network of that data; ConfigError where that is the fault of
    an override.
    """
    checkpoint.require(config=dict, config__data=dict, image_shape=list, classes=list, values=int)
    checkpoint.require(eval_transforms=list, position__step=int)
    meta, file = checkpoint.meta, str(checkpoint.path)
    description = _description(checkpoint)
    config: dict[str, Any] = dict(meta["config"])
    if fitted:
        config["data"] = config["data"] | {"eval_transforms": meta["eval_transforms"]}
        config["loss"] = meta.get("loss", config.get("loss"))  # class weights as they were counted
    require_parts(checkpoint.path, checkpoint.meta)
    with blaming(checkpoint):
        loaded = replace(load_plain(config, file), begun=True)
        build.network(loaded, description)
    return (replace(load_plain(config, file, sets), begun=True) if sets else loaded), description


def is_place(key: str) -> bool:
    """Whether a key of a config says where data or a teacher lies, which digests show to be the same elsewhere."""
    room, field = key.partition(".")[0], key.rpartition(".")[2]
    return (room == "data" and field in PLACES) or (room == "loss" and field == _TEACHER)


def moved(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint of a run with the places of data and teacher by which the run went on, as its last one has them."""
    last = checkpoint.path.with_name(LAST)
    if checkpoint.path.absolute().parent.name != FOLDER or checkpoint.path.name == LAST or not os.path.exists(last):
        return checkpoint
    with contextlib.suppress(CheckpointError, StorageError):  # whoever needs that file will say so
        return replace(checkpoint, meta=with_places(checkpoint.meta, read_meta(last)))
    return checkpoint


def with_places(meta: Mapping[str, Any], latest: Mapping[str, Any]) -> dict[str, Any]:
    """The meta of a checkpoint with the places of data and teacher that the meta of a later one has."""
    keys = {"config": "", "eval_transforms": "data.eval_transforms"}
    return dict(meta) | {name: _placed(meta[name], latest.get(name), key) for name, key in keys.items() if name in meta}


def _placed(mine: Any, latest: Any, key: str) -> Any:
    """Plain settings with the places that others of the same form have; `key` is theirs in a config."""
    if isinstance(mine, dict) and isinstance(latest, dict):
        return {name: _placed(value, latest.get(name), f"{key}.{name}".strip(".")) for name, value in mine.items()}
    if isinstance(mine, list) and isinstance(latest, list):
        pairs = itertools.zip_longest(mine, latest[: len(mine)])
        return [_placed(one, other, f"{key}.{number}") for number, (one, other) in enumerate(pairs)]
    return latest if type(mine) is type(latest) is str and is_place(key) else mine


def located(loaded: Loaded, path: Path) -> Loaded:
    """A checkpoint's experiment, whose network knows its lines in the run's config.resolved.yaml, if that has it."""
    try:
        written = load_resolved(path / RESOLVED)
    except (StorageError, ConfigError):
        return loaded
    if plain(written.experiment.model) != plain(loaded.experiment.model):
        return loaded
    marks = {path: mark for path, mark in written.marks.items() if path.partition(".")[0] in ("model", "loss")}
    experiment = replace(loaded.experiment, model=written.experiment.model)
    return replace(loaded, experiment=experiment, marks={**loaded.marks, **marks})


def require_data(source: Part, key: str, path: Path) -> None:
    """Raise DataError, saying how to name its new place, where the data of the checkpoint at a path has moved."""
    for field in fields(cast(Any, source)):
        name, value = field.name, getattr(source, field.name)
        if name in PLACES and value is not None and not Path(value).exists():
            raise DataError(
                f"{Path(value).absolute()} does not exist: the data of {path} is looked for there. Say where "
                f"it lies with --set {key}.{name}=PATH; relative paths count from the working directory"
            )
        if isinstance(value, Dataset):
            require_data(value, f"{key}.{name}", path)
        for number, inner in enumerate(value if isinstance(value, tuple) else ()):
            if isinstance(inner, Dataset):
                require_data(inner, f"{key}.{name}.{number}", path)


def require_places(experiment: Experiment, path: Path) -> None:
    """Raise DataError as `require_data` does where anything that training reads has moved."""
    data = experiment.data
    parts = {"data.source": data.source, "data.val": data.val}
    for name in ("train_transforms", "eval_transforms"):
        parts |= {f"data.{name}.{number}": part for number, part in enumerate(getattr(data, name))}
    for key, part in parts.items():
        if isinstance(part, Part):
            require_data(part, key, path)


def transforms(checkpoint: Checkpoint, loaded: Loaded, shape: Shape) -> tuple[Transform, ...]:
    """The evaluation transforms of a checkpoint with the arrays they measured, for images of this shape.

    Raises CheckpointError where the arrays are not those that they need.
    """
    chosen = build_data.transforms(loaded.experiment.data.eval_transforms)
    wanted = array_shapes(chosen, shape)
    checkpoint.expect({name: (size, np.float32) for name, size in wanted.items()}, prefix="transform/")
    return with_arrays(chosen, {name: checkpoint.arrays[name] for name in wanted})


def averaged(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint holds averaged weights, which are then those to be used. Raises CheckpointError.

    Not while their running statistics are still to be measured.
    """
    if not checkpoint.meta.get("average"):
        return False
    checkpoint.require(average__count=int)
    return bool(checkpoint.meta["average"]["count"] > 0) and not stale(checkpoint)


def stale(checkpoint: Checkpoint) -> int:
    """The step after which its average moved to weights whose statistics are still to be measured; 0 where none are.

    Raises CheckpointError.
    """
    if "stale" not in checkpoint.meta["average"]:
        return 0
    checkpoint.require(average__stale=int, position__step=int)
    step = int(checkpoint.meta["average"]["stale"])
    if not 0 < step <= checkpoint.meta["position"]["step"]:
        raise CheckpointError(
            f"{checkpoint.path} is damaged: its meta has an impossible average.stale. Restore it from a copy"
        )
    return step


def never_measured(checkpoint: Checkpoint) -> bool:
    """Whether it is of a version that measured the statistics of averaged weights in validations alone, if at all."""
    return numerics(checkpoint) < _MEASURED and "stale" not in checkpoint.meta["average"]


def renewed(checkpoint: Checkpoint, tally: Tally) -> Checkpoint:
    """A checkpoint with its tallies as `tally` lays them out, which those of version 0.1.0 have otherwise."""
    if numerics(checkpoint):
        return checkpoint
    found = checkpoint.arrays
    return replace(checkpoint, arrays=found | {name: tally.renewed(found[name]) for name in TALLIES if name in found})


def numerics(checkpoint: Checkpoint) -> int:
    """The revision of the arithmetic that wrote a checkpoint; 0 for version 0.1.0, which did not record it."""
    recorded = checkpoint.meta.get("environment")
    found = recorded.get("numerics") if isinstance(recorded, dict) else None
    return found if isinstance(found, int) else 0


def weights(checkpoint: Checkpoint) -> str:
    """Which weights a checkpoint means: "averaged" where an average had begun and is whole, else "trained"."""
    return "averaged" if averaged(checkpoint) else "trained"


def used(checkpoint: Checkpoint) -> dict[str, Array]:
    """The parameters that a checkpoint means, under `param/`."""
    checkpoint.require(config=dict, position__step=int)
    source = "average/" if averaged(checkpoint) else "param/"
    return {
        name.replace(source, "param/", 1): array for name, array in checkpoint.arrays.items() if name.startswith(source)
    }


def operating(checkpoint: Checkpoint, task: Task) -> Task:
    """The task at the operating point that validation found; as it is for older checkpoints. Raises CheckpointError."""
    point = checkpoint.meta.get("operating_point", {})
    try:
        return task.operating_at(point if isinstance(point, dict) else {"": point})
    except ValueError as error:
        raise CheckpointError(f"{checkpoint.path} is damaged: {error}. Restore it from a copy") from error


@contextlib.contextmanager
def blaming(checkpoint: Checkpoint) -> Iterator[None]:
    """Turn a ConfigError into a CheckpointError, one line, because the config stands in this checkpoint."""
    try:
        yield
    except ConfigError as error:
        first, *others = error.problems
        what = f"{first.message} (and {len(others)} more)" if others else first.message
        raise CheckpointError(
            f"{checkpoint.path} holds a config that cannot be used: {what}{'' if what.endswith('?') else '.'} "
            f"{_advice(checkpoint, first.message)}"
        ) from error


def _advice(checkpoint: Checkpoint, problem: str) -> str:
    """What to do where the first problem of a checkpoint's config is this one."""
    if changed := changed_packages(checkpoint.meta):
        return f"Install what its parts came from ({'; '.join(changed)})"
    lacking = next((kind for kind, noun in KINDS.items() if problem.startswith(f"unknown {noun} ")), None)
    if lacking:
        return (
            f"It is missing here: put the file of a part of your own into cnntrain/parts/{lacking}, or install the "
            "package, or the version of cnntrain, that has it"
        )
    return "Restore it from a copy"


def warnings(checkpoint: Checkpoint) -> list[str]:
    """What may make the network of a checkpoint answer otherwise than it did, or than its config lets one expect."""
    changed = "; ".join(changed_packages(checkpoint.meta))
    told = [f"{checkpoint.path} may not answer as when it was written: {changed}"] if changed else []
    return told + unmeasured(checkpoint)


def unmeasured(checkpoint: Checkpoint) -> list[str]:
    """A line that says so where a checkpoint has an average that is not used yet; else nothing."""
    if not checkpoint.meta.get("average") or not stale(checkpoint):
        return []
    return [
        f"{checkpoint.path} is used with its trained weights, the average is not measured yet: resuming the run does it"
    ]


def _shown(text: Any) -> str:
    """A text that a stranger may have written, quoted, short and harmless."""
    return ascii(text) if len(ascii(text)) <= 80 else f"{ascii(text)[:77]}..."


def _description(checkpoint: Checkpoint) -> Description:
    meta = checkpoint.meta
    shape, classes, values = meta["image_shape"], meta["classes"], meta["values"]
    target = meta.get("target", "")  # checkpoints older than tasks have none
    sound = {
        "image_shape": len(shape) in (3, 4) and all(type(extent) is int and extent > 0 for extent in shape),
        "classes": len(classes) <= MAX_CLASSES and all(type(name) is str for name in classes),
        "values": 0 <= values < 2**31,
        "target": type(target) is str and target.isprintable(),
        "position.step": meta["position"]["step"] >= 0,
    }
    for key, holds in sound.items():
        if not holds:
            raise CheckpointError(
                f"{checkpoint.path} is damaged: its meta has an impossible {key}. Restore it from a copy"
            )
    return Description(tuple(shape), tuple(classes), values, target)
