"""Documented rows beside the limits of their devices."""

from dataclasses import replace

import pytest

from pytest_sdspeed.dry.limits import compute_limit
from pytest_sdspeed.judge.documented import judge_documented
from pytest_sdspeed.model import Recipe, Row
from pytest_sdspeed.model.accounts import Account, Work
from pytest_sdspeed.model.limits import Limit

ONE_SECOND = Limit(device="NVIDIA A100 80GB", certain_s=0.25, arithmetic_s=0.5, traffic_s=0.75, limit_s=1.0)


def row(latency_s, *optimizations, repeats=1, memory=None, notes=""):
    recipe = Recipe(model="m", prompt="p", height=8, width=8, steps=1, scheduler="ddim", repeats=repeats)
    return Row(
        setup="s", optimizations=optimizations, baseline="b", recipe=recipe, speedup=1, latency_s=latency_s, memory=memory, notes=notes
    )


def judge(latency_s, *optimizations, limit=ONE_SECOND, **more):
    return judge_documented(row(latency_s, *optimizations, **more), Account(peak_bytes=80), limit, Account(peak_bytes=100))


def test_a_latency_above_the_limit_is_told_its_share():
    found = judge(4.0)
    assert (found.share, found.errors, found.notes) == (0.25, (), ())


def test_a_latency_under_the_certain_limit_contradicts_the_row():
    found = judge(0.2)
    assert found.notes == ()
    (error,) = found.errors
    assert "documented 0.2 s on NVIDIA A100 80GB is impossible" in error
    assert "at least 0.25 s" in error


def test_a_latency_that_the_table_itself_calls_wrong_is_a_note_with_its_reason():
    found = judge(0.2, notes="Printed on page 3.\nlimit: it is of fewer steps than the page says")
    assert found.errors == ()
    (note,) = found.notes
    assert "documented 0.2 s on NVIDIA A100 80GB is impossible" in note
    assert note.endswith("Its table knows: it is of fewer steps than the page says")


@pytest.mark.parametrize("notes", ["limit: wrong", "claim: it is of fewer steps than said", "the limit: it is of fewer steps than said"])
def test_notes_without_a_reason_of_that_rule_accept_no_latency(notes):
    assert judge(0.2, notes=notes).errors


def test_an_accepted_latency_accepts_no_memory():
    found = judge(0.2, memory=0.5, notes="limit: it is of fewer steps than the page says")
    assert len(found.errors) == 1
    assert "memory" in found.errors[0]


def test_half_the_limit_of_plain_products_is_found():
    account = Account(work=(Work("addmm", "float16", 312 * 10**12, 10**9, 1),))
    limit = compute_limit(account, "NVIDIA A100", "float16")
    assert judge_documented(row(0.5), account, limit).errors
    assert not judge_documented(row(1.01), account, limit).errors


def test_a_latency_under_the_published_arithmetic_needs_a_faster_type_and_is_no_error():
    found = judge(0.4)
    assert found.errors == ()
    assert "a faster type than the row names (TF32 for float32)" in found.notes[0]


@pytest.mark.parametrize(
    ("optimizations", "said"),
    [
        ((), "though the row does not compile"),
        (("fp16", "compile"), "its compiler fuses"),
        (("traced_unet",), "its compiler fuses"),
        (("compile_repeated_blocks(fullgraph=false)",), "its compiler fuses"),
    ],
)
def test_a_latency_under_the_limit_needs_fusion_and_the_note_says_whether_the_row_compiles(optimizations, said):
    found = judge(0.8, *optimizations)
    assert found.errors == ()
    assert said in found.notes[0]


def test_a_latency_of_several_calls_is_held_by_the_call():
    found = judge(6.0, repeats=3)
    assert (found.latency_s, found.share, found.errors) == (2.0, 0.5, ())
    assert "(one of 3 calls)" in judge(0.6, repeats=3).errors[0]


def test_a_row_without_a_latency_is_held_to_nothing():
    found = judge(None)
    assert (found.latency_s, found.share, found.errors, found.notes) == (None, None, (), ())


def test_without_a_limit_nothing_is_accused_and_the_note_says_why():
    found = judge(1e-9, limit=Limit(device="X", reason="no published peaks of 'X' are known here"))
    assert (found.share, found.errors) == (None, ())
    assert "no published peaks of 'X'" in found.notes[0]


def test_documented_memory_is_held_against_the_counted_peaks():
    assert judge(4.0, memory=0.85).memory_share == pytest.approx(0.8)
    assert judge(4.0, memory=0.85).errors == ()
    assert "80.0% of its baseline's peak memory" in judge(4.0, memory=0.5).errors[0]


def test_memory_without_a_baseline_is_not_judged_and_a_note_says_so():
    found = judge_documented(row(4.0, memory=0.5), Account(peak_bytes=80), ONE_SECOND)
    assert found.errors == ()
    assert "not judged" in found.notes[0]


@pytest.mark.parametrize("name", ["compile", "compile_repeated_blocks"])
def test_a_row_that_compiles_with_options_compiles(name):
    assert "its compiler fuses" in judge(0.8, f"{name}(fullgraph=true)").notes[0]
    assert "though the row does not compile" in judge(0.8, f"other(parts=[{name!r}])".replace("'", '"')).notes[0]


@pytest.mark.parametrize(
    ("unit", "what"), [("denoising", "the denoising loop"), ("denoiser", "one forward of the denoiser"), ("decode", "one decoding")]
)
def test_a_latency_of_less_than_a_call_is_not_held_against_the_limit_of_one(unit, what):
    """One forward of 50 is far under the limit of the call, and no error."""
    documented = row(0.01)
    documented = replace(documented, recipe=replace(documented.recipe, unit=unit))
    found = judge_documented(documented, Account(peak_bytes=80), ONE_SECOND)
    assert (found.errors, found.share) == ((), None)
    (note,) = found.notes
    assert note.startswith(f"its latency was not held against a limit: it is that of {what}")
    assert judge(0.01).errors
