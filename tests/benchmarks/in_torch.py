"""The reference networks in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from tests.benchmarks.networks import NETWORKS, Block, Conv, Dense, Flatten, Inverted, Mean, Network, Part, Pool

LR, MOMENTUM = 0.01, 0.9


class Residual(nn.Module):
    """ReLU of a body's output plus its input, or what a shortcut makes of that."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Any) -> Any:
        return (self.body(x) + self.shortcut(x)).relu()


class Added(nn.Module):
    """A body's output plus its input."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Any) -> Any:
        return self.body(x) + x


def model_of(network: Network) -> nn.Sequential:
    """The network as a module that takes NCHW."""
    modules: list[nn.Module] = []
    height, width, channels = network.shape
    for part in network.parts:
        modules += _modules(part, channels, height * width * channels)
        match part:
            case Conv():
                height, width = ((n + 2 * part.padding - part.kernel_size) // part.stride + 1 for n in (height, width))
                channels = part.filters
            case Block() | Inverted():
                height, width, channels = -(-height // part.stride), -(-width // part.stride), part.filters
            case Pool():
                height, width = ((n + 2 * part.padding - part.kernel_size) // part.stride + 1 for n in (height, width))
            case Mean():
                height, width = 1, 1
            case Dense():
                height, width, channels = 1, 1, part.units
    return nn.Sequential(*modules)


def _modules(part: Part, channels: int, features: int) -> Iterator[nn.Module]:
    match part:
        case Conv():
            yield from _conv(part, channels)
        case Block():
            first, second = part.body
            same = part.stride == 1 and part.filters == channels
            shortcut = nn.Identity() if same else nn.Sequential(*_conv(part.shortcut, channels))
            yield Residual(nn.Sequential(*_conv(first, channels), *_conv(second, part.filters)), shortcut)
        case Inverted():
            body, coming = [], channels
            for conv in part.body:
                body += _conv(conv, coming)
                coming = conv.filters
            yield Added(nn.Sequential(*body)) if part.added else nn.Sequential(*body)
        case Pool():
            yield nn.MaxPool2d(part.kernel_size, part.stride, part.padding)
        case Mean():
            yield from (nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case Flatten():
            yield nn.Flatten()
        case Dense():
            yield nn.Linear(features, part.units)
            if part.relu:
                yield nn.ReLU()


def _conv(part: Conv, channels: int) -> Iterator[nn.Module]:
    groups = channels if part.depthwise else 1
    yield nn.Conv2d(
        channels, part.filters, part.kernel_size, part.stride, part.padding, groups=groups, bias=not part.norm
    )
    if part.norm:
        yield nn.BatchNorm2d(part.filters)
    if part.activation:
        yield {"relu": nn.ReLU, "relu6": nn.ReLU6}[part.activation]()


def step_of(network: str, batch: int, threads: int, inference: bool, mode: str) -> Callable[[], object]:
    """A training step, or the outputs of a batch; `mode` is "eager", "channels-last" or "compile"."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    height, width, channels = NETWORKS[network].shape
    model: Any = model_of(NETWORKS[network])
    x = torch.rand(batch, channels, height, width)
    labels = torch.randint(0, NETWORKS[network].classes, (batch,))
    if mode == "channels-last":
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)
    loss_of = nn.CrossEntropyLoss()
    if inference:
        model.eval()
    if mode == "compile":
        model = torch.compile(model)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss_of(model(x), labels).backward()
        optimizer.step()

    def infer() -> None:
        with torch.inference_mode():
            model(x)

    return infer if inference else step
