"""Bounds on accounts: what is over fails with its lines, and what is not known is never within."""

from dataclasses import replace

import pytest

from pytest_sdspeed.errors import UnknownNameError
from pytest_sdspeed.judge.accounts import check_names, compare_accounts, judge_account
from pytest_sdspeed.model import ACCOUNT_BOUNDS, COUNTS, Account, Place

SYNC = Place("host_sync", "diffusers/loop.py", 12, "t.item()", 1)
STEP = Account(operations=10, flops=100, casts=2, peak_bytes=64)
CALL = Account(operations=55, flops=500, casts=10, host_syncs=3, peak_bytes=80, steps=5, per_step=STEP, places=(replace(SYNC, count=3),))


def planted(call=CALL, count=1, place=SYNC):
    """Return an account with a sync more in every step."""
    step = replace(call.per_step, host_syncs=call.per_step.host_syncs + count, places=(*call.per_step.places, replace(place, count=count)))
    places = (*call.places, replace(place, line=place.line + 100, count=count * call.steps))
    return replace(call, per_step=step, host_syncs=call.host_syncs + count * call.steps, places=places)


def test_every_count_has_a_bound_of_a_call_and_those_of_steps_one_of_a_step():
    assert set(COUNTS) < set(ACCOUNT_BOUNDS)
    assert {"host_syncs_per_step", "peak_bytes_per_step"} < set(ACCOUNT_BOUNDS)
    assert not {"weight_bytes_per_step", "graph_breaks_per_step", "recompilations_per_step"} & set(ACCOUNT_BOUNDS)


def test_what_meets_its_bound_exactly_passes():
    assert judge_account(CALL, {"operations": 55, "host_syncs": 3, "casts_per_step": 2}) == ("pass", ())


def test_without_bounds_there_is_no_verdict():
    assert judge_account(CALL, {}) == (None, ())


def test_one_more_than_the_bound_fails_with_count_bound_and_line():
    verdict, (reason,) = judge_account(CALL, {"host_syncs": 2})
    assert verdict == "fail"
    assert reason == "host_syncs is 3, at most 2: 3 at diffusers/loop.py:12  t.item()"


def test_a_bound_of_a_step_names_the_lines_of_a_step():
    verdict, (reason,) = judge_account(planted(), {"host_syncs_per_step": 0})
    assert (verdict, reason) == ("fail", "host_syncs_per_step is 1, at most 0: 1 at diffusers/loop.py:12  t.item()")


@pytest.mark.parametrize(("kind", "count"), [("cast", "casts"), ("host_to_device", "host_to_device"), ("graph_break", "graph_breaks"),
                                             ("recompilation", "recompilations")])  # fmt: skip
def test_a_count_has_the_lines_of_its_kind_alone(kind, count):
    places = (SYNC, Place(kind, "diffusers/block.py", 3, "x.half()", 7))
    _, (reason,) = judge_account(replace(CALL, places=places, **{count: 7}), {count: 0})
    assert reason == f"{count} is 7, at most 0: 7 at diffusers/block.py:3  x.half()"


def test_of_many_lines_the_worst_are_named_and_the_others_counted():
    places = tuple(Place("host_sync", "a.py", line, "x.item()", 10 - line) for line in range(8))
    _, (reason,) = judge_account(replace(CALL, host_syncs=52, places=places), {"host_syncs": 0})
    assert "10 at a.py:0" in reason
    assert reason.endswith("; and 3 more places")


@pytest.mark.parametrize(("name", "said"), [
    ("recompilations", "nothing is compiled here"),
    ("graph_breaks", "nothing is compiled here"),
    ("weight_bytes", "only a setup's are known"),
])  # fmt: skip
def test_a_count_that_is_not_known_is_never_a_pass(name, said):
    verdict, (reason,) = judge_account(CALL, {name: 10**15, "operations": 100})
    assert verdict == "invalid"
    assert f"{name} is not known" in reason
    assert said in reason


@pytest.mark.parametrize("steps", [0, 1])
def test_a_bound_of_a_step_is_never_a_pass_without_two_steps(steps):
    verdict, (reason,) = judge_account(replace(CALL, steps=steps, per_step=None), {"host_syncs_per_step": 0})
    assert verdict == "invalid"
    assert f"{steps} denoising step" in reason


def test_what_is_over_fails_whatever_else_is_not_known():
    verdict, reasons = judge_account(CALL, {"recompilations": 0, "operations": 1})
    assert verdict == "fail"
    assert len(reasons) == 2


