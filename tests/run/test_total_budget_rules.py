"""Which campaigns a total budget has time for, in which order, and what each may spend."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from fakes import FakeClock

from pytest_sdspeed.errors import UnsupportedError
from pytest_sdspeed.model import CampaignKey
from pytest_sdspeed.run.estimates import CampaignEstimate
from pytest_sdspeed.run.total_budget import TotalBudget, choose_fitting, order_campaigns


def key(name):
    return CampaignKey(name, "NVIDIA A100", "base")


def estimate(name, seconds, weights="one", before_s=0.0):
    return CampaignEstimate(key=key(name), weights=(weights, "", "float16"), rows=("fast",), before_s=before_s, timed_s=seconds - before_s)


def names(estimates):
    return "".join(one.key.table for one in estimates)


def resolved(name, setup="fast"):
    return SimpleNamespace(campaign=key(name), setup=setup)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def make(clock):
    def total(total_s, *estimates, misfits=None):
        made = TotalBudget(total_s, estimates, misfits or {}, clock.now)
        made.begin()
        return made

    return total


def test_campaigns_of_the_same_weights_are_neighbours_and_the_cheapest_come_first():
    asked = [estimate("a", 50, "flux"), estimate("b", 10, "sd"), estimate("c", 20, "flux"), estimate("d", 30, "sd"), estimate("e", 5, "xl")]
    assert names(order_campaigns(asked)) == "ebdca"


def test_a_group_of_many_cheap_ones_comes_before_one_that_is_dear():
    many = [estimate(name, 10, "sd") for name in "abcdefgh"]
    assert names(order_campaigns([estimate("z", 40, "flux"), *many])) == "abcdefghz"


def test_equal_ones_stay_as_they_were():
    assert names(order_campaigns([estimate(name, 10, name) for name in "cab"])) == "cab"


def test_what_is_too_dear_is_passed_over_and_a_cheaper_one_behind_it_is_not():
    assert names(choose_fitting([estimate("a", 10), estimate("b", 50), estimate("c", 15)], 30)) == "ac"
    assert choose_fitting([estimate("a", 10)], 9.9) == ()


def test_a_campaign_that_fits_is_measured_and_one_that_does_not_is_left_out_with_its_cost(make, clock):
    total = make(60, estimate("a", 20), estimate("b", 50))
    assert total.refuse(resolved("a")) is None
    clock.spend(20)
    assert total.refuse(resolved("b")) == "left out: --sd-total-budget: its campaign takes about 50 s, and 40 s of 60 s were left"
    assert (total.measured, names(one.estimate for one in total.left_out.values())) == (1, "b")


def test_what_was_left_out_stays_out_and_what_was_admitted_stays_in(make, clock):
    total = make(60, estimate("a", 55), estimate("b", 50))
    assert total.refuse(resolved("a")) is None
    said = total.refuse(resolved("b")) if clock.spend(20) is None else ""
    clock.spend(-20)
    assert total.refuse(resolved("b", "another row")) == said
    clock.spend(1000)
    assert total.refuse(resolved("a", "another row")) is None


def test_a_campaign_that_is_quicker_than_estimated_makes_room(make, clock):
    total = make(60, estimate("a", 40), estimate("b", 50))
    assert total.refuse(resolved("a")) is None
    clock.spend(5)
    assert total.refuse(resolved("b")) is None


def test_a_row_that_does_not_fit_the_device_takes_no_time(make):
    total = make(60, estimate("a", 20), misfits={(key("a"), "large"): "does not fit: ..."})
    assert total.refuse(resolved("a", "large")) == "does not fit: ..."
    assert total.measured == 0
    assert total.refuse(resolved("a")) is None


def test_a_campaign_may_spend_what_those_after_it_do_not_need(make):
    total = make(100, estimate("a", 20, before_s=5), estimate("b", 50), estimate("c", 40))
    total.refuse(resolved("a"))
    # b fits behind it, and c no more: 100 - 20 - 50 are to spare.
    assert total.cut(300, key("a")) == 15 + 30
    assert total.cut(20, key("a")) == 20


def test_the_last_campaign_may_spend_all_that_is_left(make, clock):
    total = make(100, estimate("a", 20, before_s=5))
    total.refuse(resolved("a"))
    clock.spend(10)
    assert total.cut(300, key("a")) == 85
    clock.spend(80)
    assert total.cut(300, key("a")) == 10


def test_a_campaign_of_unknown_cost_gets_what_is_left_and_nothing_when_that_is_nothing(make, clock):
    total = make(100)
    assert total.cut(300, None) == 100
    assert total.refuse(resolved("unknown")) is None
    clock.spend(101)
    for ask in (lambda: total.cut(300, None), lambda: total.cut(300, key("unknown"))):
        with pytest.raises(UnsupportedError, match="left out: --sd-total-budget: nothing of 100 s is left"):
            ask()
    assert total.refuse(resolved("later")) == "left out: --sd-total-budget: nothing of 100 s is left"


def test_the_time_before_it_begins_does_not_count(clock):
    total = TotalBudget(10, [estimate("a", 8)], {}, clock.now)
    clock.spend(1000)
    total.begin()
    assert (total.spent_s, total.left_s) == (0, 10)
    assert total.refuse(resolved("a")) is None
