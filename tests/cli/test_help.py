"""Help, version, completion and what is said of a mistyped command line."""

from __future__ import annotations

import importlib
import itertools
import json
import re
import shlex
import subprocess
import sys

import pytest

from cnntrain import __version__
from cnntrain.cli import ALIASES, COMMANDS
from cnntrain.config.load import load
from tests.support.pages import ROOT

PROGRAM = """\
import sys
from cnntrain.cli import main
code = main(sys.argv[1:])
print(code, *sorted({"numpy", "PIL", "yaml", "tqdm"} & set(sys.modules)), file=sys.stderr)
"""
COMPLETE = {"_CNNTRAIN_COMPLETE": "bash_complete", "COMP_CWORD": ""}


EVERY = """\
import json, os, sys
from cnntrain.cli import main
for arguments, environment in json.loads(sys.argv[1]):
    os.environ.clear()
    os.environ.update(environment)
    code = main(arguments)
    heavy = sorted({"numpy", "PIL", "yaml", "tqdm"} & set(sys.modules))
    if code or heavy:
        sys.exit(f"{arguments} {environment}: {code}, imports {heavy}")
"""
AT_ONCE = [
    *((arguments, {}) for arguments in (["--help"], ["--version"])),
    *((["completion", shell], {}) for shell in ("bash", "zsh", "fish")),
    *(([name, "--help"], {}) for name in COMMANDS),
    *(
        ([], COMPLETE | {"COMP_WORDS": words, "COMP_CWORD": words.rpartition(" ")[2]})
        for words in (
            *("cnntrain e", "cnntrain fit --", "cnntrain fit a.npz ", "cnntrain list lay"),
            "cnntrain list layers c",
        )
    ),
]


