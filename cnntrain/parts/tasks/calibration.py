"""Calibration: whether what is said with a confidence of 80 % is right in 80 of 100 cases (Guo et al. 2017)."""

from __future__ import annotations

import numpy as np

from cnntrain.core.arrays import Array
from cnntrain.core.display import Bars, Line, Plot, Section, Table, percent

BINS = 15  # of confidence: as many as the metric calibration_error has by default
_ENOUGH = 20  # samples of a point of the chart; bins of fewer are joined with their neighbours
_95 = 1.96  # standard deviations on either side of 95 % of a normal distribution


def calibration(confidence: Array, right: Array, axes: tuple[str, str], of: str, below: str) -> Section:
    """The reliability diagram of answers given with a confidence (n,), of which some were right (n,), and its numbers.

    `axes` say what confidence and the share of right answers are called, `of` what the answers are; `below` ends the
    sentence about points below the diagonal that begins with "Where".
    """
    counts, sure, hits = found = bins(confidence, right)
    left, width, n, mean, share = joined(found)
    low, high = interval(share, n)
    diagonal = np.array([0, 1])
    marks: tuple[Line | Bars, ...] = (
        Line(diagonal, diagonal, reference=True),
        Bars(left, share, width),
        *(Line(np.full(2, x), np.array(ends)) for x, *ends in zip(mean, low, high, strict=True)),
        *(Line(*point, marked=True) for point in zip(mean[:, None], share[:, None], strict=True)),
    )
    rows = [
        [f"{percent(i / BINS)} to {percent((i + 1) / BINS)}", f"{int(counts[i]):,}", f"{sure[i]:.4f}", f"{hits[i]:.4f}"]
        for i in range(BINS)
        if counts[i]
    ]
    numbers = Table([axes[0], of, f"mean {axes[0]}", axes[1]], rows, right={1, 2, 3})
    plot = Plot("calibration", " and ".join(axes), axes, ((0, 1), (0, 1.02)), marks, numbers)
    note = (
        f"Where {below}. A point stands for {_ENOUGH} {of} or more, the leftmost for the rest; its vertical line is "
        "the 95 % interval."
    )
    return Section("Calibration", [plot], note, half=True)


def bins(confidence: Array, right: Array) -> Array:
    """For each bin of confidence: the samples, their mean confidence and their accuracy; (3, BINS), 0 where empty.

    A boundary belongs to the bin below, as in the metric calibration_error.
    """
    place = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence)
    counts, sure, hits = (np.bincount(place, what, minlength=BINS) for what in (None, confidence, right))
    return np.stack([counts, sure / np.maximum(counts, 1), hits / np.maximum(counts, 1)])


def joined(found: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Neighbouring bins (3, BINS) joined, from the surest down, until each has _ENOUGH samples; the last has the rest.

    For each, (k,): where it begins, how wide it is, samples, mean confidence, accuracy.
    """
    groups: list[list[int]] = [[]]
    for place in np.flatnonzero(found[0])[::-1].tolist():
        if groups[-1] and found[0, groups[-1]].sum() >= _ENOUGH:
            groups.append([])
        groups[-1].append(place)
    groups = [group for group in groups if group]
    counts = np.array([found[0, group].sum() for group in groups])
    means = [np.array([found[0, group] @ found[row, group] for group in groups]) / counts for row in (1, 2)]
    left, end = (np.array([pick(group) + more for group in groups]) / BINS for pick, more in ((min, 0), (max, 1)))
    return left, end - left, counts, means[0], means[1]


def interval(share: Array, n: Array) -> Array:
    """The 95 % interval (2, k) of shares (k,) of n samples each (Wilson 1927)."""
    middle = (share + _95**2 / (2 * n)) / (1 + _95**2 / n)
    half = _95 * np.sqrt(share * (1 - share) / n + _95**2 / (4 * n**2)) / (1 + _95**2 / n)
    return np.stack([middle - half, middle + half])
