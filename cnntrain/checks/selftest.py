"""The self-test proves an installation on the machine it runs on: the numbers PyTorch computed, and equal bits.

`golden.npz` comes with the package. It holds cases of layers, losses, optimizers and schedules with what PyTorch, or
where it has no counterpart the paper's formula, made of them, and two small networks with the whole course of their
training. `python -m tests.regenerate` puts it together from the golden files of the tests.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from cnntrain.checks.summary import described_without_data
from cnntrain.config.binder import bound
from cnntrain.config.fields import Kind
from cnntrain.config.load import Loaded, load_text
from cnntrain.core import blas
from cnntrain.core.arrays import Array, Layout, Param, aligned
from cnntrain.core.errors import CheckFailedError, Mark
from cnntrain.core.registry import Part
from cnntrain.engine.fixed import Fixed
from cnntrain.engine.pool import Pool
from cnntrain.engine.solo import Solo
from cnntrain.engine.update import Updater
from cnntrain.network import build
from cnntrain.parts.layers.base import Layer
from cnntrain.parts.losses.base import Loss
from cnntrain.parts.optimizers.base import Optimizer
from cnntrain.parts.schedules.base import Horizon, Schedule
from cnntrain.rundir.environment import environment
from cnntrain.training.stepper import Stepper

GOLDEN = Path(__file__).with_name("golden.npz")
INDEX = "index"  # the member that says what the others are: JSON as bytes
SHARD = 8  # samples, in the networks
THREADS = (1, 2, 3)

GoldenArrays = Mapping[str, Array]


@dataclass(frozen=True)
class Case:
    """One golden case: a part with its settings, what goes in and what must come out."""

    kind: str
    name: str  # "conv2d-plain"
    part: Any
    arrays: GoldenArrays


@dataclass(frozen=True)
class Check:
    """The outcome of one line of the table."""

    name: str
    cases: int
    worst: float  # the largest deviation
    worst_case: str
    tolerance: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether every case is within the tolerance."""
        return self.worst <= self.tolerance

    def document(self) -> dict[str, Any]:
        """The check as `--json` prints it."""
        return {
            "check": self.name,
            "passed": self.passed,
            "cases": self.cases,
            "worst": self.worst,
            "worst_case": self.worst_case,
            "tolerance": self.tolerance,
            "note": self.note,
        }


@dataclass(frozen=True)
class Checks:
    """All checks, and how long they took."""

    checks: tuple[Check, ...]
    seconds: float

    def document(self) -> dict[str, Any]:
        """What `selftest --json` prints."""
        return {
            "passed": all(check.passed for check in self.checks),
            "seconds": round(self.seconds, 2),
            "environment": environment(),
            "checks": [check.document() for check in self.checks],
        }

    def require(self) -> None:
        """Raise CheckFailedError that names the first check that failed."""
        failed = [check for check in self.checks if not check.passed]
        if failed:
            first = failed[0]
            raise CheckFailedError(
                f"{len(failed)} of {len(self.checks)} checks failed, the first {first.name}: {first.worst_case} "
                f"deviates by {first.worst:.1e}, at most {first.tolerance:.0e} is allowed. Do not trust results on "
                "this machine; reinstall NumPy, or report the output of: cnntrain selftest --json"
            )


def run() -> Checks:
    """Every check, in a few seconds."""
    start = time.monotonic()
    with np.load(GOLDEN, allow_pickle=False) as file:
        arrays = dict(file)
    index = json.loads(arrays.pop(INDEX).tobytes())
    checks = [_blas(), *_parts(index["cases"], arrays), *_networks(index["networks"], arrays)]
    return Checks(tuple(checks), time.monotonic() - start)


# -- parts -------------------------------------------------------------------------------------------------------------


def make(kind: str, name: str, settings: Mapping[str, Any]) -> Any:
    """A part from settings as JSON holds them, read as a config's would be. Raises ConfigError."""
    return bound({"type": name, **settings}, Annotated[Part, Kind(kind)], Mark("golden", 1, 1))


