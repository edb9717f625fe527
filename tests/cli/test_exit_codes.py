"""Every way to fail has its exit code and one line on stderr that names what is wrong; nothing is left behind."""

from __future__ import annotations

import errno
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from cnntrain.core import blas
from cnntrain.core.errors import StorageError
from cnntrain.rundir import checkpoint
from cnntrain.training.trainer import Trainer
from tests.config.record import BROKEN
from tests.support import faults
from tests.support.datasets import idx, labels, pixels, write_idx
from tests.support.experiments import write

CLOSING = "cnntrain: error: {} in the config, see above; nothing was started\n"
DIGITS = """\
data: {source: {type: idx, root: digits}}
model: {layers: [flatten, {type: dense, units: auto}]}
train: {epochs: 1}
warnings: {ignore: [no-validation]}
"""


# -- 2: usage and config -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "name"), [*enumerate(sorted(path.name for path in BROKEN.glob("*.yaml")))], ids=str)
def test_a_broken_config_gives_its_recorded_message_and_leaves_nothing(cnntrain, desk, number, name):
    """By one command or the other: both read a config by the same lines."""
    for path in BROKEN.glob("*.yaml"):  # some extend others
        os.symlink(path, desk / path.name)
    before = sorted(desk.iterdir())
    outcome = cnntrain(("fit", "check")[number % 2], name)
    recorded = (BROKEN / name).with_suffix(".txt").read_text()
    body, _, closing = outcome.err.rpartition("cnntrain: error: ")
    assert outcome.code == 2
    assert outcome.out == ""
    assert body == recorded
    count = "1 problem" if closing.startswith("1 ") else f"{closing.split()[0]} problems"
    assert "cnntrain: error: " + closing == CLOSING.format(count)
    assert sorted(desk.iterdir()) == before


@pytest.mark.parametrize("command", ["fit", "check", "summary", "config"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent.yaml", "cannot be read: No such file or directory"),
        ("-", "cannot be read: No such file or directory"),
        ("/dev/null", "is not a regular file"),
        ("fifo", "is not a regular file"),
    ],
)
def test_what_is_no_config_file_is_named_with_the_place_that_was_looked_at(cnntrain, desk, command, name, reason):
    os.mkfifo(desk / "fifo")
    outcome = cnntrain(command, "--", name)
    assert outcome.code == 2
    assert outcome.error == f"the config {name} {reason} (looked for {os.path.abspath(name)}). Check the path"


def test_a_folder_is_no_config(cnntrain, desk):
    (desk / "folder").mkdir()
    assert cnntrain("fit", "folder").code == 2


@pytest.mark.parametrize(
    ("override", "place"),
    [
        ("optimizer.lr", "--set:1:13: expected KEY=VALUE, got 'optimizer.lr'"),
        ("optimizer.lrr=1", "--set:1:11: unknown key 'lrr' of sgd; did you mean 'lr'?"),
        ("train.epochs=" + "9" * 100, "--set:1:14: epochs is a number of 100 digits; nothing here is that large"),
        ("model.layers.99=relu", "--set:1:14: layers has 7 items, numbered from 0; there is no 99"),
        ("checkpoint.best.monitor=val/acc", "--set:1:25: 'val/acc' is not computed in this run"),
    ],
)
def test_a_wrong_override_is_shown_where_it_is_wrong(cnntrain, config, desk, override, place):
    outcome = cnntrain("fit", config, "-s", override)
    assert outcome.code == 2
    assert outcome.err.startswith(place)
    assert outcome.err.endswith(CLOSING.format("1 problem"))
    assert not list(desk.iterdir())


def test_of_repeated_overrides_the_last_one_counts(cnntrain, config):
    outcome = cnntrain("config", config, "--json", "-s", "seed=1", "-s", "seed=2")
    assert json.loads(outcome.out)["seed"] == 2


def test_a_network_that_no_machine_holds_is_refused_before_anything_is_allocated(cnntrain, config, desk):
    outcome = cnntrain("fit", config, "-s", "model.layers.0.filters=2000000000")
    assert outcome.code == 2
    assert "of memory for" in outcome.err
    assert not list(desk.iterdir())


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("[]", "model.layers is empty: a network needs at least one layer"),
        ("[{type: repeat, n: 1000, body: [{type: repeat, n: 2000000, body: [relu]}]}]", "the network has over"),
    ],
)
def test_a_network_of_nothing_or_without_end_is_refused(cnntrain, config, layers, message):
    outcome = cnntrain("check", config, "-s", f"model.layers={layers}")
    assert outcome.code == 2
    assert message in outcome.err


