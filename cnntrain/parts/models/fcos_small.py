"""A small detector without anchors, which trains from scratch on a processor (FCOS; Tian et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Annotated

from cnntrain.config.fields import PositiveInt, Range
from cnntrain.core import registry
from cnntrain.core.registry import register
from cnntrain.parts.models.base import Entries, Preset, check_multiples, conv_norm, layer, relu

_RARE = 0.01  # the score every location starts from, since most show nothing (Lin et al. 2017)


@register("fcos_small")
@dataclass(frozen=True)
class FcosSmall(Preset):
    """A residual network, its maps joined from the coarsest to the finest, and on each of `strides` a head of FCOS.

    The stem halves the picture; each stage halves it again and doubles the channels, from `width`, to a stride of 32.
    The maps of the last three stages become as wide as the first of them by 1x1 convolutions, and each is added,
    enlarged twice, to the one before (Lin et al. 2017, "Feature Pyramid Networks"). A head is `depth` 3x3 convolutions
    for boxes and quality, and as many for classes. Every level has a head of its own, where the paper has one for all.
    The sides of pictures must be multiples of 32.
    """

    width: PositiveInt = 32  # channels of the first stage; 64, 128 and 256 of the next
    blocks: PositiveInt = 1  # residual blocks of each stage
    depth: PositiveInt = 2  # 3x3 convolutions of each half of a head
    strides: tuple[Annotated[int, Range(8, 32)], ...] = (8, 16)  # the levels that have a head: of 8, 16 and 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.strides or sorted({*self.strides} & {8, 16, 32}) != list(self.strides):
            raise ValueError(f"strides must be some of 8, 16, 32, in ascending order, got {list(self.strides)}")

    def check_sides(self, height: int, width: int) -> None:
        """Raise ValueError unless 32 divides them, so that an enlarged map is as large as the one before."""
        check_multiples(self.name_in_config, (height, width), 32)

    def layers(self) -> Entries:
        """The stem, four stages, the pyramid, the heads and the boxes."""
        wide = 2 * self.width  # of the pyramid
        entries = [*conv_norm(max(1, self.width // 2), 3, 2)]
        for number, filters in enumerate((self.width, wide, 2 * wide, 4 * wide), 1):
            entries.append(layer("sequential", name=f"stage{number}", body=self._stage(filters)))
        entries.append(layer("sequential", name="map32", body=conv_norm(wide, 1)))
        for stride, stage in ((16, "stage3"), (8, "stage2")):
            if stride >= self.strides[0]:
                entries += [
                    layer("upsample", name=f"coarser{stride}", from_=(f"map{2 * stride}",)),
                    layer("sequential", name=f"lateral{stride}", from_=(stage,), body=conv_norm(wide, 1)),
                    layer("add", name=f"map{stride}", from_=(f"lateral{stride}", f"coarser{stride}")),
                ]
        for stride in self.strides:
            entries += self._head(stride, wide)
        levels = tuple(f"level{stride}" for stride in self.strides)
        return *entries, layer("box_levels", name="boxes", from_=("input", *levels))

    def _stage(self, filters: int) -> Entries:
        blocks = []
        for number in range(self.blocks):
            body = (*conv_norm(filters, 3, 1 if number else 2), *conv_norm(filters, 3, activation=""))
            blocks.append(layer("residual", body=body, activation=relu()))
        return tuple(blocks)

    def _head(self, stride: int, wide: int) -> Entries:
        """Two stacks of convolutions on one map, their outputs side by side."""
        tower = tuple(entry for _ in range(self.depth) for entry in conv_norm(wide, 3))
        near_zero = registry.make("initializers", "normal", std=0.01)
        rare = registry.make("initializers", "constant", value=-log((1 - _RARE) / _RARE))
        last = {"kernel_size": 3, "padding": 1, "init": near_zero}
        halves = {
            f"sides{stride}": layer("conv2d", filters=5, **last),
            f"classes{stride}": layer("conv2d", filters="auto", bias_init=rare, **last),
        }
        bodies = [
            layer("sequential", name=name, from_=(f"map{stride}",), body=(*tower, end)) for name, end in halves.items()
        ]
        return *bodies, layer("concat", name=f"level{stride}", from_=tuple(halves))
