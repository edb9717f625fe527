"""A (2+1)D convolution splits one of clips in two: space in every moment, then time at every place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.config.fields import PositiveInt, Triple
from cnntrain.core.arrays import Shape
from cnntrain.core.registry import register
from cnntrain.ops.windows import triple
from cnntrain.parts.structures.base import Structure, Weave


@register("conv2plus1d")
@dataclass(frozen=True)
class Conv2plus1d(Structure):
    """conv2d to the middle filters, batch_norm, relu, and a conv3d of kernel [time, 1, 1] (Tran et al. 2018, R(2+1)D).

    Neither has a bias; batch_norm and relu should follow. The paddings keep the size at stride 1. By default the middle
    has as many filters as give the two about the parameters of one conv3d,

        floor(t d d channels filters / (d d channels + t filters)) with kernel t, d, d

    as in the paper and in torchvision's Conv2Plus1D.
    """

    examples: ClassVar[tuple[tuple[Shape, dict[str, Any]], ...]] = (
        ((4, 6, 5, 3), {"filters": 4}),
        ((5, 4, 4, 2), {"filters": 3, "kernel_size": [3, 1, 5], "stride": 2, "middle": 5}),
    )

    filters: PositiveInt  # channels of the output
    kernel_size: Triple = 3  # size of the kernel that is split: one number, or [time, height, width]; odd numbers
    stride: Triple = 1  # distance between outputs: one number, or [time, height, width]
    middle: PositiveInt | None = None  # filters of the convolution in space; by default as the formula says

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(side % 2 == 0 for side in triple(self.kernel_size)):
            raise ValueError(f"kernel_size must be odd, got {self.kernel_size}")

    def expand(self, weave: Weave, x: int) -> int:
        """Add the two convolutions and what is between. Raises ValueError where x is not a clip."""
        shape, (time, height, across) = weave.shape(x), triple(self.kernel_size)
        if len(shape) != 4:
            raise ValueError(f"conv2plus1d needs a clip (moments, height, width, channels), got {shape}")
        later, down, right = triple(self.stride)
        area = height * across * shape[-1]
        middle = self.middle or max(1, time * area * self.filters // (area + time * self.filters))
        padding = (height // 2, height // 2, across // 2, across // 2)
        inner = weave.add(
            "conv2d",
            x,
            name="space",
            filters=middle,
            kernel_size=(height, across),
            stride=(down, right),
            padding=padding,
            bias=False,
        )
        inner = weave.add("relu", weave.add("batch_norm", inner, name="norm"), name="relu")
        return weave.add(
            "conv3d",
            inner,
            name="time",
            filters=self.filters,
            kernel_size=(time, 1, 1),
            stride=(later, 1, 1),
            padding=(time // 2, time // 2, 0, 0, 0, 0),
            bias=False,
        )
