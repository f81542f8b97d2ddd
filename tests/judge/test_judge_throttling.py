"""Limits on the clocks that distort a ratio, how many blocks they may cost, and what is said of them."""

from __future__ import annotations

import pytest

from pytest_sdspeed.judge.speed.throttling import DISTORTING, describe_throttling, is_distorted, most_discarded


def test_heat_and_the_power_supply_distort_and_nothing_else_does():
    assert {"HW slowdown", "SW thermal slowdown", "HW thermal slowdown", "HW power brake"} == DISTORTING
    assert all(is_distorted([reason, "SW power cap"]) for reason in DISTORTING)
    assert not any(map(is_distorted, ([], ["SW power cap"], None)))


@pytest.mark.parametrize(("planned", "most"), [(0, 1), (1, 1), (3, 1), (5, 1), (6, 2), (8, 2), (9, 3), (200, 66)])
def test_a_third_of_the_blocks_may_be_discarded_and_one_at_least(planned, most):
    assert most_discarded(planned) == most


def test_throttling_is_described_with_its_reasons_and_the_clocks_if_they_are_known():
    reasons = ["SW power cap", "HW slowdown", "HW power brake"]
    said = "the GPU throttled in 3 blocks, more than a third of the 8 planned (HW power brake, HW slowdown"
    assert describe_throttling(3, 8, 8, reasons, [1400.4, 990.0, 1980.0]) == f"{said}; SM clock 990 to 1980 MHz)"
    assert describe_throttling(3, 8, 8, reasons, []) == f"{said})"