# -- 3: data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["fit", "check"])
@pytest.mark.parametrize(
    ("files", "name", "reason"),
    [
        ({"images": idx(pixels(20, 6, 5))[:-1]}, "train-images-idx3-ubyte", "it is damaged or cut short"),
        ({"images": idx(pixels(20, 6, 5)) + b"x"}, "train-images-idx3-ubyte", "it is damaged or cut short"),
        ({"images": idx(labels(20))}, "train-images-idx3-ubyte", "are two files swapped?"),
        ({"images": b""}, "train-images-idx3-ubyte", "begins with"),
        ({"images": b"<html>"}, "train-images-idx3-ubyte", "begins with"),
        ({"labels": idx(labels(19))}, "train-labels-idx1-ubyte", "19"),
        ({"labels": idx(np.zeros(20, np.uint8))}, "train-labels-idx1-ubyte", "1 class found"),
        (
            {"images": struct.pack(">4I", 0x803, 2**31, 2**15, 2**15)},
            "train-images-idx3-ubyte",
            "more than its 16 bytes can hold",
        ),
    ],
)
def test_a_bad_data_file_is_named(cnntrain, desk, command, files, name, reason):
    write_idx(desk / "digits", **files)
    before = sorted(desk.rglob("*"))
    config = write(desk.parent, DIGITS)
    outcome = cnntrain(command, config)
    assert outcome.code == 3
    assert str(desk / "digits" / name) in outcome.error
    assert reason in outcome.error
    assert sorted(desk.rglob("*")) == before


@pytest.mark.parametrize("root", ["nowhere", "file", ""])
def test_a_missing_data_folder_is_named_with_its_absolute_path(cnntrain, desk, root):
    (desk / "file").write_text("x")
    config = write(desk.parent, DIGITS)
    outcome = cnntrain("fit", config, "-s", f'data.source.root="{root}"')
    assert outcome.code == 3
    assert str(desk / root) in outcome.error


def test_check_reads_the_test_split_too(cnntrain, desk):
    config = write(desk.parent, DIGITS)
    write_idx(desk / "digits")
    write_idx(desk / "digits", "t10k", images=idx(pixels(20, 6, 5))[:-1])
    assert cnntrain("check", config).code == 3
    write_idx(desk / "digits", "t10k", images=idx(pixels(20, 5, 5)))
    outcome = cnntrain("check", config)
    assert outcome.code == 3
    assert "test samples are 5x5x1 of 10 classes, training samples 6x5x1 of 10" in outcome.error


# -- 4: checkpoints ------------------------------------------------------------------------------------------------


@pytest.fixture(params=["eval", "predict", "summary", "fit"])
def use(request, cnntrain, finished):
    """A command that uses last.npz of a finished run."""
    last = finished / "checkpoints" / "last.npz"

    def invoke():
        arguments = {
            "eval": ["eval", last],
            "predict": ["predict", last, "image.png"],
            "summary": ["summary", last],
            "fit": ["fit", "-o", finished, "--resume"],
        }
        return cnntrain(*arguments[request.param])

    return invoke


@pytest.mark.parametrize("size", [0, 1, 100, 5000, -1])
def test_a_truncated_checkpoint(use, finished, size):
    last = finished / "checkpoints" / "last.npz"
    (finished / "checkpoints" / "best.npz").unlink()
    last.write_bytes(last.read_bytes()[:size])
    outcome = use()
    assert outcome.code == 4
    assert str(last) in outcome.error


def test_for_a_damaged_checkpoint_a_sound_one_beside_it_is_named(cnntrain, finished):
    last, best = finished / "checkpoints" / "last.npz", finished / "checkpoints" / "best.npz"
    data = last.read_bytes()
    weights = checkpoint.read(last).arrays["param/conv2d_1.weight"].tobytes()
    last.write_bytes(data.replace(weights, bytes(len(weights))))
    outcome = cnntrain("eval", last)
    assert outcome.code == 4
    assert f"{best} is sound: name it to use it" in outcome.error


