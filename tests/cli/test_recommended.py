"""Every command that a message recommends works where it is recommended.

`RECOMMENDED` is what the source recommends, found by reading it; one that is new here wants a situation below.
"""

from __future__ import annotations

import ast
import configparser
import errno
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnntrain.cli import COMMANDS, main
from cnntrain.core import files, registry, storage
from cnntrain.core.append_log import AppendLog
from cnntrain.core.registry import KINDS
from cnntrain.core.storage import explained
from cnntrain.data import fetch
from cnntrain.reading import well_known
from tests.support.experiments import run

ROOT = Path(__file__).resolve().parents[2]
COMMAND = re.compile(rf"\bcnntrain (?:{'|'.join(COMMANDS)})\b[^.,;`)(\n]*")
FOLDER = "my pictures"  # with a space: a shell has to take it, too

RECOMMENDED = {  # as the source has it, {} for what is filled in -> the test of the situation
    "cnntrain check {}": "test_a_first_config_names_what_to_do_with_it",
    "cnntrain init --data {}": "test_a_first_config_names_what_to_do_with_it",
    "cnntrain fit {}": "test_a_first_config_names_what_to_do_with_it",  # and test_a_config_is_no_sweep
    "cnntrain eval {}{}": "test_after_training_comes_eval",  # and test_after_going_on_with_data_that_has_moved
    "cnntrain predict RUN FOLDER": "test_what_has_no_labels_is_predicted",
    "cnntrain predict RUN unlabelled": "test_what_has_no_labels_is_predicted",  # .csv
    "cnntrain init --data {}{}": "test_after_fetching_comes_init",
    "cnntrain init --data DATA": "test_without_a_config",
    "cnntrain lr-find {}": "test_nothing_was_learned",
    "cnntrain fit {} -s optimizer": "test_the_suggested_learning_rate",
    "cnntrain compare {}": "test_after_a_sweep_comes_compare",
    "cnntrain compare --csv has all of them": "test_runs_that_differ_in_more_keys_than_a_report_shows",
    "cnntrain report {}": "test_after_a_search_comes_its_report",
    "cnntrain report {} --film": "test_a_moment_of_a_film_is_no_checkpoint",
    "cnntrain sweep {}": "test_a_sweep_is_no_config",
    "cnntrain data fetch {}": "test_a_well_known_data_set_that_is_not_there",
    "cnntrain data fetch {}{}": "test_a_well_known_data_set_that_is_not_there",
    "cnntrain list": "test_what_list_refers_to",
    "cnntrain list KIND": "test_what_list_refers_to",
    "cnntrain list {}": "test_what_list_refers_to",
    "cnntrain list {} NAME": "test_what_list_refers_to",
    "cnntrain list tasks": "test_what_list_refers_to",
    "cnntrain selftest --json": "test_selftest.py",  # which runs it
    "cnntrain selftest --part FILE": "test_a_part_that_gives_what_is_not_expected_of_it",
    "cnntrain check": "test_the_data_has_changed_since_check",
    "cnntrain fit CONFIG --run-dir {}{}": "test_where_nothing_can_be_resumed",
    "cnntrain fit --run-dir {} --resume": "test_a_paused_run_goes_on",
    "cnntrain fit --run-dir {} --resume{}": "test_a_run_that_kept_nothing",
    "cnntrain fit {}{}": "test_a_run_that_kept_nothing",
}
EXTRAS = re.compile(r"\binstall\(['\"](\w+)['\"]")


def texts() -> Iterator[str]:
    """Every text in the package that is shown: no docstrings, no examples; {} for what is filled in."""
    for path in sorted((ROOT / "cnntrain").rglob("*.py")):
        tree = ast.parse(path.read_text())
        passed = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                passed.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                passed |= set(node.values)
            elif isinstance(node, ast.keyword) and node.arg == "examples":
                passed |= set(ast.walk(node.value))
        for node in ast.walk(tree):
            if node in passed:
                continue
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def commands(text: str) -> list[list[str]]:
    """The commands of a message, as a shell would take them."""
    lines = [found.split("cnntrain ", 1)[1] for found in re.findall(r"cnntrain [a-z-]+(?: .*)?$", text, re.MULTILINE)]
    return [shlex.split(line) for line in lines]


