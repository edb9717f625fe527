"""A stranger's run directory, or a later version's: one bad run among many is named and left out; no pipe hangs."""

from __future__ import annotations

import json
import os
import shutil
import signal

import pytest

import cnntrain as door
from cnntrain.cli import main
from cnntrain.config.tree import MAX_NODES
from cnntrain.core.errors import StorageError
from cnntrain.rundir import checkpoint
from cnntrain.rundir.directory import RunDirectory
from cnntrain.rundir.history import read
from tests.support.closed import close
from tests.support.experiments import FULL, run, write

SETS = ("train.epochs=1", "checkpoint.keep=3")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A finished run, once."""
    folder = tmp_path_factory.mktemp("sound")
    run(write(folder, FULL), folder / "run", SETS)
    return folder / "run"


@pytest.fixture
def place(sound, tmp_path, monkeypatch):
    """Two runs, of which `bad` is to be spoilt; a command that hangs is ended."""
    monkeypatch.chdir(tmp_path)
    for name in ("bad", "good"):
        shutil.copytree(sound, tmp_path / name)
    signal.alarm(60)
    yield tmp_path
    signal.alarm(0)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def altered(path, event, key, value):
    rows = lines(path)
    for row in rows:
        if event in (None, row.get("event")):
            row.pop(key, None) if value is ... else row.update({key: value})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_times_are_no_finer_than_their_rows(place):
    rows = lines(place / "good/timing.jsonl")
    for seconds in (0.1, 0.2, 0.111):
        rows.append(rows[0] | {"seconds": seconds, "images_per_second": 1 / 3})
    (place / "good/timing.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    record = read(place / "good")
    assert record.seconds == round(rows[0]["seconds"] + 0.411, 3)
    assert record.images_per_second == round(record.images_per_second, 1)


WRONG = [
    ("metrics.jsonl", event, key, value)
    for event, key in [("train", "step"), ("eval", "step"), ("eval", "epoch"), ("start", "steps_per_epoch")]
    for value in (..., None, "7", -1, 1.5, [], {}, True)
]
WRONG += [("metrics.jsonl", "start", "steps_per_epoch", 0), ("metrics.jsonl", "eval", "val/loss", "x")]
WRONG += [
    ("timing.jsonl", None, key, value)
    for key in ("epoch", "seconds", "training_seconds", "images_per_second")
    for value in (..., None, "7", [], True)
]


COMPARE, REPORT = ("compare",), ("report", "--output", "page.html")


def holds(place, capsys, bad, commands):
    """A command goes on without the bad run, names it, and ends with its code where it is the only one."""
    for command in commands:
        capsys.readouterr()
        assert main([*command, str(place / "bad"), str(place / "good")]) == 0
        said = capsys.readouterr()
        assert f"{place}/bad is left out: {place}/bad/{bad}" in said.err.replace("\n", " ")
        assert "\x1b" not in said.err + said.out
        assert main([*command, str(place / "bad")]) == 5
    with pytest.warns(UserWarning, match="bad is left out"):
        assert [str(one.path) for one in door.runs(place)] == [str(place / "good")]


@pytest.mark.parametrize(("file", "event", "key", "value"), WRONG)
def test_a_row_that_is_none_is_named(place, file, event, key, value):
    altered(place / "bad" / file, event, key, value)
    with pytest.raises(Exception, match=rf"bad/{file}:\d+ is damaged: {key} is ") as raised:
        read(place / "bad")
    assert raised.value.exit_code == 5


def test_a_bad_run_among_many_is_left_out(place, capsys):
    altered(place / "bad/timing.jsonl", None, "seconds", ...)
    holds(place, capsys, "timing.jsonl:1", (COMPARE, REPORT))
    (place / "bad/config.resolved.yaml").write_text("train: [")
    assert main(["compare", str(place / "bad"), str(place / "good")]) == 0
    assert f"{place}/bad is left out: {place}/bad/config.resolved.yaml:1:" in capsys.readouterr().err.replace("\n", " ")
    assert main(["compare", str(place / "bad")]) == 2


@pytest.mark.parametrize("listed", [False, True], ids=["closed", "names may be read"])
def test_a_run_that_one_may_not_read_is_left_out_and_said_so(place, capsys, monkeypatch, listed):
    """As another user's: whether it is named, or lies below a folder that is."""
    scandir = os.scandir
    close(monkeypatch, place / "bad")
    if listed:  # mode r--
        closed = os.scandir
        monkeypatch.setattr(os, "scandir", lambda path: (scandir if str(path) == str(place / "bad") else closed)(path))
    line = f"cannot look into {place}/bad: Permission denied. Check the permissions"
    for command in (COMPARE, REPORT):
        for paths in ([place], [place / "bad", place / "good"]):
            capsys.readouterr()
            assert main([*command, *map(str, paths)]) == 0
            said = capsys.readouterr()
            assert f"warning: {place}/bad is left out: {line}" in said.err.replace("\n", " ")
        assert main([*command, str(place / "bad")]) == 5
        assert f"error: {line}" in capsys.readouterr().err.replace("\n", " ")
    with pytest.warns(UserWarning, match="bad is left out"):
        assert [str(one.path) for one in door.runs(place)] == [str(place / "good")]
    with pytest.raises(StorageError, match="cannot look into"):
        door.Run(place / "bad")


def test_so_is_one_whose_files_one_may_not_read(place, capsys, monkeypatch):
    close(monkeypatch, place / "bad/metrics.jsonl")
    holds(place, capsys, "metrics.jsonl cannot be read: Permission denied. Check the permissions", (COMPARE, REPORT))