@pytest.mark.parametrize("content", [b"not a checkpoint", b"PK\x05\x06" + bytes(18), b"\x93NUMPY"])
def test_a_file_of_another_program(use, finished, content):
    (finished / "checkpoints" / "last.npz").write_bytes(content)
    outcome = use()
    assert outcome.code == 4
    assert "is not a checkpoint of cnntrain" in outcome.error


def test_an_npz_of_numpy_is_no_checkpoint(use, finished):
    np.savez(finished / "checkpoints" / "last.npz", a=np.zeros(3))
    assert use().code == 4


@pytest.mark.parametrize("command", ["eval", "predict"])
def test_a_checkpoint_that_is_not_there(cnntrain, desk, command):
    image = ["i.png"] if command == "predict" else []
    outcome = cnntrain(command, "nowhere", *image)
    assert outcome.code == 4
    assert outcome.error.startswith(f"there is no checkpoint or run directory nowhere (that is {desk / 'nowhere'}).")
    (desk / "empty").mkdir()
    assert cnntrain(command, "empty", *image).code == 4


def test_another_network_is_told_by_its_first_differences(use, finished):
    last = finished / "checkpoints" / "last.npz"
    saved = checkpoint.read(last)
    saved.meta["config"]["model"]["layers"][0]["filters"] = 7
    saved.meta["config"]["model"]["layers"][4]["body"][0]["filters"] = 7
    checkpoint.save(last, saved.meta, saved.arrays)
    outcome = use()
    if outcome.code == 0:  # a summary looks at no array
        assert "8x8x7" in outcome.out
        return
    assert outcome.code == 4
    assert "of another network" in outcome.err


# -- 5: input and output -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_in_the_way_of_the_run_directory(cnntrain, config, desk, place):
    (desk / "file").write_text("precious")
    outcome = cnntrain("fit", config, "-o", place)
    assert outcome.code == 5
    assert outcome.error.startswith(f"cannot create {place}: ")
    assert (desk / "file").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_directory_that_may_not_be_written(cnntrain, config, desk):
    (desk / "closed").mkdir(mode=0o555)
    outcome = cnntrain("fit", config, "-o", "closed/run")
    assert outcome.code == 5
    assert "Check the permissions" in outcome.error


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
@pytest.mark.parametrize(("arguments", "code"), [(["fit"], 2), (["eval"], 4), (["predict", "{run}"], 3)])
def test_a_file_that_may_not_be_read_is_an_error_of_its_kind(cnntrain, desk, finished, arguments, code):
    (desk / "closed").touch(mode=0o000)
    outcome = cnntrain(*(word.format(run=finished) for word in arguments), "closed")
    assert outcome.code == code
    assert "Permission denied" in outcome.error


LOOKING = {  # what looks at a path -> the exit code
    "init --data closed/d -o new.yaml": 3,
    "init --data pictures -o closed/new.yaml": 5,
    "predict {run} closed/d": 3,  # and answers for the others
    "eval closed/run": 4,
    "report closed/run": 5,
    "compare closed/run": 5,
    "inspect closed/run": 4,
    "summary closed/c.yaml": 2,
    "sweep closed/s.yaml": 2,
    "fit closed/c.yaml": 2,
    "fit {config} -o closed/run": 5,
}


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("arguments", LOOKING)
def test_a_folder_that_cannot_be_looked_into_is_no_bug(cnntrain, config, desk, finished, monkeypatch, arguments, error):
    """As it is for an ordinary user in another's folder, and on a share that has gone away."""
    (desk / "pictures").mkdir()

    def closed(function):
        def look(path, *arguments, **keys):
            if isinstance(path, (str, os.PathLike)) and "closed" in Path(path).parts:
                raise OSError(error, os.strerror(error), os.fspath(path))
            return function(path, *arguments, **keys)

        return look

    for name in ("stat", "lstat", "open", "scandir", "listdir", "mkdir"):
        monkeypatch.setattr(os, name, closed(getattr(os, name)))
    monkeypatch.setattr("builtins.open", closed(open))
    outcome = cnntrain(*arguments.format(run=finished, config=config).split())
    assert outcome.code == LOOKING[arguments] if error == errno.EACCES else outcome.code in (2, 3, 4, 5), outcome.err
    assert outcome.err.count("cnntrain: error: ") == 1
    assert "closed" in outcome.error
    assert not (desk / "crash.log").exists()


