"""A run's own samples: those of its splits, found again by their content, whatever lies there now.

A validation share, a fold or a subset is drawn from what the source holds. Drawn anew after the data has changed, it
would call samples "val" that the network was trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.config.load import Loaded
from cnntrain.core.arrays import Array
from cnntrain.core.errors import DataError
from cnntrain.data import manifest
from cnntrain.data.build_data import Data
from cnntrain.data.fingerprint import changes, difference, fingerprint
from cnntrain.data.identity import SampleIdentity, beside, identify
from cnntrain.parts.datasets.images import Images
from cnntrain.rundir.checkpoint import FOLDER, Checkpoint

_NOUNS = {"train": "training", "val": "validation"}


class Own:
    """The record of a run's samples, in a checkpoint and the run directory it lies in.

    Checkpoints that were written before samples were recorded know the digests of targets and of some pixels.
    """

    def __init__(self, checkpoint: Checkpoint, loaded: Loaded, warn: Callable[[str], None]) -> None:
        """`warn` is told where samples do not lie where they lay."""
        data = checkpoint.meta.get("data")
        self._path, self._loaded, self._warn = checkpoint.path, loaded, warn
        self.recorded: dict[str, Any] = data if isinstance(data, dict) else {}
        known = beside(checkpoint.path)
        same = len(known) == 2 and all(known[split].digest == self.recorded.get(split) for split in known)
        self._known = known if same else {}

    def knows(self, split: str) -> bool:
        """Whether the run has recorded each sample of a split."""
        return split in _NOUNS and split in self.recorded

    def found(
        self, images: Images, indices: Array, split: str, read: Callable[[], Data], everything: Callable[[], Images]
    ) -> tuple[Images, Array]:
        """A split of the run; `images` at `indices` are what its config draws today, `read` draws anew.

        That is the samples drawn, where they are the run's; else those among `everything`, with a warning.
        Raises DataError where some of them are gone.
        """
        if split not in _NOUNS or not self.recorded:
            return images, indices
        if "merged" in self.recorded:
            raise DataError(
                f"{self._path} is the average of networks that were trained on different samples: it has no {split} "
                "split of its own. Use --split test, or --data"
            )
        if split not in self.recorded:
            self._compare_by_some(read())
            return images, indices
        if identify(images, indices).digest == self.recorded[split]:
            return images, indices
        if not self._known:
            raise self._changed(f"its {_NOUNS[split]} samples differ")
        candidates = everything()
        places = self._places(identify(candidates, np.arange(len(candidates))), split)
        self._warn(
            f"{self._since()}. Its {len(places):,} {_NOUNS[split]} samples are all there, found by their "
            "content, and only they are measured"
        )
        return candidates, places

    def _places(self, here: SampleIdentity, split: str) -> Array:
        """Where the run's samples of a split are among those here. Raises DataError unless all are there."""
        places = here.places_of(self._known[split])
        gone = int((places < 0).sum())
        if gone:
            are = "is" if gone == 1 else "are"
            raise self._changed(f"{gone:,} of its {len(places):,} {_NOUNS[split]} samples {are} gone or altered")
        return places

    def _compare_by_some(self, data: Data) -> None:
        """Compare the data with what older checkpoints recorded of it. Raises DataError where it differs."""
        now = fingerprint(data)
        if changes(self.recorded, {key: value for key, value in now.items() if key in self.recorded}):
            raise self._changed(f"its samples differ ({difference(self.recorded, now)})")

    def _changed(self, what: str) -> DataError:
        return DataError(
            f"{self._since()}, and {what}: those there now may have been trained on. Restore the data, or measure on "
            "other data with --data"
        )

    def _since(self) -> str:
        """The sentence that the data has changed, and how, as far as the run's list of files tells."""
        then = manifest.read(self._path.absolute().parent.parent / manifest.FILE)
        now = manifest.of(self._loaded.experiment)
        moved = then is None or not then.files.keys() & now.files.keys()  # all would be missing and all new
        how = "" if then is None or moved else "; ".join(manifest.changes(then, now))
        return f"the data is not as it was when {self._run} was trained{f' ({how})' * bool(how)}"

    @property
    def _run(self) -> Path:
        folder = self._path.parent
        return folder.parent if folder.name == FOLDER else self._path
