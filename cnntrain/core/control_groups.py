"""A control group is how Linux limits what a container, a job or a service may use; a process is in one or several.

Docker, systemd and Slurm each make groups within groups, and a limit of any of them counts for all below. So this
process's group is looked up, by both versions of the interface, and every group above it that can be seen (cgroups(7)).
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc/self")
_CONTROLLERS = ("memory", "cpu", "pids")


@dataclass(frozen=True)
class Limits:
    """What the groups of this process allow; infinite where they do not say."""

    memory: float = math.inf  # bytes
    free: float = math.inf  # bytes that the processes of the groups do not have; file cache that can be dropped is free
    processors: float = math.inf  # seconds of processor time a second
    processes: float = math.inf  # how many more processes and threads


def limits(proc: Path = PROC) -> Limits:
    """The tightest limits of this process's groups and those above, looked up anew; none where there are no groups."""
    memory = free = processors = processes = math.inf
    for controller in _CONTROLLERS:
        for folder in _groups(proc, controller):
            if controller == "memory":
                limit, used = _memory(folder)
                memory, free = min(memory, limit), min(free, max(limit - used, 0))
            elif controller == "cpu":
                processors = min(processors, _processors(folder))
            else:
                most, now = _number(folder / "pids.max"), _number(folder / "pids.current")
                processes = min(processes, max(most - (0 if math.isinf(now) else now), 0))
    return Limits(memory, free, processors, processes)


def _memory(folder: Path) -> tuple[float, float]:
    """The limit of a group in bytes, and how much of it is in use and cannot be dropped."""
    limit = min(_number(folder / "memory.max"), _number(folder / "memory.limit_in_bytes"))
    used = min(_number(folder / "memory.current"), _number(folder / "memory.usage_in_bytes"))
    if math.isinf(used):
        return limit, 0
    cache = max(_field(folder / "memory.stat", name) for name in ("inactive_file", "total_inactive_file"))
    return limit, max(used - cache, 0)


def _processors(folder: Path) -> float:
    """The processor time a group may use in a period, as a share of it: `cpu.max`, or two files in version 1."""
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    if not quota:
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
    with contextlib.suppress(ValueError):
        if int(quota) > 0 and int(period) > 0:
            return int(quota) / int(period)
    return math.inf


def _groups(proc: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's group and those above it that can be seen, under either version."""
    paths = _paths(proc)
    for root, point, kind, options in _mounts(proc):
        path = paths.get("" if kind == "cgroup2" else controller)
        if path is None or not (kind == "cgroup2" or (kind == "cgroup" and controller in options)):
            continue
        inside = ""
        if path.startswith(root.rstrip("/") + "/"):  # else the mount shows another part of the tree, most often ours
            inside = path[len(root.rstrip("/")) :].strip("/")
        if ".." in Path(inside).parts:
            inside = ""
        folder = Path(point, inside)
        while True:
            if os.path.isdir(folder):  # unlike Path.is_dir, false where it cannot be looked at
                yield folder
            if folder == Path(point):
                break
            folder = folder.parent


def _paths(proc: Path) -> dict[str, str]:
    """Our group for each controller of version 1, and under "" that of version 2: lines like "4:memory:/job"."""
    found = {}
    for line in _text(proc / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _mounts(proc: Path) -> Iterator[tuple[str, str, str, list[str]]]:
    """For each mount, its root in the file system, where it is, the kind of file system and its options."""
    for line in _text(proc / "mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        mine, system = before.split(" "), after.split(" ")
        if len(mine) >= 5 and len(system) >= 3 and system[0].startswith("cgroup"):
            yield _plain(mine[3]), _plain(mine[4]), system[0], system[2].split(",")


def _plain(text: str) -> str:
    """A path of mountinfo, which has octal escapes for spaces."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _field(path: Path, name: str) -> float:
    """A field of a file of lines like "inactive_file 4096"; 0 where there is none."""
    found = re.search(rf"^{name} (\d+)$", _text(path), re.MULTILINE)
    return int(found[1]) if found else 0


def _number(path: Path) -> float:
    """The number a file holds; infinite where there is no such file, or "max" in it."""
    with contextlib.suppress(ValueError):
        return int(_text(path))
    return math.inf


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace").strip()
    return ""
