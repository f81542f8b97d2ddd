#!/usr/bin/env bash
# Runs pytest, and says how it ended: `exit-code`, `run` (the file of the run) and `measured` (whether there is one).
# It ends with 0 itself, so that the steps after it run.
set -euo pipefail

run=${REPORT%.html}.json

finish() {
    code=$?
    {
        echo "exit-code=$code"
        echo "run=$run"
        if [ -s "$run" ]; then echo "measured=true"; else echo "measured=false"; fi
    } >> "$GITHUB_OUTPUT"
    exit 0
}
trap finish EXIT

# What an earlier run has left, on a machine of one's own, is not of this one.
rm -f -- "$run" "$REPORT"

words=$RUNNER_TEMP/sdspeed-arguments
PYTHONIOENCODING=utf-8 "$PYTHON" -c 'import os, shlex, sys; sys.stdout.write("".join(f"{word}\0" for word in shlex.split(os.environ["ARGUMENTS"])))' \
    > "$words" || {
    echo "::error::arguments of the action: quotes are not closed, or there is no '${PYTHON//[$'\r\n']/ }'"
    exit 4
}
command=(-m pytest)
while IFS= read -r -d '' word; do
    command+=("$word")
done < "$words"
command+=(--benchmark-autosave "--benchmark-json=$run" "--sd-report=$REPORT")
if [ -n "$AGAINST" ]; then
    command+=("--sd-against=$AGAINST")
fi
"$PYTHON" "${command[@]}"
