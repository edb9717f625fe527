"""An anchor holds a directory; what root writes there belongs to whoever has the directory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from cnntrain.core import files
from cnntrain.core.anchor import Anchor
from cnntrain.core.errors import StorageError
from cnntrain.rundir import event_files
from cnntrain.rundir.directory import EVENT_FILES, RunDirectory

SOMEBODY = 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_replaces_in_a_run_stays_its_owners(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with RunDirectory.create(run, "name", "0" * 64) as directory:
        directory.save_checkpoint({}, {})
    for path in (run, *run.rglob("*")):
        os.chown(path, SOMEBODY, SOMEBODY)
    before = os.umask(0o077)
    try:
        with RunDirectory.open(run) as directory:
            directory.metric({"event": "start"})
            directory.save_checkpoint({}, {}, best=True)
            directory.status("running")
            directory.write_flight_record({})
            directory.write_film("file", {}, {})
            with event_files.following(directory):
                pass
    finally:
        os.umask(before)
    there = [path.stat() for path in run.rglob("*")]
    assert len(there) > len([*run.glob(EVENT_FILES)]) == 1
    assert {(one.st_uid, one.st_gid) for one in there} == {(SOMEBODY, SOMEBODY)}


@pytest.mark.parametrize(
    ("user", "owner", "given"), [(0, 5, [5]), (0, 0, []), (5, 5, []), (7, 5, [])], ids=["root", "own", "user", "other"]
)
def test_only_root_gives_and_never_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, owner: int, given: list[int]
) -> None:
    came = []

    def refuse(_descriptor: int, uid: int, gid: int) -> None:
        came.append(uid)
        assert gid == 6
        raise PermissionError

    with contextlib.closing(Anchor(tmp_path)) as held:
        with monkeypatch.context() as patch:
            patch.setattr(os, "geteuid", lambda: user)
            patch.setattr(os, "fstat", lambda _: SimpleNamespace(st_uid=owner, st_gid=6))
            patch.setattr(os, "fchown", refuse)
            held.give(-1)
        assert came == given
        files.write_atomic(tmp_path / "file", b"whole", held)
    assert (tmp_path / "file").read_bytes() == b"whole"


@pytest.mark.parametrize("back", [True, False])
def test_nothing_is_made_where_a_path_leads_meanwhile(tmp_path: Path, back: bool) -> None:
    """Where root writes, the owner of a run has put a link to any folder in its place, and taken it away again."""
    place, away, other = (tmp_path / name for name in ("run", "away", "other"))
    place.mkdir()
    other.mkdir()
    (other / f"{files.TEMPORARY}1").touch()
    with contextlib.closing(Anchor(place)) as held:
        held.check()
        place.rename(away)
        place.symlink_to(other)

        def chunks() -> Iterator[bytes]:
            yield b"whole"
            if back:
                place.unlink()
                away.rename(place)

        with contextlib.nullcontext() if back else pytest.raises(StorageError, match="not the directory that this run"):
            files.write_atomic(place / "file", chunks(), held)
    assert os.listdir(other) == [f"{files.TEMPORARY}1"]
    assert os.listdir(place if back else away) == (["file"] if back else [])


def test_a_folder_is_held_by_no_link_and_not_in_the_place_of_another_directory(tmp_path: Path) -> None:
    place = tmp_path / "run"
    place.mkdir()
    (place / "link").symlink_to(tmp_path)
    (place / "file").touch()
    with contextlib.closing(Anchor(place)) as held:
        for _ in range(2):
            held.folder("film").close()
        with pytest.raises(StorageError, match=r"link is a link, expected a folder of the run.*Remove it"):
            held.folder("link")
        with pytest.raises(StorageError, match="A file stands where a directory is needed"):
            held.folder("file")
        place.rename(tmp_path / "away")
        place.mkdir()
        with pytest.raises(StorageError, match="not the directory that this run"):
            held.folder("film")
    assert os.listdir(place) == []