def deviation(ours: Any, theirs: Any) -> float:
    """The largest difference over the largest expected value; infinite where shape, NaN or infinity differ."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape:
        return np.inf
    odd = ~np.isfinite(theirs)
    if not np.array_equal(ours[odd], theirs[odd], equal_nan=True):
        return np.inf
    scale = np.max(np.abs(theirs[~odd]), initial=0.0) or 1.0
    worst = float(np.max(np.abs(ours[~odd] - theirs[~odd]), initial=0.0) / scale)
    return worst if np.isfinite(worst) else np.inf


@np.errstate(all="ignore")
def layer(case: Case, dtype: Any) -> float:
    """The deviation of a layer's output, gradients and running statistics."""
    part, kept = case.part, case.arrays
    assert isinstance(part, Layer)
    training = not case.name.endswith("-evaluation")
    xs = [kept[f"x{i}"].astype(dtype) for i in range(sum(name[0] == "x" for name in kept))]
    p = {name[2:]: value.astype(dtype) for name, value in kept.items() if name.startswith("p_")}
    solo = Solo(part, [x.shape[1:] for x in xs], training=training)
    if not training:
        return deviation(solo.forward(xs, p), kept["y"])
    outcome = solo.run(xs, p, kept["dy"].astype(dtype))
    found = {"y": outcome.y} | {f"dx{i}": dx for i, dx in enumerate(outcome.dxs)}
    found |= {f"dp_{name}": value for name, value in outcome.dp.items()}
    found |= {f"after_{name}": value for name, value in outcome.p.items() if f"after_{name}" in kept}
    return max(deviation(value, kept[name]) for name, value in found.items())


def loss(case: Case, dtype: Any) -> float:
    """The deviation of a loss's values, gradient and mean."""
    part, kept = case.part, case.arrays
    assert isinstance(part, Loss)
    outputs, weights = kept["outputs"].astype(dtype), kept["weights"].astype(dtype)
    losses, gradient = np.full(len(outputs), np.nan, dtype), np.full_like(outputs, np.nan)
    part(outputs, kept["targets"], weights, losses, gradient)
    mean = np.sum(losses.astype(np.float64) * weights) / part.normalizer(kept["targets"], weights)
    pairs = [(losses, "losses"), (gradient, "d_outputs"), (mean, "mean")]
    return max(deviation(ours, kept[name]) for ours, name in pairs)


def optimizer(case: Case, dtype: Any) -> float:
    """The deviation of the parameters after some of the steps; the updater calls it, as in training.

    The vector is a matrix of two rows and, behind it, a vector, for the optimizers that work on whole tensors.
    """
    part, kept = case.part, case.arrays
    assert isinstance(part, Optimizer)
    size, columns = len(kept["start"]), len(kept["start"]) // 4
    shapes = {"node.matrix": (2, columns), "node.vector": (size - 2 * columns,)}
    layout = Layout([(name, Param(shape), 1.0, False) for name, shape in shapes.items()])
    params, grads = aligned(layout.size, dtype), aligned(layout.size, dtype)
    _spread(kept["start"], layout.views(params))
    shown = []
    with Pool(1) as pool:
        updater = Updater(part, layout, pool, params, grads)
        for step, (gradient, factor) in enumerate(zip(kept["gradients"], kept["factors"], strict=True), 1):
            _spread(gradient, layout.views(grads))
            updater.apply(part.lr * factor, step - 1)
            if step in kept["steps"]:
                shown.append(np.concatenate([view.ravel() for view in layout.views(params).values()]))
    return deviation(np.array(shown), kept["shown"])


def _spread(values: Array, views: GoldenArrays) -> None:
    """Write a vector into windows, one after the other."""
    start = 0
    for view in views.values():
        view[...] = values[start : start + view.size].reshape(view.shape)
        start += view.size


def schedule(case: Case, dtype: Any) -> float:  # noqa: ARG001  (a learning rate is a float)
    """The deviation of the learning rate at every step."""
    part, kept = case.part, case.arrays
    assert isinstance(part, Schedule)
    horizon = Horizon(int(kept["steps"]), int(kept["per_epoch"]))
    rates, state = [], part.begin()
    for step in range(horizon.total_steps):
        epoch, within = divmod(step, horizon.steps_per_epoch)
        if epoch and not within and "losses" in kept:
            state = part.judge(state, {"val/loss": float(kept["losses"][epoch - 1])})
        rates.append(part(step, horizon, float(kept["lr"]), state))
    return deviation(rates, kept["rates"])


@dataclass(frozen=True)
class _Kind:
    """How the cases of a kind are compared, and how much they may deviate in each float type."""

    compare: Callable[[Case, Any], float]
    tolerances: Mapping[Any, float]


KINDS = {
    "layers": _Kind(layer, {np.float64: 1e-10, np.float32: 2e-5}),
    "losses": _Kind(loss, {np.float64: 1e-11, np.float32: 1e-5}),
    "optimizers": _Kind(optimizer, {np.float64: 1e-9, np.float32: 1e-5}),
    "schedules": _Kind(schedule, {np.float64: 1e-12}),
}


