"""Whether a test asked its gate, and how that ended: a gate that was not asked fails its test."""

from __future__ import annotations

import copy
import mmap
import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.errors import DOCUMENTATION, UsageMistakeError
from pytest_sdspeed.plugin.bodies import Call, Itself, describe, describe_call, find_body
from pytest_sdspeed.plugin.options import CLAIM, COUNTING, GATE
from pytest_sdspeed.report.pages import add_page, describe_error

if TYPE_CHECKING:
    from collections.abc import Callable

_PAGE = f"{DOCUMENTATION}/reference/fixtures/#calling-the-gate"
_NEVER = (
    "{gate} was not called, so nothing was {found}: call it, or say by pytest.skip(...) why"
    " this test cannot {find} here"
)
_UNFINISHED = (
    "{gate} had not come to its end when the test ended, so nothing was judged: wait for the"
    " thread or task that calls it"
)
_ELSEWHERE = (
    "{gate} was called in another process than the one that runs the tests, a fork of it, and"
    " what is {found} there is lost: call it in their own process (what is {found} may start"
    " processes)"
)
_ONCE = (
    "{gate} {find}s once per test: parametrize, or write one test for each candidate. Its"
    " first call here said: "
)


_STILL = "nothing yet, it still {find}s."
_WORDS = {
    GATE: ("measure", "measured"),
    COUNTING: ("count", "counted"),
    CLAIM: ("judge", "judged"),
}
"""Gate -> what it does, and what is done, in a word."""


def describe_measured(result: Any) -> str:
    """Describe what ``sd_latency`` answered."""
    from pytest_sdspeed.report.messages import describe_result

    return describe_result(result)


class Asking:
    """Whether a test has asked its gate, in one attempt to run the test.

    Args:
        item: the test.
        process: id of the process that runs the tests.
        gate: name of the gate's fixture.

    Attributes:
        owed: whether the body itself has taken the gate, and so is to call it.
        ended: whether the body has come to its end.
    """

    def __init__(self, item: pytest.Item, process: int, gate: str = GATE) -> None:
        self._item, self._process, self._gate = item, process, gate
        self.owed = self.ended = False
        # Shared with the forks of this process, which have copies of everything else.
        self._elsewhere = mmap.mmap(-1, 1)
        self._first: Call | None = None
        self._same: tuple[Itself, ...] = ()
        self._after: list[Any] = []
        self._result: Any = None
        self._describe: Callable[[Any], str] = describe_measured
        self._error: BaseException | None = None

    def ask(
        self,
        candidate: Any,
        baseline: Any,
        measure: Callable[[], Any],
        describe_answer: Callable[[Any], str] = describe_measured,
    ) -> Any:
        """Measure once, and say the same to whoever asks the same again.

        A decorator may run the body of a test a second time, after something it caught: the gate
        gives what it gave before, so that the body ends as it did before. What the gate raised
        before, it raises again.

        Args:
            candidate: what is measured.
            baseline: what it is compared with, or None.
            measure: measures, judges, and raises if the test is to fail or to be skipped.
            describe_answer: says in words what it returned.
        """
        if os.getpid() != self._process:
            self._elsewhere[0] = 1
            raise pytest.fail.Exception(add_page(self._say(_ELSEWHERE), _PAGE), pytrace=False)
        call = describe_call(self._item, candidate, baseline, self._gate)
        if self._first is not None:
            return self._answer_again(call, candidate, baseline)
        self._first, self._same = call, (Itself(candidate), Itself(baseline))
        try:
            self._result, self._describe = measure(), describe_answer
            self._after = describe(candidate, baseline)
        except BaseException as error:
            self._error = _detach(error)
            raise
        return self._result

    def _say(self, words: str) -> str:
        find, found = _WORDS[self._gate]
        return words.format(gate=self._gate, find=find, found=found)

    def _answer_again(self, call: Call, candidate: Any, baseline: Any) -> Any:
        assert self._first is not None  # noqa: S101 - the caller asked
        if self._error is not None:
            raise _detach(self._error) from None
        same = (Itself(candidate), Itself(baseline)) == self._same
        if (
            self._result is not None
            and (same or call.repeats(self._first))
            and call.asks_as(self._first, self._after)
        ):
            return self._result
        known = self._result is not None
        said = self._describe(self._result) if known else self._say(_STILL)
        self._error = pytest.fail.Exception(
            describe_error(UsageMistakeError(self._say(_ONCE) + said)), pytrace=False
        )
        raise _detach(self._error) from None

    def give_gate(self) -> None:
        """Note that the gate is given out: to the body, if that runs already."""
        self.owed = self.owed or find_body(self._item) is not None

    @property
    def error(self) -> BaseException | None:
        """What the gate raised, or None."""
        return self._error

    @property
    def forked(self) -> bool:
        """Tell whether a fork of this process called the gate."""
        return bool(self._elsewhere[0])

    @property
    def complaint(self) -> str | None:
        """What is to be said of a test that has ended, if its gate gave no answer."""
        if self._result is not None or self._error is not None:
            return None
        if self._first is not None:
            return add_page(self._say(_UNFINISHED), _PAGE)
        return add_page(self._say(_ELSEWHERE if self.forked else _NEVER), _PAGE)

    @property
    def advice(self) -> str | None:
        """What is to be said beside the error of a test whose gate a fork called."""
        return self._say(_ELSEWHERE) if self.forked else None


def _detach(error: BaseException) -> BaseException:
    """Return a copy of an exception without the frames it was raised through, and what they hold.

    A test that runs a second time needs the memory. What cannot be copied is kept as it is.
    """
    try:
        found = copy.copy(error)
    except Exception:  # noqa: BLE001 - an exception of anybody's, with any constructor
        return error
    return found if type(found) is type(error) else error


def insist(asking: Asking, call: pytest.CallInfo[None]) -> None:
    """Let a test end as its gate did, though its body caught what the gate raised.

    Args:
        asking: what is known of its gate.
        call: how its body ended; one that ends by itself in another way than passing has its way.
    """
    raised, found = asking.error, call.excinfo
    if raised is not None and found is None:
        call.excinfo = _raised(_detach(raised))
    elif raised is None and found is not None and asking.advice:
        found.value.add_note(asking.advice)


def correct(
    item: pytest.Item,
    asking: Asking,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
    *,
    must_ask: bool,
) -> None:
    """Fail a test whose report says something else than its gate.

    That is one that skips after its gate failed, since the gate found what it found, and one that
    would pass although its gate gave no answer.

    Args:
        item: the test.
        asking: what is known of its gate.
        call: how its body ended.
        report: what pytest made of it so far.
        must_ask: whether the gate owes an answer.
    """
    if hasattr(report, "wasxfail"):
        return
    raised, said = asking.error, asking.complaint
    if report.skipped and raised is not None and not isinstance(raised, pytest.skip.Exception):
        _fail(item, call, report, _detach(raised))
    elif report.passed and must_ask and said is not None:
        _fail(item, call, report, pytest.fail.Exception(said, pytrace=False))


def _fail(
    item: pytest.Item,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
    error: BaseException,
) -> None:
    """Fail a test in its report, and in the call that plugins read which run tests again."""
    call.excinfo = _raised(error)
    report.outcome = "failed"
    report.longrepr = item.repr_failure(call.excinfo)


def _raised(error: BaseException) -> pytest.ExceptionInfo[BaseException]:
    """Return what pytest knows of an exception that was raised."""
    with pytest.raises(type(error)) as found:
        raise error
    return found
