"""pytest-cov and coverage: no tracer in a slot, and every line outside is counted."""

import sys
from types import SimpleNamespace

import pytest

from pytest_sdspeed.measure.campaign_data import Arm
from pytest_sdspeed.versions.server import WorkerServer

ARMS = """
    import sys
    import threading
    import time
    SEEN = {"slow": [], "fast": []}
    def watchers():
        return [one for one in (sys.gettrace(), sys.getprofile(), threading.gettrace()) if one is not None]
    def slow():
        SEEN["slow"].append(watchers())
        time.sleep(0.008)
        return branch(1)
    def fast():
        SEEN["fast"].append(watchers())
        time.sleep(0.002)
        return branch(2)
    def branch(number):
        if number == 1:
            return None
        number += 1
        return None
    def outside():
        return len(SEEN)
    """
TEST = """
    import sys
    import pytest
    from arms import SEEN, fast, outside, slow
    @pytest.mark.sd_latency(speedup=1.2, tolerance=0.9)
    def test_row(sd_latency):
        before = sys.gettrace()
        # The machine may be busy: what counts is who watched.
        sd_latency(fast, baseline=slow)
        assert outside() == 2
        assert (sys.gettrace() is None) == (before is None)
        for seen in SEEN.values():
            assert len(seen) > 6
            assert not any(seen[1:])
            assert bool(seen[0]) == (before is not None)
        print("traced by", before)
    """


@pytest.mark.parametrize("core", ["ctrace", "pytrace"])
def test_slots_are_untraced_and_every_line_is_covered(process, monkeypatch, core):
    monkeypatch.setenv("COVERAGE_CORE", core)
    run = process(TEST, "--cov=arms", "--cov-branch", "--cov-report=term-missing", "-s", packages=["pytest-cov"], arms=ARMS)
    run.assert_outcomes(passed=1)
    run.stdout.fnmatch_lines(["*traced by <*", "arms.py * 100%*"])


@pytest.mark.slow
def test_workers_of_xdist_suspend_it_too(process):
    run = process(TEST, "-n1", "--cov=arms", "--cov-report=term-missing", packages=["pytest-cov"], arms=ARMS)
    run.assert_outcomes(passed=1)
    run.stdout.fnmatch_lines(["arms.py * 100%*"])


def test_the_workers_of_a_comparison_suspend_it_too(monkeypatch):
    seen = []
    arm = Arm(name="row", generate=lambda _case: seen.append(sys.gettrace()))
    server = WorkerServer(SimpleNamespace(memory=str), None)
    monkeypatch.setattr(server, "_arm", lambda _named: arm)
    monkeypatch.setattr(server, "_settle", lambda named: server._draws.update({named: 1}))

    def tracer(*_event):
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        for _ in range(3):
            server.on_draw(("call", "row"), 0, "", 0)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert seen == [tracer, None, None]
