"""A small network for small pictures, whose trained weights come with the program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnntrain.core.registry import register
from cnntrain.parts.models.base import Entries, Preset, conv_norm, layer


@register("tiny32")
@dataclass(frozen=True)
class Tiny32(Preset):
    """Five 3x3 convolutions in three stages, in the manner of VGG (Simonyan and Zisserman 2015), with batch_norm.

    For colour pictures of 32 to 96 pixels. `init_from: {checkpoint: builtin, ignore: [head]}` starts it from what it
    learned from CIFAR-10, which helps where there are few pictures; otherwise it starts from scratch, like any network.
    """

    builtin: ClassVar[str] = "tiny32.npz"
    mean: ClassVar[tuple[float, ...]] = (0.4914, 0.4822, 0.4465)  # of CIFAR-10, with which its pictures were normalized
    std: ClassVar[tuple[float, ...]] = (0.247, 0.2435, 0.2616)

    def layers(self) -> Entries:
        """Three stages of 32, 64 and 128 filters, each halving the picture; the mean of each map; the head."""
        stages = [
            layer("sequential", name=f"stage{number}", body=_stage(filters, convolutions))
            for number, (filters, convolutions) in enumerate(((32, 1), (64, 2), (128, 2)), 1)
        ]
        return *stages, layer("global_avg_pool"), layer("dense", name="head", units="auto")


def _stage(filters: int, convolutions: int) -> Entries:
    return *conv_norm(filters, 3) * convolutions, layer("max_pool2d", kernel_size=2)
