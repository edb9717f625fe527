"""A run is a run directory, seen from Python: how training went, and the network it produced."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cnntrain.api import finished
from cnntrain.api.arguments import Paths, Set, path_of
from cnntrain.api.history import History
from cnntrain.api.training import Pause, Showing, as_python_does, train
from cnntrain.core.counts import counted
from cnntrain.core.errors import CnntrainError
from cnntrain.rundir import history
from cnntrain.rundir.history import Record

if TYPE_CHECKING:
    from cnntrain.api.model import Model
    from cnntrain.network.counterparts import Names


class Run:
    """One run directory. Everything is read when it is asked for, so the run may still be training.

    It stands for its path wherever one is asked for: `cnntrain.report(run)`. The path is absolute, so that it leads
    there wherever the program goes. A pickled one reads its network anew.
    """

    def __init__(self, path: Paths, result: Mapping[str, Any] | None = None) -> None:
        """Raises UsageError where there is no run.

        `result` is what `cnntrain fit --json` prints, if the run has just been trained; otherwise it is empty.
        """
        self.path, self.result = path_of(path).absolute(), dict(result or {})
        if not result:
            _ = self._record

    def __fspath__(self) -> str:
        return str(self.path)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "model"}

    @property
    def _record(self) -> Record:
        return history.read(self.path)

    @property
    def config(self) -> Mapping[str, Any]:
        """The config with every default filled in."""
        return self._record.config

    @property
    def status(self) -> Mapping[str, Any]:
        """What status.json says: state, step, best, exit code, the command that resumes."""
        return self._record.status

    @property
    def state(self) -> str:
        """How it is now: running, finished, interrupted, diverged, failed, or killed, where its process is gone.

        Of a run of another machine that may not be known: it is silent where it has not said a word for a minute, and
        unknown before it has said any.
        """
        return self._record.state

    @property
    def history(self) -> History:
        """A column for each metric, with a value for each epoch."""
        return History(self._record.epochs)

    @property
    def best(self) -> dict[str, Any]:
        """The values of the best epoch; empty before there is one."""
        return dict(self._record.best)

    @property
    def final(self) -> dict[str, Any]:
        """The values of the last epoch; empty before there is one."""
        return dict(self._record.final)

    @functools.cached_property
    def model(self) -> Model:
        """The network of its best checkpoint, else its last, read once."""
        from cnntrain.api.model import Model  # with evaluation and exports, for which training need not wait

        return Model(self.path)

    def evaluate(self, split: str | None = None, data: Paths | None = None) -> dict[str, Any]:
        """Loss and metrics on a split of its data, by default test, or on other data; see `Model.evaluate`."""
        return self.model.evaluate(split, data)

    def predict(
        self, images: Any, top: int = 1, *, every: float | None = None
    ) -> list[dict[str, Any]] | dict[str, Any]:
        """What its network makes of pictures, or of recordings: paths or arrays; see `Model.predict`."""
        return self.model.predict(images, top, every=every)

    def export(
        self,
        format: str,
        output: Paths | None = None,
        *,
        fold: bool = False,
        overwrite: bool = False,
        names: Names | None = None,
    ) -> dict[str, Any]:
        """Write its network for other programs; see `Model.export`."""
        return self.model.export(format, output, fold=fold, overwrite=overwrite, names=names)

    def resume(
        self,
        *,
        set: Set = None,
        threads: int | None = None,
        max_time: float | None = None,
        pause_at: Pause = None,
        tensorboard: bool = False,
        progress: Showing = "none",
        strict_env: bool = False,
        allow_data_change: bool = False,
    ) -> Run:
        """Resume it where it was stopped, as `cnntrain fit --resume` does; a finished run is left as it is.

        Returns a new `Run` of the same directory, whose network is read afresh. Raises what `cnntrain.fit` raises.
        """
        result = train(
            (),
            set,
            progress,
            run_dir=self.path,
            resume=True,
            threads=threads,
            max_time=max_time,
            pause_at=pause_at,
            tensorboard=tensorboard,
            strict_env=strict_env,
            allow_data_change=allow_data_change,
        )
        return Run(self.path, result)

    def report(
        self,
        output: Paths | None = None,
        split: Literal["train", "val", "test"] | None = None,
        *,
        threads: int | None = None,
        warn: Callable[[str], None] = as_python_does,
    ) -> Path:
        """Write its report, by default report.html in its directory, and return where it is.

        `warn` is called with what it lacks.
        """
        return Path(finished.report(self.path, output, split=split, threads=threads, warn=warn)["report"])

    def _repr_html_(self) -> str:
        """The report, in a frame of its own so that its style stays there."""
        from cnntrain.results import report

        page = escape(report.page_of([self.path], as_python_does))
        style = "width: 100%; height: 40em; border: 0"
        return f'<iframe srcdoc="{page}" style="{style}" title="{escape(str(self))}"></iframe>'

    def __repr__(self) -> str:
        try:
            record = self._record
            how = f"{record.state}, {counted(len(record.epochs), 'epoch')}"
        except CnntrainError:
            how = "not there or damaged"
        return f"Run({str(self.path)!r}, {how})"


def runs(place: Paths = "runs") -> list[Run]:
    """Every run in a folder, at any depth, sorted by path; links are not followed. Raises UsageError where none is."""
    return [Run(record.path) for record in history.read_all([path_of(place)], as_python_does)]
