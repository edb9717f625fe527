"""Every broken config gives exactly its recorded message; `record.py` writes them anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.record import BROKEN, message

CONFIGS = sorted(BROKEN.glob("*.yaml"))


def test_there_are_at_least_fifty() -> None:
    assert len(CONFIGS) >= 50


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_the_message_is_the_recorded_one(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    recorded = config.with_suffix(".txt").read_text()
    assert message(config.name) == recorded
    assert recorded.startswith(f"{config.name}:")


def test_none_of_them_left_anything_behind() -> None:
    assert sorted(path.suffix for path in BROKEN.iterdir()) == [".txt"] * len(CONFIGS) + [".yaml"] * len(CONFIGS)