@pytest.mark.parametrize("victim", ["full.yaml", "last.npz", "best.npz"])
def test_a_file_on_a_failing_device_is_named_and_no_fault_of_its_own(
    cnntrain, config, desk, finished, monkeypatch, victim
):
    class Failing:
        def __getattr__(self, name):
            return getattr(os, name)

        def open(self, path, *arguments, **keywords):
            if str(path).endswith(victim):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return os.open(path, *arguments, **keywords)

    commands = {
        "full.yaml": [["fit", config], ["check", config], ["summary", config]],
        "last.npz": [["fit", "-o", finished, "--resume"], ["inspect", finished / "checkpoints" / "last.npz"]],
        "best.npz": [["eval", finished], ["predict", finished, "image.png"], ["summary", finished]],
    }
    faults.use(monkeypatch, Failing())
    for command in commands[victim]:
        outcome = cnntrain(*command)
        assert outcome.code == 5
        assert f"{victim}: Input/output error. The device failed: check the disk" in outcome.error
    assert not list(desk.iterdir())


def test_a_sound_checkpoint_that_cannot_be_read_is_not_recommended(cnntrain, finished, monkeypatch):
    last = finished / "checkpoints" / "last.npz"
    last.write_bytes(last.read_bytes()[:-1])

    def fail(path, _fail, **follow):
        if path.name == "best.npz":
            raise StorageError("the device failed")
        return open_regular(path, _fail, **follow)

    open_regular = checkpoint.open_regular
    monkeypatch.setattr(checkpoint, "open_regular", fail)
    outcome = cnntrain("eval", last)
    assert outcome.code == 4
    assert outcome.error.endswith("Restore it from a copy")


def test_a_name_that_no_file_system_takes(cnntrain, config):
    outcome = cnntrain("fit", config, "-o", "x" * 300)
    assert outcome.code == 5
    assert outcome.error.endswith("Choose a shorter name")


# -- 6, 7, 1: divergence, memory, bugs -----------------------------------------------------------------------------


def test_divergence_leaves_the_last_good_checkpoint(cnntrain, config, desk):
    outcome = cnntrain("fit", config, "-o", "run", "-s", "optimizer.lr=1e30", "-q")
    assert outcome.code == 6
    assert "the weights were not updated. Lower optimizer.lr or set train.clip_norm" in outcome.error
    saved = checkpoint.read(desk / "run" / "checkpoints" / "last.npz")
    assert all(np.isfinite(array).all() for array in saved.arrays.values())
    assert json.loads((desk / "run" / "status.json").read_text())["exit_code"] == 6


def _fail_in_training(monkeypatch, error):
    def take(_self):
        raise error

    monkeypatch.setattr(Trainer, "_take_step", take)


def test_no_memory(cnntrain, config, desk, monkeypatch):
    _fail_in_training(monkeypatch, MemoryError())
    outcome = cnntrain("fit", config, "-o", "run", "-q")
    assert outcome.code == 7
    assert outcome.error.startswith("out of memory: training at batch size 10 on ")
    assert "B besides the data. Lower train.batch_size" in outcome.error
    assert json.loads((desk / "run" / "status.json").read_text())["exit_code"] == 7


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "{config}"],
        ["fit", "{config}", "--dry-run"],
        ["fit", "-o", "{run}", "--resume"],
        ["eval", "{run}", "--split", "train"],
        ["predict", "{run}", "image.png"],
        ["export", "{run}", "--format", "numpy"],
        ["lr-find", "{config}"],
        ["time", "{config}"],
        ["gradcheck", "{config}"],
    ],
    ids=" ".join,
)
def test_what_computes_takes_the_memory_of_its_products_first(cnntrain, config, desk, finished, monkeypatch, arguments):
    """Because OpenBLAS ends the process where it gets none later on."""

    def reserve(threads, run):
        raise MemoryError

    monkeypatch.setattr(blas, "reserve", reserve)
    outcome = cnntrain(*(word.format(config=config, run=finished) for word in arguments))
    assert outcome.code == 7, outcome.err
    assert "out of memory" in outcome.err


