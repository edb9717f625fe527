"""A data file is one that can be read to an end: a device, pipe, socket, terminal or folder is refused, by everyone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntrain.reading.input_files import opened

KINDS = ("/dev/zero", "/dev/tty", "/dev/random", "pipe", "socket", "folder", "link to /dev/zero", "link to pipe")
PICTURES = """\
data: {source: SOURCE, cache: CACHE}
model: {preset: linear}
train: {epochs: 1, batch_size: 4}
"""


def special(place: Path, kind: str) -> Path:
    """A thing that is no regular file, and for which one may wait for ever."""
    path = place / "special.png"
    target = kind.removeprefix("link to ")
    if target.startswith("/dev/"):
        path.symlink_to(target)
    elif target == "pipe":
        os.mkfifo(place / "pipe")
        path.symlink_to(place / "pipe")
    elif target == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(os.path.relpath(path))
    else:
        path.mkdir()
    return path


@contextlib.contextmanager
def patience(seconds: int) -> Iterator[None]:
    """Fail where something waits for longer."""

    def late(*_: object) -> None:
        pytest.fail(f"still waiting after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", KINDS)
def test_only_regular_files_are_opened(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = special(tmp_path, kind)
    began = time.monotonic()
    with pytest.raises(OSError, match=r"not a regular file|No such device"):
        opened(path)
    assert time.monotonic() - began < 1
    (tmp_path / "b").write_bytes(b"abc")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    with opened(tmp_path / "link") as file:
        assert file.read() == b"abc"


@pytest.mark.parametrize("command", ["check", "fit", "fit without a cache", "init", "eval", "predict"])
@pytest.mark.parametrize("kind", ["/dev/zero", "pipe", "folder"])
def test_no_command_waits_for_what_never_ends(cnntrain, desk, command, kind):
    """A table names it among its pictures."""
    rng = np.random.default_rng(0)
    for number in range(8):
        Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).save(desk / f"{number}.png")
    special(desk, kind)
    sound = "path,label\n" + "".join(f"{number}.png,{'ab'[number % 2]}\n" for number in range(8))
    (desk / "sound.csv").write_text(sound)
    (desk / "bad.csv").write_text(f"{sound}special.png,a\n")
    cache = str(command != "fit without a cache").lower()
    for name in ("sound", "bad"):
        text = PICTURES.replace("SOURCE", f"{{type: csv, path: {name}.csv, size: 6}}").replace("CACHE", cache)
        (desk / f"{name}.yaml").write_text(text)
    if command in ("eval", "predict"):
        assert cnntrain("fit", "sound.yaml", "-o", "run", "-q").code == 0
    arguments = {
        "check": ["check", "bad.yaml"],
        "init": ["init", "--data", "bad.csv"],
        "eval": ["eval", "run", "--data", "bad.csv"],
        "predict": ["predict", "run", "special.png"],
    }.get(command, ["fit", "bad.yaml", "-o", "other", "-q"])
    with patience(40):
        ended = cnntrain(*arguments)
    assert ended.code == (0 if command == "init" else 3), ended.err  # the config leaves it out
    assert "special.png" in ended.err or command == "predict"
    assert "not a regular file" in ended.err or (command, kind) == ("predict", "folder")
    assert not (desk / "crash.log").exists()


@pytest.mark.parametrize("kind", ["/dev/zero", "pipe"])
@pytest.mark.parametrize("source", ["csv", "npz", "idx", "audio_folder"])
def test_no_source_is_one_itself(cnntrain, desk, kind, source):
    path = special(desk, kind)
    name = {"csv": "a.csv", "npz": "a.npz", "idx": "train-images-idx3-ubyte", "audio_folder": "x/a.wav"}[source]
    (desk / "data" / name).parent.mkdir(parents=True)
    path.rename(desk / "data" / name)
    key = "path" if source in ("csv", "npz") else "root"
    place = desk / "data" / name if key == "path" else desk / "data"
    text = PICTURES.replace("SOURCE", f"{{type: {source}, {key}: {place}}}").replace("CACHE", "true")
    (desk / "c.yaml").write_text(text)
    for arguments in (["check", "c.yaml"], ["init", "--data", str(place)]):
        with patience(40):
            ended = cnntrain(*arguments)
        assert ended.code == 3, ended.err