def test_every_recommendation_has_a_situation_here():
    found = {
        match.strip("' ")
        for text in texts()
        if "cnntrain fit wrote" not in text and "cnntrain fit said" not in text
        for match in COMMAND.findall(text)
    }
    wordy = {text for text in found if text.startswith("cnntrain config")}  # "A cnntrain config", a title
    assert {re.sub(r"' (read it|brings .*)$|   looks.*|  +trains$", "", text).strip() for text in found - wordy} == set(
        RECOMMENDED
    )
    here = Path(__file__).read_text()
    for situation in RECOMMENDED.values():
        assert f"def {situation}(" in here or (ROOT / "tests/checks" / situation).exists()


def test_what_is_to_be_installed_is_declared():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    sources = {path: path.read_text() for path in (ROOT / "cnntrain").rglob("*.py")}
    named = {name for source in sources.values() for name in EXTRAS.findall(source)}
    assert named - {"pandas"} <= set(setup["options.extras_require"])
    assert {"onnx", "safetensors", "report", "audio", "dask", "search", "features"} <= named
    typed = {path.name for path, source in sources.items() if re.search(r"\bpip['\"]? install|pipx", source)}
    assert typed == {"extras.py"}, "what to type comes from core/extras.install, which knows how this was installed"


@pytest.fixture
def pictures(desk):
    """Folders of classes without a test split."""
    for number, name in enumerate(("cat", "dog")):
        (desk / FOLDER / name).mkdir(parents=True)
        for index in range(12):
            pixels = np.random.default_rng(index).integers(0, 60, (8, 8)) + 150 * number
            Image.fromarray(pixels.astype(np.uint8)).save(desk / FOLDER / name / f"{index}.png")
    return desk / FOLDER


def test_a_first_config_names_what_to_do_with_it(cnntrain, desk, pictures):
    outcome = cnntrain("init", "--data", pictures.name, "-o", "a config.yaml")
    ((*_, last),) = [commands(line) for line in outcome.out.splitlines() if line.startswith("next: ")]
    head = [words for line in (desk / "a config.yaml").read_text().splitlines()[:3] for words in commands(line)]
    made, check, fit = head
    assert made == ["init", "--data", FOLDER]
    assert cnntrain(*made).code == 0
    assert (check[:2], fit[:2]) == (["check", "a config.yaml"], ["fit", "a config.yaml"])
    assert cnntrain(*check[:2]).code == 0
    assert last == fit[:2]
    assert cnntrain(*last, "-s", "train.epochs=1").code == 0


@pytest.mark.parametrize("case", ["test", "val", "train"])
def test_after_training_comes_eval(cnntrain, desk, config, case):
    """The split is named where the data has no test split."""
    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.integers(0, 255, (40, 8, 8), np.uint8), "y_train": np.arange(40) % 3}
    if case == "test":
        arrays |= {"x_test": arrays["x_train"][:9], "y_test": arrays["y_train"][:9]}
    np.savez(desk / "data.npz", **arrays)
    sets = ["data.source={type: npz, path: data.npz}", "train.epochs=1"]
    if case == "train":
        sets += ["data.val=null", "train.early_stopping=null", "checkpoint.best.monitor=train/loss"]
    outcome = cnntrain("fit", config, "-o", "a run", *(word for text in sets for word in ("-s", text)))
    assert outcome.code == 0, outcome.err
    (words,) = [words for line in outcome.err.splitlines() if line.startswith("next: ") for words in commands(line)]
    assert words == ["eval", "a run", *([] if case == "test" else ["--split", case])]
    measured = cnntrain(*words, "--json")
    assert measured.code == 0, measured.err
    assert f'"split":"{case}"' in measured.out
    for split in {"test", "val"} - {case}:  # what is refused names a split that is there
        refused = cnntrain("eval", "a run", "--split", split)
        if refused.code:
            for name in re.findall(r"--split (\w+)", refused.error):
                assert cnntrain("eval", "a run", "--split", name).code == 0