def test_a_bug_in_training_leaves_its_traceback_in_the_run_directory(cnntrain, config, desk, monkeypatch):
    _fail_in_training(monkeypatch, ZeroDivisionError("two\nlines"))
    outcome = cnntrain("fit", config, "-o", "run", "-q")
    crash = desk / "run" / "crash.log"
    assert outcome.code == 1
    assert outcome.error.startswith("a bug in cnntrain: ZeroDivisionError: two\\nlines. The traceback is in ")
    assert "crash.log; please report it" in outcome.error
    assert "raise error" in crash.read_text()
    assert sorted(path.name for path in desk.iterdir()) == ["run"]
    assert json.loads((desk / "run" / "status.json").read_text())["state"] == "failed"


def test_a_bug_without_a_run_leaves_its_traceback_in_the_working_directory(cnntrain, config, desk, monkeypatch):
    def load(*_):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("cnntrain.config.load.load", load)
    outcome = cnntrain("config", config)
    assert outcome.code == 1
    assert f"The traceback is in {desk / 'crash.log'}; please report it" in outcome.error
    text = (desk / "crash.log").read_text()
    assert text.startswith("cnntrain ")
    assert "ZeroDivisionError: oh" in text


def test_where_no_crash_log_can_be_written_the_traceback_is_shown(cnntrain, config, desk, monkeypatch):
    (desk / "crash.log").mkdir()

    def load(*_):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("cnntrain.config.load.load", load)
    outcome = cnntrain("config", config)
    assert outcome.code == 1
    assert outcome.err.startswith("Traceback (most recent call last)")
    assert outcome.err.endswith("The traceback is above; please report it\n")


# -- 8: run directories --------------------------------------------------------------------------------------------


def _contents(folder):
    """What its files hold, but for the lock, which has the time it was last taken."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_used_directory_is_refused_and_left_as_it_is(cnntrain, config, finished):
    before = _contents(finished)
    outcome = cnntrain("fit", config, "-o", finished)
    assert outcome.code == 8
    assert "holds a run already. Add --resume to go on with it, --overwrite to replace it" in outcome.error
    assert _contents(finished) == before


@pytest.mark.parametrize("flags", [[], ["--overwrite"], ["--resume-or-start"]])
def test_a_directory_of_something_else_is_never_written(cnntrain, config, desk, flags):
    (desk / "thesis").mkdir()
    (desk / "thesis" / "chapter1.tex").write_text("precious")
    outcome = cnntrain("fit", config, "-o", "thesis", *flags)
    assert outcome.code == 8
    assert outcome.error == "thesis is not empty and holds no run of cnntrain. Choose another --run-dir"
    assert [path.name for path in (desk / "thesis").iterdir()] == ["chapter1.tex"]


def test_nothing_to_resume(cnntrain, desk):
    outcome = cnntrain("fit", "-o", "nowhere", "--resume")
    assert outcome.code == 8
    assert outcome.error.startswith(f"nowhere holds nothing to resume: there is no {desk}/nowhere/checkpoints/last.npz")
    assert not list(desk.iterdir())


def test_overwrite_replaces_a_run(cnntrain, config, finished):
    assert cnntrain("fit", config, "-o", finished, "--overwrite", "-q", "-s", "train.epochs=2").code == 0
    assert checkpoint.read_meta(finished / "checkpoints" / "last.npz")["position"]["closed"] == 2


# -- debug ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--debug", "eval", "nowhere"], ["eval", "nowhere", "--debug"]])
def test_debug_shows_the_traceback_before_the_line(cnntrain, arguments):
    outcome = cnntrain(*arguments)
    assert outcome.code == 4
    assert outcome.err.startswith("Traceback (most recent call last)")
    assert outcome.err.splitlines()[-1].startswith("cnntrain: error: there is no checkpoint")
    assert cnntrain("eval", "nowhere").err.count("\n") == 1


@pytest.mark.parametrize(("value", "shown"), [("1", True), ("0", False), ("", False)])
def test_the_variable_does_what_the_flag_does(cnntrain, monkeypatch, value, shown):
    monkeypatch.setenv("CNNTRAIN_DEBUG", value)
    assert ("Traceback" in cnntrain("eval", "nowhere").err) == shown
