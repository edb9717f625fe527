"""Tests of the tests: each bug below, put into a copy of the package, is found by the test named beside it.

The bugs are those that writers of checkpoints have had: an fsync left out, a file written in place, an error swallowed,
a part of the state forgotten. Each is an operator on the syntax tree of one function; how they are written stands in
`tests/support/seeded.py`. `pytest -m faults -k "mutants and in_place"` brings one again.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import cnntrain
import tests.core.test_append_log as test_append_log
import tests.core.test_directory_lock as test_directory_lock
import tests.core.test_files as test_files
import tests.rundir.test_directory as test_run
import tests.training.test_trainer as test_trainer
from cnntrain.core import files
from cnntrain.core.append_log import AppendLog
from cnntrain.core.directory_lock import DirectoryLock
from cnntrain.core.storage import explained, write_all
from cnntrain.rundir import checkpoint
from cnntrain.rundir.directory import RunDirectory
from cnntrain.training.state import State
from cnntrain.training.stepper import Stepper
from cnntrain.training.trainer import Trainer
from tests.faults import test_every_step, test_mutated_checkpoints, test_power_loss
from tests.support.campaign import Campaign
from tests.support.seeded import Bug, source, spoilt, survives

ROOT = Path(cnntrain.__file__).parent.parent
POWER = test_power_loss.test_no_power_cut_loses_or_spoils_a_checkpoint
EVERY_FAULT = test_files.test_write_atomic_survives_every_fault
KILLED = test_files.test_killed_at_every_operation_leaves_old_or_new


@dataclass(frozen=True)
class Mutant:
    """A bug in a function; `killer` is the test, or the module of tests, that finds it."""

    name: str
    function: Callable[..., Any]
    bug: Bug
    killer: Callable[..., Any] | ModuleType

    @property
    def killers(self) -> tuple[str, str]:
        """The file of the test that finds it, from the root, and the test's name; "" for all of the file."""
        if isinstance(self.killer, ModuleType):
            return str(Path(str(self.killer.__file__)).relative_to(ROOT)), ""
        return str(source(self.killer).relative_to(ROOT)), self.killer.__name__


def _forgotten(what: str) -> Bug:
    """Of a checkpoint's arrays, those whose `name` is like that are not restored."""
    return Bug("A[...] = B.arrays[N]", f"A[...] = 0 if N.{what} else B.arrays[N]")


