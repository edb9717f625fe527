"""Configs nobody wrote: any valid one is read back from its dump as it is; any broken one is one clear refusal.

Replay with the printed seed: FAULTS_SEED=N pytest -m faults tests/faults/test_configs.py
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnntrain.checks.preflight import rehearse
from cnntrain.cli import main
from cnntrain.config.dump import fingerprint, plain, to_yaml
from cnntrain.config.load import load, load_text
from cnntrain.core.errors import ConfigError
from tests.config.record import BROKEN
from tests.support.campaign import Campaign, counts, peak_memory
from tests.support.generated import Generator, broken

MOST_SECONDS = 1.0
MOST_MEMORY = 150_000_000  # bytes by which reading configs may raise what the process has held at most


@pytest.fixture(autouse=True)
def _limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In an empty working directory, and without much memory."""
    (tmp_path / "desk").mkdir()
    monkeypatch.chdir(tmp_path / "desk")
    before = peak_memory()
    yield
    assert peak_memory() < before + MOST_MEMORY


def judged(path: Path) -> ConfigError | None:
    """What `check` has to say against a config, apart from its data; it has a second to say it."""
    start = time.thread_time()
    try:
        rehearse([path], (), 1)
    except ConfigError as error:
        return error
    finally:
        seconds = time.thread_time() - start
        assert seconds < MOST_SECONDS, f"{seconds:.2f} s for\n{path.read_text()}"
    return None


@counts(25, 2_000, 20_000, parts=2)
def test_a_valid_config_is_read_back_from_its_dump(campaign: Campaign, count: int, tmp_path: Path) -> None:
    generator, file, built = Generator(campaign.rng), tmp_path / "config.yaml", 0
    for number in range(count):
        text = to_yaml(generator.experiment())
        about = f"config {number} of seed {campaign.seed}:\n{text}"
        try:
            loaded = load_text(text, "config.yaml")
            dump = to_yaml(plain(loaded.experiment))
            again = load_text(dump, "config.yaml")
        except ConfigError as error:
            raise AssertionError(f"{about}\n{error}") from error
        assert again.experiment == loaded.experiment, about
        assert (fingerprint(again.experiment), to_yaml(plain(again.experiment))) == (
            fingerprint(loaded.experiment),
            dump,
        ), about
        file.write_text(text)
        error = judged(file)  # anything but a ConfigError fails here
        built += error is None
        for problem in error.problems if error else ():
            assert problem.where.file == str(file), about
            assert 1 <= problem.where.line <= text.count("\n") + 1, about
    campaign.tell(f"{count} valid configs, {built} of them make a network")
    assert built > count // 50 or count < 500  # 6 in 100 do: of few, it may be none


@counts(40, 3_000, 30_000, parts=2)
def test_a_broken_key_is_named(
    campaign: Campaign, count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator, file = Generator(campaign.rng), tmp_path / "config.yaml"
    refused: dict[str, int] = {"deleted": 0, "renamed": 0, "retyped": 0, "extreme": 0}
    while sum(refused.values()) < count:
        how, key, config = broken(generator.experiment(), campaign.rng)
        text = to_yaml(config)
        about = f"number {sum(refused.values())} of seed {campaign.seed}, {key!r} {how}:\n{text}"
        file.write_text(text)
        start = time.thread_time()
        try:
            load([file])
            continue  # what is left is a config too
        except ConfigError as error:
            problems = error.problems
        assert time.thread_time() - start < MOST_SECONDS, about
        refused[how] += 1
        told = "\n".join(map(str, problems))
        of_type = "without 'type'" in told or "expected the name of" in told  # whatever was made of `type` itself
        assert key in told or of_type, f"{about}\n{told}"
        assert all(problem.where.file == str(file) for problem in problems), f"{about}\n{told}"
        capsys.readouterr()
        code = main(["fit", str(file), "--run-dir", "run"])
        shown = capsys.readouterr()
        assert (code, shown.out) == (2, ""), f"{about}\n{shown}"
        assert "Traceback" not in shown.err
        assert not list(Path().iterdir()), about
    campaign.tell(f"{count} broken configs refused: {refused}")
    assert min(refused.values()) > count // 50


def test_every_nasty_of_the_collection_is_refused_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """With which message, tests/config/test_broken.py says."""
    found = sorted(BROKEN.glob("*.yaml"))
    assert len(found) >= 60
    for path in found:
        start = time.thread_time()
        assert main(["fit", str(path), "--run-dir", "run"]) == 2, path
        assert time.thread_time() - start < MOST_SECONDS, path
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        assert not list(Path().iterdir()), path
