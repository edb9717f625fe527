"""Networks of clips: convolutions of three dimensions, and of two and one."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.config.fields import Declared
from cnntrain.core.registry import register
from cnntrain.parts.models.base import Entries, Preset, layer, norm_relu, pooled_classifier, relu


@register("c3d_small")
@dataclass(frozen=True)
class C3dSmall(Preset):
    """C3D (Tran et al. 2015) for small clips: four 3x3x3 convolutions of 16 to 128 filters, batch norm, mean over all.

    The first pooling is in space alone, as in the paper; two more halve time as well. For clips of 4 moments or more,
    of about 32x32 pixels.
    """

    def layers(self) -> Entries:
        """Convolutions with poolings between, the classifier."""
        entries: list[Declared] = []
        for number, filters in enumerate((16, 32, 64, 128)):
            if number:
                entries.append(layer("max_pool3d", kernel_size=(1, 2, 2) if number == 1 else 2))
            conv = layer("conv3d", filters=filters, kernel_size=3, padding=1, bias=False)
            entries += [conv, *norm_relu()]
        return *entries, *pooled_classifier()


@register("r2plus1d_small")
@dataclass(frozen=True)
class R2plus1dSmall(Preset):
    """R(2+1)D (Tran et al. 2018) for small clips: a stem, three residual blocks of 16, 32 and 64 filters.

    Each convolution is conv2plus1d; the second and third block halve time, height and width.
    """

    def layers(self) -> Entries:
        """The stem, three blocks, the classifier."""
        blocks = [self._block(filters, 1 if number == 0 else 2) for number, filters in enumerate((16, 32, 64))]
        return layer("conv2plus1d", filters=16), *norm_relu(), *blocks, *pooled_classifier()

    def _block(self, filters: int, stride: int) -> Declared:
        body = (
            layer("conv2plus1d", filters=filters, stride=stride),
            *norm_relu(),
            layer("conv2plus1d", filters=filters),
            layer("batch_norm"),
        )
        return layer("residual", body=body, activation=relu())
