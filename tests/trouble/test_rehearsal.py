"""A night on a GPU, rehearsed on a laptop: what is right passes, what was broken on purpose fails, and no time is judged."""

from __future__ import annotations

import gc
import xml.etree.ElementTree as ET

import pytest
from rehearsed import rehearse, verdicts, write_table

GOOD = {
    "baseline": "",
    "fp16": '"fp16"',
    "fused_qkv": '"channels_last", "fused_qkv"',
    "cached": '"feature_cache_2"',
    "distilled": '"distilled_unet"',
    "distilled_cached": '"distilled_unet", "feature_cache_2", "tf32"',
    "noisy": '"noisy_same_weights"',
    "tf32": '"tf32"',
    "graphs": '"cuda_graphs"',
}
BROKEN = {
    "another_seed": ["same_weights", "approximation"],
    "another_prompt": ["approximation"],
    "half_the_steps": ["approximation"],
    "no_guidance": ["same_weights"],
    "black": ["other_weights"],
    "with_nan": ["same_weights"],
    "one_dropped": ["other_weights"],
    "two_swapped": ["approximation"],
    "channels_swapped": ["approximation"],
    "upside_down": ["approximation"],
    "one_seed": ["other_weights"],
    "stale": ["same_weights"],
    "nothing": ["approximation"],
}
"""Planted fault -> what it says that its pictures have in common with the baseline's."""


@pytest.mark.slow
def test_rows_that_are_right_pass_or_say_why_they_cannot_be_rehearsed(pytester, monkeypatch):
    table = write_table(pytester, GOOD)
    result = rehearse(pytester, monkeypatch, table, "--junit-xml=junit.xml", "--benchmark-json=stored.json", "--sd-report=report.html")
    skipped = {"tf32": "tf32 needs an Ampere or later CUDA GPU", "graphs": "cuda_graphs needs a CUDA GPU"}
    passing = set(GOOD) - set(skipped)
    assert verdicts(result) == {row: "-" if row == "baseline" else "pass" for row in passing}
    result.assert_outcomes(passed=len(passing), skipped=len(skipped))
    for reason in skipped.values():
        result.stdout.fnmatch_lines([f"SKIPPED*{reason}: run with --sd-gpu"])
    result.stdout.fnmatch_lines(
        [
            "sd rehearsal: night   tiny random weights on *, speed is not judged",
            "note: distilled_cached: tf32 was set, and does nothing on a CPU",
        ]
    )
    # Nothing of it can enter a history of speed.
    assert not (pytester.path / "stored.json").exists()
    told = ET.parse(pytester.path / "junit.xml").getroot()
    properties = {(one.get("name"), one.get("value")) for one in told.iter("property")}
    assert ("sdspeed_rehearsal", "tiny weights") in properties
    assert not any(name.startswith("sdspeed_") and name.endswith(("_s", "speedup", "floor")) for name, _ in properties)
    page = (pytester.path / "report.html").read_text()
    assert "night: rehearsed" in page
    assert "speed is not judged" in page
    assert "Slots over time" not in page


FROZEN = """
import gc


def pytest_runtest_teardown():
    print("frozen:", gc.get_freeze_count() > 0)
"""


@pytest.mark.slow
def test_libraries_are_left_out_of_collections_until_the_run_ends(pytester, monkeypatch):
    # Nothing is frozen before, as in a process of a user.
    monkeypatch.undo()
    gc.unfreeze()
    table = write_table(pytester, {"baseline": "", "fp16": '"fp16"'})
    rehearse(pytester, monkeypatch, table, "-s", conftest=FROZEN).stdout.fnmatch_lines(["*frozen: True*", "*2 passed*"])
    assert gc.get_freeze_count() == 0


@pytest.mark.slow
def test_pipelines_that_are_broken_on_purpose_fail(pytester, monkeypatch):
    rows = {f"{name}_{relation}": f'"{name}_{relation}"' for name, relations in BROKEN.items() for relation in relations}
    # Other weights do not hide what the rest of the stack does.
    rows["distilled_another_seed"] = '"distilled_unet", "another_seed_same_weights"'
    table = write_table(pytester, {"baseline": "", **rows})
    result = rehearse(pytester, monkeypatch, table)
    assert verdicts(result) == {"baseline": "-"} | dict.fromkeys(rows, "fail")
    result.assert_outcomes(passed=1, failed=len(rows))
    result.stdout.fnmatch_lines(
        [
            "another_seed_same_weights of table 'night', rehearsed beside baseline with tiny random weights on *, speed is not judged: PSNR 1?*",
            "See https://*/guides/rehearse/#what-is-judged",
        ]
    )
