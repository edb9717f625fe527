"""A history tells how training went, as columns: under each metric's name, one value for each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from cnntrain.core.counts import counted
from cnntrain.core.errors import MissingExtraError
from cnntrain.core.extras import install

_NOT_MEASURED = ("event", "best")


class History(Mapping[str, list[Any]]):
    """Columns by name: "epoch", "step", "train/loss", "val/accuracy" and whatever else the run measured.

    Each is a list with an entry for every completed epoch, None where an epoch has no such value.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """`rows` are those that metrics.jsonl has for the ends of epochs, in order."""
        names = dict.fromkeys(name for row in rows for name in row if name not in _NOT_MEASURED)
        self._columns = {name: [row.get(name) for row in rows] for name in names}
        self.best: list[bool] = [bool(row.get("best")) for row in rows]  # whether the epoch was the best so far

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self._columns:
            raise KeyError(f"{name!r} was not measured; known are {', '.join(self._columns) or 'no epochs yet'}")
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"History({counted(len(self.best), 'epoch')}: {', '.join(self._columns)})"

    def frame(self) -> Any:
        """The columns as a pandas DataFrame, indexed by epoch. Raises MissingExtraError where pandas is missing."""
        try:
            import pandas
        except ImportError as error:
            raise MissingExtraError(f"history.frame() needs pandas. Run: {install('pandas')}") from error
        table = pandas.DataFrame(self._columns)
        return table.set_index("epoch") if "epoch" in table else table

    def _repr_html_(self) -> str:
        """A table for notebooks: a row for each epoch, the best ones in bold."""
        head = "".join(f"<th>{escape(name)}</th>" for name in self._columns)
        rows = [
            "".join(f"<td>{_cell(column[i], best)}</td>" for column in self._columns.values())
            for i, best in enumerate(self.best)
        ]
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _cell(value: Any, best: bool) -> str:
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else escape(str(value))
    return f"<b>{text}</b>" if best else text
