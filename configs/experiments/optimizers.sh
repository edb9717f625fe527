#!/bin/sh
# Train the same network with plain SGD, SGD with momentum, AdaGrad and Adam, each with and without dropout, and print
# one table of the eight.
#
#   sh configs/experiments/optimizers.sh [OPTION OF cnntrain fit]...
#   EPOCHS=3 sh configs/experiments/optimizers.sh --set seed=1
#
# Run it in the root of the repository. Variables that may be set before it:
#   CONFIG   the experiment, configs/quickstart.yaml by default; its dropout layer must be named `drop`
#   EPOCHS   how long each run is, by default as the config says
#   RUNS     where the run directories go, runs/optimizers by default
# Run it again to continue: finished runs return at once, unfinished ones resume. Ctrl-C, or TERM, stops it after the
# step in progress, saved. It ends with the worst exit code. It needs python3, to read JSON, and nothing else.
#
# One seed is an anecdote: the differences between the better rows are smaller than those between two seeds.
set -u
here=$(dirname "$0")

case ${1:-} in
-h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" && exit ;;
esac
config=${CONFIG:-configs/quickstart.yaml}
runs=${RUNS:-runs/optimizers}
if [ ! -f "$config" ]; then
    echo "there is no $config in $(pwd). Run this in the root of the repository, or set CONFIG" >&2
    exit 2
fi
[ -z "${EPOCHS:-}" ] || set -- --set "train.epochs=$EPOCHS" "$@"

# shellcheck source=configs/experiments/supervise.sh
. "$here/supervise.sh"
mkdir -p "$runs" || exit 5

# train NAME OPTIMIZER [OPTION]...: one run, its result as NAME.fit.json, that of its best weights as NAME.eval.json
train() {
    run=$1 settings=$2
    shift 2
    [ "$stopped" -eq 0 ] || return 0
    rm -f "$runs/$run.eval.json"
    supervise "$cnntrain" fit "$config" --set "optimizer=$settings" --set checkpoint.best.monitor=val/accuracy \
        --run-dir "$runs/$run" --resume-or-start --json "$@" >"$runs/$run.fit.json"
    [ "$code" -eq 0 ] && [ "$stopped" -eq 0 ] || return 0
    supervise "$cnntrain" eval "$runs/$run" --json >"$runs/$run.eval.json"
}

both() { # without dropout, and with as much as the config says
    name=$1 optimizer=$2
    shift 2
    train "$name" "$optimizer" --set model.layers.drop.rate=0 "$@"
    train "$name-dropout" "$optimizer" "$@"
}

both sgd '{type: sgd, lr: 0.1, weight_decay: 5e-4}' "$@"
both momentum '{type: sgd, lr: 0.1, momentum: 0.9, weight_decay: 5e-4}' "$@"
both adagrad '{type: adagrad, lr: 0.01, weight_decay: 5e-4}' "$@"
both adam '{type: adam, lr: 0.001, weight_decay: 5e-4}' "$@"

python3 - "$runs" <<'PYTHON'
import json
import sys
from pathlib import Path

COLUMNS = ("optimizer", "dropout", "epochs", "val accuracy", "test accuracy", "test loss")


def read(path):
    """The JSON document a command left, or None where it did not end well."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


rows = [COLUMNS]
for optimizer in ("sgd", "momentum", "adagrad", "adam"):
    for dropout in ("no", "yes"):
        name = Path(sys.argv[1], optimizer + ("-dropout" if dropout == "yes" else ""))
        fit, test = read(name.with_name(name.name + ".fit.json")), read(name.with_name(name.name + ".eval.json"))
        figures = ["-"] * 4
        if fit and test:
            figures = [str(fit["epochs"])]
            figures += [f"{value:.4f}" for value in (fit["best"]["value"], test["accuracy"], test["loss"])]
        rows.append((optimizer, dropout, *figures))
widths = [max(map(len, column)) for column in zip(*rows)]
print()
for row in rows:
    left = [cell.ljust(width) for cell, width in zip(row[:2], widths)]
    print("  ".join(left + [cell.rjust(width) for cell, width in zip(row[2:], widths[2:])]))
PYTHON
[ "$stopped" -eq 0 ] || exit "$stopped"
exit "$worst"
