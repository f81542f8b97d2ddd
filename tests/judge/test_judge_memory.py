"""The bound on peak memory: it passes what is good, fails what is not, and says when it does not know."""

from __future__ import annotations

import pytest

from pytest_sdspeed.judge.memory import judge_memory

GIB = 2**30


@pytest.mark.parametrize(("peak", "bound"), [(80, 0.8), (79, 0.8), (100, 1.0), (120, 1.2), (500, None)])
def test_a_row_within_its_bound_has_a_share_and_no_reason(peak, bound):
    assert judge_memory(peak, 100, bound) == (peak / 100, "", "")


def test_a_row_beyond_its_bound_says_by_how_much():
    found = judge_memory(int(3.75 * GIB), 4 * GIB, 0.9)
    assert found.share == 0.9375
    assert found.reason == "it needs 93.8% of its baseline's peak memory (3.75 of 4.00 GiB), at most 90.0% is documented"


@pytest.mark.parametrize(("peak", "base"), [(None, 100), (100, None), (None, None), (100, 0)])
def test_unknown_memory_passes_with_a_note_where_there_is_a_bound(peak, base):
    assert judge_memory(peak, base, 0.9) == (None, "", "the bound on memory was not judged: the peak is unknown")
    assert judge_memory(peak, base, None) == (None, "", "")


def test_lower_bounds_are_not_compared():
    assert judge_memory(200, 100, 0.9, exact=False) == (None, "", "the bound on memory was not judged: on a CPU peaks are lower bounds")
    assert judge_memory(200, 100, None, exact=False) == (None, "", "")


def test_what_pools_hold_is_no_peak_of_tensors():
    said = "the bound on memory was not judged: on MPS torch tells what its pools hold, not what tensors need"
    assert judge_memory(200, 100, 0.9, exact=False, kind="mps") == (None, "", said)
