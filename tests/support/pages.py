"""The pages of the project: every README, and what .github holds, taken apart into blocks, sections and tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDERS = (
    ".",
    "configs",
    "data",
    "cnntrain",
    "cnntrain/api",
    "cnntrain/cli",
    "cnntrain/parts",
    "cnntrain/rundir",
    "tests",
)
NAMES = (
    *(f"{folder}/README.md".removeprefix("./") for folder in FOLDERS),
    ".github/CONTRIBUTING.md",
    "configs/lessons/README.md",
)


@dataclass(frozen=True)
class Page:
    """One page; `name` is its path from the root."""

    name: str

    @property
    def path(self) -> Path:
        """Where it lies."""
        return ROOT / self.name

    @property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text(encoding="utf-8")

    def blocks(self, language: str) -> list[str]:
        """The text of its code blocks in this language."""
        return re.findall(rf"^```{language}\n(.*?)^```$", self.text, re.DOTALL | re.MULTILINE)

    def prose(self) -> str:
        """What is left without its code blocks."""
        return re.sub(r"^```.*?^```$", "", self.text, flags=re.DOTALL | re.MULTILINE)

    def section(self, title: str) -> str:
        """The text under a heading of the second level."""
        found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", self.text, re.DOTALL | re.MULTILINE)
        assert found, f"{self.name} has no section {title!r}"
        return found[1]

    def rows(self, title: str) -> list[list[str]]:
        """The first table under a heading, without its header."""
        table = re.search(r"(?:^\|.*\n)+", self.section(title), re.MULTILINE)
        assert table, f"{self.name} has no table under {title!r}"
        return [[cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in table[0].splitlines()[2:]]

    def anchors(self) -> list[str]:
        """What a link may name after the #, as GitHub makes it of headings."""
        titles = re.findall(r"^#+ (.*)$", self.prose(), re.MULTILINE)
        return [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]

    def links(self) -> list[str]:
        """Every target of a link or picture but those on the web."""
        return [link for link in re.findall(r"\]\(([^)\s]+)\)", self.prose()) if "://" not in link]


PAGES = [Page(name) for name in NAMES]
README, CONFIGS, DATA, CODE, API, CLI, PARTS, RUNS, TESTS, CONTRIBUTING, LESSONS = PAGES
