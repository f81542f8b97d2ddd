#!/usr/bin/env bash
# Runs pytest, and says how it ended: `exit-code`, `run` (the file of the run) and `measured` (whether a gate is in it).
# A run that passed without any gate has exit code 5, as one without any test. It ends with 0 itself, so that the steps
# after it run.
set -euo pipefail

run=${REPORT%.html}.json

# Other plugins' benchmarks are no gates.
has_gate='import json, sys; sys.exit(not any("sdspeed" in one["extra_info"] for one in json.load(open(sys.argv[1], encoding="utf-8"))["benchmarks"]))'

finish() {
    code=$? measured=false
    if [ -s "$run" ] && "$PYTHON" -c "$has_gate" "$run"; then measured=true; fi
    if [ "$code" = 0 ] && [ "$measured" = false ]; then
        echo "::error::pytest passed, but no gate measured anything: all were skipped, or an option keeps them from running (--benchmark-disable, --collect-only)"
        code=5
    fi
    {
        echo "exit-code=$code"
        echo "run=$run"
        echo "measured=$measured"
    } >> "$GITHUB_OUTPUT"
    exit 0
}
trap finish EXIT

# What an earlier run has left, on a machine of one's own, is not of this one.
rm -f -- "$run" "$REPORT"

# What is acknowledged is what this checkout acknowledges: a history that was restored has the file of another commit.
if [ "$HISTORY" = true ] && [ -d .benchmarks ]; then
    find .benchmarks -name acknowledged.toml -exec rm -f -- {} +
    kept=$RUNNER_TEMP/sdspeed-acknowledged/.benchmarks
    if [ -d "$kept" ]; then cp -R -- "$kept/." .benchmarks; fi
fi

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
