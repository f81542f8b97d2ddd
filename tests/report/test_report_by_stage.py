"""Rows that were measured by stages, in every report: each stage, which steps, and what whole calls say."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from fakes import baseline_result, result
from stored import write_run

from pytest_sdspeed.__main__ import main
from pytest_sdspeed.model import Against, Interval, StageResults
from pytest_sdspeed.plugin.confirm import combine
from pytest_sdspeed.plugin.gate import properties
from pytest_sdspeed.plugin.html_extras import _table
from pytest_sdspeed.plugin.summary import table_lines
from pytest_sdspeed.report import by_stage, text
from pytest_sdspeed.report.comment import CommentFacts, write_comment
from pytest_sdspeed.report.markdown import write_summary
from pytest_sdspeed.report.page.html import render_page
from pytest_sdspeed.report.plots.timeline import draw_timeline
from pytest_sdspeed.store.records import from_json, to_json

FOUND = StageResults(
    steps=50,
    sampled_steps=7,
    # Not in the order in which they run.
    ratios={
        "decoding": Interval(0.99, 0.98, 1.0),
        "text_encoder": Interval(1.0, 0.97, 1.03),
        "denoising": Interval(1.63, 1.6, 1.66),
    },
    latencies_s={"text_encoder": (0.0051, 0.005), "denoising": (1.2, 1.96), "decoding": (0.2, 0.198)},
    whole_s=(1.45, 2.2),
    unowned=(0.0031, -0.001),
)
STAGES = (
    "text encoder x1.00 [0.97, 1.03] (5.10 ms, baseline 5.00 ms),"
    " denoising x1.63 [1.60, 1.66] (1.20 s, baseline 1.96 s),"
    " decoding x0.99 [0.98, 1.00] (0.20 s, baseline 0.20 s)"
)
STEPS = "7 of 50 steps of each call were measured"
WHOLE = "whole calls against the sum of their stages: 1.45 s (+0.3%); baseline 2.20 s (-0.1%)"
WORDS = f"{STAGES}; {STEPS}; {WHOLE}"


def staged(**facts):
    return result(by_stage=replace(FOUND, **facts))


def unstaged():
    """A baseline of such a campaign: no stage of it has a ratio."""
    return baseline_result(by_stage=StageResults(steps=50, sampled_steps=7))


def test_the_terminal_says_it_in_a_line_under_the_table():
    lines = list(table_lines([unstaged(), staged()]))
    assert [line for line in lines if line.startswith("by stages: ")] == [f"by stages: fp16: {WORDS}"]
    assert ", 6 blocks by stages, " in lines[0]


def test_a_row_of_whole_calls_says_nothing_of_stages():
    lines = "\n".join(table_lines([baseline_result(), result()]))
    assert "by stages" not in lines
    assert "by stages" not in write_summary([result()])
    assert "By stages" not in render_page([result()])
    assert dict(properties(result())).keys().isdisjoint({"unit", "steps", "stage_denoising_speedup"})


def test_latencies_of_the_table_stay_those_of_calls():
    assert text.format_row(staged()) == text.format_row(result())


def test_all_steps_are_told_with_the_reason():
    (words,) = (words for _, words in by_stage.list_stage_lines([staged(sampled_steps=50, why_all="fp16: its steps are few")]))
    assert "all 50 steps of each call (fp16: its steps are few) were measured" in words
    assert "7 of 50" not in words


def test_two_versions_are_called_so():
    other = Against(spec="main", label="main", versions={}, stages={}, identical=True)
    ((_, words),) = by_stage.list_stage_lines([replace(staged(), against=other)])
    assert words == WORDS.replace("baseline", "old")
    page = render_page([replace(staged(), against=other)])
    assert '<th scope="col">latency</th><th scope="col">old</th><th scope="col">speed-up</th>' in page


def test_missing_whole_calls_are_told():
    (words,) = (words for _, words in by_stage.list_stage_lines([staged(whole_s=(), unowned=())]))
    assert words == f"{STAGES}; {STEPS}; no whole calls were timed beside them"


def test_what_is_unknown_of_a_stage_is_no_figure():
    unknown = staged(ratios={"denoising": Interval(math.nan, math.nan, math.nan)}, latencies_s={})
    ((_, words),) = by_stage.list_stage_lines([unknown])
    assert words.startswith("denoising x? [?, ?] (?, baseline ?);")
    assert not any(name.startswith("stage_") for name, _ in properties(unknown))


def test_the_step_summary_says_it_under_the_table():
    lines = write_summary([unstaged(), staged()]).splitlines()
    (line,) = (line for line in lines if "by stages: fp16" in line)
    assert line.startswith("- by stages: fp16: text encoder x1.00 ")
    assert lines.index(line) > max(at for at, one in enumerate(lines) if one.startswith("| fp16"))


def test_the_comment_says_it_under_the_table():
    lines = write_comment([unstaged(), staged()], (), CommentFacts(key="job")).splitlines()
    assert sum(line.startswith("- by stages: fp16: text encoder x1.00 ") for line in lines) == 1


def test_the_page_has_a_table_of_stages():
    page = render_page([unstaged(), staged()])
    rows = re.findall(r'<tr data-stage="([^"]+)"><th scope="row">fp16</th>(.*?)</tr>', page)
    assert [stage for stage, _ in rows] == ["text encoder", "denoising", "decoding"]
    cells = re.findall("<td>(.*?)</td>", rows[1][1])
    assert cells == ["denoising", "1.20 s", "1.96 s", "x1.63 [1.60, 1.66]"]
    assert f"<b>fp16</b>: {STEPS}; {WHOLE}" in page


def test_pytest_html_says_it_under_the_row():
    assert f"</table><p>by stages: {WORDS}</p>" in _table(staged())
    assert _table(result()).endswith("</table>")


def test_junit_has_every_figure_of_a_stage():
    found = dict(properties(staged()))
    assert (found["unit"], found["steps"], found["sampled_steps"]) == ("stage", 50, 7)
    assert {name: value for name, value in found.items() if name.startswith("stage_denoising_")} == {
        "stage_denoising_speedup": 1.63,
        "stage_denoising_low": 1.6,
        "stage_denoising_high": 1.66,
        "stage_denoising_latency_s": 1.2,
        "stage_denoising_baseline_latency_s": 1.96,
    }
    assert (found["whole_call_s"], found["baseline_whole_call_s"]) == (1.45, 2.2)
    assert (found["unowned"], found["baseline_unowned"]) == (0.0031, -0.001)


def test_the_timeline_says_that_its_marks_are_put_together():
    shown, usual = (draw_timeline([one], "a", "Slots") for one in (staged(), result()))
    assert "a call, put together from its stages" in shown.caption
    assert usual.caption.startswith("Each mark is a slot;")


def test_stored_figures_are_read_back(tmp_path):
    assert from_json(to_json(staged()), tmp_path).by_stage == FOUND


def test_a_record_from_before_says_nothing_of_stages(tmp_path):
    stored = to_json(staged())
    del stored["by_stage"]
    old = from_json(stored, tmp_path)
    assert old.by_stage is None
    assert "by stages" not in "\n".join(table_lines([old]))


def test_a_row_that_another_process_lets_pass_has_the_stages_of_that_process():
    first = replace(staged(), verdict="fail", speedup=1.3, reasons=("slower",))
    second = replace(staged(steps=28), verdict="pass")
    assert combine(first, to_json(second)).by_stage == second.by_stage
    assert combine(first, to_json(replace(second, by_stage=None))).by_stage is None


@pytest.mark.slow
def test_a_page_of_stored_runs_has_the_stages(tmp_path):
    write_run(tmp_path / "runs", [staged()])
    page = tmp_path / "page.html"
    assert main(["report", str(tmp_path / "runs"), str(page)]) == 0
    assert 'data-stage="denoising"' in page.read_text()
