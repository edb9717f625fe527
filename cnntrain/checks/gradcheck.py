"""A gradient check compares what backward computes with central differences of what forward computes, in float64.

Every node is checked by itself, at its real input shapes on a small batch of two unequal shards, and then all of them
together with the loss and the regularizers, through the engine. A network that passes both trains on the right
gradient; where only the second fails, gradients are lost between nodes.

    (f(t + h) - f(t - h)) / 2h = f'(t) + O(h^2)

At a kink (relu at 0, a tie in max pooling) there is no derivative. A coordinate that disagrees is looked at again with
smaller steps, which leave a near kink, or most of a sharp bend, outside; where the two one-sided differences then
disagree with each other as much as with backward, the kink is too near, and the coordinate is counted as skipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from cnntrain.checks.summary import can_declare, describe, described_without_data
from cnntrain.config.load import Loaded
from cnntrain.core.arrays import Array, Shape
from cnntrain.core.counts import counted
from cnntrain.core.description import Description
from cnntrain.core.errors import CheckFailedError, DataError, DivergedError, Mark
from cnntrain.core.random import stream
from cnntrain.data import build_data
from cnntrain.engine.engine import Engine
from cnntrain.engine.fixed import Fixed
from cnntrain.engine.pool import Pool
from cnntrain.engine.solo import ShardStreams, Solo, parameters
from cnntrain.network import build
from cnntrain.network.build import Network
from cnntrain.network.graph import Graph, Node
from cnntrain.network.tally import Tally
from cnntrain.parts.losses.base import beside, teacher_of
from cnntrain.training.stepper import rules

SHARD, SAMPLES = 2, 3  # two shards, of 2 samples and of 1
STEPS = (1e-5, 1e-6, 1e-7)  # h, for values around 1: the first is the most exact, the others look closer
TOLERANCES = {"node": 1e-5, "network": 1e-4}  # of the largest gradient of the array; deep networks amplify rounding
FLOOR = 1e-4  # an array whose gradients are this much smaller than its node's or network's counts as that large
_DRAWS = 8  # steps a node is tried in, until its random draws do not drop everything


@dataclass
class Finding:
    """How the gradient of one array compares, coordinate by coordinate."""

    node: str
    layer: str
    what: str  # "input", "input 2", or a parameter's name
    scope: Literal["node", "network"]
    where: Mark
    checked: int = 0
    skipped: int = 0  # at a kink
    worst: float = 0.0  # largest deviation over the scale of the gradient
    example: str = ""  # of the worst deviation: backward's value and that of the differences

    @property
    def tolerance(self) -> float:
        """The largest deviation that is allowed."""
        return TOLERANCES[self.scope]

    @property
    def failed(self) -> bool:
        """Whether some coordinate is wrong."""
        return not self.worst <= self.tolerance

    def document(self) -> dict[str, Any]:
        """The finding as `--json` prints it."""
        return {
            "scope": self.scope,
            "node": self.node,
            "layer": self.layer,
            "gradient": self.what,
            "checked": self.checked,
            "skipped": self.skipped,
            "worst": self.worst,
            "tolerance": self.tolerance,
            "failed": self.failed,
            "where": str(self.where),
        }


@dataclass
class Findings:
    """All findings, in the order of the nodes: first each by itself, then the whole network."""

    findings: list[Finding] = field(default_factory=list)

    @property
    def failed(self) -> list[Finding]:
        """The failed findings, the worst first; nodes before the network, which is wrong wherever a node is."""
        wrong = [finding for finding in self.findings if finding.failed]
        return sorted(wrong, key=lambda finding: (finding.scope != "node", -finding.worst))

    @property
    def worst(self) -> Finding:
        """The finding that deviates most; a failed one comes before any other."""
        return (
            self.failed[0] if self.failed else max(self.findings, key=lambda finding: finding.worst / finding.tolerance)
        )

    def document(self) -> dict[str, Any]:
        """What `gradcheck --json` prints."""
        return {
            "passed": not self.failed,
            "checked": sum(finding.checked for finding in self.findings),
            "skipped": sum(finding.skipped for finding in self.findings),
            "worst": self.worst.document() if self.findings else None,
            "findings": [finding.document() for finding in self.findings],
        }

    def require(self) -> None:
        """Raise CheckFailedError that names the worst node and its line where anything is wrong."""
        if not self.failed:
            return
        worst = self.worst
        at = "by itself" if worst.scope == "node" else "within the network"
        count = len({finding.node for finding in self.failed})
        raise CheckFailedError(
            f"{worst.where}: the gradient of {worst.node} ({worst.layer}) with respect to its {worst.what} "
            f"is wrong {at}: {worst.example}; {counted(count, 'node')} failed. Mend the layer's backward"
        )


def check(loaded: Loaded, coordinates: int = 8) -> Findings:
    """Check every gradient of a config's network in about `coordinates` values of each array.

    Inputs, parameters and targets are random, drawn from the config's seed; of the data only the shape and the classes
    matter. Raises ConfigError or DataError where there is no network to check.
    """
    description = _description(loaded)
    occurring = build_data.task(loaded, description).occurring(description)
    counts = list(range(1, len(occurring) + 1))  # unequal, for a loss that balances classes by them
    network = build.balanced(loaded, build.network(loaded, description), counts or None)
    tally = network.tally
    network = replace(network, tally=Tally(tally.loss.without_constants(), tally.metrics, tally.outputs))
    report = Findings()
    seed = loaded.experiment.seed
    for index in range(len(network.graph.nodes)):
        node, shapes = network.graph.nodes[index], network.graph.input_shapes(index)
        report.findings += check_node(node, shapes, index, coordinates, seed)
    report.findings += _check_network(loaded, network, math.ceil(coordinates / 2), seed)
    return report


def _description(loaded: Loaded) -> Description:
    """Shape and classes; where the data is absent and the config could tell them, the error says what to add."""
    try:
        return describe(loaded)
    except DataError:
        if not can_declare(loaded):
            raise
        return described_without_data(loaded)


# -- one node ----------------------------------------------------------------------------------------------------------


def check_node(node: Node, shapes: Sequence[Shape], index: int, coordinates: int, seed: int = 0) -> Iterator[Finding]:
    """Check one node by itself, for inputs of these shapes; `index` is its place in the graph."""
    rng = stream(seed, "gradcheck", index)
    xs = [rng.standard_normal((SAMPLES, *shape)) for shape in shapes]
    p = parameters(node.layer, shapes, rng)
    dy = rng.standard_normal((SAMPLES, *node.layer.output_shape(*shapes)))
    for step in range(_DRAWS):  # until the draws do not drop everything
        solo = Solo(node.layer, shapes, [SHARD], frozen=node.options.freeze, streams=_streams(seed, step, index))
        with np.errstate(all="ignore"):
            outcome = solo.run(xs, p, dy)
        if any(dx.any() for dx in outcome.dxs):
            break
    inputs = [("input" if len(xs) == 1 else f"input {i}", x, outcome.dxs[i]) for i, x in enumerate(xs)]
    arrays = inputs + [(name, p[name], gradient) for name, gradient in outcome.dp.items()]
    scale = FLOOR * max((_largest(gradient) for _, _, gradient in arrays), default=0.0)
    reference = outcome.y

    def change() -> float:
        """How much sum(y * dy) lies above its value at the point; the difference is taken before the sum."""
        with np.errstate(all="ignore"):
            return float(np.sum((solo.forward(xs, p) - reference) * dy))

    for what, values, gradient in arrays:
        finding = Finding(node.name, node.layer.name_in_config, what, "node", node.where)
        _compare(finding, values, gradient, change, _chosen(gradient, coordinates, rng), scale)
        yield finding


def _streams(seed: int, step: int, index: int) -> ShardStreams:
    """The random streams that the engine gives a node in a step."""
    return lambda shard: stream(seed, "layer", step, shard, index)


# -- the whole network -------------------------------------------------------------------------------------------------


def _check_network(loaded: Loaded, network: Network, coordinates: int, seed: int) -> Iterator[Finding]:
    graph = network.graph
    rng = stream(seed, "gradcheck", len(graph.nodes))
    with Pool(1) as pool:
        engine = Engine(graph, network.tally, pool, seed=seed, dtype=np.float64, shard=SHARD)
        build.initialize(graph, loaded.experiment.init, seed, engine.params)
        views, gradients = graph.layout.views(engine.params), graph.layout.views(engine.grads)
        for name, entry in graph.layout.entries.items():
            if entry.param.role in ("bias", "norm"):  # off zero and one, where a missing factor would not show
                views[name] += 0.1 * rng.standard_normal(entry.param.shape)
        batch = _batch(network, rng)

        penalties = _Penalties(loaded, graph, views)

        def loss() -> float:
            value = engine.tally.mean_loss(engine.step([batch], 0)) + penalties.value()
            if not math.isfinite(value):
                raise DivergedError(f"the loss is {value} at the initial parameters, so nothing can be compared")
            return value

        reference = loss()
        taken = {name: gradient.copy() for name, gradient in gradients.items()}
        penalties.add_gradients(taken)
        trained = [(node, name) for node in graph.nodes if node.trained for name in _trained(node)]
        scale = FLOOR * max((_largest(taken[f"{node.name}.{name}"]) for node, name in trained), default=0.0)
        for node, name in trained:
            full = f"{node.name}.{name}"
            finding = Finding(node.name, node.layer.name_in_config, name, "network", node.where)
            chosen = _chosen(taken[full], coordinates, rng)
            _compare(finding, views[full], taken[full], lambda: loss() - reference, chosen, scale)
            yield finding


class _Penalties:
    """The regularizers of a config at work on the parameters of a network."""

    def __init__(self, loaded: Loaded, graph: Graph, views: Mapping[str, Array]) -> None:
        regularizers = rules(loaded.experiment).regularizers
        self._acting = [
            (regularizer, f"{node.name}.{name}", views[f"{node.name}.{name}"])
            for node in graph.nodes
            for name in (_trained(node) if node.trained else ())
            for regularizer in regularizers
            if regularizer.applies(node.name, node.params[name].role)
        ]

    def value(self) -> float:
        """Their penalty, added to the loss."""
        return math.fsum(regularizer.value(p) for regularizer, _, p in self._acting)

    def add_gradients(self, gradients: Mapping[str, Array]) -> None:
        """Add their gradients."""
        for regularizer, name, p in self._acting:
            regularizer.add_gradient(p, gradients[name], np.empty_like(p))


def _trained(node: Node) -> list[str]:
    return [name for name, param in node.params.items() if param.role != "statistic"]


def _batch(network: Network, rng: np.random.Generator) -> Fixed:
    """Normal inputs; targets that every loss can score; unequal weights."""
    graph = network.graph
    x = rng.standard_normal((SAMPLES, *graph.input_shape))
    targets = network.task.random(SAMPLES, replace(network.data, shape=graph.input_shape), rng)
    if teacher_of(network.loss) is not None:
        targets = beside(targets, rng.standard_normal((SAMPLES, *graph.output_shape)))
    return Fixed(x, targets, rng.uniform(0.5, 1.5, SAMPLES))


# -- comparing ---------------------------------------------------------------------------------------------------------


def _largest(gradient: Array) -> float:
    return float(np.max(np.abs(gradient), initial=0.0))


def _chosen(gradient: Array, count: int, rng: np.random.Generator) -> Sequence[int]:
    """The coordinates to check: that of the largest gradient, and random others."""
    if gradient.size <= count:
        return range(gradient.size)
    others = rng.choice(gradient.size, count - 1, replace=False)
    return sorted({int(np.argmax(np.abs(gradient))), *others.tolist()})


def _compare(
    finding: Finding, values: Array, gradient: Array, change: Callable[[], float], chosen: Sequence[int], floor: float
) -> None:
    """Compare some coordinates of a gradient with differences of `change`, which sees `values` moved."""
    flat, said = values.reshape(-1), gradient.reshape(-1)
    scale = max(_largest(gradient), floor)

    def moved(i: int, distance: float) -> float:
        before = flat[i]
        flat[i] = before + distance
        try:
            return change()
        finally:
            flat[i] = before

    for i in chosen:
        finding.checked += 1
        for h in STEPS:
            above, below = moved(i, h), moved(i, -h)
            central = (above - below) / (2 * h)
            error = abs(central - said[i])
            if error <= finding.tolerance * max(scale, abs(central)):
                break
        else:
            if abs(above + below) / h > error / 2:  # the one-sided differences, above / h and -below / h, disagree
                finding.skipped += 1
                continue
        deviation = float(error / max(scale, abs(central), np.finfo(np.float64).tiny))
        if not deviation <= finding.worst:
            finding.worst = deviation if math.isfinite(deviation) else math.inf
            finding.example = f"backward gives {said[i]:.6g}, the central difference is {central:.6g}"
