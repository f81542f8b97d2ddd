"""What people read in the terminal: the table, the message of a test that does not pass, the progress line."""

from __future__ import annotations

import pytest
from fakes import baseline_result, failed, result, tf32

from pytest_sdspeed.errors import DOCUMENTATION, SdSpeedError, ThrottledError, WorkerLostError
from pytest_sdspeed.model import Against, Interval
from pytest_sdspeed.report import messages, text
from pytest_sdspeed.report.pages import describe_error
from pytest_sdspeed.report.text import format_progress

TABLE = """\
sd speed-ups: inference   documented on NVIDIA A100, measured on NVIDIA H200 (random weights), 6 blocks, A/A control x1.00 [0.99, 1.01]
setup      latency   speed-up             documented   floor   pictures             verdict
baseline   1.93 s    x1.00                x1.00                                     -
tf32       1.51 s    x1.28 [1.27, 1.29]   x1.27        x1.21   PSNR 61  SSIM .999   pass
fp16       1.47 s    x1.31 [1.29, 1.33]   x1.50        x1.43   PSNR 58  SSIM .998   fail
"""


# The terminal


def test_the_table_has_the_layout_of_the_design():
    (group,) = text.group_by_campaign([tf32(), failed(), baseline_result()])
    assert "\n".join(text.format_table(group)) + "\n" == TABLE


def test_columns_are_aligned_whatever_they_hold():
    names = ["a", "a_setup_with_a_long_name", "ab"]
    rows = [result(name, image={}, latency_s=seconds) for name, seconds in zip(names, (1e-5, 1234.5, 0.05), strict=True)]
    _, head, *lines = text.format_table([baseline_result(), *rows])
    starts = [head.index(column) for column in text.COLUMNS]
    for cells, shown in zip(text.format_rows([baseline_result(), *rows]), lines, strict=True):
        for start, cell in zip(starts, cells, strict=True):
            assert shown[start:].startswith(cell)
            assert start == 0 or shown[start - 1 : start] in (" ", "")
        assert shown == shown.rstrip()


def test_the_baseline_is_shown_even_where_no_test_asked_for_it():
    assert text.format_table([failed()])[2].split() == ["baseline", "1.93", "s", "x1.00", "x1.00", "-"]
    assert [cells[0] for cells in text.format_rows([baseline_result(), failed()])] == ["baseline", "fp16"]


def test_tests_of_one_row_share_a_line_unless_they_judged_it_differently():
    assert len(text.format_rows([baseline_result(), failed(), failed()])) == 2
    assert len(text.format_rows([baseline_result(), failed(), result(floor=1.2)])) == 3


@pytest.mark.parametrize("verdict", ["invalid", "fail"])
def test_a_baseline_that_does_not_pass_says_so(verdict):
    assert text.format_row(baseline_result(verdict=verdict))[-1] == verdict
    assert text.format_row(baseline_result())[-1] == "-"


def test_blocks_are_those_of_the_row_that_took_most():
    assert ", 12 blocks, A/A" in text.format_table([baseline_result(blocks=4), failed(blocks=12), tf32(blocks=8)])[0]


