"""A recorded reference from the outside: what is recorded gates the next run, on a fake clock. One test has real pipelines, whose time is planted."""

from __future__ import annotations

import textwrap

import pytest
from small import save_small_models

from pytest_sdspeed.device.machine import describe_cpu
from pytest_sdspeed.tables import load_table

pytestmark = pytest.mark.slow

HERE = describe_cpu().device
ELSEWHERE = '[recorded]\nkind = "cpu"\ndate = "2026-01-01"\n'
TABLE = """
schema = 1
name = "planted"
title = "Pipelines with planted times"
source = "https://example.org/planted"
device = "{device}"
tolerance = 0.1

[recipe]
model = "{model}"
prompt = "a golden vase"
height = 16
width = 16
steps = 1
scheduler = "pndm"

{recorded}
[[rows]]
setup = "baseline"
optimizations = ["take_baseline"]

[[rows]]
setup = "fast"
optimizations = ["take_fast"]
speedup = {documented}

[[rows]]
setup = "faster"
optimizations = ["take_faster"]
speedup = 2.0
"""
CONFTEST = """
from pytest_sdspeed import Optimization

SECONDS = {{"baseline": 3.0, "fast": {fast}, "faster": 1.5}}

def taking(seconds):
    def apply(pipeline, recipe):
        decode = pipeline.vae.decode
        def slow_decode(*args, **kwargs):
            builtins.sd_fake_time.spend(seconds * NOISE.gauss(1, 0.001))
            return decode(*args, **kwargs)
        pipeline.vae.decode = slow_decode
    return apply

def pytest_sdspeed_register(registry):
    for name, seconds in SECONDS.items():
        registry.add_optimization(Optimization(name=f"take_{{name}}", summary="", changes=frozenset({{"vae"}}), apply=taking(seconds)))
"""
NO_PIPELINES = """
from contextlib import nullcontext
from pytest_sdspeed.setups.setup import Setup

def draw(self, case):
    builtins.sd_fake_time.spend(SECONDS[self.name] * NOISE.gauss(1, 0.001))
    return picture(case.seed)

@pytest.fixture(autouse=True)
def no_pipelines(monkeypatch):
    for name, made in {"build": None, "slot": nullcontext(), "weight_bytes": 0}.items():
        monkeypatch.setattr(Setup, name, lambda self, made=made: made)
    monkeypatch.setattr(Setup, "profile", None)
    monkeypatch.setattr(Setup, "draw", draw)
"""
"""What follows in the conftest where pipelines are not what a test is about."""
EVERY_ROW = """
@pytest.mark.sd_latency(table="planted")
def test_row(sd_latency, sd_setup):
    sd_latency(sd_setup)
"""
AS_RECORDED, SLOWER = 2.0, 2.3
"""Seconds of the row ``fast``: x1.5, and x1.30, which the documented x1.3 lets pass and a recorded x1.5 does not."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_small_models(tmp_path_factory.mktemp("models"))["model"]


@pytest.fixture
def run(gated, pytester, request):
    """Runs every row of a table documented for any CPU, or ``elsewhere`` for another one; with ``real`` pipelines, or none."""

    def go(*arguments, fast=AS_RECORDED, documented=1.3, elsewhere=False, source=EVERY_ROW, real=False):
        model = request.getfixturevalue("model") if real else "miniature"
        conftest = CONFTEST.format(fast=fast) + ("" if real else NO_PIPELINES)
        told = {"device": "Another CPU", "recorded": ELSEWHERE} if elsewhere else {"device": "cpu", "recorded": ""}
        (pytester.path / "planted.toml").write_text(TABLE.format(model=model, documented=documented, **told))
        return gated(source, "--sd-tables=planted.toml", *arguments, conftest=textwrap.indent(conftest, " " * 12))

    return go


def test_a_recorded_reference_gates_the_next_run(run, pytester):
    first = run("--sd-record=here.toml", real=True)
    first.assert_outcomes(passed=3)
    assert first.ret == 0
    first.stdout.fnmatch_lines(["sd record: here.toml: 3 rows of 'planted' on *"])
    table = load_table(pytester.path / "here.toml")
    assert table.device == HERE
    assert table.row("fast").speedup == pytest.approx(1.5, rel=0.01)
    assert {row.spread.blocks for row in table.rows} == {5}
    assert table.recorded["command"].endswith("--sd-record=here.toml")
    assert table.recorded.keys() >= {"date", "host", "kind", "weights", "seed", "version_torch"}

    same = run("--sd-tables=here.toml", real=True)
    same.assert_outcomes(passed=3)
    same.stdout.fnmatch_lines([f"*sd speed-ups: planted   recorded on {HERE}, measured on *"])

    slower = run("--sd-tables=here.toml", fast=SLOWER, real=True)
    slower.assert_outcomes(passed=2, failed=1)
    slower.stdout.fnmatch_lines([f"*fast on *: x1.30 * over baseline; recorded x1.50 on {HERE} (here.toml), floor x1.35 (tolerance 10%)*"])
    slower.stdout.no_fnmatch_line("*Recording a reference*")

    run(fast=SLOWER).assert_outcomes(passed=3)


def test_a_regression_is_not_recorded_over_its_reference(run, pytester):
    run("--sd-record=here.toml")
    before = (pytester.path / "here.toml").read_text()
    outcome = run("--sd-tables=here.toml", "--sd-record=here.toml", fast=SLOWER)
    outcome.assert_outcomes(passed=2, failed=1)
    outcome.stdout.fnmatch_lines(
        [
            "sd record: planted: fast left out: a regression is no reference: x1.30 * is under the floor x1.35 of here.toml; to accept it, *",
            "sd record: here.toml: not replaced: it holds fast, which this run did not record*",
        ]
    )
    assert (pytester.path / "here.toml").read_text() == before


def test_a_file_that_is_recorded_again_shows_what_changes(run, pytester, monkeypatch):
    run("--sd-record=here.toml")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    again = run("--sd-record=here.toml")
    again.stdout.fnmatch_lines(
        [
            "sd record: planted: baseline: * -> *%",
            "sd record: planted: fast: x* -> x* [[]*, *[]], *",
            "sd record: here.toml: * rows of 'planted' on *",
        ]
    )
    summary = (pytester.path / "summary.md").read_text()
    assert "### Recorded" in summary
    assert "planted: fast: x" in summary
    # The table of another device is kept, and the run says that it leaves no record.
    here = pytester.path / "here.toml"
    here.write_text(here.read_text().replace(f'device = "{HERE}"', 'device = "Another CPU"'))
    before = here.read_text()
    refused = run("--sd-record=here.toml")
    refused.stdout.fnmatch_lines(["sd record: here.toml: not replaced: it holds 'planted' as recorded on Another CPU, and this is *"])
    assert (refused.ret, here.read_text()) == (1, before)


def test_a_row_that_fails_the_figures_of_another_device_is_recorded_and_passes_from_then_on(run):
    failing = run("--sd-record=here.toml", documented=2.0, elsewhere=True)
    failing.assert_outcomes(passed=2, failed=1)
    failing.stdout.fnmatch_lines(["*To gate this device on its own ratios: --sd-record *", "sd record: here.toml: 3 rows of 'planted' *"])
    run("--sd-tables=here.toml", documented=2.0, elsewhere=True).assert_outcomes(passed=3)


def test_a_table_recorded_elsewhere_does_not_go_before_the_documented_one(run, pytester):
    run("--sd-record=here.toml")
    here = pytester.path / "here.toml"
    here.write_text(here.read_text().replace(f'device = "{HERE}"', 'device = "Another CPU"'))
    outcome = run("--sd-tables=here.toml", fast=SLOWER)
    outcome.assert_outcomes(passed=3)
    outcome.stdout.fnmatch_lines(["*sd speed-ups: planted   documented on cpu, *"])


OWN_BASELINE = """
@pytest.mark.sd_latency(table="planted")
def test_faster(sd_latency, sd_faster, sd_baseline):
    sd_latency(sd_faster, baseline=sd_baseline)
