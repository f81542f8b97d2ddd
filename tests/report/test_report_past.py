"""Histories on the page: what the plots show of which runs, and what stands beside them."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from fakes import baseline_result, result
from histories import VERSIONS, commit, day, history, run, unknown
from pages import Page
from test_report_plots import described, lines, marks, texts

from pytest_sdspeed.report.page import history_section
from pytest_sdspeed.report.page.html import render_page
from pytest_sdspeed.report.plots.course import draw_course
from pytest_sdspeed.report.plots.drawing import use_house_style
from pytest_sdspeed.report.plots.runs import average_canaries, format_drift, mark_hosts, mark_versions

HOSTILE = "<script src='http://evil'>&\"'</script>"


def plot(made, floor=math.nan):
    with use_house_style():
        return draw_course(made, [*mark_versions(made.runs), *mark_hosts(made.runs)], "a", "t", floor)


def strip(places, number):
    """The marks of one of the strips, from the top."""
    return [(x, y) for x, y in places if 100 * number < y < 100 * (number + 1)]


def upright(svg, ink):
    """Where an ink's vertical lines through the first band stand."""
    return [x for x, y, other, _ in lines(svg, ink) if x == other and y < 100]


def shown(*histories, results=()):
    with use_house_style():
        return history_section.show_histories(histories, results, "a")


# What runs say side by side


def test_the_canary_is_relative_to_the_usual_of_each_operation():
    usual = {"matmul": 1.0, "copy": 4.0, "dispatch": 0.2}
    runs = [run(n, canary_s=usual) for n in range(3)] + [run(3, canary_s={"matmul": 1.1, "copy": 4.8, "dispatch": 0.2})]
    assert average_canaries(runs) == pytest.approx([1, 1, 1, 1.1])


def test_a_missing_operation_shifts_no_canary():
    assert average_canaries([run(canary_s={"matmul": 1.0, "copy": 4.0}), run(canary_s={"copy": 4.0})]) == pytest.approx([1, 1])
    unknown_ones = average_canaries([run(canary_s={}), run(canary_s={"copy": math.nan, "matmul": 0.0}), run()])
    assert [math.isnan(value) for value in unknown_ones] == [True, True, False]


def test_a_canary_that_is_as_usual_has_no_sign_of_its_own():
    assert [format_drift(value) for value in (0.9999, 1.0, 1.0501, 0.9)] == ["+0.0%", "+0.0%", "+5.0%", "-10.0%"]


def test_changes_of_versions_and_hosts_are_named_in_order():
    newer = {**VERSIONS, "torch": "2.14.0"}
    runs = [run(0), run(1, versions=newer), run(2, versions={}), run(3, versions=newer, host=None), run(4, host="node9")]
    assert [(mark.place, mark.name, mark.said) for mark in mark_versions(runs)] == [
        (1, "1", "torch 2.13.0 -> 2.14.0"),
        (4, "2", "torch 2.14.0 -> 2.13.0"),
    ]
    assert [(mark.place, mark.name, mark.said) for mark in mark_hosts(runs)] == [(4, "a", "host node7 -> node9")]
    assert [mark.name for mark in mark_hosts([run(n, host=str(n)) for n in range(30)])][24:] == ["y", "z", "aa", "ab", "ac"]


# The plot


def test_every_run_has_a_mark_in_each_strip_in_order():
    svg = plot(history(20))
    placed = marks(svg, "arm-2")
    assert [len(strip(placed, number)) for number in range(3)] == [20, 20, 20]
    assert [x for x, _ in strip(placed, 0)] == sorted(x for x, _ in strip(placed, 0)) == [x for x, _ in strip(placed, 2)]
    assert [name for name in texts(svg) if name in ("speed-up", "latency, s", "canary, % from the usual")] == [
        "speed-up",
        "latency, s",
        "canary, % from the usual",
    ]
    assert "runs in order" in texts(svg)


