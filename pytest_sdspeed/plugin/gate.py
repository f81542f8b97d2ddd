"""The gate behind the fixture ``sd_latency``: it measures, judges, and passes or fails the test."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pytest_sdspeed.errors import (
    OutOfMemoryError,
    SdSpeedError,
    UnsupportedError,
    read_first_line,
)
from pytest_sdspeed.plugin.asking import Asking
from pytest_sdspeed.plugin.attempts import find_time_limit, plan_of_attempt
from pytest_sdspeed.plugin.options import GATE
from pytest_sdspeed.plugin.requests import plan_of, skip_unknown_model
from pytest_sdspeed.plugin.state import (
    ANSWER,
    ASKING,
    CLOCK,
    COUNTED,
    PROCESS,
    RESULT,
    measures_nothing,
    own_id,
    run_of,
)
from pytest_sdspeed.run.targets import drawer_of, targets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_sdspeed.model import Change, Result
    from pytest_sdspeed.run.cold_starts import Started


class InconclusiveWarning(pytest.PytestWarning):
    """A verdict stayed inconclusive, and ``--sd-inconclusive=warn`` lets the test pass."""


class SlowerWarning(pytest.PytestWarning):
    """A row has become slower than in the stored runs, and ``--sd-history=warn`` lets it pass."""


class Gate:
    """What ``sd_latency`` gives to a test, which calls it once with what is to be measured."""

    def __init__(self, request: pytest.FixtureRequest, benchmark: Any) -> None:
        self._node, self._run, self._benchmark = request.node, run_of(request.config), benchmark
        self._asking: Asking = self._node.stash[ASKING][GATE]
        self._asking.give_gate()

    def __call__(self, candidate: Any, baseline: Any = None) -> Result:
        """Measure a candidate against a baseline, judge it, and store the result.

        The test ends as this call does: what it raises counts, also if the body catches it.

        Args:
            candidate: a setup fixture's value, a callable ``() -> picture, pictures or None``, or
                the ``module:name`` of one.
            baseline: what it is compared with; None for the baseline of a setup's table.

        Returns:
            The result of a passing row.
        """
        result: Result = self._asking.ask(
            candidate, baseline, lambda: self._judge(candidate, baseline)
        )
        return result

    def __reduce__(self) -> NoReturn:
        """Refuse to be sent to another process, or copied."""
        raise TypeError(
            "sd_latency cannot be sent to another process, since what is measured there is lost:"
            " call it in the test's own process (what it measures may start processes)"
        )

    def _judge(self, candidate: Any, baseline: Any) -> Result:
        from pytest_sdspeed.report import history
        from pytest_sdspeed.report.messages import write_message
        from pytest_sdspeed.report.pages import describe_error
        from pytest_sdspeed.store.benchmark import store

        asked = self._node.config.stash.get(ANSWER, None)
        if asked is not None:
            from pytest_sdspeed.plugin.confirm import write_answer

            write_answer(asked, lambda: self._measure(candidate, baseline))
        try:
            result = self._measure(candidate, baseline)
        except OutOfMemoryError as error:
            # A setup may be too large for this machine; a callable that has become too large is for
            # its author to fix.
            if callable(candidate) or isinstance(candidate, str):
                pytest.fail(describe_error(error), pytrace=False)
            pytest.skip(str(error))
        except UnsupportedError as error:
            pytest.skip(str(error))
        except SdSpeedError as error:
            skip_unknown_model(self._node, error)
            # The error that it was raised from says the same.
            raise pytest.fail.Exception(describe_error(error), pytrace=False) from None
        store(self._benchmark, self._node.stash[CLOCK], result, self._drawer(candidate))
        # Items live as long as the run: the test alone holds the pictures.
        self._node.stash[RESULT] = replace(result, images=None)
        self._node.user_properties.extend(
            (f"sdspeed_{name}", value) for name, value in properties(result)
        )
        change = _find_regression(result)
        slower = (
            history.describe_change(result.history, change) if result.history and change else ""
        )
        past = history.write_message(result.history, change) if result.history and change else ""
        said = past if result.verdict == "pass" else write_message(result, slower)
        if result.verdict == "inconclusive":
            end_inconclusive(self._run.options.inconclusive, said)
        elif result.verdict != "pass" or (past and self._run.options.history == "fail"):
            pytest.fail(said, pytrace=False)
        elif past:
            warnings.warn(SlowerWarning(past), stacklevel=5)
        return result

    def _measure(self, candidate: Any, baseline: Any) -> Result:
        ours, theirs = targets_of(candidate, baseline)
        plan = plan_of_attempt(self._node)
        if ANSWER not in self._node.config.stash:
            plan = replace(plan, start=self._start)
        if COUNTED not in self._node.stash:
            self._node.stash[COUNTED] = True
            self._run.plan.add(plan)
        confirm = self._confirm if self._run.options.confirm else None
        return self._run.measure(ours, theirs, plan, confirm)

    def _drawer(self, candidate: Any) -> Callable[[], None]:
        """Return what draws once with a candidate; what was measured is kept even if it raises."""
        draw = drawer_of(targets_of(candidate, None)[0])

        def profiled() -> None:
            try:
                draw()
            except Exception as error:  # noqa: BLE001 - no extra may cost a test its result
                said = f"{type(error).__name__}: {read_first_line(error, 'no message')}"
                self._run.problems.append(f"sd run: no profile of {own_id(self._node)}: {said}")

        return profiled

    def _confirm(self, first: Result) -> Result:
        from pytest_sdspeed.plugin.confirm import combine, confirm

        limit = find_time_limit(self._node)
        if limit is not None and not limit.allows_repetition:
            why = f"{limit.name} ends this test after {limit.seconds:g} s, too soon for it"
            return combine(first, f"{why}: set it to three times that")
        total = self._run.plan.total
        if total is not None and total.left_s <= 0:
            return combine(first, total.explain_nothing_left())
        # The new process builds its own pipelines, and needs the memory of this one's.
        self._run.release()
        budget_s = None if total is None else min(self._run.options.budget_s, total.left_s)
        return confirm(first, self._node, self._run.watcher, budget_s)

    def _start(self, table: str, setup: str, cache: Path) -> Started:
        from pytest_sdspeed.plugin.cold_start import start_process
        from pytest_sdspeed.run.cold_starts import Started

        limit = find_time_limit(self._node)
        if limit is not None and not limit.allows_repetition:
            why = (
                f"{limit.name} ends this test after {limit.seconds:g} s, too soon for new processes"
            )
            return Started(error=f"{why}: set it to three times that")
        # The new process builds its own pipeline, and needs the memory of this one's.
        self._run.release()
        return start_process(self._node, table, setup, cache)


def end_inconclusive(manner: str, text: str, stacklevel: int = 6) -> None:
    """End a test whose verdict is inconclusive as ``--sd-inconclusive`` says.

    Args:
        manner: value of the option.
        text: what is said.
        stacklevel: how many calls lie between this one and the body of the test.
    """
    if manner == "skip":
        pytest.skip(text)
    if manner == "fail":
        pytest.fail(text, pytrace=False)
    warnings.warn(InconclusiveWarning(text), stacklevel=stacklevel)


_TIMES = ("speedup", "low", "high", "expected", "floor", "latency_s", "baseline_latency_s")


def properties(result: Result) -> Iterator[tuple[str, str | float]]:
    """Yield what ``--junit-xml`` writes: verdict, ratios, blocks, latencies in seconds, metrics.

    A row that was measured by stages has those of each; a rehearsal has the verdict and the metrics
    alone.
    """
    yield "verdict", result.verdict
    if result.rehearsal is None:
        for name in _TIMES:
            yield name, round(getattr(result, name), 6)
        yield "blocks", result.blocks
    else:
        yield "rehearsal", f"{result.weights} weights"
    if result.by_stage is not None:
        from pytest_sdspeed.report.by_stage import list_properties

        yield from list_properties(result.by_stage)
    if result.image_verdict:
        yield "image_verdict", result.image_verdict
    yield from ((f"image_{metric}", round(value, 6)) for metric, value in result.image.items())


def gate_of(request: pytest.FixtureRequest, benchmark: Any) -> Gate:
    """Make the gate of a test, or end the test if nothing can be measured."""
    from pytest_sdspeed.report.pages import describe_error

    item = request.node
    try:
        plan_of(item)
        if measures_nothing(request.config):
            pytest.skip("sd_latency measures nothing under --benchmark-disable")
        if CLOCK not in item.stash:
            from pytest_sdspeed.plugin.collecting import prepare_late

            prepare_late(item, benchmark)
            askings = item.stash.setdefault(ASKING, {})
            askings.setdefault(GATE, Asking(item, item.config.stash[PROCESS]))
    except SdSpeedError as error:
        pytest.fail(describe_error(error), pytrace=False)
    # pytest keeps those fixtures of a test that its collection knew of.
    getattr(item, "funcargs", {}).setdefault("benchmark", benchmark)
    return Gate(request, benchmark)


def _find_regression(result: Result) -> Change | None:
    """Return the change by which the stored runs speak against a row, if they do."""
    from pytest_sdspeed.judge.changes.causes import unresolved_regression

    return unresolved_regression(result.history) if result.history else None
