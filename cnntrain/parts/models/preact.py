"""Pre-activation residual networks normalize before they convolve, so that the sums stay untouched (He et al. 2016).

Where a block changes the shape, its shortcut is a 1x1 convolution of the normalized input, as in the papers' code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from cnntrain.config.fields import PositiveInt, Rate
from cnntrain.core.registry import register
from cnntrain.parts.models.base import (
    Counterpart,
    Entries,
    Library,
    Preset,
    conv_norm,
    layer,
    norm_relu,
    pooled_classifier,
)


def _block(filters: int, stride: int, project: bool, dropout: float) -> Entries:
    conv: dict[str, Any] = {"filters": filters, "kernel_size": 3, "padding": 1, "bias": False}
    middle = (layer("dropout", rate=dropout),) if dropout else ()
    body = (layer("conv2d", stride=stride, **conv), *norm_relu(), *middle, layer("conv2d", **conv))
    if not project:
        return (layer("residual", body=(*norm_relu(), *body), shortcut="identity"),)
    side = (layer("conv2d", filters=filters, kernel_size=1, stride=stride, bias=False),)
    return *norm_relu(), layer("parallel", branches=(body, side), join="add")


def _stages(widths: tuple[int, ...], before: int, depth: int, dropout: float = 0.0) -> Entries:
    """Stages of `depth` blocks; all but the first begin with a stride of 2. `before` is the stem's width."""
    entries = []
    for number, filters in enumerate(widths, 1):
        stride = 1 if number == 1 else 2
        blocks = [*_block(filters, stride, project=stride > 1 or filters != before, dropout=dropout)]
        for _ in range(depth - 1):
            blocks += _block(filters, 1, project=False, dropout=dropout)
        entries.append(layer("sequential", name=f"stage{number}", body=tuple(blocks)))
        before = filters
    return tuple(entries)


@register("preact_resnet18")
@dataclass(frozen=True)
class PreactResnet18(Preset):
    """ResNet-18 with pre-activation blocks (He et al. 2016, Identity mappings), for images of about 32x32.

    With `stem: imagenet`, a 7x7 convolution and a pooling, both of stride 2, it is timm's resnetv2_18.
    """

    stem: Literal["imagenet", "cifar"] = "cifar"  # first layers for images of about 224x224, or of about 32x32

    def layers(self) -> Entries:
        """The stem, four stages of two blocks, a last norm."""
        pool = layer("max_pool2d", kernel_size=3, stride=2, padding=1)
        stem = (*conv_norm(64, 7, 2)[:1], pool) if self.stem == "imagenet" else conv_norm(64, 3)[:1]
        return *stem, *_stages((64, 128, 256, 512), 64, 2), *norm_relu(), *pooled_classifier()

    def counterpart(self, library: Library) -> Counterpart | None:
        """Timm's resnetv2_18, whose last layer is a convolution of one pixel."""
        if library != "timm":
            return None
        modules = ["stem.conv"]
        for stage in range(4):
            for block in range(2):
                shortcut = ("downsample.conv",) if stage and not block else ()
                inner = ("norm1", "conv1", "norm2", "conv2", *shortcut)
                modules += [f"stages.{stage}.blocks.{block}.{name}" for name in inner]
        half = (0.5, 0.5, 0.5)
        return Counterpart("resnetv2_18", (*modules, "norm", "head.fc"), {"head.fc": 1}, mean=half, std=half)


@register("wide_resnet")
@dataclass(frozen=True)
class WideResnet(Preset):
    """WRN-depth-widen (Zagoruyko and Komodakis 2016): few pre-activation blocks, each `widen` times 16, 32, 64 wide.

    depth is 6 n + 4; the paper's best on CIFAR-10 is 28 and 10. `dropout` stands between a block's convolutions.
    """

    depth: PositiveInt = 28  # layers in all, 6 n + 4
    widen: PositiveInt = 10  # factor by which the blocks are wider than 16, 32 and 64 channels
    dropout: Rate = 0.0  # dropout rate between a block's two convolutions

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth < 10 or (self.depth - 4) % 6:
            raise ValueError(f"depth must be 6 n + 4, such as 16, 22, 28 or 40, got {self.depth}")

    def layers(self) -> Entries:
        """A 3x3 stem of 16 filters, three stages, a last norm."""
        stem, widths = conv_norm(16, 3)[:1], (16 * self.widen, 32 * self.widen, 64 * self.widen)
        return *stem, *_stages(widths, 16, (self.depth - 4) // 6, self.dropout), *norm_relu(), *pooled_classifier()
