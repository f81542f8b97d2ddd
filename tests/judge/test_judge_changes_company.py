"""What moved with a step and what did not, at the edges."""

import pytest
from test_judge_changes import STEP, after, called, campaign, change_of

from pytest_sdspeed.judge.changes.causes import _overlap, judge_histories
from pytest_sdspeed.judge.changes.change_points import ChangePoint


@pytest.mark.parametrize(("away", "named"), [(-3, False), (-2, True), (0, True), (2, True), (3, False)])
def test_versions_that_changed_within_two_runs_of_it_are_named(away, named):
    facts = lambda run: {"versions": {"torch": "2.14.0" if run >= STEP + away else "2.13.0"}}  # noqa: E731
    change = change_of(campaign(plant={"fp16": after(0.06)}, facts=facts, noise=0.001), "fp16")
    assert change.since == STEP
    assert change.versions == ({"torch": ("2.13.0", "2.14.0")} if named else {})


@pytest.mark.parametrize(("share", "kind"), [(0.4, "stack"), (0.6, "machine")])
def test_an_operation_that_moved_half_as_much_as_the_latency_blames_the_machine(share, kind):
    moved = campaign(common=after(0.1), canary=after(0.1 * share), noise=0.001)
    assert called(moved)["fp16"] == [kind]


def test_every_one_of_several_changes_is_told():
    stairs = {"fp16": lambda run: 0.08 * (run // 15)}
    found = judge_histories(campaign(runs=60, plant=stairs))[2].changes
    assert [(change.kind, change.since) for change in found] == [("code", 15), ("code", 30), ("code", 45)]
    assert all(change.change == pytest.approx(0.08, abs=0.015) for change in found)


@pytest.mark.parametrize(("since", "one"), [(17, True), (18, False)])
def test_shifts_of_two_figures_within_two_runs_of_each_other_are_one(since, one):
    def shift(since, detected_at):
        return ChangePoint(since=since, detected_at=detected_at, change=0.1, before=0.0)

    assert _overlap(shift(10, 15), shift(since, 20)) is one
    assert _overlap(shift(since, 20), shift(10, 15)) is one
