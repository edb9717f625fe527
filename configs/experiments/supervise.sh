# Sourced by the scripts beside it: runs commands one after the other, so that a signal ends the script cleanly.
#
# A shell runs its traps only between two foreground commands, and what it starts in the background ignores Ctrl-C.
# So each command runs in the background, the script waits for it, and what stops the script is passed on as TERM:
# cnntrain then finishes its step, saves and exits. The script waits for that, so nothing goes on behind its back.
# shellcheck shell=sh

child=    # the process that runs at present
signals=0 # how many have come in
stopped=0 # 128 + the last of them, as in an exit code
worst=0   # the largest exit code so far

pass_on() {
    stopped=$1
    signals=$((signals + 1))
    [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || :
}
trap 'pass_on 129' HUP
trap 'pass_on 130' INT
trap 'pass_on 143' TERM

# quoted WORD...: the words as one would type them.
quoted() {
    for word in "$@"; do
        case $word in
        '' | *[!A-Za-z0-9_./=:,-]*) printf " '%s'" "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")" ;;
        *) printf ' %s' "$word" ;;
        esac
    done
}

# supervise COMMAND [ARGUMENT...]: print the command, run it to its end, and leave its exit code in $code.
supervise() {
    printf '+%s\n' "$(quoted "$@")" >&2
    "$@" &
    child=$!
    [ "$stopped" -eq 0 ] || kill -TERM "$child" 2>/dev/null || : # the signal came before there was a child
    code=
    while [ -z "$code" ] || [ "$heard" -ne "$signals" ]; do # a signal ends `wait` while the command goes on
        heard=$signals
        wait "$child"
        answer=$?
        [ -n "$code" ] && [ "$answer" -eq 127 ] || code=$answer # 127: it ended before, and its code is known
    done
    child=
    [ "$code" -le "$worst" ] || worst=$code
}

# meaning CODE: what an exit code of cnntrain says, in a word or two, as `cnntrain sweep` has it.
meaning() {
    case $1 in
    0) echo "finished" ;;
    1) echo "a bug" ;;
    2) echo "wrong config" ;;
    3) echo "wrong data" ;;
    4) echo "wrong checkpoint" ;;
    5) echo "storage failed" ;;
    6) echo "diverged" ;;
    7) echo "out of memory" ;;
    8) echo "directory refused" ;;
    9) echo "check failed" ;;
    75) echo "paused, resumable" ;;
    129 | 130 | 143) echo "stopped, resumable" ;;
    141) echo "pipe closed" ;;
    1[3-9]?) echo "killed" ;; # 128 + the signal
    *) echo "unknown" ;;
    esac
}

# The program: the one on the PATH, else the one the README's first command installs.
# shellcheck disable=SC2034 # read by the scripts
if command -v cnntrain >/dev/null 2>&1; then
    cnntrain=cnntrain
elif [ -x .venv/bin/cnntrain ]; then
    cnntrain=.venv/bin/cnntrain
else
    echo "cnntrain is neither on the PATH nor in .venv/bin. Install it as the README says" >&2
    exit 127
fi
