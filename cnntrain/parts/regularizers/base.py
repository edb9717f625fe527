"""A regularizer keeps parameters small: by a penalty added to the loss, or by a limit they are brought back to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from cnntrain.config.fields import check_fields
from cnntrain.core.arrays import Array, Role
from cnntrain.core.registry import Part
from cnntrain.core.scopes import covers


@dataclass(frozen=True)
class Regularizer(Part):
    """Base of every regularizer: acts on the trained parameters of some roles, of the nodes whose name matches.

    A penalty's gradient is added before any clipping; a limit is enforced after the update.
    """

    kind: ClassVar[str] = "regularizers"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({},)

    # which parameters it applies to, by role
    roles: tuple[Literal["weight", "bias", "norm"], ...] = field(default=("weight",), kw_only=True)
    # which layers it applies to: a name or a shell pattern; a structure's name in full means all its layers
    match: str = field(default="*", kw_only=True)

    def __post_init__(self) -> None:
        check_fields(self)

    def applies(self, node: str, role: Role) -> bool:
        """Whether it acts on a parameter of this role of a node."""
        return role in self.roles and covers(self.match, node)

    def value(self, p: Array) -> float:
        """What one tensor adds to the loss."""
        return 0.0

    def add_gradient(self, p: Array, g: Array, scratch: Array) -> None:
        """Add the derivative of `value` to a tensor's gradient; scratch has its shape."""

    def limit(self, p: Array, scratch: Array) -> None:
        """Bring one tensor back within bounds, in place; its last axis counts filters or units."""
