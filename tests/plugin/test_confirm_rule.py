"""What ``--sd-confirm`` makes of the results of two processes, without any process."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from fakes import baseline_result, result

from pytest_sdspeed.plugin.confirm import combine
from pytest_sdspeed.report import text
from pytest_sdspeed.report.page.html import render_page
from pytest_sdspeed.run.plan import Plan
from pytest_sdspeed.run.processes import describe_end
from pytest_sdspeed.run.run import Run
from pytest_sdspeed.store import records

SLOW = result(verdict="fail", reasons=("slower than its floor",))


def second(**facts):
    return records.to_json(result(**facts))


FAST = {"speedup": 1.5, "low": 1.48, "high": 1.52, "blocks": 4, "samples_s": {"baseline": [(3, 3)], "control": [(3, 3)], "fp16": [(2, 2)]}}


def test_a_pass_takes_the_figures_of_the_second_and_stores_the_first():
    found = combine(SLOW, second(**FAST, image={"psnr": 50.0}))
    assert (found.verdict, found.speedup, found.low, found.high, found.blocks) == ("pass", 1.5, 1.48, 1.52, 4)
    assert (found.latency_s, found.baseline_latency_s, found.image) == (2, 3, {"psnr": 50.0})
    assert found.control == SLOW.control
    assert found.confirmation == records.to_json(SLOW)
    assert found.reasons == (
        "failed in the first process (x1.31 [1.29, 1.33]), passed in a fresh one: an effect of the process, not of the code",
    )


@pytest.mark.parametrize(
    ("facts", "verdict", "image_verdict", "reason"),
    [
        ({"verdict": "fail", "high": 1.4}, "fail", "pass", "confirmed in a fresh process: x1.31 [1.29, 1.40]"),
        ({"verdict": "fail", "image_verdict": "fail", "reasons": ("seed 0: black",)}, "fail", "fail", "failed in*(x1.31*): seed 0: black"),
        (
            {"verdict": "fail", "high": 1.5, "reasons": ("fp16 raised E",)},
            "fail",
            "pass",
            "failed in a fresh process too (*): fp16 raised E",
        ),
        (
            {"verdict": "inconclusive", "high": float("inf"), "reasons": ("noise",)},
            "inconclusive",
            "pass",
            "inconclusive in*, ?]): noise",
        ),
        ({"verdict": "invalid", "reasons": ("control",)}, "inconclusive", "pass", "invalid in a fresh process (x1.31*): control"),
    ],
)
def test_anything_else_keeps_the_figures_of_the_first(facts, verdict, image_verdict, reason):
    other = second(**facts)
    found = combine(SLOW, other)
    assert (found.verdict, found.image_verdict, found.confirmation) == (verdict, image_verdict, other)
    assert (found.speedup, found.samples_s, found.reasons[0]) == (SLOW.speedup, SLOW.samples_s, "slower than its floor")
    pytest.LineMatcher([found.reasons[1]]).fnmatch_lines([reason.replace("[", "[[]")])


def test_a_pass_takes_what_the_second_process_knows_of_its_own_slots():
    first = replace(SLOW, biased=True, slow_pairs={"fp16": (3, 6)})
    found = combine(first, second(**FAST, biased=False, slow_pairs={"fp16": (0, 1)}))
    assert found.biased is False
    assert {arm: tuple(counts) for arm, counts in found.slow_pairs.items()} == {"fp16": (0, 1)}


def test_a_second_that_does_not_know_them_leaves_them_unknown():
    other = second(**FAST)
    del other["biased"], other["slow_pairs"]
    found = combine(replace(SLOW, biased=True, slow_pairs={"fp16": (3, 6)}), other)
    assert (found.biased, dict(found.slow_pairs)) == (None, {})


def test_a_confirmation_keeps_the_note_about_earlier_attempts(monkeypatch):
    measured = replace(SLOW, expected=1.5, floor=1.425)
    run = Run.__new__(Run)
    run.against = run.lookup = None
    run.campaigns, run.results = SimpleNamespace(measure=lambda *_: (measured, {})), []
    found = run.measure(None, None, Plan(test="t.py::test_x", earlier=("fail, too slow",)), lambda first: combine(first, second(**FAST)))
    assert found.verdict == "pass"
    assert [note for note in found.notes if "1 attempt of this test came before this one" in note]


def test_without_a_second_the_failure_stands():
    found = combine(SLOW, "exit status 7")
    assert (found.verdict, found.confirmation) == ("fail", None)
    assert found.reasons == ("slower than its floor", "could not be confirmed: exit status 7")


def test_what_is_stored_is_json():
    for found in (combine(SLOW, second(**FAST)), combine(SLOW, second(verdict="fail"))):
        assert json.loads(json.dumps(records.to_json(found), allow_nan=False))["confirmation"]["schema"] == 1


@pytest.mark.parametrize(
    ("output", "status", "said"),
    [
        ("", 7, "exit status 7"),
        ("", -9, "signal 9 ended the process"),
        ("collected\n\nE   ValueError: bad\nE       more\n=== 1 error in 1 s ===\n", 1, "exit status 1: more"),
        ("Fatal Python error: Aborted\n\nThread 0x1:\n  <no frame>\n", -6, "signal 6 ended the process: Fatal Python error: Aborted"),
        ("\x1b[31mERROR\x1b[0m: not found: a.py::b\n\n", 4, "exit status 4: ERROR: not found: a.py::b"),
        ("one\ntwo\n\n", 1, "exit status 1: two"),
    ],
)
def test_the_last_words_are_those_that_tell_most(output, status, said):
    assert describe_end(output, status) == said


def test_the_table_and_the_page_tell_of_the_confirmation_under_the_rows():
    found = combine(SLOW, second(**FAST))
    line = "fp16: failed in the first process (x1.31 [1.29, 1.33]), passed in a fresh one (x1.50 [1.48, 1.52])"
    assert text.format_table([baseline_result(), found, found])[-2:] == [
        "fp16       2.00 s    x1.50 [1.48, 1.52]   x1.50        x1.43   PSNR 58  SSIM .998   pass",
        line,
    ]
    assert f'<p class="confirmation">{line}</p>' in render_page([found])
    assert text.describe_confirmations([baseline_result(), SLOW]) == []


def test_the_baseline_shown_is_that_of_the_process_of_the_other_rows():
    assert text.format_rows([combine(SLOW, second(**FAST)), result("tf32")])[0][1] == "1.93 s"
