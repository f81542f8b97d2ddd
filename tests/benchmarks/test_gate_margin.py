"""The rule beside that of before, simulated: effects of the slots' order, controls that break, candidates that are slow in some calls."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tqdm")
pytest.importorskip("matplotlib")

from power import noise, slot_order, studies

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("effect", slot_order.PLACES)
def test_what_a_place_in_the_block_does_decides_no_row_on_its_floor(effect):
    """And makes no row far above its floor invalid; blocks shuffled on their own do both."""
    lines = list(studies.order_lines(np.random.default_rng(6), noise.simulated("iid", 0.01), 500, effects=[effect], sizes=[0.05]))
    wrong = {(line.rule, round(line.ratio, 2)): line for line in lines}
    now, above = wrong[studies.NOW, 0.95], wrong[studies.NOW, round(studies.ABOVE, 2)]
    assert now.passed < 0.016 > now.failed
    assert above.invalid < 0.008


def test_blocks_shuffled_on_their_own_decide_rows_by_the_luck_of_the_draw():
    effect = "first and last slot of a block"
    lines = list(studies.order_lines(np.random.default_rng(6), noise.simulated("iid", 0.003), 1000, effects=[effect], sizes=[0.05]))
    wrong = {(line.rule, round(line.ratio, 2)): line for line in lines}
    above = round(studies.ABOVE, 2)
    assert wrong[studies.BEFORE, 0.95].failed > 0.015
    assert wrong[studies.NOW, 0.95].failed < 0.005
    assert wrong[studies.BEFORE, above].invalid > 0.1
    assert wrong[studies.NOW, above].invalid < 0.005


def test_a_control_without_a_margin_would_make_one_campaign_in_a_hundred_invalid():
    lines = {(line.rule, line.ratio): line for line in studies.gate_lines(np.random.default_rng(8), noise.simulated("iid", 0.01), 4000)}
    assert lines[studies.BEFORE, studies.ABOVE].invalid > 0.005
    assert lines[studies.NOW, studies.ABOVE].invalid <= 0.001


def test_a_candidate_slow_in_some_calls_passes_by_the_rule_of_before_and_not_by_the_one_now():
    lines = {
        (line.rule, line.noise.partition("; ")[2]): line
        for line in studies.own_lines(np.random.default_rng(9), noise.simulated("iid", 0.01), 100)
    }
    for doing in ("one call of 2 takes x20", "one call of 4 takes x20", "one call of 5 takes x20", "one call of 6 takes x3"):
        assert lines[studies.BEFORE, doing].passed > 0.9
        assert lines[studies.NOW, doing].passed < 0.12


def test_balanced_places_are_those_of_the_package():
    places = slot_order.balanced_places(np.random.default_rng(1), 50, 12, 4)
    for line in (0, 4, 8):
        square = np.sort(places[:, line : line + 4], axis=1)
        assert (square == np.arange(4)[:, None]).all()
    assert (np.sort(places, axis=2) == np.arange(4)).all()
    assert len({tuple(order) for order in places.reshape(-1, 4).tolist()}) == 24
