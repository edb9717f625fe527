"""The contract of tasks: data that they are made for, and no settings."""

from __future__ import annotations

import dataclasses

from cnntrain.checks.contracts.base import hold
from cnntrain.parts.tasks.base import Task


def has_data_of_its_own_kind(cls: type[Task]) -> None:
    """Its examples are descriptions of data with its targets."""
    hold(cls.examples, f"{cls.__name__} has no examples: give it descriptions of data that it is for")
    strange = sorted({data.target for data in cls.examples} - {cls.target})
    hold(not strange, f"an example's targets are {', '.join(strange)}, and its own are {cls.target}")


def has_no_settings(cls: type[Task]) -> None:
    """Which checkpoints and `init` would know nothing of."""
    names = [field.name for field in dataclasses.fields(cls)]
    hold(not names, f"{cls.__name__} has the fields {', '.join(names)}: a checkpoint would not keep them")


OF_CLASS = (has_data_of_its_own_kind, has_no_settings)
