"""Random system calls that fail, in whole commands, from the command line's first call to their end.

    python -m tests.faults.injected FOLDER COUNT SEED

`strace` makes the n-th call of a kind fail, in any thread or process of a command. Its log says which call that was.
Every outcome must be a documented exit code, with one line where it is not 0 (a sweep passes on that of each run that
failed, under its name), and never a bug; what was begun goes on once nothing fails, to the same result. Left out are
calls before the command line is read, and, counted as `imports`, those on the files and folders of Python, of its
packages (this one's code among them), of the system's libraries, and by which a library knows the processor as it is
imported (ONNX Runtime ends by SIGSEGV there): what fails in them fails inside Python.

Left out under CPython 3.11 alone, and counted as `frames`: memory for the frames of Python's own functions, 16 KiB at a
time, for want of which 3.11 raises SystemError ("error return without exception set") or ends by SIGSEGV, even in a
program of one recursive function; 3.12 and 3.13 raise MemoryError there. Prints what it counted as one JSON object;
whatever broke a promise is under `broken`.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

import cnntrain
from cnntrain.core.errors import CnntrainError
from cnntrain.core.files import TEMPORARY
from tests.support.promises import BrokenPromiseError, evidence, require, require_sound

ERRORS = {  # of every system call that is made to fail, what it may say
    "openat": ("EIO", "EMFILE", "ENFILE", "EACCES", "ENOMEM"),
    "read": ("EIO", "ENOMEM"),
    "pread64": ("EIO",),
    "preadv": ("EIO",),
    "write": ("ENOSPC", "EIO", "EDQUOT"),
    "pwrite64": ("ENOSPC", "EIO"),
    "lseek": ("EIO",),
    "fsync": ("EIO", "ENOSPC"),
    "close": ("EIO",),
    "rename": ("EIO", "ENOSPC", "EACCES"),
    "unlink": ("EIO", "EACCES"),
    "mkdir": ("EIO", "ENOSPC", "EACCES"),
    "symlink": ("EIO", "ENOSPC", "EPERM"),
    "readlink": ("EIO",),
    "newfstatat": ("EIO", "EACCES"),
    "statfs": ("EIO", "ENOSYS"),
    "getdents64": ("EIO",),
    "ftruncate": ("EIO",),
    "flock": ("ENOLCK", "EIO"),
    "fcntl": ("EIO",),
    "dup": ("EMFILE",),
    "pipe2": ("EMFILE", "ENFILE"),
    "clone3": ("EAGAIN", "ENOMEM"),
    "clone": ("EAGAIN", "ENOMEM"),
    "vfork": ("EAGAIN", "ENOMEM"),
    "mmap": ("ENOMEM",),
    "getcwd": ("ENOENT",),
    "sched_getaffinity": ("EINVAL",),
}
CODES = {0, 2, 3, 4, 5, 7, 8, 9}
EXPORT = ("onnx", "made.onnx") if find_spec("onnx") else ("page", "made.html")  # the latter needs no other package
COMMANDS = {  # what is run in a folder that holds pictures, a config, and the finished run `done`
    "fit": ["fit", "c.yaml", "-o", "run", "-j", "2"],
    "resume": ["fit", "--run-dir", "run", "--resume", "-j", "2", "-s", "train.epochs=2", "-s", "train.steps=null"],
    "eval": ["eval", "done", "--split", "val", "-j", "2"],
    "report": ["report", "done"],
    "init": ["init", "--data", "pictures", "-o", "made.yaml"],
    "check": ["check", "c.yaml", "-j", "2"],
    "export": ["export", "done", "--format", EXPORT[0], "-o", EXPORT[1]],
    "predict": ["predict", "done", "pictures/a"],
    "explain": ["explain", "done", "pictures/a/0.png", "-o", "made.html"],
    "compare": ["compare", "done", "half"],
    "average": ["average", "done/checkpoints/best.npz", "half/checkpoints/last.npz", "-o", "made.npz"],
    "sweep": ["sweep", "s.yaml", "-o", "swept", "-j", "1"],
}
MADE = ("made.yaml", "made.npz", "made.html", "made.onnx")  # files that commands write
CONFIG = """\
data:
  source: {type: image_folder, root: pictures}
  val: 0.25
