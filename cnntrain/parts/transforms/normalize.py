"""Normalizing: each channel, or band of a spectrogram, shifted to mean zero and divided by its standard deviation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import Finite, Positive
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.counts import counted
from cnntrain.core.random import Draws
from cnntrain.core.registry import register
from cnntrain.ops.trace import Trace, Value
from cnntrain.parts.transforms.base import Transform


@register("normalize")
@dataclass(frozen=True)
class Normalize(Transform):
    """(x - mean) / std for each channel, with `mean` and `std` given, `from: dataset` or `from: per_image`.

    Given, they have one entry a channel, in the units of pixels in [0, 1], as torchvision's. From the dataset they
    are those of all pixels of the training split (a channel without variance is only shifted). Per image they are
    the image's own, std at least 1 / (255 sqrt(h w)), TensorFlow's bound against dividing a flat image by zero.
    Standard deviations divide by the count, not by the count less one.

    With `each: row` every row of every channel has its own: a band of a spectrogram, over all training sounds, or with
    `from: per_image` over its own sound (cepstral mean and variance normalization: Viikki and Laurila 1998).
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"from_": "dataset"},
        {"from_": "per_image"},
        {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.25)},
        {"from_": "dataset", "each": "row"},
        {"from_": "per_image", "each": "row"},
    )
    gives_pixels: ClassVar[bool] = False

    mean: tuple[Finite, ...] | None = None  # what to subtract from each channel, where pixels are in [0, 1]
    std: tuple[Positive, ...] | None = None  # what to divide each channel by
    # measure both over the training split, or over each image by itself
    from_: Literal["dataset", "per_image"] | None = None
    # what has its own mean and standard deviation: a channel, or each row of a channel, such as a spectrogram's band
    each: Literal["channel", "row"] = "channel"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std go together: give both, or 'from: dataset'")
        if (self.mean is None) == (self.from_ is None):
            raise ValueError("needs exactly one of 'mean' with 'std', 'from: dataset' and 'from: per_image'")
        if self.mean is not None and self.std is not None and len(self.mean) != len(self.std):
            raise ValueError(
                f"mean has {counted(len(self.mean), 'entry')} and std {len(self.std)}; each needs one a {self.each}"
            )

    def output_shape(self, shape: Shape) -> Shape:
        """The same. Raises ValueError where the channels, or their rows, are not as many as the means."""
        count = self._count(shape)
        if self.mean is not None and len(self.mean) != count:
            raise ValueError(
                f"mean and std have {counted(len(self.mean), 'entry')}, the image {counted(count, self.each)}"
            )
        return shape

    def _count(self, shape: Shape) -> int:
        """How many means an image (h, w, c) has; they are in the order of rows, of each row its channels."""
        return shape[-1] if self.each == "channel" else shape[0] * shape[-1]

    def needs_fit(self) -> bool:
        """Where the numbers come from the dataset."""
        return self.from_ == "dataset"

    def fit(self, chunks: Iterable[Array]) -> Normalize:
        """Measure mean and std; they take the place of `from: dataset`.

        In float64 and one pass: with counts a and b, means m and m' and sums S and S' of squared deviations, the
        union has S + S' + (m' - m)^2 a b / (a + b) (Chan, Golub and LeVeque 1983).
        """
        if not self.needs_fit():
            return self
        count, mean, spread = 0, np.zeros(1), np.zeros(1)
        for images in chunks:
            means, spreads = self._moments(images)
            own, size = means.mean(axis=0), images.size // self._count(images.shape[1:])
            own_spread = spreads.sum(axis=0) + np.square(means - own).sum(axis=0) * (size // len(images))
            step = own - mean
            mean = mean + step * (size / (count + size))
            spread = spread + own_spread + step * step * (count * size / (count + size))
            count += size
        std = np.sqrt(spread / count)
        std[std == 0] = 1
        return dataclasses.replace(self, from_=None, mean=tuple(mean.tolist()), std=tuple(std.tolist()))

    def apply(self, images: Array, draws: Draws) -> Array:  # noqa: ARG002  (nothing is random here)
        """Normalize in place. Raises RuntimeError where the dataset's numbers have not been measured."""
        n, height, width, _ = images.shape
        rows = images.reshape(n, -1)
        if self.from_ == "per_image":
            mean, spread = self._moments(images)
            values = rows.shape[1] // mean.shape[1]
            std = np.maximum(np.sqrt(spread / values), 1 / (255 * values**0.5))
        elif self.mean is not None and self.std is not None:
            mean, std = np.array([self.mean]), np.array([self.std])
        else:
            raise RuntimeError("normalize was not fitted")
        if self.each == "row":
            by_row = images.reshape(n, height, width, -1)
            by_row -= _of_rows(mean, height).astype(images.dtype)
            by_row *= _of_rows(1 / std, height).astype(images.dtype)
            return by_row
        # one long row an image instead of its few channels: NumPy's inner loops then run over thousands of values
        rows -= np.tile(mean.astype(images.dtype), height * width)
        rows *= np.tile((1 / std).astype(images.dtype), height * width)
        return rows.reshape(images.shape)

    def trace(self, t: Trace, x: Value) -> Value:
        """(x - mean) / std. Raises RuntimeError where the dataset's numbers have not been measured."""
        if self.from_ == "per_image":
            axes = (0, 1) if self.each == "channel" else (1,)
            x = t.op("sub", x, t.reduce("mean", x, axes))
            std = t.op("sqrt", t.reduce("mean", t.op("mul", x, x), axes))
            values = math.prod(x.shape[axis] for axis in axes)
            return t.op("div", x, t.op("max", std, 1 / (255 * values**0.5)))
        if self.mean is None or self.std is None:
            raise RuntimeError("normalize was not fitted")
        mean, scale = np.array(self.mean), 1 / np.array(self.std)
        if self.each == "row":
            mean, scale = (_of_rows(one[None], x.shape[0])[0] for one in (mean, scale))
        x = t.op("sub", x, t.constant("mean", mean))
        return t.op("mul", x, t.constant("scale", scale))

    def _moments(self, images: Array) -> tuple[Array, Array]:
        """The mean and the sum of squared deviations from it, of each image's channels or rows; float64, (n, count)."""
        if self.each == "channel":
            return _moments(images)
        mean = images.mean(axis=2, dtype=np.float64)  # (n, h, c)
        spread = np.square(images - mean[:, :, None]).sum(axis=2)
        return mean.reshape(len(images), -1), spread.reshape(len(images), -1)


def _of_rows(numbers: Array, height: int) -> Array:
    """Numbers (n, height * c) so shaped that they go with images: (n, height, 1, c)."""
    shaped: Array = numbers.reshape(len(numbers), height, 1, -1)
    return shaped


def _moments(images: Array) -> tuple[Array, Array]:
    """For each image's channels: the mean, and the sum of squared deviations from it; float64, (n, channels)."""
    n, height, width, channels = images.shape
    rows = images.reshape(n, height, width * channels).astype(np.float64)
    mean = _over_pixels(rows, channels) / (height * width)
    rows -= np.tile(mean, width)[:, None]
    np.square(rows, out=rows)
    return mean, _over_pixels(rows, channels)


def _over_pixels(rows: Array, channels: int) -> Array:
    """Sums of each image's channels: (n, h, w * c) to (n, c), whole rows first."""
    total: Array = rows.sum(axis=1).reshape(len(rows), -1, channels).sum(axis=1)
    return total
