"""What a test asks for is made out once, when it is collected, and carried with it."""

from __future__ import annotations

import pytest

from pytest_sdspeed.plugin import requests

TWO_SLOW = """
@pytest.mark.sd_latency(speedup=1.1)
def test_fast(sd_latency):
    sd_latency(engine(1.0), baseline=engine(1.5))
"""


@pytest.fixture
def parsed(monkeypatch):
    """Ids of the tests whose marker was parsed, once for each time."""
    found, read_marker = [], requests.read_marker

    def counted(mark, where, *more):
        found.append(where.rpartition("::")[2])
        return read_marker(mark, where, *more)

    monkeypatch.setattr(requests, "read_marker", counted)
    return found


def test_a_marker_is_parsed_once(gated, parsed):
    gated(TWO_SLOW).assert_outcomes(passed=1)
    assert parsed == ["test_fast"]


def test_a_marker_that_comes_while_the_test_runs_counts(gated, parsed):
    source = """
        @pytest.fixture
        def strict(request):
            request.node.add_marker(pytest.mark.sd_latency(speedup=2.0), append=False)

        @pytest.mark.sd_latency(speedup=1.1)
        def test_fast(strict, sd_latency):
            sd_latency(engine(1.0), baseline=engine(1.5))
    """
    import textwrap

    outcome = gated(textwrap.dedent(source))
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines(["*expected x2.00*"])
    assert parsed == ["test_fast", "test_fast"]


def test_a_wrong_marker_that_comes_while_the_test_runs_fails_it(gated):
    source = """
def test_fast(request, sd_latency):
    request.node.add_marker(pytest.mark.sd_latency(speed=2.0), append=False)
    sd_latency(engine(1.0), baseline=engine(1.5))
"""
    outcome = gated(f"@pytest.mark.sd_latency(speedup=1.1){source}")
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines(["*marker sd_latency has no argument 'speed'*"])


def test_a_setup_that_a_test_asks_for_while_it_runs_is_found(gated):
    source = """
def test_late(request):
    assert request.getfixturevalue("sd_feature_cache_2").name == "feature_cache_2"
"""
    gated(source).assert_outcomes(passed=1)
