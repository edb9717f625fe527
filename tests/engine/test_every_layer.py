"""One network with every registered layer in every example's setting: the same bits on any number of workers."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest

from cnntrain.config.fields import Declared
from cnntrain.core import registry
from cnntrain.engine.pool import Pool
from cnntrain.engine.ranks import ALONE, Ranks
from cnntrain.parts.layers.base import Layer
from tests.support.networks import declared, engine_of, random_batch
from tests.support.wires import on_ranks

SHAPE = (3, 3, 2)  # of the input
SAMPLES = 11  # with shards of 4, the last has 3


def examples(layer: type[Layer], prefix: str) -> tuple[list[Declared], list[str]]:
    """Entries that bring the batch into the shape of each example's inputs and through the layer; their last names."""
    entries, ends = [], []
    for number, example in enumerate(layer.examples):
        sources = []
        for position, shape in enumerate(example.inputs):
            name = f"{prefix}-{number}-in{position}"
            units = math.prod(shape)
            entries.append(declared("dense", units=units, name=f"{name}-flat", from_="rows"))
            entries.append(declared("reshape", shape=shape, name=name))
            sources.append(name)
        fields = {"from_": tuple(sources), "name": f"{prefix}-{number}"} | dict(example.fields)
        entries += [declared(layer.name_in_config, **fields), declared("flatten", name=f"{prefix}-{number}-out")]
        ends.append(f"{prefix}-{number}-out")
    return entries, ends


def network() -> list[Declared]:
    """Every layer side by side, joined at the end."""
    entries, ends = [declared("flatten", name="rows")], []
    for name, cls in registry.parts("layers").items():
        more, names = examples(cls, name)
        entries += more
        ends += names
    return [*entries, declared("concat", from_=tuple(ends)), declared("tanh"), declared("dense", units=3)]


def digest(threads: int, ranks: Ranks = ALONE) -> tuple[str, set[str]]:
    """Of the gradients of two steps, the running statistics and the outputs; and which layers took part."""
    sha = hashlib.sha256()
    with Pool(threads, ranks) as pool:
        engine = engine_of(network(), pool, shape=SHAPE, seed=3)
        for step in range(2):
            batches = [random_batch(SAMPLES, SHAPE, seed=7 + step), random_batch(SAMPLES - 2, SHAPE, seed=9 + step)]
            sha.update(engine.step(batches, step).tobytes())
            assert np.isfinite(engine.grads).all()
            sha.update(engine.grads.tobytes())
            engine.params -= 0.01 * engine.grads
        sha.update(engine.params.tobytes())
        sha.update(engine.outputs(random_batch(SAMPLES, SHAPE)).tobytes())
    return sha.hexdigest(), {node.layer.name_in_config for node in engine.graph.nodes}


@pytest.fixture(scope="module")
def alone() -> str:
    one, layers = digest(1)
    assert layers == set(registry.parts("layers"))
    return one


def test_every_layer_gives_the_same_bits_on_any_number_of_threads(alone):
    assert digest(3)[0] == alone


def test_every_layer_gives_the_same_bits_on_any_number_of_ranks(alone):
    assert [one for one, _ in on_ranks(2, lambda ranks: digest(2 - ranks.rank, ranks))] == [alone] * 2
