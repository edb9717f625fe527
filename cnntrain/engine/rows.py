"""Rows hold the gradients of one shard until they are added up.

Parameters whose gradients are written in the same segment form a group with rows of its own: a row exists from the
segment that writes it to the end of that segment, and memory is a few rows, not one for each shard.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from cnntrain.arrays import ALIGNMENT, Array, Param, TreeSum, aligned, round_up
from cnntrain.engine.plan import Plan

# isort: split
import numpy as np


@dataclass
class Row:
    """The gradients of one shard in one group: a vector, and per node the named windows on it."""

    vector: Array
    views: dict[int, dict[str, Array]] = field(default_factory=dict)


class Group:
    """The parameters of some nodes side by side, a stock of rows for them, and the tree that adds rows up."""

    def __init__(self, plan: Plan, nodes: list[int], segments: tuple[int, int]) -> None:
        """`segments` are the first that writes a row and the last, at whose end it is handed in."""
        self.nodes = nodes
        self.first, self.last = segments
        self._dtype = plan.dtype
        self._entries: list[tuple[int, str, Param, int]] = []
        self._names: dict[tuple[int, str], str] = {}
        offset = 0
        for i in nodes:
            node = plan.graph.nodes[i]
            for name, param in node.params.items():
                if param.role != "statistic":
                    self._entries.append((i, name, param, offset))
                    self._names[i, name] = f"{node.name}.{name}"
                    offset += round_up(param.size, ALIGNMENT // 4)
        self._size = offset
        self._free: list[Row] = []
        self._lent: dict[int, Row] = {}  # by id of the vector
        self._lock = threading.Lock()
        self._tree = TreeSum(self._give_back)

    def take(self) -> Row:
        """A row to write; its content is arbitrary."""
        with self._lock:
            row = self._free.pop() if self._free else self._new()
            self._lent[id(row.vector)] = row
        return row

    def hand_in(self, shard: int, row: Row) -> None:
        """Add the row of the step's shard number `shard` to the sum."""
        self._tree.add(shard, row.vector)

    def collect(self, grads: dict[str, Array], factor: float) -> None:
        """Write factor times the sum of all rows into the named gradients, and start afresh."""
        total = self._tree.total()
        row = self._lent[id(total)]
        for i, name, _, _ in self._entries:
            np.multiply(row.views[i][name], factor, out=grads[self._names[i, name]])
        self._give_back(total)

    def reset(self) -> None:
        """Forget what was handed in, after a step that failed."""
        self._free += self._lent.values()
        self._lent.clear()
        self._tree = TreeSum(self._give_back)

    def _give_back(self, vector: Array) -> None:
        with self._lock:
            self._free.append(self._lent.pop(id(vector)))

    def _new(self) -> Row:
        row = Row(aligned(self._size, self._dtype))
        for i, name, param, offset in self._entries:
            window = row.vector[offset : offset + param.size].reshape(param.shape)
            row.views.setdefault(i, {})[name] = window
        return row


def groups_of(plan: Plan) -> list[Group]:
    """The groups of a plan: one for each segment with backward calls, and one for all coupled nodes.

    A coupled node may write its gradients before a barrier or after it, so its rows live through the whole of
    backward; they are small.
    """
    nodes = plan.graph.nodes
    groups: list[Group] = []
    coupled: list[int] = []
    reached: list[int] = []
    for number, segment in enumerate(plan.segments):
        calls: list[Any] = [call for call in segment if call.do in ("partial_back", "backward")]
        coupled += [call.node for call in calls if call.do == "partial_back" and nodes[call.node].trained]
        reached += [number] if calls else []
        plain = [call.node for call in calls if nodes[call.node].trained and not nodes[call.node].coupled]
        if plain:
            groups.append(Group(plan, plain, (number, number)))
    if coupled:
        groups.append(Group(plan, coupled, (reached[0], reached[-1])))
    return groups
