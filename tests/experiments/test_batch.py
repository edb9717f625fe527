"""configs/experiments/batch.sh: every config of a folder, whatever happens to one of them."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from cnntrain.sweep.standing import OUTCOMES

LONG = ("--set", "train.epochs=100000", "--set", "checkpoint.every=50ep")


def outcomes(table: list[str]) -> list[list[str]]:
    """Name, exit code and outcome of each row; the columns start where those of the header do."""
    starts = [table[0].index(word) for word in ("exit", "outcome", "run directory")]
    return [[line[: starts[0]].strip(), line[starts[0] : starts[1]].strip(), line[starts[1] : starts[2]].strip()]
            for line in table[1:]]  # fmt: skip


def test_one_that_fails_does_not_stop_the_others_and_a_second_go_does_nothing_twice(desk):
    for name in ("a", "c d"):
        desk.config(name)
    desk.config("b", "nonsense: 1\n")
    code, table, err = desk.run("batch.sh", "many/", "-s", "seed=3")
    assert code == 2
    assert outcomes(table) == [["a", "0", "finished"], ["b", "2", "wrong config"], ["c d", "0", "finished"]]
    assert [line.split()[-1] for line in table[1:]] == ["runs/many/a", "runs/many/b", "d"]
    assert "+ cnntrain fit 'many/c d.yaml' --run-dir 'runs/many/c d' --resume-or-start -s seed=3\n" in err
    assert "many/b.yaml:1:1: unknown key 'nonsense'" in err
    left = [desk.folder / "runs/many/a" / name for name in ("metrics.jsonl", "checkpoints/last.npz")]
    before = [path.read_bytes() for path in left]
    code, again, err = desk.run("batch.sh", "many", "-s", "seed=3")
    assert (code, again) == (2, table)
    assert err.count("was finished already") == 2
    assert [path.read_bytes() for path in left] == before


@pytest.mark.parametrize(("shell", "number", "code"), [("sh", signal.SIGTERM, 143), ("bash", signal.SIGINT, 130)])
def test_a_signal_to_the_script_alone_ends_the_run_in_order_and_leaves_nothing_behind(desk, shell, number, code):
    desk.config("a")
    desk.config("b")
    script = desk.start("batch.sh", "many", *LONG, shell=shell, RUNS="out")
    child = desk.training("out/a")
    script.send_signal(number)
    found, table, err = desk.end(script)
    assert found == code
    assert outcomes(table) == [["a", "143", "stopped, resumable"], ["b", "-", "not started"]]
    assert "stopped by SIGTERM after step" in err
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert not (desk.folder / "out/b").exists()
    found, table, err = desk.run("batch.sh", "many", "-s", "train.steps=3", "-s", "train.epochs=null", RUNS="out")
    assert found == 0
    assert "resuming out/a at step" in err
    assert outcomes(table) == [["a", "0", "finished"], ["b", "0", "finished"]]


def test_a_run_that_is_killed_does_not_stop_the_others_and_resumes(desk):
    desk.config("a")
    desk.config("b", "nonsense: 1\n")
    script = desk.start("batch.sh", "many", *LONG)
    os.kill(desk.training("runs/many/a"), signal.SIGKILL)
    code, table, _ = desk.end(script)
    assert code == 137
    assert outcomes(table) == [["a", "137", "killed"], ["b", "2", "wrong config"]]
    (desk.folder / "many/b.yaml").unlink()
    code, table, err = desk.run("batch.sh", "many", "-s", "train.epochs=1")
    assert code == 0
    assert "resuming runs/many/a at step" in err
    assert outcomes(table) == [["a", "0", "finished"]]


@pytest.mark.parametrize(("arguments", "says"), [((), "FOLDER"), (("nowhere",), "nowhere holds no .yaml file")])
def test_without_configs_it_says_what_it_wants(desk, arguments, says):
    code, out, err = desk.run("batch.sh", *arguments)
    assert (code, out) == (2, [])
    assert says in err
    assert "set -u" not in err


def test_exit_codes_mean_what_a_sweep_calls_them(desk):
    """`check failed` comes of --require, which a sweep does not take."""
    said = {9: "check failed", 137: "killed", 139: "killed", 141: "pipe closed", 42: "unknown"}
    said |= {code: word + ", resumable" * (word in ("paused", "stopped")) for code, word in OUTCOMES.items()}
    lines = ['. "$0"', *(f"meaning {code}" for code in said)]
    script = subprocess.run(
        ["sh", "-c", "\n".join(lines), desk.scripts / "supervise.sh"],
        env=desk.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert script.stdout.splitlines() == [*said.values()]


def test_a_pause_is_no_kill(desk):
    desk.config("a")
    code, table, _ = desk.run("batch.sh", "many", "--set", "train.epochs=2", "--pause-at", "1ep")
    assert code == 75
    assert outcomes(table) == [["a", "75", "paused, resumable"]]


def test_help_is_asked_for_and_goes_to_stdout(desk):
    for script in ("batch.sh", "optimizers.sh"):
        code, out, err = desk.run(script, "--help")
        assert (code, err) == (0, "")
        assert any(f"sh configs/experiments/{script}" in line for line in out)
        assert not any(line.startswith(("#", "set ")) for line in out)


def test_without_cnntrain_it_says_so(desk):
    desk.config("a")
    desk.environment["PATH"] = "/usr/bin:/bin"
    (desk.folder / "bin/cnntrain").unlink()
    code, _, err = desk.run("batch.sh", "many")
    assert code == 127
    assert "Install it" in err
