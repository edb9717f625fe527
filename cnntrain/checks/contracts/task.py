"""The contract of tasks: data that they are made for, and no settings."""

from __future__ import annotations

import dataclasses
from typing import Any

from cnntrain.checks.contracts.base import hold
from cnntrain.core import registry
from cnntrain.parts.tasks.base import Task, of_target


def has_data_of_its_own_kind(cls: type[Task]) -> None:
    """Its examples are descriptions of data with its targets."""
    hold(cls.examples, f"{cls.__name__} has no examples: give it descriptions of data that it is for")
    strange = sorted({data.target for data in cls.examples} - {cls.target})
    hold(not strange, f"an example's targets are {', '.join(strange)}, and its own are {cls.target}")


def has_no_settings(cls: type[Task]) -> None:
    """Which checkpoints and `init` would know nothing of."""
    names = [field.name for field in dataclasses.fields(cls)]
    hold(not names, f"{cls.__name__} has the fields {', '.join(names)}: a checkpoint would not keep them")


def is_the_only_one_that_answers_to_a_loss(cls: type[Task]) -> None:
    """Of the tasks that are found by data and loss, so that configs which name no task keep the one they had."""
    losses: dict[str, Any] = registry.parts("losses")
    for data in cls.examples:
        for loss in (made(**made.examples[0]) for made in losses.values() if cls.target in made.scores):
            fitting = [task.name_in_config for task in of_target(data) if task.answered_by(loss)]
            hold(
                len(fitting) < 2,
                f"{' and '.join(fitting)} both answer to the loss {loss.name_in_config}: write `asked_by_name: "
                "ClassVar[bool] = True` in one that a config has to name, or change its `answered_by`",
            )


OF_CLASS = (has_data_of_its_own_kind, has_no_settings, is_the_only_one_that_answers_to_a_loss)
