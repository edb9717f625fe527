"""The tables of tests/README.md out of what `compare --json` printed, in one run or in several.

`python -m tests.benchmarks.table FILE...`: a row for each network, batch size and kind of step, then the means.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.compare import Row, means

FRAMEWORKS = {"torch": "PyTorch", "tensorflow": "TensorFlow", "onnxruntime": "ONNX Runtime"}


def _peer(row: Row, framework: str) -> tuple[str, str]:
    """The speed of its best mode, and how many times as fast cnntrain is, with the spread."""
    peer = row.best(framework)
    if peer is None:
        return "", ""
    ratios = row.ratios(peer)
    mode = peer.partition("-")[2]
    middle = f"{statistics.median(ratios):.2f}"
    bold = "**" if float(middle) >= 1 else ""
    ratio = f"{bold}{middle}{bold} ({min(ratios):.2f} to {max(ratios):.2f})"
    return f"{row.batch / row.median(peer):,.0f}" + (f" ({mode})" if mode else ""), ratio


def _cells(row: Row, frameworks: Sequence[str]) -> list[str]:
    own = row.median("cnntrain")
    peaks = ["cnntrain", *map(row.best, frameworks)]
    return [
        row.network,
        str(row.batch),
        f"{row.batch / own:,.0f}",
        *(cell for framework in frameworks for cell in _peer(row, framework)),
        f"{row.gflop / own / row.ceiling:.0%}",
        " / ".join(f"{row.peak_bytes[peer] / 1e6:,.0f}" for peer in peaks if peer) + " MB",
    ]


def table(rows: Sequence[Row]) -> str:
    """Rows as Markdown; speeds in images a second."""
    frameworks = [name for name in FRAMEWORKS if any(row.best(name) for row in rows)]
    compared = [cell for name in frameworks for cell in (FRAMEWORKS[name], "ratio")]
    head = ["network", "batch", "cnntrain", *compared, "of the ceiling", "memory"]
    lines = [head, ["---"] * len(head), *(_cells(row, frameworks) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    """Print a table for training and one for inference, each with its means."""
    rows = [Row(**row) for name in sys.argv[1:] for row in json.loads(Path(name).read_text())["rows"]]
    for inference, title in ((False, "training"), (True, "inference")):
        chosen = [row for row in rows if row.inference == inference]
        if chosen:
            print(f"{title}\n\n{table(chosen)}\n")
            for batch in sorted({row.batch for row in chosen}):
                found = means([row for row in chosen if row.batch == batch])
                shown = ", ".join(f"{mean:.2f} to {label}" for label, mean in found.items())
                print(f"geometric means at batch {batch}: {shown}")


if __name__ == "__main__":
    main()
