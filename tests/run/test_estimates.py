"""What campaigns are expected to cost, and what fits a device: by pages, by stored counts, or by steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_sdspeed.lint.counts import Counts
from pytest_sdspeed.model import Recipe, Row, Table
from pytest_sdspeed.model.accounts import Work
from pytest_sdspeed.run import estimates
from pytest_sdspeed.run.estimates import compare_devices, estimate_call_s, estimate_campaign, explain_misfit
from pytest_sdspeed.setups.catalog import ResolvedSetup

RECIPE = Recipe(model="a/model", prompt="a cat", height=1000, width=500, steps=20, scheduler="ddim")
A100, H200, L4 = "NVIDIA A100", "NVIDIA H200", "NVIDIA L4"


def row(setup="fast", **facts):
    known = {"optimizations": (), "baseline": "base", "recipe": RECIPE, "speedup": 2.0} | facts
    return Row(setup=setup, **known)


def base(**facts):
    return row("base", **{"speedup": 1.0, **facts})


def table(*rows, device=A100):
    return Table(name="t", title="", source="", device=device, rows=rows)


def resolve(one, name):
    found = one.row(name)
    return ResolvedSetup(table=one, setup=name, optimizations=found.optimizations, recipe=found.recipe, row=found, baseline=found.baseline)


def call_s(*rows, device=A100, counts=None, name="fast"):
    one = table(*rows)
    return estimate_call_s(one, one.row(name), device, counts)


def test_a_call_takes_what_its_page_says():
    assert call_s(base(latency_s=9.0), row(latency_s=3.0)) == 3.0
    assert call_s(base(recipe=replace(RECIPE, repeats=3)), row(latency_s=3.0, recipe=replace(RECIPE, repeats=3))) == 1.0
    assert call_s(base(), row(latency_s=0.5, recipe=replace(RECIPE, unit="denoiser"))) == 10.0


def test_a_row_without_latency_takes_what_its_baseline_and_its_speed_up_say():
    assert call_s(base(latency_s=9.0), row(speedup=3.0)) == 3.0
    assert call_s(base(latency_s=9.0), row(speedup=3.0), name="base") == 9.0


def test_a_rate_of_steps_is_a_latency():
    assert call_s(base(), row(iterations_per_s=10.0)) == 2.0


def test_counts_say_what_a_page_does_not():
    counts = Counts(fingerprint="", work=(Work("mm", "float16", 312 * 10**12, 0, 2),))
    assert call_s(base(), row(), counts=counts) == pytest.approx(estimates.OF_LIMIT * 2)
    # A device without known peaks takes as long as the documented one.
    assert call_s(base(), row(), counts=counts, device="Unknown 1") == pytest.approx(estimates.OF_LIMIT * 2)


def test_steps_and_size_say_it_if_nothing_else_does():
    assert call_s(base(), row()) == pytest.approx(20 * 0.5 * estimates.STEP_S)
    video = replace(RECIPE, frames=8, images=3)
    assert call_s(base(recipe=video), row(recipe=video)) == pytest.approx(20 * 0.5 * estimates.STEP_S * 3 * 2)


def test_another_device_takes_what_it_is_slower_in_or_gains_least_in():
    assert compare_devices(A100, A100) == compare_devices(A100, "NVIDIA A100-SXM4-80GB") == 1
    assert 0.3 < compare_devices(A100, H200) < 1
    assert compare_devices(A100, "NVIDIA T4") > 4
    assert compare_devices(A100, "Unknown 1") == compare_devices("no device yet (goals)", H200) == 1
    assert call_s(base(), row(latency_s=3.0), device=H200) == 3.0 * compare_devices(A100, H200)


def campaign(*rows, counts=lambda _row: None, unit="call"):
    one = table(*rows)
    found = [resolve(one, each.setup) for each in one.rows]
    return estimate_campaign(found[0], found[1:], A100, counts, unit)


def test_a_campaign_takes_three_blocks_and_what_comes_before_them():
    found = campaign(base(latency_s=4.0), row(latency_s=2.0), row("faster", latency_s=1.0))
    assert found.timed_s == 3 * (4 * 4.0 + 2 * 2.0 + 2 * 1.0)
    # Another seed, the own case, and profiles.
    assert found.before_s == 3 * estimates.LOAD_S + (2 + estimates.PROFILES) * 7.0
    assert found.total_s == found.before_s + found.timed_s
    assert (found.rows, found.weights) == (("fast", "faster"), ("a/model", "", "float32"))


FIFTY = replace(RECIPE, steps=50)


def test_by_stages_blocks_cost_the_steps_that_are_measured_and_whole_calls_follow():
    rows = base(latency_s=4.0, recipe=FIFTY), row(latency_s=2.0, recipe=FIFTY)
    calls, stages = campaign(*rows), campaign(*rows, unit="stage")
    assert (calls.by_stages, stages.by_stages) == (False, True)
    assert (calls.block_s, calls.timed_s) == (20.0, 60.0)
    # 7 of 50 steps; two whole calls of each arm.
    assert stages.block_s == pytest.approx(20.0 * 7 / 50)
    assert stages.timed_s == pytest.approx(3 * stages.block_s + 2 * (4.0 + 2.0))
    assert stages.before_s == calls.before_s
    assert calls.call_s == stages.call_s == 4.0


def test_few_steps_are_all_measured():
    few = replace(RECIPE, steps=4)
    rows = base(latency_s=4.0, recipe=few), row(latency_s=2.0, recipe=few)
    assert campaign(*rows, unit="stage").block_s == campaign(*rows).block_s


@pytest.mark.parametrize(("call_s", "by_stages"), [(0.99, False), (1.0, True)])
def test_auto_is_by_stages_from_a_second_of_the_baseline_on(call_s, by_stages):
    rows = base(latency_s=call_s, recipe=FIFTY), row(latency_s=call_s / 2, recipe=FIFTY)
    assert campaign(*rows, unit="auto").by_stages is by_stages


def test_all_blocks_cost_what_the_budget_allows():
    found = campaign(base(latency_s=4.0, recipe=FIFTY), row(latency_s=2.0, recipe=FIFTY), unit="stage")
    assert found.find_most_s(1000.0, 20) == pytest.approx(found.before_s + 20 * found.block_s + 3 * 12.0)
    assert found.find_most_s(30.0, 20) == pytest.approx(found.before_s + 30.0 + 3 * 12.0)
    # The first look is not cut.
    assert found.find_most_s(1.0, 20) == pytest.approx(found.total_s + 2 * 12.0)


def test_what_a_page_or_counts_say_of_every_call_is_known():
    counts = Counts(fingerprint="", work=(Work("mm", "float16", 312 * 10**12, 0, 2),))
    assert campaign(base(latency_s=4.0), row()).is_known
    assert campaign(base(), row(), counts=lambda _: counts).is_known
    assert not campaign(base(), row(latency_s=4.0)).is_known


def test_compiling_weights_and_further_prompts_cost_too():
    plain = campaign(base(latency_s=4.0), row(latency_s=2.0))
    compiled = campaign(base(latency_s=4.0), row(latency_s=2.0, optimizations=("bf16", 'compile(mode="max-autotune")')))
    documented = campaign(base(latency_s=4.0), row(latency_s=2.0, compile_s=300.0))
    assert compiled.before_s - plain.before_s == estimates.COMPILE_S
    assert documented.before_s - plain.before_s == 300
    assert campaign(
        base(latency_s=4.0), row(latency_s=2.0), counts=lambda _: Counts(fingerprint="", weight_bytes=24 * 10**9)
    ).before_s - plain.before_s == pytest.approx(24)
    more = replace(RECIPE, more_prompts=("a dog", "a cat"))
    assert campaign(base(latency_s=4.0, recipe=more), row(latency_s=2.0, recipe=more)).before_s - plain.before_s == 6


def misfit(rows, name="fast", memory_gb=24, counts=lambda _row: None):
    one = table(*rows)
    return explain_misfit(resolve(one, name), resolve(one, "base"), L4, memory_gb * 2**30, counts)


def test_what_fits_by_its_page_fits_and_what_nobody_knows_does_too():
    assert misfit([base(memory_gb=23.9), row(memory_gb=10.0)]) is None
    assert misfit([base(), row()]) is None


def test_a_row_that_does_not_fit_is_told_with_both_figures():
    assert (
        misfit([base(memory_gb=20.0), row(memory_gb=33.2)])
        == "does not fit: it needs 33.2 GB (documented at its peak), and NVIDIA L4 has 24.0 GB"
    )


def test_a_row_whose_baseline_does_not_fit_cannot_be_measured_either():
    rows = [base(memory_gb=33.2), row(memory_gb=10.0)]
    assert misfit(rows) == "does not fit: its baseline base needs 33.2 GB (documented at its peak), and NVIDIA L4 has 24.0 GB"
    assert misfit(rows, "base").startswith("does not fit: it needs 33.2 GB")


def test_counts_say_what_needs_more_than_there_is():
    peak, weights = Counts(fingerprint="", peak_bytes=30 * 2**30, weight_bytes=2**30), Counts(fingerprint="", weight_bytes=30 * 2**30)
    assert "(counted at its peak)" in misfit([base(), row()], counts=lambda _: peak)
    assert "(of weights alone)" in misfit([base(), row()], counts=lambda _: weights)
    # What was documented is of a real run: counts do not overrule it.
    assert misfit([base(memory_gb=10.0), row(memory_gb=10.0)], counts=lambda _: peak) is None
