"""Which change an acknowledgement is of, and how far it covers it: the same history, direction and place, and hardly larger."""

import random
from dataclasses import replace
from datetime import date
from math import exp, expm1, log1p

import histories
import pytest

from pytest_sdspeed.history.acknowledged import make_acknowledgement
from pytest_sdspeed.judge.changes.acknowledged import covers, find_acknowledgement
from pytest_sdspeed.judge.changes.causes import judge_histories, judge_history_among, unresolved_regression
from pytest_sdspeed.judge.changes.change_points import LEAST_EFFECT

SINCE = 40


@pytest.fixture
def history():
    return histories.history(kind="code", since=SINCE)


@pytest.fixture
def change(history):
    return history.changes[0]


@pytest.fixture
def accepted(history, change):
    return make_acknowledgement(history, change, "meant", date(2026, 11, 29), "Ada")


def larger(accepted, share):
    """The same change when it is larger by a share of the level that is accepted."""
    return (1 + accepted.change) * (1 + share) - 1


def test_it_is_found_among_others_of_other_rows(history, change, accepted):
    others = [replace(accepted, key=replace(accepted.key, setup="tf32")), replace(accepted, key=replace(accepted.key, recipe="r2"))]
    assert find_acknowledgement(history, change, []) is None
    assert find_acknowledgement(history, change, others) is None
    assert find_acknowledgement(history, change, [*others, accepted]) is accepted


def test_of_two_the_one_that_accepts_more_counts(history, change, accepted):
    more = replace(accepted, change=0.2)
    assert find_acknowledgement(history, change, [accepted, more]) is more
    assert find_acknowledgement(history, change, [more, accepted]) is more


def test_of_two_improvements_the_one_that_accepts_more_counts(history, change, accepted):
    better = replace(change, change=-0.1)
    given = [replace(accepted, change=-0.05), replace(accepted, change=-0.1)]
    assert find_acknowledgement(history, better, given) is given[1]


@pytest.mark.parametrize("away", range(-5, 6))
def test_it_may_begin_two_runs_away_on_the_same_host(history, change, accepted, away):
    found = find_acknowledgement(history, replace(change, since=SINCE + away), [accepted])
    assert (found is accepted) == (abs(away) <= 2)


@pytest.mark.parametrize(("host", "found"), [("node7", True), (None, True), ("node8", False)])
def test_another_host_is_another_change_unless_it_is_the_same_run(history, change, accepted, host, found):
    elsewhere = replace(accepted, host=host)
    assert (find_acknowledgement(history, replace(change, since=SINCE + 1), [elsewhere]) is elsewhere) == found
    assert find_acknowledgement(history, change, [elsewhere]) is elsewhere


def test_a_run_that_was_deleted_leaves_its_place(history, change, accepted):
    """The first run at the new level is gone; the next one is that run's neighbor."""
    shorter = replace(history, runs=(*history.runs[:SINCE], *history.runs[SINCE + 1 :]))
    assert find_acknowledgement(shorter, change, [accepted]) is accepted


def test_a_slowdown_accepts_no_improvement_and_the_other_way_round(history, change, accepted):
    better = replace(accepted, change=-accepted.change)
    assert find_acknowledgement(history, change, [better]) is None
    assert find_acknowledgement(history, replace(change, change=-0.06), [accepted]) is None
    assert find_acknowledgement(history, replace(change, change=-0.06), [better]) is better
    assert find_acknowledgement(history, replace(change, change=0.5), [accepted]) is accepted


@pytest.mark.parametrize(("share", "covered"), [(-0.02, True), (0.0, True), (0.029, True), (0.0303, True), (0.031, False), (0.5, False)])
def test_a_change_that_is_three_percent_larger_is_covered_and_not_more(change, accepted, share, covered):
    assert covers(accepted, replace(change, change=larger(accepted, share))) is covered


def test_exactly_three_percent_is_no_other_level(change, accepted):
    nothing, least = replace(accepted, change=0.0), expm1(LEAST_EFFECT)
    assert log1p(least) == LEAST_EFFECT
    assert covers(nothing, replace(change, change=least))


def test_an_improvement_that_became_larger_is_told(change, accepted):
    known = replace(accepted, change=-0.2)
    assert covers(known, replace(change, change=-0.2))
    assert covers(known, replace(change, change=-0.1))
    assert not covers(known, replace(change, change=-0.3))


def test_a_change_that_is_accepted_is_no_regression_and_one_that_outgrew_it_is(history, accepted):
    """As the whole rule has it: the change that it finds is accepted, or told with what was accepted."""
    bare = replace(history, changes=())
    (told,) = judge_history_among(bare, []).changes
    assert unresolved_regression(replace(bare, changes=(told,))) is told
    one = replace(accepted, change=told.change)
    (found,) = judge_histories([bare], [one])[0].changes
    assert (found.acknowledged, found.outgrown) == (one, None)
    assert unresolved_regression(replace(bare, changes=(found,))) is None
    small = replace(accepted, change=0.01)
    (found,) = judge_history_among(bare, [], [small]).changes
    assert (found.acknowledged, found.outgrown) == (None, small)
    assert unresolved_regression(replace(bare, changes=(found,))) is found
    (found,) = judge_history_among(bare, []).changes
    assert (found.acknowledged, found.outgrown) == (None, None)


# Several steps


