"""Parts combined at random: what `check` takes trains, resumes to the same bits, and serves every command.

Replay with the printed seed: FAULTS_SEED=N pytest -m faults tests/faults/test_combinations.py
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnntrain.cli import main
from cnntrain.training.trainer import Trainer
from tests.support.campaign import Campaign, counts
from tests.support.combinations import Combinations, make_arrays

CHANGES = (4, 8, 16)
COMMANDS = (  # on a run, its config and a file, each with the codes that it may end with
    (("inspect", "run", "--verify"), {0}),
    (("report", "run", "-j", "1"), {0}),
    (("report", "run", "--film"), {0, 4}),
    (("compare", "run", "other"), {0}),
    (("summary", "run"), {0}),
    (("check", "run/config.resolved.yaml", "--show-batch", "batch.png"), {0}),
    (("time", "config.yaml", "--steps", "1", "-j", "1"), {0}),
    (("gradcheck", "config.yaml", "--coordinates", "2"), {0}),
    (("lr-find", "config.yaml", "--steps", "10", "-j", "1"), {0}),
    (("fit", "config.yaml", "--dry-run", "-j", "1"), {0}),
    (("verify", "run", "-j", "1"), {0, 8}),
    (("explain", "run", "FILE"), {0, 3}),
    (("predict", "run", "FILE", "-j", "1"), {0, 3}),
    (("export", "run", "--format", "page", "-o", "net.html", "--overwrite"), {0, 2}),
    (("export", "run", "--format", "numpy", "-o", "net.py", "--overwrite"), {0, 2}),
    (("export", "run", "--format", "numpy", "--fold", "-o", "net.py", "--overwrite"), {0, 2}),
)


def asked(*arguments: str | Path) -> tuple[int, str, str]:
    """The code of a command, what it prints, and what it says on stderr."""
    with contextlib.redirect_stderr(io.StringIO()) as err, contextlib.redirect_stdout(io.StringIO()) as out:
        code = main([*map(str, arguments)])
    return code, out.getvalue(), err.getvalue()


class _KilledError(KeyboardInterrupt):
    """The process is gone; nothing in it catches this."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, with what the configs read beside it."""
    (tmp_path / "desk").mkdir()
    (tmp_path / "arrays").mkdir()
    make_arrays(tmp_path / "arrays")
    (tmp_path / "clip").mkdir()
    for name in ("a", "clip/0", "clip/1"):
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path / "desk")
    return tmp_path


def _content(run: str) -> dict[str, bytes]:
    """Whatever has to be the same for two equal runs."""
    kept = [*Path(run).glob("checkpoints/*.npz"), *Path(run).glob("film/*"), Path(run) / "metrics.jsonl"]
    return {str(path.relative_to(run)): path.read_bytes() for path in kept}


def _rows(run: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]


def _interrupted(campaign: Campaign, steps: int) -> tuple[int, str, str]:
    """Train in two sessions, the first of which pauses or is killed after a step, and with any number of workers."""
    at, workers = campaign.rng.randint(0, steps), campaign.rng.choices("123", k=2)
    start = ["fit", "config.yaml", "--run-dir", "other", "--resume-or-start"]
    if at and campaign.rng.random() < 0.5:
        asked(*start, "--pause-at", f"{at}st", "-j", workers[0])
    else:
        after = Trainer._after_step

        def killed(self: Trainer, improved: Any, late: Any) -> None:
            if self.state.step == at:
                raise _KilledError
            after(self, improved, late)

        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(_KilledError):
            patch.setattr(Trainer, "_after_step", killed)
            asked(*start, "-j", workers[0])
    return asked(*start, "-j", workers[1])


def _measured(about: str) -> None:
    """`eval` of the last checkpoint gives what the last validation gave."""
    last = [row for row in _rows("run") if row["event"] == "eval"][-1]
    if not any(name.startswith("val/") for name in last):
        return
    code, out, said = asked("eval", "run/checkpoints/last.npz", "--split", "val", "--json", "-j", "2")
    assert code == 0, f"{about}\n{said}"
    found = json.loads(out)
    split = "val_average/" if found["weights"] == "averaged" else "val/"
    expected = {name.removeprefix(split): value for name, value in last.items() if name.startswith(split)}
    assert expected, about
    assert {name: found.get(name) for name in expected} == expected, about


def _refused(text: str) -> None:
    """`check` and `fit` refuse a config with the same words, and leave nothing behind."""
    Path("config.yaml").write_text(text)
    check, fit = asked("check", "config.yaml"), asked("fit", "config.yaml", "--run-dir", "run")
    assert check == fit, text
    assert check[0] in (2, 3, 4), f"{text}\n{check[2]}"
    assert not Path("run").exists(), text


def _round(campaign: Campaign, text: str, about: str, place: Path) -> list[str]:
    """Train with a config that is right, in one session and in two, and ask for what there is; returns what was."""
    Path("config.yaml").write_text(text)
    code, _, said = asked("check", "config.yaml")
    assert code == 0, f"{about}\n{said}"
    code, _, said = asked("fit", "config.yaml", "--run-dir", "run", "-j", "1")
    assert code in (0, 6), f"{about}\n{said}"
    again, _, said = _interrupted(campaign, _rows("run")[-1]["step"])
    assert again == code, f"{about}\n{said}"
    assert _content("other") == _content("run"), about
    if code:
        code, _, said = asked("replay", "run", "-j", "1")
        assert code == 0, f"{about}\n{said}"
        return ["diverged"]
    _measured(about)
    file = place / ("clip" if "motion" in text else "a.png")
    chosen = campaign.rng.sample(COMMANDS, 3)
    for command, codes in chosen:
        code, _, said = asked(*(file if word == "FILE" else word for word in command))
        assert code in codes, f"{' '.join(command)} of {about}\n{said}"
        assert not Path("crash.log").exists()
    return ["trained", *(command[0] for command, _ in chosen)]


@counts(1, 60, 1000, parts=2)
def test_what_check_takes_trains_resumes_and_serves(campaign: Campaign, count: int, place: Path) -> None:
    combinations, outcomes = Combinations(campaign.rng, place / "arrays"), Counter[str]()
    for number in range(count):
        text, refused = combinations.experiment(campaign.rng.choice(CHANGES))
        about = f"number {number} of seed {campaign.seed}:\n{text}"
        for other in refused[:1]:
            _refused(other)
            outcomes["refused"] += 1
        outcomes.update(_round(campaign, text, about, place))
        for path in Path().iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    campaign.tell(f"{count} combinations: {dict(sorted(outcomes.items()))}")
