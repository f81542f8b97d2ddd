"""``benchmarks/gpu/run_all.sh`` without a GPU: its refusal, its limits, and what becomes of its parts when one breaks, with a fake interpreter."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow

GPU = Path(__file__).parents[2] / "benchmarks" / "gpu"
SCRIPT = GPU / "run_all.sh"

FAKE = """#!/bin/bash
echo "$@" >> "$0.calls"
case "$*" in
    *" tests/gpu") echo half of the tests; exit {tests} ;;
    *verdicts.py*) exit {verdicts} ;;
    *test_inference*|*_b1*) echo 'sd speed-ups: inference'; echo 'fp16   1.47 s   x1.31'; {xml} exit {tables} ;;
    *) echo fine ;;
esac
"""
WRITE_XML = 'for word in "$@"; do case "$word" in --junit-xml=*) echo page > "${word#*=}" ;; esac; done;'


@pytest.fixture
def run(tmp_path):
    def run(*arguments, tests=0, tables=0, verdicts=0, xml=WRITE_XML):
        python = tmp_path / "python"
        python.write_text(FAKE.format(tests=tests, tables=tables, verdicts=verdicts, xml=xml))
        python.chmod(0o755)
        done = subprocess.run(
            [SCRIPT, *arguments, tmp_path / "out put"],
            env=os.environ | {"PYTHON": str(python)},
            capture_output=True,
            text=True,
            check=False,
        )
        calls = (tmp_path / "python.calls").read_text()
        return done, calls, {path.name: path.read_text() for path in (tmp_path / "out put").iterdir()}

    return run


def codes(summary):
    return {name: int(code) for name, code in re.findall(r"^(\w+) +exit code +(\d+)", summary, re.MULTILINE)}


def test_every_part_runs_and_the_summary_has_the_rows(run):
    done, calls, files = run()
    assert done.returncode == 0
    assert codes(files["summary.txt"]) == {"tables": 0, "tests": 0, "same": 0, "noise": 0, "facts": 0}
    assert "fp16   1.47 s   x1.31" in files["summary.txt"]
    assert files["summary.txt"] in done.stdout
    for option in (
        "--sd-gpu",
        "--sd-weights=random",
        "--sd-budget=",
        "--sd-max-blocks=",
        "--sd-report=",
        "--benchmark-json=",
        "--sd-record=",
    ):
        assert option in calls
    for table in ("inference", "distillation", "attention", "stack", "legacy"):
        assert f"benchmarks/test_{table}.py" in calls
    assert "record_noise.py" in calls
    assert "--gpu" in calls


def test_a_part_that_breaks_leaves_the_others_and_their_output(run):
    done, _, files = run(tests=3)
    assert done.returncode == 1
    assert codes(files["summary.txt"]) == {"tables": 0, "tests": 3, "same": 0, "noise": 0, "facts": 0}
    assert "see tests.log" in files["summary.txt"]
    assert files["tests.log"] == "half of the tests\n"
    assert files["noise.log"] == "fine\n"


@pytest.mark.parametrize(
    ("facts", "code", "said"),
    [
        ({"tables": 1}, 0, "verdicts below, which are results"),
        ({"tables": 1, "verdicts": 1}, 1, "see tables.log"),
        ({"tables": 1, "xml": ""}, 1, "see tables.log"),
        ({"tables": 4}, 1, "see tables.log"),
        ({"tables": 124}, 1, "out of its 250 s"),
    ],
)
def test_a_verdict_that_fails_is_a_result_and_nothing_else_is(facts, code, said, run):
    done, _, files = run(**facts)
    assert done.returncode == code
    assert re.search(rf"^tables .*{said}$", files["summary.txt"], re.MULTILINE)


def test_the_table_of_goals_is_run_instead(run):
    done, calls, files = run("--fastest")
    assert done.returncode == 0
    assert codes(files["summary.txt"]) == {"fastest": 0, "compiled": 0, "facts": 0}
    assert "benchmarks/test_" not in calls


def test_stages_are_measured_beside_calls_instead(run):
    done, calls, files = run("--stages")
    assert done.returncode == 0
    assert codes(files["summary.txt"]) == {"sdxl_stage": 0, "sdxl_call": 0, "flux_stage": 0, "flux_call": 0, "facts": 0}
    assert calls.count("--sd-unit=stage") == calls.count("--sd-unit=call") == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("arguments", [[], ["--fastest"], ["--stages"]])
def test_without_a_gpu_it_says_so_before_anything_else(arguments, tmp_path):
    done = subprocess.run(
        [SCRIPT, *arguments, tmp_path / "out"], env=os.environ | {"PYTHON": sys.executable}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert done.stderr.startswith("run_all.sh: --sd-gpu needs a CUDA GPU: ")
    assert not (tmp_path / "out").exists()


def test_an_interpreter_that_lacks_something_is_named(tmp_path):
    venv.create(tmp_path / "bare", with_pip=False)
    bare = tmp_path / "bare" / "bin" / "python"
    done = subprocess.run([SCRIPT, tmp_path / "out"], env=os.environ | {"PYTHON": str(bare)}, capture_output=True, text=True, check=False)
    lacks = "torch, diffusers, transformers, pytest_benchmark"
    assert (done.returncode, done.stderr) == (1, f"run_all.sh: {bare} has no {lacks}: set PYTHON to an interpreter that has\n")
    assert not (tmp_path / "out").exists()


def test_wrong_use_is_explained(tmp_path):
    done = subprocess.run([SCRIPT, "--slowest"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "usage: run_all.sh [--fastest | --stages] [FOLDER]\n")


def test_either_run_is_limited_to_nine_minutes():
    script = re.sub(r"\\\n +", "", SCRIPT.read_text())
    branches = re.search(r"= --fastest \]; then\n(.*?)\nelif [^\n]*\n(.*?)\nelse\n(.*?)\nfi", script, re.DOTALL).groups()
    twice = r"    for unit in stage call; do\n        (.*)\n    done"
    for written in branches:
        branch = re.sub(twice, lambda loop: "\n".join(2 * [re.sub(r'"(\w+)_\$unit"', r"\1", f"    {loop[1]}")]), written)
        limits = [int(limit) + 15 for limit in re.findall(r"^ +tables \w+ (\d+)", branch, re.MULTILINE)]
        limits += [int(limit) + int(grace) for limit, grace in re.findall(r"^ +part \w+ (\d+) (\d+)", branch, re.MULTILINE)]
        assert len(limits) == branch.count("tables ") + branch.count("part ") - branch.count("tables tables")
        assert sum(limits) + 10 <= 540


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_the_script_is_clean():
    assert subprocess.run(["shellcheck", SCRIPT], capture_output=True, text=True, check=False).stdout == ""
