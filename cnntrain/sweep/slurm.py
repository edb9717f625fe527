"""A Slurm script is a sweep as a job array, to read, edit and submit: each of its tasks trains one cell.

A task that reaches its time limit saves and is queued again; a finished one ends at once. So an array can be submitted
again at any time, and goes on. A cancelled task is meant to end: it saves, and is not queued.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from cnntrain.core import shell
from cnntrain.core.counts import counted
from cnntrain.core.directories import make_directory
from cnntrain.core.errors import StorageError, UsageError
from cnntrain.core.output import Output
from cnntrain.sweep import child
from cnntrain.sweep.cells import Sweep

MARGIN = 120  # seconds before its time limit that a task begins to save
_LIMIT = "04:00:00"
_MEMORY = "2G"  # for each processor
_MOST = 1001  # tasks of an array, unless a cluster's MaxArraySize says otherwise

_SCRIPT = r"""#!/bin/bash
# The sweep {name}: {count}.
#   sbatch {file}
# Submit it again after anything that ended it: what is finished stays, everything else goes on.{many}

# Edit what follows to suit your cluster: partition, account, time, memory, processors.
#SBATCH --job-name={name}
#SBATCH --array=0-{last}{at_once}
#SBATCH --time={limit}
#SBATCH --cpus-per-task={threads}
#SBATCH --mem-per-cpu={memory}
#SBATCH --chdir={here}
#SBATCH --output={log}
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@{margin}

case "${{SLURM_ARRAY_TASK_ID:?submit this script with sbatch}}" in
{cells}
  *) echo "there is no run $SLURM_ARRAY_TASK_ID" >&2; exit 2 ;;
esac

set -- "$@" --threads "${{SLURM_CPUS_PER_TASK:-{threads}}}" --progress plain
if [ -n "${{SLURM_JOB_END_TIME:-}}" ]; then # seconds since 1970; where Slurm does not set it, USR1 comes
  left=$((SLURM_JOB_END_TIME - $(date +%s) - {margin}))
  set -- "$@" --max-time "$((left > 1 ? left : 1))s"
fi

limit_is_near=
{program} "$@" &
run=$!
trap 'limit_is_near=yes; kill -TERM "$run"' USR1 # Slurm, ahead of the limit: save, and go on later
trap 'kill -TERM "$run"' TERM INT                # scancel: save, and end
wait "$run"
code=$?
while kill -0 "$run" 2>/dev/null; do # a signal has ended the wait, not the run
  wait "$run"
  code=$?
done
if [ "$code" -eq 75 ] || {{ [ -n "$limit_is_near" ] && [ "$code" -eq 143 ]; }}; then
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit "$code"
"""


def write_script(plan: Sweep, folder: Path, file: Path, threads: int, at_once: int | None) -> None:
    """Write the script that trains a sweep in `folder` from the working directory; `at_once` bounds tasks at a time.

    Raises StorageError where the file exists already, since somebody may have edited it, and UsageError for a word that
    cannot stand in a script.
    """
    text = script(plan, folder, file, threads, at_once)
    place = Output(file)
    if place.is_there and place.read() != text.encode():
        raise StorageError(f"{file} exists already, and may have been edited. Remove it, or name another file")
    make_directory(folder)  # Slurm makes none for its logs
    place.write(text)


def script(plan: Sweep, folder: Path, file: Path, threads: int, at_once: int | None) -> str:
    """The text of the script."""
    count = len(plan.cells)
    log = folder.absolute() / "slurm-TASK.log"
    return _SCRIPT.format(
        name=plan.name,
        count=f"{counted(count, 'run')} in {shell.word(folder)}",
        file=_word(str(file)),
        many=f"\n# More than {_MOST} tasks: most clusters want such an array in parts (MaxArraySize)."
        * (count > _MOST),
        last=count - 1,
        at_once=f"%{at_once}" if at_once else "",
        limit=_LIMIT,
        threads=threads,
        memory=_MEMORY,
        here=_directive(str(Path.cwd())),
        log=_directive(str(log).replace("%", "%%").replace("TASK", "%a")),
        margin=MARGIN,
        cells="\n".join(f"  {n}) set -- {_line(plan.words(cell, folder))} ;;" for n, cell in enumerate(plan.cells)),
        program=_line(child.lasting([])),
    )


def _line(words: list[str]) -> str:
    return " ".join(map(_word, words))


def _word(word: str) -> str:
    """A word for a shell. Raises UsageError where it would break the line."""
    if not word.isprintable():
        raise UsageError(f"{word!r} cannot stand in a script. Train without --slurm")
    return shlex.quote(word)


def _directive(path: str) -> str:
    """A path for sbatch, which knows double quotes."""
    if not path.isprintable() or '"' in path:
        raise UsageError(f"{path!r} cannot stand in a line for sbatch. Choose other directories")
    return f'"{path}"' if " " in path else path