def test_after_going_on_with_data_that_has_moved_comes_eval(cnntrain, desk, config, pictures):
    """Also by the best checkpoint, which was written before, and where the run had nothing left to do."""
    sets = [f"data.source={{type: image_folder, root: {pictures.name}, size: 8, channels: 1}}", "optimizer.lr=1e-30"]
    sets += ["train.epochs=2", "checkpoint.best.monitor=val/loss", "train.early_stopping=null"]
    asked = ["-o", "run", *(word for text in sets for word in ("-s", text))]
    assert cnntrain("fit", config, *asked, "--pause-at", "1ep").code == 75
    for place in ("new place", "newer place"):
        next(desk.glob("*/cat")).parent.rename(desk / place)
        outcome = cnntrain("fit", "-o", "run", "--resume", "-s", f"data.source.root={place}")
        (words,) = [words for line in outcome.err.splitlines() if line.startswith("next: ") for words in commands(line)]
        measured = cnntrain(*words)
        assert measured.code == 0, measured.err
        assert "best.npz" in measured.out
    assert words[-2:] == ["--set", "data.source.root='newer place'"]


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_what_has_no_labels_is_predicted(cnntrain, desk, config, pictures, kind):
    loose = pictures / "test"
    loose.mkdir()
    if kind == "folder":
        (pictures / "train").mkdir()
        for name in ("cat", "dog"):
            (pictures / name).rename(pictures / "train" / name)
        source = f"{{type: image_folder, root: {pictures.name}, size: 8, channels: 1}}"
    else:
        rows = [f"{name}/{index}.png,{name}" for name in ("cat", "dog") for index in range(12)]
        (pictures / "train.csv").write_text("\n".join(["path,label", *rows]))
        (pictures / "test.csv").write_text("path\ntest/1.png\n")
        source = f"{{type: csv, path: {pictures.name}, size: 8, channels: 1}}"
    Image.new("L", (8, 8)).save(loose / "1.png")
    fit = ["fit", config, "-o", "run", "-s", f"data.source={source}", "-s", "train.epochs=1"]
    refused = cnntrain(*fit)
    assert refused.code == 3
    assert "`cnntrain predict RUN " in refused.error
    there, name = (loose, "elsewhere") if kind == "folder" else (pictures / "test.csv", "unlabelled.csv")
    moved = there.rename(desk / name if kind == "folder" else pictures / name)
    assert cnntrain(*fit).code == 0
    assert "1.png" in cnntrain("predict", "run", moved).out


def test_after_fetching_comes_init(cnntrain, desk, pictures, monkeypatch):
    monkeypatch.setattr(fetch, "fetch", lambda _known, _root: fetch.Fetched(Path(FOLDER), ()))
    for _ in range(2):  # the second time, there is a config.yaml
        outcome = cnntrain("data", "fetch", "mnist")
        (words,) = commands(outcome.out)
        outcome = cnntrain(*words)
        assert outcome.code == 0, outcome.err
    assert {path.name for path in desk.glob("*.yaml")} == {"config.yaml", "mnist.yaml"}


def test_without_a_config(cnntrain, desk, pictures, monkeypatch):
    for outcome in (cnntrain("fit"), cnntrain("--help"), cnntrain()):
        ((*words, data),) = commands(outcome.out + outcome.err)[-1:]
        assert data == "DATA"
        assert cnntrain(*words, FOLDER, "--overwrite").code == 0
    monkeypatch.chdir(ROOT)
    for outcome in (cnntrain("fit"), cnntrain("--help")):
        (words,) = commands(outcome.out + outcome.err)[-1:]
        assert cnntrain(*words, "--dry-run").code == 0


