"""Freezing: which layers `train.freeze` keeps as they are, parameters and running statistics, and up to which step."""

from __future__ import annotations

import fnmatch

from cnntrain.config.load import Loaded, problem
from cnntrain.config.schema import Experiment, Freeze
from cnntrain.core.registry import did_you_mean
from cnntrain.network.graph import Graph
from cnntrain.parts.schedules.base import Horizon


def frozen(loaded: Loaded, graph: Graph) -> Graph:
    """The graph with all layers frozen that are so for good. Raises ConfigError for a rule that fits no layer."""
    rules = loaded.experiment.train.freeze
    names = [node.name for node in graph.nodes if node.params]
    for index, rule in enumerate(rules):
        if not any(_fits(rule, name) for name in names):
            near = did_you_mean(rule.match, {scope for name in names for scope in _scopes(name)})
            raise problem(loaded, f"train.freeze.{index}", f"match {rule.match!r} fits no layer with parameters{near}")
    kept = {name for name in names if any(rule.until is None and _fits(rule, name) for rule in rules)}
    changed = graph.frozen(kept) if kept else graph
    trained = [node.name for node in changed.nodes if node.trained]
    if rules and trained and all(any(_fits(rule, name) for rule in rules) for name in trained):
        message = "the rules freeze every layer that has trained parameters: nothing would be learned. Leave one out"
        raise problem(loaded, "train.freeze", message)
    return changed


def begins(experiment: Experiment, graph: Graph, horizon: Horizon) -> dict[str, int]:
    """The nodes that are frozen for a while: each with the step, from 0, from which on it is trained."""
    found: dict[str, int] = {}
    for rule in experiment.train.freeze:
        if rule.until is not None:
            step = horizon.steps(rule.until)
            for node in graph.nodes:
                if node.params and not node.options.freeze and _fits(rule, node.name):
                    found[node.name] = max(step, found.get(node.name, 0))
    return found


def _fits(rule: Freeze, name: str) -> bool:
    return any(fnmatch.fnmatchcase(scope, rule.match) for scope in _scopes(name))


def _scopes(name: str) -> list[str]:
    """The name of a node, and of each structure that it is in: "stage1.conv2d_2" and "stage1"."""
    pieces = name.split(".")
    return [".".join(pieces[: count + 1]) for count in range(len(pieces))]
