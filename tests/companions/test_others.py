"""Other plugins that projects have: what works beside them, and what is refused before anything is measured."""

import json
import re

import pytest
from since import needs

ROW = """
@pytest.mark.sd_latency(speedup=1.5)
def test_row(sd_latency):
    sd_latency(engine(1.0), baseline=engine(2.0))
"""
PASSES = re.compile(r"sd speed-ups: callables")


def stored(pytester):
    return json.loads((pytester.path / "out.json").read_text())["benchmarks"]


def refused(run, *words):
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stdout.no_fnmatch_line("*sd speed-ups*")
    assert all(word in run.stderr.str() for word in words)


# pytest-forked


@pytest.mark.parametrize("how", ["option", "marker"])
def test_a_forked_gate_is_refused_before_anything_is_measured(beside, how):
    mark, options = ("", ["--forked"]) if how == "option" else ("@pytest.mark.forked", [])
    run = beside(mark + ROW, *options, packages=["pytest-forked"])
    refused(run, "test_row", "pytest-forked runs it in a child process", "without --forked")


def test_a_gate_is_measured_beside_tests_that_are_forked(beside, pytester):
    source = "import os\nPARENT = os.getpid()\n@pytest.mark.forked\ndef test_other():\n    assert os.getpid() != PARENT\n"
    beside(source + ROW, "--benchmark-json=out.json", packages=["pytest-forked"])
    assert [bench["name"] for bench in stored(pytester)] == ["test_row"]


# pytest-codspeed


@pytest.mark.parametrize("how", ["option", "variable"])
def test_codspeed_that_is_on_is_refused_before_anything_is_measured(beside, monkeypatch, how):
    if how == "variable":
        monkeypatch.setenv("CODSPEED_ENV", "runner")
    run = beside(ROW, *(["--codspeed"] if how == "option" else []), packages=["pytest-codspeed"])
    refused(run, "--codspeed", "run the tests that use sd_latency without it")


def test_codspeed_that_is_off_changes_nothing(beside, pytester):
    beside(ROW, "--benchmark-json=out.json", packages=["pytest-codspeed"]).assert_outcomes(passed=1)
    assert len(stored(pytester)) == 1


# hypothesis


def test_a_gate_under_given_is_refused_before_anything_is_measured(beside):
    source = """
    from hypothesis import HealthCheck, given, settings, strategies
    @settings(suppress_health_check=list(HealthCheck))
    @given(strategies.integers())
    @pytest.mark.sd_latency(speedup=1.5)
    def test_row(sd_latency, number):
        sd_latency(engine(1.0), baseline=engine(2.0))
    """
    import textwrap

    refused(beside(textwrap.dedent(source), packages=["hypothesis"]), "@given runs its body many times", "parametrize")


# asyncio


ASYNC = """
@pytest.mark.{plugin}
@pytest.mark.sd_latency(speedup=1.5)
async def test_row(sd_latency):
    sd_latency(engine(1.0), baseline=engine(2.0))
"""


@pytest.mark.parametrize(("package", "plugin"), [("pytest-asyncio", "asyncio"), ("anyio", "anyio")])
def test_an_asynchronous_test_is_measured(beside, pytester, package, plugin):
    backend = "@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
    run = beside(backend + ASYNC.format(plugin=plugin), "--benchmark-json=out.json", packages=[package])
    assert run.ret == 0
    assert len(stored(pytester)) == 1


@pytest.mark.parametrize(
    "candidate",
    ["async def candidate():\n    engine(9.0)()\n", "def candidate():\n    engine(9.0)()\n    yield None\n"],
    ids=["coroutine", "generator"],
)
def test_a_candidate_that_only_begins_its_work_fails(gated, candidate):
    run = gated(candidate + ROW.replace("engine(1.0)", "candidate"))
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(["*its work was not done when it returned*"])


# pytest-repeat


def test_a_test_that_is_repeated_is_a_row_each_time(beside, pytester):
    run = beside(ROW, "--count=3", "--benchmark-json=out.json", packages=["pytest-repeat"])
    run.assert_outcomes(passed=3)
    assert [bench["name"] for bench in stored(pytester)] == [f"test_row[{time}-3]" for time in (1, 2, 3)]


# Time


FROZEN = """
from {module} import {name}
import time
def work(seconds):
    def call():
        end = REAL() + seconds
        while REAL() < end:
            pass
    return call
@{name}("2020-01-01"{more})
@pytest.mark.sd_latency(speedup=1.5, tolerance=0.9)
def test_row(sd_latency):
    # The machine may be busy: what counts is that its time went on.
    sd_latency(work(0.001), baseline=work(0.008))
"""


@pytest.mark.parametrize(
    ("package", "module", "name", "more"),
    [("freezegun", "freezegun", "freeze_time", ""), ("time-machine", "time_machine", "travel", ", tick=False")],
)
def test_time_that_a_test_freezes_goes_on_for_the_campaign(process, package, module, name, more):
    source = "import pytest\nclass Held:\n    import time\n    real = staticmethod(time.perf_counter)\nREAL = Held.real\n"
    source = source.replace("REAL = Held.real", "def REAL():\n    return Held.real()")
    run = process(source + FROZEN.format(module=module, name=name, more=more), packages=[package])
    run.stdout.fnmatch_lines(["sd speed-ups: callables*", "baseline * ms*", "candidate * ms*"])
    run.assert_outcomes(passed=1, warnings=run.parseoutcomes().get("warnings", 0))


# What else shows or orders tests


@pytest.mark.parametrize(
    ("packages", "options"),
    [
        (["pytest-sugar", "termcolor"], []),
        (["pytest-instafail"], ["--instafail"]),
        (["pytest-mock"], []),
    ],
    ids=lambda value: value[0] if value else "",
)
def test_the_table_and_the_record_are_there_beside(beside, pytester, packages, options):
    source = ROW + ROW.replace("test_row", "test_slow").replace("engine(1.0)", "engine(2.0)")
    run = beside(source, "--benchmark-json=out.json", *options, packages=packages)
    assert run.ret == 1
    assert PASSES.search(run.stdout.str())
    assert "the floor is x1.425" in run.stdout.str()
    assert [bench["name"] for bench in stored(pytester)] == ["test_row", "test_slow"]


def test_the_order_and_the_seeds_of_randomly_change_no_campaign(gated, pytester):
    gated(ROW + ROW.replace("test_row", "test_other"), "--collect-only")
    run = pytester.runpytest_inprocess("-p", "randomly", "-W", "default", "--benchmark-json=out.json")
    run.assert_outcomes(passed=2)
    run.stdout.fnmatch_lines(["Using --randomly-seed=*"])
    assert {bench["name"] for bench in stored(pytester)} == {"test_row", "test_other"}


@needs("pytest", "9.0", "subtests")
def test_subtests_are_told_and_the_gate_counts_once(beside, pytester):
    source = """
@pytest.mark.sd_latency(speedup=1.5)
def test_row(sd_latency, subtests):
    with subtests.test("gate"):
        sd_latency(engine(1.0), baseline=engine(2.0))
    with subtests.test("more"):
        assert True
"""
    assert beside(source, "--benchmark-json=out.json", packages=[]).ret == 0
    assert len(stored(pytester)) == 1
