"""Python's door: what the commands do, from code and notebooks, with the same results and the same errors."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pydoc
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import yaml
from PIL import Image

import cnntrain
from cnntrain.cli import COMMANDS, main
from cnntrain.core import strict_json
from cnntrain.core.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    PausedError,
    RunDirectoryError,
    StorageError,
    UsageError,
)
from tests.support.experiments import FULL, evidence, write
from tests.support.pages import API

SHORT = {"train.epochs": 2}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> cnntrain.Run:
    folder = tmp_path_factory.mktemp("door")
    return cnntrain.fit(write(folder), set=SHORT, run_dir=folder / "run")


def test_it_trains_what_the_command_trains(
    run: cnntrain.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fit", str(write(tmp_path)), "-s", "train.epochs=2", "-o", str(tmp_path / "cli"), "-q", "--json"]
    assert main(command) == 0
    assert evidence(run.path) == evidence(tmp_path / "cli")
    printed = json.loads(capsys.readouterr().out)
    assert printed == {"schema": "fit/1", **run.result, "run_dir": str(tmp_path / "cli")}


def test_a_mapping_is_a_config(run: cnntrain.Run, tmp_path: Path) -> None:
    config = yaml.safe_load(FULL)
    config["optimizer"]["weight_decay"] = np.float64(1e-3)  # which YAML reads as text, and is a number here
    config["train"]["epochs"] = np.int64(2)
    made = cnntrain.fit(config, run_dir=tmp_path / "run")
    assert evidence(made.path) == evidence(run.path)
    again = cnntrain.fit(made.path / "config.yaml", run_dir=tmp_path / "again")
    assert evidence(again.path) == evidence(run.path)


def test_several_configs_are_laid_over_each_other(run: cnntrain.Run, tmp_path: Path) -> None:
    made = cnntrain.fit([write(tmp_path), {"train": {"epochs": 2}}], run_dir=tmp_path / "run")
    assert evidence(made.path) == evidence(run.path)


def test_nothing_is_printed_unless_asked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = cnntrain.fit(path, set=SHORT | {"optimizer.lr": 5.0}, run_dir=tmp_path / "a")
        run.evaluate("val")
    assert capfd.readouterr() == ("", "")
    cnntrain.fit(path, set=SHORT, run_dir=tmp_path / "b", progress="plain")
    assert "epoch 2/2" in capfd.readouterr().err


def test_warnings_are_pythons(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"\[warmup-beyond-end\]") as caught:
        cnntrain.fit(write(tmp_path), set={"train.epochs": 1, "schedule.warmup": "1ep"}, run_dir=tmp_path / "run")
    assert {Path(warning.filename) for warning in caught} == {Path(__file__)}


def test_the_history_is_columns(run: cnntrain.Run) -> None:
    history = run.history
    assert history["epoch"] == [1, 2]
    assert len(history["val/accuracy"]) == len(history["train/loss"]) == 2
    assert list(history) == list(history.keys())
    assert any(history.best)
    assert run.final["val/loss"] == history["val/loss"][-1]
    with pytest.raises(KeyError, match=r"'val/acc' was not measured; known are .*val/accuracy"):
        history["val/acc"]
    assert history._repr_html_().count("<tr>") == 3


def test_a_frame_where_pandas_is(run: cnntrain.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(cnntrain.core.errors.MissingExtraError, match="pip install pandas"):
        run.history.frame()


def test_it_measures_as_eval_does(run: cnntrain.Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(run.path), "--split", "val", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    del printed["schema"]
    assert run.evaluate("val") == printed
    with cnntrain.load(run.path / "checkpoints" / "last.npz") as model:
        assert model.evaluate("val")["checkpoint"].endswith("last.npz")


def test_it_predicts_files_and_arrays(run: cnntrain.Run, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, *run.model.trained.network.image_shape), np.uint8)
    for index, picture in enumerate(pixels):
        Image.fromarray(picture.squeeze()).save(tmp_path / f"{index}.png")
    answers = run.predict(pixels)
    assert isinstance(answers, list)
    assert [answer["class"] for answer in answers] == [run.predict(picture)["class"] for picture in pixels]
    files = [tmp_path / f"{index}.png" for index in range(3)]
    by_file = run.predict(files)
    assert [answer["probabilities"] for answer in by_file] == [answer["probabilities"] for answer in answers]
    assert run.predict(str(tmp_path)) == by_file  # a string is a path, here of a folder
    assert run.predict(str(files[1])) == by_file[1]
    shares = run.model.outputs(pixels)
    assert shares.shape == (3, 3)


@pytest.mark.parametrize("name", ["evaluate", "predict", "export"])
def test_a_run_takes_what_its_model_takes(name: str) -> None:
    asked, answered = (inspect.signature(getattr(kind, name)) for kind in (cnntrain.Run, cnntrain.Model))
    assert asked == answered


def test_it_exports_and_reports(run: cnntrain.Run, tmp_path: Path) -> None:
    assert run.export("numpy", tmp_path / "net.py")["files"] == [str(tmp_path / "net.py"), str(tmp_path / "net.npz")]
    with pytest.raises(UsageError, match="--names is for safetensors"):
        run.export("numpy", tmp_path / "net.py", names="torchvision")
    with pytest.raises(UsageError, match="'keras': expected one of page, numpy, onnx, safetensors"):
        run.export("keras", tmp_path / "net.keras")
    assert run.report(tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!")
    assert run._repr_html_().startswith("<iframe srcdoc=")


def test_it_resumes(tmp_path: Path, run: cnntrain.Run) -> None:
    folder = tmp_path / "run"
    with pytest.raises(PausedError, match="paused"):
        cnntrain.fit(write(tmp_path), set=SHORT, run_dir=folder, max_time=1e-9)
    paused = cnntrain.Run(folder)
    assert paused.result == {}
    with pytest.raises(PausedError, match="paused"):
        paused.resume(pause_at="1ep")
    with pytest.raises(UsageError, match="pause_at: "):
        paused.resume(pause_at="soon")
    assert paused.state == "interrupted"
    assert paused.resume().state == "finished"
    assert evidence(folder) == evidence(run.path)
    assert cnntrain.fit(write(tmp_path), set=SHORT, run_dir=folder, resume_or_start=True).state == "finished"


def test_a_run_leads_to_its_directory_wherever_the_program_goes(
    run: cnntrain.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.path.parent)
    found = [cnntrain.Run(run.path.name), *cnntrain.runs("."), cnntrain.Run(run.path.name, run.result)]
    monkeypatch.chdir(tmp_path)
    assert [(one.path, one.state, one.best, cnntrain.summary(one)) for one in found] == [
        (run.path, run.state, run.best, cnntrain.summary(run))
    ] * 3


def test_runs_of_a_folder(run: cnntrain.Run) -> None:
    assert [found.path for found in cnntrain.runs(run.path.parent)] == [run.path]
    with pytest.raises(UsageError, match="holds no run"):
        cnntrain.runs(run.path / "checkpoints")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: cnntrain.fit({"modle": {}}), ConfigError, r"config:1:1: unknown key 'modle'; did you mean 'model'"),
        (lambda: cnntrain.fit("nowhere.yaml"), UsageError, r"the config nowhere.yaml .*looked for /"),
        (lambda: cnntrain.fit(["a.yaml", 3]), UsageError, "expected a path, got 3"),
        (lambda: cnntrain.fit({"train": {"epochs": {1}}}), UsageError, "train.epochs: a config holds .* got set"),
        (lambda: cnntrain.fit("a.yaml", set="optimizer.lr=1"), UsageError, "set: expected a mapping"),
        (lambda: cnntrain.load("nowhere.npz"), CheckpointError, "nowhere.npz"),
        (lambda: cnntrain.Run("nowhere"), UsageError, "nowhere is no run directory"),
        (lambda: cnntrain.load(b"runs"), UsageError, "expected a path, got b'runs'"),
    ],
)
def test_errors_are_those_of_the_command(call, error, words, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        call()
    assert list(tmp_path.iterdir()) == []


def test_pictures_of_another_shape_are_refused(run: cnntrain.Run) -> None:
    with pytest.raises(UsageError, match=r"got an array of shape \(2, 5, 5, 1\), expected \(n, 8, 8"):
        run.predict(np.zeros((2, 5, 5, 1)))
    with pytest.raises(DataError):
        run.predict("/nowhere/a.png")


def test_importing_the_package_imports_no_numpy() -> None:
    code = "import cnntrain, sys; dir(cnntrain); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cnntrain.nothing


def test_the_lists_of_what_the_package_offers_agree() -> None:
    (checked,) = (
        node for node in ast.parse(Path(cnntrain.__file__).read_text(encoding="utf-8")).body if isinstance(node, ast.If)
    )
    imports = {
        alias.name: str(line.module).removeprefix("cnntrain.api.")
        for line in checked.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }
    assert imports == cnntrain._DOOR
    assert cnntrain.__all__ == sorted(cnntrain._DOOR)
    assert {*cnntrain.__all__} <= {*dir(cnntrain)}
    offered: dict[str, object] = {}
    exec("from cnntrain import *", offered)
    assert {*cnntrain.__all__} <= {*offered}
    assert "Train what a config describes" in pydoc.plain(pydoc.render_doc(cnntrain))


MISTAKEN = """
import cnntrain

