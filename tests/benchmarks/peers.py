"""One framework at work on one reference network: a process that takes as many training steps as it is told to.

`python -m tests.benchmarks.peers PEER NETWORK BATCH [--inference]` prints "ready", then for every line with a
number takes that many steps and prints the seconds they took; an empty line ends it, and it prints its peak memory.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.benchmarks.networks import CLASSES, MOBILE, NETWORKS

PEERS = ("cnntrain", "torch", "torch-channels-last", "torch-compile")
THREADS = 2
LR, MOMENTUM = 0.01, 0.9

Step = Callable[[], Any]


def cnntrain_step(network: str, batch: int, inference: bool) -> Step:
    """A step of cnntrain: forward, loss, backward, update, as `fit` takes it, on pixels that are ready."""
    from cnntrain import blas, build
    from cnntrain.config.load import load_text
    from cnntrain.datasets.base import Description
    from cnntrain.engine.engine import Engine
    from cnntrain.engine.pool import Pool
    from cnntrain.engine.update import Updater

    # isort: split
    import numpy as np

    blas.pin()
    reference = NETWORKS[network]
    layers = "".join("    " + line + "\n" for line in reference.layers.splitlines())
    text = (
        f"data: {{source: synthetic}}\ntrain: {{epochs: 1, batch_size: {batch}}}\n"
        f"optimizer: {{type: sgd, lr: {LR}, momentum: {MOMENTUM}}}\nmodel:\n  layers:\n{layers}"
    )
    loaded = load_text(text, network)
    description = Description(reference.shape, tuple(str(i) for i in range(CLASSES)))
    built = build.network(loaded, description)
    pool = Pool(THREADS)
    engine = Engine(built.graph, built.tally, pool)
    build.initialize(built.graph, loaded.experiment.init, 0, engine.params)
    updater = Updater(build.optimizer(loaded.experiment), built.graph.layout, pool, engine.params, engine.grads)
    rng = np.random.default_rng(0)
    x = rng.random((batch, *reference.shape), np.float32)
    labels = rng.integers(0, CLASSES, batch)
    ones = np.ones(batch, np.float32)

    class Ready:
        def __len__(self) -> int:
            return batch

        def fill(self, start: int, stop: int, out: Any) -> tuple[Any, Any]:
            out[...] = x[start:stop]
            return labels[start:stop], ones[start:stop]

    ready = Ready()

    def step() -> None:
        engine.step([ready], 0)
        updater.apply(LR, 0)

    return (lambda: engine.outputs(ready)) if inference else step


def torch_step(network: str, batch: int, inference: bool, mode: str) -> Step:
    """The same step in PyTorch."""
    import torch
    from torch import nn

    torch.set_num_threads(THREADS)
    model: Any = _torch_model(network)
    x = torch.rand(batch, *(NETWORKS[network].shape[i] for i in (2, 0, 1)))
    labels = torch.randint(0, CLASSES, (batch,))
    if mode == "torch-channels-last":
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)
    loss_of = nn.CrossEntropyLoss()
    if mode == "torch-compile":
        model = torch.compile(model)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss_of(model(x), labels).backward()
        optimizer.step()

    def infer() -> None:
        with torch.inference_mode():
            model(x)

    if inference:
        model.eval()
    return infer if inference else step


def _torch_model(network: str) -> Any:
    from torch import nn

    def conv(i: int, o: int, norm: bool = False) -> list[Any]:
        return [nn.Conv2d(i, o, 3, padding=1, bias=not norm), *([nn.BatchNorm2d(o)] if norm else []), nn.ReLU()]

    class Block(nn.Module):
        def __init__(self, i: int, o: int, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(),
                nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o),
            )  # fmt: skip
            same = stride == 1 and i == o
            self.short = (
                nn.Identity() if same else nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))
            )

        def forward(self, x: Any) -> Any:
            return (self.body(x) + self.short(x)).relu()

    def separable(i: int, o: int, stride: int) -> list[Any]:
        return [
            nn.Conv2d(i, i, 3, stride, 1, groups=i, bias=False), nn.BatchNorm2d(i), nn.ReLU(),
            nn.Conv2d(i, o, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(),
        ]  # fmt: skip

    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    made: dict[str, Callable[[], list[Any]]] = {
        "mlp": lambda: [nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, CLASSES)],
        "lenet": lambda: [
            nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, CLASSES),
        ],
        "vgg_small": lambda: [
            *conv(3, 32), *conv(32, 32), nn.MaxPool2d(2), *conv(32, 64), *conv(64, 64), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(4096, 256), nn.ReLU(), nn.Linear(256, CLASSES),
        ],
        "resnet20": lambda: [
            *conv(3, 16, norm=True),
            Block(16, 16, 1), Block(16, 16, 1), Block(16, 16, 1),
            Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1),
            Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1),
            *head, nn.Linear(64, CLASSES),
        ],
        "vgg_wide": lambda: [
            *conv(3, 64, norm=True), *conv(64, 64, norm=True), nn.MaxPool2d(2),
            *conv(64, 128, norm=True), *conv(128, 128, norm=True), nn.MaxPool2d(2),
            *conv(128, 256, norm=True), *conv(256, 256, norm=True), nn.MaxPool2d(2),
            *head, nn.Linear(256, CLASSES),
        ],
        "mobilenet": lambda: [
            *conv(3, 32, norm=True), *(layer for block in MOBILE for layer in separable(*block)),
            *head, nn.Linear(MOBILE[-1][1], CLASSES),
        ],
    }  # fmt: skip
    return nn.Sequential(*made[network]())


def main() -> None:
    """Serve steps until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("batch", type=int)
    parser.add_argument("--inference", action="store_true")
    arguments = parser.parse_args()
    if arguments.peer == "cnntrain":
        step = cnntrain_step(arguments.network, arguments.batch, arguments.inference)
    else:
        step = torch_step(arguments.network, arguments.batch, arguments.inference, arguments.peer)
    for _ in range(3):
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        if not line.strip():
            break
        count = int(line)
        start = time.perf_counter()
        for _ in range(count):
            step()
        print(time.perf_counter() - start, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)


if __name__ == "__main__":
    main()
