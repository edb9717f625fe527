"""Completion answers a shell that asks how a word may go on: configs, runs, and the dotted keys of `--set`.

A key press waits for it, so nothing here imports NumPy, nor any part, since every part does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ZshComplete, add_completion_class

if TYPE_CHECKING:
    from cnntrain.config.tree import Node

_YAML = (".yaml", ".yml")
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")  # a name from a file, harmless in any shell
PART = "part"  # type of an item after which the word goes on: no space follows
_DEEPEST = 3  # levels of folders searched below the one typed
_MOST = 500  # entries looked at
_SKIPPED = {"checkpoints", "node_modules", "site-packages", "__pycache__"}


# Files


Wanted = Callable[["os.DirEntry[str]"], bool]


def configs(entry: os.DirEntry[str]) -> bool:
    """Whether it may be a config."""
    return entry.name.endswith(_YAML) and _holds(entry.is_file)


def runs(entry: os.DirEntry[str]) -> bool:
    """Whether it is a run directory or a checkpoint."""
    if entry.name.endswith(".npz"):
        return _holds(entry.is_file)
    return _holds(entry.is_dir) and os.path.isdir(os.path.join(entry.path, "checkpoints"))


def _holds(question: Callable[[], bool]) -> bool:
    """Whether it holds of an entry; nothing does of one that cannot be looked at, such as a link to itself."""
    try:
        return question()
    except OSError:
        return False


def files(incomplete: str, offers: Sequence[Wanted]) -> list[CompletionItem]:
    """The entries that an offer wants, in the folder typed so far and below; if there are none, the shell's own."""
    found = {
        path
        for path in _walk(os.path.dirname(incomplete), offers)
        if path.startswith(incomplete) and path.isprintable()  # others cannot be passed to a shell line by line
    }
    return [CompletionItem(path) for path in sorted(found)] or [CompletionItem(incomplete, type="file")]


