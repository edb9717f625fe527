"""Plain deep networks, one convolution after the other: AlexNet made small, All-CNN, Network in Network."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.config.fields import PositiveInt, Rate
from cnntrain.core.registry import register
from cnntrain.parts.models.base import Entries, Preset, layer


def _conv_relu(filters: int | str, kernel_size: int, stride: int = 1, padding: int = 0) -> Entries:
    conv = layer("conv2d", filters=filters, kernel_size=kernel_size, stride=stride, padding=padding)
    return conv, layer("relu")


@register("alexnet_small")
@dataclass(frozen=True)
class AlexnetSmall(Preset):
    """AlexNet (Krizhevsky et al. 2012) for images of about 32x32: the same sequence of layers at a stride of 1.

    The widths are those of Krizhevsky (2014), which torchvision has; kernels are 3x3, the dense layers `hidden` wide.
    """

    hidden: PositiveInt = 1024  # units of each hidden dense layer
    dropout: Rate = 0.5  # dropout rate before each hidden dense layer

    def layers(self) -> Entries:
        """Five convolutions, three dense layers."""
        pool = layer("max_pool2d", kernel_size=3, stride=2)
        return (
            *_conv_relu(64, 3, padding=1),
            layer("lrn"),
            pool,
            *_conv_relu(192, 3, padding=1),
            layer("lrn"),
            pool,
            *_conv_relu(384, 3, padding=1),
            *_conv_relu(256, 3, padding=1),
            *_conv_relu(256, 3, padding=1),
            pool,
            layer("flatten"),
            layer("dropout", rate=self.dropout),
            layer("dense", units=self.hidden),
            layer("relu"),
            layer("dropout", rate=self.dropout),
            layer("dense", units=self.hidden),
            layer("relu"),
            layer("dense", units="auto"),
        )


@register("all_cnn_c")
@dataclass(frozen=True)
class AllCnnC(Preset):
    """All-CNN-C (Springenberg et al. 2015): convolutions of stride 2 where others pool, and no dense layer."""

    def layers(self) -> Entries:
        """Nine convolutions and the mean over pixels."""
        return (
            layer("dropout", rate=0.2),
            *_conv_relu(96, 3, padding=1),
            *_conv_relu(96, 3, padding=1),
            *_conv_relu(96, 3, stride=2, padding=1),
            layer("dropout", rate=0.5),
            *_conv_relu(192, 3, padding=1),
            *_conv_relu(192, 3, padding=1),
            *_conv_relu(192, 3, stride=2, padding=1),
            layer("dropout", rate=0.5),
            *_conv_relu(192, 3),
            *_conv_relu(192, 1),
            *_conv_relu("auto", 1),
            layer("global_avg_pool"),
        )


@register("nin")
@dataclass(frozen=True)
class Nin(Preset):
    """Network in Network (Lin et al. 2014) for CIFAR-10: two 1x1 convolutions after each one, no dense layer."""

    def layers(self) -> Entries:
        """Three blocks of three convolutions."""
        return (
            *_conv_relu(192, 5, padding=2),
            *_conv_relu(160, 1),
            *_conv_relu(96, 1),
            layer("max_pool2d", kernel_size=3, stride=2, ceil_mode=True),
            layer("dropout", rate=0.5),
            *_conv_relu(192, 5, padding=2),
            *_conv_relu(192, 1),
            *_conv_relu(192, 1),
            layer("avg_pool2d", kernel_size=3, stride=2, ceil_mode=True),
            layer("dropout", rate=0.5),
            *_conv_relu(192, 3, padding=1),
            *_conv_relu(192, 1),
            *_conv_relu("auto", 1),
            layer("global_avg_pool"),
        )
