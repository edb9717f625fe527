"""A shaped start gives weights a structure, not only a size: orthogonal columns, or the identity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import Positive
from cnntrain.core.arrays import Array, Param
from cnntrain.core.registry import register
from cnntrain.parts.initializers.base import Initializer


@register("orthogonal")
@dataclass(frozen=True)
class Orthogonal(Initializer):
    """A random orthogonal matrix times `gain` (Saxe et al. 2014): it changes the length of no signal.

    The weights are taken as a matrix W of fan-in rows (kh * kw * channels) and a column for each filter or unit. With
    no more columns than rows W^T W = gain^2 I, else W W^T = gain^2 I. It is the Q of the QR decomposition of a normal
    matrix, each column given the sign of R's diagonal, without which Q would not be uniform among such matrices
    (Mezzadri 2007). PyTorch's orthogonal_.
    """

    gain: Positive = 1.0  # factor on the matrix

    def check(self, param: Param) -> None:
        """Raise ValueError for a vector."""
        if len(param.shape) < 2:
            raise ValueError("orthogonal needs a matrix or a kernel: use constant or normal for a vector")

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:
        """Write W = gain * Q."""
        rows, columns = math.prod(param.shape[:-1]), param.shape[-1]
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        q *= np.where(np.diag(r) < 0, -1.0, 1.0)
        out[...] = (self.gain * (q if rows >= columns else q.T)).reshape(param.shape)


@register("dirac")
@dataclass(frozen=True)
class Dirac(Initializer):
    """A convolution's kernels pick the channel of their own number (Zagoruyko and Komodakis 2017, DiracNets).

    So a convolution of stride 1, padded "same", without groups, is the identity; filters beyond the channels give 0,
    or start as `others` says: with torch_default, a wider layer passes on what it is given and has the rest of its
    filters to learn with (Jordan 2024, airbench94). The kernels of a depthwise convolution, which see one channel each,
    all pick it. The tap is the middle one, kernel // 2. PyTorch's dirac_.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"others": "torch_default"})

    others: Literal["zeros", "torch_default"] = "zeros"  # what the filters beyond the channels start as

    @property
    def random(self) -> bool:
        """Where the others are."""
        return self.others != "zeros"

    def check(self, param: Param) -> None:
        """Raise ValueError for anything but a kernel."""
        if len(param.shape) not in (4, 5):
            raise ValueError(f"dirac needs the kernels of a convolution, got a parameter of shape {param.shape}")

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:
        """Write 1 in the middle where filter and channel agree; elsewhere 0, or what `others` says."""
        *kernel, per_group, filters = param.shape
        if self.others == "torch_default":
            TorchDefault().fill(out, param, rng)
            out[..., : filters if per_group == 1 else per_group] = 0
        else:
            out.fill(0)
        middle = out[tuple(side // 2 for side in kernel)]
        if per_group == 1:
            middle[...] = 1
        for channel in range(min(per_group, filters)):
            middle[channel, channel] = 1


@register("torch_default")
@dataclass(frozen=True)
class TorchDefault(Initializer):
    """Uniform in [-a, a) with a = 1 / sqrt(fan_in): how PyTorch starts the weights and biases of its layers.

    PyTorch writes it as kaiming_uniform_(a=sqrt(5)) (He et al. 2015): gain sqrt(2 / (1 + 5)) and a = gain *
    sqrt(3 / fan_in). Give it for `weights` and for `biases` to start as PyTorch does.
    """

    def check(self, param: Param) -> None:
        """Raise ValueError for a parameter that sums no inputs."""
        if param.fan_in < 1:
            raise ValueError("torch_default needs a parameter with inputs to count: use constant or uniform")

    def fill(self, out: Array, param: Param, rng: np.random.Generator) -> None:
        """Draw out ~ U[-a, a)."""
        bound = 1 / math.sqrt(param.fan_in)
        out[...] = rng.uniform(-bound, bound, param.shape)
