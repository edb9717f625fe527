"""DenseNet hands every layer the outputs of all before it (Huang et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.config.fields import Declared, PositiveInt
from cnntrain.core.registry import register
from cnntrain.parts.models.base import Entries, Preset, conv_norm, layer, norm_relu, pooled_classifier


@register("densenet_bc")
@dataclass(frozen=True)
class DensenetBc(Preset):
    """DenseNet-BC (Huang et al. 2017) for CIFAR: bottlenecks of 4 * growth, transitions that halve the channels.

    depth is 6 n + 4, n layers in each of three blocks; the paper's smallest has depth 100.
    """

    depth: PositiveInt = 40  # layers in all, 6 n + 4
    growth: PositiveInt = 12  # channels that each layer adds

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth < 10 or (self.depth - 4) % 6:
            raise ValueError(f"depth must be 6 n + 4, such as 22, 40 or 100, got {self.depth}")

    def layers(self) -> Entries:
        """A 3x3 stem, three dense blocks with transitions between them, the classifier."""
        channels, count = 2 * self.growth, (self.depth - 4) // 6
        entries = [*conv_norm(channels, 3)[:1]]
        for number in range(1, 4):
            entries.append(layer("sequential", name=f"block{number}", body=(self._grown(),) * count))
            channels += count * self.growth
            if number < 3:
                channels //= 2
                entries += [*norm_relu(), layer("conv2d", filters=channels, kernel_size=1, bias=False)]
                entries += [layer("avg_pool2d", kernel_size=2)]
        return *entries, *norm_relu(), *pooled_classifier()

    def _grown(self) -> Declared:
        """The input, with `growth` channels more."""
        bottleneck = layer("conv2d", filters=4 * self.growth, kernel_size=1, bias=False)
        conv = layer("conv2d", filters=self.growth, kernel_size=3, padding=1, bias=False)
        return layer("parallel", branches=((), (*norm_relu(), bottleneck, *norm_relu(), conv)))
