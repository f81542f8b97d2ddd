"""A count that changes is dated to the run that brought it: exactly, and without any statistics."""

from dataclasses import replace

from pytest_sdspeed.judge.changes.counts import judge_account_histories, judge_accounts, unresolved_rise
from pytest_sdspeed.model import Account, AccountHistory, AccountRun, Acknowledgement, HistoryKey, Place

KEY = HistoryKey(table=None, setup="engine", baseline="", device="A100", recipe="test_a.py::test_engine")
STEP = Account(operations=10)
CALL = Account(operations=40, steps=4, per_step=STEP)
SYNC = Place("host_sync", "engine.py", 3, "t.item()", 1)


def account(syncs=0, steps=4):
    places = (replace(SYNC, count=syncs),) if syncs else ()
    call = (replace(SYNC, count=syncs * steps),) if syncs else ()
    return replace(
        CALL,
        operations=10 * steps,
        steps=steps,
        host_syncs=syncs * steps,
        places=call,
        per_step=replace(STEP, host_syncs=syncs, places=places),
    )


def history(*syncs, key=KEY, versions=None, accepted=()):
    """A history of runs with so many syncs a step; None is a run of other work, with nine steps."""
    runs = [
        AccountRun(
            name=f"{number:04}",
            date=f"2026-11-{number + 1:02}T08:00:00+00:00",
            commit=f"{number:08x}",
            dirty=False,
            host=f"node{number}",
            versions={"diffusers": (versions or {}).get(number, "0.42.1")},
            account=account(0, 9) if count is None else account(count),
        )
        for number, count in enumerate(syncs)
    ]
    return judge_accounts(AccountHistory.with_runs(key, runs), accepted)


def test_the_first_run_with_another_count_is_the_one_with_its_line():
    (change,) = history(0, 0, 0, 1, 1).changes
    assert change.since == 3
    assert change.rises
    assert change.holds
    assert [one.pair for one in change.counts] == ["host_syncs_per_step 0 -> 1"]
    assert [(one.place.line, one.more, one.per_step) for one in change.places] == [(3, 1, True)]
    assert not change.versions
    assert not change.gone


def test_one_run_is_enough_and_equal_ones_say_nothing():
    assert len(history(0, 1).changes) == 1
    assert not history(1, 1, 1).changes
    assert not history(1).changes


def test_what_is_undone_holds_no_longer_and_speaks_against_nobody():
    first, second = history(0, 1, 0).changes
    assert not first.holds
    assert second.holds
    assert not second.rises
    assert unresolved_rise(history(0, 1, 0)) is None


def test_a_rise_that_is_partly_undone_still_holds():
    found = unresolved_rise(history(0, 3, 1))
    assert found is not None
    assert found.since == 1


def test_fewer_is_told_and_is_no_rise():
    (change,) = history(2, 0).changes
    assert not change.rises
    assert change.holds
    assert change.gone[0].more == 2
    assert unresolved_rise(history(2, 0)) is None


def test_a_rise_is_news_for_twenty_runs():
    assert unresolved_rise(history(0, *[1] * 20)) is not None
    assert unresolved_rise(history(0, *[1] * 21)) is None


def test_versions_that_change_with_a_count_are_named_and_hide_nothing():
    changed = history(0, 0, 1, 1, versions={2: "0.43.0", 3: "0.43.0"})
    assert changed.changes[0].versions == {"diffusers": ("0.42.1", "0.43.0")}
    assert unresolved_rise(changed) is changed.changes[0]


def test_versions_that_take_turns_are_series_side_by_side():
    turns = {number: f"0.{40 + number % 2}.0" for number in range(8)}
    assert not history(0, 1, 0, 1, 0, 1, 0, 1, versions=turns).changes
    risen = history(0, 1, 0, 1, 0, 2, 0, 2, versions=turns)
    assert [(one.since, one.counts[0].was, one.counts[0].now) for one in risen.changes] == [(5, 1, 2)]
    assert unresolved_rise(risen) is risen.changes[0]


def test_a_rise_of_one_series_does_not_speak_against_a_run_of_another():
    turns = {number: f"0.{40 + number % 2}.0" for number in range(7)}
    risen = history(0, 1, 0, 1, 0, 2, 0, versions=turns)
    assert risen.changes[0].holds
    assert unresolved_rise(risen) is None


def test_versions_that_came_back_are_compared_with_themselves():
    there = {1: "0.43.0", 2: "0.43.0"}
    assert not history(0, 1, 1, 0, versions=there).changes


def test_other_work_in_between_is_no_change_of_a_step():
    assert not history(0, None, 0).changes


def test_an_id_stays_as_runs_are_added_and_another_change_has_another():
    name = history(0, 1).name_change(history(0, 1).changes[0])
    longer = history(0, 1, 1, 2)
    assert [longer.name_change(one) == name for one in longer.changes] == [True, False]


def accept(found, which, **facts):
    known = {
        "id": found.name_change(which),
        "key": KEY,
        "since": "2026-11-02",
        "change": float("nan"),
        "reason": "meant",
        "acknowledged": "2026-11-29",
    }
    return Acknowledgement(**{**known, "counts": "host_syncs_per_step 0 -> 1", **facts})


def test_what_was_acknowledged_is_told_no_more_and_what_comes_on_top_is():
    found = history(0, 1, 1)
    given = [accept(found, found.changes[0])]
    assert unresolved_rise(history(0, 1, 1, accepted=given)) is None
    again = history(0, 1, 1, 2, accepted=given)
    assert unresolved_rise(again) is again.changes[1]


def test_what_was_acknowledged_of_a_latency_accepts_no_count():
    found = history(0, 1)
    given = [accept(found, found.changes[0], counts=None, change=0.05)]
    assert unresolved_rise(history(0, 1, accepted=given)) is not None


def test_a_recipe_that_changes_begins_a_series_of_its_own():
    table = replace(KEY, table="inference", setup="fp16", recipe='{"steps":25}')
    old, new = history(0, 0, key=table), history(0, 1, key=replace(table, recipe='{"steps":30}'))
    new = AccountHistory.with_runs(new.key, [replace(run, date=run.date.replace("11", "12", 1)) for run in new.runs[1:]])
    _, judged = judge_account_histories([old, new])
    assert not judged.changes
    assert judged.follows is not None
    assert judged.follows.changed == "recipe changed: 25 -> 30 steps"
