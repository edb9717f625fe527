"""Residual networks (He et al. 2015): for CIFAR, of three stages, and for ImageNet, of four."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from cnntrain.config.fields import Declared
from cnntrain.core.registry import register
from cnntrain.parts.models.base import Counterpart, Entries, Library, Preset, conv_norm, layer, pooled_classifier, relu


@dataclass(frozen=True)
class CifarResnet(Preset):
    """What the CIFAR depths share: 6 n + 2 layers, 16, 32 and 64 filters, shortcuts that pad with zeros (option A)."""

    blocks: ClassVar[int]  # n, of each stage

    # what bypasses a block that changes shape: options A (`pad`) and B (`conv`) of the paper
    shortcut: Literal["pad", "conv"] = "pad"
    zero_init: bool = False  # start each block as the identity (Goyal et al. 2017)

    def layers(self) -> Entries:
        """The stem, three stages, the classifier."""
        stages = [
            layer("sequential", name=f"stage{number}", body=self._stage(filters, 1 if number == 1 else 2))
            for number, filters in enumerate((16, 32, 64), 1)
        ]
        return *conv_norm(16, 3), *stages, *pooled_classifier()

    def body(self, filters: int, stride: int) -> Entries:
        """What a block's shortcut bypasses."""
        return *conv_norm(filters, 3, stride), *conv_norm(filters, 3, activation="")

    def _stage(self, filters: int, stride: int) -> Entries:
        return tuple(self._block(filters, stride if number == 0 else 1) for number in range(self.blocks))

    def _block(self, filters: int, stride: int) -> Declared:
        body = self.body(filters, stride)
        shortcut = "auto" if self.shortcut == "conv" else self.shortcut
        return layer("residual", body=body, shortcut=shortcut, activation=relu(), zero_init=self.zero_init)


@register("resnet20")
@dataclass(frozen=True)
class Resnet20(CifarResnet):
    """The paper's network of 20 layers for CIFAR-10 (He et al. 2015, section 4.2): 8.75% error there."""

    blocks: ClassVar[int] = 3


@register("resnet32")
@dataclass(frozen=True)
class Resnet32(CifarResnet):
    """The paper's network of 32 layers for CIFAR-10 (He et al. 2015, section 4.2): 7.51% error there."""

    blocks: ClassVar[int] = 5


@register("resnet44")
@dataclass(frozen=True)
class Resnet44(CifarResnet):
    """The paper's network of 44 layers for CIFAR-10 (He et al. 2015, section 4.2): 7.17% error there."""

    blocks: ClassVar[int] = 7


@register("resnet56")
@dataclass(frozen=True)
class Resnet56(CifarResnet):
    """The paper's network of 56 layers for CIFAR-10 (He et al. 2015, section 4.2): 6.97% error there."""

    blocks: ClassVar[int] = 9


@register("resnet110")
@dataclass(frozen=True)
class Resnet110(CifarResnet):
    """The paper's network of 110 layers for CIFAR-10 (He et al. 2015, section 4.2): 6.43% error there."""

    blocks: ClassVar[int] = 18


@register("tsm_resnet20")
@dataclass(frozen=True)
class TsmResnet20(CifarResnet):
    """resnet20 whose residual bodies begin with temporal_shift (Lin et al. 2019, TSM), for clips.

    The mean over moments before the last layer is the mean of the moments' logits, since that layer is linear.
    """

    blocks: ClassVar[int] = 3

    def body(self, filters: int, stride: int) -> Entries:
        """The shift, and two convolutions."""
        return layer("temporal_shift"), *super().body(filters, stride)


@dataclass(frozen=True)
class ImagenetResnet(Preset):
    """What the ImageNet depths share: 64, 128, 256 and 512 filters, shortcuts of 1x1 convolutions (option B).

    The stem "imagenet" is a 7x7 convolution and a pooling, both of stride 2; "cifar" one 3x3 convolution, for images
    of about 32x32. As in torchvision.
    """

    depths: ClassVar[tuple[int, ...]]
    bottleneck: ClassVar[bool] = False

    stem: Literal["imagenet", "cifar"] = "imagenet"  # first layers for images of about 224x224, or of about 32x32
    zero_init: bool = False  # start each block as the identity (Goyal et al. 2017)

    def layers(self) -> Entries:
        """The stem, four stages, the classifier."""
        if self.stem == "imagenet":
            stem: Entries = (*conv_norm(64, 7, 2), layer("max_pool2d", kernel_size=3, stride=2, padding=1))
        else:
            stem = conv_norm(64, 3)
        stages = [
            layer("sequential", name=f"stage{number}", body=self._stage(depth, 32 * 2**number, 1 if number == 1 else 2))
            for number, depth in enumerate(self.depths, 1)
        ]
        return *stem, *stages, *pooled_classifier()

    def counterpart(self, library: Library) -> Counterpart:  # noqa: ARG002  (both have the same names)
        """Of the same name in both libraries."""
        modules = ["conv1", "bn1"]
        for stage, depth in enumerate(self.depths, 1):
            for block in range(depth):
                place = f"layer{stage}.{block}"
                for number in range(1, 4 if self.bottleneck else 3):
                    modules += [f"{place}.conv{number}", f"{place}.bn{number}"]
                if block == 0 and (stage > 1 or self.bottleneck):
                    modules += [f"{place}.downsample.0", f"{place}.downsample.1"]
        return Counterpart(self.name_in_config, (*modules, "fc"))

    def _stage(self, depth: int, filters: int, stride: int) -> Entries:
        return tuple(self._block(filters, stride if number == 0 else 1) for number in range(depth))

    def _block(self, filters: int, stride: int) -> Declared:
        if self.bottleneck:  # the stride is in the 3x3 convolution: torchvision's, known as version 1.5
            body = (*conv_norm(filters, 1), *conv_norm(filters, 3, stride), *conv_norm(4 * filters, 1, activation=""))
        else:
            body = (*conv_norm(filters, 3, stride), *conv_norm(filters, 3, activation=""))
        return layer("residual", body=body, activation=relu(), zero_init=self.zero_init)


@register("resnet18")
@dataclass(frozen=True)
class Resnet18(ImagenetResnet):
    """ResNet-18 (He et al. 2015, table 1): two blocks a stage."""

    depths: ClassVar[tuple[int, ...]] = (2, 2, 2, 2)


@register("resnet34")
@dataclass(frozen=True)
class Resnet34(ImagenetResnet):
    """ResNet-34 (He et al. 2015, table 1)."""

    depths: ClassVar[tuple[int, ...]] = (3, 4, 6, 3)


@register("resnet50")
@dataclass(frozen=True)
class Resnet50(ImagenetResnet):
    """ResNet-50 (He et al. 2015, table 1): bottlenecks of 1x1, 3x3 and 1x1 convolutions, four times as wide outside."""

    depths: ClassVar[tuple[int, ...]] = (3, 4, 6, 3)
    bottleneck: ClassVar[bool] = True
