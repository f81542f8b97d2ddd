"""How a device is used: shares and rates, what says that a row is host-bound, and where that is read."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from fakes import RECIPE, baseline_result, failed, result, tf32
from stored import write_run
from test_report_page import words

from pytest_sdspeed.__main__ import main
from pytest_sdspeed.judge.rates import compute_rates
from pytest_sdspeed.measure.campaign_data import CampaignData
from pytest_sdspeed.model import Profile
from pytest_sdspeed.plugin.confirm import combine
from pytest_sdspeed.plugin.summary import table_lines
from pytest_sdspeed.report import messages, text
from pytest_sdspeed.report.markdown import write_summary
from pytest_sdspeed.report.page.html import render_page
from pytest_sdspeed.run.usage import describe_unknowns, describe_usage
from pytest_sdspeed.store.records import from_json, to_json

HELD_UP = "he GPU was busy 54% of the time: host-bound, try a larger batch"
BUSY = {"busy_share": 0.71, "flops": 40_000_000_000_000, "tflops": 27.2, "ceiling_tflops": 680.0, "ceiling_share": 0.04}
WAITING = BUSY | {"busy_share": 0.54}


# Rates


def test_shares_and_rates_are_of_the_timed_generations():
    assert compute_rates(Profile(busy_s=1.08, flops=6 * 10**14), 2.0, 4e14) == {
        "busy_share": 0.54,
        "flops": 6 * 10**14,
        "tflops": 300.0,
        "ceiling_tflops": 400.0,
        "ceiling_share": 0.75,
    }


def test_a_gpu_is_not_busy_for_more_than_all_the_time():
    assert compute_rates(Profile(busy_s=1.02), 1.0, None)["busy_share"] == 1.0


@pytest.mark.parametrize("latency_s", [0.0, math.nan])
def test_no_time_is_no_rate(latency_s):
    found = compute_rates(Profile(busy_s=1.0, flops=10), latency_s, 1e12)
    assert found == {"busy_share": None, "flops": 10, "tflops": None, "ceiling_tflops": 1.0, "ceiling_share": None}


def test_what_is_unknown_stays_unknown():
    assert set(compute_rates(Profile(), 1.0, None).values()) == {None}


# What a result carries


def judged(profile, *, kind="cuda", precision="float16", canary_s=None, setup=True, unit="call"):
    facts = {"samples_s": {}, "slots": (), "pictures": {}, "decisions": {}, "errors": {}, "peak_bytes": {}, "control": None}
    plan = {"looks": (), "planned_blocks": 0, "block_s": 0.0, "timed_s": 0.0, "case": None}
    known = CampaignData(baseline="base", **facts, **plan, canary_s=canary_s or {}, profiles={"row": profile} if profile else {})
    row = SimpleNamespace(name="row", setup=SimpleNamespace(precision=precision, recipe=replace(RECIPE, unit=unit)) if setup else None)
    return SimpleNamespace(data=known, candidate=row, machine=SimpleNamespace(kind=kind))


@pytest.mark.parametrize(
    ("kind", "precision", "operation", "tflops"),
    [
        ("cuda", "float16", "matmul_float16_4096_x8", 8 * 2 * 4096**3 / 2e-3 / 1e12),
        ("cuda", "bfloat16", "matmul_bfloat16_4096_x8", 8 * 2 * 4096**3 / 2e-3 / 1e12),
        ("cuda", "tf32", "matmul_tf32_4096_x8", 8 * 2 * 4096**3 / 2e-3 / 1e12),
        ("cuda", "float32", "matmul_tf32_4096_x8", 8 * 2 * 4096**3 / 2e-3 / 1e12),
        ("cpu", "float32", "matmul_float32_512", 2 * 512**3 / 2e-3 / 1e12),
        ("cpu", "bfloat16", "matmul_float32_512", None),
        ("cuda", "float16", "copy_128mib_x16", None),
    ],
)
def test_the_ceiling_is_the_canarys_product_in_the_precision_of_the_row(kind, precision, operation, tflops):
    case = judged(Profile(flops=10**12), kind=kind, precision=precision, canary_s={operation: (4e-3, 2e-3)})
    found = describe_usage(case, 0.5, 1)
    assert found["ceiling_tflops"] == (None if tflops is None else pytest.approx(tflops))
    assert found["ceiling_share"] == (None if tflops is None else pytest.approx(2.0 / tflops))


def test_a_part_of_a_call_has_no_rates_of_the_whole_one():
    assert describe_usage(judged(Profile(flops=10**12, busy_s=0.4), unit="decode"), 0.01, 1) is None


def test_a_callable_is_unknown():
    assert describe_usage(judged(None, setup=False), 0.5, None) is None
    assert list(describe_unknowns(judged(None, setup=False))) == []


def test_why_something_is_unknown_is_said():
    assert list(describe_unknowns(judged(Profile(notes=("no CUPTI",))))) == ["no CUPTI"]


# Who is host-bound, and where it is read


@pytest.mark.parametrize(("share", "bound"), [(0.54, True), (0.699, True), (0.7, False), (0.71, False), (None, False)])
def test_a_row_is_host_bound_under_seventy_percent(share, bound):
    assert result(telemetry=BUSY | {"busy_share": share}).host_bound is bound
    assert not result().host_bound


def test_a_host_bound_row_is_marked_in_the_terminal():
    lines = list(table_lines([baseline_result(telemetry=BUSY), result(telemetry=WAITING), tf32(telemetry=BUSY)]))
    assert [line for line in lines if "host-bound" in line] == [f"note: fp16: t{HELD_UP}, CUDA graphs or compile"]


def test_a_host_bound_row_that_is_too_slow_says_so_in_its_message():
    said = messages.write_message(failed(telemetry=WAITING))
    assert f". T{HELD_UP}, CUDA graphs or compile. To gate this device on its own ratios: --sd-record" in said
    assert "host-bound" not in messages.write_message(failed(telemetry=BUSY))
    # Said once is enough.
    assert text.collect_remarks([failed(telemetry=WAITING)]) == []
    black = failed(telemetry=WAITING, image_verdict="fail", reasons=("black",))
    assert "host-bound" not in messages.write_message(black)
    assert any("host-bound" in remark for remark in text.collect_remarks([black]))


@pytest.mark.parametrize("row", [result, failed])
def test_a_host_bound_row_is_marked_in_the_report_and_in_markdown(row):
    for told in (words(render_page([row(telemetry=WAITING)])), write_summary([row(telemetry=WAITING)])):
        assert HELD_UP in told
    for told in (words(render_page([row(telemetry=BUSY)])), write_summary([row(telemetry=BUSY)])):
        assert "host-bound" not in told


def test_the_page_has_share_and_rate_of_every_row():
    said = words(render_page([tf32(telemetry=BUSY), result(telemetry=WAITING | {"tflops": 0.0123456, "ceiling_share": None})]))
    assert "71% 27.2 TFLOP/s, 4%" in said
    assert "54%, host-bound 12.3 GFLOP/s PSNR" in said


# Stored and read again

STAGES = {"text_encoder": 0.01, "denoising": 1.2, "decoding": 0.2}


def test_the_stored_form_holds_builtins_and_comes_back(tmp_path):
    told = compute_rates(Profile(busy_s=0.8, flops=10**12), 1.5, 1e14)
    kept = to_json(result(stages_s=STAGES, telemetry=told))
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept
    assert (kept["stages_s"], kept["telemetry"]) == (STAGES, told)
    again = from_json(kept, tmp_path)
    assert (again.stages_s, again.telemetry, again.host_bound) == (STAGES, told, True)


def test_the_report_of_a_stored_run_shows_them(tmp_path):
    write_run(tmp_path / "runs", [result(stages_s=STAGES, telemetry=WAITING)])
    assert main(["report", str(tmp_path / "runs"), str(tmp_path / "out.html")]) == 0
    said = words((tmp_path / "out.html").read_text())
    assert HELD_UP in said
    assert "text encoder 10.00 ms, denoising 1.20 s, decoding 0.20 s" in said


def test_a_row_that_passes_in_a_new_process_has_that_ones_profile():
    other = to_json(result(stages_s=STAGES, telemetry=BUSY))
    passed = combine(failed(stages_s={"denoising": 9.0}, telemetry=WAITING), other)
    assert (passed.verdict, passed.stages_s, passed.telemetry) == ("pass", STAGES, BUSY)


def test_a_row_that_fails_again_keeps_its_own():
    other = to_json(failed(stages_s=STAGES, telemetry=BUSY))
    again = combine(failed(stages_s={"denoising": 9.0}, telemetry=WAITING), other)
    assert (again.stages_s, again.telemetry) == ({"denoising": 9.0}, WAITING)
