"""Stretches of a sound: a part of a longer recording, drawn at random to train on, or several that are averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import Range
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.parts.transforms.base import Transform, check_sound


@dataclass(frozen=True)
class Stretches(Transform):
    """Base of the transforms that cut `seconds` out of a sound.

    Stretches lie within the recording itself: the silence that pads a shorter one, zeros at both ends, is left out as
    far as it can be. A recording that is shorter than `seconds` is in the middle of every stretch.
    """

    moves_pixels_only: ClassVar[bool] = True
    of_sounds: ClassVar[bool] = True

    seconds: Annotated[float, Range(0, 600, open_low=True)]  # length of a stretch
    sample_rate: Annotated[int, Range(1000, 384_000)] = 16_000  # of the sounds, in Hz: that of the data source

    def output_shape(self, shape: Shape) -> Shape:
        """(1, t, c) -> (1, seconds * sample_rate, c). Raises ValueError for what is not a sound, or is too short."""
        check_sound(shape)
        if not 1 <= self._size <= shape[1]:
            raise ValueError(
                f"cannot cut {self.seconds:g} s, {self._size} samples, out of {shape[1]}: set the source's duration to "
                "that of the longest sounds"
            )
        return 1, self._size, shape[2]

    @property
    def _size(self) -> int:
        return round(self.seconds * self.sample_rate)

    def _starts(self, sounds: Array, shares: Array) -> Array:
        """Where stretches (n, k) begin that lie so far, from 0 to 1, along each recording."""
        heard = (sounds != 0).any(axis=(1, 3))  # (n, t)
        length = heard.shape[1]
        first = np.where(heard.any(axis=1), heard.argmax(axis=1), 0)[:, None]
        last = np.where(heard.any(axis=1), length - heard[:, ::-1].argmax(axis=1), length)[:, None]
        spare = last - first - self._size
        starts = first + np.where(spare > 0, np.floor(shares * (spare + 1)).clip(0, spare), spare // 2)
        places: Array = starts.clip(0, length - self._size).astype(np.int64)
        return places

    def _cut(self, sounds: Array, starts: Array) -> Array:
        """Those stretches, (n * k, 1, size, c), the ones of a sound one after the other."""
        places = starts[:, :, None] + np.arange(self._size)  # (n, k, size)
        cut = sounds[np.arange(len(sounds))[:, None, None], 0, places]
        return np.ascontiguousarray(cut.reshape(-1, 1, self._size, sounds.shape[-1]))


@register("sound_crop")
@dataclass(frozen=True)
class SoundCrop(Stretches):
    """A stretch of a longer recording, from a random moment on, or its middle (segments: Piczak 2015).

    To evaluate by several stretches, see sound_views.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"seconds": 0.02},
        {"seconds": 0.01, "place": "middle"},
    )

    place: Literal["random", "middle"] = "random"  # where the stretch begins

    @property
    def random(self) -> bool:  # type: ignore[override]
        """Unless the middle is taken."""
        return self.place == "random"

    def apply(self, images: Array, draws: Draws) -> Array:
        """A new array of the dtype given."""
        shares = draws.uniform() if self.random else np.full(len(images), 0.5)
        return self._cut(images, self._starts(images, shares[:, None]))


@register("sound_views")
@dataclass(frozen=True)
class SoundViews(Stretches):
    """Several stretches, evenly spread over a longer recording, whose outputs are averaged.

    For evaluation (Piczak 2015, "Environmental sound classification with convolutional neural networks"). In training,
    sound_crop takes one.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"seconds": 0.02}, {"seconds": 0.03, "windows": 2})
    on: ClassVar[Literal["image", "pair", "tiles", "views"]] = "views"
    in_training: ClassVar[str] = "sound_crop"

    windows: Annotated[int, Range(1, 8)] = 3  # how many stretches

    @property
    def views(self) -> int:
        """The stretches."""
        return self.windows

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002
        """A new array of the dtype given."""
        shares = np.full(1, 0.5) if self.windows == 1 else np.linspace(0, 1, self.windows)
        return self._cut(images, self._starts(images, np.tile(shares, (len(images), 1))))
