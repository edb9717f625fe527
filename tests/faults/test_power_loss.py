"""After a power cut the disk holds a checkpoint no older than the last save that was reported, and its rows.

A run of the tiny experiment, killed and resumed on its way, is recorded operation by operation. For every prefix of
that journal random states of the disk are made and looked at. Three writers that leave out what costs time, an fsync,
must be found out by the same test. Replay: FAULTS_SEED=N pytest -m faults tests/faults/test_power_loss.py
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from cnntrain.core import files
from cnntrain.core.errors import CheckpointError
from cnntrain.rundir import checkpoint
from cnntrain.rundir.checkpoint import Checkpoint
from cnntrain.rundir.directory import RunDirectory
from cnntrain.training.trainer import Trainer
from tests.faults.disk import Disk, Op, Recorder, State
from tests.faults.points import SMALL
from tests.support.campaign import Campaign, counts
from tests.support.experiments import TINY, run, write
from tests.support.faults import Killed, use
from tests.support.promises import evidence

KILLED_AFTER = 17  # steps; the last save is that of step 12, and step 16 has written a row
LAST, BEST, ROWS = "run/checkpoints/last.npz", "run/checkpoints/best.npz", "run/metrics.jsonl"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Op]]:
    """The folder of a run, and all that was asked of the disk for it; a save that returned is in there as "saved"."""
    folder = tmp_path_factory.mktemp("recorded")
    recorder = Recorder(str(folder))
    original, after = RunDirectory.save_checkpoint, Trainer._after_step

    def save(self: RunDirectory, meta: Any, arrays: Any, best: bool = False, **options: Any) -> int:
        size = original(self, meta, arrays, best=best, **options)
        step = meta["position"]["step"]
        recorder.journal.append(Op("saved", where=BEST if best else LAST, offset=step))
        return size

    def after_step(self: Trainer, improved: bool, late: bool) -> None:
        if self.state.step == KILLED_AFTER and not killed:
            killed.append(True)
            raise Killed
        after(self, improved, late)

    killed: list[bool] = []
    config = write(folder, TINY)
    with pytest.MonkeyPatch.context() as patch:
        use(patch, recorder)
        patch.setattr(files, "_GATHERED", SMALL)
        patch.setattr(RunDirectory, "save_checkpoint", save)
        patch.setattr(Trainer, "_after_step", after_step)
        with pytest.raises(Killed):
            run(config, folder / "run", threads=1)
        run(None, folder / "run", resume=True, threads=1)
    return folder, recorder.journal


class Inspector:
    """Says what is wrong with a state of the disk: nothing, "corrupt" or "lost"."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._scratch = scratch / "found.npz"
        self._known: dict[bytes, Checkpoint | None] = {}
        self._rows = (folder / ROWS).read_bytes()

    def _read(self, content: bytes) -> Checkpoint | None:
        if content not in self._known:
            self._scratch.write_bytes(content)
            try:
                self._known[content] = checkpoint.read(self._scratch)
            except CheckpointError:
                self._known[content] = None
        return self._known[content]

    def complaint(self, state: State, saved: dict[str, int]) -> str:
        """`saved` is the step of the newest save that was reported, of last.npz and of best.npz."""
        found = {path: self._read(content) for path, content in state.items() if path.endswith(".npz")}
        if None in found.values():
            return "corrupt"
        for path, step in saved.items():
            there = found.get(path)
            if there is None or there.meta["position"]["step"] < step:
                return "lost"
        last = found.get(LAST)
        if last is not None:
            counted = last.meta["metrics_length"]
            if state.get(ROWS, b"")[:counted] != self._rows[:counted]:
                return "rows"
        return ""


def states(journal: Iterable[Op], count: int, campaign: Campaign) -> Iterable[tuple[State, dict[str, int]]]:
    """`count` states of the disk after every operation, and what had been reported as saved by then."""
    disk, saved = Disk(), dict[str, int]()
    for op in journal:
        disk.do(op)
        if op.kind == "saved":
            saved |= {LAST: op.offset, op.where: op.offset}
        for _ in range(count):
            yield disk.after_power_loss(campaign.rng), saved


def complaints(journal: Iterable[Op], inspector: Inspector, count: int, campaign: Campaign) -> Counter[str]:
    found: Counter[str] = Counter()
    for state, saved in states(journal, count, campaign):
        found[inspector.complaint(state, saved)] += 1
    campaign.tell(f"{found.total()} states: {found.total() - found['']} bad {dict(found - Counter({'': found['']}))}")
    return found


@counts(2, 100, 2000)
def test_no_power_cut_loses_or_spoils_a_checkpoint(
    recorded: tuple[Path, list[Op]], tmp_path: Path, campaign: Campaign, count: int
) -> None:
    folder, journal = recorded
    found = complaints(journal, Inspector(folder, tmp_path), count, campaign)
    assert set(found) == {""}
    assert found.total() == count * len(journal) > 250 * count


@counts(1, 25)
@pytest.mark.parametrize(
    ("crippled", "expected"),
    [
        (lambda op, rows: op.kind == "syncdir", "lost"),
        (lambda op, rows: op.kind == "sync", "corrupt"),
        (lambda op, rows: op.kind in ("sync", "syncdir"), "lost"),
        (lambda op, rows: op.kind == "sync" and op.inode == rows, "rows"),
    ],
    ids=["no fsync of folders", "no fsync of files", "no fsync at all", "no fsync of rows"],
)
def test_a_writer_that_leaves_out_an_fsync_is_found_out(
    recorded: tuple[Path, list[Op]],
    tmp_path: Path,
    campaign: Campaign,
    count: int,
    crippled: Callable[[Op, int], bool],
    expected: str,
) -> None:
    folder, journal = recorded
    rows = next(op.inode for op in journal if op.where == ROWS)
    left = [op for op in journal if not crippled(op, rows)]
    found = complaints(left, Inspector(folder, tmp_path), count, campaign)
    assert found[expected] > 10 * count


@counts(3, 40, 400)
def test_whatever_a_power_cut_leaves_can_go_on_to_the_same_bits(
    recorded: tuple[Path, list[Op]], tmp_path: Path, campaign: Campaign, count: int
) -> None:
    folder, journal = recorded
    expected = evidence(folder / "run")
    candidates = list(states(journal, 1, campaign))
    for number, (state, _) in enumerate(campaign.rng.sample(candidates, count)):
        found = tmp_path / str(number)
        for path, content in state.items():
            (found / path).parent.mkdir(parents=True, exist_ok=True)
            (found / path).write_bytes(content)
        run(folder / "full.yaml", found / "run", resume_or_start=True, threads=1)
        assert evidence(found / "run") == expected
    campaign.tell(f"{count} resumed")
