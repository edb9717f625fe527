"""A standing is how a cell of a sweep stands: waiting, running, or ended with an exit code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnntrain.config.dump import plain
from cnntrain.config.load import Loaded, load_plain
from cnntrain.core import strict_json
from cnntrain.core.counts import foremost
from cnntrain.core.directory_lock import IN_USE
from cnntrain.core.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    PausedError,
    RunDirectoryError,
    StorageError,
    printable,
)
from cnntrain.core.regular_file import read_own
from cnntrain.data import manifest
from cnntrain.rundir.checkpoint import last_of, read_meta
from cnntrain.rundir.json_files import read_rows
from cnntrain.rundir.numbering import numbered
from cnntrain.sweep.cells import Cell, Sweep
from cnntrain.training.changes import decides, differing, of_settings

OUTCOMES = {  # exit code -> what became of a cell
    0: "finished",
    1: "a bug",
    2: "wrong config",
    3: "wrong data",
    4: "wrong checkpoint",
    5: "storage failed",
    6: "diverged",
    7: "out of memory",
    8: "directory refused",
    PausedError.exit_code: "paused",
    129: "stopped",
    130: "stopped",
    143: "stopped",
}
_STATUS_LIMIT = 2**16


@dataclass
class Standing:
    """How a cell stands. `code` is its exit code once it has one; `said` what its process wrote on stderr."""

    cell: Cell
    run_dir: Path
    words: list[str]  # the arguments of the cnntrain that trains it
    threads: int = 0
    where: str = ""  # the worker that trains it, where that is not a process of this machine
    code: int | None = None
    kept: bool = False  # it was finished before this sweep began
    since: float | None = None
    seconds: float = 0.0
    status: dict[str, Any] = field(default_factory=dict)  # its status.json
    said: str = ""
    busy: float | None = None  # since when its directory is found in use, time after time
    due: float = 0.0  # not to be begun before
    lost: int = 0  # how often the process that trained it was lost without progress
    reached: int = 0  # the step at which it was lost last
    given_up: bool = False  # it was lost and is not begun again

    @property
    def state(self) -> str:
        """One or two words."""
        if self.given_up:
            return "lost"
        if self.code == RunDirectoryError.exit_code and IN_USE in self.said:
            return "directory in use"
        if self.code is not None:
            return OUTCOMES.get(self.code, "killed")
        return "running" if self.since is not None else "waiting"

    def end(self, code: int, seconds: float) -> None:
        """Note that it has ended; `seconds` is the time of its process, which counts where nothing was trained."""
        self.code, self.status = code, read_status(self.run_dir)
        self.seconds = trained_seconds(self.run_dir) or seconds

    @property
    def result(self) -> dict[str, Any]:
        """Its status.json; nothing where its config was refused, for then that is of another."""
        return {} if self.code == ConfigError.exit_code else self.status

    def keep_if_finished(self, listings: manifest.Listings) -> bool:
        """Whether its run is finished with exactly these settings: then it is noted, and nothing begins.

        Where its data has changed since, `said` tells, for what is trained now cannot be compared with it.
        """
        status = read_status(self.run_dir)
        if status.get("state") != "finished":  # the last file that a run writes
            return False
        try:
            meta = read_meta(last_of(self.run_dir))
        except (CheckpointError, StorageError):
            return False
        position = meta.get("position")
        if not isinstance(position, dict) or position.get("finished") is None:
            return False
        if strict_json.encode(meta.get("config")) != strict_json.encode(plain(self.cell.loaded.experiment)):
            return False
        self.kept = True
        self.end(0, 0.0)
        self.said = self._data_then(listings)
        return True

    def _data_then(self, listings: manifest.Listings) -> str:
        """A warning where the files of its data are not those that it was trained on; else nothing."""
        with contextlib.suppress(DataError):  # a result does not need its data any more
            now = listings.of(self.cell.loaded.experiment)
            path = self.run_dir / manifest.FILE
            then = None if manifest.is_of(path, now) else manifest.read(path)
            if then is not None:
                advice = f"Remove {printable(str(self.run_dir))} to train it on the new data, or restore the old"
                return "".join(manifest.warnings(then, now, "this run was started", advice))
        return ""


def require_unchanged(sweep: Sweep, folder: Path) -> None:
    """Raise ConfigError where a cell's run was begun with other settings, with which alone it can go on.

    What cannot be read is left to the run to tell.
    """
    advice = f"choose another folder (-o FOLDER) or name, remove {folder}, or undo the change"
    for cell in sweep.cells:
        before = _begun(folder / cell.name, cell)
        if before is not None:
            of_settings(before, cell.loaded, str(folder / cell.name), advice)


def require_comparable(standings: Iterable[Standing]) -> None:
    """Raise RunDirectoryError where a trial was begun with other settings in a key that decides what it comes to."""
    for one in standings:
        before = _begun(one.run_dir, one.cell)
        if before is None:
            continue
        found = differing(plain(before.experiment), plain(one.cell.loaded.experiment))
        changes = [f"{key}: {then!r} -> {now!r}" for key, (then, now) in found.items() if decides(key)]
        if changes:
            raise RunDirectoryError(
                f"{one.run_dir} was begun with other settings than the sweep has now ({foremost(changes, '; ')}): "
                "its runs could not be compared. Undo the change, move what was begun away, or choose another folder "
                "with -o"
            )


def _begun(run_dir: Path, cell: Cell) -> Loaded | None:
    """The experiment of a run that lies in a cell's directory, if that is another than the cell's."""
    with contextlib.suppress(CheckpointError, StorageError, ConfigError):
        config = read_meta(last_of(run_dir)).get("config")
        if config != plain(cell.loaded.experiment):
            return load_plain(config if isinstance(config, dict) else {}, str(run_dir))
    return None


def read_status(run_dir: Path) -> dict[str, Any]:
    """A run's status.json, which is a hint; empty where there is none, or none that can be read."""
    try:
        status = strict_json.decode(read_own(run_dir / "status.json", _STATUS_LIMIT).decode())
    except (ValueError, StorageError):
        return {}
    return status if isinstance(status, dict) else {}


def rows_until(run_dir: Path, epoch: int) -> list[dict[str, Any]]:
    """What a run has measured up to the end of an epoch, counted from 1; nothing where that cannot be read."""
    with contextlib.suppress(StorageError):
        rows = numbered(read_rows(run_dir / "metrics.jsonl"))
        return [row for row in rows if row.get("event") == "eval" and row.get("epoch", 0) <= epoch]
    return []


def trained_seconds(run_dir: Path) -> float:
    """What all epochs of a run took, in all its sessions; 0 where there is none, or the file cannot be read."""
    try:
        seconds = [row.get("seconds") for row in read_rows(run_dir / "timing.jsonl")]
    except StorageError:
        return 0.0
    return float(sum(one for one in seconds if isinstance(one, int | float)))
