"""``--sd-unit`` and ``unit = "stage"`` of a table from the outside, on clocks that only setups move."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

import pytest
from distributed_project import CONFTEST, OPTIONS, ROW, TABLE
from stage_bench import STAGED_SETUPS

from pytest_sdspeed.tables import load_table

TESTS = """
import pytest


@pytest.mark.sd_latency(table="alpha")
def test_alpha(sd_latency, sd_setup):
    sd_latency(sd_setup)
"""
QUIET = ("-p", "no:cacheprovider", "-p", "no:randomly", "-W", "default", "--sd-tables=tables", "--sd-history=off")
STAGED = "by stages, 7 of 50 steps of each call: a block takes"


def write(pytester, unit="", speedup=1.5, conftest=""):
    """Write a project of a table of 50 steps, with a row that is 1.5 times as fast."""
    pytester.makeconftest(CONFTEST + STAGED_SETUPS + conftest)
    pytester.makepyfile(test_it=TESTS)
    text = TABLE.format(name="alpha").replace("steps = 2", "steps = 50")
    if unit:
        text = text.replace("schema = 1", "schema = 2").replace("steps = 50", f'steps = 50\nunit = "{unit}"')
    path = pytester.mkdir("tables") / "alpha.toml"
    path.write_text(text + ROW.format(setup="quick", speedup=speedup))


@pytest.fixture
def run(pytester, monkeypatch):
    """Run the project in this process, after ``write``."""

    def call(*arguments, **written):
        write(pytester, **written)
        with monkeypatch.context() as patched:
            patched.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            return pytester.runpytest_inprocess("-p", "benchmark", "-p", "sdspeed", *QUIET, *arguments)

    return call


def is_staged(result):
    found = STAGED in result.stdout.str()
    assert (" blocks by stages, " in result.stdout.str()) == found
    return found


@pytest.mark.parametrize(
    ("option", "unit", "staged"),
    [
        ("", "", False),
        ("stage", "", True),
        ("", "stage", True),
        ("table", "stage", True),
        ("call", "stage", False),
        # A call takes 1.5 s.
        ("auto", "", True),
    ],
)
def test_the_option_takes_precedence_over_the_table(run, option, unit, staged):
    result = run(*([f"--sd-unit={option}"] if option else []), unit=unit)
    result.assert_outcomes(passed=2)
    assert is_staged(result) == staged


@pytest.mark.parametrize(("seconds", "staged"), [("0.98", False), ("1.02", True)])
def test_auto_is_by_stages_from_a_second_on(run, seconds, staged):
    quicker = f"\nSECONDS.update(baseline={seconds}, quick={seconds} / 1.5)\n"
    result = run("--sd-unit=auto", conftest=quicker)
    result.assert_outcomes(passed=2)
    assert is_staged(result) == staged


def test_the_ini_file_says_it_too(run, pytester):
    pytester.makeini("[pytest]\nsdspeed_unit = stage\n")
    assert is_staged(run())


def test_the_ratio_and_the_latencies_are_those_of_calls(run, pytester):
    records = []
    for unit in ("call", "stage"):
        result = run(f"--sd-unit={unit}", "--benchmark-json=out.json") if not records else None
        if result is None:
            with pytest.MonkeyPatch.context() as patched:
                patched.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
                pytester.runpytest_inprocess("-p", "benchmark", "-p", "sdspeed", *QUIET, f"--sd-unit={unit}", "--benchmark-json=out.json")
        stored = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
        records.append({one["extra_info"]["sdspeed"]["setup"]: one["extra_info"]["sdspeed"] for one in stored}["quick"])
    calls, stages = records
    assert calls["by_stage"] is None
    assert stages["by_stage"]["sampled_steps"] == 7
    assert stages["speedup"] == pytest.approx(calls["speedup"], rel=0.01)
    assert stages["recipe"] == calls["recipe"]
    assert stages["samples_s"]["quick"][0][0] == pytest.approx(1.0, rel=0.01)


def test_junit_has_the_stages(run, pytester):
    run("--sd-unit=stage", "--junit-xml=junit.xml")
    found = {one.get("name"): one.get("value") for one in ET.parse(pytester.path / "junit.xml").iter("property")}
    assert found["sdspeed_unit"] == "stage"
    assert float(found["sdspeed_stage_denoising_speedup"]) == pytest.approx(1.5, rel=0.01)


def test_a_recorded_table_says_that_it_was_measured_by_stages(run, pytester):
    result = run("--sd-unit=stage", "--sd-record=mine.toml", "--sd-max-blocks=20")
    result.assert_outcomes(passed=2)
    back = load_table(pytester.path / "mine.toml")
    assert back.recorded["unit"] == "stage"
    # It is held to by calls or by stages, as the next run wants.
    assert {row.recipe.unit for row in back.rows} == {"call"}
    assert back.row("quick").speedup == pytest.approx(1.5, rel=0.02)


def test_a_table_by_stages_is_recorded_as_one(run, pytester):
    run("--sd-record=mine.toml", "--sd-max-blocks=20", unit="stage")
    assert {row.recipe.unit for row in load_table(pytester.path / "mine.toml").rows} == {"stage"}


def test_a_table_of_a_part_of_the_call_stays_one(run, monkeypatch):
    # Its latencies are of the loop, whatever the option says of calls.
    loop = "\nSetup.time_unit = lambda self, case: (draw(self, case), SECONDS[self.name])\n"
    result = run("--sd-unit=stage", unit="denoising", conftest=loop)
    assert not is_staged(result)
    assert "not by stages" not in result.stdout.str()
    assert "latency of the denoising loop alone" in result.stdout.str()


@pytest.mark.parametrize(("arguments", "said"), [(["--sd-dry"], "--sd-dry and --sd-unit: --sd-dry times no call: give one of them")])
def test_what_times_nothing_has_no_unit(run, arguments, said):
    result = run("--sd-unit=stage", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()


def test_a_file_that_says_it_of_other_runs_refuses_no_dry_run(run, pytester):
    pytester.makeini("[pytest]\nsdspeed_unit = stage\n")
    assert run("--sd-dry", "--collect-only").ret == 0


def test_both_are_one_series(run, pytester):
    stored = []
    for unit in ("call", "stage", "call"):
        arguments = [f"--sd-unit={unit}", "--benchmark-autosave", "--sd-history=warn"]
        if not stored:
            stored.append(run(*arguments))
            continue
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            stored.append(pytester.runpytest_inprocess("-p", "benchmark", "-p", "sdspeed", *QUIET[:-1], *arguments))
    lines = [line for line in stored[-1].outlines if line.startswith("history: quick")]
    assert len(lines) == 1
    assert "3 runs" in lines[0]


# Other processes


@pytest.mark.slow
def test_a_row_is_confirmed_by_stages(pytester):
    write(pytester, speedup=2)
    result = pytester.runpytest_subprocess(
        *OPTIONS, "-n0", "--sd-history=off", "--sd-unit=stage", "--sd-confirm", "--benchmark-json=out.json"
    )
    result.assert_outcomes(passed=1, failed=1)
    stored = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    (failed,) = (one["extra_info"]["sdspeed"] for one in stored if one["extra_info"]["sdspeed"]["verdict"] == "fail")
    assert failed["by_stage"]["steps"] == failed["confirmation"]["by_stage"]["steps"] == 50


@pytest.mark.slow
def test_workers_measure_by_stages(pytester):
    write(pytester)
    lines = []
    for workers in ("-n0", "-n1"):
        result = pytester.runpytest_subprocess(*OPTIONS, workers, "--sd-history=off", "--sd-unit=stage")
        result.assert_outcomes(passed=2)
        lines.append([line for line in result.outlines if re.match("by stages: |sd plan: alpha", line)])
    assert len(lines[0]) == 2
    assert lines[0] == lines[1]
