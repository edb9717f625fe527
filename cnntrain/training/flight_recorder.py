"""The flight recorder writes down what led to a NaN or an infinity, so that it can be understood and replayed.

It keeps the last losses. When a step, a validation or a save meets a number that is not finite, it has the moment
examined layer by layer and gives the record that goes to nonfinite/record.json in the run directory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cnntrain.core.errors import Mark
from cnntrain.data.loader import Samples
from cnntrain.engine.engine import Engine
from cnntrain.engine.examination import Examination, NonFinite
from cnntrain.network.graph import BATCH

LOSSES = 50  # steps whose losses are remembered

When = Literal["step", "validation", "save"]  # before an update, at the end of an epoch, before what could be saved


@dataclass(frozen=True)
class Moment:
    """Where training stood: steps taken and epochs closed before it, the learning rate, the last checkpoint's step."""

    when: When
    step: int
    closed: int
    lr: float
    checkpoint_step: int


class Recorder:
    """The memory of one training, and the writer of its record."""

    def __init__(self, engine: Engine, loss: Mark) -> None:
        """`loss` is the place in the config that sets the loss."""
        self._engine, self._loss = engine, loss
        self._losses: deque[tuple[int, float]] = deque(maxlen=LOSSES)

    def remember(self, step: int, loss: float) -> None:
        """Keep the loss of a step that succeeded."""
        self._losses.append((step, loss))

    def record(
        self, reason: str, moment: Moment, batches: Sequence[Samples], examination: Examination | None
    ) -> dict[str, Any]:
        """The record, ready for JSON. Without an examination, for which there was no memory, it has no ranges."""
        indices = [index for batch in batches for index in batch.numbers.tolist()]
        return {
            "reason": reason,
            "when": moment.when,
            "step": moment.step,
            "closed": moment.closed,
            "split": "val" if moment.when == "validation" else "train",
            "lr": moment.lr,
            "checkpoint": {"path": "checkpoints/last.npz", "step": moment.checkpoint_step},
            "first": self._first(examination.finding, indices) if examination and examination.finding else None,
            "batches": [batch.numbers.tolist() for batch in batches] if moment.when == "step" else [],
            "losses": [{"step": step, "loss": loss} for step, loss in self._losses],
            "nodes": self._nodes(examination) if examination else [],
        }

    def _first(self, finding: NonFinite, indices: Sequence[int]) -> dict[str, Any]:
        name, kind, where = self._about(finding.node)
        samples = [indices[place] for place in finding.samples if place < len(indices)]
        return {"node": name, "type": kind, "what": finding.what, "where": where, "samples": samples}

    def _nodes(self, examination: Examination) -> list[dict[str, Any]]:
        ranges: dict[int, dict[str, Any]] = {}
        for (node, which), found in examination.ranges.items():
            ranges.setdefault(node, {})[which] = found.document()
        rows = []
        for node in sorted(ranges):
            name, kind, where = self._about(node)
            rows.append({"node": name, "type": kind, "where": where, "ranges": ranges[node]})
        return rows

    def _about(self, index: int) -> tuple[str, str, str | None]:
        """Name, type and place in the config of a node, of the input, or of the loss, which comes after the last."""
        nodes = self._engine.graph.nodes
        if index == BATCH:
            return "input", "input", None
        if index == len(nodes):
            return "loss", self._engine.tally.loss.name_in_config, str(self._loss)
        node = nodes[index]
        return node.name, node.layer.name_in_config, str(node.where)


def described(record: dict[str, Any]) -> str:
    """The first finding of a record, as part of a sentence."""
    first, split = record["first"], {"train": "training", "val": "validation"}[record["split"]]
    if first is None:
        return "no single layer shows where it began"
    name = f"{first['node']} ({first['where']})"
    samples = ", ".join(map(str, first["samples"]))
    text = {
        "input": f"the input itself is not finite, of {split} sample {samples}",
        "weights": f"{name} is the first layer whose weights are not finite",
        "statistics": f"{name} is the first layer whose running statistics are not finite",
        "output": f"{name} is the first layer whose output is not finite",
        "loss": f"every layer's output is finite, but the loss is not ({first['where']})",
        "gradient": f"{name} is the first layer, from the last, whose gradient is not finite",
        "slots": f"{name} is the first layer for which the optimizer keeps a number that is not finite",
    }
    return text[first["what"]]