def test_the_suggested_learning_rate(cnntrain, config):
    outcome = cnntrain("lr-find", config, "--steps", "40", "-s", "seed=2", "-s", "optimizer=adam")
    (words,) = [words for line in outcome.out.splitlines() if line.startswith("try: ") for words in commands(line)]
    assert cnntrain(*words, "-s", "train.epochs=1").code == 0


def test_nothing_was_learned(cnntrain, desk):
    source = "{type: synthetic, size: 6, samples: 300, noise: 0.5}"
    model = "model: {layers: [flatten, {type: dense, units: auto}]}"
    (desk / "a config.yaml").write_text(f"data: {{source: {source}, val: 0.3}}\n{model}\ntrain: {{epochs: 15}}\n")
    outcome = cnntrain("fit", "a config.yaml", "-o", "a run", "-s", "optimizer={type: sgd, lr: 1e-9}")
    assert outcome.code == 0
    words = next(words for words in commands(outcome.err) if words[0] == "lr-find")
    assert cnntrain(*words, "--steps", "40").code == 0


def test_after_a_sweep_comes_compare(cnntrain, desk, config):
    (desk / "sweep.yaml").write_text(f"config: {config}\nset: {{train.epochs: 1}}\nseeds: 2\n")
    outcome = cnntrain("sweep", "sweep.yaml", "-o", "my runs")
    (words,) = commands(outcome.err)[-1:]
    assert words == ["compare", "my runs"]
    assert cnntrain(*words).code == 0


def test_after_a_search_comes_its_report(cnntrain, desk, config):
    search = "search: {count: 2, sampler: random, keys: {optimizer.lr: {low: 0.01, high: 0.1}}}"
    (desk / "search.yaml").write_text(f"config: {config}\nset: {{train.epochs: 1}}\n{search}\n")
    outcome = cnntrain("sweep", "search.yaml", "-o", "a folder", "-j", "1")
    assert outcome.code == 0, outcome.err
    (words,) = commands(outcome.err)
    assert words == ["report", "a folder"]
    assert cnntrain(*words).code == 0
    assert "Search search" in (desk / "report.html").read_text()


@pytest.mark.parametrize("within", ["", "a run", "a run/film"])
def test_a_moment_of_a_film_is_no_checkpoint(cnntrain, desk, config, within, monkeypatch):
    sets = ("-s", "checkpoint.film=2", "-s", "train.epochs=1")
    assert cnntrain("fit", str(config), "-o", "a run", "-q", *sets).code == 0
    moment = next(path for path in sorted((desk / "a run" / "film").iterdir()) if path.name != "samples.npz")
    monkeypatch.chdir(desk / within)
    outcome = cnntrain("eval", os.path.relpath(moment, desk / within))
    assert outcome.code == 4
    (recommended,) = re.findall(r"\((cnntrain report [^)]*)\)", outcome.err)
    assert cnntrain(*shlex.split(recommended)[1:]).code == 0
    assert list(desk.rglob("film.html"))


def test_a_sweep_is_no_config(cnntrain, desk, config):
    (desk / "a sweep.yaml").write_text(f"config: {config}\nset: {{train.epochs: 1}}\nseeds: 1\n")
    outcome = cnntrain("fit", "a sweep.yaml")
    assert outcome.code == 2
    assert "this is a sweep" in outcome.err
    (words,) = commands(outcome.err.splitlines()[0])
    assert cnntrain(*words).code == 0


def test_a_search_is_no_config(cnntrain, desk, config):
    (desk / "search.yaml").write_text(f"config: {config}\nsearch: {{vary: {{optimizer.lr: [0.1, 0.2]}}, trials: 2}}\n")
    outcome = cnntrain("fit", "search.yaml")
    assert outcome.code == 2
    assert "this is a sweep; train it with: cnntrain sweep search.yaml" in outcome.err


