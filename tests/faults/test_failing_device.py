"""A device that fails while a file is read: exit code 5 or StorageError, never the file's fault, never other values.

`strace` makes the n-th read of the file and all after it fail, as a bad sector does.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.data_files import FORMATS, readable
from tests.support.campaign import Campaign
from tests.support.experiments import TINY, run, write
from tests.support.promises import require_error
from tests.support.traced import needs_strace

ROOT = Path(__file__).parent.parent.parent
READ = """
import sys
from pathlib import Path
from cnntrain.core.errors import StorageError
from tests.faults.data_files import FORMATS
folder = Path(sys.argv[2])
seeds, path, reader = FORMATS[sys.argv[1]](folder)
path.write_bytes(seeds[3])
try:
    reader(path)
except StorageError as error:
    assert str(folder) in str(error), error
    sys.exit(5)
"""


def _with_failing_reads(path: Path, number: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that cannot read a file any more from the `number`-th attempt on."""
    inject = f"inject=read,pread64,readv:error=EIO:when={number}+"
    return subprocess.run(
        ["strace", "-f", "-o", "/dev/null", "-P", str(path), "-e", inject, sys.executable, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


@needs_strace
@pytest.mark.parametrize(
    "kinds", [pytest.param(["cifar"], id="few"), pytest.param(readable(FORMATS), marks=pytest.mark.faults, id="all")]
)
def test_data_that_cannot_be_read_is_the_devices_fault(
    tmp_path: Path, campaign: Campaign, kinds: Sequence[str]
) -> None:
    for kind in kinds:
        folder = tmp_path / kind
        folder.mkdir()
        path = FORMATS[kind](folder)[1]
        for number in (1, 2, 4):
            ended = _with_failing_reads(path, number, "-c", READ, kind, str(folder))
            if ended.returncode == 0:
                break
            assert ended.returncode == 5, f"{kind} {number}: {ended.stderr}"
        assert number > 1
    campaign.tell(f"{len(kinds)} formats, the 1st, 2nd and 4th read of each")


@needs_strace
@pytest.mark.faults
def test_a_config_or_checkpoint_that_cannot_be_read_ends_a_command_with_5(tmp_path: Path) -> None:
    config, directory = write(tmp_path, TINY), tmp_path / "run"
    run(config, directory, ("train.epochs=1",), threads=1)
    last = directory / "checkpoints" / "last.npz"
    for path, command in {
        config: ["check", str(config)],
        last: ["fit", "-o", str(directory), "--resume", "-j", "1"],
        directory / "checkpoints" / "best.npz": ["eval", str(directory), "--split", "train", "-j", "1"],
    }.items():
        for number in (1, 5) if path != config else (1,):
            ended = _with_failing_reads(path, number, "-m", "cnntrain", *command)
            require_error(5, ended.returncode, ended.stderr)
            assert f"cannot read {path}: Input/output error. The device failed" in ended.stderr
