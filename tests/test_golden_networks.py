"""Golden networks: from the same weights and batches, training goes where PyTorch's goes."""

from __future__ import annotations

import numpy as np
import pytest

from cnntrain.checks.selftest import follow
from cnntrain.engine.pool import Pool
from tests.support.golden_networks import BATCHES, NETWORKS, RUNS


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_training_follows_pytorch(run):
    with np.load(NETWORKS / f"{run.network}.npz", allow_pickle=False) as file:
        arrays = dict(file)
    expected = {
        name.removeprefix(f"{run.name}/"): array for name, array in arrays.items() if name.startswith(f"{run.name}/")
    }
    with Pool(3) as pool:
        found = follow(run.loaded(), arrays | {"batches": np.array(BATCHES)}, run.steps, run.dtype, pool)
    assert found.keys() == expected.keys()
    assert len(found["losses"]) == run.steps
    assert expected["losses"][-1] < expected["losses"][0]  # it has learnt something worth following
    for name, array in expected.items():
        scale = np.abs(array) if name == "losses" else np.abs(array).max()
        worst = np.max(np.abs(found[name] - array) / scale)
        assert worst < run.tolerance, f"{name} differs by {worst:.1e}"
