"""Advice: settings that are allowed and rarely meant, as warnings with codes that can be silenced.

`warnings: {ignore: [code]}` in the config silences one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cnntrain.build import problem, validates
from cnntrain.config.fields import Declared
from cnntrain.config.load import Loaded
from cnntrain.config.schema import Experiment
from cnntrain.registry import did_you_mean

Rule = Callable[[Experiment], str | None]


def _no_validation(experiment: Experiment) -> str | None:
    if validates(experiment):
        return None
    return "no validation split: 'best' is judged by train/loss. Set data.val, for example to 0.1"


def _batch_norm_momentum(experiment: Experiment) -> str | None:
    for part in _all_parts(experiment.model.layers):
        if part.name_in_config == "batch_norm" and part.momentum >= 0.9:
            return (
                f"batch_norm momentum is {part.momentum:g}: it is the weight of the new value, 0.1 by default; "
                "Keras's 0.99 is written 0.01 here"
            )
    return None


def _batch_norm_of_one(experiment: Experiment) -> str | None:
    if experiment.train.batch_size > 1:
        return None
    if any(part.name_in_config == "batch_norm" for part in _all_parts(experiment.model.layers)):
        return "batch_norm with batch_size 1 normalizes every sample by itself"
    return None


RULES: dict[str, Rule] = {
    "no-validation": _no_validation,
    "batch-norm-momentum": _batch_norm_momentum,
    "batch-norm-of-one": _batch_norm_of_one,
}


def of(loaded: Loaded) -> Iterator[str]:
    """The warnings for an experiment. Raises ConfigError for an unknown code under warnings.ignore."""
    ignored = loaded.experiment.warnings.ignore
    for index, code in enumerate(ignored):
        if code not in RULES:
            path = f"warnings.ignore.{index}"
            raise problem(loaded, path, f"unknown warning code {code!r}{did_you_mean(code, RULES)}")
    for code, rule in RULES.items():
        message = rule(loaded.experiment) if code not in ignored else None
        if message:
            yield f"{message} [{code}]"


def _all_parts(layers: Any) -> Iterator[Any]:
    """Every layer and structure of a model, nested ones included."""
    for declared in layers:
        if isinstance(declared, Declared):
            yield declared.part
            for value in vars(declared.part).values():
                yield from _all_parts(value if isinstance(value, tuple) else ())
        elif isinstance(declared, tuple):
            yield from _all_parts(declared)