def test_a_config_is_no_sweep(cnntrain, desk, config):
    config.rename(desk / "my config.yaml")
    for options in ([], ["--dry-run"], ["--print-commands"]):
        outcome = cnntrain("sweep", "my config.yaml", *options)
        assert outcome.code == 2
        assert "this is a config" in outcome.err
        (words,) = commands(outcome.err.splitlines()[0])
    assert cnntrain(*words).code == 0


@pytest.mark.parametrize("name", well_known.FOLDERS)
@pytest.mark.parametrize("root", ["data", "big disk/sets"])
@pytest.mark.parametrize("there", ["nothing", "an empty folder"])
def test_a_well_known_data_set_that_is_not_there(cnntrain, desk, monkeypatch, name, root, there):
    folder = Path(root) / well_known.FOLDERS[name]
    source = {"cifar10": "cifar10", "cifar100": "cifar100"}.get(name, "idx")
    data = f"data: {{source: {{type: {source}, root: {folder}}}}}"
    model = "model: {layers: [flatten, {type: dense, units: auto}]}"
    (desk / "c.yaml").write_text(f"{data}\n{model}\ntrain: {{epochs: 1}}\n")
    if there != "nothing":
        folder.mkdir(parents=True)
    brought = set()
    monkeypatch.setattr(fetch, "download", lambda _remote, place, _timeout: brought.add(place))
    monkeypatch.setattr(fetch, "unpack", lambda *_: None)
    monkeypatch.setattr(fetch.files, "remove", lambda _path: None)
    for command in ("check", "fit"):
        outcome = cnntrain(command, "c.yaml")
        assert outcome.code == 3
        (words,) = commands(outcome.error)
    assert words[:3] == ["data", "fetch", name]
    assert cnntrain(*words).code == 0
    assert brought == {folder}  # where the config looks for it


def test_what_list_refers_to(cnntrain, desk, config):
    assert commands(cnntrain("list").out)[-1] == ["list", "KIND"]
    for kind in KINDS:
        assert commands(cnntrain("list", kind).out)[-1] == ["list", kind, "NAME"]
    wrong = cnntrain("list", "layers", "nothing of the sort")
    for outcome in (wrong, cnntrain("list", "nothing of the sort")):
        (words,) = commands(outcome.error.replace("See '", "").rstrip("'"))
        assert cnntrain(*words).code == 0
    for key in ("optimizer", "loss", "schedule", "model.preset", "train.order", "init.weights", "data.source", "task"):
        outcome = cnntrain("config", config, "-s", f"{key}={{nothing: 1}}")
        (words,) = [found.split()[1:] for found in re.findall(r"`(cnntrain list \w+)`", outcome.err)]
        assert cnntrain(*words).code == 0


def test_help_is_where_usage_errors_say(cnntrain):
    for command in COMMANDS:
        outcome = cnntrain(command, "--nothing-of-the-sort")
        assert outcome.code == 2
        (where,) = re.findall(r"See '(.*)'", outcome.error)
        assert cnntrain(*shlex.split(where)[1:]).code == 0


def test_the_data_has_changed_since_check(cnntrain, desk, pictures):
    cnntrain("init", "--data", FOLDER)
    assert cnntrain("check", "config.yaml").code == 0
    changed = pictures / "cat" / "0.png"
    changed.write_bytes(changed.read_bytes() + b"\0")
    fit = ("fit", "config.yaml", "-s", "train.epochs=1", "-q")
    assert "Run it again" in cnntrain(*fit, "-o", "a").err
    assert cnntrain("check", "config.yaml").code == 0
    assert "Run it again" not in cnntrain(*fit, "-o", "b").err


