"""What a time limit leaves a campaign."""

import math

import campaigns
import pytest
from campaigns import undecidable

from pytest_sdspeed.errors import TimeLimitError
from pytest_sdspeed.measure.campaign import _spent
from pytest_sdspeed.measure.campaign_data import Progress, show_nothing
from pytest_sdspeed.measure.countdown import Countdown
from pytest_sdspeed.measure.time_limit import TimeLimit

bench = campaigns.bench
_quick_collector = campaigns.quick_collector


def limit(left_s, seconds=100.0):
    return TimeLimit(seconds=seconds, left_s=left_s, name="--timeout")


def test_a_campaign_ends_at_its_last_whole_block_in_time(bench):
    data = bench.run(bench.arm("baseline", 1.0, cv=0.2), bench.arm("row", 1.0, floor=1.0, cv=0.2), time_limit=limit(60.0), max_blocks=200)
    assert 40 < bench.clock.seconds <= 60
    assert len(data.samples_s["baseline"]) == len(data.samples_s["row"]) >= 3
    assert data.slots[-1].block == len(data.samples_s["row"])
    assert f"ended after {len(data.samples_s['row'])} whole blocks, before --timeout ends the test after 100 s" in data.cut_short


def test_blocks_that_become_slower_are_not_begun_without_time_for_them(bench):
    slower = lambda: 1.0 if bench.block < 4 else 2.0  # noqa: E731
    bench.run(bench.arm("baseline", 1.0, effect=slower), undecidable(bench, effect=slower), time_limit=limit(60.0), max_blocks=200)
    assert bench.clock.seconds <= 60 + 6.0


@pytest.mark.parametrize("left_s", [0.0, 1.5, 5.0, 20.0])
def test_too_little_for_the_first_look_raises_before_a_block(bench, left_s):
    with pytest.raises(TimeLimitError, match=r"nothing was timed.*set --timeout to \d+ or more") as raised:
        bench.run(bench.arm("baseline", 1.0), undecidable(bench), time_limit=limit(left_s))
    assert raised.value.seconds == 100.0
    assert not any(progress.phase == "block" for progress in bench.progress)


def test_what_the_message_asks_for_is_enough(bench):
    import re

    def run(left_s, seconds):
        return bench.run(bench.arm("baseline", 1.0), bench.arm("row", 0.5, floor=1.2), time_limit=limit(left_s, seconds))

    with pytest.raises(TimeLimitError) as raised:
        run(5.0, 10.0)
    wanted = float(re.search(r"set --timeout to (\d+)", str(raised.value))[1])
    assert run(wanted - 5.0, wanted).decisions["row"].verdict == "pass"


def test_a_budget_that_ends_earlier_is_not_cut_short(bench):
    data = bench.run(bench.arm("baseline", 1.0), undecidable(bench), time_limit=limit(1000.0), budget_s=60.0)
    assert data.cut_short == ""
    assert data.timed_s >= 54


def test_a_plan_that_ends_earlier_is_not_cut_short(bench):
    data = bench.run(bench.arm("baseline", 1.0), undecidable(bench), time_limit=limit(1000.0), max_blocks=3, budget_s=1e6)
    assert data.cut_short == ""


def test_two_blocks_that_are_asked_for_need_no_time_for_three(bench):
    data = bench.run(bench.arm("baseline", 1.0), undecidable(bench), time_limit=limit(18.0), max_blocks=2)
    assert len(data.samples_s["row"]) == 2


def test_no_profile_is_taken_without_time_for_it(bench):
    from dataclasses import replace

    from pytest_sdspeed.model import Profile

    taken = []
    baseline = replace(bench.arm("baseline", 1.0), profile=lambda _case: taken.append(1) or Profile())
    bench.run(baseline, undecidable(bench), time_limit=limit(30.0), max_blocks=200)
    assert taken == []
    bench.run(baseline, undecidable(bench), time_limit=limit(1e4), max_blocks=3)
    assert taken == [1]


class Hand:
    """A clock that is moved by hand."""

    def __init__(self, seconds):
        self.seconds = seconds

    def now(self):
        return self.seconds


def counting_at(seconds):
    """A countdown of 100 seconds of which so many are spent."""
    hand = Hand(0.0)
    counting = Countdown(limit(100.0), hand)
    hand.seconds = seconds
    return counting


def test_time_is_counted_from_the_beginning_of_the_campaign():
    hand = Hand(1000.0)
    counting = Countdown(limit(60.0), hand)
    hand.seconds += 25.0
    assert (counting.spent_s, counting.left_s) == (25.0, 35.0)


def test_without_a_limit_nothing_ends_and_nothing_is_asked_for():
    hand = Hand(1000.0)
    counting = Countdown(None, hand)
    hand.seconds += 25.0
    counting.note_generation(2, 1)
    counting.check_building()
    assert (counting.left_s, counting.describe_need(1e9)) == (math.inf, "")


def test_the_fastest_generation_tells_what_the_others_need():
    hand = Hand(0.0)
    counting = Countdown(limit(100.0), hand)
    for seconds in (0.0, 40.0, 69.0):
        hand.seconds = seconds
        counting.note_generation(2, 2)
    hand.seconds = 98.0
    # 1 more of 2 x 2 in the warm-up and 3 blocks of 6 slots, of 29 s each; 98 s are spent; a fifth is spared.
    with pytest.raises(TimeLimitError, match=r"too short for warm-up: .* set --timeout to 779 or more"):
        counting.note_generation(2, 2)


def test_a_first_generation_that_never_began_is_expected_to_take_what_building_did():
    counting = counting_at(100.0)
    with pytest.raises(TimeLimitError, match=r"too short for warm-up: .* set --timeout to 2760 or more"):
        counting.note_generation(2, 2)


def test_a_first_generation_may_begin_as_long_as_any_time_is_left():
    counting = counting_at(99.5)
    counting.check_building()
    counting.note_generation(2, 2)


def test_building_that_took_all_of_the_time_is_told():
    counting = counting_at(100.0)
    with pytest.raises(TimeLimitError, match=r"too short for building: .* set --timeout to 360 or more"):
        counting.check_building()


@pytest.mark.parametrize(("left_s", "allowed"), [(59.0, False), (61.0, True)])
def test_profiles_are_taken_if_six_generations_of_every_arm_fit(left_s, allowed):
    counting = Countdown(limit(left_s), Hand(0.0))
    assert counting.allows_profiles({"baseline": 4.0, "row": 6.0}) is allowed


def test_the_canary_after_the_blocks_has_time_as_well(bench):
    slow = lambda: lambda: bench.clock.spend(4.0)  # noqa: E731
    bench.run(
        bench.arm("baseline", 1.0, cv=0.2),
        bench.arm("row", 1.0, floor=1.0, cv=0.2),
        time_limit=limit(100.0),
        max_blocks=200,
        canary=lambda: {"matmul": slow},
    )
    assert [progress.phase for progress in bench.progress].count("canary") == 2
    assert 60 < bench.clock.seconds <= 100


def test_a_countdown_that_has_no_end_has_lost_nothing():
    assert (_spent(50.0, 20.0), _spent(math.inf, math.inf)) == (30.0, 0.0)


def test_nothing_is_shown_of_a_campaign_that_nobody_watches():
    with show_nothing("miniature") as watch:
        assert watch(Progress(phase="warm-up")) is None
