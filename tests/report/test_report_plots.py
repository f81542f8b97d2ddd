"""The report's plots: what they show of which numbers, and that they live together on one page."""

from __future__ import annotations

import math
import re
import warnings
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest
from fakes import baseline_result, result

from pytest_sdspeed.model import CONTROL
from pytest_sdspeed.report.plots import bars, timeline
from pytest_sdspeed.report.plots.drawing import INKS, Chart, use_house_style
from pytest_sdspeed.report.plots.forest import draw_forest


@pytest.fixture(autouse=True)
def style():
    with use_house_style():
        yield


def texts(svg):
    """What stands in a figure, without its name and description."""
    return [element.text for element in ET.fromstring(svg).iter() if element.tag == "text"]


def described(svg):
    root = ET.fromstring(svg)
    return root.find("title").text, root.find("desc").text


def marks(svg, ink):
    """Where the marks of an ink stand, (x, y) in pixels."""
    holders = [(parent, child) for parent in ET.fromstring(svg).iter() for child in parent if child.tag == "use"]
    styled = [(child.get("style") or parent.get("style"), child) for parent, child in holders]
    return [(float(mark.get("x")), float(mark.get("y"))) for style, mark in styled if f"var(--{ink})" in style]


def lines(svg, ink):
    """The ends of an ink's lines, (x, y, x, y) in pixels."""
    drawn = [(path.get("style") or "", path.get("d")) for path in ET.fromstring(svg).iter("path")]
    return [tuple(map(float, re.findall(r"[\d.]+", ends))) for style, ends in drawn if f"stroke: var(--{ink})" in style and "z" not in ends]


def slots(*pairs):
    return {"baseline": [(2.0, 2.0)] * len(pairs), CONTROL: [(2.0, 2.0)] * len(pairs), "fp16": list(pairs)}


# Figures in a page


def test_a_figure_has_a_name_a_description_and_the_pages_inks():
    svg = draw_forest([result()], "a", "Speed-ups of inference")
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    assert described(svg) == ("Speed-ups of inference", "fp16: x1.31 [1.29, 1.33], expected x1.50, floor x1.43, pass.")
    assert (root.get("aria-labelledby"), root.get("aria-describedby")) == ("a-title", "a-words")
    assert root.get("viewBox")
    assert root.get("width") is None
    assert "var(--pass)" in svg
    assert not re.findall(r"#[0-9a-f]{6}", svg)


