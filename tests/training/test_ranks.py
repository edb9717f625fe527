"""Whole trainings on several ranks, here threads with queues between them: rows, weights and slots as on one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnntrain.core import registry
from cnntrain.core.arrays import Array
from cnntrain.core.console import Console
from cnntrain.engine.pool import Pool
from cnntrain.engine.ranks import ALONE, Ranks
from cnntrain.rundir import checkpoint
from cnntrain.rundir.journal import Unwritten
from cnntrain.training.interrupts import Interrupts
from cnntrain.training.job import prepare
from cnntrain.training.trainer import Trainer
from tests.support.experiments import CLIPS, FULL, TINY, write
from tests.support.wires import on_ranks

SHORT = ("train.epochs=1", "data.source.samples=34")
SAM = ("optimizer={type: sgd, lr: 0.05, momentum: 0.9, sam: {rho: 0.05}}",)
FEW = ("data.source.samples=12", "train.epochs=1", "train.batch_size=8")
CONFIGS = Path(__file__).parents[2] / "configs"


class Kept(Unwritten):
    """Keeps the film, too."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.film: dict[str, bytes] = {}

    def write_film(self, name: str, meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """The bytes of the file that would be written."""
        self.film[name] = b"".join(map(bytes, checkpoint.pack(dict(meta), arrays)))


def trained(config: Path, sets: tuple[str, ...], ranks: Ranks = ALONE) -> tuple[bytes, dict[str, bytes]]:
    """The rows of a training, and every array that a checkpoint would hold at its end."""
    job = prepare([config], sets, 1)
    with Pool(1, ranks) as pool:
        run = Kept(config.parent, 0, "metrics/2")
        trainer = Trainer(job, run, pool, Console("none", True), Interrupts())
        trainer.stepper.initialize()
        if trainer.film:
            trainer.film.prepare()
            trainer.film.step()
        trainer.go_to(trainer.horizon.total_steps, -1)
        if trainer.film:
            trainer.film.end()
        return run.rows, run.film | {name: np.array(array).tobytes() for name, array in trainer.state.arrays().items()}


CASES = {
    "batch norm, dropout, augmentation": (FULL, SHORT),
    "average, confusion": (TINY, SHORT),
    "accumulate": (TINY, (*SHORT, "train.accumulate=3")),
    "sam": (FULL, (*SHORT, *SAM)),
    "mixup": (FULL, (*SHORT, "data.train_transforms=[{type: mixup}]")),
    "swa": (FULL, (*SHORT, "train.average={type: swa, start: 50%}")),
    "detection": (CONFIGS / "detect-shapes.yaml", (*FEW, "data.val=0.4")),
    "segmentation": (CONFIGS / "segment-shapes.yaml", (*FEW, "data.val=0.4", "model.preset.width=2")),
    "clips": (CLIPS, SHORT),
    "film": (FULL, (*SHORT, "checkpoint.film=2")),
    **{name: (TINY, (*SHORT, f"optimizer={{type: {name}, lr: 1e-3}}")) for name in registry.parts("optimizers")},
}


@pytest.mark.parametrize("case", CASES)
def test_ranks_train_as_one_does(tmp_path: Path, case: str) -> None:
    given, sets = CASES[case]
    config = given if isinstance(given, Path) else write(tmp_path, given)
    expected = trained(config, sets)
    for found in on_ranks(3, lambda ranks: trained(config, sets, ranks)):
        assert found == expected
