"""Effects: whether what a config sets for some layers, by name or at the layer itself, acts on any parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from cnntrain.config.load import Loaded, problem
from cnntrain.core.arrays import LayoutEntry
from cnntrain.core.errors import ConfigError, Problem
from cnntrain.core.scopes import among, covers
from cnntrain.network.graph import Graph, Node, node_of
from cnntrain.network.initial import KEYS, OPTIONS, key_of
from cnntrain.parts.optimizers.base import Group, Optimizer
from cnntrain.parts.regularizers.base import Regularizer


def check(loaded: Loaded, graph: Graph) -> None:
    """Raise ConfigError at the first layer, group of the optimizer or regularizer with a setting that does nothing."""
    for index, node in enumerate(graph.nodes):
        try:
            node.layer.check_inputs(*graph.input_shapes(index))
            _check_options(node)
        except ValueError as error:
            raise ConfigError(Problem(node.where, f"{node.name}: {error}")) from error
    layout = graph.layout
    trained = [entry for entry in layout.entries.values() if entry.offset < layout.trained]
    for index, group in enumerate(cast(Optimizer, loaded.experiment.optimizer).groups):
        place = f"optimizer.groups.{index}"
        try:
            _check_group(group, trained, f"{place}.lr_mult" in loaded.marks)
        except ValueError as error:
            raise problem(loaded, place, str(error)) from error
    for index, part in enumerate(loaded.experiment.train.regularize):
        try:
            _check_regularizer(cast(Regularizer, part), trained)
        except ValueError as error:
            raise problem(loaded, f"train.regularize.{index}", str(error)) from error


def _check_options(node: Node) -> None:
    """Raise ValueError where a layer has an option for parameters that, as it is set, it does not have."""
    kinds = {key_of(name, param) for name, param in node.params.items()}
    given = {
        **{OPTIONS[key]: key not in kinds and getattr(node.options, OPTIONS[key]) is not None for key in KEYS},
        "lr_mult": kinds <= {None} and node.options.lr_mult != 1,
        "freeze": not kinds and node.options.freeze,
    }
    for option, idle in given.items():
        if idle:
            wanted = {"init": "weights", "bias_init": "biases"}.get(option, "parameters")
            raise ValueError(f"{option} does nothing, since as it is set this layer has no {wanted}: leave it out")


def _fitting(match: str, trained: Sequence[LayoutEntry]) -> list[LayoutEntry]:
    """The trained parameters of the layers that a rule is for. Raises ValueError where there are none."""
    found = [entry for entry in trained if covers(match, node_of(entry))]
    if not found:
        known = {node_of(entry) for entry in trained}
        raise ValueError(f"match {match!r} fits no layer with trained parameters{among(match, known)}")
    return found


def _check_group(group: Group, trained: Sequence[LayoutEntry], has_rate: bool) -> None:
    """Raise ValueError where a group, or its decay, does nothing; a decay of 0 is what norms and biases have.

    What later groups overrule is no mistake: general ones may come first, and those for every single layer after them.
    """
    found = _fitting(group.match, trained)
    if not has_rate and group.lr_mult == 1 and group.weight_decay is None:
        raise ValueError(f"the group {group.match!r} sets neither lr_mult nor weight_decay: give it one of them")
    if group.weight_decay and not any(entry.param.role == "weight" for entry in found):
        raise ValueError(f"weight_decay acts on weights alone, and {_roles(group.match, found)}: leave it out")


def _check_regularizer(regularizer: Regularizer, trained: Sequence[LayoutEntry]) -> None:
    """Raise ValueError where no parameter of its roles is trained in the layers it is for."""
    if not regularizer.roles:
        raise ValueError("roles is empty, so it acts on nothing: name some of weight, bias, norm")
    found = _fitting(regularizer.match, trained)
    if not any(regularizer.applies(node_of(entry), entry.param.role) for entry in found):
        roles = ", ".join(sorted({entry.param.role for entry in found}))
        raise ValueError(f"{_roles(regularizer.match, found)}: roles: [{roles}] reaches them")


def _roles(match: str, found: Sequence[LayoutEntry]) -> str:
    """What parameters the layers that a rule is for have."""
    roles = " and ".join(sorted({entry.param.role for entry in found}))
    return f"match {match!r} fits only parameters of role {roles}"