def test_the_title_says_what_the_planned_blocks_resolve_for_the_noisiest_row():
    rows = [tf32(planned_blocks=20, resolves=0.011, blocks=12), failed(planned_blocks=20, resolves=0.034)]
    for results in (rows, rows[::-1], [baseline_result(planned_blocks=20), *rows]):
        assert text.format_heading(results).endswith("12 blocks, A/A control x1.00 [0.99, 1.01], at this noise 20 blocks resolve 3.4%")
    assert "resolve" not in text.format_heading([baseline_result(planned_blocks=20)])


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"documented_on": None}, "sd speed-ups: inference   measured on NVIDIA H200 (random weights), 6 blocks, A/A control"),
        (
            {"weights": None, "table": None},
            "sd speed-ups: callables   documented on NVIDIA A100, measured on NVIDIA H200, 6 blocks, A/A control",
        ),
        ({"control": None}, "(random weights), 6 blocks, no A/A control"),
    ],
)
def test_the_title_says_what_is_known_and_no_more(facts, said):
    assert said in text.format_heading([result(**facts)])


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ({}, ""),
        ({"psnr": 61.4, "ssim": 0.9991}, "PSNR 61  SSIM .999"),
        ({"psnr": 100.0, "ssim": 1.0}, "PSNR 100  SSIM 1.000"),
        ({"ssim": 0.05}, "SSIM .050"),
        ({"ssim": -0.25}, "SSIM -.250"),
        ({"psnr": 9.6}, "PSNR 10"),
        ({"mae": 0.1}, ""),
    ],
)
def test_picture_metrics_are_short(image, said):
    assert text.format_pictures(image) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(1.934, "1.93 s"), (0.1, "0.10 s"), (0.0999, "99.90 ms"), (0.00123, "1.23 ms"), (61.0, "61.00 s")]
)
def test_latencies_have_a_unit_that_fits(seconds, said):
    assert text.format_latency(seconds) == said


def test_campaigns_are_kept_apart():
    other = Interval(1.2, 1.1, 1.3)
    results = [
        tf32(),
        result(control=other),
        result("engine", table=None, documented_on=None),
        baseline_result(),
        result("x", baseline="base2"),
    ]
    groups = text.group_by_campaign(results)
    assert [[one.setup for one in group] for group in groups] == [["baseline", "tf32"], ["fp16"], ["engine"], ["x"]]
    assert "A/A control x1.20 [1.10, 1.30]" in text.format_table(groups[1])[0]


def test_a_campaign_is_named_by_its_table_and_by_a_baseline_that_says_something():
    assert text.name_campaign([result()]) == "inference"
    assert text.name_campaign([result(table=None)]) == "callables"
    assert text.name_campaign([result(table="attention", baseline="vanilla_fp16_b4")]) == "attention, against vanilla_fp16_b4"


def test_lines_keep_the_result_they_are_made_of():
    row = failed()
    (_, base), (cells, found) = text.list_rows([row, failed()])
    assert base is None
    assert (cells, found) == (text.format_row(row), row)


@pytest.mark.parametrize(("size", "said"), [(0, "0.0 MiB"), (2**30 - 2**20, "1023.0 MiB"), (2**30, "1.0 GiB"), (5 * 2**29, "2.5 GiB")])
def test_memory_has_a_unit_that_fits(size, said):
    assert text.format_memory(size) == said


# What needs attention


def test_the_gravest_comes_first_and_what_is_said_twice_is_said_once():
    rows = [tf32(), result("a", verdict="inconclusive"), result("b", verdict="invalid"), failed(), failed(), baseline_result()]
    assert [found.setup for found in messages.select_attention(rows)] == ["fp16", "b", "a"]
    assert len(messages.select_attention([failed(), failed(table="other")])) == 2


def test_a_gate_without_power_is_a_remark_on_a_row_that_passes():
    why = "a picture of another case passes"
    powerless = tf32(image_verdict="powerless", reasons=(why,))
    assert text.collect_remarks([powerless, powerless, failed()]) == [f"tf32: the picture gate is powerless: {why}"]
    assert text.collect_remarks([failed(image_verdict="powerless", reasons=(why,)), tf32(), tf32(reasons=("other",))]) == []


def test_a_note_is_said_once_with_all_it_holds_for():
    rows = [tf32(notes=("tokens are short",)), failed(notes=("tokens are short", "no CLIP"))]
    assert text.collect_remarks(rows) == ["tf32, fp16: tokens are short", "fp16: no CLIP"]


# The message


def test_the_message_states_measured_expected_interval_device_and_the_next_step():
    assert messages.write_message(failed()) == (
        "fp16 on NVIDIA H200: x1.31 [1.29, 1.33] over baseline; documented x1.50 on NVIDIA A100, floor x1.43 (tolerance 5%), 6 blocks. "
        "Reason: slower than its floor: at most x1.330, the floor is x1.425. "
        'To gate this device on its own ratios: --sd-record nvidia-h200.toml, see README "Recording a reference".\n'
        f"See {DOCUMENTATION}/guides/record-a-reference/"
    )


