"""Golden networks: from the same weights and batches, training goes where PyTorch's goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnntrain import build
from cnntrain.arrays import Array
from cnntrain.engine.engine import Engine
from cnntrain.engine.pool import Pool
from cnntrain.engine.update import Updater
from cnntrain.schedules.base import Horizon
from tests.support.golden_networks import NETWORKS, RUNS, SHARD, Run, batches, network_of
from tests.support.networks import Fixed


def _follow(run: Run, arrays: dict[str, Array], pool: Pool) -> dict[str, Any]:
    """What cnntrain makes of what PyTorch was given."""
    loaded = run.loaded()
    experiment, network = loaded.experiment, network_of(loaded)
    engine = Engine(network.graph, network.tally, pool, dtype=run.dtype, shard=SHARD)
    views = network.graph.layout.views(engine.params)
    for name, view in views.items():
        view[...] = arrays[f"start/{name}"]
    optimizer, schedule = build.optimizer(experiment), build.schedule(experiment)
    updater = Updater(optimizer, network.graph.layout, pool, engine.params, engine.grads)
    given = [Fixed(x, targets) for x, targets in batches(arrays["pixels"], arrays["labels"], run.dtype)]
    losses = []
    for step in range(run.steps):
        losses.append(engine.tally.mean_loss(engine.step([given[step % len(given)]], step)))
        lr = schedule(step, Horizon(run.steps, len(given)), optimizer.lr)
        updater.apply(lr, step, experiment.train.clip_norm)
    statistics = {name: view for name, view in views.items() if "running" in name}
    outputs = np.concatenate([engine.outputs(batch) for batch in given])
    return {"losses": np.array(losses), "outputs": outputs} | statistics


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_training_follows_pytorch(run):
    with np.load(NETWORKS / f"{run.network}.npz", allow_pickle=False) as file:
        arrays = dict(file)
    expected = {
        name.removeprefix(f"{run.name}/"): array for name, array in arrays.items() if name.startswith(f"{run.name}/")
    }
    with Pool(3) as pool:
        found = _follow(run, arrays, pool)
    assert found.keys() == expected.keys()
    assert len(found["losses"]) == run.steps
    assert expected["losses"][-1] < expected["losses"][0]  # it has learnt something worth following
    for name, array in expected.items():
        scale = np.abs(array) if name == "losses" else np.abs(array).max()
        worst = np.max(np.abs(found[name] - array) / scale)
        assert worst < run.tolerance, f"{name} differs by {worst:.1e}"
