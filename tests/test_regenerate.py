"""What is generated is fresh, and one command makes all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import regenerate
from tests.regenerate import COMMAND, GENERATED, Generated


@pytest.mark.parametrize("generated", [pytest.param(one, id=str(one.path)) for one in GENERATED])
def test_what_is_generated_is_fresh(generated: Generated) -> None:
    assert not generated.stale(), f"{generated.path} is stale: run {COMMAND}"


def test_what_is_stale_is_made_anew_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(regenerate, "ROOT", tmp_path)
    (tmp_path / "fresh").write_bytes(b"as it is")
    (tmp_path / "stale").write_bytes(b"old")
    before = (tmp_path / "fresh").stat().st_mtime_ns

    def refuse() -> bytes:
        raise AssertionError("it was fresh")

    files = (
        Generated(Path("fresh"), refuse, lambda: True),
        Generated(Path("stale"), lambda: b"new"),
        Generated(Path("missing"), lambda: b"new", lambda: True),
    )
    monkeypatch.setattr(regenerate, "GENERATED", files)
    assert [one.stale() for one in files] == [False, True, True]
    regenerate.main()
    assert capsys.readouterr().out.splitlines() == [
        "fresh: as it should be", "stale: made anew", "missing: made anew"
    ]  # fmt: skip
    assert (tmp_path / "stale").read_bytes() == (tmp_path / "missing").read_bytes() == b"new"
    assert (tmp_path / "fresh").stat().st_mtime_ns == before
    assert not any(one.stale() for one in files)