@pytest.mark.parametrize(
    "facts",
    [
        {"documented_on": "NVIDIA H200"},
        {"documented_on": None},
        {"documented_on": "cpu"},
        {"documented_on": "NVIDIA H200", "recorded_in": "h200.toml"},
        {"raised": "fp16 raised ValueError: no"},
        {"verdict": "inconclusive"},
        {"verdict": "invalid"},
        {"image_verdict": "fail"},
    ],
    ids=str,
)
def test_recording_is_advised_only_for_a_slow_row_of_another_device(facts):
    assert "--sd-record" in messages.write_message(failed())
    assert "--sd-record" in messages.write_message(failed(image_verdict="powerless"))
    assert "--sd-record" not in messages.write_message(failed(**facts))


OTHER = Against(spec="main", label="main (3f2a1bc)", versions={}, stages={}, identical=True)
BROKEN = Interval(1.02, 1.01, 1.03)
PAGES = [
    ({"documented_on": "NVIDIA H200"}, "explanations/verdicts/#fail"),
    ({"documented_on": None, "image_verdict": "powerless"}, "explanations/verdicts/#fail"),
    ({"raised": "fp16 raised ValueError: no"}, "explanations/verdicts/#fail"),
    ({}, "guides/record-a-reference/"),
    ({"telemetry": {"busy_share": 0.5}}, "explanations/gpu/#where-the-time-goes"),
    ({"telemetry": {"busy_share": 0.5}, "image_verdict": "fail"}, "explanations/verdicts/#pictures"),
    ({"memory_share": 0.95, "memory_bound": 0.9}, "explanations/verdicts/#memory"),
    ({"peak_memory_bytes": 11, "cost_bounds": {"peak_memory_bytes": 10.0}}, "explanations/verdicts/#memory"),
    ({"first_s": 11.0, "cost_bounds": {"first_s": 10.0}}, "explanations/verdicts/#starts"),
    ({"verdict": "inconclusive"}, "explanations/verdicts/#inconclusive"),
    ({"verdict": "invalid", "control": BROKEN}, "explanations/verdicts/#invalid"),
    ({"verdict": "invalid"}, "explanations/gpu/#throttling"),
    ({"verdict": "invalid", "blocks": 0, "control": None}, "guides/several-gpus/#if-a-worker-ends"),
    ({"verdict": "invalid", "raised": "the worker ended"}, "guides/several-gpus/#if-a-worker-ends"),
    ({"against": OTHER}, "guides/compare-versions/"),
    ({"against": OTHER, "verdict": "inconclusive"}, "explanations/verdicts/#inconclusive"),
    ({"against": OTHER, "verdict": "invalid"}, "guides/compare-versions/"),
    ({"against": OTHER, "verdict": "invalid", "control": BROKEN}, "explanations/verdicts/#invalid"),
    ({"against": OTHER, "verdict": "invalid", "raised": "the process ended"}, "guides/compare-versions/"),
]


@pytest.mark.parametrize(("facts", "page"), PAGES, ids=str)
def test_a_message_ends_with_the_page_that_tells_most(facts, page):
    row = failed(**facts)
    said = messages.write_message(row)
    assert said == f"{messages.describe_result(row)}\nSee {DOCUMENTATION}/{page}"
    assert said.count(DOCUMENTATION) == 1


def test_more_to_say_comes_before_the_page():
    said = messages.write_message(failed(), "", "It is the code.").splitlines()
    assert said == [messages.describe_result(failed()), "It is the code.", f"See {DOCUMENTATION}/guides/record-a-reference/"]