run = cnntrain.fit("a.yaml", thread=2)
cnntrain.fti("a.yaml")
cnntrain.fit("a.yaml", progress="tqdm")
cnntrain.load(3)
cnntrain.report([run, "a"])
score: str = run.history["val/accuracy"]
"""


def test_type_checkers_find_mistaken_calls(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api", exc_type=ImportError)
    script, cache = tmp_path / "script.py", tmp_path / "cache"
    script.write_text(MISTAKEN)
    out, _, _ = api.run(["--follow-imports=silent", f"--cache-dir={cache}", "--config-file=", str(script)])
    assert [int(line.split(":")[1]) for line in out.splitlines() if ": error: " in line] == [4, 5, 6, 7, 9], out


# -- what the other commands do ----------------------------------------------------------------------------------------


def printed(capsys: pytest.CaptureFixture[str], command: str, *words: object) -> object:
    """What a command prints as JSON, but for what it says it is."""
    assert main([command, *map(str, words), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.pop("schema").startswith(f"{command}/")
    return document


def plain(document: dict[str, object]) -> object:
    return json.loads(strict_json.encode(document))


def test_what_is_made_of_finished_runs_is_what_the_commands_make(
    run: cnntrain.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last, best = (run.path / "checkpoints" / name for name in ("last.npz", "best.npz"))
    one, other = tmp_path / "one", tmp_path / "other"
    assert plain(cnntrain.inspect(last, verify=True)) == printed(capsys, "inspect", last, "--verify")
    assert plain(cnntrain.compare(run.path)) == printed(capsys, "compare", run.path)
    for made in (cnntrain.average([last, best], one), cnntrain.report(run.path, tmp_path / "one.html", split="val")):
        assert made
    printed(capsys, "average", last, best, "-o", other)
    printed(capsys, "report", run.path, "-o", tmp_path / "other.html", "--split", "val")
    assert one.read_bytes() == other.read_bytes()
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "other.html").read_bytes()
    with pytest.raises(RunDirectoryError, match="nonfinite"):
        cnntrain.replay(run.path)


def test_what_is_asked_before_training_is_what_the_commands_ask(
    run: cnntrain.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path)
    config = yaml.safe_load(FULL)
    assert plain(cnntrain.summary(path)) == printed(capsys, "summary", path)
    assert cnntrain.summary(run.path)["parameters"] == cnntrain.summary(config)["parameters"]
    assert plain(cnntrain.gradcheck(path, coordinates=1)) == printed(capsys, "gradcheck", path, "--coordinates", 1)
    steps = printed(capsys, "lr-find", path, "--steps", 10)["steps"]  # type: ignore[index]
    assert plain(cnntrain.lr_find(config, steps=10))["steps"] == steps  # type: ignore[index]
    assert {*cnntrain.time(config, steps=1)} == {*printed(capsys, "time", path, "--steps", 1)}
    np.savez("arrays.npz", x_train=np.zeros((40, 8, 8), np.uint8), y_train=np.arange(40) % 2)
    made = cnntrain.init("arrays.npz", "one.yaml")
    assert {**made, "config": "", "seconds": 0} == {
        **printed(capsys, "init", "--data", "arrays.npz", "-o", "two.yaml"),  # type: ignore[dict-item]
        "config": "",
        "seconds": 0,
    }
    with pytest.raises(UsageError, match="no data set 'mnits' is known: expected one of mnist"):
        cnntrain.fetch("mnits")
    assert capsys.readouterr() == ("", "")


def test_a_page_about_one_sample_and_steps_taken_again(
    run: cnntrain.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "a.png")
    cnntrain.explain(run.path, tmp_path / "a.png", tmp_path / "one.html")
    printed(capsys, "explain", run.path, tmp_path / "a.png", "-o", tmp_path / "other.html")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "other.html").read_bytes()
    kept = cnntrain.fit(write(tmp_path), set=SHORT | {"checkpoint.keep": 2}, run_dir=tmp_path / "kept")
    assert plain(cnntrain.verify(kept.path)) == printed(capsys, "verify", kept.path)


def test_every_command_has_its_function_or_a_reason() -> None:
    by_another_name = {"data": "fetch", "eval": "load", "predict": "load", "export": "load"}
    (reason,) = (text for text in API.text.split("\n- ") if text.startswith("Not there are"))
    for command in COMMANDS:
        name = by_another_name.get(command, command.replace("-", "_"))
        assert name in cnntrain._DOOR or f"`{command}`" in reason, command


def test_every_flag_that_trains_is_an_argument_or_named_as_none() -> None:
    """Those of the page that are none are none; --output and --set go by the names run_dir and set."""
    arguments = set(inspect.signature(cnntrain.fit).parameters)
    flags = {
        max(option.opts, key=len)
        for option in importlib.import_module("cnntrain.cli.fit").command.params
        if isinstance(option, click.Option) and option.name not in {*arguments, "sets", "help"}
    }
    (row,) = (line for line in API.text.splitlines() if line.startswith("| `fit(config"))
    _, exceptions = row.split("is an argument by the same name")
    assert flags == set(re.findall("`(--[a-z-]+)`", exceptions))


def test_what_is_odd_about_data_is_a_warning_and_not_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (40, 8, 8, 1), np.uint8), np.arange(40) % 3
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y)
    source = SHORT | {"data.source": {"type": "npz", "path": str(tmp_path / "a.npz")}}
    run = cnntrain.fit(write(tmp_path), set=source, run_dir=tmp_path / "run")
    np.savez(tmp_path / "a.npz", x_train=x[::-1], y_train=y[::-1])  # the samples are there, in other places
    capfd.readouterr()
    for measure in (lambda: cnntrain.load(run.path).evaluate("val"), lambda: run.report(tmp_path / "page.html")):
        with pytest.warns(UserWarning, match="found by their content") as caught:
            measure()
        assert {Path(warning.filename) for warning in caught} == {Path(__file__)}
    (tmp_path / "run" / "metrics.jsonl").write_text("nonsense\n")
    with pytest.warns(UserWarning, match="is left out"), pytest.raises(StorageError):
        cnntrain.runs(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_check_from_python_is_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path)
    assert plain(cnntrain.check(path, data=False)) == printed(capsys, "check", path, "--no-data")
    assert {*cnntrain.check(path)} == {*printed(capsys, "check", path)}
    for name, pixels in (("a/0.png", 0), ("b/1.png", 255)):
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        Image.fromarray(np.full((8, 8), pixels, np.uint8)).save(tmp_path / "data" / name)
    (tmp_path / "data/a/broken.png").write_bytes(b"nothing")
    found: list[dict[str, Any]] = []
    with pytest.raises(DataError, match="broken"):
        cnntrain.check(path, set={"data.source": {"type": "image_folder", "root": "data"}}, announce=found.append)
    assert [one["file"] for one in found[0]["survey"]["unreadable"]] == ["data/a/broken.png"]
    assert capsys.readouterr().err == ""
