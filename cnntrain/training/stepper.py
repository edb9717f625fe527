"""A stepper takes the steps of training: the batches of each, their gradient, the update, the averaged weights.

Everything that trains takes its steps here: `fit`, `time`, `lr-find`, a replay, the self-test. The pool's team computes
them, which several machines may be part of; nothing above knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from cnntrain.config.load import Loaded
from cnntrain.config.schema import Experiment
from cnntrain.core.arrays import Array
from cnntrain.engine.average import Averaged
from cnntrain.engine.batch import Batch
from cnntrain.engine.engine import Engine
from cnntrain.engine.pool import Pool
from cnntrain.engine.update import Rules, Updater
from cnntrain.network import build, freezing
from cnntrain.network.build import Network
from cnntrain.parts.averages.base import Average
from cnntrain.parts.regularizers.base import Regularizer
from cnntrain.parts.schedules.base import Horizon
from cnntrain.training.rates import Rates

REMEASURED = 100  # training steps over which statistics of averaged weights are measured

BatchSource = Callable[[int], Sequence[Batch]]  # the number of a step -> its batches


@dataclass(frozen=True)
class Taken:
    """A step that was taken: its tally, the rates it was taken with, and the Euclidean norm of its gradient.

    `momentum` is None where it has no schedule.
    """

    tally: Array
    lr: float
    momentum: float | None
    norm: float


class Stepper:
    """A network in training. Parameters, slots and averages are those of the last step taken."""

    def __init__(
        self,
        loaded: Loaded,
        network: Network,
        source: BatchSource,
        horizon: Horizon,
        pool: Pool,
        *,
        larger: Mapping[str, bool] | None = None,
        dtype: Any = np.float32,
        shard: int | None = None,
    ) -> None:
        """`source` gives the batches of a step by its number, in any process; `horizon` is how long training is.

        `larger` says whether larger values are better, for each metric that a schedule may watch. Float type and shard
        size are the engine's. Raises MemoryError where there is too little.
        """
        experiment = loaded.experiment
        self.experiment, self.source, self.horizon = experiment, source, horizon
        trained = freezing.stretches(experiment, network.graph, horizon)
        self.engine = Engine(
            network.graph, network.tally, pool, seed=experiment.seed, dtype=dtype, shard=shard, trained=trained
        )
        self.engine.source = source
        self.optimizer, params, grads = build.optimizer(experiment), self.engine.params, self.engine.grads
        self.updater = Updater(self.optimizer, network.graph.layout, pool, params, grads, rules(experiment), trained)
        self.rates = Rates(loaded, larger)
        average = cast(Average | None, experiment.train.average)
        self.average = Averaged(average, self.engine) if average else None

    def initialize(self) -> None:
        """Write the first values of every parameter."""
        build.initialize(self.engine.graph, self.experiment.init, self.experiment.seed, self.engine.params)

    def step(self, number: int, lr: float | None = None) -> Taken:
        """Take step `number`, from 0, with the scheduled rates, or with `lr` and the optimizer's own momentum.

        Raises DivergedError, before any weight changes, where the loss or the gradient is not finite, and ConfigError
        for a rate that the optimizer does not take.
        """
        rate, momentum = self.rates.at(number, self.horizon) if lr is None else (lr, None)
        tally = self._gradient(number)
        norm = self.updater.apply(rate, number, self.experiment.train.clip_norm, momentum)
        if self.average:
            self.average.follow(number + 1, self.horizon.total_steps, self.horizon.steps_per_epoch)
        return Taken(tally, rate, momentum, norm)

    def remeasure(self) -> None:
        """Measure the running statistics of averaged weights where they moved since, over the last steps until then."""
        average = self.average
        if average and average.stale:
            first = max(average.stale - min(REMEASURED, self.horizon.steps_per_epoch), 0)
            average.remeasure([(number, self.source(number)) for number in range(first, average.stale)])

    def _gradient(self, number: int) -> Array:
        """Compute the gradient of a step, with sam at the worst loss nearby; return the step's tally."""
        batches = self.source(number)
        tally = self.engine.step(batches, number)
        if self.optimizer.sam:
            with self.nearby(number):
                self.engine.step(batches, number)
        return tally

    @contextmanager
    def nearby(self, number: int) -> Iterator[None]:
        """Within it, the weights are where sam takes a step's gradient, in the direction of the one just computed."""
        self.updater.perturb(number)
        try:
            yield
        finally:
            self.updater.restore()


def rules(experiment: Experiment) -> Rules:
    """The rules for gradients and parameters besides the optimizer's step."""
    train = experiment.train
    return Rules(train.clip_value, train.agc, tuple(cast(Regularizer, part) for part in train.regularize))


def vectors(experiment: Experiment) -> int:
    """How many vectors of the parameters' size training keeps besides parameters and gradient."""
    chosen = build.optimizer(experiment)
    saved = (chosen.sam is not None) + 2 * (experiment.train.average is not None)
    return len(chosen.state_names()) + saved + 1  # and the weights before a step, for the update ratio
