"""A transform changes images before the network sees them: preprocessing and augmentation.

Whole arrays at a time; what is random comes from `Draws`, which depend on (seed, epoch, sample) alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from cnntrain.arrays import Array, Shape
from cnntrain.config.fields import check_fields
from cnntrain.random import Draws
from cnntrain.registry import Part


@dataclass(frozen=True)
class Transform(Part):
    """Base of every transform.

    A transform whose `moves_pixels_only` is true copies pixels without computing on them; it may be given uint8 and
    returns the dtype it got. Every other one gets and returns the engine's float type, pixels in [0, 1].
    """

    kind: ClassVar[str] = "transforms"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    moves_pixels_only: ClassVar[bool] = False
    random: ClassVar[bool] = False  # uses its draws; not allowed among eval_transforms

    def __post_init__(self) -> None:
        check_fields(self)

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one image after it. Raises ValueError where such an image does not fit."""
        return shape

    def needs_fit(self) -> bool:
        """Whether `fit` must see the training images first."""
        return False

    def fit(self, chunks: Iterable[Array]) -> Transform:
        """This transform with what it measures on the training images written into its fields.

        The images come in chunks (n, h, w, c) of floats, so that the whole set never has to be in memory as floats.
        The result goes into the checkpoint, so evaluation never needs the training data.
        """
        return self

    def apply(self, images: Array, draws: Draws) -> Array:
        """The images (n, h, w, c) transformed: a new array, or the one given, changed in place or not at all."""
        raise NotImplementedError
