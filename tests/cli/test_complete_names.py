"""Names that a shell would act upon, completed by the shells themselves in a terminal: one word each, and no code."""

from __future__ import annotations

import fcntl
import itertools
import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from click.shell_completion import CompletionItem

from cnntrain.cli.complete import Bash, CommandLine, quoted
from tests.support.campaign import counts
from tests.support.experiments import FULL

NAMES = [
    *("x$(touch pwned)", "x' $(touch pwned) '", "a b", 'q"q', "at@a=b:c", "x;touch pwned"),
    *("x`touch pwned`", "x&touch pwned&", "x|touch pwned", "it's"),
    *("back\\slash", "dollar$HOME", "star*", "what?", "br[a]cket", "br{a,b}ace", "angle<>", "par(en)s", "hash #x"),
    *("~tilde", "caret^", "per%cent", "ümlaut ß", "tab-less", "bang!x", "$'x'"),
]
START = {
    "bash": (["--norc", "--noprofile", "-i"], "PS1=; bind 'set enable-bracketed-paste off'; set +o history"),
    "zsh": (["-f", "-i"], "PS1=; unsetopt zle_bracketed_paste PROMPT_SP; autoload compinit; compinit -u -D"),
    "fish": (["--no-config", "-i"], "function fish_prompt; end"),
}
LOAD = {name: f'eval "$(cnntrain completion {name})"' for name in START} | {"fish": "cnntrain completion fish | source"}

QUIET = 0.3  # seconds in which a shell shows what it was told
PATIENCE = 20  # seconds until the program has run


class Terminal:
    """An interactive shell, typed into."""

    def __init__(self, name: str, program: str, folder: Path) -> None:
        arguments, settings = START[name]
        self._master, slave = pty.openpty()
        environment = {
            "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
            "HOME": str(folder),
            "TERM": "xterm",
            "LANG": "C.UTF-8",
        }
        self._process = subprocess.Popen(
            [program, *arguments],
            cwd=folder,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # fish wants a terminal of its own
        )
        os.close(slave)
        self.shown = b""
        self._folder = folder
        self.type(f"{settings}\r", 0.5)
        self.type(f"{LOAD[name]}\r", QUIET, "answered")

    def type(self, text: str, quiet: float, after: str = "") -> None:
        """Type, and wait until nothing has been shown for some seconds since the program has left a file, if it is to.

        Which file says that it has run: how long it takes is up to the machine.
        """
        if after:
            (self._folder / after).unlink(missing_ok=True)
        os.write(self._master, text.encode())
        deadline = time.monotonic() + PATIENCE
        while after and not (self._folder / after).exists() and time.monotonic() < deadline:
            self._show(0.02)
        while self._show(quiet):
            pass

    def _show(self, seconds: float) -> bool:
        """Take what is shown within so many seconds, if anything is."""
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        piece = os.read(self._master, 65536)
        self.shown += piece
        if b"\x1b[c" in piece or b"\x1b[0c" in piece:  # fish asks what terminal this is
            os.write(self._master, b"\x1b[?62;c")
        return True

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for each name with a config called so, a program to complete, and what it was called with."""
    for number, name in enumerate(NAMES):
        (tmp_path / f"d{number}").mkdir()
        (tmp_path / f"d{number}" / f"{name}.yaml").touch()
    program = tmp_path / "bin/cnntrain"
    program.parent.mkdir()
    program.write_text(
        f"""#!/bin/sh
if [ -n "$_CNNTRAIN_COMPLETE" ] || [ "$1" = completion ]; then
    PYTHONPATH={shlex.quote(str(Path(__file__).parents[2]))} {shlex.quote(sys.executable)} -m cnntrain "$@"
    touch "$HOME/answered"
    exit
