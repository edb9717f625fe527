"""Initial values: which initializer a parameter starts by, the layer's own, that of a rule, or the default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from cnntrain.config.load import Loaded, problem
from cnntrain.config.schema import InitConfig, InitRule
from cnntrain.core.arrays import Param
from cnntrain.core.counts import foremost
from cnntrain.core.errors import ConfigError, Problem
from cnntrain.core.registry import Part
from cnntrain.core.scopes import among, covers
from cnntrain.network.graph import Graph, Node
from cnntrain.parts.initializers.base import Initializer

_Key = Literal["weights", "biases"]
KEYS: tuple[_Key, _Key] = ("weights", "biases")  # of a rule and of the defaults
OPTIONS = {"weights": "init", "biases": "bias_init"}  # the same of a layer


def key_of(name: str, param: Param) -> _Key | None:
    """What a parameter is to initializers: scales are weights, and shifts biases; None for a statistic."""
    if param.role == "statistic":
        return None
    return "biases" if param.role == "bias" or name == "shift" else "weights"


def initializer(node: Node, init: InitConfig, name: str) -> Initializer | None:
    """The layer's own, else that of the last rule that is for it, else the default.

    None where the parameter of that name has a value to start with.
    """
    key = key_of(name, node.params[name])
    if key is None:
        return None
    chosen = _own(node, key)
    if chosen is None and node.params[name].start is not None:
        return None
    if chosen is None:
        index = _rule(node, init, key)
        chosen = cast(Part, getattr(init if index is None else init.rules[index], key))
    return cast(Initializer, chosen)


def _own(node: Node, key: _Key) -> Part | None:
    """The initializer given to the layer itself."""
    own: Part | None = getattr(node.options, OPTIONS[key])
    return own


def _rule(node: Node, init: InitConfig, key: _Key) -> int | None:
    """The index of the last rule that is for a layer and has this key."""
    giving = [index for index, rule in enumerate(init.rules) if getattr(rule, key) is not None]
    return next((index for index in reversed(giving) if covers(init.rules[index].match, node.name)), None)


def check(loaded: Loaded, graph: Graph) -> None:
    """Raise ConfigError at the first rule that no parameter can start by, or layer whose initializer cannot."""
    init = loaded.experiment.init
    for index, rule in enumerate(init.rules):
        try:
            _check_rule(graph.nodes, rule)
        except ValueError as error:
            raise problem(loaded, f"init.rules.{index}", str(error)) from error
    for node in graph.nodes:
        for name, param in node.params.items():
            try:
                if (chosen := initializer(node, init, name)) is not None:
                    chosen.check(param)
            except ValueError as error:
                how = "Give the layer another `init`, or say with `init.rules` which layers this one is for"
                raise ConfigError(Problem(node.where, f"{node.name}.{name}: {error}. {how}")) from error


def _check_rule(nodes: Sequence[Node], rule: InitRule) -> None:
    """Raise ValueError where a rule, or one of its keys, does nothing, whatever rules are beside it."""
    filled = [node for node in nodes if any(map(key_of, node.params, node.params.values()))]
    meant = [node for node in filled if covers(rule.match, node.name)]
    if rule.weights is None and rule.biases is None:
        raise ValueError(f"the rule for {rule.match!r} sets neither weights nor biases: give it one of them")
    if not meant:
        near = among(rule.match, [node.name for node in filled])
        raise ValueError(f"match {rule.match!r} fits no layer with parameters{near}")
    for key in KEYS:
        if getattr(rule, key) is not None:
            _check_key(meant, rule.match, key)


def _check_key(meant: Sequence[Node], match: str, key: _Key) -> None:
    """Raise ValueError where one of the keys of a rule does nothing to any of the layers it is for."""
    found = [(node, name) for node in meant for name, param in node.params.items() if key_of(name, param) == key]
    if not found:
        raise ValueError(f"match {match!r} fits only layers without {key}: leave {key} out")
    if all(_own(node, key) is not None or node.params[name].start is not None for node, name in found):
        listed = foremost([f"{node.name}.{name}" for node, name in found])
        raise ValueError(
            f"match {match!r} fits only {key} that rules leave as they are ({listed}): `{OPTIONS[key]}` of the layer "
            "itself sets how they start"
        )