@pytest.mark.parametrize("bounds", [{}, {"host_syncs": 0}])
def test_an_account_of_nothing_is_invalid(bounds):
    verdict, (reason,) = judge_account(Account(), bounds)
    assert verdict == "invalid"
    assert "no operation ran on the device" in reason


def test_an_unknown_name_is_told_with_those_that_there_are():
    with pytest.raises(UnknownNameError, match=r"test_x: unknown bound of an account 'syncs'; valid: .*host_syncs_per_step"):
        check_names(["host_syncs", "syncs"], "test_x")


# Two accounts


def test_equal_accounts_pass():
    assert compare_accounts(CALL, CALL) == ("pass", (), (), ())


def test_a_sync_more_in_every_step_fails_once_with_its_line():
    verdict, reasons, fewer, places = compare_accounts(CALL, planted())
    assert verdict == "fail"
    assert not fewer
    assert reasons == ("host_syncs_per_step 0 -> 1 (+1): +1 at diffusers/loop.py:12  t.item()",)
    assert [(change.place.line, change.more, change.per_step) for change in places] == [(12, 1, True), (112, 5, False)]


def test_fewer_is_told_and_never_fails():
    verdict, reasons, fewer, places = compare_accounts(planted(), CALL)
    assert (verdict, reasons, places) == ("pass", (), ())
    assert fewer == ("host_syncs_per_step 1 -> 0 (-1)",)


def test_a_sync_more_outside_of_the_steps_fails():
    after = Place("host_sync", "diffusers/loop.py", 90, "x.sum().item()", 1)
    verdict, (reason,), _, _ = compare_accounts(CALL, replace(CALL, host_syncs=4, places=(*CALL.places, after)))
    assert verdict == "fail"
    assert reason == "host_syncs 3 -> 4 (+1): +1 at diffusers/loop.py:90  x.sum().item()"


def test_what_rises_in_the_steps_and_outside_of_them_is_told_of_both():
    found = compare_accounts(CALL, replace(planted(), host_syncs=planted().host_syncs + 7))
    assert [reason.split(" ")[0] for reason in found.reasons] == ["host_syncs_per_step", "host_syncs"]


def test_a_rise_in_one_count_fails_whatever_falls():
    better = replace(CALL, operations=1, per_step=replace(STEP, operations=1, casts=3), casts=15)
    found = compare_accounts(CALL, better)
    assert found.verdict == "fail"
    assert found.reasons[0].startswith("casts_per_step 2 -> 3")
    assert found.fewer


def test_a_line_that_moves_in_its_file_is_the_same_place():
    old = planted()
    moved = replace(old, places=tuple(replace(place, line=place.line + 40) for place in old.places),
                    per_step=replace(old.per_step, places=tuple(replace(place, line=52) for place in old.per_step.places)))  # fmt: skip
    assert compare_accounts(old, moved) == ("pass", (), (), ())


def test_a_line_that_moves_into_another_file_is_a_new_place():
    old = planted()
    moved = replace(old, per_step=replace(old.per_step, places=(replace(SYNC, file="diffusers/other.py"),)))
    found = compare_accounts(old, moved)
    assert found.verdict == "pass"
    assert found.places[0].place.file == "diffusers/other.py"


def test_of_equal_lines_the_new_one_is_named():
    again = replace(SYNC, line=50)
    step = replace(planted().per_step, host_syncs=2, places=(SYNC, again))
    _, (reason, *_), _, _ = compare_accounts(planted(), replace(planted(), per_step=step, host_syncs=13))
    assert "+1 at diffusers/loop.py:50" in reason


@pytest.mark.parametrize(("old", "new"), [(None, 0), (0, None)])
def test_a_count_that_one_side_alone_knows_is_no_pass(old, new):
    found = compare_accounts(replace(CALL, recompilations=old), replace(CALL, recompilations=new))
    assert found.verdict == "invalid"
    assert "recompilations is not known on one side" in found.reasons[0]


def test_steps_that_one_side_alone_has_are_no_pass():
    assert compare_accounts(CALL, replace(CALL, per_step=None, steps=0)).verdict == "invalid"


def test_memory_that_grows_fails():
    found = compare_accounts(CALL, replace(CALL, peak_bytes=81))
    assert found.verdict == "fail"
    assert found.reasons == ("peak_bytes 80 -> 81 (+1)",)


def test_an_account_of_nothing_is_compared_with_nothing():
    assert compare_accounts(CALL, Account()).verdict == "invalid"
