"""An anchor holds a directory; what root writes there belongs to whoever has the directory."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from cnntrain.core.anchor import Anchor
from cnntrain.core.files import write_atomic
from cnntrain.rundir.directory import RunDirectory

SOMEBODY = 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_replaces_in_a_run_stays_its_owners(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with RunDirectory.create(run, "name", "0" * 64) as directory:
        directory.save_checkpoint({}, {})
    for path in (run, *run.rglob("*")):
        os.chown(path, SOMEBODY, -1)
    before = os.umask(0o077)
    try:
        with RunDirectory.open(run) as directory:
            directory.metric({"event": "start"})
            directory.save_checkpoint({}, {}, best=True)
            directory.status("running")
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_uid for path in run.rglob("*") if path.stat().st_uid != SOMEBODY} == {}
    assert (run / "checkpoints" / "best.npz").stat().st_gid == os.getegid()


@pytest.mark.parametrize(
    ("user", "owner", "given"), [(0, 5, [5]), (0, 0, []), (5, 5, []), (7, 5, [])], ids=["root", "own", "user", "other"]
)
def test_only_root_gives_and_never_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, owner: int, given: list[int]
) -> None:
    came = []

    def refuse(_descriptor: int, uid: int, gid: int) -> None:
        came.append(uid)
        assert gid == -1
        raise PermissionError

    with contextlib.closing(Anchor(tmp_path)) as held:
        with monkeypatch.context() as patch:
            patch.setattr(os, "geteuid", lambda: user)
            patch.setattr(os, "fstat", lambda _: SimpleNamespace(st_uid=owner))
            patch.setattr(held, "check", lambda: None)
            patch.setattr(os, "fchown", refuse)
            held.give(-1)
        assert came == given
        write_atomic(tmp_path / "file", b"whole", held)
    assert (tmp_path / "file").read_bytes() == b"whole"


def test_nothing_is_given_to_whoever_has_another_directory_in_its_place(tmp_path: Path) -> None:
    place = tmp_path / "run"
    place.mkdir()
    with contextlib.closing(Anchor(place)) as held:
        place.rename(tmp_path / "away")
        place.mkdir()
        with pytest.raises(Exception, match="not the directory that this run"):
            held.give(-1)