def _parts(index: Mapping[str, Any], arrays: GoldenArrays) -> Iterator[Check]:
    for kind, how in KINDS.items():
        cases = list(cases_of(kind, index[kind], arrays))
        for dtype, tolerance in how.tolerances.items():
            worst, name = max((how.compare(case, dtype), case.name) for case in cases)
            label = kind if len(how.tolerances) == 1 else f"{kind}, {np.dtype(dtype).name}"
            yield Check(label, len(cases), worst, name, tolerance)


def cases_of(kind: str, index: Mapping[str, Any], arrays: GoldenArrays) -> Iterator[Case]:
    """The cases of one kind; `arrays` are named "kind/case/name", those of "kind//name" belong to every case."""
    members: dict[str, dict[str, Array]] = {}
    for name, array in arrays.items():
        folder, _, rest = name.partition("/")
        if folder == kind:
            case, _, short = rest.partition("/")
            members.setdefault(case, {})[short] = array
    shared = members.pop("", {})
    for case, (part, settings) in index.items():
        yield Case(kind, case, make(kind, part, settings), shared | members[case])


# -- networks ----------------------------------------------------------------------------------------------------------


def follow(loaded: Loaded, arrays: GoldenArrays, steps: int, dtype: Any, pool: Pool) -> dict[str, Array]:
    """Train a network from given parameters on given batches: its losses, last outputs and running statistics.

    `arrays` hold start/NAME for every parameter, pixels (n, h, w, c), labels (n,) and batches, the samples of each.
    """
    network = build.network(loaded, described_without_data(loaded))
    stops = np.cumsum(arrays["batches"])[:-1]
    x = (arrays["pixels"] / 255 - 0.5).astype(dtype)
    given = [Fixed(*pair) for pair in zip(np.split(x, stops), np.split(arrays["labels"], stops), strict=True)]
    horizon = Horizon(steps, len(given))
    stepper = Stepper(loaded, network, lambda step: [given[step % len(given)]], horizon, pool, dtype=dtype, shard=SHARD)
    views = network.graph.layout.views(stepper.engine.params)
    for name, view in views.items():
        view[...] = arrays[f"start/{name}"]
    losses = [network.tally.mean_loss(stepper.step(step).tally) for step in range(steps)]
    statistics = {name: view for name, view in views.items() if "running" in name}
    outputs = np.concatenate([stepper.engine.outputs(batch) for batch in given])
    return {"losses": np.array(losses), "outputs": outputs, **statistics}


def _networks(index: Mapping[str, Any], arrays: GoldenArrays) -> Iterator[Check]:
    """Training that follows PyTorch's, and the same bits on any number of threads."""
    for name, about in index.items():
        loaded = load_text(about["config"], f"{name}.yaml")
        prefix = f"networks/{name}/"
        mine = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
        steps = about["steps"]
        with Pool(2) as pool:
            found = follow(loaded, mine, steps, np.float64, pool)
        expected = {key.removeprefix("end/"): array for key, array in mine.items() if key.startswith("end/")}
        worst, what = max((deviation(found[key], array), key) for key, array in expected.items())
        yield Check(f"training, network {name!r}", steps, worst, what, 1e-8, "steps followed, in float64")
        yield _same_bits(name, loaded, mine)


def _same_bits(name: str, loaded: Loaded, arrays: GoldenArrays) -> Check:
    digests = []
    for threads in THREADS:
        with Pool(threads) as pool:
            digests.append(digest(follow(loaded, arrays, 4, np.float32, pool)))
    different = [str(threads) for threads, one in zip(THREADS, digests, strict=True) if one != digests[0]]
    counts = ", ".join(map(str, THREADS))
    label, note = f"equal bits, network {name!r}", f"digest {digests[0][:16]} with {counts} threads"
    return Check(
        label, len(THREADS), len(different), f"{' and '.join(different)} threads" if different else "", 0, note
    )


def digest(arrays: GoldenArrays) -> str:
    """SHA-256, in hex, of the bytes of all arrays in the order of their names."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        sha.update(np.ascontiguousarray(arrays[name]).tobytes())
    return sha.hexdigest()


def _blas() -> Check:
    """Whether NumPy's BLAS obeys; without that nothing else about bits is certain."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pinned = blas.pin()
    return Check(
        "BLAS on one thread",
        1,
        0 if pinned else 1,
        "" if pinned else "NumPy's BLAS",
        0,
        f"{blas.description()}, {blas.kernel()}",
    )
