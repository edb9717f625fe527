"""LeNet, the first convolutional network in wide use, as published and as Caffe ships it."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.core.registry import register
from cnntrain.parts.models.base import Entries, Preset, layer


@register("lenet5")
@dataclass(frozen=True)
class Lenet5(Preset):
    """LeNet-5 (LeCun et al. 1998) with its tanh and its average pooling, for 28x28 images, padded to the paper's 32x32.

    Two things are simpler, as in every later account: the second convolution sees all maps instead of the paper's
    table of connections, and pooling has no coefficients of its own.
    """

    def layers(self) -> Entries:
        """Two convolutions, three dense layers."""
        return (
            layer("conv2d", filters=6, kernel_size=5, padding=2),
            layer("tanh"),
            layer("avg_pool2d", kernel_size=2),
            layer("conv2d", filters=16, kernel_size=5),
            layer("tanh"),
            layer("avg_pool2d", kernel_size=2),
            layer("flatten"),
            layer("dense", units=120),
            layer("tanh"),
            layer("dense", units=84),
            layer("tanh"),
            layer("dense", units="auto"),
        )


@register("lenet_caffe")
@dataclass(frozen=True)
class LenetCaffe(Preset):
    """Caffe's examples/mnist/lenet.prototxt (Jia et al. 2014): relu only before the last layer, maximum pooling."""

    def layers(self) -> Entries:
        """Two convolutions, two dense layers."""
        return (
            layer("conv2d", filters=20, kernel_size=5),
            layer("max_pool2d", kernel_size=2),
            layer("conv2d", filters=50, kernel_size=5),
            layer("max_pool2d", kernel_size=2),
            layer("flatten"),
            layer("dense", units=500),
            layer("relu"),
            layer("dense", units="auto"),
        )