def test_errors_of_a_throttled_gpu_and_a_lost_process_name_their_pages():
    assert describe_error(ThrottledError("invalid")) == f"invalid\nSee {DOCUMENTATION}/explanations/gpu/#throttling"
    assert describe_error(WorkerLostError("invalid")) == f"invalid\nSee {DOCUMENTATION}/guides/compare-versions/"
    assert describe_error(SdSpeedError("no setup")) == f"no setup\nSee {DOCUMENTATION}/reference/errors/"


def test_other_verdicts_lead_the_message():
    assert messages.write_message(result(verdict="inconclusive")).startswith("inconclusive: fp16 on NVIDIA H200: x1.31")
    invalid = messages.write_message(result(verdict="invalid", reasons=("A/A control x1.2 excludes x1",), control=BROKEN))
    assert invalid.startswith("invalid: fp16 on")
    assert "Reason: A/A control x1.2 excludes x1. The baseline differs from itself: stop what else uses this machine and rerun." in invalid
    throttled = messages.write_message(result(verdict="invalid", reasons=("the GPU throttled",)))
    assert "throttled. This says nothing about the code: find what disturbed the machine and rerun." in throttled


def test_a_recorded_ratio_is_said_to_be_one_with_its_file():
    row = failed(documented_on="NVIDIA H200", recorded_in="refs/h200.toml")
    assert "; recorded x1.50 on NVIDIA H200 (refs/h200.toml), floor x1.43" in messages.write_message(row)
    assert text.format_heading([row]).startswith("sd speed-ups: inference   recorded on NVIDIA H200, measured on NVIDIA H200 ")


def test_without_a_documented_ratio_the_message_says_expected():
    said = messages.write_message(failed(documented_on=None, expected=1.3, tolerance=0.125, floor=1.1375))
    assert "; expected x1.30, floor x1.14 (tolerance 12.5%), 6 blocks." in said


@pytest.mark.parametrize(("tolerance", "said"), [(0.05, "5%"), (0.0, "0%"), (0.005, "0.5%"), (0.29, "29%"), (0.1 + 0.2, "30%")])
def test_a_small_tolerance_is_not_rounded_away(tolerance, said):
    assert f"(tolerance {said})" in messages.write_message(failed(tolerance=tolerance))


def test_a_bound_on_memory_that_was_judged_is_in_the_message():
    assert ", 6 blocks, 93.8% of the baseline's peak memory (at most 90.0%). Reason" in messages.write_message(
        failed(memory_share=0.9375, memory_bound=0.9)
    )
    for facts in ({"memory_share": 0.9}, {"memory_bound": 0.9}):
        assert "memory" not in messages.write_message(failed(**facts))


def test_a_row_that_fails_on_its_memory_alone_is_not_too_slow():
    large = failed(memory_share=0.9375, memory_bound=0.9)
    assert (failed().too_slow, large.too_slow, large.too_large) == (True, False, True)
    assert not failed(memory_share=0.9, memory_bound=0.9).too_large
    assert "--sd-record" not in messages.write_message(large)


def test_a_baseline_is_not_compared_with_itself():
    black = messages.write_message(baseline_result(verdict="fail", image_verdict="fail", reasons=("seed 0: black",)))
    assert (
        black == f"baseline on NVIDIA H200: 1.93 s, 6 blocks. Reason: seed 0: black.\nSee {DOCUMENTATION}/explanations/verdicts/#pictures"
    )


# Progress


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (("warm-up", "baseline", 0, 0, None), "inference: warm-up, baseline"),
        (("build", "baseline", 0, 0, None), "inference: build, baseline"),
        (("block", "fp16", 3, 20, 41.4), "inference: block 3 of at most 20, fp16, 41 s left at most"),
        (("block", "fp16", 3, 20, -2.0), "inference: block 3 of at most 20, fp16, 0 s left at most"),
        (("block", "fp16", 3, 20, None), "inference: block 3 of at most 20, fp16"),
    ],
)
def test_the_progress_line(facts, said):
    phase, arm, block, blocks, left_s = facts
    assert format_progress("inference", phase, arm, block=block, blocks=blocks, left_s=left_s) == said
