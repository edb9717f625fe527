"""The reference networks in cnntrain: as the text of a config, and as steps to be timed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.checks.timing import step_flops
from cnntrain.config.load import load_text
from cnntrain.core import blas
from cnntrain.core.description import Description
from cnntrain.engine.pool import Pool as Workers
from cnntrain.network import build
from cnntrain.training.rates import horizon
from cnntrain.training.stepper import BatchSource, Stepper
from tests.benchmarks.networks import NETWORKS, Block, Conv, Dense, Flatten, Inverted, Mean, Network, Part, Pool

GEMM = 1024  # rows and columns of the products the ceiling is measured with
LR, MOMENTUM = 0.01, 0.9


def config(network: str | Network, batch: int, source: str = "synthetic", shard: int | None = None) -> str:
    """A whole config that trains a network, which may be one of reference by name; `source` is YAML."""
    cut = f", shard: {shard}" if shard else ""
    layers = "".join(f"    - {line}\n" for part in _network(network).parts for line in _lines(part))
    return (
        f"data: {{source: {source}}}\n"
        f"train: {{epochs: 1, batch_size: {batch}{cut}}}\n"
        f"optimizer: {{type: sgd, lr: {LR}, momentum: {MOMENTUM}}}\n"
        f"model:\n  layers:\n{layers}"
    )


def _network(network: str | Network) -> Network:
    return NETWORKS[network] if isinstance(network, str) else network


def _lines(part: Part) -> list[str]:
    match part:
        case Conv():
            return _conv(part)
        case Block():
            return [f"{{type: residual, body: [{', '.join(_body(part))}], activation: relu}}"]
        case Inverted():
            return [f"{{type: residual, body: [{', '.join(_body(part))}]}}"] if part.added else _body(part)
        case Pool():
            window = f"kernel_size: {part.kernel_size}, stride: {part.stride}, padding: {part.padding}"
            return [f"{{type: max_pool2d, {window}}}"]
        case Mean():
            return ["global_avg_pool"]
        case Flatten():
            return ["flatten"]
        case Dense():
            return [f"{{type: dense, units: {part.units}}}", *(["relu"] if part.relu else [])]


def _body(part: Block | Inverted) -> list[str]:
    return [line for conv in part.body for line in _conv(conv)]


def _conv(part: Conv) -> list[str]:
    keys = f"kernel_size: {part.kernel_size}, padding: {part.padding}, stride: {part.stride}"
    keys += f", groups: {part.filters}" if part.depthwise else ""
    keys += ", bias: false" if part.norm else ""
    line = f"{{type: conv2d, filters: {part.filters}, {keys}}}"
    return [line, *(["batch_norm"] if part.norm else []), *([part.activation] if part.activation else [])]


def write_experiment(network: str, batch: int, samples: int, folder: Path) -> None:
    """Write experiment.yaml and the data it names, random pixels, an eighth as many to validate, into a folder."""
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", samples), ("val", samples // 8)):
        arrays[f"x_{split}"] = rng.integers(0, 256, (count, *NETWORKS[network].shape), dtype=np.uint8)
        arrays[f"y_{split}"] = np.arange(count) % NETWORKS[network].classes
    np.savez(folder / "data.npz", **arrays)
    text = config(network, batch, source=f"{{type: npz, path: {folder / 'data.npz'}}}")
    (folder / "experiment.yaml").write_text(text)


class Ready:
    """A batch that is in memory already, as the other frameworks get theirs."""

    views = 1

    def __init__(self, network: Network, batch: int) -> None:
        rng = np.random.default_rng(0)
        self._x = rng.random((batch, *network.shape), np.float32)
        self._labels = rng.integers(0, network.classes, batch)
        self._weights = np.ones(batch, np.float32)

    def __len__(self) -> int:
        return len(self._x)

    def fill(self, start: int, stop: int, x: Any) -> tuple[Any, Any]:
        """Copy samples start to stop into x, and return their labels and weights."""
        x[...] = self._x[start:stop]
        return self._labels[start:stop], self._weights[start:stop]


def stepper_of(
    network: str | Network, batch: int, workers: Workers, text: str | None = None, source: BatchSource | None = None
) -> Stepper:
    """A network with its first weights, at its training, by default on the same ready batch every step.

    `text` stands in for its config.
    """
    network = _network(network)
    loaded = load_text(text or config(network, batch), "network")
    built = build.network(loaded, Description(network.shape, tuple(map(str, range(network.classes)))))
    ready = Ready(network, batch)
    batches = source or (lambda _: [ready])
    stepper = Stepper(loaded, built, batches, horizon(loaded.experiment, 1, batch), workers)
    stepper.initialize()
    return stepper


def step_of(network: str, batch: int, threads: int, inference: bool) -> Callable[[], object]:
    """A step as `fit` takes it, forward, loss, backward, update; or the outputs of a batch."""
    blas.pin()
    stepper = stepper_of(network, batch, Workers(threads))
    (ready,) = stepper.source(0)
    if not inference:
        return lambda: stepper.step(0)
    stepper.engine.settle()  # as `predict` and `eval` do
    return lambda: stepper.engine.outputs(ready)


def gflop_of(network: str, batch: int, inference: bool) -> float:
    """10^9 floating-point operations of a step, by the definition of every layer."""
    with Workers(1) as workers:
        engine = stepper_of(network, batch, workers).engine
        each = engine.graph.flops() if inference else step_flops(engine.plans[True])  # no batch norm is folded there
        return sum(each) * batch / 1e9


def products_of(threads: int) -> Callable[[], object]:
    """One large product on every thread at once: the ceiling for whoever computes with NumPy."""
    blas.pin()
    workers = Workers(threads)
    matrices = [np.full((GEMM, GEMM), 1e-3, np.float32) for _ in range(3 * threads)]

    def product(_worker: int, index: int) -> None:
        a, b, c = matrices[3 * index : 3 * index + 3]
        np.matmul(a, b, out=c)

    return lambda: workers.run(threads, product)
