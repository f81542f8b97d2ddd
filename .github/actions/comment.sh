#!/usr/bin/env bash
# Posts the comment on the pull request, or updates it. Whether that works is not what the check is about: pytest's exit
# code is, which the last step of the action ends with.
set -euo pipefail

command=(
    comment "${RUN:-sdspeed-no-run.json}"
    --exit-code "${EXIT_CODE:-${PREPARED:-1}}"
    --key "${NAME:-sdspeed-$GITHUB_JOB}"
    --log-url "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID"
    --repository "$GITHUB_REPOSITORY"
    --pull-request "$PULL_REQUEST"
    --token-variable SDSPEED_TOKEN
)
if [ -n "$REPORT_URL" ]; then
    command+=(--report-url "$REPORT_URL")
fi
if [ -n "$AUTHOR" ]; then
    command+=(--author "$AUTHOR")
fi
if [ "$HISTORY" = true ] && [ -z "$AGAINST" ]; then
    command+=(--history .benchmarks)
fi
"$PYTHON" -m pytest_sdspeed "${command[@]}" ||
    echo "::warning::no comment was written; the line above says why"
