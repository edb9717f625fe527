"""`cnntrain report` and `fit --report`: where the page goes and what is said of it."""

from __future__ import annotations

import json
import shutil

import pytest

from cnntrain.core.extras import install
from cnntrain.results.report import paper
from tests.support.experiments import call


def test_the_page_goes_into_the_run_directory_and_its_place_to_stdout(cnntrain, finished):
    outcome = cnntrain("report", finished)
    assert (outcome.code, outcome.out) == (0, f"{finished}/report.html\n")
    assert outcome.err == ""
    assert (finished / "report.html").read_text().startswith("<!doctype html>")


def test_of_several_runs_it_goes_into_the_working_directory_or_where_it_is_told(cnntrain, finished, desk, tmp_path):
    other = shutil.copytree(finished, tmp_path / "other")
    assert cnntrain("report", finished, other).out == "report.html\n"
    assert (desk / "report.html").exists()
    document = json.loads(cnntrain("report", finished, "--output", "deep/er.html", "--split", "test", "--json").out)
    assert document.pop("schema") == "report/1"
    assert document == {"report": "deep/er.html", "runs": [str(finished)], "png": [], "warnings": []}
    assert "samples of test" in (desk / "deep/er.html").read_text()


def test_png_without_matplotlib_and_what_is_no_run_are_errors(cnntrain, finished, desk, monkeypatch):
    monkeypatch.setattr(paper, "available", lambda: False)
    outcome = cnntrain("report", finished, "--png")
    assert outcome.code == 2
    assert outcome.error == f"PNG files need Matplotlib. Install it with: {install('report')}"
    assert not (finished / "report.html").exists()
    outcome = cnntrain("report", finished, "-s", "data.source.rot=/nowhere")
    assert (outcome.code, "rot" in outcome.err) == (2, True)
    assert not (finished / "report.html").exists()
    outcome = cnntrain("report", "nowhere")
    assert outcome.code == 2
    assert outcome.error.startswith("nowhere is no run directory")


def test_fit_writes_it_at_the_end(cnntrain, config, desk):
    outcome = cnntrain("fit", config, "-o", "run", "--report", "--json", "-s", "train.epochs=1")
    assert outcome.code == 0
    assert json.loads(outcome.out)["run_dir"] == "run"
    assert outcome.err.splitlines()[-1] == "report: run/report.html"
    assert (desk / "run/report.html").exists()
    assert cnntrain("fit", config, "-o", "run", "--report", "-q", "--resume-or-start", "-s", "train.epochs=1").err == ""


@pytest.fixture
def print_of(finished, tmp_path):
    """A chart as a process prints it in a folder of its own with such a matplotlibrc, and what it says of it."""
    pytest.importorskip("matplotlib")

    def print_of(name: str, settings: str = "", **environment: str) -> tuple[bytes, str]:
        folder = tmp_path / name
        shutil.copytree(finished, folder / "run", symlinks=True)
        if settings:
            (folder / "matplotlibrc").write_text(settings)
        code, _, said = call("report", "run", "--png", cwd=folder, **environment)
        assert code == 0, said
        return (folder / "run/loss.png").read_bytes(), said

    return print_of


def test_no_setting_of_the_library_from_outside_changes_a_chart(print_of):
    """Neither a variable nor a file in the working directory, which may be a stranger's."""
    plain = print_of("plain")
    program = "text.usetex: True\nbackend: module://planted\nnonsense\n"  # starts a program, and would be warned of
    assert print_of("changed", program, MPLBACKEND="nonsense") == plain
