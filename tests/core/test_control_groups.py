"""Limits of containers: those of the own group and every one above it, as each runtime shows them to a process."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cnntrain.core.control_groups import Limits, limits


def system(tmp_path: Path, groups: str, mounts: dict[str, tuple[str, str]], files: dict[str, str]) -> Limits:
    """The limits a process sees: its groups, mounts as {folder: (root, kind and options)}, and what files hold."""
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text(groups)
    lines = ["22 28 0:20 / /proc rw,nosuid - proc proc rw"]
    for number, (folder, (root, kind)) in enumerate(mounts.items()):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        point = str(tmp_path / folder).replace(" ", "\\040")
        lines.append(f"{30 + number} 25 0:{number} {root} {point} rw,nosuid shared:9 - {kind}")
    (proc / "mountinfo").write_text("\n".join(lines) + "\n")
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return limits(proc)


V2 = "cgroup2 cgroup2 rw,nsdelegate"


def test_docker_with_a_namespace_of_its_own(tmp_path):
    files = {"fs/memory.max": "200000000", "fs/memory.current": "150000000", "fs/cpu.max": "150000 100000"}
    files |= {"fs/memory.stat": "anon 1\ninactive_file 30000000\nactive_file 7", "fs/pids.max": "100"}
    files |= {"fs/pids.current": "40"}
    assert system(tmp_path, "0::/\n", {"fs": ("/", V2)}, files) == Limits(2e8, 8e7, 1.5, 60)


def test_a_group_of_systemd_or_slurm_below_others(tmp_path):
    """Every group above counts; the tightest wins, wherever it is."""
    job = "fs/system.slice/slurmstepd.scope/job_7"
    files = {f"{job}/step_0/memory.max": "max", f"{job}/memory.max": "64000000", f"{job}/memory.current": "1000000"}
    files |= {"fs/system.slice/memory.max": "900000000", f"{job}/step_0/cpu.max": "max 100000"}
    files |= {"fs/system.slice/cpu.max": "400000 100000", "fs/system.slice/pids.max": "30"}
    files |= {"fs/system.slice/pids.current": "28"}
    own = "0::/system.slice/slurmstepd.scope/job_7/step_0\n"
    assert system(tmp_path, own, {"fs": ("/", V2)}, files) == Limits(64e6, 63e6, 4, 2)


def test_version_1_with_a_mount_for_each_controller(tmp_path):
    groups = "9:pids:/docker/abc\n4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n"
    mounts = {
        "fs/memory": ("/", "cgroup cgroup rw,memory"),
        "fs/cpu,cpuacct": ("/", "cgroup cgroup rw,cpu,cpuacct"),
        "fs/pids": ("/", "cgroup cgroup rw,pids"),
        "fs/unified": ("/", V2),
    }
    files = {"fs/memory/docker/abc/memory.limit_in_bytes": "30000000"}
    files |= {"fs/memory/memory.limit_in_bytes": "9223372036854771712"}
    files |= {"fs/memory/docker/abc/memory.usage_in_bytes": "10000000"}
    files |= {"fs/memory/docker/abc/memory.stat": "cache 9\ntotal_inactive_file 4000000"}
    files |= {"fs/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "200000", "fs/cpu,cpuacct/cpu.cfs_quota_us": "-1"}
    files |= {"fs/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000", "fs/cpu,cpuacct/cpu.cfs_period_us": "100000"}
    files |= {"fs/pids/docker/abc/pids.max": "12", "fs/pids/docker/abc/pids.current": "2"}
    assert system(tmp_path, groups, mounts, files) == Limits(30e6, 24e6, 2, 10)


def test_a_container_that_sees_its_own_part_of_the_tree_alone(tmp_path):
    """Docker with version 1 mounts the own group as the root, while the process is told its path outside."""
    mounts = {"a place/memory": ("/docker/abc", "cgroup cgroup rw,memory")}
    files = {"a place/memory/memory.limit_in_bytes": "50000000"}
    assert system(tmp_path, "3:memory:/docker/abc\n", mounts, files).memory == 50e6


@pytest.mark.parametrize("own", ["/docker/gone", "/../../elsewhere", "/.."])
def test_a_group_that_cannot_be_seen_has_the_limits_of_those_above(tmp_path, own):
    assert system(tmp_path, f"0::{own}\n", {"fs": ("/", V2)}, {"fs/memory.max": "70000000"}).memory == 70e6


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"fs/memory.max": "max", "fs/cpu.max": "max 100000", "fs/pids.max": "max", "fs/memory.current": "5"},
        {"fs/memory.max": "", "fs/cpu.max": "0 0", "fs/pids.max": "many"},
    ],
)
def test_no_limit_is_no_limit(tmp_path, files):
    assert system(tmp_path, "0::/\n", {"fs": ("/", V2)}, files) == Limits()
    assert math.isinf(Limits().memory)


def test_no_groups_at_all(tmp_path):
    assert limits(tmp_path) == Limits()
