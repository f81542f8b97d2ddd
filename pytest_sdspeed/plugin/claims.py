"""The gate behind the fixture ``sd_claim``: it judges a claim, and passes or fails the test."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

from pytest_sdspeed.errors import (
    OutOfMemoryError,
    SdSpeedError,
    UnsupportedError,
    UsageMistakeError,
)
from pytest_sdspeed.plugin.attempts import plan_of_attempt
from pytest_sdspeed.plugin.gate import end_inconclusive
from pytest_sdspeed.plugin.options import CLAIM
from pytest_sdspeed.plugin.requests import plan_of
from pytest_sdspeed.plugin.state import (
    ASKING,
    CLAIMED,
    COUNTED,
    is_measured,
    measures_nothing,
    run_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_sdspeed.model import ClaimResult
    from pytest_sdspeed.plugin.asking import Asking

_LATE = (
    "sd_claim: this test asks for it while it runs, and it runs a test for each claim: take it as"
    " an argument of the test"
)


class ClaimGate:
    """What ``sd_claim`` gives to a test, which calls it once."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._node, self._run = request.node, run_of(request.config)
        self._asking: Asking = self._node.stash[ASKING][CLAIM]
        self._asking.give_gate()

    def __call__(self) -> ClaimResult:
        """Judge the claim: measure the rows that it compares, or count.

        The test ends as this call does: what it raises counts, also if the body catches it. A claim
        that its notes call false is no failure: the test is skipped with the reason and the true
        figures, and fails if the claim turns out to be true.

        Returns:
            What became of the claim, if it is true.
        """
        from pytest_sdspeed.report.claims import describe_claim

        result: ClaimResult = self._asking.ask(None, None, self._judge, describe_claim)
        return result

    def __reduce__(self) -> NoReturn:
        """Refuse to be sent to another process, or copied."""
        raise TypeError(
            "sd_claim cannot be sent to another process, since what is judged there is lost: call"
            " it in the test's own process"
        )

    def _judge(self) -> ClaimResult:
        from pytest_sdspeed.report.claims import write_claim_message
        from pytest_sdspeed.report.pages import describe_error

        plan = plan_of_attempt(self._node)
        if COUNTED not in self._node.stash and is_measured(self._node):
            self._node.stash[COUNTED] = True
            self._run.plan.add(plan)
        try:
            result = self._run.judge_claim(plan)
        except (OutOfMemoryError, UnsupportedError) as error:
            pytest.skip(str(error))
        except SdSpeedError as error:
            raise pytest.fail.Exception(describe_error(error), pytrace=False) from None
        self._node.stash[CLAIMED] = result
        self._node.user_properties.extend(
            (f"sdspeed_claim_{name}", value) for name, value in claim_properties(result)
        )
        said, outcome = write_claim_message(result), result.outcome
        if outcome == "inconclusive":
            end_inconclusive(self._run.options.inconclusive, said, stacklevel=5)
        elif outcome in ("fail", "invalid", "wrongly denied"):
            pytest.fail(said, pytrace=False)
        elif outcome != "pass":
            pytest.skip(said)
        return result


def claim_properties(result: ClaimResult) -> Iterator[tuple[str, str | float]]:
    """Yield what ``--junit-xml`` writes: the sentence, the verdict, and every comparison."""
    yield "text", result.text
    yield "verdict", result.outcome
    for one in result.comparisons:
        lead = one.subject.replace(" ", "_")
        yield lead, one.measured
        if one.ratio is not None:
            yield f"{lead}_ratio", round(one.ratio.speedup, 6)
            yield f"{lead}_low", round(one.ratio.low, 6)
            yield f"{lead}_high", round(one.ratio.high, 6)
        if one.share is not None:
            yield f"{lead}_share", round(one.share, 6)


def claim_gate_of(request: pytest.FixtureRequest) -> ClaimGate:
    """Make the gate of a test that judges a claim, or end the test if nothing can be judged."""
    from pytest_sdspeed.report.pages import describe_error

    item = request.node
    try:
        if plan_of(item).claim is None or CLAIM not in item.stash.get(ASKING, {}):
            raise UsageMistakeError(_LATE)
    except SdSpeedError as error:
        pytest.fail(describe_error(error), pytrace=False)
    if is_measured(item) and measures_nothing(request.config):
        pytest.skip("sd_claim measures nothing under --benchmark-disable")
    return ClaimGate(request)