def test_answers_at_once_import_nothing_heavy():
    """One after the other in one process: what one of them imported would still be there after the last."""
    command = [sys.executable, "-c", EVERY, json.dumps(AT_ONCE)]
    ended = subprocess.run(command, env={}, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_takes_a_run_for_one_of_its_checkpoints_says_for_which():
    for name in COMMANDS:
        command = importlib.import_module(f"cnntrain.cli.{name.replace('-', '_')}").command
        if any(param.metavar == "CHECKPOINT|RUN" for param in command.params):
            said = " ".join(command.help.split())
            assert "run directory stands for its best checkpoint, or its last if there is no best" in said, name


def test_an_unknown_key_alone_imports_no_numpy(tmp_path):
    (tmp_path / "a.yaml").write_text("nonsense: 1\n")
    program = [sys.executable, "-c", PROGRAM, "config", str(tmp_path / "a.yaml")]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert ended.stderr.splitlines()[-1] == "2 yaml"


@pytest.mark.parametrize(
    ("words", "word", "offered"),
    [
        ("cnntrain ev", "ev", "eval"),
        ("cnntrain fit --over", "--over", "--overwrite"),
        ("cnntrain list opt", "opt", "optimizers"),
    ],
)
def test_a_shell_is_offered_completions(cnntrain, monkeypatch, words, word, offered):
    for name, value in (COMPLETE | {"COMP_WORDS": words, "COMP_CWORD": word}).items():
        monkeypatch.setenv(name, value)
    outcome = cnntrain()
    assert outcome.code == 0
    assert outcome.out == f"plain,{offered}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_the_variable_that_is_answered(cnntrain, shell):
    outcome = cnntrain("completion", shell)
    assert (outcome.code, outcome.err) == (0, "")
    assert "_CNNTRAIN_COMPLETE=" in outcome.out


def test_version(cnntrain):
    assert cnntrain("--version").out == f"cnntrain {__version__}\n"


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_the_commands_in_the_order_of_a_first_day(cnntrain, flag):
    outcome = cnntrain(flag)
    assert outcome.code == 0
    lines = [line.split()[0] for line in outcome.out.split("Commands:")[1].splitlines() if line.strip()]
    assert lines[: len(COMMANDS)] == list(COMMANDS)
    assert not set(lines) & set(ALIASES)


def test_without_a_command_help_is_an_error(cnntrain):
    outcome = cnntrain()
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == cnntrain("--help").out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_fits_80_columns_and_ends_with_examples(cnntrain, name):
    outcome = cnntrain(name, "-h")
    assert (outcome.code, outcome.err) == (0, "")
    text, examples = outcome.out.split("\nExample")
    assert max(map(len, text.splitlines())) <= 80
    assert f"cnntrain {name}" in examples
    assert "Show tracebacks of errors." in text
    assert not re.search(r"  -.* (INTEGER|FLOAT)\b", text), "an option's value has a name"


def config_of(arguments):
    """The config that an example is about, as far as it names one of this repository or a run of one."""
    for argument in arguments:
        if argument.startswith("configs/"):
            return argument
        if argument.startswith("runs/quickstart"):
            return "configs/quickstart.yaml"
    return None


@pytest.mark.parametrize("name", COMMANDS)
def test_what_an_example_sets_is_a_key_of_its_config(cnntrain, name):
    _, examples = cnntrain(name, "-h").out.replace("\\\n", " ").split("\nExample")
    for line in examples.splitlines()[1:]:
        arguments = shlex.split(line)
        sets = [value for option, value in itertools.pairwise(arguments) if option in ("-s", "--set")]
        config = config_of(arguments)
        if sets and config:
            load([ROOT / config], sets)


def test_the_options_of_fit_stand_in_sections(cnntrain):
    sections = [part.splitlines()[0] for part in cnntrain("fit", "-h").out.split("\n\n")]
    documents = ["fit/1, printed by fit --json:", "fit-dry-run/1, printed by fit --dry-run --json:"]
    assert sections[2:] == ["Options:", "Pausing and resuming:", "Output:", *documents, "Examples:"]


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_aliases_are_the_command(cnntrain, alias, name):
    assert cnntrain(alias, "-h").out.replace(f"cnntrain {alias} ", f"cnntrain {name} ") == cnntrain(name, "-h").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fti"], "no command 'fti'; did you mean 'fit'? See 'cnntrain --help'"),
        (["trian"], "no command 'trian'; did you mean 'train'? See 'cnntrain --help'"),
        (
            ["xyz"],
            f"no command 'xyz'; known: {', '.join(sorted(COMMANDS))}. See 'cnntrain --help'",
        ),
        (["--sett"], "no option '--sett'. See 'cnntrain --help'"),
        (["fit", "--sett", "a=1"], "no option '--sett'; did you mean '--set'? See 'cnntrain fit --help'"),
        (["fit", "--max_tmie", "1"], "no option '--max_tmie'; did you mean '--max-time'? See 'cnntrain fit --help'"),
        (["eval", "--bogus"], "no option '--bogus'. See 'cnntrain eval --help'"),
        (
            ["eval", "--tta"],
            "no option '--tta': test-time augmentation is written in the config, as the transform spatial_views in "
            "data.eval_transforms. See 'cnntrain eval --help'",
        ),
        (
            ["lr-find", "a.yaml", "--low", "nan"],
            "invalid value for '--low': expected a number greater than 0, got 'nan'. See 'cnntrain lr-find --help'",
        ),
        (
            ["time", "a.yaml", "--steps", "x"],
            "invalid value for '--steps': expected a whole number of at least 1, got 'x'. See 'cnntrain time --help'",
        ),
        (["fit", "a.yaml", "-s"], "option '-s' requires an argument. See 'cnntrain fit --help'"),
        (["fit"], "fit needs a config file. Write one for your data with: cnntrain init --data DATA"),
        (
            ["fit", "a.yaml", "-j", "0"],
            "invalid value for '-j' / '--threads': expected a whole number from 1 to 256, got '0'. "
            "See 'cnntrain fit --help'",
        ),
        (
            ["fit", "a.yaml", "-o", ""],
            "invalid value for '-o' / '--output' / '--run-dir': the path is empty. See 'cnntrain fit --help'",
        ),
        (
            ["fit", "a.yaml", "-o", "~/run"],
            "--run-dir ~/run: the shell did not expand the ~. Write $HOME instead",
        ),
        (
            ["fit", "a.yaml", "--pause-at", "0ep"],
            "invalid value for '--pause-at': expected a duration greater than zero, got '0ep'. "
            "See 'cnntrain fit --help'",
        ),
        (["fit", "--resume"], "--resume needs --run-dir, to know which run is meant"),
        (["fit", "--resume-or-start"], "--resume-or-start needs --run-dir, to know which run is meant"),
        (["fit", "a.yaml", "--overwrite"], "--overwrite needs --run-dir, to know which run is meant"),
        (
            ["fit", "a.yaml", "-o", "a", "--resume", "--overwrite"],
            "--resume and --overwrite contradict each other. Choose one",
        ),
        (
            ["fit", "a.yaml", "-o", "a", "--resume", "-n"],
            "--dry-run rehearses a new run and --resume continues one. Choose one",
        ),
        (["fit", "a.yaml", "--strict-env"], "--strict-env is for resuming. Add --resume, or leave it out"),
        (
            ["fit", "a.yaml", "--allow-data-change"],
            "--allow-data-change is for resuming. Add --resume, or leave it out",
        ),
        (["eval"], "missing argument 'CHECKPOINT|RUN'. See 'cnntrain eval --help'"),
        (["eval", "a", "--csv", "--json"], "--csv and --json are two forms of one answer. Choose one"),
        (["eval", ""], "invalid value for 'CHECKPOINT|RUN': the path is empty. See 'cnntrain eval --help'"),
        (
            ["eval", "a", "--split", "all"],
            "invalid value for '--split': 'all' is not one of 'train', 'val', 'test'. See 'cnntrain eval --help'",
        ),
        (["predict", "a"], "missing argument 'PATH...'. See 'cnntrain predict --help'"),
        (["config", "a", "--origin", "--diff", "b"], "--origin and --diff are two answers. Choose one"),
        (
            ["completion"],
            "missing argument 'SHELL'. Choose from: bash, zsh, fish. See 'cnntrain completion --help'",
        ),
        (["list", "layer"], "no kind 'layer'; did you mean 'layers'? See 'cnntrain list'"),
        (["list", "Adam"], "no kind 'Adam'; did you mean 'adam'? See 'cnntrain list'"),
        (["list", "layers", "Conv2D"], "unknown layer 'Conv2D'; did you mean 'conv2d'? See 'cnntrain list layers'"),
        (["list", "averages", "x"], "unknown average 'x'; known: ema, swa. See 'cnntrain list averages'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistyped_command_line_is_one_line_that_says_what_to_type(cnntrain, desk, arguments, message):
    outcome = cnntrain(*arguments)
    assert outcome.code == 2
    assert outcome.error == message
    assert not list(desk.iterdir())
