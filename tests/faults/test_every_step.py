"""A run resumed from any of its steps ends with the same bits: weights, optimizer, rows, best, early stopping.

Under ten settings a run of 40 steps leaves a snapshot after every step, at the ends of epochs one before validation and
one after. Each, of detection and segmentation some, is resumed by a session of its own, and the whole result compared
byte by byte. A snapshot that went wrong is named in the assertion; `pytest -m faults -k "every_step and
adam-plain-step"` brings its setting again.
"""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from cnntrain.rundir.directory import RunDirectory
from cnntrain.training.trainer import Trainer
from tests.support.campaign import Campaign, rounds
from tests.support.experiments import DETECTION, SEGMENTATION, TINY, run, write

SAME = ("checkpoints/last.npz", "checkpoints/best.npz", "metrics.jsonl", "metrics.csv")
EVERY = "checkpoint={every: 1st, best: {monitor: val/loss}}"
OPTIMIZERS = {
    "momentum": "optimizer={type: sgd, lr: 0.1, momentum: 0.9, nesterov: true}",
    "adam": "optimizer={type: adam, lr: 0.01}",
}
PARTS = {
    "full": (),
    "plain": ("model.layers=[flatten, {type: dense, units: auto}]", "data.train_transforms=[]", "train.average=null"),
}
SCHEDULES = {"cosine": "schedule={type: cosine, warmup: 5st}", "step": "schedule={type: step, every: 2ep, gamma: 0.5}"}
SETTINGS = {
    "-".join(names): (OPTIMIZERS[names[0]], *PARTS[names[1]], SCHEDULES[names[2]], EVERY, "train.epochs=4")
    for names in itertools.product(OPTIMIZERS, PARTS, SCHEDULES)
}
TEXTS = {"detection": DETECTION, "segmentation": SEGMENTATION}  # of tasks whose targets move with the pictures
SETTINGS |= dict.fromkeys(TEXTS, ("checkpoint.every=1st", "train.epochs=4"))
USUAL = "momentum-full-cosine"
FEW = 4


def _content(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in SAME}


def _snapshots(config: Path, sets: tuple[str, ...], folder: Path) -> list[Path]:
    """Run to the end, and keep the run directory as it was after every step, and after every save."""
    kept: list[Path] = []
    save, take = Trainer.save, Trainer._take_step

    def copy(directory: RunDirectory, name: str) -> None:
        kept.append(folder / name)
        shutil.copytree(directory.path, kept[-1])

    def saving(self: Trainer, **how: bool) -> None:
        save(self, **how)
        copy(self.run, f"step-{self.state.step}-saved")

    def taking(self: Trainer) -> None:
        take(self)
        if self.state.step % self.loader.steps_per_epoch == 0:  # as by a signal while it validates
            save(self)
            copy(self.run, f"step-{self.state.step}-unvalidated")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "save", saving)
        patch.setattr(Trainer, "_take_step", taking)
        run(config, folder / "straight", sets, threads=1)
    return kept


@pytest.mark.parametrize(
    ("setting", "few"),
    [
        pytest.param(USUAL, True, id=f"few-{USUAL}"),
        *(pytest.param(setting, setting in TEXTS, marks=pytest.mark.faults, id=setting) for setting in SETTINGS),
    ],
)
def test_resumed_from_every_step_a_run_ends_with_the_same_bits(
    setting: str, few: bool, tmp_path: Path, campaign: Campaign
) -> None:
    snapshots = _snapshots(write(tmp_path, TEXTS.get(setting, TINY)), SETTINGS[setting], tmp_path)
    expected = _content(tmp_path / "straight")
    assert len(snapshots) == 41 + 4
    chosen = campaign.rng.sample(snapshots, FEW if few else min(rounds(len(snapshots)), len(snapshots)))
    for snapshot in chosen:
        with (snapshot / "metrics.jsonl").open("ab") as rows:  # as by a kill on the way to the next save
            rows.write(b'{"event":"train","step":10000}\n{"event":"tr')
        result = run(None, snapshot, resume=True, threads=campaign.rng.randint(1, 3))
        assert result["state"] == "finished"
        found = _content(snapshot)
        assert [name for name in SAME if found[name] != expected[name]] == [], (
            f"{setting}, resumed from {snapshot.name}"
        )
    campaign.tell(f"{len(chosen)} resumes")
