"""An inspection tells what is in a checkpoint: what wrote it, where training stood, and every array with its range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnntrain.config.load import Loaded
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.console import Console
from cnntrain.core.counts import foremost
from cnntrain.core.errors import CheckpointError
from cnntrain.data.loader import arrays_of
from cnntrain.engine.examination import Extremes
from cnntrain.network import build
from cnntrain.network.build import Network
from cnntrain.network.tally import TALLIES
from cnntrain.rundir.checkpoint import Checkpoint, find, read
from cnntrain.trained import saved

_TOLD = ("format", "min_reader", "cnntrain", "classes", "values", "image_shape", "position", "monitor", "environment")


def inspect(path: Path, verify: bool = False) -> dict[str, Any]:
    """What `inspect --json` prints of a checkpoint, or of a run directory's best, else its last.

    Every array is read and checked against its SHA-256. With `verify` the arrays must also be those that the config
    inside declares, and weights and statistics finite. Raises CheckpointError where any of this fails.
    """
    checkpoint = read(find(path))
    checkpoint.require(config=dict, classes=list, values=int, image_shape=list, monitor=dict, environment=dict)
    checkpoint.require(position__step=int, position__closed=int)
    if verify:
        _verify(checkpoint)
    for line in saved.unmeasured(checkpoint):
        Console("none").warn(line)
    digests = checkpoint.digests()
    return {
        "checkpoint": str(checkpoint.path),
        "bytes": checkpoint.path.stat().st_size,
        "name": checkpoint.meta["config"].get("name"),
        "weights": saved.weights(checkpoint),
        **{key: checkpoint.meta[key] for key in _TOLD},
        "arrays": [_about(name, array) | {"sha256": digests[name]} for name, array in checkpoint.arrays.items()],
        "verified": verify,
    }


def _about(name: str, array: Array) -> dict[str, Any]:
    seen = Extremes()
    seen.see(array)
    return {"name": name, "dtype": str(array.dtype), "shape": list(array.shape)} | seen.document()


def _verify(checkpoint: Checkpoint) -> None:
    loaded, description = saved.experiment(checkpoint)
    with saved.blaming(checkpoint):
        network = build.network(loaded, description)
    checkpoint = saved.renewed(checkpoint, network.tally)
    checkpoint.expect(_declared(checkpoint, loaded, network))
    arrays = checkpoint.arrays.items()  # with an infinite slot, older versions went on training
    broken = [name for name, array in arrays if name.startswith("param/") and not np.isfinite(array).all()]
    if broken:
        raise CheckpointError(
            f"{checkpoint.path} holds numbers that are not finite, in {foremost(broken)}. "
            "cnntrain never saves such numbers: restore the file from a copy"
        )


def _declared(checkpoint: Checkpoint, loaded: Loaded, network: Network) -> dict[str, tuple[Shape, npt.DTypeLike]]:
    """The arrays that a checkpoint with this config has, with shape and dtype: those of `State.arrays`."""
    entries = network.graph.layout.entries
    parameters = {name: (entry.param.shape, np.float32) for name, entry in entries.items()}
    declared: dict[str, tuple[Shape, npt.DTypeLike]] = {f"param/{name}": kind for name, kind in parameters.items()}
    measured = arrays_of(saved.transforms(checkpoint, loaded, network.image_shape))
    declared |= {name: (array.shape, array.dtype) for name, array in measured.items()}
    if "merged" in checkpoint.meta:  # by `cnntrain average`: for eval and predict alone
        return declared
    trained = [name for name, entry in entries.items() if entry.offset < network.graph.layout.trained]
    for slot in build.optimizer(loaded.experiment).state_names():
        declared |= {f"slot/{slot}/{name}": parameters[name] for name in trained}
    if loaded.experiment.train.average:
        declared |= {f"average/{name}": kind for name, kind in parameters.items()}
    return declared | dict.fromkeys(TALLIES, ((network.tally.size,), np.float64))