def stepped(steps, runs):
    """A history whose latency, and ratio, changes with some runs, as logarithms: first run at the new level -> by how much."""
    noise = random.Random(3)
    made = []
    for number in range(runs):
        slowness = exp(sum(size for first, size in steps.items() if number >= first)) * noise.gauss(1, 0.002)
        made.append(histories.run(number, speedup=1.31 / slowness, latency_s=1.93 / 1.31 * slowness))
    return replace(histories.history(1), runs=tuple(made), changes=())


def accept(history, *places):
    """How the changes that begin with some runs are accepted, as they are found without a word."""
    found = judge_history_among(history, []).changes
    return [make_acknowledgement(history, one, "meant", date(2026, 11, 29), None) for one in found if one.since in places]


def held(history, given=()):
    """First run at the new level -> whether the change is still seen, and whether it is accepted."""
    return {one.since: (one.holds, one.acknowledged is not None) for one in judge_history_among(history, [], given).changes}


def test_one_that_was_undone_is_not_seen_again_because_another_one_is_accepted():
    history = stepped({10: 0.06, 20: -0.06, 30: 0.06}, 36)
    assert held(history) == {10: (True, False), 20: (False, False), 30: (True, False)}
    assert held(history, accept(history, 30)) == {10: (False, False), 20: (False, False), 30: (True, True)}
    assert unresolved_regression(replace(history, changes=judge_history_among(history, [], accept(history, 30)).changes)) is None


def test_one_before_an_accepted_one_is_still_seen():
    history = stepped({20: 0.06, 30: 0.10}, 36)
    assert held(history, accept(history, 30)) == {20: (True, False), 30: (True, True)}
    assert unresolved_regression(judge_history_among(history, [], accept(history, 30))).since == 20
    assert held(history, accept(history, 20)) == {20: (True, True), 30: (True, False)}


def test_an_accepted_improvement_takes_nothing_from_a_slowdown():
    """It is the other way: a slowdown of 20% that a later improvement of 6% leaves is still seen, accepted or not."""
    history = stepped({15: 0.20, 27: -0.06}, 34)
    assert held(history, accept(history, 27)) == held(history) | {27: (True, True)} == {15: (True, False), 27: (True, True)}


def test_two_that_were_accepted_take_both_away():
    history = stepped({10: 0.06, 18: -0.06, 26: 0.06, 34: 0.06}, 40)
    assert held(history, accept(history, 26, 34))[10] == (False, False)
    assert held(history, accept(history, 26))[10] == (True, False)


# Of the ratio, and of the latency


@pytest.mark.parametrize("kind", [False, None])
def test_what_was_accepted_of_the_latency_covers_a_ratio_as_long_as_the_latency_did_not_move_more(change, accepted, kind):
    of_latency = replace(accepted, ratio=kind, change=0.08)
    assert change.ratio
    assert covers(of_latency, change, log1p(0.08))
    assert covers(of_latency, change, log1p(0.08) + 0.0299)
    assert not covers(of_latency, change, log1p(0.08) + 0.0301)
    assert not covers(of_latency, change, log1p(0.15))
    assert covers(of_latency, change, None)
    assert covers(of_latency, change, -0.5)
    assert covers(of_latency, change, float("nan"))
    assert not covers(of_latency, replace(change, change=0.15), log1p(0.08))


def test_of_one_figure_the_latency_is_not_asked(change, accepted):
    """A machine that became slower makes no other change of what was accepted of the ratio."""
    assert covers(accepted, change, log1p(0.5))
    of_latency = replace(change, ratio=False)
    assert covers(replace(accepted, ratio=False), of_latency, log1p(0.5))
    assert covers(accepted, of_latency, log1p(0.5))


def test_an_improvement_of_the_ratio_is_held_to_the_latency_likewise(change, accepted):
    known, better = replace(accepted, ratio=False, change=-0.08), replace(change, change=-0.05)
    assert covers(known, better, log1p(-0.08))
    assert not covers(known, better, log1p(-0.2))
    assert covers(known, better, log1p(0.2))


def test_of_two_the_one_of_the_same_figure_counts(history, change, accepted):
    other = replace(accepted, change=0.3, ratio=False)
    for given in ([other, accepted], [accepted, other]):
        assert find_acknowledgement(history, change, given) is accepted
        assert find_acknowledgement(history, replace(change, ratio=False), given) is other


def test_the_rule_asks_how_far_the_latency_moved_with_a_ratio():
    """All rows became slower by 8% with the 21st run, and the ratio of this one by 6% with the 23rd: the larger was accepted."""
    noise, made = random.Random(5), []
    for number in range(32):
        common, own = exp(0.08 * (number >= 20)), exp(0.06 * (number >= 22)) * noise.gauss(1, 0.002)
        figures = {"speedup": 1.31 / own, "latency_s": 1.93 / 1.31 * own * common, "baseline_latency_s": 1.93 * common}
        made.append(histories.run(number, **figures))
    history = replace(histories.history(1), runs=tuple(made), changes=())
    (told,) = judge_history_among(history, []).changes
    assert (told.since, told.ratio) == (22, True)
    upgrade = make_acknowledgement(history, replace(told, since=20, change=0.08, ratio=False), "torch", date(2026, 11, 29), None)
    (found,) = judge_history_among(history, [], [upgrade]).changes
    assert (found.acknowledged, found.outgrown) == (None, upgrade)
