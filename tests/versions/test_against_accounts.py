"""``--sd-against --sd-dry`` from the outside: two real processes count, and what one asks for more fails with its line."""

import json
import os

import pytest
from children import PLUGINS

pytestmark = pytest.mark.slow

ENGINE = """
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
{moved}

def loop(device, steps=4, wait=False, after=False):
    scheduler = FlowMatchEulerDiscreteScheduler()
    weights = torch.ones(8, 8).to(device)

    def call():
        scheduler.set_timesteps(steps, device=device)
        x = torch.ones(1, 8, device=device)
        for t in scheduler.timesteps:
            y = x @ weights
            if wait:
                y = y * t.item()
            x = scheduler.step(y, t, x, return_dict=False)[0]
        if after:
            x.sum().item()
        return x
    return call

def equal(device): return loop(device, wait=True)
def planted(device): return loop(device, wait={new})
def behind(device): return loop(device, after={new})
def improved(device): return loop(device, wait={old})
def longer(device): return loop(device, steps=4 + {new})
def broken(device):
    if {old}: raise RuntimeError("no such argument: guidance")
    return loop(device)
def broken_now(device):
    if {new}: raise RuntimeError("shapes do not fit")
    return loop(device)
VERSION = {version}
"""
TESTS = """
import engine
import pytest

def test_equal(sd_account): sd_account(engine.equal)
def test_planted(sd_account): sd_account(engine.planted)
def test_behind(sd_account): sd_account(engine.behind)
def test_improved(sd_account): sd_account(engine.improved)
def test_longer(sd_account): sd_account(engine.longer)
def test_broken(sd_account): sd_account(engine.broken)
def test_broken_now(sd_account): sd_account(engine.broken_now)

@pytest.mark.parametrize("wait", [True])
def test_closure(sd_account, wait):
    sd_account(lambda device: engine.loop(device, wait=wait))

def test_latency(sd_latency): sd_latency(engine.planted)

@pytest.mark.sd_account(host_syncs_per_step=0)
def test_bound(sd_account): sd_account(engine.equal)

def test_skipped_there(sd_account):
    if engine.VERSION < 2: pytest.skip("engine 2 has it")
    sd_account(engine.equal)

@pytest.fixture
def steps():
    return 3

def test_fixture(sd_account, steps):
    sd_account(lambda device: engine.loop(device, steps=steps, wait=bool(engine.VERSION > 1)))
"""
OUTCOMES = {
    "test_equal": "passed",
    "test_planted": "failed",
    "test_behind": "failed",
    "test_improved": "passed",
    "test_longer": "failed",
    "test_broken": "failed",
    "test_broken_now": "failed",
    "test_closure[True]": "passed",
    "test_latency": "failed",
    "test_bound": "failed",
    "test_skipped_there": "skipped",
    "test_fixture": "failed",
}


def write_versions(folder):
    """A version in hand, and in ``old`` one whose lines are all somewhere else."""
    (folder / "old").mkdir()
    new = ENGINE.format(moved="", new=True, old=False, version=2)
    (folder / "engine.py").write_text(new)
    (folder / "old" / "engine.py").write_text(ENGINE.format(moved="\n\n# Moved.\n", new=False, old=True, version=1))


@pytest.fixture(scope="module")
def run(request, tmp_path_factory):
    """One run of all of them: its outcomes by test, its words, and its records."""
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("versions")
    write_versions(folder)
    (folder / "test_engine.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\n")
    options = ["--sd-dry", "--sd-against=old", "--benchmark-json=out.json", "--junit-xml=out.xml", "-rA", "--sd-report=out.html"]
    command = [sys.executable, "-m", "pytest", *PLUGINS, "-p", "no:cacheprovider", *options]
    # A worker of pytest-xdist that runs this test says so to what it starts.
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_XDIST_WORKER"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    outcomes = {}
    for line in lines:
        word, _, rest = line.partition(" ")
        if word in ("PASSED", "FAILED") and "::" in rest:
            outcomes[rest.partition("::")[2].partition(" - ")[0].strip()] = word.lower()
    records = json.loads((folder / "out.json").read_text())["benchmarks"]
    return (
        done,
        outcomes,
        {one["extra_info"]["sdspeed"]["test"].partition("::")[2]: one["extra_info"]["sdspeed"] for one in records},
        folder,
    )


