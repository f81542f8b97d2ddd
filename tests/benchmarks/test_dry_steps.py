"""The account of many steps, from those of a few."""

from dataclasses import replace

import pytest
from dry.steps import add_steps

from pytest_sdspeed.model.accounts import Account, Place, Work

PRODUCT, SUM = Work("mm", "float16", 100, 10, 1), Work("add", "float16", 0, 5, 1)
SYNC = Place("host_sync", "pipeline.py", 3, "t.item()", 1)


def generation(steps, *, last_syncs=1):
    """A generation whose steps are a product and two sums and wait once, the last one as often as is said; its peak grows by 8 a step."""
    syncs = steps - 1 + last_syncs
    step = Account(
        operations=3,
        host_syncs=1,
        flops=100,
        bytes_moved=20,
        peak_bytes=50 + 8 * steps,
        work=tuple(sorted((PRODUCT, replace(SUM, count=2)))),
        places=(SYNC,),
    )
    whole = Account(
        operations=3 * steps + 1,
        host_syncs=syncs,
        flops=100 * steps,
        bytes_moved=20 * steps + 5,
        peak_bytes=100 + 8 * steps,
        steps=steps,
        per_step=step,
        work=tuple(sorted((replace(PRODUCT, count=steps), replace(SUM, count=2 * steps + 1)))),
        places=(replace(SYNC, count=syncs),),
    )
    return replace(whole, stages={"denoising": replace(whole, steps=0, per_step=None), "decoding": Account(operations=1)})


@pytest.mark.parametrize("last_syncs", [0, 1])
def test_steps_that_are_alike_are_added_exactly(last_syncs):
    few, one_more = generation(4, last_syncs=last_syncs), generation(5, last_syncs=last_syncs)
    assert add_steps(few, one_more, 50) == generation(50, last_syncs=last_syncs)


def test_no_step_more_is_what_was_counted():
    assert add_steps(generation(4), generation(5), 5) == generation(5)


@pytest.mark.parametrize(
    "planted",
    [
        lambda one: replace(one, operations=one.operations + 1),
        lambda one: replace(one, host_syncs=one.host_syncs - 1),
        lambda one: replace(one, casts=1),
        lambda one: replace(one, work=(replace(PRODUCT, flops=99, count=1), *one.work)),
        lambda one: replace(one, places=(replace(SYNC, line=4), *one.places)),
        lambda one: replace(one, steps=6),
        lambda one: replace(one, per_step=None),
        lambda one: replace(one, stages={}),
    ],
)
def test_steps_that_differ_in_anything_are_not_multiplied(planted):
    assert add_steps(generation(4), planted(generation(5)), 50) is None


def test_fewer_steps_than_were_counted_are_not_made_up():
    assert add_steps(generation(4), generation(5), 4) is None
