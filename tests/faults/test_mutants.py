"""Tests of the tests: each bug below, put into a copy of the package, is found by the test named beside it.

The bugs are those that writers of checkpoints have had: an fsync left out, a file written in place, an error swallowed,
a part of the state forgotten. `pytest -m faults -k "mutants and in_place"` brings one again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.campaign import Campaign

ROOT = Path(__file__).parent.parent.parent
FILES, RUN, EVERY_STEP = "tests/test_files.py", "tests/test_run.py", "tests/faults/test_every_step.py"
POWER, MUTATED, TRAINER = (
    "tests/faults/test_power_loss.py::test_no_power_cut",
    "tests/faults/test_mutated_checkpoints.py",
    "tests/test_trainer.py",
)


@dataclass(frozen=True)
class Mutant:
    """A bug: in a module, `right` is exchanged for `wrong`; `killer` is the test that finds it."""

    name: str
    module: str
    right: str
    wrong: str
    killer: str


MUTANTS = [
    Mutant("no fsync of files", "files", "os.fsync(descriptor)  # never tried", "pass  # never tried", POWER),
    Mutant(
        "no fsync of folders",
        "files",
        "    _fsync_directory(path.parent)\n\n\ndef remove(",
        "\n\ndef remove(",
        POWER,
    ),
    Mutant(
        "written in place",
        "files",
        "with _temporary(path.parent) as temporary:\n        descriptor",
        "with contextlib.nullcontext(path) as temporary:\n        os.unlink(path)\n        descriptor",
        f"{FILES}::test_killed_at_every_operation",
    ),
    Mutant(
        "renamed before it is whole",
        "files",
        "for chunk in _gathered(chunks)",
        "os.replace(temporary, path); temporary = path\n            for chunk in _gathered(chunks)",
        f"{FILES}::test_killed_at_every_operation",
    ),
    Mutant(
        "errors swallowed",
        "files",
        "except OSError as error:\n        reason",
        "except OSError as error:\n        return\n        reason",
        f"{FILES}::test_write_atomic_survives_every_fault",
    ),
    Mutant(
        "fsync tried again",
        "files",
        "            os.fsync(descriptor)  # never",
        "            with contextlib.suppress(OSError):\n                os.fsync(descriptor)\n"
        "            os.fsync(descriptor)  # never",
        f"{FILES}::test_a_failed_fsync",
    ),
    Mutant("short writes taken for whole", "files", "view = view[written:]", "return", f"{FILES}::test_short_writes"),
    Mutant(
        "temporary files left",
        "files",
        "            os.unlink(path)\n        raise",
        "            pass\n        raise",
        f"{FILES}::test_write_atomic_survives_every_fault",
    ),
    Mutant(
        "torn line kept",
        "files",
        "return start + newline + 1",
        "return end",
        f"{FILES}::test_append_log_cuts_a_torn_line",
    ),
    Mutant(
        "failed row left half written",
        "files",
        "                    os.ftruncate(self._descriptor, self.length)\n                raise",
        "                    pass\n                raise",
        f"{FILES}::test_append_log_is_whole",
    ),
    Mutant(
        "lock shared",
        "files",
        "            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n        except BlockingIOError:",
        "            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)\n        except BlockingIOError:",
        f"{FILES}::test_the_lock_excludes",
    ),
    Mutant(
        "last before best",
        "run",
        "(self.checkpoints / name, chunks)",
        "(self.checkpoints / names[-1 - names.index(name)], chunks)",
        f"{RUN}::test_checkpoints_are_written_in_the_safe_order",
    ),
    Mutant("rows not synced", "run", "        self.sync()\n        chunks", "        chunks", POWER),
    Mutant(
        "stale files left",
        "run",
        "            files.remove_temporaries(directory)\n",
        "",
        f"{RUN}::test_opening_clears",
    ),
    Mutant(
        "rows not cut",
        "run",
        "AppendLog(self._metrics.path, metrics_length)",
        "AppendLog(self._metrics.path)",
        EVERY_STEP,
    ),
    Mutant("digests not compared", "checkpoint", 'if _digest(array) != entry["sha256"]:', "if False:", MUTATED),
    Mutant("checksum of meta not compared", "checkpoint", "if zlib.crc32(raw) != member.crc:", "if False:", MUTATED),
    Mutant(
        "slots forgotten",
        "state",
        "array[...] = checkpoint.arrays[name]",
        'array[...] = 0 if name.startswith("slot/") else checkpoint.arrays[name]',
        EVERY_STEP,
    ),
    Mutant(
        "statistics forgotten",
        "state",
        "array[...] = checkpoint.arrays[name]",
        'array[...] = 0 if name.endswith("mean") else checkpoint.arrays[name]',
        EVERY_STEP,
    ),
    Mutant(
        "tallies forgotten",
        "state",
        "array[...] = checkpoint.arrays[name]",
        'array[...] = 0 if name.startswith("metric/") else checkpoint.arrays[name]',
        EVERY_STEP,
    ),
    Mutant(
        "average forgotten",
        "state",
        "array[...] = checkpoint.arrays[name]",
        'array[...] = 0 if name.startswith("average/") else checkpoint.arrays[name]',
        EVERY_STEP,
    ),
    Mutant(
        "step off by one",
        "state",
        "self.finished = step, closed, finished",
        "self.finished = step + 1, closed, finished",
        EVERY_STEP,
    ),
    Mutant(
        "epoch off by one",
        "state",
        "self.finished = step, closed, finished",
        "self.finished = step, closed + 1, finished",
        EVERY_STEP,
    ),
    Mutant(
        "draws count from the resume",
        "stepper",
        "tally = self.engine.step(batches, number)",
        "tally = self.engine.step(batches, number + (taken := getattr(self, 'taken', 0))); self.taken = taken + 1",
        EVERY_STEP,
    ),
    Mutant("best forgotten", "state", 'self._job.monitor.restore(meta["monitor"])', "pass", EVERY_STEP),
    Mutant(
        "step 0 not saved",
        "trainer",
        "        self.save()\n\n    # -- the loop",
        "\n    # -- the loop",
        f"{TRAINER}::test_step_0",
    ),
    Mutant(
        "stopped without saving",
        "trainer",
        "if improved or due or any(wishes) or",
        "if improved or due or wishes.save or wishes.late or",
        f"{TRAINER}::test_a_run_stopped_at_any_step",
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


def _tested(folder: Path, *killers: str) -> tuple[int, str]:
    """Run tests, each given by its file or by a file and the beginning of its name; pytest's exit code and output."""
    files = sorted({killer.partition("::")[0] for killer in killers})
    names = [killer.partition("::")[2] for killer in killers]
    chosen = ["-k", " or ".join(sorted(set(names)))] if all(names) else []
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *files, *chosen]
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return ended.returncode, ended.stdout + ended.stderr


def test_every_bug_has_its_place_in_the_source() -> None:
    """Where code has moved, the bug moves with it."""
    texts = {mutant.module: (ROOT / f"cnntrain/{mutant.module}.py").read_text(encoding="utf-8") for mutant in MUTANTS}
    found = {mutant.name: texts[mutant.module].count(mutant.right) for mutant in MUTANTS}
    assert {name: count for name, count in found.items() if count != 1} == {}


@pytest.mark.faults
def test_without_a_bug_the_tests_pass(copied: Path) -> None:
    whole = [mutant.killer for mutant in MUTANTS if "::" not in mutant.killer]
    for killers in (whole, {mutant.killer for mutant in MUTANTS} - {*whole}):
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
    path = copied / "cnntrain" / f"{mutant.module}.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(mutant.right, mutant.wrong), encoding="utf-8")
    try:
        code, shown = _tested(copied, mutant.killer)
    finally:
        path.write_text(text, encoding="utf-8")
    assert code == 1, f"{mutant.name} survives {mutant.killer}: {shown}"
    assert f"FAILED {mutant.killer}" in shown, shown
    campaign.tell(f"{mutant.name}: killed by {shown.partition('FAILED ')[2].split()[0]}")
