"""A constant start gives every value the same number; zeros is the usual one for biases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from cnntrain.config.fields import Finite
from cnntrain.core.arrays import Array, Param
from cnntrain.core.registry import register
from cnntrain.parts.initializers.base import Initializer


@dataclass(frozen=True)
class Certain(Initializer):
    """Base of the initializers that draw nothing."""

    @property
    def random(self) -> bool:
        """Every seed gives the same."""
        return False


@register("zeros")
@dataclass(frozen=True)
class Zeros(Certain):
    """Every value 0."""

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:  # noqa: ARG002
        """Write out = 0."""
        out.fill(0)


@register("ones")
@dataclass(frozen=True)
class Ones(Certain):
    """Every value 1."""

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:  # noqa: ARG002
        """Write out = 1."""
        out.fill(1)


@register("constant")
@dataclass(frozen=True)
class Constant(Certain):
    """Every value the same."""

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"value": 0.3},)

    value: Finite  # the value of every entry

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:  # noqa: ARG002
        """Write out = value."""
        out.fill(self.value)
