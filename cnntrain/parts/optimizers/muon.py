"""Muon: momentum made orthogonal, matrix by matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from cnntrain.config.fields import NonNegative, Positive, PositiveInt, Rate
from cnntrain.core.arrays import Array
from cnntrain.core.registry import register
from cnntrain.parts.optimizers.base import Block, Optimizer, adam_direction, norm


@register("muon")
@dataclass(frozen=True)
class Muon(Optimizer):
    """Muon (Jordan et al. 2024): momentum whose matrix is made orthogonal, so that all directions move alike.

        m = u m + (1 - u) g,    g' = (1 - u) g + u m with `nesterov`, else m,    p -= lr f orthogonal(g')

    orthogonal(G) is `ns_steps` Newton-Schulz steps on X = G / |G|: X = a X + (b A + c A^2) X, A = X X^T, with
    (a, b, c) = (3.4445, -4.775, 2.0315), which brings every singular value to between about 0.7 and 1.2. A
    convolution is its matrix filters x fan_in. f is sqrt(max(1, filters / fan_in)) where `adjust` is original, and
    0.2 sqrt(max(filters, fan_in)) for match_rms_adamw (Liu et al. 2025), whose steps have the size of AdamW's. With
    `normalize` a kernel of a convolution is brought to the norm sqrt(filters) before its step, for networks in which
    normalization makes its size meaningless: steps then turn it by about lr, early and late (Jordan 2024, airbench).
    Biases, normalization and other vectors are trained by AdamW with `betas`, `eps` and lr times `adamw_lr_mult`.
    PyTorch computes X in bfloat16, cnntrain in the parameters' own type.
    """

    slots: ClassVar[tuple[str, ...]] = ("m", "v")
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"normalize": True},
        {"nesterov": False, "adjust": "match_rms_adamw", "ns_steps": 3, "adamw_lr_mult": 0.5, "weight_decay": 0.0},
    )
    unit: ClassVar[Literal["element", "tensor"]] = "tensor"
    temporaries: ClassVar[float] = 5

    lr: NonNegative = 1e-3
    weight_decay: NonNegative = 0.1
    decoupled: bool = True
    momentum: Rate = 0.95  # decay of the running average of the gradient
    nesterov: bool = True  # look one step ahead with the momentum
    ns_steps: PositiveInt = 5  # newton-Schulz steps that make the direction orthogonal
    adjust: Literal["original", "match_rms_adamw"] = "original"  # how the step is scaled to the shape of the matrix
    normalize: bool = False  # keep the norm of convolutions' kernels at sqrt(filters)
    betas: tuple[Rate, Rate] = (0.9, 0.999)  # betas of AdamW, which trains the biases and other vectors
    eps: Positive = 1e-8  # epsilon of AdamW, which trains the biases and other vectors
    adamw_lr_mult: NonNegative = 1.0  # learning rate of AdamW, as a multiple of this one

    def update(self, block: Block) -> None:
        """Take the step."""
        if block.role != "weight" or block.p.ndim < 2:
            adam_direction(block, self.betas, self.eps)
            direction = block.scratch[0]
            direction *= block.lr * self.adamw_lr_mult
            block.p -= direction
            return
        m, change = block.slots["m"], block.scratch[0]
        np.subtract(block.g, m, out=change)
        m += np.multiply(change, 1 - self.momentum, out=change)
        np.copyto(change, m)
        if self.nesterov:
            change -= block.g
            change *= self.momentum
            change += block.g
        matrix = change.reshape(-1, change.shape[-1])  # (fan_in, filters)
        fan_in, filters = matrix.shape
        original = self.adjust == "original"
        factor = math.sqrt(max(1, filters / fan_in)) if original else 0.2 * math.sqrt(max(fan_in, filters))
        step = orthogonalized(matrix, self.ns_steps)
        step *= block.lr * factor
        if self.normalize and block.p.ndim > 2:
            block.p *= math.sqrt(filters) / max(norm(block.p), 1e-7)
        block.p -= step.reshape(block.p.shape)


def orthogonalized(matrix: Array, steps: int) -> Array:
    """Newton-Schulz steps from a matrix towards the nearest one with orthonormal rows or columns; a new array."""
    a, b, c = 3.4445, -4.775, 2.0315
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / max(norm(matrix), 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x if wide is matrix else x.T.copy()
