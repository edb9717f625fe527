"""How the time a sample takes grows: with batch, picture, width, depth, classes, and with the number of samples.

`python -m tests.benchmarks.growth [--only AXIS ...] [--plot FILE]` needs cnntrain, and Matplotlib for the picture.
Along an axis one number of a plain network (BASE) changes; its steps on two threads take turns, and the median is
shown with its spread. The slope is how the time a sample takes went with that number since the line before: 0 where it
did not change, 1 where both doubled, 2 where it grew as the square does. Beside it stands the slope of the operations
that the layers are defined by, so that a knee shows as a difference of the two. Along `samples` it is a whole `fit` of
one epoch that is timed, start and reading included, a process of its own each time.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cnntrain.checks.timing import step_flops
from cnntrain.core import blas
from cnntrain.engine.pool import Pool as Workers
from tests.benchmarks import own, process
from tests.benchmarks.networks import Conv, Dense, Mean, Network, Pool

ROOT = Path(__file__).parents[2]
TURN = 0.1  # seconds of steps at a time
THREADS = 2
_LEAST_SPAN = 20  # from the bottom of a panel to its top, as a factor
SIDE = 8  # of the pictures along `samples`


@dataclass(frozen=True)
class Plain:
    """Convolutions with batch norm and ReLU, the largest of every 2x2 behind the first, the mean, a classifier."""

    batch: int = 64
    picture: int = 32
    width: int = 32
    depth: int = 4
    classes: int = 10

    @property
    def network(self) -> Network:
        """What is trained."""
        convs = [Conv(self.width, norm=True) for _ in range(self.depth)]
        parts = (convs[0], Pool(), *convs[1:], Mean(), Dense(self.classes))
        return Network((self.picture, self.picture, 3), parts, self.classes)


BASE = Plain()
AXES = {
    "batch": [2**k for k in range(11)],
    "picture": [32, 48, 64, 96, 128, 192, 256, 384, 512],
    "width": [8, 16, 32, 64, 128, 256],
    "depth": [1, 2, 4, 8, 16, 32, 64],
    "classes": [10, 100, 1000, 10_000],
    "samples": [1000, 10_000, 100_000, 1_000_000],
}


@dataclass(frozen=True)
class Point:
    """Seconds that a sample takes with this number, one for each turn, and the operations it is defined by."""

    number: int
    seconds: Sequence[float]
    flops: float

    @property
    def median(self) -> float:
        """Seconds in the median."""
        return statistics.median(self.seconds)


def of_steps(axis: str, numbers: Sequence[int], turns: int) -> list[Point]:
    """Training steps along an axis, taking turns. Along `picture` batches are of 8, since large ones need gigabytes."""
    base = replace(BASE, batch=8, width=16) if axis == "picture" else BASE
    plains = [replace(base, **{axis: number}) for number in numbers]
    steps: list[Callable[[], object]] = []
    flops = []
    for plain in plains:
        stepper = own.stepper_of(plain.network, plain.batch, Workers(THREADS))
        steps.append(lambda stepper=stepper: stepper.step(0))  # type: ignore[misc]
        flops.append(float(sum(step_flops(stepper.engine.plans[True]))))
    found: list[list[float]] = [[] for _ in plains]
    counts = [1] * len(plains)
    for turn in range(turns + 1):  # the first warms up, and tells how many steps make a turn
        for number, (step, plain) in enumerate(zip(steps, plains, strict=True)):
            step()
            start = time.perf_counter()
            for _ in range(counts[number]):
                step()
            taken = (time.perf_counter() - start) / counts[number]
            counts[number] = max(1, round(TURN / taken))
            if turn:
                found[number].append(taken / plain.batch)
    return [Point(*values) for values in zip(numbers, found, flops, strict=True)]


def of_samples(numbers: Sequence[int], turns: int) -> list[Point]:
    """Whole processes that train a small network for one epoch of so many pictures of 8x8."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            path, rng = Path(folder) / "data.npz", np.random.default_rng(0)
            pixels = rng.integers(0, 256, (number, SIDE, SIDE, 1), dtype=np.uint8)
            np.savez(path, x_train=pixels, y_train=np.arange(number) % 10)
            config = Path(folder) / "experiment.yaml"
            network = Network((SIDE, SIDE, 1), (Conv(8), Pool(), Mean(), Dense(10)))
            config.write_text(own.config(network, 64, source=f"{{type: npz, path: {path}}}"))
            runs = [Path(folder) / f"run{number}-{turn}" for turn in range(turns)]
            command = ("-m", "cnntrain", "fit", str(config), "-q", "-j", str(THREADS), "-o")
            used = [process.run(*command, str(run), cwd=ROOT) for run in runs]
            found.append(Point(number, [usage.seconds / number for usage in used], 1.0))
    return found


def lines(axis: str, points: Sequence[Point]) -> Iterator[str]:
    """A table of an axis."""
    yield f"| {axis} | a sample, ms | least to most | slope | slope of the operations |\n|{'---|' * 5}"
    for before, point in itertools.pairwise([None, *points]):
        assert point is not None
        cells = [f"{point.number:,}", f"{point.median * 1e3:.3g}"]
        cells.append(f"{min(point.seconds) * 1e3:.3g} to {max(point.seconds) * 1e3:.3g}")
        for of in (lambda p: p.median, lambda p: p.flops):
            rise = math.log(of(point) / of(before)) / math.log(point.number / before.number) if before else None
            cells.append("" if rise is None else f"{rise:.2f}")
        yield f"| {' | '.join(cells)} |"


def plot(found: dict[str, list[Point]], path: str) -> None:
    """A panel for each axis: the time a sample takes, and what it would be, did it follow the operations."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure, panels = pyplot.subplots(rows, columns, figsize=(4.2 * columns, 3.2 * rows), squeeze=False)
    for panel, (axis, points) in zip(panels.flat, found.items(), strict=False):
        numbers = [point.number for point in points]
        milliseconds = [point.median * 1e3 for point in points]
        best = min(m / point.flops for m, point in zip(milliseconds, points, strict=True))
        if axis != "samples":
            panel.plot(numbers, [point.flops * best for point in points], color="0.75", label="by its operations")
        panel.plot(numbers, milliseconds, marker="o", label="measured")
        panel.set(title=axis, xscale="log", yscale="log", ylabel="ms a sample")
        panel.set_xticks(numbers, [f"{number:,}" for number in numbers], fontsize=7, rotation=45)
        low, high = panel.get_ylim()
        middle, least = math.sqrt(low * high), math.sqrt(_LEAST_SPAN)
        panel.set_ylim(min(low, middle / least), max(high, middle * least))  # so that little looks like little
        panel.yaxis.set_major_formatter("{x:g}")
        panel.minorticks_off()
        panel.legend(fontsize=7)
    for panel in panels.flat[len(found) :]:
        panel.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print a table for each axis."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=AXES, default=list(AXES), metavar="AXIS")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--most", type=int, default=sys.maxsize, help="the largest number along an axis")
    parser.add_argument("--plot", metavar="FILE")
    given = parser.parse_args()
    blas.pin()
    print(f"BLAS kernel: {blas.kernel()}")
    found = {}
    for axis in given.only:
        numbers = [number for number in AXES[axis] if number <= given.most]
        of = of_samples(numbers, given.turns) if axis == "samples" else of_steps(axis, numbers, given.turns)
        found[axis] = of
        print("\n" + "\n".join(lines(axis, of)), flush=True)
    if given.plot:
        plot(found, given.plot)


if __name__ == "__main__":
    main()
