"""Campaigns on a fake clock, of arms that show before the blocks whether their optimizations act."""

from __future__ import annotations

from dataclasses import replace

import campaigns
import pytest
from campaigns import undecidable

from pytest_sdspeed.errors import ChangedPartError, GenerationError, NoEffectError, OutOfMemoryError
from pytest_sdspeed.model import Finding, Proof

bench = campaigns.bench
_quick_collector = campaigns.quick_collector

ACTED = Proof("cache", Finding(acted=True, text="skipped 2 of 4 steps"))
IDLE = Proof("cache(threshold=0.0)", Finding(acted=False, text="skipped none of 4 steps"))
UNTOLD = Proof("cache", Finding(acted=None, text="its proof raised ValueError: boom"))


def proving(bench, arm, *proofs, error=None):
    def prove(case):
        bench.events.append(f"prove:{arm.name}:{case.seed}")
        bench.clock.spend(7.0)
        if error is not None:
            raise error
        return proofs

    return replace(arm, prove=prove)


def test_proofs_are_taken_between_the_warm_up_and_the_blocks_and_spend_no_budget(bench):
    base = proving(bench, bench.arm("base", 1.0), ACTED)
    row = proving(bench, bench.arm("row", 1.0, floor=0.5), ACTED)
    found = bench.run(base, row, undecidable_as("other", bench), seed=3)
    assert found.proofs == {"base": (ACTED,), "row": (ACTED,)}
    phases = list(dict.fromkeys(progress.phase for progress in bench.progress))
    assert phases == ["build", "warm-up", "proof", "plan", "block"]
    assert [event for event in bench.events if event.startswith("prove")] == ["prove:base:3", "prove:row:3"]
    assert found.timed_s == pytest.approx(sum(slot.duration_s for slot in found.slots))
    assert found.errors == {}


def undecidable_as(name, bench):
    return replace(undecidable(bench), name=name)


def test_without_anything_to_prove_nothing_more_is_generated(bench):
    found = bench.run(bench.arm("base", 1.0), bench.arm("row", 1.0, floor=0.5))
    assert found.proofs == {}
    assert "proof" not in {progress.phase for progress in bench.progress}


@pytest.mark.parametrize(
    ("proofs", "said"),
    [
        ((IDLE,), "cache(threshold=0.0) had no effect: skipped none of 4 steps"),
        ((ACTED, IDLE), "cache(threshold=0.0) had no effect: skipped none of 4 steps"),
        ((UNTOLD,), "whether cache acted cannot be told: its proof raised ValueError: boom"),
        (
            (IDLE, UNTOLD),
            "cache(threshold=0.0) had no effect: skipped none of 4 steps; whether cache acted cannot be told: its proof raised ValueError: boom",
        ),
    ],
    ids=["idle", "one of two", "untold", "both"],
)
def test_an_arm_without_effect_leaves_before_the_blocks_and_the_others_go_on(bench, proofs, said):
    row = proving(bench, bench.arm("row", 1.0, floor=0.5), *proofs)
    found = bench.run(bench.arm("base", 1.0), row, bench.arm("good", 1.0, floor=0.5))
    assert type(found.errors["row"]) is NoEffectError
    assert str(found.errors["row"]) == said
    assert found.proofs["row"] == proofs
    assert found.samples_s["row"] == []
    assert set(found.errors) == {"row"}
    assert found.decisions.keys() == {"good"}
    # Its warm-up is known, and what it drew there.
    assert len(found.warm_up_s["row"]) == 2
    assert found.block_s == 6.0  # four slots of the baseline, and two of the other row


def test_a_baseline_without_effect_ends_the_campaign_for_all_of_its_rows(bench):
    row = proving(bench, bench.arm("row", 1.0, floor=0.5), ACTED)
    found = bench.run(proving(bench, bench.arm("base", 1.0), IDLE), row, bench.arm("other", 1.0, floor=0.5))
    assert set(found.errors) == {"base", "row", "other"}
    assert {type(error) for error in found.errors.values()} == {NoEffectError}
    assert found.proofs == {"base": (IDLE,)}
    assert found.slots == ()
    assert found.decisions == {}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError("none left"), OutOfMemoryError),
        (ChangedPartError("a weight changed"), ChangedPartError),
        (KeyError("x"), GenerationError),
    ],
)
def test_what_a_proof_raises_ends_its_arm_alone(bench, error, kind):
    row = proving(bench, bench.arm("row", 1.0, floor=0.5), error=error)
    found = bench.run(bench.arm("base", 1.0), row, bench.arm("good", 1.0, floor=0.5))
    assert {name: type(error) for name, error in found.errors.items()} == {"row": kind}
    assert found.decisions["good"].verdict == "pass"


def test_what_the_arms_share_is_checked_right_after_the_proof_and_before_another_arm_draws(bench):
    checked = []

    def check():
        checked.append(bench.events[-1])
        if bench.events[-1].startswith("prove"):
            raise ChangedPartError("the proof changed a weight")

    row = replace(proving(bench, bench.arm("row", 1.0, floor=0.5), ACTED), check=check)
    found = bench.run(bench.arm("base", 1.0), row, bench.arm("good", 1.0, floor=0.5))
    assert type(found.errors["row"]) is ChangedPartError
    assert found.samples_s["row"] == []
    assert found.decisions["good"].verdict == "pass"
