"""`cnntrain watch` and `fit --watch`: where the page is, how long it is there, and what is refused."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from cnntrain.cli.watch import watching
from tests.support.experiments import TINY, start, write

ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/\?token=([\w-]{43})")


def state(address: str) -> list[str]:
    """The names of the sections that a page shows."""
    port, token = ADDRESS.search(address).groups()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/state", headers={"X-Token": token})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return [name for name, _ in json.load(answer)["sections"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_end(finished, tmp_path, number):
    process = start("watch", finished, cwd=tmp_path, XDG_STATE_HOME=str(tmp_path / "state"), PYTHONUNBUFFERED="")
    line = process.stdout.readline()
    assert ADDRESS.fullmatch(line.strip())
    assert "curves" in state(line)
    kept = tmp_path / "state/cnntrain/watch-token"
    assert stat.S_IMODE(os.stat(kept).st_mode) == 0o600
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_fit_serves_a_page_while_it_trains_and_again_at_the_same_place_when_resumed(tmp_path):
    config = write(tmp_path, TINY)
    more = {"cwd": tmp_path, "XDG_STATE_HOME": str(tmp_path / "state")}
    process = start(
        "fit", config, "-s", "train.epochs=50000", "-s", "train.early_stopping=null", "-o", "run", "--watch", **more
    )
    address = ""
    while "watch it at" not in address:
        address = process.stderr.readline()
        assert address
    sections: list[str] = []
    for _ in range(200):
        sections = state(address)
        if {"live", "confusion"} <= set(sections):
            break
        time.sleep(0.1)
    assert {"curves", "live", "filters", "confusion"} <= set(sections)
    process.kill()  # however it ends, nobody is left behind
    process.communicate(timeout=60)
    for _ in range(100):
        try:
            state(address)
            time.sleep(0.1)
        except (OSError, http.client.HTTPException):  # gone, perhaps amid an answer
            break
    else:
        pytest.fail("the page's process outlived the training")
    process = start("fit", "-o", "run", "--resume", "--watch", **more)
    again, said = "", []
    while "watch it at" not in again:
        again = process.stderr.readline()
        said.append(again)
        assert again, "".join(said)
    assert ADDRESS.search(again)[2] == ADDRESS.search(address)[2]  # the port, too, unless another took it meanwhile
    assert state(again)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143


def test_what_cannot_be_watched_is_refused(cnntrain, finished, config):
    assert cnntrain("watch", "nowhere").error.startswith("nowhere does not exist")
    outcome = cnntrain("fit", config, "--watch", "--dry-run")
    assert (outcome.code, outcome.error) == (2, "--watch shows a training and --dry-run does not train. Choose one")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_nothing_stays_open_of_a_page_whose_training_is_over(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    before = os.listdir("/proc/self/fd")
    with watching(True) as page:
        assert page is not None
    assert os.listdir("/proc/self/fd") == before


def test_help_imports_neither_numpy_nor_a_server():
    code = "import sys; from cnntrain.cli import main; main(['watch', '--help']); print('numpy' in sys.modules, "
    code += "'http.server' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "False False", done.stderr
