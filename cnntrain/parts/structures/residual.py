"""A residual block adds its input to what its body makes of it, so that the body only learns the difference."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from cnntrain.config.fields import Declared, Kind, Layers, annotations_of
from cnntrain.core.arrays import Shape
from cnntrain.core.registry import Part, make, register
from cnntrain.parts.structures.base import Structure, Weave

_CONV: dict[str, Any] = {"type": "conv2d", "filters": 3, "kernel_size": 3, "padding": "same"}  # of the examples


@register("residual")
@dataclass(frozen=True)
class Residual(Structure):
    """activation(body(x) + shortcut(x)) (He et al. 2015).

    shortcut:
    identity  x itself, which must have the body's output shape
    conv      a 1x1 convolution of the stride that fits (in time, too), without bias, and batch_norm where the body
              has one
    pad       every stride-th pixel and channels of zeros, without parameters (option A of the paper)
    auto      identity where the shapes agree, else conv (option B)

    zero_init starts the scale of the body's last normalization at 0, so that the block begins as its shortcut alone
    (Goyal et al. 2017).
    """

    examples: ClassVar[tuple[tuple[Shape, dict[str, Any]], ...]] = (
        ((6,), {"body": ["tanh"]}),
        ((5, 4, 3), {"body": [_CONV, "batch_norm"], "activation": "relu", "zero_init": True}),
        ((5, 4, 3), {"body": [_CONV | {"stride": 2}, "batch_norm"], "shortcut": "conv"}),
        ((5, 4, 2), {"body": [_CONV | {"stride": [1, 2]}], "shortcut": "pad"}),
    )

    body: Layers  # the layers that the shortcut bypasses
    # what is added to the body's output; `auto` is the identity where the shapes agree, else a convolution
    shortcut: Literal["auto", "identity", "conv", "pad"] = "auto"
    activation: Annotated[Part, Kind("layers")] | None = None  # the layer after the sum
    # start the scale of the body's last normalization at 0, so that the block begins as its shortcut
    zero_init: bool = False

    def expand(self, weave: Weave, x: int) -> int:
        """Add the body, the shortcut, their sum and the activation."""
        end = weave.body(_silenced(self.body) if self.zero_init else self.body, x)
        total = weave.add("add", end, self._shortcut(weave, x, end))
        return weave.apply(self.activation, total) if self.activation else total

    def _shortcut(self, weave: Weave, x: int, end: int) -> int:
        """The node that carries x to the sum."""
        have, want = weave.shape(x), weave.shape(end)
        if have == want and self.shortcut != "conv":
            return x
        if self.shortcut == "identity":
            raise ValueError(
                f"the identity shortcut needs a body that keeps the shape, got {have} -> {want}: "
                "use shortcut conv or pad, or change the body"
            )
        stride = _stride(have, want)
        over_time = len(stride) == 3 and stride[0] > 1
        if self.shortcut == "pad":
            if over_time:
                raise ValueError("shortcut pad cannot leave out moments of a clip: use shortcut conv")
            return weave.add("pad_shortcut", x, name="shortcut", filters=want[-1], stride=stride[-2:])
        kind, stride = ("conv3d", stride) if over_time else ("conv2d", stride[-2:])
        side = weave.add(kind, x, name="shortcut", filters=want[-1], kernel_size=1, stride=stride, bias=False)
        if any(part.name_in_config == "batch_norm" for part in _parts(self.body)):
            side = weave.add("batch_norm", side, name="shortcut_norm")
        return side


def _silenced(body: Layers) -> Layers:
    """The body with zeros for the scale of its last layer that has one. Raises ValueError where none has."""
    for index in range(len(body) - 1, -1, -1):
        declared = body[index]
        if isinstance(declared.part, Structure):
            inner: Layers | None = getattr(declared.part, "body", None)
            if declared.part.name_in_config == "sequential" and inner:
                part: Any = declared.part
                changed = dataclasses.replace(declared, part=dataclasses.replace(part, body=_silenced(inner)))
                return *body[:index], changed, *body[index + 1 :]
            break
        if getattr(declared.part, "rescales", False):
            options = dataclasses.replace(declared.options, init=make("initializers", "zeros"))
            return *body[:index], dataclasses.replace(declared, options=options), *body[index + 1 :]
    raise ValueError("zero_init needs a body that ends with a normalization: put batch_norm after its last convolution")


def _stride(have: Shape, want: Shape) -> tuple[int, ...]:
    """The stride, axis by axis, of a window of one pixel that takes an image or a clip of shape `have` to `want`."""
    if len(have) == len(want) >= 3:
        stride = tuple(-(-old // new) for old, new in zip(have[:-1], want[:-1], strict=True))
        if tuple(-(-old // step) for old, step in zip(have[:-1], stride, strict=True)) == want[:-1]:
            return stride
    raise ValueError(
        f"no shortcut fits a body that takes {have} to {want}: "
        "a stride leaves ceil(size / stride) pixels; pad the body's convolutions with 'same'"
    )


def _parts(value: Any) -> Iterator[Part]:
    """Every part declared in a list of layers, structures inside it included."""
    if isinstance(value, Declared):
        yield value.part
        for name in annotations_of(type(value.part)):
            yield from _parts(getattr(value.part, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _parts(item)
