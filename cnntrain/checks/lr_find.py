"""The learning-rate finder: some steps of training under a rate that grows from step to step, and what the loss does.

The range test of Smith (2017): while the rate is too small the loss stays, then it falls, then the steps are too long
and it explodes. Suggested is a tenth of the rate at which it is smallest (Howard and Gugger 2020), which still falls
and is safely away from the explosion. Weights are made for this and thrown away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cnntrain.core.arrays import Array
from cnntrain.core.errors import DivergedError
from cnntrain.engine.pool import Pool
from cnntrain.training.job import Job

EXPLODED = 4.0  # times the smallest smoothed loss: there is nothing more to see
SMOOTHING = 0.9  # weight of the losses before
SHARE = 0.1  # of the rate with the smallest loss
_FALL = 0.95  # what the loss must fall to, of what it was, to be worth a word
_SETTLED = 5  # steps whose smoothed loss is still one batch's own
_INK, _FAINT, _LINE, _MARK = "#1b1f24", "#d0d7de", "#0969da", "#cf222e"


@dataclass(frozen=True)
class Curve:
    """Rates and the losses at them, as measured and smoothed; and what they suggest, or None."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float | None
    lowest: float  # the rate at which the smoothed loss is smallest

    def document(self) -> dict[str, Any]:
        """What `lr-find --json` prints, less the files."""
        return {
            "suggestion": self.suggestion,
            "lowest": self.lowest,
            "steps": [
                {"lr": rate, "loss": loss, "smoothed": smooth}
                for rate, loss, smooth in zip(self.rates, self.losses, self.smoothed, strict=True)
            ],
        }


def find(job: Job, threads: int, low: float, high: float, steps: int) -> Curve:
    """Take up to `steps` steps with rates from `low` to `high`, evenly spread by their logarithm."""
    rates, losses = [], []
    with Pool(threads) as pool:
        stepper = job.stepper(pool)
        stepper.initialize()
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
    return curve(rates, losses)


def curve(rates: Sequence[float], losses: Sequence[float]) -> Curve:
    """What rates and losses say. Raises DivergedError where there are too few of them."""
    if len(losses) <= _SETTLED:
        raise DivergedError("the loss became infinite within a few steps: give a smaller --low")
    smoothed = smooth(losses)
    best = min(range(len(smoothed)), key=smoothed.__getitem__)
    fell = best > _SETTLED and smoothed[best] < _FALL * smoothed[_SETTLED]
    suggestion = float(f"{rates[best] * SHARE:.2g}") if fell else None
    return Curve(tuple(rates), tuple(losses), tuple(smoothed), suggestion, rates[best])


def smooth(losses: Sequence[float]) -> list[float]:
    """Running means with exponential weights, put right for their start as in Adam."""
    mean, found = 0.0, []
    for count, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        found.append(mean / (1 - SMOOTHING**count))
    return found


def plot(curve: Curve, columns: int = 60, rows: int = 10) -> str:
    """The smoothed loss in characters, over the logarithm of the rate."""
    low, high = min(curve.smoothed), min(max(curve.smoothed), 2 * max(curve.smoothed[:_SETTLED]))
    grid = [[" "] * columns for _ in range(rows)]
    for column in range(columns):
        value = curve.smoothed[round(column * (len(curve.smoothed) - 1) / (columns - 1))]
        row = round((high - min(value, high)) / (high - low or 1) * (rows - 1))
        grid[row][column] = "•"
    labels = [f"{high:.3g}", *[""] * (rows - 2), f"{low:.3g}"]
    width = max(map(len, labels))
    lines = [f"{label:>{width}} ┤{''.join(line)}".rstrip() for label, line in zip(labels, grid, strict=True)]
    first, last = f"{curve.rates[0]:.1g}", f"{curve.rates[-1]:.2g}"
    ends = f"{' ' * width} └{'─' * columns}", f"{' ' * (width + 2)}{first}{last:>{columns - len(first)}}"
    return "\n".join([*lines, *ends])


def picture(curve: Curve, width: int = 960, height: int = 540) -> Image.Image:
    """The curve as a picture: every loss, the smoothed ones, and the suggestion."""
    scale = 2  # drawn twice as large, so that lines are smooth
    image = Image.new("RGB", (width * scale, height * scale), "white")
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(16 * scale)
    left, right, top, bottom = (edge * scale for edge in (80, width - 30, 50, height - 70))
    logs = np.log10(np.array(curve.rates))
    ceiling = 2 * max(curve.smoothed[:_SETTLED])
    low, high = min(curve.losses), min(max(curve.losses), ceiling)
    low -= 0.05 * (high - low)

    def place(log: float, loss: float) -> tuple[float, float]:
        across = (log - logs[0]) / (logs[-1] - logs[0] or 1)
        up = (min(loss, high) - low) / (high - low or 1)
        return left + across * (right - left), bottom - max(up, 0.0) * (bottom - top)

    for decade in range(math.ceil(logs[0] - 1e-9), math.floor(logs[-1] + 1e-9) + 1):
        x, _ = place(decade, low)
        pen.line([(x, top), (x, bottom)], _FAINT, scale)
        pen.text((x, bottom + 8 * scale), f"{10.0**decade:g}", _INK, font, anchor="ma")
    for value in _ticks(low, high):
        _, y = place(logs[0], value)
        pen.line([(left, y), (right, y)], _FAINT, scale)
        pen.text((left - 8 * scale, y), f"{value:g}", _INK, font, anchor="rm")
    for values, color, thick in ((curve.losses, _FAINT, 2), (curve.smoothed, _LINE, 4)):
        pen.line([place(log, loss) for log, loss in zip(logs, values, strict=True)], color, thick * scale, "curve")
    pen.rectangle([left, top, right, bottom], outline=_INK, width=scale)
    pen.text(((left + right) / 2, bottom + 36 * scale), "learning rate", _INK, font, anchor="ma")
    pen.text((left, top - 30 * scale), "training loss: each step's, and smoothed", _INK, font)
    if curve.suggestion is not None:
        x, _ = place(math.log10(curve.suggestion), low)
        pen.line([(x, top), (x, bottom)], _MARK, 2 * scale)
        pen.text((x, top - 30 * scale), f"  {curve.suggestion:g}", _MARK, font, anchor="la")
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _ticks(low: float, high: float) -> Array:
    """About five round numbers between two others."""
    rough = (high - low or 1) / 5
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    ticks: Array = np.arange(math.ceil(low / step), math.floor(high / step) + 1) * step
    return ticks
