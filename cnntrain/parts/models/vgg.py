"""VGG (Simonyan and Zisserman 2015): stacks of 3x3 convolutions between poolings, here each with batch_norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnntrain.config.fields import PositiveInt, Rate
from cnntrain.core.registry import register
from cnntrain.parts.models.base import Counterpart, Entries, Library, Preset, layer

_WIDTHS = (64, 128, 256, 512, 512)


@dataclass(frozen=True)
class Vgg(Preset):
    """What the depths share. Pooling halves the image five times, so it is 32x32 at least.

    By default the classifier is one dense layer on the last 512 maps' means, as is usual for small images; the
    paper's, and torchvision's, is `grid: 7, hidden: [4096, 4096]`.
    """

    depths: ClassVar[tuple[int, ...]]  # convolutions of each stage

    grid: PositiveInt = 1  # the last maps are averaged to grid x grid
    hidden: tuple[PositiveInt, ...] = ()  # units of each hidden dense layer; by default there is none
    dropout: Rate = 0.5  # dropout rate after each hidden layer

    def layers(self) -> Entries:
        """Five stages and the classifier."""
        entries = []
        for depth, filters in zip(self.depths, _WIDTHS, strict=True):
            for _ in range(depth):
                entries += [layer("conv2d", filters=filters, kernel_size=3, padding=1), layer("batch_norm")]
                entries += [layer("relu")]
            entries.append(layer("max_pool2d", kernel_size=2))
        entries += [layer("adaptive_avg_pool2d", output_size=self.grid), layer("flatten")]
        for units in self.hidden:
            entries += [layer("dense", units=units), layer("relu"), layer("dropout", rate=self.dropout)]
        return *entries, layer("dense", units="auto")

    def counterpart(self, library: Library) -> Counterpart:
        """The one with batch norm; its classifier has two hidden layers, this one's as many as `hidden` says."""
        modules, place = [], 0
        for depth in self.depths:
            for _ in range(depth):
                modules += [f"features.{place}", f"features.{place + 1}"]
                place += 3
            place += 1  # the pooling
        dense = len(self.hidden) + 1
        if library == "torchvision":
            modules += [f"classifier.{3 * number}" for number in range(dense)]
            return Counterpart(f"{self.name_in_config}_bn", tuple(modules))
        modules += [*(f"pre_logits.fc{number}" for number in range(1, dense)), "head.fc"]
        windows = {f"pre_logits.fc{number}": self.grid if number == 1 else 1 for number in range(1, dense)}
        return Counterpart(f"{self.name_in_config}_bn", tuple(modules), windows)


@register("vgg11")
@dataclass(frozen=True)
class Vgg11(Vgg):
    """VGG A: 8 convolutions (Simonyan and Zisserman 2015)."""

    depths: ClassVar[tuple[int, ...]] = (1, 1, 2, 2, 2)


@register("vgg13")
@dataclass(frozen=True)
class Vgg13(Vgg):
    """VGG B: 10 convolutions (Simonyan and Zisserman 2015)."""

    depths: ClassVar[tuple[int, ...]] = (2, 2, 2, 2, 2)


@register("vgg16")
@dataclass(frozen=True)
class Vgg16(Vgg):
    """VGG D: 13 convolutions (Simonyan and Zisserman 2015)."""

    depths: ClassVar[tuple[int, ...]] = (2, 2, 3, 3, 3)


@register("vgg19")
@dataclass(frozen=True)
class Vgg19(Vgg):
    """VGG E: 16 convolutions (Simonyan and Zisserman 2015)."""

    depths: ClassVar[tuple[int, ...]] = (2, 2, 4, 4, 4)
