"""What is no plain file, in place of any file of a run: no command hangs at it, follows it, or ends as a bug."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from cnntrain.cli import main
from cnntrain.sweep.standing import read_status
from tests.support.campaign import Campaign, counts
from tests.support.experiments import write

KINDS = ("pipe", "link", "endless", "nowhere", "folder", "socket")
COMMANDS = {  # what is done with a run -> the arguments
    "eval": ["eval", "bad", "--split", "val"],
    "inspect": ["inspect", "bad"],
    "summary": ["summary", "bad"],
    "report": ["report", "bad", "--output", "page.html"],
    "compare": ["compare", "bad", "good"],
    "export": ["export", "bad", "--format", "numpy", "-o", "net"],
    "verify": ["verify", "bad"],
    "replay": ["replay", "bad"],
    "predict": ["predict", "bad", "one.png"],
    "explain": ["explain", "bad", "one.png", "-o", "made.html"],
    "average": ["average", "bad", "good", "-o", "mean.npz"],
    "warm start": ["fit", "full.yaml", "-o", "next", "-q", "-s", "model.init_from={checkpoint: bad}"],
    "resume": ["fit", "--run-dir", "bad", "--resume", "-q", "-s", "train.epochs=2"],
    "overwrite": ["fit", "full.yaml", "-o", "bad", "-q", "--overwrite"],
}
CODES = (0, 2, 3, 4, 5, 8)
LONGEST = 60  # seconds that one may take


def spoil(path: Path, kind: str) -> None:
    """Put something else in place of a file; what it held lies in `outside`, in the working directory."""
    outside = Path.cwd() / "outside"
    path.rename(outside)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"link": outside, "endless": "/dev/zero", "nowhere": Path.cwd() / "made"}[kind])


@pytest.fixture
def sound(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to copy: a config and a finished run of it. What hangs is ended, and fails."""
    place = tmp_path / "sound"
    place.mkdir()
    write(place)
    Image.new("RGB", (8, 8)).save(place / "one.png")
    shutil.copytree(finished, place / "good")
    monkeypatch.chdir(tmp_path)
    yield place
    signal.alarm(0)


@counts(2, 15)
@pytest.mark.parametrize("kind", KINDS)
def test_no_command_hangs_follows_or_crashes(
    sound: Path,
    campaign: Campaign,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    count: int,
) -> None:
    names = sorted(path.relative_to(sound / "good") for path in (sound / "good").rglob("*") if path.is_file())
    codes: Counter[str] = Counter()
    for number in range(count):
        place = sound.with_name(str(number))
        shutil.copytree(sound, place)
        monkeypatch.chdir(place)
        shutil.copytree("good", "bad")
        command, name = campaign.rng.choice([*COMMANDS]), campaign.rng.choice(names)
        before = Path("bad", name).read_bytes()
        spoil(Path("bad", name), kind)
        signal.alarm(LONGEST)
        code, said = main(COMMANDS[command]), capsys.readouterr().err
        signal.alarm(0)
        where = f"{command} with {name} as {kind}: {code} {said}"
        assert code in CODES, where
        assert "Traceback" not in said, where
        assert not Path("crash.log").exists(), where
        assert not Path("made").exists(), where
        assert Path("outside").read_bytes() == before, where
        codes[f"{command} {code}"] += 1
        monkeypatch.chdir(sound)
        shutil.rmtree(place)
    campaign.tell(f"{kind}: {json.dumps(codes)}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_sweep_takes_a_status_that_is_none_for_none(sound: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(sound)
    assert read_status(Path("good"))["state"] == "finished"
    spoil(Path("good/status.json"), kind)
    assert read_status(Path("good")) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_of_the_checkpoints_of_a_run_none_is_elsewhere(
    sound: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """Named by itself, outside of a run, a checkpoint may be reached by a link."""
    monkeypatch.chdir(sound)
    shutil.copy("good/checkpoints/best.npz", "kept.npz")
    spoil(Path("good/checkpoints/best.npz"), kind)
    assert main(["inspect", "good/checkpoints/best.npz"]) == 4
    assert "good/checkpoints/best.npz" in capsys.readouterr().err
    Path("linked.npz").symlink_to("kept.npz")
    assert main(["inspect", "linked.npz"]) == 0
