"""A file that a file system never gives ends every command that reads it with 5, and is named."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntrain.cli import main
from cnntrain.core import regular_file, watchdog
from cnntrain.reading import attended, input_files
from tests.support.experiments import write

TEXT = """
data: {source: {type: image_folder, root: pictures}, val: 0.5}
model: {layers: [flatten, {type: dense, units: auto}]}
optimizer: {type: sgd, lr: 0.01}
train: {steps: 1, batch_size: 4}
"""
COMMANDS = {
    "fit": ["fit", "full.yaml", "-o", "run", "-j", "2"],
    "fit without a cache": ["fit", "full.yaml", "-o", "run", "-j", "1", "-s", "data.cache=false"],
    "init": ["init", "--data", "pictures", "-o", "made.yaml"],
    "check": ["check", "full.yaml", "-j", "2"],
    "eval": ["eval", "done", "--split", "val", "-j", "2"],
    "predict": ["predict", "done", "pictures/a/0.png", "pictures/b/2.png", "-j", "2"],
}
needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="looks at threads as Linux does")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Pictures, and a run on them."""
    folder = tmp_path_factory.mktemp("sound")
    rng = np.random.default_rng(0)
    with contextlib.chdir(folder):
        for name in "ab":
            (folder / "pictures" / name).mkdir(parents=True)
            for number in range(8):
                Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).save(f"pictures/{name}/{number}.png")
        write(folder, TEXT)
        assert main(["fit", "full.yaml", "-o", "done", "-q"]) == 0
    return folder


@pytest.fixture
def place(sound, tmp_path, monkeypatch):
    """The same for one test; a watchdog that loses patience after a second."""
    monkeypatch.chdir(shutil.copytree(sound, tmp_path / "place"))
    os.utime("pictures/b/2.png")
    monkeypatch.setattr(watchdog, "STILL", 1.0)


@pytest.fixture
def silent(monkeypatch):
    """A file server that does not answer for b/2.png until the test is over."""
    answered, original = threading.Event(), regular_file.opened

    def opened(path):
        if str(path).endswith("b/2.png"):
            answered.wait(30)
        return original(path)

    monkeypatch.setattr(regular_file, "opened", opened)
    yield
    answered.set()


@needs_proc
@pytest.mark.usefixtures("place", "silent")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_server_that_never_answers(capsys, command):
    capsys.readouterr()
    code = main(COMMANDS[command])
    said = capsys.readouterr().err
    assert (code, said.count("cnntrain: error: ")) == (5, 1), said
    assert "pictures/b/2.png" in said
    assert "stood still" in said


def test_what_a_thread_reads_is_known_whatever_reads_within():
    me = threading.current_thread()

    def walk():
        with input_files.reading(Path("folder")):
            yield

    with input_files.reading(Path("table")):
        walking = walk()
        next(walking)
        with input_files.noted(Path("picture")):
            assert attended.read_by(me) == " at picture"
        assert attended.read_by(me) == " at folder"
    assert attended.read_by(me) == " at folder"  # which is still being walked
    walking.close()
    assert attended.read_by(me) == ""


@needs_proc
@pytest.mark.usefixtures("place")
def test_a_file_server_that_falls_silent_while_pictures_are_decoded(capsys, monkeypatch):
    """It answered when the file was hashed; that is no failure of the cache, and not tried a second time without."""
    answered, original, times = threading.Event(), regular_file.opened, []

    def opened(path):
        if str(path).endswith("b/2.png"):
            times.append(path)
            if len(times) > 1:
                answered.wait(30)
        return original(path)

    monkeypatch.setattr(regular_file, "opened", opened)
    capsys.readouterr()
    code = main(["fit", "full.yaml", "-o", "run", "-j", "1", "-s", "data.source.size=3"])
    answered.set()
    said = capsys.readouterr().err
    assert (code, said.count("cnntrain: error: ")) == (5, 1), said
    assert "pictures/b/2.png" in said
    assert "without a cache" not in said
    assert len(times) == 2


def test_what_is_read_is_given_and_what_fails_is_raised():
    assert attended.attended(lambda: 3) == 3
    with pytest.raises(TimeoutError, match="its own"):
        attended.attended(lambda: (_ for _ in ()).throw(TimeoutError("its own")))


def test_who_is_interrupted_does_not_leave_a_reader_behind(monkeypatch):
    begun, ended = threading.Event(), threading.Event()

    def slow():
        begun.set()
        try:
            while True:
                attended.still_wanted()
        finally:
            ended.set()

    def interrupted(_future, _carrier):
        begun.wait(10)
        raise KeyboardInterrupt

    monkeypatch.setattr(attended, "waited", interrupted)
    with pytest.raises(KeyboardInterrupt):
        attended.attended(slow)
    assert ended.is_set()


def test_without_threads_it_is_read_all_the_same(monkeypatch):
    monkeypatch.setattr(attended, "start", lambda _threads: [])
    assert attended.attended(lambda: 3) == 3
