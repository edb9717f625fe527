"""ConvNeXt is a convolutional network built with what was learned from transformers (Liu et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.config.fields import Declared, PositiveInt, Rate
from cnntrain.core.registry import register
from cnntrain.parts.models.base import Counterpart, Entries, Library, Preset, layer

_DEPTHS, _WIDTHS = (2, 2, 6, 2), (48, 96, 192, 384)
_EPS = 1e-6  # of every layer norm


@register("convnext_femto")
@dataclass(frozen=True)
class ConvnextFemto(Preset):
    """ConvNeXt (Liu et al. 2022) in timm's femto size; `patch: 1` or 2 suits images of about 32x32.

    `drop_path` is the rate of the last block; the others' grow to it linearly, from 0 at the first.
    """

    patch: PositiveInt = 4  # size and stride of the first convolution
    drop_path: Rate = 0.0  # drop-path rate of the last block; it grows linearly from 0 at the first

    def layers(self) -> Entries:
        """The stem, four stages with a 2x2 convolution of stride 2 between them, the classifier."""
        entries = [layer("conv2d", filters=_WIDTHS[0], kernel_size=self.patch, stride=self.patch), _norm()]
        for number, (depth, width) in enumerate(zip(_DEPTHS, _WIDTHS, strict=True), 1):
            if number > 1:
                entries += [_norm(), layer("conv2d", filters=width, kernel_size=2, stride=2)]
            body = (self._block(width),) * depth
            entries.append(layer("sequential", name=f"stage{number}", body=body))
        return *entries, layer("global_avg_pool"), _norm(), layer("dense", units="auto")

    def counterpart(self, library: Library) -> Counterpart | None:
        """Timm's convnext_femto."""
        if library != "timm":
            return None
        modules = ["stem.0", "stem.1"]
        for stage, depth in enumerate(_DEPTHS):
            if stage:
                modules += [f"stages.{stage}.downsample.0", f"stages.{stage}.downsample.1"]
            for block in range(depth):
                inner = ("conv_dw", "norm", "mlp.fc1", "mlp.fc2", "gamma")
                modules += [f"stages.{stage}.blocks.{block}.{name}" for name in inner]
        return Counterpart("convnext_femto", (*modules, "head.norm", "head.fc"))

    def _block(self, width: int) -> Declared:
        """A 7x7 depthwise convolution, then two layers across channels, four times as wide between them."""
        body = (
            layer("depthwise_conv2d", kernel_size=7, padding=3),
            _norm(),
            layer("conv2d", filters=4 * width, kernel_size=1),
            layer("gelu"),
            layer("conv2d", filters=width, kernel_size=1),
            layer("scale", initial=1e-6, bias=False),
            *((layer("drop_path", rate=self.drop_path),) if self.drop_path else ()),
        )
        return layer("residual", body=body, shortcut="identity")


def _norm() -> Declared:
    return layer("layer_norm", eps=_EPS)
