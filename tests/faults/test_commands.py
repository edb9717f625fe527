"""Commands on damaged files: init and check on data, export, report and compare on runs, end in documented codes.

Whatever a byte is changed to, a command ends well or with one line and a documented code, and writes no crash log.
Replay with the printed seed: FAULTS_SEED=N pytest -m faults tests/faults/test_commands.py
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cnntrain.cli import main
from tests.faults.data_files import FORMATS
from tests.faults.mutations import mutate
from tests.support.campaign import Campaign, counts
from tests.support.experiments import TINY, run, write

CONFIG = "data: {{source: {source}, cache: false}}\nmodel: {{preset: linear}}\ntrain: {{epochs: 1, batch_size: 2}}\n"
SOUNDS = "{type: audio_folder, root: PLACE, sample_rate: 8000, duration: 0.03}"
SOURCES = {  # format -> the source that reads its files, as a config has it
    **dict.fromkeys(("idx", "idx.gz"), "{type: idx, root: PLACE}"),
    **dict.fromkeys(("npz", "npz-packed"), "{type: npz, path: FILE}"),
    **dict.fromkeys(("png", "jpeg", "bmp", "gif", "webp", "tiff"), "{type: image_folder, root: PLACE, size: 4}"),
    "cifar": "{type: cifar10, root: PLACE}",
    "csv": "{type: csv, path: FILE, size: 4}",
    "wav": SOUNDS,
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs. Not to be written to."""
    folder = tmp_path_factory.mktemp("tiny")
    run(write(folder, TINY), folder / "run", ("train.epochs=2",), threads=1)
    return folder / "run"


def asked(*arguments: Any) -> tuple[int, str]:
    """The code of a command, and what it says on stderr."""
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        code = main([str(argument) for argument in arguments])
    return code, said.getvalue()


def checked(outcome: tuple[int, str], allowed: set[int], about: str) -> int:
    """The code, found to be one of those allowed, with one line of an error."""
    code, said = outcome
    errors = [line for line in said.splitlines() if not line.startswith("cnntrain: warning: ")]
    assert code in allowed, f"{about}: {code} {said}"
    if code and code != 2:  # of a config, the line is shown
        assert len(errors) == 1, f"{about}: {said}"
    assert not code or errors[-1].startswith("cnntrain: error: "), f"{about}: {said}"
    assert not Path("crash.log").exists(), about
    assert "\x1b" not in said, about
    return code


@counts(6, 400, 4000)
@pytest.mark.parametrize("kind", SOURCES)
def test_init_and_check_on_damaged_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, campaign: Campaign, count: int, kind: str
) -> None:
    place = tmp_path / "data"
    place.mkdir()
    monkeypatch.chdir(tmp_path)
    seeds, path, _ = FORMATS[kind](place)
    if "folder" in SOURCES[kind]:  # which wants classes
        path = place / "one" / path.name
        for name in ("one", "two"):
            (place / name).mkdir()
            (place / name / f"sound{path.suffix}").write_bytes(seeds[0])
    (tmp_path / "c.yaml").write_text(
        CONFIG.format(source=SOURCES[kind].replace("PLACE", str(place)).replace("FILE", str(path)))
    )
    codes: Counter[str] = Counter()
    for number in range(count):
        data = seeds[number % len(seeds)]
        for _ in range(campaign.rng.randrange(4)):
            data = mutate(campaign.rng, data) if data else data
        path.write_bytes(data)
        about = f"seed {campaign.seed}: {kind} number {number}"
        data_place = path if kind in ("csv", "npz", "npz-packed") else place
        init = checked(asked("init", "--data", data_place, "-o", "new.yaml", "--overwrite"), {0, 3}, about)
        check = checked(asked("check", "c.yaml"), {0, 2, 3}, about)  # 2: a network that does not fit the data
        codes.update([f"init {init}", f"check {check}"])
    campaign.tell(f"{count} of {kind}: {dict(sorted(codes.items()))}")


@counts(8, 400, 4000)
@pytest.mark.parametrize("command", ["export", "predict", "eval", "summary"])
def test_commands_on_damaged_checkpoints(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, campaign: Campaign, count: int, command: str
) -> None:
    shutil.copytree(tiny, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run" / "checkpoints" / "last.npz"
    whole, picture = path.read_bytes(), tmp_path / "a.png"
    picture.write_bytes(FORMATS["png"](tmp_path)[0][0])
    arguments = {
        "export": ["--format", "numpy", "--output", "net.py", "--overwrite"],
        "predict": [picture],
    }.get(command, [])
    codes: Counter[int] = Counter()
    for number in range(count):
        path.write_bytes(mutate(campaign.rng, whole) if number else whole)
        outcome = asked(command, path, *arguments)
        codes[checked(outcome, {0, 4}, f"seed {campaign.seed}: {command} number {number}")] += 1
    campaign.tell(f"{command}: {dict(sorted(codes.items()))}")
    assert codes[0]
    assert codes[4]


@counts(2, 400, 4000)
@pytest.mark.parametrize("command", ["report", "compare"])
@pytest.mark.parametrize("file", ["status.json", "data.json", "origins.json", "env.json"])
def test_report_and_compare_on_damaged_runs(
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    campaign: Campaign,
    count: int,
    command: str,
    file: str,
) -> None:
    for name in "ab":
        shutil.copytree(tiny, tmp_path / "runs" / name)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "runs" / "b" / file
    whole = path.read_bytes() if path.exists() else b'{"a": 1}\n'
    codes: Counter[int] = Counter()
    for number in range(count):
        path.write_bytes(mutate(campaign.rng, whole))
        arguments = {"report": ["runs/b", "--output", "r.html"], "compare": ["runs/a", "runs/b"]}[command]
        outcome = asked(command, *arguments)
        codes[checked(outcome, {0, 3, 4, 5, 8}, f"seed {campaign.seed}: {command} of {file} number {number}")] += 1
        with contextlib.suppress(OSError):
            os.remove("r.html")
    campaign.tell(f"{command} of {file}: {dict(sorted(codes.items()))}")
