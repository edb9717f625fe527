"""Rows of a run: they share the texts of their keys, of which a long history has few."""

from __future__ import annotations

import json
import tracemalloc

from cnntrain.rundir.json_files import read_rows


def test_the_rows_of_a_long_history_share_their_keys(tmp_path):
    names = [f"validation/metric{n}" for n in range(9)]
    rows = [{"event": "eval", "epoch": epoch} | dict.fromkeys(names, epoch / 7) for epoch in range(1000)]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    tracemalloc.start()
    try:
        found = read_rows(tmp_path / "metrics.jsonl")
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert found == rows
    assert len({id(key) for row in found for key in row}) == 11
    assert taken / len(rows) < 900  # bytes; 1,500 where each row had keys of its own
