"""Write tests/golden/networks from PyTorch: python -m tests.golden.make_networks.

The networks are written out once more in PyTorch, by hand, from the same papers the configs mean; only the numbers
of optimizer, loss and clipping are read from the config.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cnntrain.core.arrays import Array
from cnntrain.core.registry import make
from tests.support.golden_networks import BATCHES, NETWORKS, RUNS, Run, batches, network_of


class Smooth(nn.Module):
    """networks/smooth.yaml."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.block = nn.ModuleDict(
            {"conv": nn.Conv2d(6, 6, 3, padding=1, bias=False), "norm": nn.BatchNorm2d(6, eps=1e-3, momentum=0.2)}
        )
        narrow, wide = nn.Conv2d(6, 4, 1), nn.Conv2d(6, 4, 3, padding=1, groups=2)
        self.fork = nn.ModuleDict({"1": nn.ModuleDict({"conv": narrow}), "2": nn.ModuleDict({"conv": wide})})
        self.last = nn.BatchNorm2d(8)
        self.head = nn.Linear(3 * 3 * 8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.norm(self.stem(x)))
        x = torch.tanh(self.block["norm"](self.block["conv"](x))) + x
        x = functional.avg_pool2d(x, 3, stride=2, padding=1)
        narrow, wide = self.fork["1"]["conv"](x), self.fork["2"]["conv"](x)
        x = self.last(torch.cat([torch.sigmoid(narrow), torch.tanh(wide)], dim=1))
        return self.head(flat(functional.avg_pool2d(x, 2)))


class Kinked(nn.Module):
    """networks/kinked.yaml."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 5, padding=2, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.block = nn.ModuleDict(
            {
                "conv1": nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False),
                "norm1": nn.BatchNorm2d(8),
                "conv2": nn.Conv2d(8, 8, 3, padding=1, bias=False),
                "norm2": nn.BatchNorm2d(8),
                "shortcut": nn.Conv2d(6, 8, 1, stride=2, bias=False),
                "shortcut_norm": nn.BatchNorm2d(8),
            }
        )
        self.side = nn.Conv2d(6, 4, 3, stride=2, dilation=2)
        self.hidden = nn.Linear(2 * 2 * 12, 10, bias=False)
        self.last = nn.BatchNorm1d(10)
        self.head = nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        block = self.block
        pool = functional.max_pool2d(torch.relu(self.norm(self.stem(x))), 3, stride=2, padding=1)
        x = block["norm2"](block["conv2"](torch.relu(block["norm1"](block["conv1"](pool)))))
        x = torch.relu(x + block["shortcut_norm"](block["shortcut"](pool)))
        side = functional.leaky_relu(self.side(functional.pad(pool, (2, 1, 1, 2))))  # left, right, top, bottom
        x = functional.max_pool2d(torch.cat([x, side], dim=1), 2, stride=1)
        return self.head(torch.relu(self.last(self.hidden(flat(x)))))


def flat(x: Tensor) -> Tensor:
    """Features in the order of images whose channels come last."""
    return x.permute(0, 2, 3, 1).flatten(1)


MODULES = {"smooth": Smooth, "kinked": Kinked}
NAMES = {"scale": "weight", "shift": "bias"}  # cnntrain's name of a parameter -> PyTorch's, where it is another


def tensor_of(module: nn.Module, name: str) -> Tensor:
    """PyTorch's parameter or buffer of cnntrain's name."""
    owner, _, what = name.rpartition(".")
    found = getattr(module.get_submodule(owner), NAMES.get(what, what))
    assert isinstance(found, Tensor)
    return found


def theirs(array: Array) -> Tensor:
    """A parameter with its axes in PyTorch's order."""
    order = {4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim, range(array.ndim))
    return torch.tensor(array.transpose(tuple(order)).copy())


def ours(tensor: Tensor) -> Array:
    """A statistic as an array; it has one axis, in the same order everywhere."""
    array: Array = tensor.detach().numpy()
    return array.copy()


def optimizer_of(part: Any, module: nn.Module) -> torch.optim.Optimizer:
    """The config's optimizer, decaying the kernels of convolutions and the matrices of dense layers alone."""
    weights = [p for p in module.parameters() if p.ndim > 1]
    others = [p for p in module.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": part.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if part.name_in_config == "adam":
        return torch.optim.Adam(groups, lr=part.lr)
    return torch.optim.SGD(groups, lr=part.lr, momentum=part.momentum, nesterov=part.nesterov)


def clip(module: nn.Module, largest: float | None) -> None:
    """Scale the gradient down to that norm; PyTorch's own clip_grad_norm_ adds 1e-6 to the norm it divides by."""
    norm = torch.sqrt(sum((p.grad.double() ** 2).sum() for p in module.parameters()))
    if largest is not None and norm > largest:
        for p in module.parameters():
            p.grad *= largest / norm


def follow(run: Run, start: dict[str, Array], pixels: Array, labels: Array) -> dict[str, Array]:
    """Losses of every step; after the last, running statistics and the outputs for all images in evaluation."""
    experiment = run.loaded().experiment
    module = MODULES[run.network]().to(torch.float64 if run.dtype == np.float64 else torch.float32)
    with torch.no_grad():
        for name, array in start.items():
            tensor_of(module, name).copy_(theirs(array.astype(run.dtype)))
    optimizer = optimizer_of(experiment.optimizer, module)
    pool = [
        (torch.tensor(x.transpose(0, 3, 1, 2).copy()), torch.tensor(t)) for x, t in batches(pixels, labels, run.dtype)
    ]
    losses = []
    for step in range(run.steps):
        x, targets = pool[step % len(pool)]
        smoothing = experiment.loss.label_smoothing
        loss = functional.cross_entropy(module(x), targets, label_smoothing=smoothing)
        optimizer.zero_grad()
        loss.backward()
        clip(module, experiment.train.clip_norm)
        optimizer.step()
        losses.append(loss.item())
    module.eval()
    outputs = np.concatenate([ours(module(x)) for x, _ in pool])
    statistics = {name: ours(tensor_of(module, name)) for name in start if "running" in name}
    return {"losses": np.array(losses), "outputs": outputs} | statistics


def write(network: str, seed: int) -> None:
    """One file: pixels and labels, parameters at the start, and what every run made of them."""
    rng = np.random.default_rng(seed)
    run = next(run for run in RUNS if run.network == network)
    graph = network_of(run.loaded()).graph
    images = make("datasets", "synthetic", size=12, channels=3, classes=4, samples=sum(BATCHES), noise=0.4).load(
        "train"
    )
    order = rng.permutation(sum(BATCHES))
    pixels, labels = images.pixels[order], images.targets[order]
    start = {}
    for name, entry in graph.layout.entries.items():
        param = entry.param
        spread = param.fan_in**-0.5 if param.role == "weight" else 0.1
        middle = param.start or 0.0
        start[name] = (middle + spread * rng.uniform(-1, 1, param.shape)).astype(np.float32)
    found = {
        f"{run.name}/{what}": array
        for run in RUNS
        if run.network == network
        for what, array in follow(run, start, pixels, labels).items()
    }
    starts = {f"start/{name}": array for name, array in start.items()}
    np.savez_compressed(NETWORKS / f"{network}.npz", pixels=pixels, labels=labels, **starts, **found)


def main() -> None:
    """One file a network."""
    torch.set_num_threads(1)
    for seed, network in enumerate(MODULES):
        write(network, seed)


if __name__ == "__main__":
    main()
