"""U-Net says what every pixel belongs to, from its surroundings at several scales (Ronneberger et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cnntrain.config.fields import PositiveInt, Range, Rate
from cnntrain.core.registry import register
from cnntrain.parts.models.base import Entries, Preset, check_multiples, layer


@register("unet")
@dataclass(frozen=True)
class Unet(Preset):
    """U-Net (Ronneberger et al. 2015): pooled `depth` times and brought back up, level joined with level.

    A level has two 3x3 convolutions with relu, `width` filters at the top and twice as many at each level below; a 2x2
    transposed convolution of stride 2 leads up, and the last layer is a 1x1 convolution to the classes. The paper's own
    is the default with `padding: valid`: 31.0 M parameters for one channel and two classes.

    padding:
    same   zeros, as is usual today; sides must be multiples of 2^depth
    valid  none, as in the paper. The picture is mirrored at its border beforehand (the paper's overlap-tile strategy),
           so that the answer has its size; sides must be 4 more than a multiple of 2^depth, such as 388
    """

    width: PositiveInt = 64  # filters of the first level; each level below has twice as many
    depth: Annotated[int, Range(1, 8)] = 4  # how many times the picture is halved
    padding: Literal["same", "valid"] = "same"  # zeros around each convolution, or none and the picture mirrored
    norm: Literal["none", "batch_norm"] = "none"  # batch_norm after each 3x3 convolution, which is then without bias
    dropout: Rate = 0.0  # dropout rate at the end of the way down

    def check_sides(self, height: int, width: int) -> None:
        """Raise ValueError unless every level can be halved, and enlarged again to what it was."""
        beyond = 4 if self.padding == "valid" else 0
        check_multiples(self.name_in_config, (height, width), 2**self.depth, beyond)

    def layers(self) -> Entries:
        """The levels, each within the one above, and the last convolution."""
        border = _lost(self.depth) // 2
        around = (layer("mirror_pad2d", padding=border),) if self.padding == "valid" else ()
        return *around, *self._level(0), layer("conv2d", name="classes", filters="auto", kernel_size=1)

    def _level(self, number: int) -> Entries:
        """Two convolutions; above the lowest level, joined with what comes from below, and two more."""
        filters = self.width * 2**number
        if number == self.depth:
            end = (layer("dropout", rate=self.dropout),) if self.dropout else ()
            return *self._convolutions(filters), *end
        up = layer("conv_transpose2d", filters=filters, kernel_size=2, stride=2)
        below = layer("max_pool2d", kernel_size=2), *self._level(number + 1), up
        lost = _lost(self.depth - number - 1)
        across = (layer("crop2d", cropping=lost),) if self.padding == "valid" else ()
        joined = layer("parallel", name=f"level{number + 1}", branches=(across, below))
        return *self._convolutions(filters), joined, *self._convolutions(filters)

    def _convolutions(self, filters: int) -> Entries:
        """Two of 3x3, each with its relu."""
        plain = self.norm == "none"
        padding = 0 if self.padding == "valid" else 1
        conv = layer("conv2d", filters=filters, kernel_size=3, padding=padding, bias=plain)
        return (conv, *(() if plain else (layer("batch_norm"),)), layer("relu")) * 2


def _lost(levels: int) -> int:
    """Rows that a picture loses over so many levels and the one at their bottom, without padding: 184 over 4."""
    return 4 if levels == 0 else 8 + 2 * _lost(levels - 1)
