"""A run directory holds everything one training run leaves behind, and belongs to one process at a time.

`metrics.jsonl` is the truth, `metrics.csv` is derived from it; a resume goes on from `checkpoints/last.npz`,
`status.json` is a hint for people and scripts. Every file goes through `files`, so a kill leaves no half of one.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shlex
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from cnntrain.config.tree import RESOLVED
from cnntrain.core import files, shell, strict_json
from cnntrain.core.anchor import Anchor
from cnntrain.core.append_log import AppendLog
from cnntrain.core.arrays import Array
from cnntrain.core.counts import counted
from cnntrain.core.csv_text import to_csv
from cnntrain.core.directories import make_directory, make_new_directory
from cnntrain.core.directory_lock import LOCK, DirectoryLock
from cnntrain.core.errors import RunDirectoryError, StorageError
from cnntrain.core.presence import closed, exists, is_directory
from cnntrain.core.storage import AGAIN, require_space
from cnntrain.rundir import checkpoint, film_files, numbering
from cnntrain.rundir.json_files import first_row, read_object, read_rows

RUNS = Path("runs")  # where runs without a --run-dir go, in the working directory

FLIGHT_RECORD = "nonfinite/record.json"
EVENT_FILES = "tensorboard/events.out.tfevents.*"
LIVE = "live.json"

_WORTH_SHARING = 2**20  # bytes from which runs share one file
_FIRST = (checkpoint.FOLDER, "metrics.jsonl", "timing.jsonl", "train.log")  # what a run makes before its config
_FILES = (  # what --overwrite removes besides those and checkpoints; everything else in there belongs to the user
    *(
        "config.yaml",
        "origins.json",
        "env.json",
        "data.json",
        "command.txt",
        "status.json",
        "crash.log",
    ),
    *("metrics.jsonl", "metrics.csv", "timing.jsonl", "train.log", "manifest.json", "files.json", "samples.json"),
    "report.html",
    "film.html",
    FLIGHT_RECORD,
    LIVE,
)
_MOST_LINKS = 40  # that lead on from one to the next, as on Linux
_NUMBERED = re.compile(r"(epoch|step)-(\d+)\.npz")


class RunDirectory:
    """The files of one run, and the lock on them until `close`. Made by `create` or `open`.

    Every method that writes raises StorageError where it cannot.
    """

    def __init__(self, path: Path, held: contextlib.ExitStack) -> None:
        """Take over the lock in `held`, clear away what a killed process left, and prove that one can write here."""
        self.path = path
        self.checkpoints = path / checkpoint.FOLDER
        self._status: dict[str, Any] = {}
        self.as_it_was = False  # opened to be resumed, and its status is still that of an earlier session
        self.followers: list[Callable[[Mapping[str, Any]], None]] = []  # told every row of metrics.jsonl
        make_directory(path)
        self._here = Anchor(path)
        held.callback(self._here.close)
        self._there = self._here.folder(checkpoint.FOLDER)
        held.callback(self._there.close)
        for directory in (self._here, self._there):
            files.remove_abandoned(directory.path, directory)
            files.probe(directory.path, directory)
        self._metrics = AppendLog(path / "metrics.jsonl")
        held.callback(lambda: self._metrics.close())  # whichever it is by then
        self._schema: Any = numbering.SCHEMA  # of metrics.jsonl, which a resumed run has already
        self._timing = AppendLog(path / "timing.jsonl")
        held.callback(self._timing.close)
        self._log = AppendLog(path / "train.log")
        held.callback(self._log.close)
        self._held = held.pop_all()

    @classmethod
    def create(
        cls, path: Path | None, name: str, config_hash: str, overwrite: bool = False, of_sweep: bool = False
    ) -> RunDirectory:
        """A directory for a new run: `path` exactly, or runs/<name>/<UTC time>-<8 hex of the config hash>.

        Raises RunDirectoryError where `path` is in use or not empty. With `overwrite` a run of cnntrain may be there,
        and always one that had not begun to train, as where it was killed first or the disk was full; its files are
        removed, and no others. One that has any checkpoint is kept, and one that shows to have had any after step 0.
        `of_sweep` only says which advice can be followed: a sweep has no --overwrite.
        """
        path = _new_directory(name, config_hash) if path is None else _followed(path)
        with _locked(path) as held:
            if _names(path) and not overwrite and (_has_checkpoint(path) or _has_trained(path)):
                raise RunDirectoryError(f"{path} holds a run already{_how_to_keep(path, of_sweep)}")
            _clear(path)
            return cls(path, held)

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """The directory of a run to resume. Raises RunDirectoryError where it is in use or has nothing to resume."""
        path = _followed(path)
        if not resumable(path):
            how = checkpoint.to_go_on_without_last(path) or _how_to_start(path)
            raise RunDirectoryError(
                f"{path} holds nothing to resume: there is no {checkpoint.last_of(path.absolute())}. {how}"
            )
        with _locked(path) as held:
            run = cls(path, held)
        run.as_it_was = True
        return run

    def close(self) -> None:
        """Close the logs and release the lock; a second call does nothing."""
        self._held.close()

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def last(self) -> Path:
        """The checkpoint from which a resume goes on."""
        return checkpoint.last_of(self.path)

    # -- what is written once ----------------------------------------------------------------------------------------

    def write_config(self, given: str, resolved: str) -> None:
        """Keep the config as the user gave it, and as YAML with every default filled in and override applied."""
        self.write_resolved(resolved)  # first: by this the directory is known as a run's
        self._write("config.yaml", given)

    def write_resolved(self, resolved: str) -> None:
        """Replace the config with every default."""
        self._write(RESOLVED, resolved)

    def write_json(self, name: str, value: Any) -> None:
        """Replace a JSON file such as env.json."""
        self._write(name, _json(value).decode())

    def write_shared(self, name: str, kept: Path, data: bytes) -> None:
        """Keep what other runs have as well, once for all of them where it is large (`files.write_shared`)."""
        self._here.check()
        if len(data) < _WORTH_SHARING:
            files.write_atomic(self.path / name, data, self._here)
        else:
            files.write_shared(kept, self.path / name, data)

    def write_live(self, document: Mapping[str, Any]) -> None:
        """Replace what `cnntrain watch` shows beside metrics.jsonl."""
        self._write(LIVE, strict_json.encode(document))

    def write_command(self, arguments: Sequence[str]) -> None:
        """Add a command line to command.txt, quoted for a shell: the one that started, then those that resumed."""
        log = AppendLog(self.path / "command.txt")
        try:
            log.append(shlex.join(arguments))
        finally:
            log.close()

    def write_flight_record(self, record: Mapping[str, Any]) -> Path:
        """Keep the flight record of a divergence; returns where."""
        path = self.path / FLIGHT_RECORD
        with contextlib.closing(self.folder(path.parent.name)) as there:
            files.write_atomic(path, _json(record), there)
        return path

    def folder(self, name: str) -> Anchor:
        """A folder of the run, made if need be, to be closed by whoever asks for it."""
        return self._here.folder(name)

    def write_film(self, name: str, meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Keep a file of the film (`film_files`)."""
        with contextlib.closing(self.folder(film_files.FOLDER)) as there:
            files.write_atomic(there.path / name, checkpoint.pack(dict(meta), arrays), there)

    def cut_film(self, step: int) -> None:
        """Remove the moments of the film after a step: those steps will be taken again."""
        folder = self.path / film_files.FOLDER
        if os.path.isdir(folder):
            files.remove_abandoned(folder)
        for name in _names(folder):
            if (found := film_files.step_of(name)) is not None and found > step:
                files.remove(folder / name)

    def write_crash(self, traceback: str) -> Path:
        """Keep the traceback of a bug; returns where."""
        return self._write("crash.log", traceback)

    def _write(self, name: str, text: str) -> Path:
        self._here.check()
        files.write_atomic(self.path / name, text.encode(errors="backslashreplace"), self._here)
        return self.path / name

    # -- what grows --------------------------------------------------------------------------------------------------

    def metric(self, row: Mapping[str, Any]) -> None:
        """Add a row to metrics.jsonl: keys in their order, floats exact, numbers that are not finite as null.

        Its epochs count from 1; in a file that an older version began, they are written as that one counted.
        """
        self._metrics.append(strict_json.encode(numbering.written(row, self._schema)))
        for follow in self.followers:
            follow(row)

    def rows(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl so far."""
        return read_rows(self._metrics.path)

    def timing(self, row: Mapping[str, Any]) -> None:
        """Add a row to timing.jsonl: what differs between two equal runs."""
        self._timing.append(strict_json.encode(row))

    def log(self, line: str) -> None:
        """Add a line, or several, to train.log."""
        self._log.append(line)

    @property
    def metrics_length(self) -> int:
        """Bytes of metrics.jsonl so far: goes into the checkpoint that counts these rows."""
        return self._metrics.length

    def sync(self) -> None:
        """Make every row of metrics.jsonl durable."""
        self._metrics.sync()

    def resume_logs(self, metrics_length: int) -> None:
        """Cut metrics.jsonl to what the resumed checkpoint counted; the steps after it will be taken again."""
        self._metrics.close()
        self._metrics = AppendLog(self._metrics.path, metrics_length)
        self._schema = numbering.schema_of(first_row(self._metrics.path))

    # -- what is replaced --------------------------------------------------------------------------------------------

    def write_csv(self) -> None:
        """Derive metrics.csv from metrics.jsonl: a column for every key, in order of first appearance."""
        self._write("metrics.csv", to_csv(self.rows()))

    def status(self, state: str, **fields: Any) -> None:
        """Replace status.json; fields not given again keep their last value. `step` is that of the last checkpoint."""
        self._status |= {"state": state, **fields, "pid": os.getpid()}
        self._status.setdefault("exit_code", None)
        self.as_it_was = False
        resume = None if state == "finished" else self._resume
        self.write_json("status.json", self._status | {"resume": resume})

    @property
    def _resume(self) -> str:
        return f"cnntrain fit --run-dir {shell.word(self.path)} --resume"

    def going_on(self, message: str, whatever: bool = False) -> str:
        """A message that advises to run the command again, with the one by which the run goes on once it is saved.

        `whatever`: it is said after other advice, too. Nothing of it where the run is gone.
        """
        step = self._status.get("step")
        try:
            if step is None or "--resume" in message or not resumable(self.path):
                return message
        except StorageError:  # which is told of already
            return message
        onward = f"go on from step {step} with: {self._resume}"
        if AGAIN in message:
            return message.replace(AGAIN, onward)
        return f"{message}. Then {onward}" if whatever else message

    def save_checkpoint(
        self,
        meta: Mapping[str, Any],
        arrays: Mapping[str, Array],
        best: bool = False,
        keep_as: str | None = None,
        keep: int = 0,
    ) -> int:
        """Write last.npz, and before it best.npz if this is the best, and `keep_as` such as "epoch-0007" if given.

        In this order, because a kill in between is repaired by resuming from the older last.npz and reaching this step
        again. Keeps the newest `keep` checkpoints numbered like `keep_as`. Returns the bytes of one file.
        """
        names = (["best.npz"] if best else []) + ([f"{keep_as}.npz"] if keep_as else []) + ["last.npz"]
        self.sync()
        chunks = checkpoint.pack(dict(meta), arrays)
        try:
            for name in names:
                self._there.check()
                files.write_atomic(self.checkpoints / name, chunks, self._there)
        except StorageError as error:
            raise StorageError(self.going_on(str(error), whatever=True)) from error
        if keep_as and keep:
            self.prune(keep_as, keep)
        return sum(map(len, chunks))

    def require_space(self, keep: int, film: int = 0) -> None:
        """Raise StorageError unless there is room for the checkpoints to come, each as large as the last one, and film.

        They are one being written beside the last one, the best one, and `keep` numbered ones. `film` is the bytes of
        a whole film, of which some may be there.
        """
        there = _names(self.checkpoints)
        kept = sum(bool(_NUMBERED.fullmatch(name)) for name in there)
        missing = 1 + ("best.npz" not in there) + max(keep - kept, 0)
        size = missing * os.path.getsize(self.last)
        purpose = counted(missing, "more checkpoint")
        filmed = sum(os.path.getsize(path) for path in _film_of(self.path))
        if film > filmed:
            size, purpose = size + film - filmed, f"{purpose} and the film"
        require_space(self.checkpoints, size, purpose)

    def prune(self, like: str, keep: int) -> None:
        """Keep the newest `keep` of the checkpoints numbered like "epoch-0007" or "step-00000007"."""
        counted = like.partition("-")[0]
        found = [match for name in _names(self.checkpoints) if (match := _NUMBERED.fullmatch(name))]
        same = sorted((match for match in found if match[1] == counted), key=lambda match: int(match[2]))
        self._there.check()
        for match in same[:-keep]:
            self._there.remove(match[0])


def _json(value: Any) -> bytes:
    return (strict_json.encode(value, indent=2) + "\n").encode(errors="backslashreplace")


def resumable(path: Path) -> bool:
    """Whether a directory holds a checkpoint to resume from; a link in its place, wherever it leads, is one to mend.

    Raises StorageError where one may not look.
    """
    return exists(path / checkpoint.FOLDER) and exists(checkpoint.last_of(path), follow=False)


def _followed(path: Path) -> Path:
    """Where a link to a directory leads: a run's own place, also once `latest` leads to another run."""
    for _ in range(_MOST_LINKS):
        if not (os.path.islink(path) and os.path.isdir(path)):
            break
        path = path.parent / os.readlink(path)
    return path


def _holds_run(path: Path) -> bool:
    """Whether a directory is a run's: it has two of what makes one, or nothing but what comes first in one.

    A copy may lack the lock; and a folder with a lock may be a sweep's, or a place where anything else lies.
    """
    locked, described = (os.path.lexists(path / name) for name in (LOCK, RESOLVED))
    names = _names(path)
    if locked and not described and {*names} <= {*_FIRST} and (not names or checkpoint.FOLDER in names):
        return True
    return locked + described + any(map(_is_ours, _names(path / checkpoint.FOLDER))) >= 2


def _is_ours(name: str) -> bool:
    """Whether a run gives a checkpoint this name."""
    return name in ("last.npz", "best.npz") or bool(_NUMBERED.fullmatch(name))


def _holds_runs(path: Path) -> bool:
    """Whether folders in a directory are runs."""
    return any(os.path.lexists(path / name / RESOLVED) for name in _names(path))


def _has_checkpoint(run: Path) -> bool:
    """Whether a run has any checkpoint, or one cannot know, since its folder is a link that leads nowhere now."""
    folder = run / checkpoint.FOLDER
    if os.path.lexists(folder) and not os.path.isdir(folder):
        return True
    return any(name.endswith(".npz") for name in _names(folder))


def _has_trained(run: Path) -> bool:
    """Whether a run without a checkpoint has got as far as numbers or steps, or what it wrote is damaged.

    Raises StorageError where it cannot be read.
    """
    metrics = run / "metrics.jsonl"
    try:
        if read_object(run / "status.json").get("step"):
            return True
        return os.path.lexists(metrics) and any(row.get("event") != "start" for row in read_rows(metrics))
    except StorageError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return True


def _film_of(run: Path) -> list[Path]:
    """The files of a run's film; empty where it has none."""
    folder = run / film_files.FOLDER
    return [folder / name for name in _names(folder) if film_files.belongs(name)]


def _names(directory: Path) -> list[str]:
    """What lies in a directory, apart from the lock and our temporaries; nothing where there is no directory."""
    try:
        names = os.listdir(directory) if is_directory(directory) else []
    except OSError as error:
        raise closed(directory, error) from error
    return sorted(name for name in names if name != LOCK and not name.startswith(files.TEMPORARY))


def _new_directory(name: str, config_hash: str) -> Path:
    """Make runs/<name>/<time>-<hash>, with a number where that is taken, and point the link `latest` at it."""
    wanted = RUNS / name / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{config_hash[:8]}"
    numbered = (wanted.with_name(f"{wanted.name}-{number}") for number in itertools.count(2))
    path = next(path for path in itertools.chain([wanted], numbered) if make_new_directory(path))
    latest = path.with_name("latest")
    if not files.link(path.name, latest) and latest.is_symlink():
        warnings.warn(
            f"{latest} still leads to another run: it cannot be changed here. This one is {path}", stacklevel=1
        )
    return path


def _how_to_keep(path: Path, of_sweep: bool) -> str:
    """The end of a message about a directory that another run cannot have: how its own run goes on, and what else."""
    otherwise = "or choose another --run-dir"
    if resumable(path):
        return f". Add --resume to go on with it, --overwrite to replace it, {otherwise}"
    anew = "move it away to have it trained anew"
    if how := checkpoint.to_go_on_without_last(path):
        lose = anew if of_sweep else "add --overwrite to lose the run"
        return f", without its last.npz. {how}. Or {lose}, {otherwise}"
    return f". {anew.capitalize() if of_sweep else 'Add --overwrite to replace it'}, {otherwise}"


def _how_to_start(path: Path) -> str:
    """What to do where there is nothing to resume: a run of its own, where this directory can take one."""
    if hint := checkpoint.the_latest(path):
        return hint
    if (os.path.lexists(path) and not os.path.isdir(path)) or (_names(path) and not _holds_run(path)):
        return "Name the directory of a run; cnntrain fit said which"
    flag = " --overwrite" if _names(path) else ""
    return f"Start a run with: cnntrain fit CONFIG --run-dir {shell.word(path)}{flag}"


def _clear(path: Path) -> None:
    """Remove the files of an older run.

    Without last.npz, the first to go, the rest cannot be resumed; by its config, the last, it is known as a run.
    """
    folder = path / checkpoint.FOLDER
    numbered = [folder / name for name in _names(folder) if _NUMBERED.fullmatch(name)]
    derived = [*_film_of(path), *sorted(path.glob(EVENT_FILES)), *(path / name for name in _FILES)]
    for old in (folder / "last.npz", folder / "best.npz", *numbered, *derived, path / RESOLVED):
        files.remove(old)


def _locked(path: Path) -> contextlib.ExitStack:
    """The lock on a directory, made if need be. Never touches a directory that holds something other than a run."""
    if _names(path) and not _holds_run(path):
        found = "holds other runs, as of a sweep" if _holds_runs(path) else "is not empty and holds no run of cnntrain"
        raise RunDirectoryError(f"{path} {found}. Choose another --run-dir")
    make_directory(path)
    held = contextlib.ExitStack()
    held.enter_context(DirectoryLock(path))
    return held
