"""The two networks of Caffe's CIFAR-10 example, after Krizhevsky's cuda-convnet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cnntrain.config.fields import Declared
from cnntrain.core import registry
from cnntrain.core.registry import register
from cnntrain.parts.models.base import Entries, Preset, layer


def _conv(filters: int, std: float) -> Declared:
    init = registry.make("initializers", "normal", std=std)
    return layer("conv2d", filters=filters, kernel_size=5, padding=2, init=init)


def _dense(units: int | str, std: float) -> Declared:
    return layer("dense", units=units, init=registry.make("initializers", "normal", std=std))


def _pool(kind: str) -> Declared:
    return layer(kind, kernel_size=3, stride=2, ceil_mode=True)  # Caffe rounds the number of windows up


@register("cifar10_quick")
@dataclass(frozen=True)
class Cifar10Quick(Preset):
    """Caffe's examples/cifar10/cifar10_quick (Jia et al. 2014), with its initial standard deviations."""

    def layers(self) -> Entries:
        """Three convolutions, two dense layers."""
        return (
            _conv(32, 0.0001),
            _pool("max_pool2d"),
            layer("relu"),
            _conv(32, 0.01),
            layer("relu"),
            _pool("avg_pool2d"),
            _conv(64, 0.01),
            layer("relu"),
            _pool("avg_pool2d"),
            layer("flatten"),
            _dense(64, 0.1),
            _dense("auto", 0.1),
        )


@register("cifar10_full")
@dataclass(frozen=True)
class Cifar10Full(Preset):
    """Caffe's examples/cifar10/cifar10_full (Jia et al. 2014): 81% on CIFAR-10.

    Caffe normalizes there within each channel, over 3x3 pixels; lrn goes across channels, over 3 of them.
    """

    def layers(self) -> Entries:
        """Three convolutions, one dense layer."""
        norm: dict[str, Any] = {"size": 3, "alpha": 5e-5, "beta": 0.75}
        return (
            _conv(32, 0.0001),
            _pool("max_pool2d"),
            layer("relu"),
            layer("lrn", **norm),
            _conv(32, 0.01),
            layer("relu"),
            _pool("avg_pool2d"),
            layer("lrn", **norm),
            _conv(64, 0.01),
            layer("relu"),
            _pool("avg_pool2d"),
            layer("flatten"),
            _dense("auto", 0.01),
        )
