"""The contract of losses: the gradient is that of the values, sample by sample."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cnntrain.checks.contracts.base import close, equal, hold
from cnntrain.core.arrays import Array
from cnntrain.parts.losses.base import Loss, one_hot


def run(loss: Loss, outputs: Array, targets: Array, weights: Array, gradient: bool = True) -> tuple[Array, Any]:
    """Losses (n,) and, if wanted, the gradient of the outputs, both in buffers that began as NaN."""
    losses = np.full(len(outputs), np.nan, outputs.dtype)
    d_outputs = np.full_like(outputs, np.nan) if gradient else None
    loss(outputs, targets, weights, losses, d_outputs)
    return losses, d_outputs


def batch(loss: Loss, targets: str, dtype: Any = np.float64) -> tuple[Array, Array, Array]:
    """Outputs (7, ...), targets of a form that the loss takes, and weights."""
    rng = np.random.default_rng(3)
    tried = loss.trial(targets, 7, rng)
    return tried.outputs.astype(dtype), tried.targets, rng.uniform(0, 2, 7).astype(dtype)


def has_a_gradient_that_is_the_central_difference(loss: Loss, targets: str) -> None:
    """In float64, in every output."""
    outputs, wanted, weights = batch(loss, targets)
    _, gradient = run(loss, outputs, wanted, weights)
    step = 1e-6
    numeric = np.zeros_like(outputs)
    for place in map(tuple, np.argwhere(loss.trial(targets, 7, np.random.default_rng(3)).moves).tolist()):
        ends = []
        for sign in (1, -1):
            moved = outputs.copy()
            moved[place] += sign * step
            ends.append((weights * run(loss, moved, wanted, weights, gradient=False)[0]).sum())
        numeric[place] = (ends[0] - ends[1]) / (2 * step)
    close(gradient, numeric, f"the gradient for {targets} is not the central difference", rtol=1e-6, atol=1e-8)


def sees_each_sample_alone(loss: Loss, targets: str) -> None:
    """To the bit."""
    outputs, wanted, weights = batch(loss, targets, np.float32)
    losses, gradient = run(loss, outputs, wanted, weights)
    for i in range(len(outputs)):
        alone = run(loss, outputs[i : i + 1], wanted[i : i + 1], weights[i : i + 1])
        together = (losses[i : i + 1].tobytes(), gradient[i : i + 1].tobytes())
        hold((alone[0].tobytes(), alone[1].tobytes()) == together, f"sample {i} alone has other bits than with others")


def takes_labels_as_one_hot_rows(loss: Loss, targets: str) -> None:
    """A label means the row that is 1 there."""
    if targets == "labels":
        outputs, labels, weights = batch(loss, "labels")
        direct, rows = run(loss, outputs, labels, weights), run(loss, outputs, one_hot(labels, outputs), weights)
        close(direct[0], rows[0], "labels and one-hot rows give different losses", rtol=1e-13)
        close(direct[1], rows[1], "labels and one-hot rows give different gradients", rtol=1e-12, atol=1e-15)


def leaves_its_inputs_alone(loss: Loss, targets: str) -> None:
    """And its losses are the same where no gradient is wanted."""
    outputs, wanted, weights = batch(loss, targets, np.float32)
    for array in (outputs, wanted, weights):
        array.flags.writeable = False
    losses, _ = run(loss, outputs, wanted, weights)
    equal(run(loss, outputs, wanted, weights, gradient=False)[0], losses, "without a gradient the losses differ")


def keeps_what_is_not_finite_in_its_own_sample(loss: Loss, targets: str, bad: float | None = None) -> None:
    """NaN and infinity among the outputs show in that sample's loss and gradient, and in no other's."""
    for value in (np.nan, np.inf) if bad is None else (bad,):
        outputs, wanted, weights = batch(loss, targets, np.float32)
        outputs[2, 1] = value  # of one class, or of all pixels of a row and all classes
        losses, gradient = run(loss, outputs, wanted, weights)
        hold(not np.isfinite(losses[2]), f"for an output of {value} its loss is {losses[2]}")
        hold(not np.isfinite(gradient[2]).all(), f"for an output of {value} its gradient is finite")
        others = np.isfinite(np.delete(losses, 2)).all() and np.isfinite(np.delete(gradient, 2, axis=0)).all()
        hold(others, f"an output of {value} changes other samples")


CHECKS = (
    has_a_gradient_that_is_the_central_difference,
    sees_each_sample_alone,
    takes_labels_as_one_hot_rows,
    leaves_its_inputs_alone,
    keeps_what_is_not_finite_in_its_own_sample,
)


def subjects(cls: type[Loss]) -> Iterator[tuple[Loss, str]]:
    """What a loss's checks are given: each example's loss, with every form of targets."""
    for fields in cls.examples:
        loss = cls(**fields)
        for targets in loss.forms():
            yield loss, targets
