"""Transforms of clips in time: which moments are seen, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import PositiveInt, Probability, Range
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.parts.transforms.base import Sometimes, Transform, flattened


@register("time_reversal")
@dataclass(frozen=True)
class TimeReversal(Sometimes):
    """Show a clip backwards, each with this probability (Price and Damen 2019, "Retro-Actions").

    Where classes differ in direction, it turns one into another: leave it out there, like hflip for letters.
    """

    moves_pixels_only: ClassVar[bool] = True
    whole_clips: ClassVar[bool] = True

    probability: Probability = 0.5  # probability that a clip is reversed

    def change(self, images: Array) -> Array:
        """The moments from the last to the first."""
        return images[:, ::-1]


@dataclass(frozen=True)
class Moments(Transform):
    """Base of the transforms that take some moments of a clip."""

    moves_pixels_only: ClassVar[bool] = True
    whole_clips: ClassVar[bool] = True

    frames: PositiveInt  # moments to take

    def output_shape(self, shape: Shape) -> Shape:
        """(frames, height, width, channels). Raises ValueError for a clip of fewer moments."""
        if self.frames > shape[0]:
            raise ValueError(f"cannot take {self.frames} moments of a clip of {shape[0]}: set frames to fewer")
        return (self.frames, *shape[1:])


@register("temporal_crop")
@dataclass(frozen=True)
class TemporalCrop(Moments):
    """Consecutive moments of a longer clip: from a random one on, or the middle ones.

    As Tran et al. (2015) train, and evaluate by one clip; to evaluate by several, see temporal_views.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"frames": 3}, {"frames": 2, "place": "middle"})

    place: Literal["random", "middle"] = "random"  # where the moments begin

    @property
    def random(self) -> bool:  # type: ignore[override]
        """Unless the middle ones are taken."""
        return self.place == "random"

    def apply(self, images: Array, draws: Draws) -> Array:
        """A new array of the dtype given."""
        spare = images.shape[1] - self.frames
        starts = draws.integers(spare + 1) if self.random else np.full(len(images), spare // 2)
        chosen = starts[:, None] + np.arange(self.frames)
        cropped: Array = images[np.arange(len(images))[:, None], chosen]
        return cropped


@register("temporal_views")
@dataclass(frozen=True)
class TemporalViews(Moments):
    """Several stretches of consecutive moments, evenly spread over a longer clip, whose outputs are averaged.

    For evaluation (Simonyan and Zisserman 2014; Feichtenhofer et al. 2019). In training, temporal_crop takes one.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"frames": 3}, {"frames": 2, "clips": 2})
    on: ClassVar[Literal["image", "pair", "tiles", "views"]] = "views"
    in_training: ClassVar[str] = "temporal_crop"

    clips: Annotated[int, Range(1, 8)] = 3  # how many stretches

    @property
    def views(self) -> int:
        """The stretches."""
        return self.clips

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002
        """A new array of the dtype given."""
        spare = images.shape[1] - self.frames
        starts = [spare // 2] if self.clips == 1 else [i * spare // (self.clips - 1) for i in range(self.clips)]
        stretches = np.stack([images[:, start : start + self.frames] for start in starts], axis=1)
        return stretches.reshape(-1, *stretches.shape[2:])


@register("temporal_jitter")
@dataclass(frozen=True)
class TemporalJitter(Moments):
    """A random moment out of each of `frames` equal stretches of a clip (Wang et al. 2016, TSN), in their order.

    The middle of each stretch with `place: middle`, as in TSN's evaluation.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"frames": 2}, {"frames": 3, "place": "middle"})

    place: Literal["random", "middle"] = "random"  # which moment of each stretch

    @property
    def random(self) -> bool:  # type: ignore[override]
        """Unless the middle ones are taken."""
        return self.place == "random"

    def apply(self, images: Array, draws: Draws) -> Array:
        """A new array of the dtype given."""
        share = images.shape[1] / self.frames
        within = [draws.uniform() if self.random else np.full(len(images), 0.5) for _ in range(self.frames)]
        chosen = np.floor((np.arange(self.frames) + np.stack(within, axis=1)) * share).astype(np.int64)
        jittered: Array = images[np.arange(len(images))[:, None], np.minimum(chosen, images.shape[1] - 1)]
        return jittered


@register("frames_as_channels")
@dataclass(frozen=True)
class FramesAsChannels(Transform):
    """A clip as one image of moments * channels channels, the first moment's first.

    The first convolution then mixes all moments (early fusion: Karpathy et al. 2014), and what follows sees none.
    """

    moves_pixels_only: ClassVar[bool] = True
    whole_clips: ClassVar[bool] = True

    def output_shape(self, shape: Shape) -> Shape:
        """(moments, height, width, channels) -> (height, width, moments * channels)."""
        moments, height, width, channels = shape
        return height, width, moments * channels

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002
        """A new array of the dtype given."""
        return np.ascontiguousarray(flattened(images))
