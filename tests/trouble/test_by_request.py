"""The gate by ``request.getfixturevalue``, in bodies, in autouse fixtures and in unittest's classes."""

import json
import textwrap

import pytest
from children import WORKERS

FAST, SLOW = "engine(1.0)", "engine(1.5)"
BY_REQUEST = f'request.getfixturevalue("sd_latency")({FAST}, baseline={SLOW})'
RECORD = "--benchmark-json=out.json"


def stored(pytester):
    return {bench["name"]: bench for bench in json.loads((pytester.path / "out.json").read_text())["benchmarks"]}


def test_a_gate_by_request_measures_and_is_recorded_with_or_without_a_marker(gated, pytester):
    source = f"""
    import unittest

    @pytest.mark.sd_latency(speedup=1.5)
    def test_in_the_body(request):
        {BY_REQUEST}

    def test_with_a_mark_of_its_own(request):
        request.applymarker(pytest.mark.sd_latency(speedup=1.5))
        {BY_REQUEST}

    class TestDynamic:
        @pytest.fixture(autouse=True)
        def _request(self, request):
            self.request = request

        @pytest.mark.sd_latency(speedup=1.5)
        def test_by_a_class(self):
            self.{BY_REQUEST}

    class TestCase(unittest.TestCase):
        @pytest.fixture(autouse=True)
        def _gate(self, request):
            self.gate = request.getfixturevalue("sd_latency")

        @pytest.mark.sd_latency(speedup=1.5)
        def test_unittest(self):
            self.gate({FAST}, baseline={SLOW})

        def test_something_else(self):
            assert self.gate

    def test_beside_a_benchmark_that_is_there(benchmark, request):
        request.applymarker(pytest.mark.sd_latency(speedup=1.5))
        {BY_REQUEST}
    """
    result = gated(textwrap.dedent(source), RECORD, "--sd-report=report.html", "-W", "error::pytest.PytestWarning")
    result.assert_outcomes(passed=6)
    found = stored(pytester)
    names = {"test_in_the_body", "test_with_a_mark_of_its_own", "test_by_a_class", "test_unittest", "test_beside_a_benchmark_that_is_there"}
    assert found.keys() == names
    for bench in found.values():
        assert bench["stats"]["median"] == pytest.approx(1.0, rel=0.02)
        assert bench["group"].startswith("callables on ")
    page = (pytester.path / "report.html").read_text()
    assert all(name in page for name in names)


def test_a_gate_by_request_fails_what_is_too_slow_and_warns_of_nothing(gated):
    source = f"""
    def test_slow(request):
        request.applymarker(pytest.mark.sd_latency(speedup=1.5))
        request.getfixturevalue("sd_latency")({SLOW}, baseline={SLOW})

    def test_raises(request):
        def raises():
            raise ValueError("broken")
        request.applymarker(pytest.mark.sd_latency(speedup=1.5))
        request.getfixturevalue("sd_latency")(raises, baseline={SLOW})
    """
    result = gated(textwrap.dedent(source))
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*slower than its floor*"])
    result.stdout.no_fnmatch_line("*Benchmark fixture was not used at all*")


def test_gates_by_request_share_the_error_with_the_others_as_soon_as_they_are_known(gated):
    source = f"""
    from pytest_sdspeed.plugin.state import run_of

    @pytest.mark.sd_latency(speedup=1.5)
    def test_known(request):
        {BY_REQUEST}
        assert run_of(request.config).plan.rows == 1

    def test_late(request):
        request.applymarker(pytest.mark.sd_latency(speedup=1.5))
        {BY_REQUEST}
        assert run_of(request.config).plan.rows == run_of(request.config).plan.campaigns == 2

    def test_that_only_has_it(request):
        gate = request.getfixturevalue("sd_latency")
        assert run_of(request.config).plan.rows == 2
        if False:
            gate({FAST}, baseline={SLOW})
    """
    result = gated(textwrap.dedent(source))
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*test_that_only_has_it*", "*sd_latency was not called, so nothing was measured*"])


def test_unmarked_tests_of_a_class_that_offers_the_gate_take_no_share_of_the_error(gated):
    source = f"""
    from pytest_sdspeed.plugin.state import run_of

    class TestClass:
        @pytest.fixture(autouse=True)
        def _gate(self, sd_latency):
            self.gate = sd_latency

        def test_one(self): pass
        def test_two(self): pass

        @pytest.mark.sd_latency(speedup=1.5)
        def test_speed(self, request):
            self.gate({FAST}, baseline={SLOW})
            assert run_of(request.config).plan.rows == 1
    """
    gated(textwrap.dedent(source)).assert_outcomes(passed=3)


UNKNOWN = f"""
def test_late(request):
    request.applymarker(pytest.mark.sd_latency(speedup=1.5))
    {BY_REQUEST}
"""


def test_without_pytest_benchmark_it_is_refused_before_measuring(gated):
    result = gated(UNKNOWN, "-p", "no:benchmark")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*fixture 'benchmark' not found*"])


def test_a_storage_that_cannot_be_written_is_refused_before_measuring(gated, pytester):
    (pytester.path / "file").write_text("")
    result = gated(UNKNOWN, "--benchmark-autosave", "--benchmark-storage=file")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["--benchmark-storage=file: *is a file, not a folder*"])


def test_another_version_must_know_of_it_before(gated):
    result = gated(UNKNOWN, "--sd-against=.")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["sd_latency: this test asks for its gate while it runs, *--sd-against*: mark it with @pytest.mark.sd_latency(...)*"]
    )


@pytest.mark.slow
def test_workers_run_marked_gates_by_request_and_refuse_others(pytester):
    pytester.makepyfile("""
        import sys
        import time
        import pytest

        def gate(request):
            request.getfixturevalue("sd_latency")(lambda: time.sleep(0.002), baseline=lambda: time.sleep(0.002))

        @pytest.mark.sd_latency(speedup=1.0, tolerance=0.9)
        def test_marked(request):
            gate(request)
            assert "torch" not in sys.modules

        def test_late(request):
            request.applymarker(pytest.mark.sd_latency(speedup=1.0, tolerance=0.9))
            gate(request)
    """)
    result = pytester.runpytest_subprocess(*WORKERS, "-n1", "--sd-max-blocks=3", "--sd-inconclusive=warn", RECORD)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["sd_latency: this test asks for its gate while it runs, *pytest-xdist*: mark it with*"])
    assert stored(pytester).keys() == {"test_marked"}


@pytest.mark.slow
def test_pytest_html_shows_a_gate_by_request(pytester, gated):
    gated(UNKNOWN, "--html=page.html", "--self-contained-html", autoload=True).assert_outcomes(passed=1)
    assert "candidate of test_" in (pytester.path / "page.html").read_text()