def test_where_nothing_can_be_resumed(cnntrain, desk, config):
    run(config, desk / "killed", ("train.epochs=1",))
    without_checkpoints(desk / "killed")
    (desk / "empty").mkdir()
    (desk / "other").mkdir()
    (desk / "other" / "file").touch()
    for name in ("killed", "empty", "not there"):
        outcome = cnntrain("fit", "-o", name, "--resume")
        assert outcome.code == 8
        (words,) = commands(outcome.error)
        assert words[:2] == ["fit", "CONFIG"]
        outcome = cnntrain("fit", config, *words[2:], "-s", "train.epochs=1")
        assert outcome.code == 0, outcome.err
        assert cnntrain("fit", "-o", name, "--resume").code == 0
    refused = cnntrain("fit", "-o", "other", "--resume").error
    assert "CONFIG" not in refused  # which could only be refused, too
    without_checkpoints(desk / "killed")
    refused = cnntrain("fit", config, "-o", "killed")
    assert "--resume" not in refused.error
    assert cnntrain("fit", config, "-o", "killed", "--overwrite", "-s", "train.epochs=1").code == 0


def without_checkpoints(folder):
    for path in (folder / "checkpoints").iterdir():
        path.unlink()


def test_a_run_that_has_lost_its_last_checkpoint_goes_on_from_its_best(cnntrain, desk, config):
    short = ("-s", "train.epochs=2", "-s", "checkpoint.best.monitor=val/loss", "-s", "train.early_stopping=null")
    assert cnntrain("fit", config, "-o", "a run", *short).code == 0
    (desk / "a run" / "checkpoints" / "last.npz").unlink()
    refused = cnntrain("fit", "-o", "a run", "--resume")
    assert refused.code == 8
    (copied,) = re.findall(r"\bcp .*?last\.npz'?", refused.error)
    subprocess.run(copied, shell=True, check=True)
    outcome = cnntrain("fit", "-o", "a run", "--resume")
    assert outcome.code == 0, outcome.err


def test_a_part_that_gives_what_is_not_expected_of_it(cnntrain, desk, config, monkeypatch):
    """Its own file is what `selftest` is to look at."""
    source = (ROOT / "tests/installed/waves/waves/snake.py").read_text().replace("waves_snake", "odd")
    (desk / "odd.py").write_text(source.replace("return Workspace(", "return dict("))
    registry.own("layers")
    monkeypatch.setattr(registry, "_parts", {kind: dict(parts) for kind, parts in registry._parts.items()})
    monkeypatch.syspath_prepend(desk)
    monkeypatch.delitem(sys.modules, "odd", raising=False)
    monkeypatch.setitem(registry._packages, importlib.import_module("odd").Snake, "odds 1")
    config.write_text(config.read_text().replace("    - relu\n", "    - odd\n", 1))
    failed = cnntrain("fit", config, "-o", "run", "-j", "1")
    assert failed.code == 1
    assert "finds a fault in the parts of odds 1" in failed.error
    (words,) = re.findall(r"`cnntrain (.*?)`", failed.error)
    monkeypatch.delitem(registry._parts["layers"], "odd")
    tested = cnntrain(*words.replace("FILE", "odd.py").split())
    assert tested.code == 9, tested.err
    assert "'dict' object has no attribute" in tested.out


def test_a_paused_run_goes_on(cnntrain, config):
    outcome = cnntrain("fit", config, "-o", "a run", "--max-time", "0s")
    assert outcome.code == 75
    (words,) = commands(outcome.err)[-1:]
    assert words == ["fit", "--run-dir", "a run", "--resume"]
    assert cnntrain(*words, "-s", "train.epochs=1").code == 0


