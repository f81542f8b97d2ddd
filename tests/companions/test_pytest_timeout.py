"""pytest-timeout: a campaign ends at its last whole block before the limit, or says what to set."""

import pytest
from since import needs
from tables_text import UNBUILT

from pytest_sdspeed.plugin import attempts

PACKAGE = {"packages": ["pytest-timeout"]}
SOURCE = """
{mark}
@pytest.mark.sd_latency(speedup=2.0, tolerance=0.0)
def test_row(sd_latency):
    sd_latency(engine({seconds}, cv=0.2), baseline=engine({seconds} * 2, cv=0.2))
"""
HALF = {"seconds": 0.5}


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_a_campaign_ends_at_its_last_whole_block_before_the_limit_and_is_judged(beside, fake_time, method):
    run = beside(SOURCE.format(mark="", **HALF), "--timeout=60", f"--timeout-method={method}", "--sd-max-blocks=200", **PACKAGE)
    run.stdout.fnmatch_lines(
        ["*inconclusive*", "note: *ended after * whole blocks, before --timeout ends the test after 60 s: *set --timeout to *"]
    )
    assert 30 < fake_time.seconds < 60


def test_a_row_that_is_decided_before_the_limit_says_nothing_of_it(beside):
    source = SOURCE.format(mark="", **HALF).replace("speedup=2.0", "speedup=1.2")
    run = beside(source, "--timeout=120", **PACKAGE)
    run.assert_outcomes(passed=1)
    assert "--timeout ends" not in run.stdout.str()


@pytest.mark.parametrize(
    ("mark", "options", "named"),
    [
        ("", ["--timeout=10"], "--timeout ends this test after 10 s"),
        ("@pytest.mark.timeout(10)", ["--timeout=9999"], "@pytest.mark.timeout ends this test after 10 s"),
        ("@pytest.mark.timeout(timeout=10, func_only=True)", [], "@pytest.mark.timeout ends this test after 10 s"),
        ("@pytest.mark.timeout(method='thread')", ["-o", "timeout=10"], "the ini key timeout ends this test after 10 s"),
    ],
)
def test_a_limit_that_is_too_short_says_what_to_set_before_anything_is_timed(beside, fake_time, mark, options, named):
    run = beside(SOURCE.format(mark=mark, seconds=2.0), *options, **PACKAGE)
    run.assert_outcomes(failed=1)
    assert named in run.stdout.str()
    assert "nothing was timed" in run.stdout.str()
    assert fake_time.seconds < 30


def test_the_limit_that_the_message_asks_for_is_enough(beside, fake_time):
    import re

    short = beside(SOURCE.format(mark="", seconds=2.0), "--timeout=10", **PACKAGE)
    (wanted,) = set(re.findall(r"set --timeout to (\d+) or more", short.stdout.str()))
    enough = beside(
        SOURCE.format(mark="", seconds=2.0).replace("speedup=2.0", "speedup=1.2").replace("0.2", "0.003"), f"--timeout={wanted}", **PACKAGE
    )
    enough.assert_outcomes(passed=1)


def test_the_environment_variable_is_a_limit_too(beside, monkeypatch):
    monkeypatch.setenv("PYTEST_TIMEOUT", "10")
    run = beside(SOURCE.format(mark="", seconds=2.0), **PACKAGE)
    assert "PYTEST_TIMEOUT ends this test after 10 s" in run.stdout.str()


def test_no_limit_changes_nothing(beside):
    source = SOURCE.format(mark="@pytest.mark.timeout(0)", **HALF).replace("speedup=2.0", "speedup=1.2")
    beside(source, "--timeout=1", **PACKAGE).assert_outcomes(passed=1)


@needs("pytest", "9.0", "faulthandler_exit_on_timeout")
def test_pytests_own_limit_counts_if_it_ends_the_process(gated):
    source = SOURCE.format(mark="", seconds=2.0)
    run = gated(source, "-o", "faulthandler_timeout=10", "-o", "faulthandler_exit_on_timeout=true")
    assert "the ini key faulthandler_timeout ends this test after 10 s" in run.stdout.str()


