"""Parts combined at random: what `check` takes trains, resumes to the same bits, and serves every command.

Replay with the printed seed: FAULTS_SEED=N pytest -m faults tests/faults/test_combinations.py
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from cnntrain.cli import main
from cnntrain.core.registry import KINDS, own
from cnntrain.training.trainer import Trainer
from tests.support.campaign import Campaign, counts
from tests.support.combinations import LEFT_OUT, Combinations, Drawn, every_part
from tests.support.mpirun import call_ranks, needs_mpi
from tests.support.samples import make_samples

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
    (("predict", "run", "FILE", "--json", "-j", "2"), {0, 3}),
    (("eval", "run", "--split", "train", "--csv", "-j", "2"), {0}),
    (("average", "run/checkpoints/last.npz", "other", "-o", "mean.npz", "--overwrite"), {0}),
    (("config", "run/config.resolved.yaml", "--diff", "config.yaml"), {0}),
    (("fit", "config.yaml", "--run-dir", "run", "--resume-or-start"), {0}),
    (("fit", "--run-dir", "other", "--resume", "--set", "train.epochs=4", "-j", "2"), {0, 2, 6}),
    (("sweep", "sweep.yaml", "-o", "cells", "-j", "1"), {0}),
    (("export", "run", "--format", "page", "-o", "net.html", "--overwrite"), {0, 2}),
    (("export", "run", "--format", "numpy", "-o", "net.py", "--overwrite"), {0, 2}),
    (("export", "run", "--format", "numpy", "--fold", "-o", "net.py", "--overwrite"), {0, 2}),
    (("export", "run", "--format", "onnx", "-o", "net.onnx", "--overwrite"), {0, 2}),
    (("export", "run", "--format", "safetensors", "-o", "net.safetensors", "--overwrite"), {0, 2}),
)


_ADVISED = re.compile(r"cnntrain fit (\S+config\.resolved\.yaml .*)")  # what a message says to type


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
    (tmp_path / "samples").mkdir()
    make_samples(tmp_path / "samples")
    monkeypatch.chdir(tmp_path / "desk")
    return tmp_path


def _content(run: str) -> dict[str, bytes]:
    """Whatever has to be the same for two equal runs."""
    kept = [*Path(run).glob("checkpoints/*.npz"), *Path(run).glob("film/*"), Path(run) / "metrics.jsonl"]
    return {str(path.relative_to(run)): path.read_bytes() for path in kept}


def _diverged(run: str) -> tuple[bytes, dict[str, Any]]:
    """Whatever has to be the same for two that diverge; which checkpoint they go back to depends on the sessions."""
    record = json.loads((Path(run) / "nonfinite/record.json").read_text())
    what = ("reason", "when", "step", "closed", "split", "lr", "first", "batches")
    return (Path(run) / "metrics.jsonl").read_bytes(), {key: record[key] for key in what}


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


def _warned(said: str) -> set[str]:
    return {line for line in said.splitlines() if line.startswith("cnntrain: warning: ")}


def _follow(advice: re.Match[str], command: tuple[str, ...], about: str) -> None:
    """Train as a command advises, and give the command again for that run."""
    code, _, said = asked("fit", *advice[1].split(), "--run-dir", "again", "-j", "1")
    assert code == 0, f"{advice[0]} of {about}\n{said}"
    code, _, said = asked(*("again" if word == "run" else word for word in command))
    assert code == 0, f"{' '.join(command)} after {advice[0]} of {about}\n{said}"
    shutil.rmtree("again")


def _refused(text: str) -> None:
    """`check` and `fit` refuse a config with the same words, and leave nothing behind."""
    Path("config.yaml").write_text(text)
    check, fit = asked("check", "config.yaml"), asked("fit", "config.yaml", "--run-dir", "run")
    assert check == fit, text
    assert check[0] in (2, 3, 4), f"{text}\n{check[2]}"
    assert not Path("run").exists(), text


def _round(campaign: Campaign, drawn: Drawn, about: str, place: Path) -> list[str]:
    """Train with a config that is right, in one session and in two, and ask for what there is; returns what was."""
    Path("config.yaml").write_text(drawn.text)
    Path("sweep.yaml").write_text(f"config: config.yaml\ngrid: {{seed: [{yaml.safe_load(drawn.text)['seed']}]}}")
    code, _, checked = asked("check", "config.yaml")
    assert code == 0, f"{about}\n{checked}"
    code, _, said = asked("fit", "config.yaml", "--run-dir", "run", "-j", "1")
    assert code in (0, 6), f"{about}\n{said}"
    assert _warned(said) <= _warned(checked), f"{about}\n{said}\nchecked: {checked}"
    again, _, said = _interrupted(campaign, _rows("run")[-1].get("step", 0))
    assert again == code, f"{about}\n{said}"
    if code:
        assert _diverged("other") == _diverged("run"), about
        code, _, said = asked("replay", "run", "-j", "1")
        assert code == 0, f"{about}\n{said}"
        return ["diverged"]
    assert _content("other") == _content("run"), about
    _measured(about)
    chosen = campaign.rng.sample(COMMANDS, 3)
    for command, codes in chosen:
        code, _, said = asked(*(place / "samples" / drawn.file if word == "FILE" else word for word in command))
        assert code in codes, f"{' '.join(command)} of {about}\n{said}"
        assert not Path("crash.log").exists()
        if advice := _ADVISED.search(said):
            _follow(advice, command, about)
    for cell in Path("cells").glob("seed=*"):
        assert (cell / "metrics.jsonl").read_bytes() == Path("run/metrics.jsonl").read_bytes(), about
    return ["trained", *(command[0] for command, _ in chosen)]


@counts(6, 40, 255)
def test_every_part_is_drawn_or_left_out_with_a_reason(campaign: Campaign, place: Path, count: int) -> None:
    """Each part has a place in a config that `check` takes."""
    assert all((kind, name) in every_part() or LEFT_OUT[kind, name] for kind in KINDS for name in own(kind))
    combinations = Combinations(campaign.rng, place / "samples")
    for kind, name in campaign.rng.sample(every_part(), count):
        combinations.with_part(kind, name)
    campaign.tell(f"{count} parts placed, {len(LEFT_OUT)} left out")


def _emptied() -> None:
    for path in Path().iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@counts(1, 54, 1000, parts=2)
def test_what_check_takes_trains_resumes_and_serves(campaign: Campaign, count: int, place: Path) -> None:
    combinations, outcomes = Combinations(campaign.rng, place / "samples"), Counter[str]()
    for number in range(count):
        drawn = combinations.experiment(campaign.rng.choice(CHANGES))
        about = f"number {number} of seed {campaign.seed}, with {drawn.part}:\n{drawn.text}"
        for other in drawn.refused[:1]:
            _refused(other)
            outcomes["refused"] += 1
        outcomes.update(_round(campaign, drawn, about, place))
        _emptied()
    campaign.tell(f"{count} combinations: {dict(sorted(outcomes.items()))}")


@needs_mpi
@counts(None, 2, 50)
def test_ranks_train_what_threads_train(campaign: Campaign, count: int, place: Path) -> None:
    """In two sessions, with other numbers of ranks."""
    combinations, sizes = Combinations(campaign.rng, place / "samples"), Counter[int]()
    for number in range(count):
        drawn = combinations.experiment(campaign.rng.choice(CHANGES))
        about = f"number {number} of seed {campaign.seed}, with {drawn.part}:\n{drawn.text}"
        Path("config.yaml").write_text(drawn.text)
        expected, _, said = asked("fit", "config.yaml", "--run-dir", "run", "-j", "2")
        assert expected in (0, 6), f"{about}\n{said}"
        pauses: list[list[str]] = [["--pause-at", "2st"], []]
        for pause in pauses:
            ranks = campaign.rng.randint(2, 3)
            arguments = ["fit", "config.yaml", "--run-dir", "ranks", "--resume-or-start", "-j", "1", *pause]
            code, _, said = call_ranks(ranks, *arguments, cwd=Path())
            assert code in (expected, 75) if pause else code == expected, f"{ranks} ranks: {code}, {about}\n{said}"
            sizes[ranks] += 1
        same = _diverged if expected else _content
        assert same("ranks") == same("run"), about
        _emptied()
    campaign.tell(f"{count} combinations by ranks: {dict(sizes)}")
