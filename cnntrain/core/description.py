"""A description is what a source says of its samples: what a network and its task must know about the data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cnntrain.core.arrays import Shape

CLASSES, VALUES = "classes", "target values"  # what targets can be; anything else gets a word of its own


@dataclass(frozen=True)
class Description:
    """The shape of one sample, and what its target is.

    classes   their names, in label order; empty where targets name no classes
    values    how many numbers a target has; 0 for a label
    target    what targets are, in a word that messages can use and that a task goes by (`Task.target`). Labels and
              plain numbers need not say it: "classes" where there are names, else "target values"
    columns   what the values are called, in their order; empty where they have no names. It makes no difference to
              whether two descriptions are alike
    """

    shape: Shape
    classes: tuple[str, ...]
    values: int = 0
    target: str = ""
    columns: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not self.target:
            object.__setattr__(self, "target", CLASSES if self.classes else VALUES)

    def named(self, columns: tuple[str, ...]) -> Description:
        """The same with names for the values, where there is one for each."""
        return replace(self, columns=columns) if len(columns) == self.values else self


def size_text(shape: Shape) -> str:
    """A shape as people write one: 28x28x1."""
    return "x".join(map(str, shape))
