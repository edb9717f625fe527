"""Streams that are full, closed, narrow or of another encoding change what is shown, never what is done."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from cnntrain.cli import main
from cnntrain.rundir.json_files import read_rows
from tests.support.experiments import call

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")


def shell(command: str, cwd: Path) -> tuple[int, str, str]:
    """A line of bash in which `cnntrain` is this one; the exit code is that of the first command of a pipe."""
    program = f"cnntrain() {{ '{sys.executable}' -m cnntrain \"$@\"; }}; {command}; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", program], cwd=cwd, capture_output=True, text=True, timeout=120)
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize("command", ["list layers", "--help", "fit --help", "completion bash", "list metrics --json"])
def test_a_reader_that_went_away_ends_a_command_quietly_with_141(command, tmp_path):
    assert shell(f"cnntrain {command} | true", tmp_path) == (141, "", "")


def test_a_reader_of_the_first_line_gets_it(tmp_path):
    code, out, err = shell("cnntrain list layers | head -1", tmp_path)
    assert code in (0, 141)
    assert (out.split()[0], err) == ("adaptive_avg_pool2d", "")


@needs_full
@pytest.mark.parametrize("command", ["list layers", "--help", "--version", "config full.yaml"])
def test_a_result_that_cannot_be_written_is_an_error_of_input_and_output(command, config, tmp_path):
    code, _, err = shell(f"cnntrain {command} > /dev/full", tmp_path)
    assert code == 5
    assert err == (
        "cnntrain: error: cannot write to standard output: No space left on device. Make room, or write elsewhere\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [config.name]


@pytest.mark.parametrize("buffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("command", ["list layers", "list layers --json", "fit --help", "schema"])
def test_so_is_one_of_which_only_the_beginning_can_be_written(command, buffered, tmp_path, monkeypatch):
    """As on a disk that becomes full: the system writes less than it was given, and only the next write fails."""
    monkeypatch.setenv("PYTHONUNBUFFERED", buffered)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    code, _, err = shell(f"ulimit -f 1; cnntrain {command} > cut.txt", tmp_path)
    assert (tmp_path / "cut.txt").stat().st_size == 1024
    assert (code, err) == (
        5,
        "cnntrain: error: cannot write to standard output: File too large. The file would exceed the size limit: raise "
        "it (ulimit -f) and run the command again\n",
    )


@needs_full
@pytest.mark.parametrize("stream", ["2> /dev/full", "2>&-", ">&- 2>&-"])
def test_messages_that_cannot_be_written_change_no_exit_code(stream, tmp_path):
    assert shell(f"cnntrain fit absent.yaml {stream}", tmp_path)[0] == 2
    assert shell(f"cnntrain list layers > list.txt {stream}", tmp_path)[0] == (5 if ">&- " in stream else 0)


@needs_full
@pytest.mark.parametrize("stream", ["2> /dev/full", ">&- 2>&-", "> /dev/full 2>&1", "2>&1 | true"])
def test_a_run_goes_on_without_its_console(stream, config, tmp_path):
    assert config.exists()
    code, _, _ = shell(f"cnntrain fit full.yaml -s train.epochs=1 -o run --progress bar {stream}", tmp_path)
    assert code == 0
    assert read_rows(tmp_path / "run" / "metrics.jsonl")[-1]["event"] == "end"


@pytest.mark.parametrize("buffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_run_whose_directory_nobody_reads_goes_on_and_ends_with_141(buffered, config, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", buffered)
    code, _, err = shell(f"cnntrain fit {config.name} -s train.epochs=1 -o run --print-run-dir -q | true", tmp_path)
    assert (code, err) == (141, "")
    assert read_rows(tmp_path / "run" / "metrics.jsonl")[-1]["event"] == "end"


def test_so_does_a_page_that_is_written_to_a_stdout_that_nobody_reads(finished, tmp_path):
    assert shell(f"cnntrain report {finished} -o /dev/stdout -j 1 | true", tmp_path) == (141, "", "")


def test_what_a_command_prints_before_its_work_is_read_at_once(config, tmp_path, monkeypatch):
    """Through a pipe, where Python would keep it until the end."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    begin = f"cnntrain fit {config.name} -s train.epochs=100000 -o run --print-run-dir -q"
    pid = "$(grep pid run/status.json | tr -dc 0-9)"
    stop = f"until [ -s run/status.json ]; do sleep 0.01; done; kill {pid}"
    code, out, _ = shell(f"{begin} | {{ read run; echo $run; {stop}; }}", tmp_path)
    assert (code, out) == (143, "run\n")