"""


@pytest.mark.parametrize("source", [EVERY_ROW, EVERY_ROW + OWN_BASELINE], ids=["every row", "a baseline that is named"])
def test_a_row_that_was_not_recorded_is_held_to_the_documented_figure(run, source):
    run("--sd-record=here.toml", "-k", "not faster")
    outcome = run("--sd-tables=here.toml", source=source)
    outcome.assert_outcomes(passed=3 + (source != EVERY_ROW))
    outcome.stdout.fnmatch_lines_random(
        [
            f"*sd speed-ups: planted   recorded on {HERE}, *",
            "fast *x1.50*pass",
            "sd speed-ups: planted   documented on cpu, *",
            "faster *pass",
        ]
    )


# What the run says of it


def test_a_run_that_leaves_no_record_fails_though_its_tests_pass(run, pytester):
    outcome = run("--sd-record=here.toml", "--sd-max-blocks=4")
    outcome.assert_outcomes(passed=3)
    assert outcome.ret == pytest.ExitCode.TESTS_FAILED
    outcome.stdout.fnmatch_lines(
        [
            "sd record: planted: fast left out: 4 blocks are too few, a reference has 5: --sd-max-blocks and --sd-budget give it more*",
            "sd record: nothing to record; here.toml was not written",
        ]
    )
    assert not (pytester.path / "here.toml").exists()


def test_a_run_that_only_collects_was_not_to_record(run):
    outcome = run("--sd-record=here.toml", "--collect-only")
    assert outcome.ret == 0
    outcome.stdout.no_fnmatch_line("sd record*")


def test_a_run_without_gates_does_not_fail_for_want_of_a_record(run):
    outcome = run("--sd-record=here.toml", source="def test_other(): pass")
    assert outcome.ret == 0
    outcome.stdout.fnmatch_lines(["sd record: nothing to record; here.toml was not written"])


def test_gates_that_are_skipped_leave_no_record_and_fail_the_run(run):
    outcome = run("--sd-record=here.toml", "--benchmark-disable")
    outcome.assert_outcomes(skipped=3)
    assert outcome.ret == pytest.ExitCode.TESTS_FAILED
