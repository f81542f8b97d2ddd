"""The report's page as text: what it says, in which order, and that it needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

import pytest
from fakes import baseline_result, exhibit, failed, png, result, tf32
from pages import Page

from pytest_sdspeed.errors import DOCUMENTATION
from pytest_sdspeed.model import Interval
from pytest_sdspeed.report import text
from pytest_sdspeed.report.page.html import render_page
from pytest_sdspeed.report.plots.drawing import INKS

MARKS = ("pass", "fail", "inconclusive", "invalid")
HOSTILE = "<script src='http://evil'>&\"'</script>"


def words(source):
    return " ".join(" ".join(Page(source).data).split())


# A page of its own


def test_the_page_is_well_formed_and_escapes_everything():
    facts = {
        "device": HOSTILE,
        "reasons": (HOSTILE,),
        "notes": (HOSTILE,),
        "setup": HOSTILE,
        "table": "t<i>",
        "documented_on": "<img src=x>",
    }
    hostile = failed(**facts, weights="<u>", versions={"<b>": HOSTILE}, telemetry={"<b>": HOSTILE}, exhibits=[exhibit(prompt=HOSTILE)])
    parsed = Page(render_page([baseline_result(), hostile, tf32()], {HOSTILE: HOSTILE}))
    # The enlarged pictures' own script is the only one; bold words are the template's.
    assert parsed.tags.count("script") == 1
    assert not {"u", "iframe", "object"} & set(parsed.tags)
    assert not [name for name in parsed.values("src") if not name.startswith("data:image/png;base64,")]
    shown = "".join(parsed.data)
    assert all(shown.count(text) for text in (HOSTILE, "t<i>", "<img src=x>", "<u>", "<b>"))
    assert HOSTILE in " ".join(parsed.values("alt"))
    assert parsed.values("data-setup").count(HOSTILE) == 1


def test_no_user_text_reaches_an_event_handler_or_an_address():
    parsed = Page(render_page([failed(setup='" onclick="alert(1)', exhibits=[exhibit(prompt='" onload="alert(1)')])]))
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    assert all(value.startswith(("#", "data:,")) for value in parsed.values("href"))


def test_the_page_needs_nothing_else():
    source = render_page([baseline_result(), failed(exhibits=[exhibit()]), tf32()])
    assert not re.search(r"https?://|[\"'(]//\w", source)
    assert "@import" not in source
    assert "url(" not in re.sub(r"url\(#", "", source)
    assert source.startswith('<!doctype html>\n<html lang="en">')
    assert '<meta charset="utf-8">' in source


def test_the_policy_lets_only_the_pages_own_script_run():
    source = render_page([tf32()])
    (policy,) = (value for value in Page(source).values("content") if "default-src" in value)
    (script,) = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert f"script-src 'sha256-{digest}'" in policy


def test_the_same_results_make_the_same_page():
    rows = [baseline_result(), failed(exhibits=[exhibit()]), tf32()]
    assert render_page(rows) == render_page(rows)


# Verdicts


def test_what_needs_attention_comes_first():
    source = render_page([baseline_result(), tf32(), failed()])
    assert DOCUMENTATION not in source
    places = [source.index(said) for said in ("1 of 2 rows need attention", "What needs attention", "x1.31 [1.29, 1.33] over", "<table>")]
    assert places == sorted(places)


def test_a_baseline_with_wrong_pictures_needs_attention_too():
    source = render_page([baseline_result(verdict="fail", image_verdict="fail", reasons=("seed 0: black",))])
    assert "seed 0: black" in source
    assert "1 of 1 rows need attention" in source


def test_a_page_of_passes_calls_for_nobody():
    source = render_page([baseline_result(), tf32()])
    assert "needs attention" not in source
    assert "<h1>The row passes</h1>" in source
    assert "<h1>All 2 rows pass</h1>" in render_page([tf32(), result()])


def test_a_gate_without_power_and_notes_are_said_though_the_row_passes():
    said = words(render_page([tf32(image_verdict="powerless", reasons=("a picture of another case passes",), notes=("no CLIP",))]))
    assert "What needs attention" in said
    assert "tf32: the picture gate is powerless: a picture of another case passes" in said
    assert "tf32: no CLIP" in said


def test_verdicts_are_counted_in_words():
    said = words(render_page([baseline_result(), tf32(), failed(), result("a", verdict="inconclusive"), result("b", verdict="invalid")]))
    assert "3 of 4 rows need attention 1 fail 1 invalid 1 inconclusive 1 pass" in said


def test_a_run_without_campaigns_says_so():
    source = render_page([])
    assert "No campaign was measured in this run." in source
    assert "<table" not in source
    assert "No campaign" not in render_page([tf32()])
    assert "<h1>Baselines only: nothing was gated</h1>" in render_page([baseline_result()])


# Tables


def test_the_page_has_a_table_per_campaign_with_the_cells_of_the_terminal():
    rows = [baseline_result(), tf32(telemetry={"busy_share": 0.84, "tflops": 312.0}), failed()]
    parsed = Page(render_page([*rows, failed(table="other", baseline="base")]))
    assert parsed.tags.count("table") == 2
    shown = {data["data-setup"]: cells for data, cells in parsed.rows if data.get("data-table") == "inference"}
    for row in rows:
        setup, latency, speedup, documented, floor, pictures, verdict = text.format_row(row)
        tolerance = "" if row.is_baseline else "5%"
        use = [text.format_busy_share(row), text.format_rate(row)]
        assert shown[row.setup] == [setup, documented, floor, tolerance, latency, speedup, *use, pictures, verdict]


def test_rows_tell_programs_the_unrounded_values():
    parsed = Page(render_page([tf32(speedup=1.2812345), failed(speedup=float("nan"))]))
    data = [data for data, _ in parsed.rows if "data-setup" in data]
    assert data == [
        {"data-table": "inference", "data-setup": "baseline", "data-speedup": ""},
        {"data-table": "inference", "data-setup": "tf32", "data-verdict": "pass", "data-speedup": "1.2812345"},
        {"data-table": "inference", "data-setup": "fp16", "data-verdict": "fail", "data-speedup": ""},
    ]


def test_the_table_names_both_devices():
    said = words(render_page([tf32()]))
    assert "documented on NVIDIA A100 measured on NVIDIA H200 (random weights)" in said
    assert "documented on" not in words(render_page([tf32(documented_on=None, table=None)]))


def test_what_another_process_said_stands_under_the_table():
    other = {"speedup": 1.2, "low": 1.1, "high": 1.3, "verdict": "fail"}
    assert "failed in the first process (x1.20 [1.10, 1.30]), passed in a fresh one" in render_page([tf32(confirmation=other)])


# What is known, and what is not


@pytest.mark.parametrize("said", ["Stage times: unknown.", "Peak memory: unknown.", "No pictures were kept.", "Telemetry: unknown."])
def test_what_is_unknown_is_said_in_words(said):
    assert said in render_page([tf32()])
    known = {"stages_s": {"denoising": 1.0}, "peak_memory_bytes": 2**31, "exhibits": [exhibit()], "telemetry": {"busy": 0.5}}
    assert said not in render_page([tf32(**known)])


def test_callables_have_no_recipe():
    assert "callables, whose recipe is unknown" in words(
        render_page([result("engine", table=None, recipe=None, weights=None, documented_on=None)])
    )


def test_the_machine_is_described_by_facts_and_results():
    telemetry = {"clock_mhz": {"least": 1980, "most": None}, "power_w": [500.25, 600.0, 700.0], "throttle_reasons": [], "busy": 0.54321}
    said = words(render_page([tf32(telemetry=telemetry), failed(control=None)], {"host": "node 7", "device": "H200 of the facts"}))
    machine = said[said.index("The machine") :]
    assert "host node 7" in machine
    assert "device H200 of the facts" in machine
    assert "device NVIDIA" not in machine
    assert "weights random" in machine
    assert "torch 2.13.0" in machine
    assert (
        "inference, tf32 : clock mhz least 1980, clock mhz most unknown, power w 500.2 / 600 / 700, throttle reasons none, busy 0.5432"
        in machine
    )


def test_campaigns_under_two_controls_are_both_described():
    said = words(render_page([tf32(), failed(table="stack", control=Interval(1.2, 1.1, 1.3))]))
    assert "control of inference A/A control x1.00 [0.99, 1.01]" in said
    assert "control of stack A/A control x1.20 [1.10, 1.30]" in said


# Pictures


def test_a_picture_is_embedded_once_wherever_it_is_shown():
    shared = png(99)
    rows = [baseline_result(exhibits=[exhibit(baseline=shared, candidate=None, error_map=None)])]
    rows += [tf32(exhibits=[exhibit(baseline=shared), exhibit(1, candidate=shared, control=True)])]
    source = render_page(rows)
    assert source.count(base64.b64encode(shared).decode()) == 1
    parsed = Page(source)
    assert parsed.values("data-copy") == parsed.values("id", "img")[:1]


def test_every_picture_says_what_it_is():
    parsed = Page(render_page([tf32(exhibits=[exhibit(seed=3), exhibit(seed=3, control=True)])]))
    alts = parsed.values("alt", "img")
    assert len(alts) == parsed.tags.count("img")
    assert alts[0] == "baseline: baseline, seed 3"
    assert "tf32: candidate, seed 3" in alts
    assert "tf32: error map, seed 3" in alts
    assert "negative control: other case, seed 3" in alts


# The skeleton


def luminance(color):
    """Relative luminance (WCAG 2.2)."""
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return sum(
        share * (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
        for share, value in zip((0.2126, 0.7152, 0.0722), channels, strict=True)
    )


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_inks_stand_out_in_both_color_schemes():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    style = (files("pytest_sdspeed.report.page") / "page.css").read_text()
    schemes = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)]
    assert len(schemes) == 2
    for inks in schemes:
        assert set(inks) == set(INKS)
        # Text asks for 4.5; marks of a plot, on a strip, for 3. Bars carry text in the color of the paper.
        texts = ("ink", "muted", "accent", *MARKS, *(name for name in inks if name.startswith("stage")))
        assert {name: contrast(inks[name], inks["paper"]) for name in texts if contrast(inks[name], inks["paper"]) < 4.5} == {}
        assert min(contrast(inks[name], inks["wash"]) for name in inks if name.startswith("arm")) >= 3


def test_headings_descend_one_level_at_a_time_and_ids_are_unique():
    rows = [tf32(exhibits=[exhibit()], stages_s={"denoising": 1.0}, peak_memory_bytes=1), failed(table="other", exhibits=[exhibit()])]
    parsed = Page(render_page([baseline_result(), *rows]))
    assert parsed.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(parsed.headings, parsed.headings[1:], strict=False))
    assert parsed.headings.count(1) == 1
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {value[1:] for value in parsed.values("href") if value.startswith("#")} <= set(parsed.ids)
    assert set(parsed.values("aria-labelledby")) | set(parsed.values("aria-describedby")) <= set(parsed.ids)
