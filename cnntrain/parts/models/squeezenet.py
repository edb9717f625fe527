"""SqueezeNet reaches AlexNet's accuracy with a fiftieth of its parameters, by squeezing before each 3x3 convolution."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.config.fields import Declared, PositiveInt
from cnntrain.core.registry import register
from cnntrain.parts.models.base import Counterpart, Entries, Library, Preset, layer


def _conv(filters: int | str, kernel_size: int, padding: int = 0, stride: int = 1) -> Entries:
    conv = layer("conv2d", filters=filters, kernel_size=kernel_size, padding=padding, stride=stride)
    return conv, layer("relu")


def _fire(squeeze: int, expand: int) -> Entries:
    """A 1x1 convolution, then 1x1 and 3x3 ones side by side."""
    return *_conv(squeeze, 1), layer("parallel", branches=(_conv(expand, 1), _conv(expand, 3, padding=1)))


def _pool() -> Declared:
    return layer("max_pool2d", kernel_size=3, stride=2, ceil_mode=True)


@register("squeezenet")
@dataclass(frozen=True)
class Squeezenet(Preset):
    """SqueezeNet 1.1, the authors' own revision of Iandola et al. (2016) with 2.4 times less computation.

    For images of about 224x224; torchvision's squeezenet1_1. `stem_stride: 1` suits small ones.
    """

    stem_stride: PositiveInt = 2  # stride of the first convolution; 1 suits small images

    def layers(self) -> Entries:
        """The stem, eight fire modules, a convolution to the classes and the mean over pixels."""
        return (
            *_conv(64, 3, stride=self.stem_stride),
            _pool(),
            *_fire(16, 64),
            *_fire(16, 64),
            _pool(),
            *_fire(32, 128),
            *_fire(32, 128),
            _pool(),
            *_fire(48, 192),
            *_fire(48, 192),
            *_fire(64, 256),
            *_fire(64, 256),
            layer("dropout", rate=0.5),
            *_conv("auto", 1),
            layer("global_avg_pool"),
        )

    def counterpart(self, library: Library) -> Counterpart | None:
        """Torchvision's squeezenet1_1."""
        if library != "torchvision":
            return None
        fires = (3, 4, 6, 7, 9, 10, 11, 12)
        inner = [f"features.{fire}.{name}" for fire in fires for name in ("squeeze", "expand1x1", "expand3x3")]
        return Counterpart("squeezenet1_1", ("features.0", *inner, "classifier.1"))
