"""Freezing: which layers `train.freeze` keeps as they are, parameters and running statistics, and in which steps."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Sequence
from typing import NamedTuple

from cnntrain.config.load import Loaded, problem
from cnntrain.config.schema import Experiment, Freeze
from cnntrain.core.scopes import among, scopes
from cnntrain.network.graph import Graph
from cnntrain.parts.schedules.base import Horizon


class Stretch(NamedTuple):
    """The steps in which a node is trained: those from `first` on that come before `stop`."""

    first: int = 0
    stop: float = math.inf

    def has(self, step: float) -> bool:
        """Whether it is trained in this step."""
        return self.first <= step < self.stop


ALWAYS = Stretch()


def frozen(loaded: Loaded, graph: Graph) -> Graph:
    """The graph with those layers frozen that stay so throughout. Raises ConfigError for a rule that fits no layer."""
    rules = loaded.experiment.train.freeze
    names = [node.name for node in graph.nodes if node.params]
    for index, rule in enumerate(rules):
        if not any(_fits(rule, name) for name in names):
            near = among(rule.match, names)
            raise problem(loaded, f"train.freeze.{index}", f"match {rule.match!r} fits no layer with parameters{near}")
    kept = {name for name in names if any(rule.until == rule.after and _fits(rule, name) for rule in rules)}
    changed = graph.frozen(kept) if kept else graph
    trained = [node.name for node in changed.nodes if node.trained]
    ends = {
        "at first": [rule for rule in rules if rule.until is not None or rule.after is None],
        "at last": [rule for rule in rules if rule.after is not None or rule.until is None],
    }
    for when, acting in ends.items():
        if trained and _all_fit(acting, trained):
            message = f"the rules freeze every layer that has trained parameters: {when} nothing would be learned"
            raise problem(loaded, "train.freeze", f"{message}. Leave one out")
    return changed


def stretches(experiment: Experiment, graph: Graph, horizon: Horizon) -> dict[str, Stretch]:
    """The nodes that are trained in some steps only."""
    found: dict[str, Stretch] = {}
    for rule in experiment.train.freeze:
        first = 0 if rule.until is None else horizon.steps(rule.until)
        stop = math.inf if rule.after is None else horizon.steps(rule.after)
        for node in graph.nodes:
            if node.params and not node.options.freeze and _fits(rule, node.name):
                before = found.get(node.name, ALWAYS)
                found[node.name] = Stretch(max(first, before.first), min(stop, before.stop))
    return found


def _all_fit(rules: Sequence[Freeze], names: Sequence[str]) -> bool:
    return all(any(_fits(rule, name) for rule in rules) for name in names)


def _fits(rule: Freeze, name: str) -> bool:
    return any(fnmatch.fnmatchcase(scope, rule.match) for scope in scopes(name))
