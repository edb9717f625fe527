"""The notebook, from its own folder, and the pages run from top to bottom, and each cell's value can be shown."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.pages import API, README, Page

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "configs" / "notebook.ipynb"


def cells() -> list[str]:
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == "code"]


def execute(cell: str, names: dict[str, Any]) -> Any:
    """Run a cell as IPython does; its last expression's value, if it ends with one."""
    tree = ast.parse(cell)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What lies in the checkout's folder and is read there."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copytree(ROOT / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_runs_where_jupyter_starts_it(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout / "configs")
    names: dict[str, Any] = {}
    for cell in cells():
        value = execute(cell, names)
        shown = value._repr_html_() if hasattr(value, "_repr_html_") else repr(value)
        assert shown
    assert (checkout / "runs" / "notebook" / "report.html").is_file()
    assert len(names["rates"]) == 2


def test_its_paths_are_seen_from_the_root_wherever_it_starts(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beginning = cells()[0].partition("run = ")[0]
    for folder in (checkout, checkout / "configs"):
        monkeypatch.chdir(folder)
        execute(beginning, {})
        assert Path.cwd() == checkout


def test_it_is_kept_without_outputs() -> None:
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in document["cells"])


@pytest.mark.parametrize("page", [API, README], ids=lambda page: page.name)
def test_the_blocks_of_the_pages_run(checkout: Path, page: Page, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = page.blocks("python")
    quick = checkout / "configs" / "quickstart.yaml"
    quick.write_text(quick.read_text().replace("epochs: 12", "epochs: 2").replace("val: 0.1", "val: 0.8"))
    execute("\n".join(blocks), {})
    assert list((checkout / "runs").glob("from-*/checkpoints/best.npz"))
    assert ("finished" in capsys.readouterr().out) == (page == API)
