"""The timed part on a clock that is moved by hand: what is left, what a time limit cuts off, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import campaigns
import pytest
from campaigns import undecidable
from fakes import FakeClock

from pytest_sdspeed.errors import ThrottledError, TimeLimitError
from pytest_sdspeed.judge.speed import intervals
from pytest_sdspeed.measure.block_plan import BlockPlan
from pytest_sdspeed.measure.campaign_data import Arm, Limits
from pytest_sdspeed.measure.countdown import Countdown
from pytest_sdspeed.measure.decisions import Decisions
from pytest_sdspeed.measure.memory import UnknownMemory
from pytest_sdspeed.measure.roster import Roster
from pytest_sdspeed.measure.time_limit import TimeLimit
from pytest_sdspeed.measure.timed_part import TimedPart
from pytest_sdspeed.model import CONTROL, Case, Reading, UnknownTelemetry

bench = campaigns.bench
_quick_collector = campaigns.quick_collector


def limit(left_s):
    return TimeLimit(seconds=left_s, left_s=left_s, name="--timeout")


def arm(name, floor=None):
    return Arm(name=name, generate=lambda _case: None, floor=floor)


def timed_part(limits, *, spent_s=0.0, left_s=1000.0):
    """A timed part whose blocks took so many seconds so far, of which nothing else took any."""
    clock = FakeClock([])
    roster = Roster(arm("base"), (), clock, UnknownMemory())
    part = TimedPart(roster, limits, clock, None, None, countdown=Countdown(limit(left_s), clock))
    clock.seconds = part.spent_s = spent_s
    return part


@pytest.mark.parametrize(
    ("after_s", "outcome"), [(10.0, 90.0), (50.0, "too short for its first 3 blocks: .* set --timeout to 132 or more")]
)
def test_what_follows_the_blocks_is_left_out_of_their_time(after_s, outcome):
    counting = Countdown(limit(100.0), FakeClock([]))
    if isinstance(outcome, float):
        assert counting.fit(Limits(), 20.0, after_s).budget_s == outcome
        return
    # Three blocks of 20 s and 50 s after them, and a fifth to spare.
    with pytest.raises(TimeLimitError, match=outcome):
        counting.fit(Limits(), 20.0, after_s)


@pytest.mark.parametrize(("spent_s", "wanted"), [(40.0, 372), (330.0, 408)])
def test_the_limit_that_would_do_leaves_what_is_missing_of_the_budget_and_what_follows(spent_s, wanted):
    # All 300 s of the budget if they are not spent already, 10 s after it, and a fifth to spare.
    asked = Limits(budget_s=300.0)
    said = timed_part(asked, spent_s=spent_s)._describe_cut(5, asked, 10.0)
    assert said.startswith("ended after 5 whole blocks, before --timeout ends the test after 1000 s")
    assert said.endswith(f"set --timeout to {wanted} or more")


@pytest.mark.parametrize(("block", "spent_s", "left_s"), [(1, 0.0, 60.0), (2, 12.0, 108.0), (3, 24.0, 96.0)])
def test_what_is_left_is_told_at_the_pace_of_the_blocks_before(block, spent_s, left_s):
    part = timed_part(Limits(budget_s=300.0), spent_s=spent_s)
    part.plan = BlockPlan(block_s=6.0, blocks=10)
    assert part._left_s(block) == left_s


def test_blocks_of_several_palindromes_are_made_shorter_to_fit(bench):
    data = bench.run(bench.arm("baseline", 1.0), undecidable(bench), slot_s=4.0, budget_s=300.0, max_blocks=3, time_limit=limit(60.0))
    # Four palindromes of 6 s each, were it not for the limit.
    assert (data.repeats, len(data.samples_s["row"])) == (3, 3)
    assert bench.clock.seconds <= 60


@pytest.mark.parametrize(("canary_s", "left_s"), [(0.0, 70.0), (1.0, 90.0)])
def test_a_block_is_begun_if_it_has_time_at_the_pace_of_those_before_and_what_follows_has_too(bench, canary_s, left_s):
    slower = lambda: 3.0 if bench.block else 1.0  # noqa: E731
    operations = {"matmul": lambda: lambda: bench.clock.spend(canary_s)} if canary_s else {}
    data = bench.run(
        bench.arm("baseline", 1.0, effect=slower),
        undecidable(bench, effect=slower),
        canary=lambda: operations,
        time_limit=limit(left_s),
        max_blocks=200,
    )
    assert len(data.samples_s["row"]) == 3
    assert bench.clock.seconds <= left_s
    assert data.cut_short.startswith("ended after 3 whole blocks")


def test_the_pace_is_that_of_all_blocks_that_were_measured_those_that_were_discarded_too(bench):
    class Hot(UnknownTelemetry):
        begun = 0

        def read(self):
            self.begun += 1
            # Six slots of a block, after the four of the warm-up: the first block is discarded.
            return Reading(reasons=("HW thermal slowdown",) if 4 < self.begun <= 10 else ())

    slower_at_first = lambda: 1.0 if bench.block else 2.0  # noqa: E731
    arms = bench.arm("baseline", 1.0, effect=slower_at_first), undecidable(bench, effect=slower_at_first)
    data = bench.run(*arms, telemetry=Hot(), budget_s=60.0)
    assert len(data.discarded) == 1
    assert (data.block_s, data.planned_blocks) == (6.0, 10)


def test_an_arm_that_another_process_times_is_told_what_to_draw(bench):
    drawn = []
    apart = replace(undecidable(bench), timed=lambda case: drawn.append(case) or (None, 2.0))
    data = bench.run(bench.arm("baseline", 1.0), apart, seed=3, max_blocks=3)
    assert drawn == [Case(4), *[Case(3)] * 7]
    assert data.samples_s["row"] == [(2.0, 2.0)] * 3


def test_the_campaigns_of_a_run_share_the_error_of_the_control():
    part = timed_part(Limits(campaigns=50))
    part.samples["base"] += [(1.0, 1.01), (1.02, 1.0), (1.0, 1.0)]
    part.samples[CONTROL] += [(1.0, 1.0), (1.0, 1.01), (1.0, 1.03)]
    assert part.decisions._find_control(3) == intervals.control_interval(part.samples["base"], part.samples[CONTROL], 50)


@pytest.mark.parametrize("ended_by", ["time", "the baseline"])
def test_a_campaign_that_its_baseline_ended_was_not_cut_short_by_the_time_limit(bench, ended_by):
    def generate(_case):
        bench.clock.spend(1.0)
        if bench.block == 4 and ended_by == "the baseline":
            raise RuntimeError("broken")

    data = bench.run(bench.calling("baseline", generate), undecidable(bench), time_limit=limit(40.0), max_blocks=200)
    if ended_by == "time":
        assert data.cut_short.startswith("ended after 6 whole blocks, before --timeout")
        return
    assert data.cut_short == ""
    # What the broken block took is spent as well.
    assert 18.0 < data.timed_s <= 24.0
    assert "broken" in str(data.errors["row"])


def test_a_campaign_that_throttling_ended_was_not_cut_short_by_the_time_limit(bench):
    class Hot(UnknownTelemetry):
        def read(self):
            return Reading(reasons=("HW thermal slowdown",) if bench.block > 3 else ())

    data = bench.run(bench.arm("baseline", 1.0), undecidable(bench), telemetry=Hot(), time_limit=limit(130.0), max_blocks=20)
    assert data.throttled
    assert len(data.samples_s["row"]) == 3
    assert data.cut_short == ""


@pytest.mark.parametrize(("blocks", "named"), [(1, True), (2, False)])
def test_a_campaign_that_throttling_ended_with_two_blocks_left_is_not_invalid(blocks, named):
    here = Roster(arm("base"), [arm("row", 1.0)], FakeClock([]), UnknownMemory())
    samples = {name: [(1.0, 1.0), (1.01, 1.0)][:blocks] for name in ("base", CONTROL, "row")}
    Decisions(here, samples, 1).close(20, "the GPU throttled")
    assert [type(error) for error in here.errors.values()] == ([ThrottledError] * 2 if named else [])
