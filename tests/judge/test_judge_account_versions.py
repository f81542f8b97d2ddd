"""Two accounts of the same work: what hides a rise, and what makes them two different works."""

from dataclasses import replace

from pytest_sdspeed.judge.accounts import compare_accounts, find_more, list_changes, read_count
from pytest_sdspeed.model import Account, Place

SYNC = Place("host_sync", "diffusers/loop.py", 12, "t.item()", 1)
STEP = Account(operations=10, host_syncs=2, peak_bytes=64, places=(replace(SYNC, count=2),))
CALL = Account(operations=100, host_syncs=20, peak_bytes=80, steps=10, per_step=STEP, places=(replace(SYNC, count=20),))
BETTER = replace(CALL, host_syncs=10, per_step=replace(STEP, host_syncs=1))


def test_a_rise_outside_of_the_steps_is_not_hidden_by_steps_that_became_better():
    found = compare_accounts(CALL, replace(BETTER, host_syncs=13))
    assert found.verdict == "fail"
    assert found.fewer == ("host_syncs_per_step 2 -> 1 (-1)",)
    assert found.reasons == ("host_syncs beyond its steps 2 -> 4 (+2)",)


def test_steps_that_became_better_and_nothing_else_pass():
    assert compare_accounts(CALL, BETTER).verdict == "pass"
    assert compare_accounts(CALL, replace(BETTER, host_syncs=11)).verdict == "pass"


def test_the_count_beyond_the_steps_is_read_as_it_is_told():
    (_, beyond) = list_changes(CALL, replace(BETTER, host_syncs=13))
    assert read_count(replace(BETTER, host_syncs=13), beyond.name) == beyond.now == 4
    assert read_count(CALL, "host_syncs_per_step") == 2
    assert read_count(replace(CALL, per_step=None), beyond.name) is None


def test_steps_that_differ_from_each_other_leave_it_to_the_count_of_the_call():
    uneven = replace(BETTER, host_syncs=13, uneven_steps=("host_syncs",))
    assert compare_accounts(CALL, uneven).fewer == ("host_syncs_per_step 2 -> 1 (-1)", "host_syncs 20 -> 13 (-7)")


def test_another_number_of_steps_is_other_work_and_no_pass():
    for steps in (9, 11):
        found = compare_accounts(CALL, replace(CALL, steps=steps, operations=10 * steps, host_syncs=2 * steps))
        assert found.verdict == "invalid"
        assert not found.fewer
        assert found.reasons == (f"the call takes 10 -> {steps} denoising steps: that is not the same work",)


def test_a_rise_in_the_step_of_other_work_fails_all_the_same():
    found = compare_accounts(CALL, replace(CALL, steps=9, per_step=replace(STEP, host_syncs=3)))
    assert found.verdict == "fail"
    assert "not the same work" in found.reasons[-1]


def test_the_other_way_round_the_lines_that_are_gone_are_found():
    clean = replace(CALL, host_syncs=0, places=(), per_step=replace(STEP, host_syncs=0, places=()))
    gone = find_more(clean, CALL)
    assert [(one.place.line, one.more, one.per_step) for one in gone] == [(12, 2, True), (12, 20, False)]


def test_a_few_bytes_more_in_a_whole_call_are_negligible_and_one_operation_is_not():
    large = replace(CALL, bytes_moved=19_013_324, peak_bytes=1_500_000)
    assert compare_accounts(large, replace(large, bytes_moved=19_013_352)).verdict == "pass"
    assert compare_accounts(large, replace(large, bytes_moved=19_033_352)).verdict == "fail"
    assert compare_accounts(large, replace(large, peak_bytes=1_500_100)).verdict == "pass"
    assert compare_accounts(replace(CALL, operations=10**6), replace(CALL, operations=10**6 + 1)).verdict == "fail"


def test_a_few_bytes_more_in_a_step_fail():
    large = replace(CALL, per_step=replace(STEP, bytes_moved=10**6))
    assert compare_accounts(large, replace(large, per_step=replace(STEP, bytes_moved=10**6 + 4))).verdict == "fail"
