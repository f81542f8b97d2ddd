#!/usr/bin/env bash
# Everything that only a GPU can tell, in nine minutes, unattended and offline: run_all.sh [--fastest | --stages] [FOLDER]
#
# Each part has a log and a time limit of its own, and what it wrote stays when a later one fails. A part that is out of time gets what Ctrl-C
# would send, so that pytest writes what it has, and is killed when that takes too long. The limits, with that, add up to 540 s or less.
# Exit code: 0 where every part ran, whatever its verdicts; 1 where one did not, or cannot; 4 without a CUDA GPU. PYTHON names another interpreter.
#
# What it costs, guessed for an H200 (half of an A100's time in float32) until it was measured. Of a campaign: warm-up, a generation of each arm
# for each case (2, and 1 for each further prompt), then blocks of 4 generations of the baseline and 2 of each row: 5, which a record wants, or
# the 3 that a verdict wants where 5 exceed 62 s. Starting takes 25 s a part.
#   inference           3 x (2.5 + 2 + 1.5 + 1.5) = 23 s, 3 x (4 x 2.5 + 2 x 5) = 60 s
#   distillation        3 x 2.9 + 3 = 12 s, 5 x (4 x 1.3 + 2 x 1.6) = 42 s
#   stack               3 x 2.8 = 8 s, 5 x (4 x 1.1 + 2 x 1.7) = 39 s
#   attention, fp16 b1  2 x 2.7 = 5 s, 5 x (4 x 1.5 + 2 x 1.2) = 42 s
#   legacy, fp16        3 x 4.1 = 12 s, 4 x (4 x 2.6 + 2 x 1.5) = 54 s
# That is 25 + 231 s without legacy, which gets what is left: a campaign that is cut off is lost, and no other. Left out are rows that take minutes
# to compile, tune or trace, and attention of more pictures or in float32 (a block of fp16 b16 alone is 50 s): pytest benchmarks --sd-gpu has all
# of it, in two hours or so.
#   same                2 x 2.2 = 5 s, 6 blocks of 10 x 0.55 s = 33 s
# --fastest: 2 x 6 + 5 to capture = 17 s, 5 x (4 x 2.5 + 2 x 3.3) = 83 s; then the last row, 5 x 10.6 = 53 s, and the compilation of its graphs
# and its reference's, 3 to 4 minutes. What is compiled stays in Inductor's cache, from which another run on the machine goes on.
# --stages: SDXL and FLUX at full size, bfloat16 against its compiled blocks, by stages and by calls: what both say, and what both take. A block by
# stages is 6 calls of which a fifth is measured: SDXL 6 x 0.5 s, FLUX 6 x 1.5 s; by calls 6 x 2 s and 6 x 5 s. Loading FLUX takes 40 s.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

python=${PYTHON:-python3}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
mode=
if [ "${1-}" = --fastest ] || [ "${1-}" = --stages ]; then
    mode=$1
    shift
