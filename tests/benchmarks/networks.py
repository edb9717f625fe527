"""The reference networks of the benchmarks, described once; a peer builds each in its own framework's words.

This module and those of the other frameworks import nothing of cnntrain, which tells the libraries under NumPy to
use one thread before they are loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Activation = Literal["relu", "relu6"]


@dataclass(frozen=True)
class Conv:
    """A convolution, and what follows it; with `depthwise` one filter a channel, as many as come in."""

    filters: int
    kernel_size: int = 3
    padding: int = 1
    stride: int = 1
    depthwise: bool = False
    norm: bool = False  # batch norm, and no bias
    activation: Activation | None = "relu"


@dataclass(frozen=True)
class Block:
    """ResNet's basic block; where it changes the shape, its shortcut is a 1x1 convolution with batch norm."""

    filters: int
    stride: int = 1

    @property
    def body(self) -> tuple[Conv, Conv]:
        """The two convolutions; the sum comes before the last ReLU."""
        return Conv(self.filters, stride=self.stride, norm=True), Conv(self.filters, norm=True, activation=None)

    @property
    def shortcut(self) -> Conv:
        """What the input goes through where the block changes its shape."""
        return Conv(self.filters, kernel_size=1, padding=0, stride=self.stride, norm=True, activation=None)


@dataclass(frozen=True)
class Inverted:
    """MobileNet v2's block, wide inside; where it keeps the shape, its input is added to its output."""

    channels: int  # that come in
    filters: int
    stride: int = 1
    widened: int = 6  # times as many channels inside

    @property
    def body(self) -> tuple[Conv, ...]:
        """Pointwise, depthwise, pointwise; the first is left out where nothing is widened."""
        inside = self.channels * self.widened
        widening = Conv(inside, kernel_size=1, padding=0, norm=True, activation="relu6")
        return (
            *([widening] if self.widened > 1 else []),
            Conv(inside, stride=self.stride, depthwise=True, norm=True, activation="relu6"),
            Conv(self.filters, kernel_size=1, padding=0, norm=True, activation=None),
        )

    @property
    def added(self) -> bool:
        """Whether the input is added."""
        return self.stride == 1 and self.channels == self.filters


@dataclass(frozen=True)
class Pool:
    """The largest value of every window."""

    kernel_size: int = 2
    stride: int = 2
    padding: int = 0


@dataclass(frozen=True)
class Mean:
    """The mean of each channel."""


@dataclass(frozen=True)
class Flatten:
    """All values in a row."""


@dataclass(frozen=True)
class Dense:
    """A fully connected layer."""

    units: int
    relu: bool = False


Part = Conv | Block | Inverted | Pool | Mean | Flatten | Dense


@dataclass(frozen=True)
class Network:
    """A reference network: the shape of its input, height, width and channels, and its parts in order."""

    shape: tuple[int, int, int]
    parts: tuple[Part, ...]
    classes: int = 10


def _vgg(*widths: int, norm: bool = False) -> tuple[Part, ...]:
    return tuple(part for width in widths for part in (Conv(width, norm=norm), Conv(width, norm=norm), Pool()))


def _separable(filters: int, stride: int, channels: int) -> tuple[Conv, Conv]:
    """MobileNet's block: a depthwise convolution, then a pointwise one (Howard et al. 2017)."""
    depthwise = Conv(channels, stride=stride, depthwise=True, norm=True)
    return depthwise, Conv(filters, kernel_size=1, padding=0, norm=True)


def _inverted(*stages: tuple[int, int, int, int, int]) -> tuple[Inverted, ...]:
    """MobileNet v2's stages (Sandler et al. 2018): channels, widened, filters, blocks and the first one's stride."""
    return tuple(
        Inverted(filters if i else channels, filters, 1 if i else stride, widened)
        for channels, widened, filters, blocks, stride in stages
        for i in range(blocks)
    )


NETWORKS = {
    "mlp": Network((28, 28, 1), (Flatten(), Dense(512, relu=True), Dense(10))),
    "lenet": Network(
        (28, 28, 1),
        (
            *(Conv(20, kernel_size=5, padding=0, activation=None), Pool()),
            *(Conv(50, kernel_size=5, padding=0, activation=None), Pool()),
            *(Flatten(), Dense(500, relu=True), Dense(10)),
        ),
    ),
    "vgg_small": Network((32, 32, 3), (*_vgg(32, 64), Flatten(), Dense(256, relu=True), Dense(10))),
    "resnet20": Network(
        (32, 32, 3),
        (
            Conv(16, norm=True),
            *(Block(filters, 2 if filters > 16 and i == 0 else 1) for filters in (16, 32, 64) for i in range(3)),
            *(Mean(), Dense(10)),
        ),
    ),
    "vgg_wide": Network((32, 32, 3), (*_vgg(64, 128, 256, norm=True), Mean(), Dense(10))),
    "mobilenet": Network(
        (32, 32, 3),
        (
            Conv(32, norm=True),
            *_separable(64, 1, channels=32),
            *(*_separable(128, 2, channels=64), *_separable(128, 1, channels=128)),
            *(*_separable(256, 2, channels=128), *_separable(256, 1, channels=256)),
            *(Mean(), Dense(10)),
        ),
    ),
    # ImageNet's, as torchvision has them
    "resnet18": Network(
        (224, 224, 3),
        (
            *(Conv(64, kernel_size=7, padding=3, stride=2, norm=True), Pool(kernel_size=3, padding=1)),
            *(Block(filters, 2 if filters > 64 and i == 0 else 1) for filters in (64, 128, 256, 512) for i in range(2)),
            *(Mean(), Dense(1000)),
        ),
        classes=1000,
    ),
    "mobilenet_v2": Network(
        (224, 224, 3),
        (
            Conv(32, stride=2, norm=True, activation="relu6"),
            *_inverted((32, 1, 16, 1, 1), (16, 6, 24, 2, 2), (24, 6, 32, 3, 2), (32, 6, 64, 4, 2)),
            *_inverted((64, 6, 96, 3, 1), (96, 6, 160, 3, 2), (160, 6, 320, 1, 1)),
            Conv(1280, kernel_size=1, padding=0, norm=True, activation="relu6"),
            *(Mean(), Dense(1000)),
        ),
        classes=1000,
    ),
}
