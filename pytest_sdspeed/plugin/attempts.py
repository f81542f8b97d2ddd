"""Tests that another plugin runs again, or ends at a time limit: the last attempt counts."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.errors import read_first_line
from pytest_sdspeed.measure.clock import WallClock
from pytest_sdspeed.measure.time_limit import TimeLimit
from pytest_sdspeed.model import ClaimResult
from pytest_sdspeed.plugin.requests import plan_of
from pytest_sdspeed.plugin.state import (
    ACCOUNTS,
    BEGUN,
    CLAIMED,
    CLOCK,
    RESULT,
    is_gated,
    is_timed,
    note_begin,
    own_id,
    run_of,
)
from pytest_sdspeed.store.benchmark import ReplayClock, forget

if TYPE_CHECKING:
    from collections.abc import Generator

    from pytest_sdspeed.model import Result
    from pytest_sdspeed.run.plan import Plan

_NAME = "sdspeed-attempts"
_ENDED: pytest.StashKey[list[str]] = pytest.StashKey()
"""How every attempt of a test ended so far, the one under way included."""
_UNDER_WAY = "it did not end"
_MARGIN = 0.1
"""Share of a time limit that is left for judging, storing and taking down, and at least a second of
it."""


class Attempts:
    """Hooks that notice when a gated test begins, and when it begins again."""

    def __init__(self) -> None:
        self._superseded: set[str] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Import what tests with a time limit measure with: no limit should have to contain that.

        An import that a limit interrupts leaves a library that cannot be imported any more.
        """
        limited = [item for item in session.items if is_gated(item) and find_time_limit(item)]
        if limited and not session.config.option.collectonly:
            plans = [plan_of(item) for item in limited]
            drawn = any(plan.setups or (plan.claim and plan.claim.rows) for plan in plans)
            # Whatever cannot be imported, the tests that need it say so.
            with suppress(Exception):
                run_of(session.config).session.load_libraries(pipelines=drawn)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Note when a test began, as its time limit counts."""
        item.stash[BEGUN] = {}
        note_begin(item, "protocol")
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin an attempt: what an earlier one measured counts no more."""
        if not is_gated(item) and CLOCK not in item.stash:
            return
        if CLOCK in item.stash or is_timed(item):
            set_replay_clock(item)
        _supersede(item)
        item.stash.setdefault(_ENDED, []).append(_UNDER_WAY)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, Any]:
        """Note how an attempt ended: by its first failure."""
        report = yield
        attempts = item.stash.get(_ENDED, [])
        if attempts and attempts[-1] in (_UNDER_WAY, "passed") and call.when != "teardown":
            found = item.stash.get(CLAIMED, item.stash.get(RESULT, None))
            attempts[-1] = _describe_end(found, report, call)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the figures from the last report of an attempt that is superseded.

        ``--junit-xml`` would add them to those of the attempt that counts.
        """
        if report.outcome == "rerun":  # type: ignore[comparison-overlap]
            self._superseded.add(report.nodeid)
        if report.nodeid in self._superseded:
            _drop_properties(report)
        if report.when == "teardown":
            self._superseded.discard(report.nodeid)


def notice_attempts(config: pytest.Config) -> None:
    """Notice from now on when a gated test begins, and when it begins again."""
    if not config.pluginmanager.hasplugin(_NAME):
        config.pluginmanager.register(Attempts(), _NAME)


def notice_late_attempt(item: pytest.Item) -> None:
    """Notice the attempt that is under way of a test that gets its gate while it runs."""
    notice_attempts(item.config)
    item.stash.setdefault(_ENDED, [_UNDER_WAY])


def set_replay_clock(item: pytest.Item) -> ReplayClock:
    """Give a test's ``benchmark`` the replay clock as its timer.

    The rest of its own ``benchmark`` marker stays: pytest-benchmark asks the closest one alone.
    """
    clock = item.stash.setdefault(CLOCK, ReplayClock())
    mark = item.get_closest_marker("benchmark")
    if mark is None or mark.kwargs.get("timer") is not clock:
        arguments, keywords = (mark.args, mark.kwargs) if mark else ((), {})
        ours = pytest.mark.benchmark(*arguments, **{**keywords, "timer": clock})
        item.add_marker(ours, append=False)
    return clock


def plan_of_attempt(item: Any) -> Plan:
    """Find what a test asks for, with its time limit and how earlier attempts ended."""
    earlier = tuple(item.stash.get(_ENDED, [])[:-1])
    return replace(plan_of(item), earlier=earlier, time_limit=find_time_limit(item))


def _supersede(item: pytest.Item) -> None:
    """Take out what an earlier attempt of a test left in this run."""
    keys: tuple[pytest.StashKey[Any], ...] = (RESULT, ACCOUNTS, CLAIMED)
    left = [key for key in keys if key in item.stash]
    if not left:
        return
    for key in left:
        del item.stash[key]
    run_of(item.config).forget(own_id(item))
    forget(item.config.pluginmanager, item.nodeid)
    _drop_properties(item)


def _drop_properties(told: Any) -> None:
    """Drop what a test or a report says of a gate for ``--junit-xml``."""
    told.user_properties[:] = [
        (name, value) for name, value in told.user_properties if not name.startswith("sdspeed_")
    ]


def _describe_end(
    result: ClaimResult | Result | None, report: Any, call: pytest.CallInfo[None]
) -> str:
    """Say in a clause how an attempt ended."""
    if isinstance(result, ClaimResult) and result.verdict != "pass":
        compared = (f"{one.subject} {one.measured}" for one in result.comparisons)
        return f"{result.outcome}, {'; '.join(compared)}"
    if result is not None and result.verdict != "pass":
        return f"{result.verdict}, {'; '.join(result.reasons)}"
    if report.passed:
        return "passed"
    said = report.longreprtext.partition("\n")[0]
    if call.excinfo is not None:
        said = read_first_line(call.excinfo.value, call.excinfo.typename)
    return f"{report.outcome}, {said}"


def find_time_limit(item: pytest.Item) -> TimeLimit | None:
    """Find the time limit that another plugin sets a test, and what is left of it.

    pytest-timeout takes a mark before its option, that before a variable, that before its ini key.
    pytest itself ends the process after ``faulthandler_timeout`` if it is told to.
    """
    found = [
        (seconds, name, phase)
        for seconds, name, phase in (_limit_of_pytest_timeout(item), _limit_of_faulthandler(item))
        if seconds > 0
    ]
    if not found:
        return None
    seconds, name, phase = min(found)
    begun = item.stash.get(BEGUN, {})
    now = WallClock().now()
    left_s = seconds - (now - begun.get(phase, now)) - max(1.0, _MARGIN * seconds)
    return TimeLimit(seconds=seconds, left_s=left_s, name=name)


def _limit_of_pytest_timeout(item: pytest.Item) -> tuple[float, str, str]:
    config = item.config
    if not config.pluginmanager.hasplugin("timeout"):
        return 0.0, "", ""
    mark = item.get_closest_marker("timeout")
    given = mark.args if mark else ()
    arguments = dict(zip(("timeout", "method", "func_only"), given, strict=False))
    arguments |= mark.kwargs if mark else {}
    asked = {
        "@pytest.mark.timeout": arguments.get("timeout"),
        "--timeout": config.getoption("timeout", None),
        "PYTEST_TIMEOUT": os.environ.get("PYTEST_TIMEOUT"),
        "the ini key timeout": config.getini("timeout") or None,
    }
    name = next((name for name, value in asked.items() if value is not None), "")
    only = arguments.get("func_only")
    func_only = config.getini("timeout_func_only") if only is None else only
    return _seconds(asked.get(name)), name, "call" if func_only else "protocol"


def _limit_of_faulthandler(item: pytest.Item) -> tuple[float, str, str]:
    config = item.config
    if not config.pluginmanager.hasplugin("faulthandler"):
        return 0.0, "", ""
    try:
        ends = config.getini("faulthandler_exit_on_timeout")
    except (KeyError, ValueError):
        ends = False
    seconds = _seconds(config.getini("faulthandler_timeout")) if ends else 0.0
    return seconds, "the ini key faulthandler_timeout", "protocol"


def _seconds(value: Any) -> float:
    """Return seconds; 0, which is no limit, for what the other plugin will refuse itself."""
    try:
        return float(value or 0)
    except (TypeError, ValueError):
        return 0.0
