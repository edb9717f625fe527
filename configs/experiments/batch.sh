#!/bin/sh
# Train every config of a folder, one after the other; one that fails does not stop the others.
#
#   sh configs/experiments/batch.sh FOLDER [OPTION OF cnntrain fit]...
#   sh configs/experiments/batch.sh my-configs --set train.epochs=3
#
# Relative paths in the configs count from the directory in which you run it, as with cnntrain itself: for the configs
# of this repository, that is its root. FOLDER/NAME.yaml is trained in runs/FOLDER/NAME; set RUNS to put the run
# directories elsewhere. Run it again to continue: finished runs return at once, unfinished ones resume. Ctrl-C, or
# TERM, stops it after the step in progress, saved. It ends with a table, and with the worst exit code.
set -u
here=$(dirname "$0")

usage() {
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
}
case ${1:-} in
-h | --help) usage && exit ;;
'' | -*) usage >&2 && exit 2 ;;
esac
folder=${1%/}
shift
runs=${RUNS:-runs/$(basename "$folder")}

# shellcheck source=configs/experiments/supervise.sh
. "$here/supervise.sh"

table=
row() {
    table="$table$(printf '%-28s  %4s  %-18s  %s' "$@")
"
}
row config exit outcome "run directory"

found=0
for config in "$folder"/*.yaml; do
    [ -f "$config" ] || continue
    found=$((found + 1))
    name=$(basename "$config" .yaml)
    if [ "$stopped" -ne 0 ]; then
        row "$name" - "not started" -
        continue
    fi
    supervise "$cnntrain" fit "$config" --run-dir "$runs/$name" --resume-or-start "$@"
    row "$name" "$code" "$(meaning "$code")" "$runs/$name"
done
if [ "$found" -eq 0 ]; then
    echo "$(pwd)/$folder holds no .yaml file" >&2
    exit 2
fi

printf '\n%s' "$table"
[ "$stopped" -eq 0 ] || exit "$stopped"
exit "$worst"
