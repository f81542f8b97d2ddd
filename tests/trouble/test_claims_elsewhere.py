"""Claims in a rehearsal, under a total budget, and in workers of pytest-xdist."""

from __future__ import annotations

import pytest
from claimed import HEAD, claim, judge
from distributed_project import CONFTEST, OPTIONS, ROW, TABLE
from rehearsed import STAYS, rehearse, write_table

from pytest_sdspeed.model import Machine

assert STAYS


def said(result, *lines):
    result.stdout.fnmatch_lines([f"*{line}*" for line in lines])


@pytest.mark.slow
def test_a_rehearsal_judges_pictures_by_bounds_for_random_weights_and_times_nothing(pytester, monkeypatch):
    path = write_table(
        pytester, {"baseline": "", "right": '"noisy_same_weights"', "wrong": '"another_seed_same_weights"', "unbound": '"channels_last"'}
    )
    text = path.read_text()
    bounds = "image = {psnr = 30}\nimage_random = {psnr = 40}\n"
    for setup in ("right", "wrong"):
        text = text.replace(f"setup = '{setup}'\n", f"setup = '{setup}'\n{bounds}")
    text = text.replace("setup = 'unbound'\n", "setup = 'unbound'\nimage = {psnr = 30}\n")
    text += "".join(claim(f'comparable = ["{row}", "baseline"]') for row in ("right", "wrong", "unbound"))
    path.write_text(text + claim('faster = ["right", "baseline"]') + claim('less_memory = ["right", "baseline"]'))
    result = rehearse(pytester, monkeypatch, "night.toml::claim")
    result.assert_outcomes(passed=1, failed=1, skipped=3)
    said(
        result,
        "pass: comparable-right",
        "fail: comparable-wrong",
        "SKIPPED*the pictures of unbound were not held to the bounds of its row here: no bounds hold for tiny weights",
        "SKIPPED*a rehearsal measures neither time nor memory, and this claim says faster",
    )


def test_a_claim_is_measured_with_its_campaign_and_left_out_with_it(gated, pytester, monkeypatch):
    machine = Machine(kind="cpu", device="NVIDIA H200", versions={})
    monkeypatch.setattr("pytest_sdspeed.device.machine.describe_accelerator", lambda: machine)
    monkeypatch.setattr("pytest_sdspeed.device.memory.find_total_bytes", lambda _kind: 2**40)
    head = HEAD.replace('device = "cpu"', 'device = "NVIDIA H200"')
    source = """
@pytest.mark.sd_latency(table="said")
def test_claims(sd_claim):
    sd_claim()


@pytest.mark.sd_latency(table="said")
def test_rows(sd_latency, sd_setup):
    sd_latency(sd_setup)
"""
    claims = claim('faster = ["quicker", "quick"]')
    result = judge(gated, pytester, claims, "--sd-gpu", "--sd-total-budget=100000", source=source, head=head)
    result.assert_outcomes(passed=4, skipped=1)
    result = judge(gated, pytester, claims, "--sd-gpu", "--sd-total-budget=0.001", source=source, head=head)
    result.assert_outcomes(skipped=5)
    said(result, "SKIPPED*claims.py*left out: --sd-total-budget")


@pytest.mark.slow
def test_workers_judge_claims_beside_the_rows_that_they_measure(pytester):
    pytester.makeconftest(CONFTEST)
    for name in ("alpha", "beta"):
        text = TABLE.format(name=name).replace("schema = 1", "schema = 2") + ROW.format(setup="quick", speedup=1.5)
        text += ROW.format(setup="quickest", speedup=3)
        first = ("quickest", "quick") if name == "alpha" else ("quick", "quickest")
        (pytester.path / f"{name}.sdspeed.toml").write_text(text + claim(f'faster = ["{first[0]}", "{first[1]}"]'))
    options = [one for one in OPTIONS if not one.startswith("--sd-tables")]
    result = pytester.runpytest_subprocess(*options, "-n2", "--junit-xml=run.xml")
    result.assert_outcomes(passed=7, failed=1)
    said(
        result,
        "sd claims: alpha   judged on *",
        "pass: faster-quickest:*",
        "  quickest against quick   x2.0* faster, more than x1   pass",
        "sd claims: beta   judged on *",
        "fail: faster-quick:*",
    )
    assert 'name="sdspeed_claim_verdict" value="fail"' in (pytester.path / "run.xml").read_text()


def test_rows_of_two_tables_of_one_name_are_not_measured_together(gated, pytester):
    """A table that was recorded on this device has one of the rows, and precedence."""
    from pytest_sdspeed.device.machine import describe_cpu

    recorded = HEAD.replace('device = "cpu"', f'device = "{describe_cpu().device}"').partition('[[rows]]\nsetup = "quicker"')[0]
    (pytester.path / "mine.toml").write_text(recorded + '[recorded]\nkind = "cpu"\n')
    result = judge(
        gated, pytester, claim('faster = ["quicker", "quick"]') + claim('faster = ["quick", "baseline"]'), "--sd-tables=mine.toml"
    )
    result.assert_outcomes(skipped=1, passed=1)
    said(result, "SKIPPED*its rows are in several tables of this name, which are not measured together")