def section(run, test):
    """What the summary says of one test."""
    lines = run[0].stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("sd accounts: ") and f"::{test} against old" in line)
    return "\n".join(lines[start : start + 8]).partition("\nsd accounts")[0]


def failure(run, test):
    lines = run[0].stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if line.strip("_ ") == test)
    end = next(number for number, line in enumerate(lines[start:], start) if line.startswith("See "))
    return "\n".join(lines[start + 1 : end + 1])


def test_each_version_is_counted_by_its_own_process_and_compared(run):
    done, outcomes, records, _ = run
    assert done.returncode == 1, done.stdout + done.stderr
    assert outcomes == {test: how for test, how in OUTCOMES.items() if how != "skipped"}, done.stdout
    assert records["test_planted"]["against"]["label"] == "old"


def test_a_sync_that_was_planted_into_the_loop_fails_with_its_line(run):
    said = failure(run, "test_planted")
    assert "host_syncs_per_step 0 -> 1 (+1): +1 at engine.py:16  y = y * t.item()" in said
    assert "guides/compare-versions/" in said
    table = section(run, "test_planted")
    assert "\nold " in table
    assert "\nnew " in table
    assert "fail" in table
    assert "+1 host sync a step   engine.py:16   y = y * t.item()" in table


def test_a_sync_behind_the_loop_fails_too(run):
    said = failure(run, "test_behind")
    assert "host_syncs " in said
    assert "+1 at engine.py:19  x.sum().item()" in said
    assert "per_step" not in said


def test_lines_that_moved_are_the_same_places(run):
    assert not run[2]["test_equal"]["against"]["places"]
    assert not run[2]["test_equal"]["against"]["gone"]
    assert "verdict" in section(run, "test_equal")
    assert "pass" in section(run, "test_equal")


def test_fewer_is_told_with_the_line_that_is_gone_and_passes(run):
    table = section(run, "test_improved")
    assert "  fewer: " in table
    assert "host_syncs_per_step 1 -> 0 (-1)" in table
    assert "-1 host sync a step   engine.py:19   y = y * t.item()" in table
    assert "pass" in table


def test_another_number_of_steps_is_no_pass(run):
    said = failure(run, "test_longer")
    assert "the call takes 4 -> 5 denoising steps: that is not the same work" in said


def test_an_error_of_either_side_says_whose_it_is(run):
    assert "old cannot count broken, so there is nothing to compare with:" in failure(run, "test_broken")
    assert "no such argument: guidance" in failure(run, "test_broken")
    assert "in hand" in failure(run, "test_broken_now")
    assert "shapes do not fit" in failure(run, "test_broken_now")


def test_what_the_other_version_cannot_count_is_skipped_with_its_reason(run):
    assert "so there is nothing to compare with: engine 2 has it" in run[0].stdout


def test_closures_and_fixtures_are_compared_as_they_are_in_the_test(run):
    assert run[1]["test_closure[True]"] == "passed"
    assert "host_syncs_per_step 0 -> 1" in failure(run, "test_fixture")


def test_bounds_hold_for_the_version_in_hand(run):
    said = failure(run, "test_bound")
    assert "host_syncs_per_step is 1, at most 0" in said
    assert "old asks for no less" in said


def test_junit_and_the_report_have_old_beside_new(run):
    folder = run[3]
    assert 'name="sdspeed_account_old_host_syncs_per_step" value="0"' in (folder / "out.xml").read_text()
    page = (folder / "out.html").read_text()
    assert "planted of test_engine.py::test_planted against old" in page
    assert 'data-account="old"' in page


def test_the_other_version_that_does_not_import_is_a_usage_error(pytester):
    (pytester.path / "old").mkdir()
    (pytester.path / "old" / "engine.py").write_text("raise ImportError('no engine')\n")
    pytester.makepyfile(engine="def loop(device): raise AssertionError('is not counted')")
    pytester.makepyfile(test_engine="import engine\n\ndef test_equal(sd_account): sd_account(engine.loop)\n")
    done = pytester.runpytest_inprocess(*PLUGINS, "--sd-dry", "--sd-against=old")
    assert done.ret == 4
    done.stderr.fnmatch_lines(["*--sd-against=old: old:*no engine*"])
    done.stdout.no_fnmatch_line("*is not counted*")