def test_ids_of_two_figures_are_apart_and_every_reference_is_met():
    one, other = (bars.draw_memory([result(peak_memory_bytes=2**30)], name, "Memory") for name in ("one", "other"))
    ids = [re.findall(r'\bid="([^"]+)"', svg) for svg in (one, other)]
    assert not set(ids[0]) & set(ids[1])
    for svg, own in zip((one, other), ids, strict=True):
        assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)) <= {(name, "") for name in own}
        assert len(own) == len(set(own))


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a$b$c", "\\frac{1}{2}", "100%&", "\x1b[31mred", "猫 \U0001f408", "é"])
def test_any_name_is_shown_as_it_is(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Glyph")
        svg = draw_forest([result(name)], "a", "t")
    assert name.replace("\x1b", "\N{REPLACEMENT CHARACTER}") in texts(svg)


def test_a_long_name_leaves_room_for_the_figures():
    shown = texts(draw_forest([result("a" * 60)], "a", "t"))
    assert next(text for text in shown if text.startswith("aaa")) == "a" * 29 + "\N{HORIZONTAL ELLIPSIS}"


def test_a_color_in_a_name_stays_a_name():
    assert INKS["fail"] in texts(draw_forest([result(INKS["fail"])], "a", "t"))


def test_the_users_settings_are_neither_used_nor_changed():
    plain = draw_forest([result()], "a", "t")
    with mpl.rc_context({"lines.dotted_pattern": [9.0, 9.0], "font.style": "italic", "font.size": 30.0}):
        before = dict(mpl.rcParams)
        with use_house_style():
            assert draw_forest([result()], "a", "t") == plain
        assert dict(mpl.rcParams) == before


def test_a_missing_glyph_is_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with use_house_style():
            drawing = Chart(20, 0, 1, "axis")
            drawing.write_label(10, "猫")
            assert "猫" in drawing.to_svg("a", "t", "d")


# Speed-ups


def test_the_forest_has_a_row_a_setup_and_none_for_the_baseline():
    svg = draw_forest([baseline_result(), result("tf32"), result("fp16", verdict="fail"), result("fp16", verdict="fail")], "a", "t")
    shown = texts(svg)
    assert [name for name in shown if name in ("baseline", "tf32", "fp16")] == ["tf32", "fp16"]
    assert shown.count("x1.31 [1.29, 1.33]") == 2
    assert draw_forest([baseline_result()], "a", "t") is None


def test_point_interval_floor_and_expectation_stand_on_one_scale():
    svg = draw_forest([result(verdict="fail")], "a", "t")
    ((point, y),), ((expected, _),) = marks(svg, "fail"), marks(svg, "ink")
    ((low, _, high, _),) = (line for line in lines(svg, "fail") if line[1] == line[3] == y)
    ((floor, top, _, bottom),) = lines(svg, "ink")
    ((one, *_),) = lines(svg, "muted")
    pixels = (expected - one) / 0.5
    assert [one + pixels * (value - 1) for value in (1.31, 1.29, 1.33, 1.425)] == pytest.approx([point, low, high, floor], abs=0.02)
    assert min(top, bottom) < y < max(top, bottom)


@pytest.mark.parametrize(
    "facts",
    [
        {"speedup": math.nan, "low": math.nan, "high": math.nan},
        {"low": 0.0, "high": math.inf},
        {"speedup": 1.0, "low": 1.0, "high": 1.0, "expected": 1.0, "floor": 1.0},
    ],
    ids=str,
)
def test_what_is_not_finite_is_drawn_all_the_same(facts):
    svg = draw_forest([result(**facts)], "a", "t")
    assert "nan" not in re.sub(r"<(text|desc)[^>]*>[^<]*", "", svg).lower()


def test_one_wild_interval_does_not_flatten_the_others():
    ticks = [
        float(text[1:])
        for text in texts(draw_forest([result(), result("wild", low=0.01, high=900.0)], "a", "t"))
        if re.fullmatch(r"x[\d.]+", text)
    ]
    assert max(ticks) < 4


def test_an_interval_that_leaves_the_axis_says_so_with_an_arrow():
    assert len(marks(draw_forest([result()], "a", "t"), "pass")) == 1
    assert len(marks(draw_forest([result(high=900.0)], "a", "t"), "pass")) == 2
    assert len(marks(draw_forest([result(low=0.01, high=900.0)], "a", "t"), "pass")) == 3


# Slots over time


def test_slots_stand_where_they_began_relative_to_the_arms_median():
    samples = slots((1.0, 1.0), (1.0, 1.1))
    starts = {arm: [(0.0, 30.0), (40.0, 70.0)] for arm in samples}
    shown = timeline.draw_timeline([result(samples_s=samples, starts_s=starts)], "a", "Slots")
    assert "seconds into the timed part" in texts(shown.svg)
    assert "fp16: 4 slots, median 1.00 s, from +0.0% to +10.0%." in described(shown.svg)[1]
    assert [name for name in texts(shown.svg) if name in samples or "again" in name] == ["baseline", "control (baseline again)", "fp16"]
    assert "unknown" not in shown.caption


def test_a_slower_slot_stands_higher_and_a_later_one_further_right():
    samples = slots((1.0, 1.01), (0.99, 1.0))
    starts = {arm: [(0.0, 30.0), (40.0, 70.0)] for arm in samples}
    places = marks(timeline.draw_timeline([result(samples_s=samples, starts_s=starts)], "a", "Slots").svg, "arm-2")
    (first, middle), (second, high), (third, low), (fourth, same) = places
    assert (middle, high - middle) == pytest.approx((same, middle - low))
    assert high < middle
    assert [second - first, third - first] == pytest.approx([3 / 7 * (fourth - first), 4 / 7 * (fourth - first)], abs=0.02)


def test_blocks_begin_where_their_first_slot_does():
    samples = slots((1.0, 1.0), (1.0, 1.0))
    starts = {arm: [(10.0 + shift, 30.0), (40.0 - shift, 70.0)] for shift, arm in enumerate(samples)}
    svg = timeline.draw_timeline([result(samples_s=samples, starts_s=starts)], "a", "Slots").svg
    upright = sorted(x for x, _, other, _ in lines(svg, "hairline") if x == other)
    (first, _), *_, (last, _) = marks(svg, "arm-0")
    pixels = (last - first) / 60
    assert upright == pytest.approx([first, first + 28 * pixels], abs=0.02)


def test_without_starts_slots_stand_by_their_block():
    shown = timeline.draw_timeline([result(samples_s=slots((1.0, 1.0), (1.0, 1.1)))], "a", "Slots")
    assert "block" in texts(shown.svg)
    assert "When the slots began is unknown." in shown.caption


def test_starts_of_other_slots_are_not_believed():
    samples = slots((1.0, 1.0), (1.0, 1.1))
    shown = timeline.draw_timeline([result(samples_s=samples, starts_s={arm: [(0.0, 30.0)] for arm in samples})], "a", "Slots")
    assert "block" in texts(shown.svg)


def test_a_spike_is_marked_with_its_size_and_leaves_the_scale_alone():
    pairs = [(1.0, 1.004), (0.996, 1.002)] * 4
    calm = timeline.draw_timeline([result(samples_s=slots(*pairs))], "a", "Slots")
    spiky = timeline.draw_timeline([result(samples_s=slots(*pairs, (1.0, 1.38)))], "a", "Slots")
    assert "0.5% off" in calm.caption
    assert "0.5% off" in spiky.caption
    assert "+38%" in texts(spiky.svg)
    assert "+38%" not in texts(calm.svg)


def test_the_row_that_saw_most_blocks_tells_the_shared_arms():
    few, many = result("tf32", samples_s={"baseline": [(2.0, 2.0)], "tf32": [(1.0, 1.0)]}), result(samples_s=slots((1.0, 1.0), (1.0, 1.0)))
    words = described(timeline.draw_timeline([few, many], "a", "Slots").svg)[1]
    assert "baseline: 4 slots" in words
    assert "tf32: 2 slots" in words


def test_slots_of_another_process_are_left_out_and_named():
    confirmed = result("tf32", confirmation={"verdict": "fail"}, samples_s={"baseline": [(9.0, 9.0)] * 99, "tf32": [(8.0, 8.0)]})
    shown = timeline.draw_timeline([confirmed, result()], "a", "Slots")
    assert "Not shown, measured in another process: tf32." in shown.caption
    assert "baseline: 12 slots" in described(shown.svg)[1]
    assert timeline.draw_timeline([confirmed], "a", "Slots") is None


def test_every_arm_has_a_color_and_a_marker_of_its_own():
    svg = timeline.draw_timeline([result()], "a", "Slots").svg
    assert all(f"var(--arm-{number})" in svg for number in range(3))
    assert len(set(re.findall(r'href="#(a-m[^"]+)"', svg))) == 3


def test_blocks_without_slots_draw_nothing():
    assert timeline.draw_timeline([result(samples_s={"baseline": [], "fp16": []}, blocks=0)], "a", "Slots") is None


# Stages and memory


def test_stages_stand_in_the_order_they_run():
    results = [result("a", stages_s={"decoding": 0.2, "denoising": 1.5, "text_encoder": 0.01, "safety": 0.1}), result("b")]
    assert bars.list_stages(results) == ["text_encoder", "denoising", "decoding", "safety"]
    svg = bars.draw_stages(results, "a", "Stages")
    assert "a: decoding 0.20 s, denoising 1.50 s, text encoder 10.00 ms, safety 0.10 s. b: unknown." in described(svg)[1]
    assert "1.81 s" in texts(svg)
    assert "unknown" in texts(svg)
    parts = [lines(svg, f"stage-{number}") for number in range(4)]
    starts = [start for ((start, *_),) in parts]
    ends = [end for ((_, _, end, _),) in parts]
    assert starts == pytest.approx([0, *ends[:-1]], abs=0.02)
    assert [end - start for start, end in zip(starts, ends, strict=True)] == pytest.approx(
        [380 * seconds / 1.81 for seconds in (0.01, 1.5, 0.2, 0.1)], abs=0.02
    )


def test_what_no_setup_knows_is_not_drawn():
    assert bars.draw_stages([result()], "a", "t") is None
    assert bars.draw_memory([result()], "a", "t") is None


def test_memory_is_drawn_with_its_figure():
    svg = bars.draw_memory([result("a", peak_memory_bytes=3 * 2**29), result("b")], "a", "Memory")
    assert described(svg)[1] == "a: 1.5 GiB. b: unknown."
    assert "1.5 GiB" in texts(svg)
    assert "GiB at the peak of one generation" in texts(svg)
    assert "MiB at the peak of one generation" in texts(bars.draw_memory([result(peak_memory_bytes=2**29)], "a", "Memory"))