def test_nothing_but_the_result_is_on_stdout_where_there_is_no_stderr(config, tmp_path):
    code, out, _ = shell("cnntrain fit full.yaml -s train.epochs=1 -o run --json 2>&-", tmp_path)
    assert code == 0
    assert json.loads(out)["step"]
    assert config.exists()
    code, out, _ = shell("cnntrain eval absent --json 2>&-", tmp_path)
    assert (code, out) == (4, "")


RESULTS = [
    *(
        "list layers",
        "list layers --json",
        "--help",
        "--version",
        "fit --help",
        "config full.yaml",
        "summary full.yaml",
    ),
    *("schema", "completion bash", "check full.yaml", "env", "summary full.yaml --json"),
]


@pytest.mark.parametrize("command", RESULTS)
def test_a_result_that_goes_nowhere_is_an_error(command, config, tmp_path):
    code, out, err = shell(f"cnntrain {command} >&-", tmp_path)
    assert (code, out) == (5, "")
    assert err.splitlines()[-1] == (
        "cnntrain: error: cannot write to standard output: Bad file descriptor. It is closed: leave it open, or write "
        "to a file"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [config.name]


@pytest.mark.faults
def test_what_any_command_tells_of_a_run_and_goes_nowhere_is_an_error(finished, config, tmp_path):
    """But of `fit` and `sweep`, whose result is a folder."""
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    (tmp_path / "s.yaml").write_text(f"config: {config.name}\ngrid: {{optimizer.lr: [0.1]}}\n")
    ends = "finished/checkpoints/best.npz finished/checkpoints/last.npz"
    for command in (
        *("eval finished --split val", "predict finished one.png", "report finished", "explain finished one.png"),
        *(
            "compare finished",
            "export finished --format numpy -o net.py",
            "inspect finished",
        ),
        *(f"average {ends} -o mean.npz", "watch finished", "sweep s.yaml -o swept --dry-run", "lr-find full.yaml"),
        *("time full.yaml", "gradcheck full.yaml", "fit full.yaml --dry-run", "fit full.yaml -o new --print-run-dir"),
    ):
        code, _, err = shell(f"cnntrain {command} >&-", tmp_path)
        assert (code, err.count("cannot write to standard output: Bad file descriptor")) == (5, 1), f"{command}: {err}"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_file_gets_what_belongs_on_a_closed_stream(closed, config, tmp_path, capsys):
    """As the next file to be opened would, under the number that is free."""
    code, _, _ = shell(f"cnntrain fit {config.name} -s train.epochs=1 -o run -j 2 {closed}", tmp_path)
    assert code == 0
    assert main(["eval", str(tmp_path / "run"), "--split", "val"]) == 0
    assert "accuracy" in capsys.readouterr().out
    for row in (tmp_path / "run/metrics.jsonl").read_text().splitlines():
        json.loads(row)


def test_names_that_are_not_utf8_are_shown_as_escapes_and_used_as_they_are(config, tmp_path):
    odd = b"odd\xff".decode(errors="surrogateescape")
    config.rename(tmp_path / f"{odd}.yaml")
    code, out, err = call("fit", f"{odd}.yaml", "-o", odd, "-s", "train.epochs=1", cwd=tmp_path)
    assert (code, out) == (0, "")
    assert "results: odd\\udcff" in err
    code, out, err = call("eval", odd, "--split", "val", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert "checkpoint  odd\\udcff/checkpoints/best.npz" in out
    code, out, _ = call("eval", odd, "--json", cwd=tmp_path)
    assert json.loads(out)["checkpoint"] == f"{odd}/checkpoints/best.npz"


def test_an_encoding_without_the_letters_shows_their_escapes(tmp_path):
    (tmp_path / "größe.yaml").write_text("seed: x\n")
    code, _, err = call("check", "größe.yaml", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert code == 2
    assert "gr\\xf6\\xdfe.yaml:1:7: seed: expected an integer" in err
