"""What strangers' files cannot do, as tests/README.md promises: write elsewhere, or steer the terminal."""

from __future__ import annotations

import errno
import os

import pytest

from tests.support.experiments import FULL, write

LOGS = (".lock", "metrics.jsonl", "timing.jsonl", "train.log", "command.txt")  # are opened and written
REPLACED = ("status.json", "metrics.csv", "env.json", "checkpoints/best.npz")


@pytest.mark.parametrize(
    "text",
    [
        f"run_dir: ../elsewhere\n{FULL}",
        f"output: /elsewhere\n{FULL}",
        FULL.replace("name: full", "name: ../../elsewhere"),
        FULL.replace("name: full", "name: /elsewhere"),
        FULL.replace("name: full", "name: ..."),
        FULL.replace("checkpoint: {", "checkpoint: {directory: ../elsewhere, "),
    ],
)
def test_a_config_cannot_say_where_to_write(cnntrain, desk, tmp_path, text):
    before = sorted(tmp_path.rglob("*"))
    assert cnntrain("fit", write(tmp_path, text)).code == 2
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "full.yaml"])
    assert not list(desk.iterdir())


@pytest.mark.parametrize("name", LOGS)
def test_a_link_in_place_of_a_file_of_a_run_leads_nowhere(cnntrain, finished, tmp_path, name):
    other = tmp_path / "precious"
    other.write_text("precious\n" * 1000)
    (finished / name).unlink()
    (finished / name).symlink_to(other)
    outcome = cnntrain("fit", "-o", finished, "--resume", "-q", "-s", "train.epochs=2")
    assert outcome.code == 5
    assert outcome.error.endswith(
        f"{finished / name}: {os.strerror(errno.ELOOP)}. A link stands where a file of the run is needed: remove it"
    )
    assert other.read_text() == "precious\n" * 1000


@pytest.mark.parametrize("name", REPLACED)
def test_a_link_in_place_of_a_file_that_is_replaced_is_replaced(cnntrain, finished, tmp_path, name):
    other = tmp_path / "precious"
    other.write_bytes((finished / name).read_bytes())
    before = other.read_bytes()
    (finished / name).unlink()
    (finished / name).symlink_to(other)
    assert cnntrain("fit", "-o", finished, "--resume", "-q", "-s", "train.epochs=2").code == 0
    assert other.read_bytes() == before


def test_a_checkpoint_that_is_a_link_is_not_resumed_from(cnntrain, finished, tmp_path):
    last, other = finished / "checkpoints" / "last.npz", tmp_path / "precious"
    last.rename(other)
    last.symlink_to(other)
    before = other.read_bytes()
    outcome = cnntrain("fit", "-o", finished, "--resume", "-q", "-s", "train.epochs=2")
    assert (outcome.code, "is a link, which may lead anywhere" in outcome.error) == (4, True)
    assert other.read_bytes() == before


def test_names_from_files_do_not_steer_the_terminal(cnntrain, tmp_path, desk):
    evil = "\x1b]0;title\x07\x1b[31m"
    outcome = cnntrain("check", write(tmp_path, FULL.replace("name: full", f'name: "{evil}"'.replace("\x1b", r"\e"))))
    assert outcome.code == 2
    assert "\x1b" not in outcome.err
    (desk / f"data{evil}").mkdir()
    source = f'{{type: image_folder, root: "data{evil}"}}'.replace("\x1b", r"\e").replace("\x07", r"\a")
    text = FULL.replace("{type: synthetic, size: 8, classes: 3, samples: 90, noise: 0.3}", source)
    outcome = cnntrain("check", write(tmp_path, text))
    assert outcome.code == 3
    assert "data" in outcome.err
    assert "\x1b" not in outcome.err
    assert "\x07" not in outcome.err