def test_a_higher_value_stands_higher():
    svg = plot(history(12, runs={5: {"speedup": 1.32, "latency_s": 1.5}, 6: {"speedup": 1.30, "latency_s": 1.4}}))
    for number, higher, lower in ((0, 5, 6), (1, 5, 6)):
        placed = [y for _, y in strip(marks(svg, "arm-2"), number)]
        assert placed[higher] < placed[lower]


def test_a_baseline_has_no_ratio_to_show():
    svg = plot(history(setup="baseline"))
    assert "speed-up" not in texts(svg)
    assert "latency, s" in texts(svg)


def test_what_is_unknown_leaves_a_gap():
    placed = marks(plot(history(20, runs={4: unknown(), 5: unknown()})), "arm-2")
    xs = [x for x, _ in strip(placed, 0)]
    steps = sorted(after - before for before, after in pairwise(xs))
    assert len(xs) == 18
    assert steps[-1] == pytest.approx(3 * steps[0], abs=0.05)
    svg = plot(history(9, runs={number: unknown() for number in range(9)}))
    assert texts(svg).count("unknown") == 3
    assert "nan" not in svg.lower()


def test_runs_that_are_no_reference_are_hollow():
    svg = plot(history(20, runs={4: {"reference": False}}))
    assert svg.count("fill-opacity: 0; stroke: var(--arm-2)") == 3
    assert "fill-opacity: 0" not in plot(history(20))


def test_intervals_and_the_floor_are_drawn_where_they_are():
    svg = plot(history(12), floor=1.3)
    (dotted,) = [ends for ends in lines(svg, "ink") if ends[1] == ends[3]]
    (drawn,) = re.findall(r'<path d="([^"]+)"[^>]*stroke: var\(--arm-1\)', svg)
    assert drawn.count("M") == 12
    assert 31 < dotted[1] < 91
    assert any(text.endswith("floor x1.30") for text in texts(svg))


def test_a_floor_far_away_is_said_and_does_not_flatten_the_runs():
    near, far = (plot(history(12), floor=floor) for floor in (1.29, 0.4))
    assert not [ends for ends in lines(far, "ink") if ends[1] == ends[3]]
    assert any(text.endswith("floor x0.40") for text in texts(far))
    spans = [max(ys) - min(ys) for ys in ([y for _, y in strip(marks(svg, "arm-2"), 0)] for svg in (near, far))]
    assert spans[1] >= spans[0]


def test_one_wild_run_does_not_flatten_the_others():
    calm, wild = plot(history(40)), plot(history(40, runs={7: {"speedup": 0.2, "latency_s": 9.0}}))
    spans = []
    for svg in (calm, wild):
        ys = sorted(y for _, y in strip(marks(svg, "arm-2"), 1))
        spans.append(ys[-2] - ys[1])
    assert spans[1] > 0.7 * spans[0]
    assert "0.2" in texts(wild)
    assert "9" in texts(wild)


def test_a_lasting_change_is_no_spike_however_late():
    """The last two of many runs stand on a level of their own, inside the band."""
    placed = strip(marks(plot(history(100, kind="code", since=98)), "arm-2"), 0)
    assert min(y for _, y in placed) > 31
    assert max(y for _, y in placed) < 91
    late, early = placed[-1][1], placed[0][1]
    assert late - early > 20
    # Without the change they are spikes: at the edge, and the others have the band to themselves.
    silent = strip(marks(plot(history(100, kind="code", since=98, changes=())), "arm-2"), 0)
    assert [y for _, y in silent[-2:]] == pytest.approx([86, 86])
    assert max(y for _, y in silent[:-2]) > early + 15


@pytest.mark.parametrize(("kind", "ink"), [("code", "fail"), ("stack", "inconclusive"), ("machine", "invalid"), ("improvement", "pass")])
def test_a_change_is_marked_by_the_color_of_its_kind(kind, ink):
    svg = plot(history(kind=kind))
    (x,) = upright(svg, ink)
    xs = [place for place, _ in strip(marks(svg, "arm-2"), 2)]
    assert xs[39] < x < xs[40]
    assert upright(plot(history()), ink) == []


