"""A small Inception network: convolutions of several sizes side by side."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.config.fields import Declared
from cnntrain.core.registry import register
from cnntrain.parts.models.base import Entries, Preset, conv_norm, layer, pooled_classifier


def _inception(ones: int, threes: int) -> Declared:
    """1x1 and 3x3 convolutions side by side."""
    return layer("parallel", branches=(conv_norm(ones, 1), conv_norm(threes, 3)))


def _downsample(threes: int) -> Declared:
    """A 3x3 convolution and a pooling side by side, both of stride 2."""
    pool = layer("max_pool2d", kernel_size=3, stride=2, padding=1)
    return layer("parallel", branches=(conv_norm(threes, 3, 2), (pool,)))


@register("inception_small")
@dataclass(frozen=True)
class InceptionSmall(Preset):
    """The small Inception of Zhang et al. (2017, Understanding deep learning requires rethinking generalization).

    Figure 3 there, for CIFAR-10 cropped to 28x28; after Szegedy et al. (2015), with batch_norm.
    """

    def layers(self) -> Entries:
        """The stem, eight inception modules, two that halve the image, the classifier."""
        return (
            *conv_norm(96, 3),
            _inception(32, 32),
            _inception(32, 48),
            _downsample(80),
            _inception(112, 48),
            _inception(96, 64),
            _inception(80, 80),
            _inception(48, 96),
            _downsample(96),
            _inception(176, 160),
            _inception(176, 160),
            *pooled_classifier(),
        )