fi
if [ $# -gt 1 ] || [[ ${1-} == -* ]]; then
    echo "usage: run_all.sh [--fastest | --stages] [FOLDER]" >&2
    exit 2
fi
"$python" - << 'PYTHON' || exit
import sys
from importlib.util import find_spec
missing = [name for name in ("torch", "diffusers", "transformers", "pytest_benchmark") if find_spec(name) is None]
if missing:
    sys.exit(f"run_all.sh: {sys.executable} has no {', '.join(missing)}: set PYTHON to an interpreter that has")
from pytest_sdspeed.errors import UnsupportedError
from pytest_sdspeed.device.machine import describe_cuda
try:
    print(describe_cuda().device)
except UnsupportedError as error:
    print(f"run_all.sh: {error}", file=sys.stderr)
    sys.exit(4)
PYTHON
# A clone that is not installed has no entry point for pytest to find.
"$python" -c 'import importlib.metadata as m, sys; sys.exit("sdspeed" not in m.entry_points(group="pytest11").names)' ||
    export PYTEST_PLUGINS=pytest_sdspeed.plugin

folder=${1:-gpu-$(date -u +%Y%m%dT%H%M%SZ)}
mkdir -p "$folder" && folder=$(cd "$folder" && pwd) || exit 1
summary=$folder/summary.txt
: > "$summary"
failed=0

# part NAME LIMIT GRACE COMMAND...: run it under its limit, seconds, into NAME.log; note code and seconds.
part() {
    local name=$1 limit=$2 grace=$3 start=$SECONDS code said=
    shift 3
    # Without its default action Ctrl-C would be ignored where this script runs in the background.
    timeout --foreground --signal=INT --kill-after="$grace" "$limit" env --default-signal=INT "$@" > "$folder/$name.log" 2>&1
    code=$?
    if [ "$code" = 1 ] && [ -f "$folder/$name.xml" ] && "$python" benchmarks/gpu/verdicts.py "$folder/$name.xml" >> "$folder/$name.log" 2>&1; then
        said="verdicts below, which are results"
    elif [ "$code" = 124 ] || [ "$code" = 137 ]; then
        said="out of its $limit s"
        failed=1
    elif [ "$code" != 0 ]; then
        said="see $name.log"
        failed=1
    fi
    printf '%-14s exit code %3d  %4d s  %s\n' "$name" "$code" $((SECONDS - start)) "$said" | tee -a "$summary"
}

# tables NAME LIMIT ARGUMENT...: measure with random weights, and keep report, record, JSON and JUnit file.
tables() {
    local name=$1 limit=$2
    shift 2
    part "$name" "$limit" 15 "$python" -m pytest -p no:randomly -p no:cacheprovider -W default \
        --sd-gpu --sd-weights=random --sd-history=off --benchmark-json="$folder/$name.json" --junit-xml="$folder/$name.xml" \
        --sd-report="$folder/$name.html" --sd-record="$folder/$name.toml" "$@"
}

facts() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    part facts 8 2 bash -c 'nvidia-smi -q -d CLOCK,PERFORMANCE,POWER,MEMORY,TEMPERATURE; "$0" -m pip list; "$0" -V' "$python"
}

if [ "$mode" = --fastest ]; then
    tables fastest 150 benchmarks/gpu/fastest.py --sd-max-blocks=5 --sd-budget=120 \
        -k "_b1 and (baseline or fp16 or graphs) and not cache_2"
    tables compiled 340 benchmarks/gpu/fastest.py --sd-max-blocks=5 --sd-budget=120 \
        -k "baseline_b1 or compile_cache_3_tiny_vae_distilled_b1"
    facts
elif [ "$mode" = --stages ]; then
    for unit in stage call; do
        tables "sdxl_$unit" 80 benchmarks/gpu/stages.py --sd-unit="$unit" --sd-max-blocks=8 --sd-budget=40 --sd-tables=benchmarks/gpu/stages \
            -k stages_sdxl
    done
    for unit in stage call; do
        tables "flux_$unit" 140 benchmarks/gpu/stages.py --sd-unit="$unit" --sd-max-blocks=5 --sd-budget=60 --sd-tables=benchmarks/gpu/stages \
            -k stages_flux
    done
    facts
else
    tables tables 250 benchmarks/test_{inference,distillation,stack,attention,legacy}.py --sd-max-blocks=5 --sd-budget=62 -k "not compile \
        and not xformers and not fp32 and not _b4 and not _b16 and not cudnn and not autocast and not channels_last and not traced and not memory"
    part tests 115 5 "$python" -m pytest -p no:randomly -p no:cacheprovider -W default -v --durations=10 tests/gpu
    part same 65 5 "$python" -m pytest -p no:randomly -p no:cacheprovider -W default benchmarks/gpu/same.py \
        --sd-gpu --sd-weights=random --sd-history=off --sd-tables=benchmarks/gpu/same.toml --sd-inconclusive=warn \
        --sd-max-blocks=6 --sd-budget=40 --benchmark-json="$folder/same.json" --sd-report="$folder/same.html"
    rm -f "$folder/noise-gpu.json"
    part noise 60 5 "$python" benchmarks/studies/record_noise.py "$folder/noise-gpu.json" --gpu --minutes 0.6
    facts
fi
for log in tables fastest compiled same sdxl_stage sdxl_call flux_stage flux_call; do
    [ -f "$folder/$log.log" ] && grep -hE '^(sd |note:|[a-z0-9_]+ +[0-9.]+ m?s )' "$folder/$log.log" >> "$summary"
done
cat "$summary"
exit $failed
