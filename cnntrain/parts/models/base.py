"""A ready model is a known network by name: it writes the list of layers that a config would otherwise hold.

`model: {preset: resnet20}`, or with keys of its own `model: {preset: {type: wide_resnet, depth: 16, widen: 4}}`. It is
made of the very layers and structures a config can name, so whatever it builds could be written out by hand. Its last
layer has as many outputs as there are classes. To add one, write a file with a registered subclass and its `layers`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from cnntrain.config.fields import Declared, annotations_of, check_fields
from cnntrain.core import registry
from cnntrain.core.errors import Mark
from cnntrain.core.registry import Part

Entries = tuple[Declared, ...]
Library = Literal["torchvision", "timm"]
_NOWHERE = Mark("preset", 1, 1)


@dataclass(frozen=True)
class Counterpart:
    """The same network in another library.

    name      what it is called there
    modules   its modules that have parameters, in the order of ours; of a `scale`, the name of its one tensor
    windows   modules that are convolutions there and dense here, with the sides of their kernels
    size      sides of the pictures that its published weights were trained on
    mean      what is subtracted from each channel of pixels in [0, 1] before the network, and
    std       what the difference is divided by
    """

    name: str
    modules: tuple[str, ...]
    windows: Mapping[str, int] = field(default_factory=dict)
    size: int = 224
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preset(Part):
    """Base of every ready model."""

    kind: ClassVar[str] = "models"
    builtin: ClassVar[str] = ""  # the file beside this one with weights that come with the program, if there are any

    def __post_init__(self) -> None:
        check_fields(self)

    def layers(self) -> Entries:
        """The network, as a config would declare it."""
        raise NotImplementedError

    def check_sides(self, height: int, width: int) -> None:
        """Raise ValueError where it cannot take pictures of these sides. By default it takes what its layers take."""

    def counterpart(self, library: Library) -> Counterpart | None:
        """The same network in a library, whose weights fit; None where it has none."""
        return None

    def entries(self, where: Mark) -> Entries:
        """The same layers, each entry placed where the config names the model."""
        placed: Entries = _placed(self.layers(), where)
        return placed


def check_multiples(name: str, sides: tuple[int, int], of: int, beyond: int = 0) -> None:
    """Raise ValueError, which proposes sides, unless these are multiples of `of`, and `beyond` more."""
    if any((side - beyond) % of for side in sides):
        below, above = (
            "x".join(str(max(beyond + of, beyond + rounded((side - beyond) / of) * of)) for side in sides)
            for rounded in (math.floor, math.ceil)
        )
        wanted = f"{beyond} more than a multiple of {of}" if beyond else f"multiples of {of}"
        raise ValueError(
            f"{name} needs pictures whose sides are {wanted}, got {sides[0]}x{sides[1]}: give them "
            f"{below if below == above else f'{below} or {above}'}, by 'size' of the source or a resize, crop or pad"
        )


def layer(
    kind: str,
    *,
    name: str | None = None,
    from_: tuple[str, ...] | None = None,
    init: Part | None = None,
    bias_init: Part | None = None,
    **fields: Any,
) -> Declared:
    """An entry of a list of layers: `layer("conv2d", filters=16, kernel_size=3)`; also for structures."""
    found = registry.find(kind, "layers", "structures")
    part = registry.make(found.kind if found else "layers", kind, **fields)
    chosen = {"init": init, "bias_init": bias_init}
    given = {key: value for key, value in chosen.items() if value is not None}
    return Declared(part, part.options(name=name, from_=from_, **given), _NOWHERE)


def relu() -> Part:
    """The rectifier as a part, for places that take an activation."""
    part: Part = registry.make("layers", "relu")
    return part


def conv_norm(
    filters: int, kernel_size: int, stride: int = 1, padding: int | None = None, activation: str = "relu", **fields: Any
) -> Entries:
    """Convolution without bias, batch_norm, activation unless "". By default, padding keeps the size at stride 1."""
    padding = kernel_size // 2 if padding is None else padding
    conv = layer(
        "conv2d", filters=filters, kernel_size=kernel_size, stride=stride, padding=padding, bias=False, **fields
    )
    return (conv, layer("batch_norm"), *((layer(activation),) if activation else ()))


def norm_relu() -> Entries:
    """batch_norm and relu, as they come before a convolution in pre-activation networks."""
    return layer("batch_norm"), layer("relu")


def pooled_classifier() -> Entries:
    """The mean over pixels, and a dense layer to the classes."""
    return layer("global_avg_pool"), layer("dense", units="auto")


def _placed(value: Any, where: Mark) -> Any:
    """A list of entries with every mark in it, however deep, replaced."""
    if isinstance(value, tuple):
        return tuple(_placed(item, where) for item in value)
    if not isinstance(value, Declared):
        return value
    inside = {name: getattr(value.part, name) for name in annotations_of(type(value.part))}
    nested = {name: _placed(held, where) for name, held in inside.items() if isinstance(held, tuple)}
    part: Any = value.part
    return Declared(dataclasses.replace(part, **nested) if nested else part, value.options, where)