@pytest.mark.parametrize("name", ["-dash", "--json", "new\nline", "\udcff", "\x1b[31m", "it's", "$(touch hacked)"])
def test_a_run_of_any_name(cnntrain, desk, config, name):
    """What is recommended is typed into a shell as it is printed."""
    paused = cnntrain("fit", config, f"--run-dir={name}", "--pause-at", "1st", "-s", "train.epochs=1")
    assert paused.code == 75
    resume = paused.err.splitlines()[-1].partition("Go on with: cnntrain ")[2]
    assert json.loads((desk / name / "status.json").read_text())["resume"] == f"cnntrain {resume}"
    assert main(["report", "--", name]) == 0  # which reads it
    finished = cnntrain(*typed(resume))
    assert finished.code == 0
    assert cnntrain(*typed(finished.err.splitlines()[-1].partition("next: cnntrain ")[2])).code == 0
    assert not (desk / "hacked").exists()


def typed(text):
    """The words that Bash makes of a line."""
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {text}"], capture_output=True, check=True)
    return [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]


def test_runs_that_differ_in_more_keys_than_a_report_shows(cnntrain, desk, config):
    varied = {"train.batch_size": 7, "train.clip_norm": 3.0, "optimizer.lr": 0.01, "optimizer.momentum": 0.5}
    varied |= {
        "optimizer.weight_decay": 0.01,
        "seed": 3,
        "checkpoint.keep": 2,
        "optimizer.nesterov": "true",
        "name": "other",
    }
    assert cnntrain("fit", config, "-o", "all/a", "-s", "train.epochs=1").code == 0
    sets = [word for key, value in varied.items() for word in ("-s", f"{key}={value}")]
    assert cnntrain("fit", config, "-o", "all/b", "-s", "train.epochs=1", *sets).code == 0
    assert cnntrain("report", "all").code == 0
    (page,) = desk.rglob("*.html")
    assert "cnntrain compare --csv has all of them" in page.read_text()
    header = cnntrain("compare", "all", "--csv").out.splitlines()[0]
    assert {*varied} <= {*header.split(",")}


def test_a_run_that_kept_nothing(cnntrain, desk, config):
    """It is resumed if it can be, and trained once more if it is finished."""
    assert cnntrain("fit", config, "-o", "a run", "-s", "train.epochs=1").code == 0
    (desk / "a run" / "checkpoints" / "best.npz").unlink(missing_ok=True)
    for number, least in enumerate(((), ("--steps", "7"), ("--steps", "3"))):
        refused = cnntrain("verify", "a run", *least)
        assert refused.code == 8
        (words,) = commands(refused.error)
        assert cnntrain(*words, "-o", f"again {number}").code == 0
        assert cnntrain("verify", f"again {number}", *least).code == 0


@pytest.mark.parametrize(
    ("pause", "least", "command"),
    [
        (1, 1, "--resume"),
        (1, 6, "--resume"),
        (6, 1, "--resume"),  # the last chance: step 7 of 8 is kept
        (7, 1, "config.resolved.yaml"),  # one step is left
        (5, 3, "config.resolved.yaml"),
        (2, 7, "config.resolved.yaml"),
    ],
)
def test_a_paused_run_that_kept_nothing(cnntrain, desk, config, pause, least, command):
    """It is resumed where enough steps are left for a checkpoint that is early enough, else it is trained once more."""
    short = ("-s", "train.epochs=1", "-s", "checkpoint.every=1ep")
    assert cnntrain("fit", config, "-o", "paused", "--pause-at", f"{pause}st", *short).code == 75
    refused = cnntrain("verify", "paused", "--steps", str(least))
    assert refused.code == 8
    assert command in refused.error
    (words,) = commands(refused.error)
    run_dir = "paused" if "--resume" in words else "again"
    assert cnntrain(*words, *(() if "--resume" in words else ("-o", "again"))).code == 0
    assert cnntrain("verify", run_dir, "--steps", str(least)).code == 0
    kept = [path for path in (desk / run_dir / "checkpoints").iterdir() if "-0" in path.name]
    assert len(kept) <= least + 1


