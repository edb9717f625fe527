"""A layer alone: run by itself on arrays a check can look at, with draws and parameters of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnntrain.core.arrays import Array, Shape
from cnntrain.engine.solo import Outcome, Solo, parameters
from cnntrain.parts.layers.base import Layer


def start(layer: Layer, *inputs: Shape, dtype: Any = np.float64, seed: int = 0) -> dict[str, Array]:
    """Random parameters; a declared start is moved off its value, so that no factor is 1 and no term 0."""
    return parameters(layer, inputs, np.random.default_rng(seed), dtype)


def run(
    layer: Layer,
    xs: Sequence[Array],
    p: Mapping[str, Array],
    dy: Array | None = None,
    *,
    training: bool = True,
    cuts: Sequence[int] = (),
    wanted: Sequence[bool] | None = None,
    inplace: bool = False,
    frozen: bool = False,
    clean: bool = False,
    seed: int = 7,
) -> Outcome:
    """Forward, and with dy also backward and the statistics, over the shards that lie between `cuts`.

    `clean` buffers begin as zeros, and nothing in them is overwritten.
    """
    solo = Solo(
        layer,
        [x.shape[1:] for x in xs],
        cuts,
        training=training,
        frozen=frozen,
        inplace=inplace,
        clean=clean,
        streams=lambda shard: np.random.default_rng([seed, shard]),
    )
    return solo.run(xs, p, dy, wanted)
