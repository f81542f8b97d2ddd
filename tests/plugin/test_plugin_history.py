"""A run beside the stored ones: a row that became slower is told, or fails, as asked; what the machine did is not the row's fault."""

import json
from datetime import datetime, timedelta

import pytest

pytestmark = pytest.mark.slow

TEST = """
@pytest.mark.sd_latency(speedup=1.5, tolerance=0.2)
def test_engine(sd_latency):
    sd_latency(engine({candidate}), baseline=engine({baseline}))
"""


FIRST = datetime(2026, 1, 1)  # noqa: DTZ001 - pytest-benchmark's dates have no zone


def dated(path, day):
    """Have a stored run be of that day."""
    path.write_text(json.dumps(json.loads(path.read_text()) | {"datetime": (FIRST + timedelta(days=day)).isoformat()}))


@pytest.fixture
def measured(gated, pytester):
    """Runs the gate once more, and stores the run."""

    def once(candidate=1.0, *arguments, baseline=1.5):
        return gated(TEST.format(candidate=candidate, baseline=baseline), "--benchmark-save=run", *arguments)

    return once


@pytest.fixture
def eight(measured, pytester):
    """Eight stored runs that are alike."""
    measured()
    (stored,) = pytester.path.glob(".benchmarks/*/*_run.json")
    dated(stored, 0)
    for day in range(1, 8):
        copy = stored.with_name(f"{day + 1:04}_run.json")
        copy.write_bytes(stored.read_bytes())
        dated(copy, day)


def test_a_first_run_has_no_history(measured):
    measured().stdout.no_fnmatch_line("*history:*")


@pytest.mark.usefixtures("eight")
def test_equal_runs_are_steady(measured):
    steady = measured()
    steady.assert_outcomes(passed=1)
    steady.stdout.fnmatch_lines(["history: candidate of *::test_engine: steady over 9 runs"])


@pytest.mark.usefixtures("eight")
def test_one_slow_run_is_no_change_and_the_second_warns(measured):
    first = measured(1.06)
    first.assert_outcomes(passed=1)
    first.stdout.fnmatch_lines(["history: candidate of *::test_engine: steady over 9 runs"])
    second = measured(1.06)
    second.assert_outcomes(passed=1, warnings=1)
    second.stdout.fnmatch_lines(
        [
            "*SlowerWarning: candidate of *::test_engine on *% slower against baseline since *",
            "history: candidate of *::test_engine: *% slower since * (code), 2 of 10 runs",
        ]
    )
    assert second.ret == 0


@pytest.mark.usefixtures("eight")
def test_a_row_that_became_slower_fails_where_that_was_asked_for(measured):
    measured(1.06, "--sd-history=fail").assert_outcomes(passed=1)
    failed = measured(1.06, "--sd-history=fail")
    failed.assert_outcomes(failed=1)
    failed.stdout.fnmatch_lines(
        ["candidate of *::test_engine on *% slower against baseline since *It is the code: the ratio moved -*", "See *#history-slower"]
    )
    failed.stdout.no_fnmatch_line("*Traceback*")
    # A run that is as fast as before passes at once, though two are needed to take the change back.
    measured(1.0, "--sd-history=fail").assert_outcomes(passed=1)


@pytest.mark.usefixtures("eight")
def test_nothing_is_read_where_history_is_off(measured):
    measured(1.06, "--sd-history=off")
    quiet = measured(1.06, "--sd-history=off")
    quiet.assert_outcomes(passed=1)
    quiet.stdout.no_fnmatch_line("*history:*")


@pytest.mark.usefixtures("eight")
def test_a_faster_row_says_that_its_reference_is_stale(measured):
    measured(0.9, "--sd-history=fail")
    faster = measured(0.9, "--sd-history=fail")
    faster.assert_outcomes(passed=1)
    faster.stdout.fnmatch_lines(["history: candidate of *::test_engine: *% faster since * (improvement), 2 of 10 runs"])


@pytest.mark.usefixtures("eight")
def test_a_slower_machine_fails_nothing(measured):
    measured(1.2, "--sd-history=fail", baseline=1.8)
    slower = measured(1.2, "--sd-history=fail", baseline=1.8)
    slower.assert_outcomes(passed=1)
    slower.stdout.fnmatch_lines(["history: candidate of *::test_engine: *% slower since * (machine), 2 of 10 runs"])


@pytest.mark.usefixtures("eight")
def test_a_gate_that_fails_says_what_the_history_adds(measured):
    measured(1.5, "--sd-history=fail")
    both = measured(1.5, "--sd-history=fail")
    both.assert_outcomes(failed=1)
    page = "See https://pytest-sdspeed.*/explanations/verdicts/#fail"
    both.stdout.fnmatch_lines(
        [
            "*::test_engine: candidate on *: x1.00 *slower than its floor*",
            "candidate of *::test_engine on *% slower against baseline since *",
            page,
        ]
    )
    both.stdout.no_fnmatch_line("*#history-slower*")


@pytest.mark.usefixtures("eight")
def test_a_damaged_file_is_named_and_the_rest_is_read(measured, pytester):
    (next(pytester.path.glob(".benchmarks/*")) / "0000_half.json").write_text('{"benchmarks": [')
    measured().stdout.fnmatch_lines(["history: candidate of *::test_engine: steady over 9 runs", "*passed over *0000_half.json*"])


def test_an_unknown_mode_is_refused(gated):
    refused = gated(TEST.format(candidate=1.0, baseline=1.5), "--sd-history=always")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*--sd-history=always: valid: off, warn, fail. See *"])