def test_versions_and_hosts_are_marked_and_named():
    svg = plot(history(kind="stack", runs={20: {"host": "node9"}}))
    places = upright(svg, "ink")
    assert len(places) == 3
    assert {"1", "a", "b"} <= {part for text in texts(svg) for part in text.split(",")}


def test_names_that_would_touch_stand_together():
    assert "a,b" in texts(plot(history(200, runs={20: {"host": "node9"}})))
    assert {"a", "b"} <= set(texts(plot(history(20, runs={4: {"host": "x"}, 5: {"host": "x"}, 6: {"host": "x"}}))))


def test_the_latest_200_runs_are_drawn():
    svg = plot(history(260, kind="code", since=100))
    assert len(strip(marks(svg, "arm-2"), 2)) == 200
    xs = [x for x, _ in strip(marks(svg, "arm-2"), 2)]
    (change,) = upright(svg, "fail")
    assert xs[39] < change < xs[40]
    assert upright(plot(history(260, kind="code", since=10)), "fail") == []
    (one,) = shown(history(260))
    assert one.notes == ["The latest 200 of 260 runs are drawn."]
    assert shown(history(200))[0].notes == []


def test_ticks_are_dates_or_times_of_one_day():
    assert {day(1), day(4), day(7), day(10)} == {text for text in texts(plot(history(12))) if re.fullmatch(r"\d{4}-\d\d-\d\d", text)}
    times = {number: {"date": f"2026-09-01T{number:02d}:30:00+00:00"} for number in range(12)}
    assert {"01:30", "04:30", "07:30", "10:30"} <= set(texts(plot(history(12, runs=times))))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_runs_are_drawn_too(n):
    assert len(marks(plot(history(n)), "arm-2")) == 3 * n


def test_the_plot_is_put_into_words():
    said = described(plot(history(kind="code")))[1]
    assert said.startswith("6.2% slower since")
    assert re.search(r"speed-up: x1\.2\d \[1\.\d\d, 1\.\d\d\], from 1\.2\d+ to 1\.3\d+\. latency, s: 1\.5\d s", said)
    assert "canary, % from the usual: unknown." in described(plot(history(9, runs={n: unknown() for n in range(9)})))[1]


# Beside the plot


def test_the_table_has_the_latest_runs_first():
    (one,) = shown(history(60, kind="code", runs={59: {"name": "", "dirty": True}, 58: unknown(commit=None, host=None)}))
    assert len(one.rows) == 50
    head = dict(zip(history_section.COLUMNS, one.rows[0], strict=True))
    assert (head["run"], head["date"], head["commit"]) == ("this run", f"{day(59)} 08:30", f"{commit(59)[:10]}, with changes")
    assert (head["host"], head["verdict"]) == ("node7", "pass")
    assert re.fullmatch(r"x1\.2\d \[1\.2\d, 1\.2\d\]", head["speed-up [interval]"])
    assert list(one.rows[1][2:7]) == ["unknown"] * 5
    assert one.rows[19][-1] == "6.2% slower from here on: code"
    assert one.rows[17][-1] == "found by this run: code"


def test_remarks_name_what_was_different():
    (one,) = shown(history(20, kind="stack", since=15, runs={18: {"reference": False, "host": "node9"}}))
    remarks = {cells[0][:4]: cells[-1] for cells in one.rows}
    assert remarks["0015"] == "6.2% slower from here on: stack; torch 2.13.0 -> 2.14.0"
    assert remarks["0018"] == "no reference; host node7 -> node9"
    assert remarks["0017"] == "found by this run: stack"


def test_hosts_that_alternate_are_not_a_hatching():
    (one,) = shown(history(40, runs={number: {"host": "node9"} for number in range(0, 40, 2)}))
    assert one.marks == []
    assert one.notes == ["More than 12 changes of the host are not marked."]
    assert "host node7 -> node9" in one.rows[1][-1]


def test_recipes_are_named_where_they_tell_two_histories_apart():
    assert [one.recipe for one in shown(history(), history(setup="tf32"))] == ["", ""]
    assert [one.recipe for one in shown(history(recipe="r1"), history(recipe="r2"))] == ["r1", "r2"]


# The page