def full(monkeypatch, name, after):
    """A disk that is full once a file of this name has been written so many times."""
    written = []

    def write_atomic(path, chunks, held=None):
        fill(path)
        return write(path, chunks, held)

    def extend(self, data):
        fill(self.path)
        return append(self, data)

    def fill(path):
        written.extend([path] if path.name == name else [])
        if len(written) > after:
            with explained("write", path, 9):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write, append = files.write_atomic, AppendLog.extend
    monkeypatch.setattr(files, "write_atomic", write_atomic)
    monkeypatch.setattr(AppendLog, "extend", extend)


@pytest.mark.parametrize(
    ("name", "after", "step"),
    [("last.npz", 1, 0), ("last.npz", 3, 4), ("best.npz", 0, 6), ("metrics.jsonl", 2, 4), ("metrics.csv", 0, 8)],
)
def test_a_run_whose_disk_is_full_goes_on_once_there_is_room(cnntrain, desk, config, monkeypatch, name, after, step):
    with monkeypatch.context() as patch:
        full(patch, name, after)
        refused = cnntrain("fit", config, "-o", "a run", "-s", "train.epochs=1", "-q")
    assert refused.code == 5
    assert refused.error.endswith(
        f"Free some space and go on from step {step} with: cnntrain fit --run-dir 'a run' --resume"
    )
    (words,) = commands(refused.error)
    assert cnntrain(*words).code == 0
    assert json.loads((desk / "a run" / "status.json").read_text())["state"] == "finished"


def test_so_does_one_whose_disk_has_no_room_for_what_is_to_come(cnntrain, config, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(storage, "free", lambda _directory: 10)
        refused = cnntrain("fit", config, "-o", "a run", "-s", "train.epochs=1", "-q")
    assert refused.code == 5
    assert "has no room for 2 more checkpoints (needs " in refused.error
    assert refused.error.endswith("Free some space and go on from step 0 with: cnntrain fit --run-dir 'a run' --resume")
    (words,) = commands(refused.error)
    assert cnntrain(*words).code == 0


@pytest.mark.parametrize(("name", "after"), [("last.npz", 0), ("metrics.jsonl", 0), ("env.json", 0)])
def test_one_whose_disk_was_full_before_its_first_checkpoint_begins_again(cnntrain, config, monkeypatch, name, after):
    command = ("fit", config, "-o", "a run", "-s", "train.epochs=1", "-q")
    with monkeypatch.context() as patch:
        full(patch, name, after)
        refused = cnntrain(*command)
    assert refused.code == 5
    assert refused.error.endswith("Free some space and run the command again")
    assert cnntrain(*command).code == 0


def test_one_whose_report_the_disk_does_not_take_is_over(cnntrain, desk, config, monkeypatch):
    with monkeypatch.context() as patch:
        full(patch, "report.html", 0)
        refused = cnntrain("fit", config, "-o", "a run", "-s", "train.epochs=1", "-q", "--report")
    assert refused.code == 5
    assert refused.error.endswith("Free some space and run: cnntrain report 'a run'")
    (words,) = commands(refused.error)
    assert cnntrain(*words).code == 0
    assert (desk / "a run" / "report.html").exists()


def test_a_run_that_was_made_longer_and_kept_nothing(cnntrain, desk, config):
    """Its config says how long it is now, and so is what trains it once more."""
    assert cnntrain("fit", config, "-o", "long", "-s", "train.epochs=1").code == 0
    assert cnntrain("fit", "-o", "long", "--resume", "-s", "train.epochs=3", "-s", "checkpoint.every=3ep").code == 0
    (desk / "long" / "checkpoints" / "best.npz").unlink(missing_ok=True)
    for least in ("7", "9"):
        (words,) = commands(cnntrain("verify", "long", "--steps", least).error)
        assert cnntrain(*words, "-o", f"again {least}").code == 0
        assert cnntrain("verify", f"again {least}", "--steps", least).code == 0
    assert "No run of 24 steps does: ask for at most 23" in cnntrain("verify", "long", "--steps", "24").error
