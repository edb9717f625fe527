"""The wheel and the sdist: each is built, installed with the five dependencies alone, and passes the self-test."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import venv
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BUILD = "import sys, setuptools.build_meta as b; print(getattr(b, 'build_' + sys.argv[1])('dist'))"
PICTURE = """\
data: {source: {type: synthetic, size: 32, channels: 3, samples: 40}}
model: {preset: tiny32, init_from: {checkpoint: builtin, ignore: [head]}}
train: {steps: 1, batch_size: 8}
"""


def done(*command: str | Path, cwd: Path) -> str:
    """What a command prints; it has to succeed."""
    result = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=900, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_it_installs_bare_and_passes_the_self_test(kind: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "cnntrain", source / "cnntrain", ignore=shutil.ignore_patterns("__pycache__"))
    built = source / "dist" / done(sys.executable, "-c", BUILD, kind, cwd=source).splitlines()[-1]
    venv.create(tmp_path / "env", with_pip=True)
    python, desk = tmp_path / "env/bin/python", tmp_path / "desk"
    desk.mkdir()
    done(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", built, cwd=desk)
    shutil.rmtree(source)
    (desk / "x.yaml").write_text(PICTURE)
    cnntrain = tmp_path / "env/bin/cnntrain"
    done(cnntrain, "selftest", cwd=desk)
    done(cnntrain, "fit", "x.yaml", "-o", "run", "--progress", "none", cwd=desk)
    assert "stage1.conv2d_1.weight" in json.loads((desk / "run/data.json").read_text())["init_from"]["loaded"]
    export = [cnntrain, "export", "run", "--format", "safetensors"]
    said = subprocess.run(export, cwd=desk, capture_output=True, text=True, check=False).stderr
    done(*shlex.split(said.partition("Run: ")[2]), cwd=desk)  # what a message says is to be typed works
    done(*export, cwd=desk)


def test_every_file_that_is_read_is_in_a_package() -> None:
    """What is no module has to be declared as package data, or an installed program lacks it."""
    setup = (ROOT / "setup.cfg").read_text()
    declared = re.search(r"^cnntrain =\n((?:    .+\n)+)", setup[setup.index("[options.package_data]") :], re.MULTILINE)
    assert declared
    patterns = declared[1].split()
    files = {
        path.relative_to(ROOT / "cnntrain").as_posix()
        for path in (ROOT / "cnntrain").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".md")
    }
    assert not [name for name in files if not any(fnmatch(name, pattern) for pattern in patterns)]
    assert not [pattern for pattern in patterns if not any(fnmatch(name, pattern) for name in files)]


def test_workflows_and_container_call_what_there_is() -> None:
    flows = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/workflows").glob("*.yml")}
    assert flows.keys() == {"campaigns", "tests", "release"}
    lines = [
        step["run"]
        for flow in flows.values()
        for job in flow["jobs"].values()
        for step in job["steps"]
        if "run" in step
    ]
    assert {"ruff check && ruff format --check", "mypy", "pytest", ".ci/run"} <= set(lines)
    for path in re.findall(r"(?:tests|\.ci)/[\w/.]+", "\n".join(lines)):
        assert (ROOT / path).exists(), path
    copied = re.findall(r"^COPY (.*) \S+$", (ROOT / ".github/Containerfile").read_text(), re.MULTILINE)
    assert all((ROOT / name).exists() for line in copied for name in line.split())
