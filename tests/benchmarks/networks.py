"""The reference networks of the benchmarks, described once; a peer builds each in its own framework's words.

This module and those of the other frameworks import nothing of cnntrain, which tells the libraries under NumPy to
use one thread before they are loaded.
"""

from __future__ import annotations

from dataclasses import dataclass

CLASSES = 10


@dataclass(frozen=True)
class Conv:
    """A convolution, and what follows it; with `depthwise` one filter a channel, as many as come in."""

    filters: int
    kernel_size: int = 3
    padding: int = 1
    stride: int = 1
    depthwise: bool = False
    norm: bool = False  # batch norm, and no bias
    relu: bool = True


@dataclass(frozen=True)
class Block:
    """ResNet's basic block; where it changes the shape, its shortcut is a 1x1 convolution with batch norm."""

    filters: int
    stride: int = 1

    @property
    def body(self) -> tuple[Conv, Conv]:
        """The two convolutions; the sum comes before the last ReLU."""
        return Conv(self.filters, stride=self.stride, norm=True), Conv(self.filters, norm=True, relu=False)

    @property
    def shortcut(self) -> Conv:
        """What the input goes through where the block changes its shape."""
        return Conv(self.filters, kernel_size=1, padding=0, stride=self.stride, norm=True, relu=False)


@dataclass(frozen=True)
class Pool:
    """The largest value of every 2x2."""


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


Part = Conv | Block | Pool | Mean | Flatten | Dense


@dataclass(frozen=True)
class Network:
    """A reference network: the shape of its input, height, width and channels, and its parts in order."""

    shape: tuple[int, int, int]
    parts: tuple[Part, ...]


def _vgg(*widths: int, norm: bool = False) -> tuple[Part, ...]:
    return tuple(part for width in widths for part in (Conv(width, norm=norm), Conv(width, norm=norm), Pool()))


def _separable(filters: int, stride: int, channels: int) -> tuple[Conv, Conv]:
    """MobileNet's block: a depthwise convolution, then a pointwise one (Howard et al. 2017)."""
    depthwise = Conv(channels, stride=stride, depthwise=True, norm=True)
    return depthwise, Conv(filters, kernel_size=1, padding=0, norm=True)


NETWORKS = {
    "mlp": Network((28, 28, 1), (Flatten(), Dense(512, relu=True), Dense(CLASSES))),
    "lenet": Network(
        (28, 28, 1),
        (
            *(Conv(20, kernel_size=5, padding=0, relu=False), Pool()),
            *(Conv(50, kernel_size=5, padding=0, relu=False), Pool()),
            *(Flatten(), Dense(500, relu=True), Dense(CLASSES)),
        ),
    ),
    "vgg_small": Network((32, 32, 3), (*_vgg(32, 64), Flatten(), Dense(256, relu=True), Dense(CLASSES))),
    "resnet20": Network(
        (32, 32, 3),
        (
            Conv(16, norm=True),
            *(Block(filters, 2 if filters > 16 and i == 0 else 1) for filters in (16, 32, 64) for i in range(3)),
            *(Mean(), Dense(CLASSES)),
        ),
    ),
    "vgg_wide": Network((32, 32, 3), (*_vgg(64, 128, 256, norm=True), Mean(), Dense(CLASSES))),
    "mobilenet": Network(
        (32, 32, 3),
        (
            Conv(32, norm=True),
            *_separable(64, 1, channels=32),
            *(*_separable(128, 2, channels=64), *_separable(128, 1, channels=128)),
            *(*_separable(256, 2, channels=128), *_separable(256, 1, channels=256)),
            *(Mean(), Dense(CLASSES)),
        ),
    ),
}
