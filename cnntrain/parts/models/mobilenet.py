"""MobileNets split a convolution into one within each channel and one across channels, at an eighth of the cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cnntrain.config.fields import Positive, PositiveInt, Rate
from cnntrain.core.registry import register
from cnntrain.parts.models.base import Counterpart, Entries, Library, Preset, conv_norm, layer, pooled_classifier

_V1 = (  # (filters, stride) of each separable convolution
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)
_V2 = (  # (expansion, filters, blocks, stride of the first) of each stage: table 2 of the paper
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _depthwise(stride: int, activation: str) -> Entries:
    conv = layer("depthwise_conv2d", kernel_size=3, stride=stride, padding=1, bias=False)
    return conv, layer("batch_norm"), layer(activation)


def _rounded(filters: float) -> int:
    """The nearest multiple of 8, at least 8, and not less than nine tenths (the authors' and torchvision's rule)."""
    near = max(8, int(filters + 4) // 8 * 8)
    return near + 8 if near < 0.9 * filters else near


@register("mobilenet_v1")
@dataclass(frozen=True)
class MobilenetV1(Preset):
    """MobileNet (Howard et al. 2017), every layer `width` times as wide; `stem_stride: 1` suits small images.

    The paper has `relu`; its authors' program, and timm's mobilenetv1_100, `activation: relu6`.
    """

    width: Positive = 1.0  # factor by which every layer is wider
    stem_stride: PositiveInt = 2  # stride of the first convolution; 1 suits small images
    activation: Literal["relu", "relu6"] = "relu"  # after every batch norm

    def layers(self) -> Entries:
        """The stem, thirteen separable convolutions, the classifier."""
        entries = [*self._conv(32, 3, self.stem_stride)]
        for filters, stride in _V1:
            entries += [*_depthwise(stride, self.activation), *self._conv(filters, 1)]
        return *entries, *pooled_classifier()

    def counterpart(self, library: Library) -> Counterpart | None:
        """Timm's mobilenetv1_100 (or another number, for another width), where the activation is its own."""
        if library != "timm" or self.activation != "relu6":
            return None
        modules, stage, block = ["conv_stem", "bn1"], 0, 0
        for number, (_, stride) in enumerate(_V1):
            stage, block = (stage + 1, 0) if stride == 2 else (stage, block + 1 if number else 0)
            modules += [f"blocks.{stage}.{block}.{name}" for name in _names(widens=False, torchvision=False)]
        name = f"mobilenetv1_{round(100 * self.width):03d}"
        return Counterpart(name, (*modules, "classifier"), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

    def _conv(self, filters: int, kernel_size: int, stride: int = 1) -> Entries:
        return conv_norm(max(1, int(filters * self.width)), kernel_size, stride, activation=self.activation)


@register("mobilenet_v2")
@dataclass(frozen=True)
class MobilenetV2(Preset):
    """MobileNetV2 (Sandler et al. 2018): narrow residual blocks that widen inside; torchvision's mobilenet_v2.

    `width` multiplies every width but the last 1280, which only grows; `stem_stride: 1` suits small images.
    """

    width: Positive = 1.0  # factor by which every layer is wider; the last one only grows
    stem_stride: PositiveInt = 2  # stride of the first convolution; 1 suits small images
    dropout: Rate = 0.2  # dropout rate before the last layer

    def layers(self) -> Entries:
        """The stem, seven stages of inverted residuals, a 1x1 convolution, the classifier."""
        before = _rounded(32 * self.width)
        entries = [*conv_norm(before, 3, self.stem_stride, activation="relu6")]
        for expansion, filters, blocks, first_stride in _V2:
            after = _rounded(filters * self.width)
            for number in range(blocks):
                entries += _inverted(before, after, expansion, first_stride if number == 0 else 1)
                before = after
        entries += conv_norm(_rounded(1280 * max(1.0, self.width)), 1, activation="relu6")
        return *entries, layer("global_avg_pool"), layer("dropout", rate=self.dropout), layer("dense", units="auto")

    def counterpart(self, library: Library) -> Counterpart:
        """Torchvision's mobilenet_v2, and timm's mobilenetv2_100 (or another number, for another width)."""
        theirs = library == "torchvision"
        modules = ["features.0.0", "features.0.1"] if theirs else ["conv_stem", "bn1"]
        count = 0
        for stage, (expansion, _, blocks, _) in enumerate(_V2):
            for block in range(blocks):
                count += 1
                place = f"features.{count}.conv" if theirs else f"blocks.{stage}.{block}"
                modules += [f"{place}.{name}" for name in _names(expansion > 1, theirs)]
        last = ["features.18.0", "features.18.1", "classifier.1"] if theirs else ["conv_head", "bn2", "classifier"]
        name = "mobilenet_v2" if theirs else f"mobilenetv2_{round(100 * self.width):03d}"
        return Counterpart(name, (*modules, *last))


def _names(widens: bool, torchvision: bool) -> tuple[str, ...]:
    """What the layers of an inverted residual are called there."""
    if torchvision:
        return ("0.0", "0.1", "1.0", "1.1", "2", "3") if widens else ("0.0", "0.1", "1", "2")
    return ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3") if widens else ("conv_dw", "bn1", "conv_pw", "bn2")


def _inverted(before: int, after: int, expansion: int, stride: int) -> Entries:
    """Widen by a 1x1 convolution, filter each channel, narrow again without activation."""
    wider = conv_norm(before * expansion, 1, activation="relu6") if expansion > 1 else ()
    body = (*wider, *_depthwise(stride, "relu6"), *conv_norm(after, 1, activation=""))
    return (layer("residual", body=body, shortcut="identity"),) if stride == 1 and before == after else body
