"""A path of any name is one word for a shell, on one line, and never an option."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import cnntrain
from cnntrain.core.shell import word

NAMES = [
    *(
        "plain",
        "two words",
        "it's",
        'quo"te',
        "a\\b",
        "$(touch hacked)",
        "`id`",
        "a;b",
        "*",
        "#",
        "~",
        "~root",
        "!x",
        "",
    ),
    *(
        "new\nline",
        "\n",
        "tab\t",
        "\r",
        "\x1b[31mred",
        "\udcff\udcfe",
        "é中",
        "\u202egnp",
        "\u2028",
        "'\n'",
        "\\\n\\",
        "\n0",
    ),
    *("-dash", "--json", "-", "--", "-\n"),
]


@pytest.mark.skipif(not shutil.which("bash"), reason="no Bash")
def test_bash_reads_every_name_as_it_is(tmp_path: Path) -> None:
    rng = random.Random(7)
    names = [*NAMES, *("".join(rng.choices("a0'\\\"$`\n\t\x7f\x80é\udc80\U0001f600- ", k=8)) for _ in range(200))]
    script = "printf '%s\\0' " + " ".join(map(word, names))
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, cwd=tmp_path)
    read = [os.fsdecode(part) for part in done.stdout.split(b"\0")[:-1]]
    assert read == [f"./{name}" if name.startswith("-") else name for name in names]
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_printed_and_is_no_option(name: str) -> None:
    assert word(name).isprintable()
    assert not word(name).startswith("-")
    assert word(Path(name)) == word(str(Path(name)))


def test_what_needs_no_quotes_has_none() -> None:
    assert word("runs/a-b_c.yaml") == "runs/a-b_c.yaml"
    assert word("two words") == "'two words'"
    assert word("a\nb") == r"$'a\012b'"


def test_every_command_that_is_recommended_has_its_paths_so() -> None:
    """A path that is quoted in another way may be taken for an option, or be cut in two."""
    sources = [path.read_text(encoding="utf-8") for path in Path(cnntrain.__file__).parent.rglob("*.py")]
    recommended = [
        line for text in sources for line in text.splitlines() if re.search(r"\bcnntrain [a-z-]+ .*\{", line)
    ]
    assert sum("shell.word(" in line for line in recommended) > 10
    assert not [line for line in recommended if "shlex.quote(str(" in line]