def test_a_campaign_has_its_histories_and_the_others_a_place_of_their_own():
    made = [history(), history(setup="baseline"), history(table="other"), history(device="NVIDIA L40"), history(baseline="base")]
    groups = [[baseline_result(), result()], [result(table="stack")]]
    with use_house_style():
        assert [[one.setup for one in own] for own in history_section.assign_histories(groups, made)] == [["fp16", "baseline"], []]
        rest = history_section.group_elsewhere(groups, made)
    assert [(group.name, group.device) for group in rest] == [
        ("other", "NVIDIA H200"),
        ("inference", "NVIDIA L40"),
        ("inference, against base", "NVIDIA H200"),
    ]
    # Two campaigns of one table: the histories are told once.
    assert [len(own) for own in history_section.assign_histories([*groups, groups[0]], made)] == [2, 0, 0]


def test_the_page_tells_every_history_once_the_baselines_first():
    parsed = Page(
        render_page(
            [baseline_result(), result(floor=1.2)], {}, [history(kind="code"), history(setup="baseline"), history(3, table="other")]
        )
    )
    told = list(zip(parsed.values("data-setup", "article"), parsed.values("data-kind", "article"), strict=True))
    assert told == [("baseline", "steady"), ("fp16", "code"), ("fp16", "too few runs")]
    words = " ".join(" ".join(parsed.data).split())
    assert f"6.2% slower since {day(40)} (run 0040_0028ab, commits" in words
    assert "the ratio to the baseline moved, the canary did not" in words
    assert "floor x1.20" in words
    assert "this run measured nothing of it" in words
    assert parsed.tags.count("details") == 3
    assert len(parsed.ids) == len(set(parsed.ids))
    assert all(after - before <= 1 for before, after in zip(parsed.headings, parsed.headings[1:], strict=False))
    assert {value[1:] for value in parsed.values("href") if value.startswith("#")} <= set(parsed.ids)
    assert set(parsed.values("aria-labelledby")) | set(parsed.values("aria-describedby")) <= set(parsed.ids)


def attention(histories):
    """What the page of one passing row says needs attention."""
    text = render_page([result()], histories=histories)
    return text[: text.find("</section>")] if 'id="attention"' in text else ""


@pytest.mark.parametrize("kind", ["code", "stack"])
def test_a_row_that_is_slower_than_before_needs_attention(kind):
    said = attention([history(kind=kind)])
    assert "inference: slower than before" in said
    assert "6.2% slower" in said


@pytest.mark.parametrize("kind", ["machine", "improvement", None])
def test_what_is_not_the_rows_doing_needs_none(kind):
    assert attention([history(kind=kind)]) == ""


def test_a_page_without_histories_speaks_of_none():
    source = render_page([baseline_result(), result()])
    assert "<h3>History</h3>" not in source
    assert "<article" not in source


def test_a_page_of_histories_alone_works():
    parsed = Page(render_page([], {}, [history(kind="code"), history(setup="tf32")]))
    assert "1 of 2 histories changed" in parsed.data
    assert "No campaign was measured" not in " ".join(parsed.data)
    assert "No history changed" in render_page([], {}, [history()])
    assert "No campaign was measured in this run." in render_page([])


def test_what_others_wrote_is_text():
    facts = {"name": HOSTILE, "commit": HOSTILE, "host": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    hostile = history(kind="stack", versions={HOSTILE: (HOSTILE, HOSTILE)}, setup=HOSTILE, device=HOSTILE, runs={45: facts})
    parsed = Page(render_page([], {}, [hostile, history(kind="code", setup=HOSTILE, device=HOSTILE, recipe=HOSTILE)]))
    assert parsed.tags.count("script") == 1
    assert not parsed.values("src")
    assert parsed.values("data-setup", "article") == [HOSTILE, HOSTILE]
    assert " ".join(parsed.data).count(HOSTILE) > 8


def test_the_page_of_many_runs_stays_small():
    made = [history(220, kind="code", since=150, setup=f"row_{number}", seed=number) for number in range(3)]
    assert len(render_page([], {}, made)) - len(render_page([])) < 3 * 80_000