fi
printf '%s\\n' "$@" > "$HOME/calling"
mv "$HOME/calling" "$HOME/called"
"""
    )
    program.chmod(0o755)
    return tmp_path


def called(folder: Path) -> list[str]:
    """What the program was called with."""
    words = (folder / "called").read_text().splitlines() if (folder / "called").exists() else []
    (folder / "called").unlink(missing_ok=True)
    return words


@counts(4, len(NAMES))
@pytest.mark.parametrize("name", START)
def test_a_file_of_any_name_is_one_word_and_runs_nothing(folder: Path, name: str, count: int) -> None:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"no {name} here")
    terminal = Terminal(name, program, folder)
    try:
        wrong = []
        for quote, (number, file) in itertools.product(("", "'", '"'), enumerate(NAMES[:count])):
            if quote == '"' and "!" in file:
                continue  # a shell itself has no way to write it there
            terminal.type(f"cnntrain fit {quote}d{number}/\t", QUIET, "answered")
            terminal.type("\r", 0, "called")
            found = called(folder)
            if found != ["fit", f"d{number}/{file}.yaml"]:
                wrong.append((quote, file, found))
                terminal.type("\x03", QUIET)
    finally:
        terminal.close()
    assert not (folder / "pwned").exists()
    assert wrong == [], terminal.shown.decode(errors="replace")[-2000:]


def test_no_name_out_of_a_config_is_offered_that_is_not_a_plain_word(cnntrain, desk, monkeypatch):
    for number, name in enumerate(("x$(touch pwned)", "a b", "x;y", "head", "")):
        config = desk / f"{number}.yaml"
        config.write_text(FULL.replace("{type: dense,", f"{{type: dense, name: '{name}',"))
        line = f"cnntrain fit {number}.yaml -s model.layers."
        monkeypatch.setenv("_CNNTRAIN_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", "model.layers.")
        offered = {item.partition(",")[2] for item in cnntrain().out.split("\n")}
        assert offered - {""} == {f"model.layers.{i}." for i in range(7)} | (
            {"model.layers.head."} if name == "head" else set()
        )


def words(text: str) -> list[str]:
    """What a shell makes of it."""
    done = subprocess.run(["sh", "-c", f"printf '%s\\n' {text}"], text=True, capture_output=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_quoted_reads_as_it_was(name: str) -> None:
    assert words(quoted(name)) == [name]
    for quote in "'\"":
        text = f"cnntrain fit {quote}{quoted(name, quote)}"
        assert CommandLine(text).words == ["cnntrain", "fit", name]
        assert words(f"{quote}{quoted(name, quote)}{quote}") == [name]
    assert CommandLine(f"cnntrain fit {quoted(name)}").words == ["cnntrain", "fit", name]


@pytest.mark.parametrize(
    ("text", "words", "replaced"),
    [
        ("cnntrain fit ", ["cnntrain", "fit", ""], "a/b=c d"),
        ("cnntrain fit a/b=", ["cnntrain", "fit", "a/b="], "c d"),
        ("cnntrain fit 'a/b=", ["cnntrain", "fit", "a/b="], "a/b=c d"),
        ("cnntrain fit a/'b=", ["cnntrain", "fit", "a/b="], "b=c d"),
        ("cnntrain fit a/b\\=", ["cnntrain", "fit", "a/b="], "a/b=c d"),
        ('cnntrain "f i" "a/b"=', ["cnntrain", "f i", "a/b="], "c d"),
    ],
)
def test_what_readline_replaces(text: str, words: list[str], replaced: str) -> None:
    line = CommandLine(text, " \t\n\"'@><=;|&(:")
    assert line.words == words
    assert line.unread("a/b=c d") == replaced


def test_what_several_words_have_in_common_does_not_end_within_an_escape(monkeypatch) -> None:
    """Readline puts it on the line, where the escape would take the next letter that is typed."""

    def answers(*values: str) -> list[str]:
        items = [CompletionItem(value) for value in values]
        monkeypatch.setattr(Bash, "get_completions", lambda *_: items)
        return [line.partition(",")[2] for line in Bash.__new__(Bash).complete().splitlines()]

    monkeypatch.setenv("COMP_WORDS", "cnntrain fit a")
    assert answers("a b", "a;c") == ["'a b'", "'a;c'"]
    assert answers("a b", "a c", "a bc") == [r"a\ b", r"a\ c", r"a\ bc"]
    assert answers("a b") == [r"a\ b"]
