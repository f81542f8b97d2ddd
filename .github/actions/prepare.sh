#!/usr/bin/env bash
# Checks the inputs of the action, and says what its steps share: `name`, and `against`, which is empty if two versions
# are not compared. A wrong input ends it with 4, as pytest ends for a wrong option, and with the output `exit-code`.
# It keeps the checkout's files of acknowledged changes for run.sh.
set -euo pipefail

refuse() {
    echo "::error::${1//[$'\r\n']/ }"
    echo "exit-code=4" >> "$GITHUB_OUTPUT"
    exit 4
}

# An output is a line: nothing that is written there may hold several.
for value in "$AGAINST" "$NAME" "$REPORT"; do
    case $value in
        *[$'\r\n']*) refuse "against, name and report are a line each: $value" ;;
    esac
done
for value in "$HISTORY" "$COMMENT"; do
    case $value in
        true | false) ;;
        *) refuse "history and comment are true or false, not '$value'" ;;
    esac
done
case $REPORT in
    -* | .html | */.html) refuse "report is the path of an HTML file, not '$REPORT'" ;;
    *.html) ;;
    *) refuse "report ends with .html, not '$REPORT'" ;;
esac
chosen=${NAME:-sdspeed-$GITHUB_JOB}
case $chosen in
    *[!A-Za-z0-9._-]*) refuse "name has letters, digits, dots, dashes and underscores, not '$chosen'" ;;
esac

other=$AGAINST
case $AGAINST in
    none) other="" ;;
    "") refuse "against is merge-base, a reference of git, or none" ;;
    merge-base)
        other=""
        if [ -n "${GITHUB_BASE_REF:-}" ]; then
            other=$(git merge-base "origin/$GITHUB_BASE_REF" HEAD) ||
                refuse "the merge base with $GITHUB_BASE_REF is not in this clone: give actions/checkout fetch-depth: 0"
            # As on pull_request_target, whose checkout is the base branch: it would be compared with itself, and pass.
            [ "$other" != "$(git rev-parse HEAD)" ] ||
                refuse "what is checked out is the merge base with $GITHUB_BASE_REF itself: check out the pull request"
        else
            echo "::notice::this is no pull request, which has no merge base: the gates are measured without a comparison"
        fi
        ;;
esac
{
    echo "name=$chosen"
    echo "against=$other"
} >> "$GITHUB_OUTPUT"

kept=$RUNNER_TEMP/sdspeed-acknowledged
rm -rf -- "$kept"
while IFS= read -r -d '' file; do
    mkdir -p "$kept/$(dirname "$file")"
    cp -- "$file" "$kept/$file"
done < <(find .benchmarks -name acknowledged.toml -print0 2> /dev/null)
