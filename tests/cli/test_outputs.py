"""Where the user has results written: pipes and links stay what they are, other files are left alone, any name goes."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DETECT = """\
task: detect
data: {source: {type: shapes, samples: 8, size: 32}}
model: {preset: {type: fcos_small, width: 4, depth: 1, strides: [8]}}
train: {epochs: 1, batch_size: 4}
warnings: {ignore: [no-validation]}
"""
COMMANDS = {
    "report": "report RUN -o",
    "reports": "report RUN RUN2 -o",
    "explain": "explain RUN x.png -o",
    "average": "average RUN RUN2 -o",
    "show-batch": "check CONFIG --show-batch",
    "slurm": "sweep sweep.yaml --slurm",
    "init": "init --data photos -o",
    "page": "export RUN --format page -o",
}


@pytest.fixture
def asked(finished, config, desk):
    """The words of a command, with what it needs in the working directory."""
    Image.new("L", (8, 8), 200).save(desk / "x.png")
    (desk / "other").symlink_to(finished)
    (desk / "sweep.yaml").write_text(f"config: {config}\ngrid: {{seed: [1, 2]}}\n")
    rng = np.random.default_rng(0)
    for number in range(16):
        place = desk / "photos" / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(place)
    known = {"RUN": finished, "RUN2": "other", "CONFIG": config}
    return lambda name: [known.get(word, word) for word in COMMANDS[name].split()]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_pipe_is_written_into_and_a_link_stays(cnntrain, asked, desk, name):
    got = []
    os.mkfifo(desk / "fifo.html")
    reader = threading.Thread(target=lambda: got.append((desk / "fifo.html").read_bytes()), daemon=True)
    reader.start()
    outcome = cnntrain(*asked(name), "fifo.html")
    assert outcome.code == 0, outcome.err
    reader.join(20)
    assert (desk / "fifo.html").is_fifo()
    (desk / "link.html").symlink_to("real.html")
    assert cnntrain(*asked(name), "link.html").code == 0
    assert (desk / "link.html").is_symlink()
    assert got[0][:8] == (desk / "real.html").read_bytes()[:8]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_on_the_way_is_made(cnntrain, asked, desk, name):
    outcome = cnntrain(*asked(name), "new/and deep/out.html")
    assert outcome.code == 0, outcome.err
    assert (desk / "new" / "and deep" / "out.html").is_file()


@pytest.mark.parametrize("name", COMMANDS)
def test_what_somebody_else_wrote_is_left_alone_and_so_is_a_folder(cnntrain, asked, desk, name):
    (desk / "mine.html").write_bytes((desk / "x.png").read_bytes())
    outcome = cnntrain(*asked(name), "mine.html")
    assert (outcome.code, "mine.html exists" in outcome.error) == (5, True)
    assert (desk / "mine.html").read_bytes() == (desk / "x.png").read_bytes()
    (desk / "folder.html").mkdir()
    outcome = cnntrain(*asked(name), "folder.html")
    assert (outcome.code, "folder.html is a folder, expected a file" in outcome.error) == (5, True)


def test_a_report_replaces_a_report_but_no_checkpoint(cnntrain, finished, desk):
    for _ in range(2):
        assert cnntrain("report", finished, "-o", "r.html").code == 0
    last = finished / "checkpoints" / "last.npz"
    outcome = cnntrain("report", finished, "-o", last)
    assert outcome.code == 5
    assert outcome.error == f"{last} exists and is no page that cnntrain wrote. Remove it, or name another file"
    assert cnntrain("inspect", last, "--verify").code == 0


def test_a_link_in_a_run_directory_is_not_followed_by_its_report(cnntrain, finished, desk):
    (desk / "precious").write_text("precious")
    (finished / "report.html").symlink_to(desk / "precious")
    assert cnntrain("report", finished).code == 0
    assert (desk / "precious").read_text() == "precious"
    assert not (finished / "report.html").is_symlink()


def test_pictures_beside_a_page_need_a_page_that_is_a_file(cnntrain, finished, desk):
    pytest.importorskip("matplotlib", reason="comes with the extra `report`")
    os.mkfifo(desk / "fifo")
    outcome = cnntrain("report", finished, "--png", "-o", "fifo")
    assert outcome.code == 2
    assert outcome.error == "--png writes pictures beside the page, but fifo is no file. Name one with --output"
    Image.new("L", (8, 8)).save(desk / "loss.png")
    before = (desk / "loss.png").read_bytes()
    outcome = cnntrain("report", finished, "--png", "-o", "r.html")
    assert (outcome.code, "loss.png exists and is no picture" in outcome.error) == (5, True)
    assert (desk / "loss.png").read_bytes() == before
    assert [path.name for path in desk.glob("*.png")] == ["loss.png"]
    assert (desk / "r.html").exists(), "what it took to judge the run is not lost"


def test_a_link_into_a_folder_that_is_not_there_is_refused_before_any_work(cnntrain, finished, desk):
    (desk / "link.html").symlink_to("nowhere/page.html")
    outcome = cnntrain("report", finished, "-o", "link.html")
    assert outcome.code == 5
    assert "link.html is a link to" in outcome.error
    assert "whose folder does not exist" in outcome.error


def test_names_that_are_not_utf_8_are_shown_escaped(cnntrain, finished, config, desk):
    run = desk / os.fsdecode(b"r\xff")
    assert cnntrain("fit", config, "-o", run, "-q", "--report", "-s", "checkpoint.film=4").code == 0
    assert json.loads((run / "status.json").read_text())["state"] == "finished"
    assert r"r\udcff" in (run / "report.html").read_text("utf-8")
    picture = desk / os.fsdecode(b"p\xff.png")
    Image.new("L", (8, 8)).save(picture)
    for arguments in (
        ["report", run, "-o", "r.html"],
        ["report", run, finished, "-o", "both.html"],
        ["report", run, "--film", "-o", "film.html"],
        ["explain", run, picture, "-o", "explained.html"],
        ["export", run, "--format", "page", "-o", "page.html"],
        ["export", run, "--format", "numpy", "-o", "net.py"],
    ):
        outcome = cnntrain(*arguments)
        assert outcome.code == 0, outcome.err
        assert Path(arguments[-1]).read_text("utf-8")
    document = ast.get_docstring(ast.parse((desk / "net.py").read_text("utf-8")))
    assert document is not None
    assert r"r\udcff" in document.encode().decode()  # which Python 3.13 does when it compiles


def test_data_whose_names_are_not_utf_8_are_shown_escaped(cnntrain, desk):
    rng = np.random.default_rng(0)
    for number in range(12):
        place = desk / "data" / "ab"[number % 2] / os.fsdecode(b"p\xff%d.png" % number)
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(place)
    (desk / "c.yaml").write_text(
        "data: {source: {type: image_folder, root: data}, val: 0.5}\nmodel: {preset: linear}\n"
        "train: {epochs: 1, batch_size: 4}\n"
    )
    assert cnntrain("fit", "c.yaml", "-o", "run", "-q", "--report").code == 0
    assert re.search(r"p\\udcff\d+\.png", (desk / "run" / "report.html").read_text("utf-8"))
    assert cnntrain("check", "c.yaml").code == 0
    Image.new("L", (8, 8)).save(place)
    assert "1 changed, first: " in cnntrain("fit", "c.yaml", "-o", "again").err


def test_a_run_whose_name_is_not_utf_8_is_read_again(cnntrain, config, desk):
    runs = [desk / os.fsdecode(b"r\xff%d" % number) for number in range(2)]
    for run in runs:
        assert cnntrain("fit", config, "-o", run, "-q", "--pause-at", "1ep").code == 75
    assert r"/r\3770' --resume" in json.loads((runs[0] / "status.json").read_text())["resume"]
    outcome = cnntrain("compare", *runs)
    assert (outcome.code, outcome.err) == (0, "")
    assert cnntrain("fit", "-o", runs[0], "--resume", "-q", "-s", "train.epochs=2").code == 0
    assert cnntrain("average", *runs, "-o", "mean.npz").code == 0
    assert cnntrain("inspect", "mean.npz", "--verify").code == 0


def test_predict_says_before_any_work_what_two_pictures_would_share(cnntrain, desk):
    (desk / "c.yaml").write_text(DETECT)
    assert cnntrain("fit", "c.yaml", "-o", "run", "-q").code == 0
    for name in ("p/d1/x.png", "p/d2/x.png", "p/a.png", "results.json"):
        (desk / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (200, 30, 30)).save(desk / name, "PNG")
    for option in ("--draw", "--txt"):
        outcome = cnntrain("predict", "run", "p", option, "out")
        assert (outcome.code, "p/d1/x.png and p/d2/x.png would both be written to out/x." in outcome.error) == (2, True)
        assert not (desk / "out").exists()
        assert cnntrain("predict", "run", "p/a.png", option, option.strip("-")).code == 0
        outcome = cnntrain("predict", "run", "p/a.png", option, option.strip("-"))
        assert (outcome.code, "Say --overwrite to replace it" in outcome.error) == (5, True)
        assert cnntrain("predict", "run", "p/a.png", option, option.strip("-"), "--overwrite").code == 0
    outcome = cnntrain("predict", "run", "p/a.png", "--coco", "p/a.png")
    assert (outcome.code, "p/a.png exists and is no list of results" in outcome.error) == (5, True)
    assert cnntrain("predict", "run", "p/a.png", "--coco", "results.json", "--overwrite").code == 0
    assert cnntrain("predict", "run", "p/a.png", "--coco", "results.json").code == 0


def test_a_working_directory_that_is_gone_is_named_as_the_cause(config, tmp_path):
    """In a process of its own, which stands in a folder that it removes."""
    (tmp_path / "gone").mkdir()
    code = "import os, sys; os.rmdir(os.getcwd()); from cnntrain.cli import main; sys.exit(main())"
    ended = subprocess.run(
        [sys.executable, "-c", code, "fit", str(config), "-q"],
        cwd=tmp_path / "gone",
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 5
    assert ended.stderr.endswith(
        "cnntrain: error: the working directory has been removed. Change into one that is there, and run it again\n"
    )