def test_pytests_own_limit_that_only_dumps_tracebacks_does_not_count(gated):
    source = SOURCE.format(mark="", seconds=2.0).replace("speedup=2.0", "speedup=1.2").replace("0.2", "0.003")
    gated(source, "-o", "faulthandler_timeout=10").assert_outcomes(passed=1)


ROWS = """
import time

@pytest.fixture(autouse=True)
def no_pipelines(monkeypatch):
    from pytest_sdspeed.setups.setup import Setup

    def build(self):
        builds.append(self.name)
        {build}

    monkeypatch.setattr(Setup, "build", build)
    monkeypatch.setattr(Setup, "measure_loaded", lambda self: None)

builds = []

@pytest.mark.sd_latency(table="small")
def test_row(sd_latency, sd_setup):
    try:
        sd_latency(sd_setup)
    finally:
        print("built", len(builds))
"""


@pytest.fixture
def table(pytester, monkeypatch):
    monkeypatch.setattr("pytest_sdspeed.run.session.Session.load_libraries", lambda _session, pipelines: None)
    (pytester.path / "small.toml").write_text(UNBUILT.format(tolerance=0.9, first="small_sdpa", second="small_channels_last", speedup=1.0))
    return "--sd-tables=small.toml"


def test_a_limit_that_hits_all_the_same_does_not_have_the_next_rows_begin_the_campaign_again(beside, table):
    run = beside(ROWS.format(build="time.sleep(5)"), table, "--timeout=1.5", "-s", **PACKAGE)
    run.assert_outcomes(failed=3)
    text = run.stdout.str()
    assert text.count("built 1") == 3
    assert text.count("the campaign of this row was ended while") >= 2
    assert "set --timeout to more than 1.5" in text


def test_building_that_takes_the_whole_limit_says_so_once_for_every_row(beside, table):
    build = "__import__('builtins').sd_fake_time.spend(100)"
    run = beside(ROWS.format(build=build), table, "--timeout=50", "-s", **PACKAGE)
    run.assert_outcomes(failed=3)
    text = run.stdout.str()
    assert text.count("built 1") == 3
    assert "which is too short for building: nothing was timed" in text
    assert text.count("One test of a table measures the whole campaign") >= 3


def test_a_confirmation_that_has_no_time_left_is_not_begun(beside, monkeypatch):
    limit = attempts.TimeLimit(seconds=100.0, left_s=20.0, name="--timeout")
    monkeypatch.setattr("pytest_sdspeed.plugin.gate.find_time_limit", lambda _item: limit)
    source = SOURCE.format(mark="", seconds=0.5).replace("0.2", "0.003").replace("speedup=2.0", "speedup=3.0")
    run = beside(source, "--sd-confirm", "--timeout=100", **PACKAGE)
    run.assert_outcomes(failed=1)
    assert "could not be confirmed: --timeout ends this test after 100 s, too soon" in run.stdout.str()


@pytest.mark.slow
def test_a_thread_that_would_end_the_process_finds_the_run_at_its_end(process, pytester):
    arms = "import time\ndef slow():\n    time.sleep(0.008)\ndef fast():\n    time.sleep(0.004)\n"
    source = """
        import pytest
        from arms import fast, slow
        @pytest.mark.sd_latency(speedup=2.0, tolerance=0.0)
        def test_row(sd_latency):
            sd_latency(fast, baseline=slow)
        """
    options = ("--timeout=5", "--timeout-method=thread", "--sd-max-blocks=200", "--benchmark-json=out.json", "--sd-seed=1")
    run = process(source, *options, packages=["pytest-timeout"], arms=arms)
    assert "+ Timeout +" not in run.stdout.str()
    run.stdout.fnmatch_lines(["sd speed-ups: callables*"])
    assert (pytester.path / "out.json").exists()
