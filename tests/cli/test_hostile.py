"""A checkpoint is a stranger's file: whatever its meta says, a command ends as on any other, or with one line and 4."""

from __future__ import annotations

import random

import pytest
from PIL import Image

from cnntrain.rundir import checkpoint
from tests.faults.mutations import ABSENT, changed, places

SEED = random.randrange(10**6)  # in the assertion; set it by hand to replay
VALUES = (ABSENT, None, -1, 0, 10**18, "x", "\x1b[31m\n", [], {}, True, 1.5, [1], {"type": "relu"})
OURS = ("format", "min_reader", "cnntrain", "arrays")  # what `checkpoint.save` writes itself


@pytest.fixture
def forge(finished):
    """Write last.npz with a changed meta and right digests; returns its path. The metrics are there again as well."""
    last, metrics = finished / "checkpoints" / "last.npz", finished / "metrics.jsonl"
    saved, rows = checkpoint.read(last), metrics.read_bytes()
    meta = {key: value for key, value in saved.meta.items() if key not in OURS}

    def write(path, value):
        checkpoint.save(last, changed(meta, path, value), saved.arrays)
        metrics.write_bytes(rows)
        return last

    write.paths = list(places(meta))
    return write


def test_no_value_anywhere_in_a_meta_does_worse_than_exit_4(cnntrain, forge, finished, desk):
    Image.new("L", (8, 8)).save(desk / "image.png")
    rng = random.Random(SEED)
    cases = [(path, value) for path in forge.paths for value in VALUES]
    allowed = {"eval": {0, 3, 4}, "predict": {0, 4}, "summary": {0, 4}, "fit": {0, 3, 4, 5}}  # 3: other data
    for path, value in rng.sample(cases, 60):
        last = forge(path, value)
        for arguments in (
            ["eval", last],
            ["predict", last, "image.png"],
            ["summary", last],
            ["fit", "-o", finished, "--resume", "-q"],
        ):
            outcome = cnntrain(*arguments)
            about = f"seed {SEED}: {arguments[0]} with {path} = {value!r} gave {outcome}"
            assert outcome.code in allowed[arguments[0]], about
            assert "\x1b" not in outcome.out + outcome.err, about
            if outcome.code:
                lines = [line for line in outcome.err.splitlines() if not line.startswith("cnntrain: warning")]
                assert len(lines) == 1, about
                assert lines[0].startswith("cnntrain: error: "), about
        assert [entry.name for entry in desk.iterdir()] == ["image.png"], f"seed {SEED}: {path} = {value!r}"


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (
            ("config", "optimizer", "lr"),
            "fast",
            "holds a config that cannot be used: lr: expected a number, got 'fast'",
        ),
        (("config", "optimizer", "type"), "os.system", "holds a config that cannot be used: unknown optimizer"),
        (("config", "model", "layers", 0, "filters"), 10**6, "is a checkpoint of another network"),
        (("config", "name"), "../../etc", "holds a config that cannot be used: name must be"),
        (("config", "seed"), ABSENT, None),
        (("config", "extends"), "/etc/passwd", "holds a config that cannot be used"),
        (("config", "data", "source", "seed"), "${vars.x}", "holds a config that cannot be used"),
        (("config",), ABSENT, "its meta has no config"),
        (("image_shape",), [10**6, 10**6, 1], "describes a network that needs"),
        (("image_shape",), [8, 8], "its meta has an impossible image_shape"),
        (("image_shape",), [8, -8, 1], "its meta has an impossible image_shape"),
        (("classes",), ["a", 1], "its meta has an impossible classes"),
        (("classes",), ["only"], "is a checkpoint of another network"),
        (("values",), -1, "its meta has an impossible values"),
        (("target",), 5, "its meta has an impossible target"),
        (("target",), "smells", "holds a config that cannot be used: no task is known for data with smells"),
        (("target",), "target values", "holds a config that cannot be used: "),
        (("target",), ABSENT, None),  # as before there were tasks
        (("position", "step"), -1, "its meta has an impossible position.step"),
        (("eval_transforms", 0, "mean"), ["x"], "holds a config that cannot be used"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_with_a_forged_meta_is_said(cnntrain, forge, desk, path, value, reason):
    last = forge(path, value)
    outcome = cnntrain("eval", last)
    if reason is None:
        assert outcome.code == 0
        return
    assert outcome.code == 4
    assert outcome.error.startswith(str(last))
    assert reason in outcome.error
    assert not list(desk.iterdir())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("monitor", "best"), "high"),
        (("monitor", "stale"), None),
        (("monitor", "more"), 1),
        (("position", "closed"), -1),
        (("position", "finished"), 3),
        (("metrics_length",), -1),
        (("environment",), ABSENT),
        (("config", "checkpoint", "best", "monitor"), "val/nothing"),
        (("config", "warnings", "ignore"), ["nothing"]),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_what_only_a_resume_reads_is_checked_by_it(cnntrain, forge, finished, path, value):
    forge(path, value)
    outcome = cnntrain("fit", "-o", finished, "--resume", "-q")
    assert outcome.code == 4
    assert "last.npz" in outcome.error


def test_the_config_in_a_checkpoint_does_not_say_where_to_write(cnntrain, forge, finished, desk):
    forge(("config", "name"), "elsewhere")
    assert cnntrain("fit", "-o", finished, "--resume", "-q").code == 0
    assert not list(desk.iterdir())
