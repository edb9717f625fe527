"""The learning-rate finder takes some steps of training under a rate that grows, and watches the loss.

The range test of Smith (2017): while the rate is too small the loss stays, then it falls, then the steps are too long
and it explodes. The suggestion is a tenth of the rate at which the loss is smallest (Howard and Gugger 2020): there it
still falls, safely away from the explosion. The weights are thrown away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntrain.core.errors import DivergedError
from cnntrain.core.sparkline import sparkline
from cnntrain.engine.pool import Pool
from cnntrain.training.job import Job
from cnntrain.training.warm_start import warm_start

EXPLODED = 4.0  # times the smallest smoothed loss: there is nothing more to see
SMOOTHING = 0.9  # weight of the earlier losses
SHARE = 0.1  # of the learning rate with the smallest loss
_FALL = 0.95  # share of its first value the loss must fall to for a suggestion
_SETTLED = 5  # first steps, whose smoothed loss is still that of single batches


@dataclass(frozen=True)
class RangeTest:
    """Rates and the losses at them, as measured and smoothed; and what they suggest, or None."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float | None
    lowest: float  # the rate at which the smoothed loss is smallest

    @property
    def ceiling(self) -> float:
        """Losses above it are those of the explosion, beside which the fall before it would not be seen."""
        return _ceiling(self.smoothed)

    def document(self) -> dict[str, Any]:
        """What `lr-find --json` prints, less the picture."""
        return {
            "suggestion": self.suggestion,
            "lowest": self.lowest,
            "steps": [
                {"lr": rate, "loss": loss, "smoothed": smooth}
                for rate, loss, smooth in zip(self.rates, self.losses, self.smoothed, strict=True)
            ],
        }


def find(job: Job, threads: int, low: float, high: float, steps: int) -> RangeTest:
    """Take up to `steps` steps with rates from `low` to `high`, evenly spread by their logarithm.

    Raises CheckpointError where the weights that training would start from cannot be had.
    """
    rates, losses = [], []
    warm = warm_start(job.loaded, job.network)
    with Pool(threads) as pool:
        stepper = job.stepper(pool)
        stepper.initialize()
        if warm:
            warm.load(job.network.graph.layout, stepper.engine.params)
        for step, rate in enumerate(np.geomspace(low, high, steps)):
            try:
                taken = stepper.step(step, lr=float(rate))
            except DivergedError:
                break
            rates.append(float(rate))
            losses.append(job.network.tally.mean_loss(taken.tally))
            smoothed = smooth(losses)
            if step >= _SETTLED and smoothed[-1] > EXPLODED * min(smoothed):
                break
    return judged(rates, losses)


def judged(rates: Sequence[float], losses: Sequence[float]) -> RangeTest:
    """The test's result from rates and losses. Raises DivergedError where there are too few of them."""
    if len(losses) <= _SETTLED:
        raise DivergedError("the loss became infinite within a few steps: give a smaller --low")
    smoothed = smooth(losses)
    best = min(range(len(smoothed)), key=smoothed.__getitem__)
    fell = best > _SETTLED and smoothed[best] < _FALL * smoothed[_SETTLED]
    suggestion = float(f"{rates[best] * SHARE:.2g}") if fell else None
    return RangeTest(tuple(rates), tuple(losses), tuple(smoothed), suggestion, rates[best])


def smooth(losses: Sequence[float]) -> list[float]:
    """Exponential moving averages, with Adam's bias correction."""
    mean, found = 0.0, []
    for count, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        found.append(mean / (1 - SMOOTHING**count))
    return found


def _ceiling(smoothed: Sequence[float]) -> float:
    return 2 * max(smoothed[:_SETTLED])


def in_a_line(steps: Sequence[Mapping[str, float]]) -> str:
    """The smoothed loss of a document's steps as a sparkline, from the first rate to the last."""
    smoothed = [step["smoothed"] for step in steps]
    values = [min(loss, _ceiling(smoothed)) for loss in smoothed]
    return (
        f"loss {smoothed[0]:.4g} {sparkline(values)} {smoothed[-1]:.4g}, "
        f"rates from {steps[0]['lr']:.1g} to {steps[-1]['lr']:.2g}"
    )
