"""The live file: what it says of a training is so, and training is none the worse for it."""

from __future__ import annotations

import base64
import json

import numpy as np

from cnntrain.core.description import Description
from cnntrain.training import live as module
from cnntrain.training.live import Live
from tests.support.experiments import TINY, evidence, run, write


def array(packed) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["data"]), packed["type"]).reshape(packed["shape"])


def test_it_changes_no_bit_and_shows_what_there_is(tmp_path, monkeypatch):
    config = write(tmp_path, TINY)
    run(config, tmp_path / "plain")
    written = []
    write_one = Live.write
    monkeypatch.setattr(Live, "write", lambda self: written.append(self._state.step) or write_one(self))
    monkeypatch.setattr(module, "_EVERY", 0.0)
    monkeypatch.setattr(module, "_SHARE", 0)
    run(config, tmp_path / "watched", live=True)
    assert evidence(tmp_path / "watched") == evidence(tmp_path / "plain")
    assert not (tmp_path / "plain/live.json").exists()
    live = json.loads((tmp_path / "watched/live.json").read_text())
    assert live["step"] == written[-1] == len(written) - 1  # once more at the end
    assert (live["step"], live["epoch"]) == (30, 3), "the last step is still of the last epoch"
    pictures, filters = array(live["batch"]), array(live["filters"])
    assert pictures.dtype == np.uint8
    assert len(pictures) == len(live["batch"]["captions"])
    assert pictures.std() > 1
    last = np.load(tmp_path / "watched/checkpoints/last.npz", allow_pickle=False)
    np.testing.assert_array_equal(filters, last[f"param/{live['filters']['name']}.weight"])
    confusion = np.array(live["confusion"])
    rows = [json.loads(line) for line in (tmp_path / "watched/metrics.jsonl").read_text().splitlines()]
    last_one = [row for row in rows if row["event"] == "eval"][-1]
    assert np.trace(confusion) / confusion.sum() == last_one["val/accuracy"]


def test_it_is_not_written_more_often_than_a_two_hundredth_of_the_time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    live, spent = Live.__new__(Live), []

    class Slow:
        def write_live(self, document):
            now[0] += 0.5
            spent.append(0.5)

    live._next = live._soonest = 0.0
    live._confusion, live._run = None, Slow()
    live._state = type("", (), {"step": 1})
    task = type("", (), {"breakdown": lambda *_: {}})
    data = type("", (), {"description": Description((1, 1, 1), ("a",)), "task": task()})
    live._job = type("", (), {"loader": type("", (), {"steps_per_epoch": 1}), "data": data})
    live._timekeeper = type("", (), {"pace": staticmethod(lambda: (1.0, 1.0))})
    live._batch = live._filters = lambda: None
    while now[0] < 1000:
        now[0] += 0.1
        live.step()
        live.judged(np.empty(0))  # news after every step
    assert sum(spent) <= 1000 / 200 + 0.5