MUTANTS = [
    Mutant("no fsync of files", files._replace, Bug("os.fsync(_)", "pass"), POWER),
    Mutant("no fsync of folders", files._replace, Bug("fsync_directory(...)", "pass"), POWER),
    Mutant(
        "written in place",
        files._replace,
        Bug(
            "A, B = _create_owned(...)",
            "A, B = N(), os.open(N(), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)",
            given="_ = N()",
        ),
        KILLED,
    ),
    Mutant(
        "renamed before it is whole",
        files._replace,
        Bug(
            "for A in _gathered(B): ...",
            "os.replace(T, P)\nT = P\nfor A in _gathered(B): ...",
            given="os.replace(T, P)",
        ),
        KILLED,
    ),
    Mutant("errors swallowed", explained, Bug("raise StorageError(...) from _", "return"), EVERY_FAULT),
    Mutant(
        "fsync tried again",
        files._replace,
        Bug("os.fsync(A)", "with contextlib.suppress(OSError):\n    os.fsync(A)\nos.fsync(A)"),
        test_files.test_a_failed_fsync_is_not_tried_again,
    ),
    Mutant(
        "short writes taken for whole",
        write_all,
        Bug("A = A[_:]", "return"),
        test_files.test_short_writes_are_continued,
    ),
    Mutant("temporary files left", files._removed_on_failure, Bug("os.unlink(...)", "pass"), EVERY_FAULT),
    Mutant(
        "torn line kept",
        AppendLog._last_line_end,
        Bug("return A + B + 1", "return E", given="A = max(0, E - _)"),
        test_append_log.test_append_log_cuts_a_torn_line,
    ),
    Mutant(
        "failed row left half written",
        AppendLog.extend,
        Bug("os.ftruncate(...)", "pass"),
        test_append_log.test_append_log_is_whole_after_a_failed_write,
    ),
    Mutant(
        "lock shared",
        DirectoryLock._take,
        Bug("fcntl.LOCK_EX", "fcntl.LOCK_SH"),
        test_directory_lock.test_the_lock_excludes_and_names_its_owner,
    ),
    Mutant(
        "last before best",
        RunDirectory.save_checkpoint,
        Bug("for A in B: ...", "for A in reversed(B): ..."),
        test_run.test_checkpoints_are_written_in_the_safe_order,
    ),
    Mutant("rows not synced", RunDirectory.save_checkpoint, Bug("_.sync()", "pass"), POWER),
    Mutant(
        "stale files left",
        RunDirectory.__init__,
        Bug("_.remove_abandoned(...)", "pass"),
        test_run.test_opening_clears_what_a_killed_process_left,
    ),
    Mutant("rows not cut", RunDirectory.resume_logs, Bug("AppendLog(A, _)", "AppendLog(A)"), test_every_step),
    Mutant("digests not compared", checkpoint._arrays, Bug('_ != _["sha256"]', "False"), test_mutated_checkpoints),
    Mutant("checksum of meta not compared", checkpoint._meta, Bug("_ != _.crc", "False"), test_mutated_checkpoints),
    Mutant("slots forgotten", State.restore, _forgotten('startswith("slot/")'), test_every_step),
    Mutant("statistics forgotten", State.restore, _forgotten('endswith("mean")'), test_every_step),
    Mutant("tallies forgotten", State.restore, _forgotten('startswith("metric/")'), test_every_step),
    Mutant("average forgotten", State.restore, _forgotten('startswith("average/")'), test_every_step),
    Mutant(
        "step off by one",
        State.restore,
        Bug("S.step, S.closed, S.finished = A, B, C", "S.step, S.closed, S.finished = A + 1, B, C"),
        test_every_step,
    ),
    Mutant(
        "epoch off by one",
        State.restore,
        Bug("S.step, S.closed, S.finished = A, B, C", "S.step, S.closed, S.finished = A, B + 1, C"),
        test_every_step,
    ),
    Mutant(
        "draws count from the resume",
        Stepper._gradient,
        Bug(
            "A = self.engine.step(B, C)",
            "A = self.engine.step(B, C + vars(self).setdefault('since', C))",
        ),
        test_every_step,
    ),
    Mutant("best forgotten", State._judge_anew, Bug("_.restore(_)", "pass"), test_every_step),
    Mutant(
        "step 0 not saved",
        Trainer.start,
        Bug("_.save()", "pass"),
        test_trainer.test_step_0_is_saved_before_the_first_batch,
    ),
    Mutant(
        "stopped without saving",
        Trainer._after_step,
        Bug("any(A)", "(A.save or A.late)"),
        test_trainer.test_a_run_stopped_at_any_step_resumes_to_the_same_bits,
    ),
]
FEW = ("no fsync of files",)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package and its tests, where they may be spoilt."""
    folder = tmp_path_factory.mktemp("copied")
    for name in ("cnntrain", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "golden"))
    shutil.copy(ROOT / "setup.cfg", folder)
    return folder


def _tested(folder: Path, *killers: tuple[str, str]) -> tuple[int, str]:
    """Run tests, each given by its file and its name, or all of a file; pytest's exit code and output."""
    paths, names = sorted({path for path, _ in killers}), {name for _, name in killers}
    chosen = ["-k", " or ".join(sorted(names))] if all(names) else []
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *paths, *chosen]
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name.replace(" ", "_") for mutant in MUTANTS])
def test_every_bug_has_its_place_in_the_source(mutant: Mutant) -> None:
    """Just one, which neither layout nor the names of local variables matter to."""
    assert survives(mutant.function, mutant.bug)


@pytest.mark.faults
def test_without_a_bug_the_tests_pass(copied: Path) -> None:
    everything = {mutant.killers for mutant in MUTANTS}
    whole = {(path, name) for path, name in everything if not name}
    for killers in (whole, everything - whole):
        code, shown = _tested(copied, *killers)
        assert code == 0, shown


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(mutant, id=mutant.name.replace(" ", "_"), marks=() if mutant.name in FEW else pytest.mark.faults)
        for mutant in MUTANTS
    ],
)
def test_mutants_are_killed(copied: Path, campaign: Campaign, mutant: Mutant) -> None:
    path = copied / source(mutant.function).relative_to(ROOT)
    text = path.read_text(encoding="utf-8")
    path.write_text(ast.unparse(spoilt(mutant.function, mutant.bug)), encoding="utf-8")
    try:
        code, shown = _tested(copied, mutant.killers)
    finally:
        path.write_text(text, encoding="utf-8")
    killer = "::".join(filter(None, mutant.killers))
    assert code == 1, f"{mutant.name} survives {killer}: {shown}"
    assert f"FAILED {killer}" in shown, shown
    campaign.tell(f"{mutant.name}: killed by {shown.partition('FAILED ')[2].split()[0]}")
