"""Golden networks: small networks and the runs of PyTorch that cnntrain has to follow.

A network is a config beside an .npz of the same name, which holds the initial parameters, the batches, and what PyTorch
made of them. `python -m tests.golden.make_networks` writes the .npz; the test reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntrain.config.load import Loaded, load
from cnntrain.core.arrays import Array
from cnntrain.network import build
from cnntrain.parts.datasets.base import Dataset
from tests.support.golden import GOLDEN

NETWORKS = GOLDEN / "networks"
BATCHES = (21, 17, 22)  # samples of each batch; a run takes them in turns
SHARD = 8  # divides none of them


@dataclass(frozen=True)
class Run:
    """One run of PyTorch: which network, its optimizer where it is another than the config's, for how long."""

    name: str
    network: str
    dtype: Any
    steps: int
    tolerance: float  # relative, of every loss and of what the network is at the end
    sets: tuple[str, ...] = ()

    def loaded(self) -> Loaded:
        """The experiment."""
        return load([NETWORKS / f"{self.network}.yaml"], self.sets)


ADAM = ("optimizer={type: adam, lr: 0.02, weight_decay: 1e-3}", "train.clip_norm=null")
RUNS = (
    Run("smooth-float32", "smooth", np.float32, 100, 1e-4),
    Run("smooth-adam-float64", "smooth", np.float64, 100, 1e-8, ADAM),
    Run("kinked-float32", "kinked", np.float32, 5, 1e-4),
    Run("kinked-float64", "kinked", np.float64, 100, 1e-8),
    Run("kinked-adam-float64", "kinked", np.float64, 100, 1e-8, ADAM),
)


def network_of(loaded: Loaded) -> build.Network:
    """The network of a golden config."""
    source = loaded.experiment.data.source
    assert isinstance(source, Dataset)
    description = source.describe()
    assert description is not None
    return build.network(loaded, description)


def batches(pixels: Array, labels: Array, dtype: Any) -> list[tuple[Array, Array]]:
    """Images (n, h, w, c) around 0 and labels (n,) of each batch, from those of all."""
    stops = np.cumsum(BATCHES)[:-1]
    x = (pixels / 255 - 0.5).astype(dtype)
    return list(zip(np.split(x, stops), np.split(labels, stops), strict=True))