@pytest.mark.parametrize("status", [{"state": "\x1b[31mred"}, {"state": 3}, {"best": 3}, {"best": {"metric": "a\nb"}}])
def test_a_status_that_would_reach_the_terminal_raw(place, capsys, status):
    (place / "bad/status.json").write_text(json.dumps(status))
    holds(place, capsys, "status.json is damaged", (COMPARE, REPORT) if "best" in status else (COMPARE,))


def test_a_part_of_a_package_that_is_gone_is_named_with_the_package(place, capsys, monkeypatch):
    """As every other command names it, and by its exit code."""
    resolved = place / "bad/config.resolved.yaml"
    resolved.write_text(resolved.read_text().replace("type: cross_entropy", "type: polyx"))
    assert "polyx" in resolved.read_text()
    monkeypatch.setattr(checkpoint, "read_meta", lambda _: {"packages": {"losses.polyx": "poly 1.0"}})
    said = "bad/checkpoints/last.npz needs the loss 'polyx' of the package 'poly 1.0', which is not installed"
    for command in (COMPARE, REPORT):
        assert main([*command, str(place / "bad")]) == 4
        assert said in capsys.readouterr().err.replace("\n", " ")
        assert main([*command, str(place / "bad"), str(place / "good")]) == 0
        assert said in capsys.readouterr().err.replace("\n", " ")


def test_keys_and_events_of_a_later_version_do_no_harm(place, capsys):
    altered(place / "bad/metrics.jsonl", None, "more", {"a": [1]})
    with (place / "bad/metrics.jsonl").open("a") as file:
        file.write('{"event": "phase"}\n{"event": ["odd"]}\n{}\n')
    assert main(["compare", str(place / "bad"), str(place / "good")]) == 0
    assert capsys.readouterr().err == ""


FILES = ("metrics.jsonl", "timing.jsonl", "status.json", "data.json", "env.json", "origins.json")


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".json")])
def test_a_damaged_object_may_be_deleted_as_the_message_says(place, capsys, name):
    (place / "bad" / name).write_text("{")
    assert main(["report", str(place / "bad"), "--output", "page.html"]) == 5
    said = capsys.readouterr().err.replace("\n", " ")
    assert f"bad/{name} is damaged: " in said
    assert "or delete it" in said
    (place / "bad" / name).unlink()
    for command in (COMPARE, REPORT):
        assert main([*command, str(place / "bad")]) == 0


@pytest.mark.parametrize("what", ["pipe", "link"])
@pytest.mark.parametrize("name", FILES)
def test_a_pipe_or_a_link_is_no_file_of_a_run(place, capsys, name, what):
    (place / "bad" / name).rename(place / "outside")
    if what == "pipe":
        os.mkfifo(place / "bad" / name)
    else:
        os.symlink(place / "outside", place / "bad" / name)
    holds(place, capsys, f"{name} is ", (COMPARE, REPORT) if what == "pipe" else (COMPARE,))


@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "timing.jsonl", "train.log", "command.txt", ".lock", "manifest.json", "samples.json"]
)
@pytest.mark.parametrize("command", ["resume", "eval", "verify"])
def test_no_command_hangs_at_a_pipe(place, capsys, name, command):
    (place / "bad" / name).unlink()
    os.mkfifo(place / "bad" / name)
    arguments = {
        "resume": ["fit", "--run-dir", str(place / "bad"), "--resume", "-q", "-s", "train.epochs=2"],
        "eval": ["eval", str(place / "bad"), "--split", "val"],
        "verify": ["verify", str(place / "bad")],
    }
    assert main(arguments[command]) in (0, 5)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["checkpoints", "nonfinite"])
def test_a_folder_that_is_a_link_is_not_written_through(place, folder):
    outside = place / "outside"
    if (place / "bad" / folder).exists():
        shutil.copytree(place / "bad" / folder, outside)
        shutil.rmtree(place / "bad" / folder)
    else:
        outside.mkdir()
    os.symlink(outside, place / "bad" / folder)
    before = {path.name: path.read_bytes() for path in outside.iterdir()}
    if folder == "checkpoints":
        assert main(["fit", "--run-dir", str(place / "bad"), "--resume", "-q", "-s", "train.epochs=2"]) == 5
    else:
        with RunDirectory.open(place / "bad") as held, pytest.raises(StorageError, match="is a link"):
            held.write_flight_record({})
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == before


def test_a_config_that_is_a_link_is_not_read_and_its_run_left_out(place, capsys):
    path = place / "bad" / "config.resolved.yaml"
    path.rename(place / "elsewhere.yaml")
    path.symlink_to(place / "elsewhere.yaml")
    with pytest.raises(StorageError, match="is a link, which may lead anywhere"):
        read(place / "bad")
    assert main(["compare", ".", "--json"]) == 0
    outcome = capsys.readouterr()
    assert [one["run"] for one in json.loads(outcome.out)["runs"]] == ["good"]
    assert "bad is left out" in outcome.err


def test_a_config_of_more_values_than_one_that_is_typed_may_have_is_read(place):
    """Defaults make it so long: here, as many values in one list."""
    path = place / "good" / "config.resolved.yaml"
    weights, text = [1.0] * (MAX_NODES + 1), path.read_text()
    assert "class_weight: null" in text
    path.write_text(text.replace("class_weight: null", f"class_weight: {weights}"))
    assert read(place / "good").config["loss"]["class_weight"] == weights