model: {layers: [{type: conv2d, filters: 4, kernel_size: 3}, relu, global_avg_pool, {type: dense, units: auto}]}
optimizer: {type: sgd, lr: 0.1}
train: {epochs: 2, batch_size: 4}
checkpoint: {every: 3st}
"""
PACKAGE = Path(cnntrain.__file__).parent  # its folders are listed to find its parts
_OURS = re.compile(r"cnntrain/cli/__init__[^/]*\.pyc?>?\"?")
_CALL = re.compile(r"^(?P<pid>\d+) +(?P<call>\w+)\((?P<rest>.*)")
_IMPORT = re.compile(
    r"\.pyc?\b|\.so\b|\.pyi?\b|__pycache__|/(?:dist|site)-packages|/lib/python|/usr/lib|/usr/local/lib|/etc/|/sys/devices/system/cpu/|\.pth\b"
    rf"|{re.escape(str(PACKAGE))}/|entry_points\.txt|\.dist-info|\.egg-info|pyvenv\.cfg|/usr/share|locale"
)


_FRAMES = re.compile(r"mmap\(NULL, 16384, PROT_READ\|PROT_WRITE, MAP_PRIVATE\|MAP_ANONYMOUS")  # DATA_STACK_CHUNK_SIZE


@dataclass(frozen=True)
class Call:
    """The n-th call of a kind in the main thread of a command."""

    command: str
    kind: str
    number: int


@dataclass
class Outcomes:
    """What was counted: for each kind of call and each command, how often it ended with what."""

    codes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    imports: int = 0
    frames: int = 0
    missed: int = 0  # calls that did not come this time
    broken: list[str] = field(default_factory=list)


class Injections:
    """A folder in which commands are run while a system call of theirs fails."""

    def __init__(self, folder: Path, rng: random.Random, commands: Sequence[str] = tuple(COMMANDS)) -> None:
        self.folder, self.rng, self.commands, self.outcomes = folder, rng, commands, Outcomes()
        colours = np.random.default_rng(0)
        for number in range(24):
            place = folder / "pictures" / "ab"[number % 2]
            place.mkdir(parents=True, exist_ok=True)
            pixels = colours.integers(0, 128, (8, 8, 3)) + 128 * (number % 2)
            Image.fromarray(pixels.astype(np.uint8)).save(place / f"{number}.png")
        (folder / "c.yaml").write_text(CONFIG)
        (folder / "s.yaml").write_text("config: c.yaml\ngrid: {optimizer.lr: [0.1, 0.2]}\n")
        self._plain("fit", "c.yaml", "-o", "done", "-j", "2")
        self._plain("fit", "c.yaml", "-o", "half", "-j", "2", "-s", "train.steps=4", "-s", "train.epochs=null")
        self.reference = evidence(folder / "done")
        self.calls = [call for name in commands for call in self._calls(name)]

    def _plain(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cnntrain", *arguments]
        ended = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=300)
        require(ended.returncode == 0, f"ends well: {arguments} {ended.returncode} {ended.stderr}")
        return ended

    def _fresh(self, command: str) -> None:
        """The folder as it was before a command was run, with or without the cache of decoded files, at random."""
        for name in ("run", "swept", "crash.log", *MADE):
            path = self.folder / name
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)
        if command == "resume":
            shutil.copytree(self.folder / "half", self.folder / "run")
        if command in ("fit", "init", "check"):
            shutil.rmtree(self.folder / "runs", ignore_errors=True)

    def _traced(self, name: str, trace: str, *more: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        log = self.folder / "strace.log"
        command = ["strace", "-f", "--seccomp-bpf", "-y", "-qq", "-o", str(log), "-e", f"trace={trace}", *more]
        command += [sys.executable, "-m", "cnntrain", *COMMANDS[name]]
        ended = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, errors="replace", timeout=300)
        return ended, log.read_text(errors="replace").splitlines()

    def _calls(self, name: str) -> list[Call]:
        """Every call of the main thread of a command that may be made to fail, once the command line is reached."""
        self._fresh(name)
        ended, lines = self._traced(name, ",".join(ERRORS))
        require(ended.returncode == 0, f"ends well where nothing fails: {name} {ended.returncode} {ended.stderr}")
        found, counted, main, begun = [], Counter[str](), "", False
        for line in lines:
            match = _CALL.match(line)
            main = main or line.split(maxsplit=1)[0]
            if match is None or match["pid"] != main:
                continue
            counted[match["call"]] += 1
            begun = begun or bool(_OURS.search(line))
            if begun and not _IMPORT.search(line):
                found.append(Call(name, match["call"], counted[match["call"]]))
        return found

    def draw(self) -> tuple[Call, str]:
        """A command, a kind of call, one of those, and an error; each drawn uniformly from those there are."""
        command = self.rng.choice(self.commands)
        mine = [call for call in self.calls if call.command == command]
        kind = self.rng.choice(sorted({call.kind for call in mine}))
        return self.rng.choice([call for call in mine if call.kind == kind]), self.rng.choice(ERRORS[kind])

    def strike(self) -> None:
        """Let one random call fail, and hold what becomes of it against the promises."""
        call, error = self.draw()
        self._fresh(call.command)
        inject = f"inject={call.kind}:error={error}:when={call.number}"
        try:
            ended, lines = self._traced(call.command, call.kind, "-e", inject)
        except subprocess.TimeoutExpired:
            self.outcomes.broken.append(f"{call.command} {inject} hangs")
            return
        injected = [line for line in lines if "(INJECTED)" in line]
        if not injected:
            self.outcomes.missed += 1
            return
        if any(_IMPORT.search(line) for line in injected):
            self.outcomes.imports += 1
            return
        if sys.version_info < (3, 12) and any(_FRAMES.search(line) for line in injected):
            self.outcomes.frames += 1
            return
        self.outcomes.codes[f"{call.command} {ended.returncode}"] += 1
        self.outcomes.kinds[call.kind] += 1
        try:
            self._judge(call, ended, any(re.search(r"write\([12]<", line) for line in injected))
            self._go_on(call)
        except (BrokenPromiseError, CnntrainError, ValueError, OSError) as broken:
            where = "; ".join(line[:160] for line in injected[:2])
            self.outcomes.broken.append(f"{call.command} {inject} [{where}]: {str(broken)[-1500:]}")

    def _judge(self, call: Call, ended: subprocess.CompletedProcess[str], mute: bool) -> None:
        said = ended.stderr
        require("Traceback" not in said and not (self.folder / "crash.log").exists(), f"no traceback: {said}")
        require(ended.returncode in CODES, f"a documented exit code, not {ended.returncode}: {said}")
        if ended.returncode and not mute:
            errors = [re.sub("^lr=0.[12]: ", "", line) for line in said.splitlines()]
            errors = [line for line in errors if line.startswith("cnntrain: error: ")]
            most = 2 if call.command == "sweep" else 1
            require(1 <= len(errors) <= most, f"one line of error: {ended.returncode} {said}")

    def _go_on(self, call: Call) -> None:
        """Once nothing fails, the command does what it does, whatever was left behind."""
        if call.command in ("fit", "resume"):
            if (self.folder / "run").exists():
                require_sound(self.folder / "run")
            self._plain("fit", "c.yaml", "-o", "run", "-j", "2", "--resume-or-start")
            found = evidence(self.folder / "run")
            same = [name for name in ("last.npz",) if call.command == "resume"] or [*self.reference]
            if call.command == "fit":
                differ = [name for name in same if found.get(name) != self.reference[name]]
                require(not differ, f"the same result: {differ}")
        elif call.command == "sweep":
            self._plain(*COMMANDS["sweep"])
        else:
            for name in MADE:
                (self.folder / name).unlink(missing_ok=True)
            self._plain(*COMMANDS[call.command])
        left = [str(path) for path in (self.folder / "run").glob(f"**/{TEMPORARY}*")]
        require(not left, f"no temporary file is left: {left}")


def main(folder: Path, count: int, seed: int) -> Outcomes:
    """So many faults."""
    injections = Injections(folder, random.Random(seed))
    outcomes, told = injections.outcomes, 0
    while (done := sum(outcomes.codes.values())) < count:
        injections.strike()
        if os.environ.get("FAULTS_TELL"):
            print(done, *outcomes.broken[told:], file=sys.stderr, flush=True)
            told = len(outcomes.broken)
    return outcomes


if __name__ == "__main__":
    print(json.dumps(vars(main(Path(sys.argv[1]).absolute(), int(sys.argv[2]), int(sys.argv[3]))), indent=1))
