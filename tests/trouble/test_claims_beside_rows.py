"""Claims beside the rows of their table: one campaign for both, no row judged by less than its floor, and files that tell of them."""

from __future__ import annotations

import pytest
from claimed import HEAD, JUDGE, claim, judge

FASTER = 'faster = ["quicker", "quick", "baseline"]'
ROWS = """
@pytest.mark.sd_latency(table="said")
def test_rows(sd_latency, sd_setup):
    sd_latency(sd_setup)
"""


@pytest.fixture
def run(gated, pytester):
    def run(claims, *arguments, **facts):
        return judge(gated, pytester, claims, *arguments, **facts)

    return run


def said(result, *lines):
    result.stdout.fnmatch_lines([f"*{line}*" for line in lines])


def named(result):
    """Ids of the tests that a run collected."""
    return [line for line in result.outlines if "::" in line]


def test_a_table_is_a_test_for_each_row_and_each_claim(run):
    claims = claim(FASTER) + claim('defaults = {"version" = "1"}')
    result = run(claims, "said.toml", "--collect-only", "-q", source="")
    assert named(result) == [
        *(f"said.toml::{row}" for row in ("baseline", "quick", "quicker", "elsewhere")),
        "said.toml::claim[faster-quicker]",
        "said.toml::claim[defaults-version]",
    ]
    result = run(claims, "said.toml::claim", "--collect-only", "-q", source="")
    assert named(result) == ["said.toml::claim[faster-quicker]", "said.toml::claim[defaults-version]"]


def test_a_claim_alone_measures_what_it_compares_and_nothing_else(run):
    """A row that would raise if it were drawn."""
    result = run(claim('faster = ["quick", "baseline"]'), "said.toml::claim[faster-quick]", source="", broken=("quicker",))
    result.assert_outcomes(passed=1)


def test_rows_and_claims_of_a_table_are_one_campaign(run, monkeypatch):
    from pytest_sdspeed.measure import campaign

    measured, run_campaign = [], campaign.run_campaign

    def noted(baseline, rows, *more, **facts):
        measured.append(([row.name for row in rows], len(facts["contrasts"])))
        return run_campaign(baseline, rows, *more, **facts)

    monkeypatch.setattr(campaign, "run_campaign", noted)
    result = run(claim(FASTER) + claim('slower = ["quick", "quicker"]'), "said.toml", source="")
    result.assert_outcomes(passed=5, skipped=1)
    assert measured == [(["quick", "quicker"], 2)], "what two claims compare is decided once"


@pytest.mark.parametrize("order", [ROWS + JUDGE, JUDGE + ROWS], ids=["rows first", "claims first"])
def test_rows_are_held_to_their_floors_whichever_test_measures(run, order):
    result = run(claim(FASTER), source=order, seconds={"quick": 1.2})
    result.assert_outcomes(passed=3, failed=1, skipped=1)
    said(result, "quick*x1.25*x1.50*x1.4*fail")


def test_a_row_that_a_claim_alone_compared_has_not_passed(run):
    """It had no floor in the campaign of the claim: the test that asks for it late measures it anew."""
    source = (
        JUDGE
        + "\n@pytest.mark.sd_latency(table='said')\ndef test_late(request, sd_latency):\n    sd_latency(request.getfixturevalue('sd_quick'))\n"
    )
    claims = claim('faster = ["quick", "baseline"]')
    run(claims, source=source).assert_outcomes(passed=2)
    result = run(claims, source=source, seconds={"quick": 1.2})
    result.assert_outcomes(passed=1, failed=1)
    said(result, "quick on *x1.25*slower than its floor")


def test_claims_take_no_error_from_the_rows(run):
    """Their `fail` is that of a run without claims, to the last digit."""
    found = []
    for claims, source in (("", ROWS), (claim(FASTER) + claim('slower = ["baseline", "quicker"]'), ROWS + JUDGE)):
        result = run(claims, source=source, seconds={"quick": 1.4}, head=HEAD)
        found.append([line.split()[-8:] for line in result.outlines if line.startswith("quick ")])
    assert found[0] == found[1] != []


def test_a_claim_does_nothing_for_a_benchmark_that_measures_nothing(run):
    result = run(claim(FASTER), "--benchmark-disable")
    result.assert_outcomes(skipped=1)
    said(result, "sd_claim measures nothing under --benchmark-disable")


def test_the_files_of_a_run_tell_of_its_claims(run, pytester):
    claims = claim(FASTER, "Stacked <they> are the fastest.") + claim('faster = ["quick", "quicker"]', "Not so.")
    run(claims, "--junit-xml=run.xml", "--sd-report=run.html").assert_outcomes(passed=1, failed=1)
    junit, page = ((pytester.path / name).read_text() for name in ("run.xml", "run.html"))
    assert 'name="sdspeed_claim_verdict" value="pass"' in junit
    assert 'name="sdspeed_claim_quicker_against_quick_ratio" value="1.3' in junit
    assert 'name="sdspeed_claim_verdict" value="fail"' in junit
    assert "1 of 2 claims need attention" in page
    assert "Stacked &lt;they&gt; are the fastest." in page
    assert '<tr data-claim="faster-quicker" data-verdict="pass">' in page
    assert '<tr data-claim="faster-quick" data-verdict="fail">' in page


def test_a_dry_run_skips_what_is_measured_with_that_reason(run):
    result = run(claim(FASTER) + claim('comparable = ["quick", "baseline"]'), "--sd-dry")
    result.assert_outcomes(skipped=2)
    said(result, "SKIPPED [[]2]*--sd-dry counts and measures nothing")


COUNTED = """
schema = 2
name = "counted"
title = "The miniature, counted"
source = "https://example.org/counted"
device = "cpu"

[recipe]
model = "miniature"
prompt = "a vase"
height = 64
width = 64
steps = 2
scheduler = "ddim"
guidance = 7.5
student = "miniature-student"

[[rows]]
setup = "baseline"
optimizations = []
speedup = 1

[[rows]]
setup = "small"
optimizations = ["distilled_unet"]
speedup = 1.2
"""


@pytest.mark.slow
def test_what_can_be_counted_is_judged_without_a_gpu(pytester, gated):
    claims = (
        claim('parameters = ["small", "baseline"]', "It is smaller.")
        + claim('parameters = ["small", "baseline"]\npart = "denoiser"\nby = 0.01', "It is 99% smaller.")
        + claim('parameters = ["small", "baseline"]\npart = "nosuch"', "Its nothing is smaller.")
        + claim('row = "small"\nbounds = {flops = 1000000000000}', "It takes less than a TFLOP.")
        + claim('row = "baseline"\nbounds = {flops = 1, operations = 1000000}', "It takes nothing.")
    )
    (pytester.path / "counted.toml").write_text(COUNTED + claims)
    result = gated("", "-p", "no:cacheprovider", "counted.toml::claim", "--sd-dry")
    result.assert_outcomes(passed=2, failed=3)
    said(
        result,
        "denoiser of small against baseline *, said at most 1.0% (fail)*",
        "unknown part of the pipeline 'nosuch'; valid: autoencoder, denoiser, *",
        "flops of baseline *, said at most 1 (fail); operations of baseline *, said at most 1,000,000 (pass)",
    )
