"""A count that is higher than in the stored runs: the test says so, by the same options as for latencies."""

import json

import pytest
from counting import run_counted

from pytest_sdspeed.__main__ import main

SOURCE = "def test_loop(sd_account):\n    sd_account(make({plant}))\n"


@pytest.fixture
def run(pytester, monkeypatch):
    """Count a loop with something planted, or nothing, and store the run."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(pytester.path.parent))

    def counted(plant=None, *arguments):
        return run_counted(pytester, SOURCE.format(plant=repr(plant)), "--benchmark-autosave", *arguments)

    return counted


def test_a_sync_that_came_warns_then_fails_if_asked_until_it_is_acknowledged(run, capsys):
    run().assert_outcomes(passed=1)
    warned = run("item")
    warned.assert_outcomes(passed=1, warnings=1)
    warned.stdout.re_match_lines([
        r".*SlowerWarning: engine of \S+ asks for more than in the stored runs: host_syncs_per_step 0 -> 1, .* since .* \(this run\)",
        r".*\+1 host sync a step   engine.py:20   y = y \* t.item\(\)",
        r"history: engine of .*: host_syncs_per_step 0 -> 1, .* since",
    ])  # fmt: skip
    # It was stored, and is news all the same.
    failed = run("item", "--sd-history=fail")
    failed.assert_outcomes(failed=1)
    failed.stdout.fnmatch_lines(["*asks for more than in the stored runs*", "See https://*/guides/history/#counts"])
    run("item", "--sd-history=off").assert_outcomes(passed=1)

    capsys.readouterr()
    assert main(["history", ".benchmarks", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert main(["history", ".benchmarks", "--acknowledge", found["id"], "--reason", "meant"]) == 0
    run("item", "--sd-history=fail").assert_outcomes(passed=1)


def test_fewer_and_equal_counts_pass_under_fail(run):
    run("item").assert_outcomes(passed=1)
    run("item", "--sd-history=fail").assert_outcomes(passed=1)
    better = run(None, "--sd-history=fail")
    better.assert_outcomes(passed=1)
    better.stdout.re_match_lines([r"history: engine of .*: host_syncs_per_step 1 -> 0, .* since"])


def test_a_dry_run_of_a_latency_is_held_to_the_stored_counts_too(pytester, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(pytester.path.parent))
    source = "def test_loop(sd_latency):\n    sd_latency(make({plant}))\n"
    run_counted(pytester, source.format(plant=None), "--benchmark-autosave", "--sd-dry").assert_outcomes(passed=1)
    failed = run_counted(pytester, source.format(plant="'copy'"), "--benchmark-autosave", "--sd-dry", "--sd-history=fail")
    failed.assert_outcomes(failed=1)
    failed.stdout.re_match_lines([r".*host_to_device_per_step 0 -> 1"])
