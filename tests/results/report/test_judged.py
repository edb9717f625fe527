"""What a report measures is summed as samples come in, in their order, and little is kept meanwhile."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from cnntrain.core.registry import make
from cnntrain.results.report.judged import _Measured

CLASSES, SHARDS, SIZE = 50, 12, 4
TASK = SimpleNamespace(reported=lambda _: ("accuracy", "f1", "mcc"), counted=lambda _: CLASSES)
NETWORK = SimpleNamespace(task=TASK, data=None, loss=make("losses", "cross_entropy"))
TRAINED = SimpleNamespace(network=NETWORK, tally=SimpleNamespace(metrics=()))


def measured(order: list[int]) -> tuple[dict[str, float], int]:
    """The metrics after shards in this order, and how many of them had to wait at most."""
    rng = np.random.default_rng(0)
    outputs = rng.normal(size=(SHARDS, SIZE, CLASSES)).astype(np.float32)
    targets = rng.integers(0, CLASSES, (SHARDS, SIZE))
    found, most = _Measured(TRAINED), 0
    for shard in order:
        found.add(shard * SIZE, outputs[shard], targets[shard])
        most = max(most, len(found._early))
    return found.values(), most


def test_shards_wait_only_for_those_before_them_and_sum_to_the_same_bits():
    values, waiting = measured([*range(SHARDS)])
    assert values.keys() == {"accuracy", "f1", "mcc"}
    assert waiting == 0
    swapped = [number ^ 1 for number in range(SHARDS)]
    assert measured(swapped) == (values, 1)
    assert measured([*reversed(range(SHARDS))])[0] == values