def _walk(folder: str, offers: Sequence[Wanted]) -> Iterator[str]:
    waiting, looked = [(folder, 0)], 0
    while waiting:
        here, depth = waiting.pop(0)
        try:
            entries = sorted(os.scandir(here or "."), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            looked += 1
            if looked > _MOST:
                return
            path = os.path.join(here, entry.name)
            if any(wanted(entry) for wanted in offers):
                yield path
            if entry.name[0] != "." and entry.name not in _SKIPPED and depth < _DEEPEST and _holds(entry.is_dir):
                waiting.append((path, depth + 1))


# Keys


def set_keys(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """How a `--set KEY=VALUE` may go on, for the configs on the line."""
    from cnntrain.config.compose import Composition
    from cnntrain.config.problems import Problems
    from cnntrain.core.errors import CnntrainError

    if "=" in incomplete:
        return []
    named = [word for word in CommandLine(os.environ["COMP_WORDS"]).words if word.endswith(_YAML)]
    try:
        tree = Composition(Problems()).files(named)
    except CnntrainError:  # none, or none that can be read: then the keys are those that every config has
        tree = None
    head, dot, _ = incomplete.rpartition(".")
    found = keys_below(head.split(".") if dot else [], tree)
    return [CompletionItem(head + dot + key, type=PART) for key in found if (head + dot + key).startswith(incomplete)]


def keys_below(steps: Sequence[str], tree: Node | None) -> list[str]:
    """What may follow the steps of a dotted path: keys with `=` where a value is due, with `.` where more follows."""
    from cnntrain.config.schema import Experiment

    return list(_of_class(Experiment, steps, tree))


def _of_class(cls: type, steps: Sequence[str], node: Node | None) -> Iterable[str]:
    """Below a dataclass of the schema."""
    from cnntrain.config.fields import keys_of
    from cnntrain.config.tree import Map

    keys = keys_of(cls)
    if not steps:
        return [key + ("." if _goes_on(annotation) else "=") for key, (_, annotation) in keys.items()]
    if steps[0] not in keys:
        return []
    below = node.get(steps[0]) if isinstance(node, Map) else None
    return _of_value(keys[steps[0]][1], steps[1:], below)


def _of_value(annotation: Any, steps: Sequence[str], node: Node | None) -> Iterable[str]:
    """Below a value with this annotation."""
    import dataclasses

    from cnntrain.config.fields import Kind

    for base, marks in _members(annotation):
        kind = next((mark for mark in marks if isinstance(mark, Kind)), None)
        if kind:
            return _of_part(kind.names, "layers" in kind.names, steps, node)
        if _is_list(base):
            return _of_list(base, steps, node)
        if dataclasses.is_dataclass(base) and isinstance(base, type):
            return _of_class(base, steps, node)
    return []


def _of_list(base: Any, steps: Sequence[str], node: Node | None) -> Iterable[str]:
    """Below a list: the number or the name of an item that is there."""
    import typing

    from cnntrain.config.tree import List, Map, Scalar

    items = node.items if isinstance(node, List) else ()
    places: dict[str, Node] = {str(number): item for number, item in enumerate(items)}
    for item in items:
        name = item.get("name") if isinstance(item, Map) else None
        if isinstance(name, Scalar) and _PLAIN.fullmatch(name.text):  # for it goes on a command line
            places[name.text] = item
    if not steps:
        return [f"{place}." for place in places]
    return _of_value(typing.get_args(base)[0], steps[1:], places[steps[0]]) if steps[0] in places else []


def _of_part(kinds: Sequence[str], placed: bool, steps: Sequence[str], node: Node | None) -> Iterable[str]:
    """Below a part: its own keys, where its type is known."""
    from cnntrain.config.source_keys import part_keys
    from cnntrain.config.tree import Map, Scalar

    name = node.get("type") if isinstance(node, Map) else node
    if steps or not isinstance(name, Scalar):
        return [] if steps else ["type="]
    for kind in kinds:
        keys = part_keys(kind, name.text, placed)
        if keys:
            return ["type=", *(f"{key}=" for key in keys)]
    return ["type="]


def _members(annotation: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    from cnntrain.config.describe import bare, options

    return (bare(member) for member in options(annotation))


def _is_list(base: Any) -> bool:
    import typing

    return typing.get_origin(base) is tuple


def _goes_on(annotation: Any) -> bool:
    """Whether a value has keys or items within."""
    import dataclasses

    from cnntrain.config.fields import Duration, Kind

    return any(
        any(isinstance(mark, Kind) for mark in marks)
        or (_is_list(base) and any(isinstance(mark, Kind) for _, marks in _members(base.__args__[0]) for mark in marks))
        or (dataclasses.is_dataclass(base) and base is not Duration)
        for base, marks in _members(annotation)
    )


# Shells


class CommandLine:
    """A command line up to the cursor as a shell reads it, whose last word is to be completed.

    words       without their quotes; the last one is empty after a space
    quote       the quote that is open at the cursor: "'", '"' or none
    """

    def __init__(self, text: str, breaks: str = "") -> None:
        """`breaks` are the characters at which readline cuts words: what it replaces begins after the last of them."""
        self.words = [""]
        self.quote = ""
        self._kept = 0  # letters of the last word before what will be replaced
        between = True
        letters = iter(text)
        for letter in letters:
            if self.quote:
                self._quoted(letter, letters)
            elif letter.isspace():
                if not between:
                    self.words.append("")
                    self._kept, between = 0, True
                continue
            elif letter in "'\"":
                self.quote, self._before = letter, self._kept
                self._kept = len(self.words[-1])
            elif letter == "\\":
                self.words[-1] += next(letters, "")
            else:
                self.words[-1] += letter
                if letter in breaks:
                    self._kept = len(self.words[-1])
            between = False

    def _quoted(self, letter: str, letters: Iterator[str]) -> None:
        """One more letter within quotes."""
        if letter == self.quote:
            self.quote, self._kept = "", self._before  # readline cuts nothing within
        elif letter == "\\" and self.quote == '"':
            following = next(letters, "")
            self.words[-1] += following if following in '$`"\\' else letter + following
        else:
            self.words[-1] += letter

    def replaced(self, value: str) -> str:
        """The quoted text to put in place of what readline replaces, so that the last word becomes `value`."""
        return quoted(self.unread(value), self.quote)

    def unread(self, value: str) -> str:
        """The part of a value that stands in what readline replaces."""
        return value.removeprefix(self.words[-1][: self._kept])


def quoted(text: str, quote: str = "") -> str:
    """A text as a shell's own file completion writes it: with backslashes, or as an open quote demands."""
    if quote == "'":
        return text.replace("'", "'\\''")
    if quote:
        return "".join(f"\\{letter}" if letter in '$`"\\' else letter for letter in text)
    escaped = "".join(letter if letter.isalnum() or letter in "_@%+=:,./-~" else f"\\{letter}" for letter in text)
    return f"\\{escaped}" if escaped.startswith("~") else escaped


_BASH = """\
%(complete_func)s() {
    local item
    COMPREPLY=()
    while IFS= read -r item; do
        case $item in
        plain,*) COMPREPLY+=("${item#plain,} ") ;;
        part,*) COMPREPLY+=("${item#part,}") ;;
        quoted,*) compopt +o nospace && COMPREPLY+=("${item#quoted,}") ;;
        *) compopt +o nospace -o default ;;
        esac
    done < <(env COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1")
}
complete -o nosort -o nospace -F %(complete_func)s %(prog_name)s
"""

_ZSH = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local item
    for item in "${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) %(complete_var)s=zsh_complete ${words[1]})}"
    do
        case $item in
        plain,*) compadd -U -V found -- "${item#plain,}" ;;
        part,*) compadd -U -V found -S '' -- "${item#part,}" ;;
        ?*) _files ;;
        esac
    done
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH = """\
function %(complete_func)s
    set -l words (commandline -cp)
    set -l word (commandline -ct)
    for item in (COMP_WORDS="$words" COMP_CWORD="$word" %(complete_var)s=fish_complete %(prog_name)s)
        set -l pair (string split -m 1 , -- $item)
        if contains -- $pair[1] plain part
            echo $pair[2]
        else
            __fish_complete_path $word
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class Bash(BashComplete):
    """Gets the line up to the cursor, since bash itself would cut words at `=`, and the characters at which it cuts.

    Its answers are put on the command line as they are.
    """

    name = "bash"
    source_template = _BASH

    @staticmethod
    def _check_version() -> None:
        """Every bash since 4.4 will do, and asking which this is takes as long as the answer."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one to complete, and that one."""
        return _line()

    def complete(self) -> str:
        """The items as lines. Readline inserts what several have in common, which must not end within an escape."""
        items = self.get_completions(*self.get_completion_args())
        line = CommandLine(os.environ["COMP_WORDS"], os.environ.get("COMP_BREAKS", ""))
        answers = [item.value if item.type == "file" else line.replaced(item.value) for item in items]
        if len(answers) > 1 and _in_common(answers).endswith("\\"):
            answers = [f"'{quoted(line.unread(item.value), chr(39))}'" for item in items]
        kinds = ["quoted" if line.quote and item.type == "plain" else item.type for item in items]
        return "\n".join(f"{kind},{answer}" for kind, answer in zip(kinds, answers, strict=True))


def _in_common(texts: Sequence[str]) -> str:
    """Their longest common prefix."""
    first, last = min(texts), max(texts)
    length = next((i for i, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:length]


class Zsh(ZshComplete):
    """Gets all words and the number of the one at the cursor."""

    name = "zsh"
    source_template = _ZSH

    def format_completion(self, item: CompletionItem) -> str:
        """One item as a line."""
        return f"{item.type},{item.value}"


class Fish(FishComplete):
    """Gets the line up to the cursor, and its last word."""

    name = "fish"
    source_template = _FISH

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one to complete, and that one."""
        return _line()

    def format_completion(self, item: CompletionItem) -> str:
        """One item as a line."""
        return f"{item.type},{item.value}"


def _line() -> tuple[list[str], str]:
    *words, incomplete = CommandLine(os.environ["COMP_WORDS"]).words
    return words[1:], incomplete


SHELLS = {shell.name: shell for shell in (Bash, Zsh, Fish)}
for _shell in SHELLS.values():
    add_completion_class(_shell)
