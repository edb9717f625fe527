"""Damage to the cache, before a run or while it trains: the same bits, or one line and a resume that gives them."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntrain.cli import main
from cnntrain.training.stepper import Stepper
from tests.support.campaign import Campaign, counts
from tests.support.experiments import evidence, write

TEXT = """
data: {source: {type: image_folder, root: pictures, size: 8}, val: 0.25}
model: {layers: [flatten, {type: dense, units: auto}]}
optimizer: {type: sgd, lr: 0.01}
train: {epochs: 3, batch_size: 8}
checkpoint: {every: 2st}
"""
BEFORE = ("flip", "cut", "longer", "empty", "other", "gone", "pipe", "link", "folder", "forbidden")
DURING = ("flip", "cut", "longer", "empty", "gone", "replaced")


def harm(path: Path, kind: str, rng: random.Random) -> None:
    """Do something to a file of the cache."""
    data = bytearray(path.read_bytes())
    if kind == "flip":
        start = rng.randrange(len(data))
        for place in range(start, min(start + rng.choice([1, 200]), len(data))):
            data[place] ^= 1 << rng.randrange(8)
    changed = {"cut": data[: rng.randrange(len(data))], "longer": data + b"x", "empty": b"", "flip": data}
    if kind in changed:
        with path.open("r+b") as file:  # in place, so that whoever has it open sees it
            file.truncate(len(changed[kind]))
            file.write(changed[kind])
        return
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind in ("other", "replaced"):
        path.write_bytes(rng.randbytes(len(data)))
    elif kind == "forbidden":
        path.write_bytes(data)
        path.chmod(0)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures of two classes."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number in range(32):
        place = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(place)
        os.utime(place, (10**9, 10**9))
    return write(tmp_path, TEXT)


@counts(4, 60)
def test_the_cache_changes_no_bit(
    config: Path, campaign: Campaign, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], count: int
) -> None:
    rng, codes = campaign.rng, Counter[str]()
    fit = ["fit", str(config), "-o", "run", "-q", "-j", "1", "--resume-or-start"]
    assert main(fit) == 0
    expected = evidence(Path("run"))
    original = Stepper.step
    for _ in range(count):
        shutil.rmtree("run")
        if not [*Path("runs/.cache").glob("*.decoded")]:
            assert main(fit) == 0
            shutil.rmtree("run")
        during = rng.random() < 0.5
        kind, at = rng.choice(DURING if during else BEFORE), rng.randrange(9) if during else -1
        victims = sorted(Path("runs/.cache").iterdir())
        victim = rng.choice([path for path in victims if path.suffix == ".decoded"] if during else victims)

        def step(self: Stepper, number: int, *rest: object) -> object:
            if number == at and victim.is_file():  # noqa: B023  (called within this turn)
                harm(victim, kind, rng)  # noqa: B023
            return original(self, number, *rest)

        if not during:
            harm(victim, kind, rng)
        with monkeypatch.context() as patch:
            patch.setattr(Stepper, "step", step)
            code, said = main(fit), capsys.readouterr().err
        where = f"{kind} {victim.name} at {at}: {code} {said}"
        assert code in ((0, 5) if during else (0,)), where
        assert said.count("cnntrain: error: ") == bool(code), where
        assert main(fit) == 0, where
        assert evidence(Path("run")) == expected, where
        capsys.readouterr()
        codes[f"{'during' if during else 'before'} {kind} {code}"] += 1
        for path in Path("runs/.cache").iterdir():  # what nobody could remove or make again
            if not path.is_file() or path.is_symlink():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    campaign.tell(json.dumps(codes))
