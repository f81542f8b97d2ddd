"""The ratio of two rows: judged by their own blocks, the same whichever comes first, and wrong as rarely as a row."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_sdspeed.judge.speed import intervals, stopping
from pytest_sdspeed.judge.speed.blocks import block_ratios, contrast_ratios, judge_ratios


def draw(rng, *shape, cv=0.02, shared=0.05):
    """Two rows that take equal time, in blocks whose speed differs from one to the next: (..., blocks, 1, 2) each."""
    machine = rng.normal(0, shared, (*shape, 1, 1))
    return tuple(np.exp(machine + rng.normal(0, cv, (*shape, 1, 2))) for _ in range(2))


def test_swapping_the_rows_changes_the_sign_and_nothing_else():
    ours, theirs = draw(np.random.default_rng(1), 50, 12)
    theirs[:, 3, 0, 1] *= 20  # a stall
    theirs[:25, 5, 0, 0] *= 5  # and in half of them another
    assert contrast_ratios(ours, theirs) == pytest.approx(-contrast_ratios(theirs, ours))


def test_slow_calls_of_either_row_count_in_full():
    """Every sixth call takes three times as long: no disturbance of the machine, whichever row it is."""
    ours, theirs = draw(np.random.default_rng(2), 12)
    theirs[::3, :, 1] *= 3
    costs = np.log(2) / 3  # a third of the pairs takes twice as long
    assert block_ratios(ours, theirs).mean() == pytest.approx(0, abs=0.03)
    assert contrast_ratios(ours, theirs).mean() == pytest.approx(-costs, abs=0.03)
    assert contrast_ratios(theirs, ours).mean() == pytest.approx(costs, abs=0.03)
    # As the baseline of a row its slow slots would be left out.
    assert judge_ratios(theirs, ours).mean() == pytest.approx(0, abs=0.03)


def test_one_stall_in_many_blocks_is_left_out():
    ours, theirs = draw(np.random.default_rng(3), 16)
    steady = contrast_ratios(ours, theirs)
    ours[4, 0, 1] *= 20
    assert contrast_ratios(ours, theirs) == pytest.approx(steady, abs=0.1)


def test_the_baseline_takes_part_with_all_of_its_pairs():
    rng = np.random.default_rng(4)
    row, outer, inner = ([tuple(pair) for pair in rng.normal(1.0, 0.01, (6, 2))] for _ in range(3))
    assert intervals.contrast_log_ratios([outer, inner], [row]) == pytest.approx(intervals.log_ratios([outer, inner], [row]))
    assert intervals.contrast_log_ratios([row], [outer, inner]) == pytest.approx(
        [-one for one in intervals.contrast_log_ratios([outer, inner], [row])]
    )


def test_what_both_rows_share_with_the_machine_cancels_in_their_blocks():
    """Two intervals against a noisy baseline would be far wider than that of the ratio."""
    rng = np.random.default_rng(5)
    ours, theirs = draw(rng, 12, cv=0.005, shared=0.2)
    baseline = np.exp(rng.normal(0, 0.2, (12, 2, 2)))
    own = contrast_ratios(ours, theirs).std()
    against = np.hypot(judge_ratios(baseline, ours).std(), judge_ratios(baseline, theirs).std())
    assert own < against / 10


CAMPAIGNS = 10_000
"""The standard error of a share of 0.5% is 0.07%."""


def decide(pairs, family=1):
    """Return for each pair of rows, and campaign, whether some look says that the first takes more time, and less."""
    above, below = (np.zeros((len(pairs), len(pairs[0][0])), bool) for _ in range(2))
    for look in stopping.looks(20):
        for number, (ours, theirs) in enumerate(pairs):
            open_ = np.flatnonzero(~(above[number] | below[number]))
            ratios = contrast_ratios(ours[open_, :look], theirs[open_, :look])
            t = ratios.mean(-1) / (ratios.std(-1, ddof=1) / np.sqrt(look))
            above[number, open_] = t > stopping.critical_value(look)
            below[number, open_] = -t > stopping.critical_value(look, family)
    return above, below


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["normal", "stalls", "drift"])
def test_two_equal_rows_are_told_apart_as_rarely_as_a_row_from_its_floor(noise):
    """At the boundary of a bare comparison, over all looks to 20 blocks; the critical values are those of a row."""
    rng = np.random.default_rng(7)
    ours, theirs = draw(rng, CAMPAIGNS, 20)
    if noise == "stalls":
        for row in (ours, theirs):
            row[rng.random(row.shape) < 0.01] *= 20
    if noise == "drift":
        ours, theirs = (row * np.linspace(1, 1.2, 20)[:, None, None] for row in (ours, theirs))
    above, below = (side[0].mean() for side in decide([(ours, theirs)]))
    assert max(above, below) < stopping.ERROR_PER_SIDE + 0.0021


@pytest.mark.slow
def test_a_claim_on_four_equal_rows_is_false_by_mistake_as_rarely_as_on_two():
    """Holm shares the error of "fail" among its three comparisons; that it is true takes all three."""
    rng = np.random.default_rng(8)
    first, *others = (row[: CAMPAIGNS // 2] for _ in range(2) for row in draw(rng, CAMPAIGNS, 20))
    above, below = decide([(other, first) for other in others], family=len(others))
    assert above.all(0).mean() < stopping.ERROR_PER_SIDE
    assert below.any(0).mean() < stopping.ERROR_PER_SIDE + 0.003
