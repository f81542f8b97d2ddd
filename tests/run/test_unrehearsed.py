"""Which rows of a rehearsal pass without having been rehearsed: they are skipped, and no other row is."""

from __future__ import annotations

import pytest
from fakes import result

from pytest_sdspeed.model import Finding, Proof
from pytest_sdspeed.run.rehearsal import find_unrehearsed

IDLE = Proof("tome", Finding(acted=False, text="no tokens were merged", excused=True))
TILED = Proof("vae_tiling(tile=512)", Finding(acted=False, text="no tile", excused=True))
ACTED = Proof("bf16", Finding(acted=True, text="bfloat16"))


def found(ours, theirs=(), proofs=(IDLE,), **changes):
    return find_unrehearsed(result(optimizations=ours, baseline_optimizations=theirs, proofs=proofs, **changes))


def test_a_row_of_which_nothing_acts_at_toy_size_was_not_rehearsed():
    assert found(["tome"]) == "tome did not act at toy size, and may at full size: no tokens were merged"
    both = found(["tome", "vae_tiling(tile=512)"], proofs=(IDLE, TILED))
    assert both.count("did not act at toy size") == 2
    assert found(["bf16", "tome"], ["bf16"], (ACTED, IDLE)) is not None
    # Switches of a GPU do nothing here either.
    assert found(["tf32", "tome"]) is not None


def test_a_row_of_which_something_acts_was_rehearsed():
    assert found(["bf16", "tome"], proofs=(ACTED, IDLE)) is None
    assert found(["tome", "mine"]) is None
    assert found(["mine"], ["mine", "bf16"], proofs=()) is None
    # What both have does not tell them apart.
    assert found(["tome", "bf16"], ["tome"], (IDLE, ACTED)) is None


def test_a_row_without_what_its_baseline_is_excused_from_was_not_rehearsed():
    assert found([], ["tome"], (), baseline_proofs=(IDLE,)) is not None


@pytest.mark.parametrize("verdict", ["fail", "invalid"])
def test_a_fault_is_told_whatever_did_not_act(verdict):
    assert found(["tome"], verdict=verdict) is None


def test_a_baseline_is_never_left_out():
    assert found(["tome"], setup="baseline", baseline="baseline") is None
