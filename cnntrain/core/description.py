"""A description is what a source says of its samples: what a network and its task must know of the data."""

from __future__ import annotations

from dataclasses import dataclass

from cnntrain.core.arrays import Shape

CLASSES, VALUES = "classes", "target values"  # what targets can be; a word of its own for whatever else they are


@dataclass(frozen=True)
class Description:
    """The shape of one sample, and what its target is.

    classes   their names, in label order; empty where targets name no classes
    values    how many numbers a target has; 0 for a label
    target    what targets are, in a word that messages can use and that a task goes by (`Task.target`). Labels and
              plain numbers need not say it: "classes" where there are names, else "target values"
    """

    shape: Shape
    classes: tuple[str, ...]
    values: int = 0
    target: str = ""

    def __post_init__(self) -> None:
        if not self.target:
            object.__setattr__(self, "target", CLASSES if self.classes else VALUES)


def size_text(shape: Shape) -> str:
    """A shape as people write it: 28x28x1."""
    return "x".join(map(str, shape))
