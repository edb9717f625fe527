"""A yardstick is the metric that the trials of a search are compared by: the one that each run judges itself by."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cnntrain.config.load import Loaded
from cnntrain.config.schema import Experiment
from cnntrain.core.errors import ConfigError
from cnntrain.data import build_data
from cnntrain.network import build
from cnntrain.network.build import Network
from cnntrain.parts.metrics.base import larger_is_better
from cnntrain.training.monitor import Monitor, judged_by

DECIDE = ("data.val", "train.average", "checkpoint.best")  # keys of a config that decide on it


@dataclass(frozen=True)
class Yardstick:
    """The metric, and whether larger values of it are better."""

    metric: str
    larger: bool

    def __str__(self) -> str:
        return f"{self.metric}, of which the {'largest' if self.larger else 'smallest'} is best"

    @classmethod
    def of(cls, experiment: Experiment) -> Yardstick:
        """That of the runs of an experiment."""
        metric = judged_by(experiment, experiment.data.val is not None)
        return cls(metric, larger_is_better(metric, experiment.checkpoint.best.mode))

    def values(self) -> tuple[str, ...]:
        """The names under which a run has it: until there are averaged weights, it judges the weights themselves."""
        return self.metric, self.metric.replace("val_average/", "val/", 1)

    def best_of(self, rows: Iterable[Mapping[str, Any]]) -> float | None:
        """The best value in rows of metrics.jsonl; None where they have none."""
        rows = [*rows]
        for name in self.values():
            values = [row[name] for row in rows if isinstance(row.get(name), int | float) and math.isfinite(row[name])]
            if values:
                return float(max(values) if self.larger else min(values))
        return None


def require_measured(loaded: Loaded) -> None:
    """Raise ConfigError where the runs of a config do not compute what they are to be judged by.

    Only where the config alone tells the shapes: to read the data is left to the runs.
    """
    network = _network(loaded)
    if network is not None:
        Monitor(loaded, network.tally, loaded.experiment.data.val is not None, network.task.measures)


def _network(loaded: Loaded) -> Network | None:
    """The network, as far as it can be built so early; what is wrong with it is a trial's own affair."""
    with contextlib.suppress(ConfigError):
        description = build_data.describe(loaded)
        return None if description is None else build.network(loaded, description)
    return None
